//! `muster change watch`: how far a change is, until it is done or stopped.

use super::{Changes, show};
use crate::{cli::Session, exit::Exit, failure::Failure};
use indicatif::{ProgressBar, ProgressStyle};
use muster_proto::v1::{self, TargetCounts, change::State};

/// Whether the change went well, once it has ended or waits for somebody.
const fn ended(state: State) -> Option<Exit> {
    match state {
        State::Done => Some(Exit::Done),
        State::Halted | State::RolledBack | State::Aborted => Some(Exit::Stopped),
        State::Unspecified
        | State::Draft
        | State::Planned
        | State::Running
        | State::Paused
        | State::RollingBack => None,
    }
}

/// Follows a change. A stream that ends before the change does is asked for again.
pub(super) async fn watch(
    session: &mut Session<'_>,
    changes: &mut Changes,
    name: &str,
) -> Result<Exit, Failure> {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {msg}  {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    loop {
        let request = v1::WatchChangeRequest { name: name.into() };
        let mut words = changes.watch_change(request).await?.into_inner();
        while let Some(change) = words.message().await? {
            draw(&bar, &change);
            if let Some(exit) = ended(change.state()) {
                bar.finish_and_clear();
                show(session, change)?;
                return Ok(exit);
            }
        }
    }
}

fn draw(bar: &ProgressBar, change: &v1::Change) {
    let TargetCounts {
        total,
        done,
        failed,
        timed_out,
        skipped,
        reverting,
        reverted,
        ..
    } = change.total.unwrap_or_default();
    let over = done + failed + timed_out + skipped + reverted;
    bar.set_length(total.into());
    bar.set_position(over.into());
    let back = if reverting + reverted > 0 {
        format!(", {} given back", reverting + reverted)
    } else {
        String::new()
    };
    bar.set_message(format!(
        "{failed} failed, {timed_out} silent{back}; {}",
        change.summary
    ));
}
