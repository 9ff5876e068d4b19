//! Performs changes: when a device said something, when an operator did, and when time has passed.

use crate::service::Service;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often time is looked at; deadlines and soak times are of minutes and days.
const EVERY: Duration = Duration::from_secs(1);
/// Between two looks: reports come in crowds, and one look serves all of them.
const BREATH: Duration = Duration::from_millis(50);
/// After a failure, such as a full disk.
const PAUSE: Duration = Duration::from_secs(5);

/// Runs until `stop`.
pub(crate) async fn changes(service: Service, stop: CancellationToken) {
    let mut moved = service.store().changes_moved();
    loop {
        let pause = match service.work_changes().await {
            Ok(()) => BREATH,
            Err(failure) => {
                tracing::error!(%failure, "changes could not be taken further");
                PAUSE
            }
        };
        let rest = async {
            tokio::time::sleep(pause).await;
            // Its end is the end of the store.
            drop(tokio::time::timeout(EVERY, moved.changed()).await);
        };
        if stop.run_until_cancelled(rest).await.is_none() {
            return;
        }
    }
}
