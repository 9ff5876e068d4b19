//! Health (`grpc.health.v1`): serving while the store can write and the server is not stopping.

use crate::service::Service;
use std::time::Duration;
use tonic_health::{ServingStatus, server::HealthReporter};

/// How often the store is asked; it answers from a flag.
const EVERY: Duration = Duration::from_secs(1);
/// The health of the server as a whole has the empty name (the protocol's own convention).
const WHOLE: &str = "";

/// Keeps the answer true until the server stops.
pub(super) async fn watch(reporter: HealthReporter, service: Service) {
    let mut serving = true;
    while service
        .stopping
        .run_until_cancelled(tokio::time::sleep(EVERY))
        .await
        .is_some()
    {
        let writable = service.store().is_writable();
        if writable != serving {
            tracing::warn!(writable, "health changed");
            let status = if writable {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            reporter.set_service_status(WHOLE, status).await;
            serving = writable;
        }
    }
    reporter
        .set_service_status(WHOLE, ServingStatus::NotServing)
        .await;
}
