//! Waiting without sleeping blindly.

use std::{future::Future, time::Duration};
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// Far above any honest duration: what is not there by then is not coming.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until something is found.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        sleep(PAUSE).await;
    }
}

/// The result of something that must end by itself.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}

/// Waits for a task that was told to end, where nothing can be awaited: a directory must not go while it is written to.
/// Needs a runtime of several threads.
pub(crate) fn outlive<T>(task: &mut JoinHandle<T>) {
    if !task.is_finished() {
        let end = async { drop(timeout(PATIENCE, task).await) };
        tokio::task::block_in_place(|| Handle::current().block_on(end));
    }
}
