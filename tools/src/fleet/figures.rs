//! What a simulation comes to, for people and for programs.

use super::drive::Driven;
use crate::output::{Look, table};
use muster_proto::v1::TargetCounts;
use serde::Serialize;
use std::time::Duration;

/// One stage.
#[derive(Debug, Serialize)]
pub(super) struct Stage {
    targets: u32,
    done: u32,
    failed: u32,
    timed_out: u32,
    given_back: u32,
    /// Never begun.
    untouched: u32,
    /// From the start of the change; none for a stage that was never opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    opened_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_s: Option<f64>,
}

/// All of it. The keys name the units.
#[derive(Debug, Default, Serialize)]
pub(super) struct Figures {
    pub(super) devices: u32,
    pub(super) failing: u32,
    pub(super) offline: u32,
    pub(super) seed: u64,
    pub(super) imported_s: f64,
    /// Until all that are there had proved the first revision.
    pub(super) joined_s: f64,
    pub(super) planned_s: f64,
    pub(super) stages: Vec<Stage>,
    pub(super) state: String,
    /// By the thresholds and by who is who.
    pub(super) expected: String,
    pub(super) change_s: f64,
    /// Of the server's clock, that nobody waited for.
    pub(super) skipped_s: f64,
    pub(super) most_under_way: u32,
    /// Each of an envelope whose signature the device checked.
    pub(super) reports: u64,
    pub(super) reports_per_s: f64,
    /// Offline devices that were what they must be once they had come.
    pub(super) caught_up: usize,
    /// Of this process, which is server and devices, for each device that is connected.
    pub(super) bytes_per_device: u64,
    pub(super) peak_bytes: u64,
    pub(super) problems: Vec<String>,
}

/// The stages of a change, with the times that were seen.
pub(super) fn stages(driven: &Driven) -> Vec<Stage> {
    let times = |place: usize| {
        let opened = driven.opened.get(place)?;
        let end = driven.opened.get(place + 1).copied().unwrap_or(driven.took);
        Some((opened.as_secs_f64(), end.saturating_sub(*opened).as_secs_f64()))
    };
    let stage = |(place, counts): (usize, &TargetCounts)| Stage {
        targets: counts.total,
        done: counts.done,
        failed: counts.failed,
        timed_out: counts.timed_out,
        given_back: counts.reverting + counts.reverted,
        untouched: counts.waiting + counts.skipped,
        opened_s: times(place).map(|(opened, _)| opened),
        took_s: times(place).map(|(_, took)| took),
    };
    driven.end.stages.iter().enumerate().map(stage).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(f64::EPSILON)
}

impl Figures {
    /// What was seen of the change alone.
    pub(super) fn of(driven: &Driven) -> Self {
        Self {
            planned_s: driven.planned.as_secs_f64(),
            stages: stages(driven),
            state: driven.end.state().as_str_name().to_owned(),
            change_s: driven.took.as_secs_f64(),
            skipped_s: driven.skipped.as_secs_f64(),
            most_under_way: driven.most_under_way,
            reports: driven.reports,
            reports_per_s: rate(driven.reports, driven.took),
            ..Self::default()
        }
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let per_s = |count: u32, seconds: f64| f64::from(count) / seconds.max(f64::EPSILON);
        let (there, size) = (self.devices - self.offline, self.devices);
        let judged = if self.problems.is_empty() {
            format!("all {size} devices and targets read back: each is what the change made of it")
        } else {
            format!("{} things are not as they must be", self.problems.len())
        };
        let lines = [
            (
                "fleet",
                format!(
                    "{size} devices, {} failing, {} offline (seed {})",
                    self.failing, self.offline, self.seed
                ),
            ),
            (
                "imported",
                format!(
                    "in {:.1} s, {:.0} a second, each certified from its request",
                    self.imported_s,
                    per_s(size, self.imported_s)
                ),
            ),
            (
                "joined",
                format!(
                    "{there} in {:.1} s, {:.0} a second, verified at revision 1",
                    self.joined_s,
                    per_s(there, self.joined_s)
                ),
            ),
            (
                "planned",
                format!(
                    "in {:.1} s, {:.0} targets a second",
                    self.planned_s,
                    per_s(size, self.planned_s)
                ),
            ),
        ];
        let ends = [
            (
                "state",
                format!(
                    "{} after {:.1} s; by its thresholds: {}",
                    self.state, self.change_s, self.expected
                ),
            ),
            (
                "skipped",
                format!("{} of soaks and deadlines", span(self.skipped_s)),
            ),
            ("under way", format!("{} at most", self.most_under_way)),
            (
                "reports",
                format!(
                    "{}, {:.0} a second, each envelope proven",
                    self.reports, self.reports_per_s
                ),
            ),
            (
                "late",
                format!(
                    "{} of {} offline devices came afterwards and caught up",
                    self.caught_up, self.offline
                ),
            ),
            (
                "memory",
                format!(
                    "{} MiB at most, {} bytes for each connected device",
                    self.peak_bytes >> 20,
                    self.bytes_per_device
                ),
            ),
            ("checked", judged),
        ];
        let line = |(name, value): &(&str, String)| format!("{name:<10} {value}\n");
        let (before, after): (String, String) =
            (lines.iter().map(line).collect(), ends.iter().map(line).collect());
        format!("{before}\n{}\n{after}", self.stage_table())
    }

    fn stage_table(&self) -> String {
        let titles = [
            "STAGE",
            "TARGETS",
            "DONE",
            "FAILED",
            "TIMED OUT",
            "GIVEN BACK",
            "UNTOUCHED",
            "OPENED",
            "TOOK",
        ];
        let seconds = |seconds: Option<f64>| {
            seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1} s"))
        };
        let row = |(number, stage): (usize, &Stage)| {
            let counts = [
                stage.targets,
                stage.done,
                stage.failed,
                stage.timed_out,
                stage.given_back,
                stage.untouched,
            ];
            let counts = counts.iter().map(ToString::to_string);
            let times = [stage.opened_s, stage.took_s].map(seconds);
            std::iter::once((number + 1).to_string())
                .chain(counts)
                .chain(times)
                .collect()
        };
        let rows = self.stages.iter().enumerate().map(row).collect();
        table(titles.map(str::to_owned).into(), rows, &[Look::Number; 9])
    }
}

/// Days, hours and minutes of a time, as far as there are any.
fn span(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    let parts = [
        (time / 86_400, "d"),
        (time / 3600 % 24, "h"),
        (time / 60 % 60, "min"),
        (time % 60, "s"),
    ];
    let parts: Vec<_> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_do() {
        for (seconds, told) in [
            (0.0, "nothing"),
            (61.0, "1 min 1 s"),
            (86_400.0 * 2.0 + 900.0, "2 d 15 min"),
        ] {
            assert_eq!(span(seconds), told);
        }
    }
}
