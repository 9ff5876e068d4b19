//! Takes up what a stop or a crash cut, then sweeps: whatever expired loses its files and secrets, codes of changes too.

use crate::service::Service;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often expired batches are looked for; they live for hours and days.
const EVERY: Duration = Duration::from_secs(3600);

/// Runs until `stop`, then until every batch under way has come to a place where it can be left.
pub(crate) async fn batches(service: Service, stop: CancellationToken) {
    if let Err(failure) = service.recover_batches().await {
        tracing::error!(%failure, "batches that were cut could not be taken up");
    }
    loop {
        if let Err(failure) = service.sweep_batches().await {
            tracing::error!(%failure, "expired batches could not be swept");
        }
        if let Err(failure) = service.sweep_codes().await {
            tracing::error!(%failure, "expired codes could not be swept");
        }
        let tick = stop.run_until_cancelled(tokio::time::sleep(EVERY));
        if tick.await.is_none() {
            break;
        }
    }
    service.batches_left().await;
}
