//! How far an import is, on a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use muster_proto::v1::import_progress::Phase;

/// A bar on standard error; nothing where that is no terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    phase: Option<Phase>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(0);
        Self { bar, phase: None }
    }

    pub(crate) fn show(&mut self, phase: Phase, done: u64, total: u64) {
        if self.phase != Some(phase) {
            let (name, unit) = match phase {
                Phase::Receiving => ("sending", "{bytes}"),
                Phase::Checking => ("checking", "{human_pos} rows"),
                Phase::Applying => ("applying", "{human_pos}/{human_len} rows"),
                Phase::Unspecified => ("working", "{human_pos}"),
            };
            let bar = if total > 0 { "{bar:32}" } else { "{spinner}" };
            let template = format!("{name:<9} {bar} {unit}  {{per_sec}}  {{elapsed}}");
            self.bar.set_style(
                ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            self.bar.reset();
            self.phase = Some(phase);
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Prints beside the bar without breaking it.
    pub(crate) fn hidden<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
