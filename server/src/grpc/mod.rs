//! gRPC: from calls to service functions and back. A handler takes its permit, parses, calls one
//! service function, renders.

mod access;
mod audit;
mod catalog;
mod certificates;
mod changes;
mod convert;
mod devices;
mod enrollment;
mod fleet;
mod health;
mod listen;
mod manifests;
mod page;
mod peer;
mod secrets;
mod status;
mod upload;

pub use listen::ServeError;
pub(crate) use listen::serve;

use crate::{mqtt::throttle::Throttle, service::Service};
use muster_proto::v1::{
    DESCRIPTORS, access_server::AccessServer, audit_server::AuditServer, catalog_server::CatalogServer,
    certificates_server::CertificatesServer, changes_server::ChangesServer, devices_server::DevicesServer,
    enrollment_server::EnrollmentServer, fleet_server::FleetServer, manifests_server::ManifestsServer,
    secrets_server::SecretsServer,
};
use page::Pages;
use std::sync::Arc;
use tonic::{
    server::NamedService as _,
    service::{Routes, RoutesBuilder},
};

/// Largest message that we read: an apply call with a thousand resources, or a chunk and its frame.
const DECODE_LIMIT: usize = 8 << 20;

/// Our services by their full names, for health.
const SERVICES: &[&str] = &[
    ManifestsServer::<Api>::NAME,
    DevicesServer::<Api>::NAME,
    CertificatesServer::<Api>::NAME,
    CatalogServer::<Api>::NAME,
    SecretsServer::<Api>::NAME,
    ChangesServer::<Api>::NAME,
    EnrollmentServer::<Api>::NAME,
    AccessServer::<Api>::NAME,
    AuditServer::<Api>::NAME,
    FleetServer::<Api>::NAME,
];

/// What every handler has.
#[derive(Clone)]
pub(crate) struct Api {
    service: Service,
    pages: Pages,
    claims: Arc<Throttle>,
}

/// Why the services cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// No random bytes for page tokens.
    #[error("no random bytes")]
    Random,
    /// The compiled descriptors cannot be read.
    #[error("descriptors cannot be served")]
    Descriptors(#[source] tonic_reflection::server::Error),
}

/// All services, with health and reflection, beside what else the port answers.
fn routes(mut routes: RoutesBuilder, service: Service, claims: Arc<Throttle>) -> Result<Routes, SetUpError> {
    let pages = Pages::new(crate::random::bytes().map_err(|_| SetUpError::Random)?);
    let (reporter, health) = tonic_health::server::health_reporter();
    tokio::spawn(health::watch(reporter, SERVICES, service.clone()));
    let api = Api {
        service,
        pages,
        claims,
    };
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    routes
        .add_service(health)
        .add_service(reflection().build_v1().map_err(SetUpError::Descriptors)?)
        .add_service(reflection().build_v1alpha().map_err(SetUpError::Descriptors)?)
        .add_service(ManifestsServer::new(api.clone()).max_decoding_message_size(DECODE_LIMIT))
        .add_service(DevicesServer::new(api.clone()).max_decoding_message_size(DECODE_LIMIT))
        .add_service(CertificatesServer::new(api.clone()).max_decoding_message_size(DECODE_LIMIT))
        .add_service(CatalogServer::new(api.clone()).max_decoding_message_size(DECODE_LIMIT))
        .add_service(SecretsServer::new(api.clone()).max_decoding_message_size(DECODE_LIMIT))
        .add_service(ChangesServer::new(api.clone()).max_decoding_message_size(DECODE_LIMIT))
        .add_service(EnrollmentServer::new(api.clone()).max_decoding_message_size(DECODE_LIMIT))
        .add_service(AccessServer::new(api.clone()).max_decoding_message_size(DECODE_LIMIT))
        .add_service(AuditServer::new(api.clone()).max_decoding_message_size(DECODE_LIMIT))
        .add_service(FleetServer::new(api).max_decoding_message_size(DECODE_LIMIT));
    Ok(routes.routes())
}
