//! A server that is away for a while: it restarts, or the network is cut.

use crate::failure::Failure;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The first pause; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: a restart of the server takes seconds.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long to go on trying.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    limit: Duration,
    away_since: Option<Instant>,
    pause: Duration,
}

impl Patience {
    pub(crate) const fn new(limit: Duration) -> Self {
        Self {
            limit,
            away_since: None,
            pause: FIRST_PAUSE,
        }
    }

    /// The server answered: the next time that it is away begins anew.
    pub(crate) const fn answered(&mut self) {
        self.away_since = None;
        self.pause = FIRST_PAUSE;
    }

    /// Waits before the next try. Gives the failure back when waiting cannot help, or has not helped for too long.
    pub(crate) async fn wait(&mut self, failure: Failure) -> Result<(), Failure> {
        let pause = self.pause(failure, Instant::now())?;
        sleep(pause).await;
        Ok(())
    }

    /// How long to wait.
    fn pause(&mut self, failure: Failure, now: Instant) -> Result<Duration, Failure> {
        if !failure.is_passing() {
            return Err(failure);
        }
        let since = *self.away_since.get_or_insert(now);
        let wanted = failure.answer().and_then(|answer| answer.retry_after);
        let pause = wanted.map_or(self.pause, |wanted| wanted.max(self.pause));
        if now.duration_since(since) + pause > self.limit {
            return Err(failure);
        }
        tracing::debug!(%failure, ?pause, "trying again");
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(pause)
    }
}

/// Asks until there is an answer.
pub(super) async fn patiently<T>(
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut patience = Patience::new(limit);
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(failure) => patience.wait(failure).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Status;

    /// The pauses, in tenths of a second, until the failure is given back.
    fn pauses(limit: Duration, status: &Status, most: usize) -> Vec<u128> {
        let mut patience = Patience::new(limit);
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        while pauses.len() < most
            && let Ok(pause) = patience.pause(status.clone().into(), now)
        {
            pauses.push(pause.as_millis() / 100);
            now += pause;
        }
        pauses
    }

    #[test]
    fn only_what_passes_is_waited_for_and_not_for_ever() {
        let (away, wrong) = (Status::unavailable("x"), Status::invalid_argument("x"));
        let minute = Duration::from_secs(60);
        assert_eq!(pauses(minute, &away, 8), [1, 2, 4, 8, 16, 32, 50, 50]);
        let all: u128 = pauses(minute, &away, usize::MAX).iter().sum();
        assert!((550..=600).contains(&all), "{all}");
        assert!(pauses(minute, &wrong, 8).is_empty());
        assert!(pauses(Duration::ZERO, &away, 8).is_empty());
    }

    #[test]
    fn an_answer_makes_patience_new() {
        let mut patience = Patience::new(Duration::from_secs(1));
        let (now, away) = (Instant::now(), || Status::unavailable("x").into());
        patience.pause(away(), now).unwrap();
        let later = now + Duration::from_secs(5);
        patience.answered();
        assert_eq!(patience.pause(away(), later).unwrap(), FIRST_PAUSE);
        assert!(patience.pause(away(), later + Duration::from_secs(2)).is_err());
    }
}
