//! A raw HTTP/1.1 client over TLS: says what it is told to, byte by byte, and hears answer by answer.

use crate::{Pair, tls, wait::within};
use bytes::{Buf as _, BytesMut};
use std::{
    io,
    net::{IpAddr, SocketAddr},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// A connection. TLS is up; nothing is said yet.
#[derive(Debug)]
pub struct Http {
    stream: TlsStream<TcpStream>,
    heard: BytesMut,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers as they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// As long as it was announced.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Http {
    /// Connects and shakes hands. `source` is the address to call from, `protocols` what is offered by ALPN.
    pub async fn dial(
        address: SocketAddr,
        roots: &[u8],
        pair: Option<&Pair>,
        source: Option<IpAddr>,
        protocols: &[&str],
    ) -> io::Result<Self> {
        let stream = tls::connect(address, roots, pair, source, protocols).await?;
        Ok(Self {
            stream,
            heard: BytesMut::new(),
        })
    }

    /// Sends bytes.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    /// The next answer; `None` when the server closed the connection before it was whole.
    pub async fn hear(&mut self) -> Option<Answer> {
        loop {
            if let Some((answer, length)) = whole(&self.heard) {
                self.heard.advance(length);
                return Some(answer);
            }
            match within("an answer", self.stream.read_buf(&mut self.heard)).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// One request and its answer; `None` when the connection ended instead.
    pub async fn ask(&mut self, request: impl AsRef<[u8]>) -> Option<Answer> {
        // A server may answer and close before all is said.
        let said = self.say(request).await;
        let heard = self.hear().await;
        heard.or_else(|| said.err().and(None))
    }
}

/// The first answer in some bytes, and its length.
fn whole(heard: &[u8]) -> Option<(Answer, usize)> {
    let end = heard.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let head = str::from_utf8(&heard[..end]).expect("a head in ASCII");
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let answer = Answer {
        status,
        headers,
        body: Vec::new(),
    };
    let length: usize = answer.header("content-length").parse().unwrap_or(0);
    let body = heard.get(end..end + length)?.to_vec();
    Some((Answer { body, ..answer }, end + length))
}
