//! What a monitoring system sees of this server, in the text format of OpenMetrics 1.0.
//!
//! Counters live where things happen (`mqtt/meter.rs`); what can be asked for is asked for at the scrape. No label holds anything
//! of a device or a person: names of models are the only ones that users choose.

use crate::service::Service;
use muster_domain::change::Standing;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    fs,
    sync::atomic::Ordering,
    time::{SystemTime, UNIX_EPOCH},
};

/// Media type of the answer.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All that is shown.
#[derive(Debug)]
pub(crate) struct Monitor {
    registry: Registry,
}

impl Monitor {
    /// Over a service and its gate.
    pub(crate) fn new(service: &Service) -> Self {
        let mut registry = Registry::default();
        let ours = registry.sub_registry_with_prefix("muster");
        service.bus.meter().register(ours);
        ours.register_collector(Box::new(Fleet(service.clone())));
        ours.register_collector(Box::new(Changes(service.clone())));
        registry.register_collector(Box::new(Process::new()));
        Self { registry }
    }

    /// As of now.
    ///
    /// # Errors
    /// None that could be expected: it is written to memory.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

fn seconds(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Counter)?)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: String,
}

fn gauges<L: EncodeLabelSet, K: Display>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    label: impl Fn(String) -> L,
    counts: impl Iterator<Item = (K, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (key, count) in counts {
        ConstGauge::new(count).encode(family.encode_family(&label(key.to_string()))?)?;
    }
    Ok(())
}

/// The registry in numbers.
#[derive(Debug)]
struct Fleet(Service);

impl Collector for Fleet {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let store = self.0.store();
        let (counts, work) = (store.counts(), store.work());
        let to = &mut encoder;
        let state = |state| State { state };
        gauges(
            to,
            ("devices", "Devices by lifecycle state."),
            state,
            counts.states.iter().map(|(key, count)| (key, *count)),
        )?;
        gauges(
            to,
            ("devices_verification", "Devices by verification state."),
            state,
            counts.verifications.iter().map(|(key, count)| (key, *count)),
        )?;
        gauges(
            to,
            ("devices_model", "Devices by model."),
            |model| Model { model },
            counts.models.iter().map(|(key, count)| (key, *count)),
        )?;
        gauge(
            to,
            "devices_online",
            "Devices that are connected.",
            store.online(),
        )?;
        gauge(
            to,
            "mqtt_sessions",
            "Device sessions at this gate.",
            self.0.connected(),
        )?;
        let writable = u64::from(store.is_writable());
        gauge(
            to,
            "store_writable",
            "1 while the store takes writes, 0 after a failed commit.",
            writable,
        )?;
        counter(to, "store_commits", "Transactions made durable.", work.commits)?;
        counter(
            to,
            "store_commands",
            "Commands in these transactions.",
            work.commands,
        )?;
        seconds(
            to,
            "store_busy",
            "Time the writer spent on them.",
            work.busy.as_secs_f64(),
        )
    }
}

/// Changes that are under way.
#[derive(Debug)]
struct Changes(Service);

impl Collector for Changes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        let done = self.0.changes_done();
        counter(
            to,
            "change_targets_begun",
            "Targets of changes that were begun.",
            done.begun.load(Ordering::Relaxed),
        )?;
        counter(
            to,
            "change_halts",
            "Changes that their thresholds stopped.",
            done.halts.load(Ordering::Relaxed),
        )?;
        // Of a store that cannot be read, `store_writable` and the log tell.
        let Ok(open) = self.0.store().open_changes_now() else {
            return Ok(());
        };
        let (mut states, mut standings) = (BTreeMap::<_, u64>::new(), BTreeMap::<_, u64>::new());
        for record in &open {
            *states.entry(record.change.state.as_str()).or_default() += 1;
            for standing in Standing::ALL {
                *standings.entry(standing.as_str()).or_default() += u64::from(record.total().count(standing));
            }
        }
        let state = |state| State { state };
        gauges(
            to,
            (
                "changes_open",
                "Changes that devices or time still move, by state.",
            ),
            state,
            states.into_iter(),
        )?;
        gauges(
            to,
            ("change_targets", "Targets of these, by how far they are."),
            state,
            standings.into_iter(),
        )
    }
}

/// The process, under the names that every program has for this.
#[derive(Debug)]
struct Process {
    started: f64,
}

/// Of `/proc/self/stat`, behind the name of the program: user and system time, in ticks.
const USER_TIME: usize = 11;

impl Process {
    fn new() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: started.as_secs_f64(),
        }
    }

    fn cpu_seconds() -> Option<f64> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let (_, fields) = stat.rsplit_once(") ")?;
        let ticks = fields.split(' ').skip(USER_TIME).take(2);
        let ticks = ticks.map(|ticks| ticks.parse::<u32>().ok());
        let ticks: u32 = ticks.sum::<Option<u32>>()?;
        // The kernel's unit in this file, on every platform of today.
        Some(f64::from(ticks) / 100.0)
    }

    fn resident_bytes() -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kilobytes << 10)
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        if let Some(cpu) = Self::cpu_seconds() {
            seconds(to, "process_cpu", "User and system CPU time.", cpu)?;
        }
        if let Some(bytes) = Self::resident_bytes() {
            gauge(to, "process_resident_memory_bytes", "Resident memory.", bytes)?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            let open = u64::try_from(open.count()).unwrap_or(u64::MAX);
            gauge(to, "process_open_fds", "Open file descriptors.", open)?;
        }
        let started = ConstGauge::new(self.started);
        let help = "When the process started, in seconds since 1970.";
        started.encode(to.encode_descriptor("process_start_time_seconds", help, None, MetricType::Gauge)?)
    }
}
