//! The connection to a server: one channel, all services.

use crate::{context::Context, failure::Failure, unreachable::Unreachable};
use muster_proto::v1::{
    access_client::AccessClient, audit_client::AuditClient, catalog_client::CatalogClient,
    certificates_client::CertificatesClient, changes_client::ChangesClient, devices_client::DevicesClient,
    enrollment_client::EnrollmentClient, fleet_client::FleetClient, manifests_client::ManifestsClient,
    secrets_client::SecretsClient,
};
use std::time::Duration;
use tonic::{
    Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

/// Until a connection is open, its TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that answers no ping for this long is gone; calls without an end of their own (imports) notice by it.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer: the results of one part of an import are tens of thousands of rows.
const ANSWER_LIMIT: usize = 64 << 20;
/// Items of one page, and the most that a server gives.
const PAGE: u64 = 1000;

/// All services of one server. Cloning shares the connection.
#[derive(Debug, Clone)]
pub struct Client {
    /// Bulk import.
    pub manifests: ManifestsClient<Channel>,
    /// Devices.
    pub devices: DevicesClient<Channel>,
    /// Models, sites, profiles, firmware policies.
    pub catalog: CatalogClient<Channel>,
    /// Certificates.
    pub certificates: CertificatesClient<Channel>,
    /// Secrets.
    pub secrets: SecretsClient<Channel>,
    /// Changes of many devices.
    pub changes: ChangesClient<Channel>,
    /// Claims.
    pub enrollment: EnrollmentClient<Channel>,
    /// Operators.
    pub access: AccessClient<Channel>,
    /// The record of everything.
    pub audit: AuditClient<Channel>,
    /// Counts.
    pub fleet: FleetClient<Channel>,
    /// Where the server is; empty for a channel that was there already.
    server: String,
}

impl Client {
    /// Connects with the operator certificate of a context, trusting its root only.
    pub async fn connect(context: &Context) -> Result<Self, Failure> {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&context.roots))
            .identity(Identity::from_pem(&context.certificate, &context.key));
        if let Some(name) = &context.server_name {
            tls = tls.domain_name(name);
        }
        let wrong = |error: tonic::transport::Error| {
            let why =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Failure::usage(
                format!("context {} cannot be used: {why}", context.label),
                "Check `server`, and that roots, certificate and key are PEM files that belong together.",
            )
        };
        let endpoint = Endpoint::from_shared(context.server.clone())
            .and_then(|endpoint| endpoint.user_agent(concat!("muster/", env!("CARGO_PKG_VERSION"))))
            .and_then(|endpoint| endpoint.tls_config(tls))
            .map_err(wrong)?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT);
        let channel = endpoint.connect().await;
        let failed = |error| Failure::Unreachable(Box::new(Unreachable::connecting(&context.server, &error)));
        let server = context.server.clone();
        channel
            .map(|channel| Self {
                server,
                ..Self::over(channel)
            })
            .map_err(failed)
    }

    /// Where the server is, such as `https://127.0.0.1:8443`; empty where that is not known.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// All services over a channel that is there already.
    pub fn over(channel: Channel) -> Self {
        Self {
            manifests: ManifestsClient::new(channel.clone()).max_decoding_message_size(ANSWER_LIMIT),
            devices: DevicesClient::new(channel.clone()).max_decoding_message_size(ANSWER_LIMIT),
            catalog: CatalogClient::new(channel.clone()).max_decoding_message_size(ANSWER_LIMIT),
            certificates: CertificatesClient::new(channel.clone()).max_decoding_message_size(ANSWER_LIMIT),
            secrets: SecretsClient::new(channel.clone()).max_decoding_message_size(ANSWER_LIMIT),
            changes: ChangesClient::new(channel.clone()).max_decoding_message_size(ANSWER_LIMIT),
            enrollment: EnrollmentClient::new(channel.clone()),
            access: AccessClient::new(channel.clone()),
            audit: AuditClient::new(channel.clone()).max_decoding_message_size(ANSWER_LIMIT),
            fleet: FleetClient::new(channel).max_decoding_message_size(ANSWER_LIMIT),
            server: String::new(),
        }
    }
}

/// Whether a listing was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// That was all.
    Whole,
    /// The limit came first.
    Cut,
}

/// Reads a listing page by page: `fetch` gets page size and token, and gives items and the next token.
pub async fn pages<T>(
    limit: Option<u64>,
    mut fetch: impl AsyncFnMut(i32, String) -> Result<(Vec<T>, String), Status>,
    mut each: impl FnMut(T) -> Result<(), Failure>,
) -> Result<Listed, Failure> {
    let mut left = limit.unwrap_or(u64::MAX);
    let mut token = String::new();
    loop {
        let size = i32::try_from(left.min(PAGE)).unwrap_or(i32::MAX);
        let (items, next) = fetch(size, token).await?;
        for item in items {
            if left == 0 {
                return Ok(Listed::Cut);
            }
            left -= 1;
            each(item)?;
        }
        match (next.is_empty(), left) {
            (true, _) => return Ok(Listed::Whole),
            (false, 0) => return Ok(Listed::Cut),
            (false, _) => token = next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// A listing of the numbers below `all` in pages of at most `page`, some of them empty.
    async fn listed(all: u64, page: u64, limit: Option<u64>) -> (Vec<u64>, Listed, Vec<i32>) {
        let sizes = RefCell::new(Vec::new());
        let mut found = Vec::new();
        let fetch = async |size: i32, token: String| {
            sizes.borrow_mut().push(size);
            let from: u64 = if token.is_empty() {
                0
            } else {
                token.parse().unwrap()
            };
            // A server may answer with an empty page and a token when a filter matches nothing for long.
            if from == 3 && sizes.borrow().iter().filter(|_| true).count() % 2 == 0 {
                return Ok((vec![], token));
            }
            let to = all.min(from + page.min(u64::try_from(size).unwrap()));
            let next = if to < all { to.to_string() } else { String::new() };
            Ok(((from..to).collect(), next))
        };
        let each = |item| {
            found.push(item);
            Ok(())
        };
        let end = pages(limit, fetch, each).await.unwrap();
        (found, end, sizes.into_inner())
    }

    #[tokio::test]
    async fn pages_follow_each_other_to_the_end_or_the_limit() {
        assert_eq!(listed(7, 3, None).await.0, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(listed(7, 3, None).await.1, Listed::Whole);
        let (found, end, sizes) = listed(7, 3, Some(4)).await;
        assert_eq!((found, end), (vec![0, 1, 2, 3], Listed::Cut));
        assert_eq!(sizes[0], 4);
        assert_eq!(listed(4, 3, Some(4)).await.1, Listed::Whole);
        assert_eq!(listed(0, 3, Some(4)).await, (vec![], Listed::Whole, vec![4]));
    }

    #[tokio::test]
    async fn a_server_that_gives_more_than_asked_does_not_break_the_limit() {
        let mut found = Vec::new();
        let fetch = async |_: i32, _: String| Ok(((0..10).collect(), String::new()));
        let each = |item: i32| {
            found.push(item);
            Ok(())
        };
        assert_eq!(pages(Some(3), fetch, each).await.unwrap(), Listed::Cut);
        assert_eq!(found, [0, 1, 2]);
    }
}
