//! Health (`grpc.health.v1`): serving while the store can write and the server is not stopping.

use crate::service::Service;
use std::time::Duration;
use tonic_health::{ServingStatus, server::HealthReporter};

/// How often the store is asked; it answers from a flag.
const EVERY: Duration = Duration::from_secs(1);
/// The health of the server as a whole has the empty name (the protocol's own convention).
const WHOLE: &str = "";

/// The services of one server stand and fall together: all of them need the store.
async fn say(reporter: &HealthReporter, services: &[&'static str], status: ServingStatus) {
    for service in services.iter().chain([&WHOLE]) {
        reporter.set_service_status(*service, status).await;
    }
}

/// Keeps the answer true until the server stops.
pub(super) async fn watch(reporter: HealthReporter, services: &'static [&'static str], service: Service) {
    let mut said = None;
    loop {
        let writable = service.store().is_writable();
        if said != Some(writable) {
            if !writable {
                tracing::error!("the store can no longer write; health says so");
            }
            let status = if writable {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            say(&reporter, services, status).await;
            said = Some(writable);
        }
        let tick = service.stopping.run_until_cancelled(tokio::time::sleep(EVERY));
        if tick.await.is_none() {
            break;
        }
    }
    say(&reporter, services, ServingStatus::NotServing).await;
}
