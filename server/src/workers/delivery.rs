//! Sends connected devices again what they do not confirm.

use crate::service::Service;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often all connected devices are looked at: some 100 ms for 20,000 that all lack something, nothing when none does.
const EVERY: Duration = Duration::from_secs(15);

/// Runs until `stop`.
pub(crate) async fn delivery(service: Service, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(EVERY))
        .await
        .is_some()
    {
        match service.redeliver().await {
            Ok(backlog) => {
                service.bus.meter().found(backlog.unconfirmed, backlog.overdue);
                if backlog.overdue > 0 {
                    tracing::info!(
                        unconfirmed = backlog.unconfirmed,
                        overdue = backlog.overdue,
                        "devices are sent their desired state again"
                    );
                }
            }
            Err(failure) => tracing::error!(%failure, "what is not confirmed could not be sent again"),
        }
    }
}
