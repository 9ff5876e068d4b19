//! Writes down who came and went, for many devices at once.

use crate::service::Service;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How much a crash may lose of when and why devices came and went: a commit every ten seconds is nothing to the disk, and
/// what a fleet that reconnects does in that time goes into one.
const EVERY: Duration = Duration::from_secs(10);

/// Runs until `stop`. Devices leave after that too: the last flush is the server's, when all have left.
pub(crate) async fn presence(service: Service, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(EVERY))
        .await
        .is_some()
    {
        match service.store.flush_presence().await {
            Ok(0) => {}
            Ok(devices) => tracing::debug!(devices, "presence was written"),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "presence cannot be written"
                );
            }
        }
    }
}
