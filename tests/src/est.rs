//! EST as a client writes and reads it, over a raw connection.

use crate::Answer;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use muster_domain::der::{Reader, tag};

/// A request with its headers as they are to be sent.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text + "\r\n" + body
}

/// The credentials of HTTP Basic.
pub fn basic(serial: &str, code: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{serial}:{code}")))
}

/// A request for a certificate, with serial and code.
pub fn enroll(path: &str, serial: &str, code: &str, csr: &[u8]) -> String {
    let headers = [
        ("Content-Type", "application/pkcs10"),
        ("Authorization", &basic(serial, code)),
    ];
    request("POST", path, &headers, &BASE64_STANDARD.encode(csr))
}

/// DER out of a body of base64 in one line.
pub fn decoded(body: &[u8]) -> Vec<u8> {
    BASE64_STANDARD.decode(body).expect("as EST has it")
}

/// The certificates of a certs-only message.
pub fn certificates(der: &[u8]) -> Vec<Vec<u8>> {
    let mut info = Reader::new(
        Reader::new(der)
            .expect(tag::SEQUENCE)
            .expect("as EST has it")
            .content,
    );
    info.expect(tag::OID).expect("as EST has it");
    let content = info.expect(tag::CONTEXT_0).expect("as EST has it").content;
    let mut signed = Reader::new(
        Reader::new(content)
            .expect(tag::SEQUENCE)
            .expect("as EST has it")
            .content,
    );
    for tag in [tag::INTEGER, tag::SET, tag::SEQUENCE] {
        signed.expect(tag).expect("as EST has it");
    }
    let mut certificates = Reader::new(signed.expect(tag::CONTEXT_0).expect("as EST has it").content);
    assert!(signed.expect(tag::SET).expect("as EST has it").content.is_empty() && signed.is_empty());
    let mut all = Vec::new();
    while !certificates.is_empty() {
        all.push(
            certificates
                .expect(tag::SEQUENCE)
                .expect("as EST has it")
                .whole
                .to_vec(),
        );
    }
    all
}

/// The parts of a multipart body: media type and content.
pub fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let boundary = answer
        .header("content-type")
        .strip_prefix("multipart/mixed; boundary=")
        .expect("as EST has it");
    let text = answer.text();
    let (inside, _) = text
        .split_once(&format!("--{boundary}--\r\n"))
        .expect("as EST has it");
    let between = format!("--{boundary}\r\n");
    inside
        .split(&between)
        .skip(1)
        .map(|part| {
            let (head, body) = part.split_once("\r\n\r\n").expect("as EST has it");
            let media_type = head.lines().find_map(|line| line.strip_prefix("Content-Type: "));
            (
                media_type.expect("as EST has it").to_owned(),
                decoded(body.trim_end().as_bytes()),
            )
        })
        .collect()
}
