//! Raw gRPC: any method, any certificate.

use crate::Pair;
use bytes::{Buf as _, BufMut as _, Bytes};
use muster_domain::Code;
use prost::Message;
use prost_types::FileDescriptorProto;
use std::net::{IpAddr, SocketAddr};
use tonic::{
    Request, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt as _;

/// Messages as the bytes that they are.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// A channel that connects when it is first used, so that a refused handshake shows in the call. `pair` is the
/// client's certificate, `source` the address to call from.
pub fn channel(address: SocketAddr, roots: &[u8], pair: Option<&Pair>, source: Option<IpAddr>) -> Channel {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(roots))
        .domain_name("localhost");
    if let Some(pair) = pair {
        tls = tls.identity(Identity::from_pem(&pair.chain, &pair.key));
    }
    let endpoint =
        Endpoint::from_shared(format!("https://{address}")).and_then(|endpoint| endpoint.tls_config(tls));
    endpoint
        .expect("a usable endpoint")
        .local_address(source)
        .connect_lazy()
}

/// Calls a method such as `muster.v1.Fleet/GetCounts` with one message, and gives the first message of its answer. On the
/// wire that is right for calls of every kind.
pub async fn call(channel: &Channel, method: &str, message: &impl Message) -> Result<Bytes, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client
        .ready()
        .await
        .map_err(|error| Status::from_error(Box::new(error)))?;
    let path = format!("/{method}").parse().expect("a path");
    let request = Request::new(Bytes::from(message.encode_to_vec()));
    let mut answers = client.server_streaming(request, path, Raw).await?.into_inner();
    answers
        .message()
        .await?
        .ok_or_else(|| Status::unknown("the call ended without an answer"))
}

/// The number of the refusal in a status, if it is one of ours.
pub fn refusal(status: &Status) -> Option<Code> {
    let info = status.get_error_details().error_info().cloned()?;
    let number: u16 = info.metadata.get("code")?.parse().ok()?;
    Code::try_from(number).ok()
}

/// The fields that a status finds fault with.
pub fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.clone());
    let violations = violations.unwrap_or_default().into_iter();
    violations.map(|violation| violation.field).collect()
}

async fn ask(client: &mut ServerReflectionClient<Channel>, question: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    };
    let answers = client.server_reflection_info(tokio_stream::iter([request])).await;
    let answer = answers
        .expect("reflection answers")
        .into_inner()
        .message()
        .await
        .expect("an answer");
    answer
        .and_then(|answer| answer.message_response)
        .expect("a response")
}

/// Every method that the server says it has, as `package.Service/Method`, read from the descriptors that it serves.
pub async fn methods(channel: &Channel) -> Vec<String> {
    let mut client = ServerReflectionClient::new(channel.clone());
    let MessageResponse::ListServicesResponse(services) =
        ask(&mut client, MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list of services");
    };
    let mut methods = Vec::new();
    for service in services.service {
        let question = MessageRequest::FileContainingSymbol(service.name.clone());
        let MessageResponse::FileDescriptorResponse(files) = ask(&mut client, question).await else {
            panic!("no descriptor of {}", service.name);
        };
        for file in files.file_descriptor_proto {
            let file = FileDescriptorProto::decode(file.as_slice()).expect("a descriptor");
            for described in &file.service {
                let name = format!("{}.{}", file.package(), described.name());
                if name == service.name {
                    methods.extend(
                        described
                            .method
                            .iter()
                            .map(|method| format!("{name}/{}", method.name())),
                    );
                }
            }
        }
    }
    methods.sort();
    methods.dedup();
    methods
}
