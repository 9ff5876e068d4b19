//! Publishes revocation lists: what is revoked stands on one within a second.

use crate::service::Service;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the store is asked what is due. What was revoked meanwhile comes onto one list together.
const EVERY: Duration = Duration::from_millis(500);
/// After a failure, such as an authority that has ended or a full disk.
const PAUSE: Duration = Duration::from_secs(30);

/// Runs until `stop`.
pub(crate) async fn revocation(service: Service, stop: CancellationToken) {
    loop {
        let pause = match service.publish_lists().await {
            Ok(0) => EVERY,
            Ok(lists) => {
                tracing::debug!(lists, "revocation lists were published");
                EVERY
            }
            Err(failure) => {
                tracing::error!(%failure, "revocation lists could not be published");
                PAUSE
            }
        };
        if stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_none()
        {
            return;
        }
    }
}
