//! The live table of the demo: how far the fleet is.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use muster_proto::v1::Counts;

/// One line that redraws itself on a terminal and stays silent elsewhere.
pub(super) struct Board {
    bar: ProgressBar,
}

impl Board {
    pub(super) fn new(agents: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(agents as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("agents      [{bar:25}] {pos}/{len} verified   {msg}");
        bar.set_style(
            style
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> "),
        );
        Self { bar }
    }

    pub(super) fn show(&self, counts: &Counts) {
        let state = |name: &str| counts.states.get(name).copied().unwrap_or_default();
        let verified = counts.verifications.get("VERIFIED").copied().unwrap_or_default();
        // Each device is counted at the furthest step it has reached.
        self.bar
            .set_position(verified.min(self.bar.length().unwrap_or(verified)));
        self.bar.set_message(format!(
            "registered {} | claimed {} | active {} | connected {}",
            state("REGISTERED"),
            state("CLAIMED"),
            state("ACTIVE"),
            counts.connected,
        ));
    }

    pub(super) fn done(&self) {
        self.bar.finish_and_clear();
    }
}

/// The bar of the import.
pub(super) fn import_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("importing   [{bar:25}] {pos}/{len} rows");
    bar.set_style(
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> "),
    );
    bar
}
