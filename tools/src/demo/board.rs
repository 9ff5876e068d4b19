//! The live table of the demo: how many devices have reached each step.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use muster_proto::v1::Counts;

/// Steps of a device's life, in order, as counted over the fleet.
const STEPS: [&str; 4] = ["registered", "claimed", "active", "verified"];

/// A bar a step, redrawn on a terminal and silent elsewhere.
pub(super) struct Board {
    table: MultiProgress,
    bars: [ProgressBar; 4],
}

/// How many devices have reached each step: whoever is active has claimed, and was registered before.
pub(super) fn reached(counts: &Counts) -> [u64; 4] {
    let state = |name: &str| counts.states.get(name).copied().unwrap_or_default();
    let verified = counts.verifications.get("VERIFIED").copied().unwrap_or_default();
    [
        counts.devices,
        state("CLAIMED") + state("ACTIVE"),
        state("ACTIVE"),
        verified,
    ]
}

/// The same in words.
pub(super) fn sentence(counts: &Counts) -> String {
    let steps = STEPS.iter().zip(reached(counts));
    let parts: Vec<_> = steps.map(|(step, count)| format!("{count} {step}")).collect();
    parts.join(", ")
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl Board {
    pub(super) fn new(agents: usize) -> Self {
        let table = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let bars = STEPS.map(|step| {
            let bar = table.add(ProgressBar::new(agents as u64));
            bar.set_style(style("{prefix:<11} [{bar:30}] {pos:>6}"));
            bar.set_prefix(step);
            bar
        });
        Self { table, bars }
    }

    pub(super) fn show(&self, counts: &Counts) {
        for (bar, count) in self.bars.iter().zip(reached(counts)) {
            bar.set_length(bar.length().unwrap_or_default().max(count));
            bar.set_position(count);
        }
        // All devices are registered; the other steps are those of the agents.
        self.bars[0].set_length(counts.devices);
    }

    /// Takes the table away; what it said is said in words behind it.
    pub(super) fn done(&self) {
        if self.table.clear().is_err() {
            tracing::debug!("the table could not be taken away");
        }
    }
}

/// The bar of the import.
pub(super) fn import_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    bar.set_style(style("importing   [{bar:30}] {pos}/{len} rows"));
    bar
}
