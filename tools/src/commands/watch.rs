//! `muster device watch`.

use super::with_caret;
use crate::{
    cli::Session,
    client::Client,
    failure::Failure,
    import::Patience,
    output::{Format, text},
    records::Device,
};
use clap::Args;
use muster_domain::device::schema;
use muster_proto::v1::{self, device_change::Kind, watch_devices_response::Event};
use serde::Serialize;
use std::{collections::HashSet, time::Duration};
use tonic::Streaming;

/// How long a server may be away: somebody who watches would start again anyway.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Print devices as they change, a line each, until stopped with Ctrl-C.
///
/// Who comes and who goes is a change too. Each device is shown as it stands then. When the connection breaks it is made again, and
/// goes on where it was; what changed in the minutes before may come twice. Without `--current` nobody is shown before a change,
/// so the first that is told of a device is that it matches. With `-o json` or `jsonl`, each line is an object
/// with `change` (MATCHES, LEFT, GONE, or RESYNC for a listing that should be made anew), `name` and, unless it is gone, `device`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Watch {
    /// Which ones, as of `muster device list`. Also told is who does not match any more, of those that were shown.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "FILTER")]
    filter: String,
    /// First of all, those that match now.
    #[arg(long)]
    current: bool,
}

const HELP: &str = "\
Examples:
  muster device watch --filter 'site = MUC-01'
  muster device watch --filter 'online = true' --current -o jsonl";

/// Devices that were told as matching: of others, nobody wants to know that they do not.
struct Shown {
    /// Everything matches: there is nothing to remember.
    all: bool,
    names: HashSet<String>,
}

impl Shown {
    fn new(filter: &str) -> Self {
        Self {
            all: filter.is_empty(),
            names: HashSet::new(),
        }
    }

    /// Whether a change is news to somebody who saw all that was told.
    fn is_news(&mut self, kind: Kind, name: &str) -> bool {
        match kind {
            _ if self.all => true,
            Kind::Matches => {
                self.names.insert(name.to_owned());
                true
            }
            Kind::Left | Kind::Gone => self.names.remove(name),
            Kind::Unspecified => true,
        }
    }
}

/// A watch, over as many calls as it takes.
struct Watching {
    client: Client,
    filter: String,
    include_current: bool,
    /// Of the last checkpoint.
    token: String,
    patience: Patience,
    answers: Option<Streaming<v1::WatchDevicesResponse>>,
}

impl Watching {
    async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            match self.attempt().await {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => {}
                Err(failure) => {
                    self.answers = None;
                    self.patience.wait(failure).await?;
                }
            }
        }
    }

    async fn attempt(&mut self) -> Result<Option<Event>, Failure> {
        let answers = match &mut self.answers {
            Some(answers) => answers,
            None => {
                let request = v1::WatchDevicesRequest {
                    filter: self.filter.clone(),
                    resume_token: self.token.clone(),
                    // As long as there is no token, nothing was told that is not told again.
                    include_current: self.include_current && self.token.is_empty(),
                };
                let answers = self.client.devices.watch_devices(request).await?.into_inner();
                self.answers.insert(answers)
            }
        };
        let Some(answer) = answers.message().await? else {
            return Err(tonic::Status::unavailable("the answers were cut").into());
        };
        self.patience.answered();
        if let Some(Event::Checkpoint(checkpoint)) = &answer.event {
            self.token.clone_from(&checkpoint.resume_token);
        }
        Ok(answer.event)
    }
}

/// What is printed of a change, for programs.
#[derive(Debug, Serialize)]
struct Line {
    change: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Device>,
}

impl From<v1::DeviceChange> for Line {
    fn from(change: v1::DeviceChange) -> Self {
        Self {
            change: change.kind().as_str_name(),
            name: change.name,
            device: change.device.map(Device::from),
        }
    }
}

/// For people: when, what, which, and how it stands.
fn human(line: &Line, now: jiff::Timestamp) -> String {
    let id = line.name.trim_start_matches("devices/");
    let serial = line.device.as_ref().map_or(id, |device| device.serial.as_str());
    let standing = line
        .device
        .as_ref()
        .filter(|_| line.change == Kind::Matches.as_str_name());
    let standing = standing.map_or(String::new(), |device| {
        let verification = device
            .verification
            .as_ref()
            .map(|verification| &verification.state);
        let presence = device.presence.as_ref().map(|presence| &presence.state);
        let parts = [Some(&device.state), verification, presence];
        parts
            .into_iter()
            .flatten()
            .fold(String::new(), |all, part| format!("{all}  {part}"))
    });
    format!(
        "{}  {:<7}  {serial}{standing}",
        now.strftime("%Y-%m-%d %H:%M:%SZ"),
        line.change
    )
}

impl Watch {
    pub(crate) async fn run(self, session: &mut Session<'_>, client: Client) -> Result<(), Failure> {
        if session.format == Format::Csv {
            return Err(Failure::usage(
                "-o csv: changes are no table".to_owned(),
                "Give another format: table, json or jsonl.",
            ));
        }
        let Self { filter, current } = self;
        let mut watching = Watching {
            client,
            filter: filter.clone(),
            include_current: current,
            token: String::new(),
            patience: Patience::new(PATIENCE),
            answers: None,
        };
        let mut shown = Shown::new(&filter);
        loop {
            let event = watching.next().await;
            let event = event.map_err(|failure| with_caret(failure, &filter, schema()))?;
            if let Event::Change(change) = &event
                && !shown.is_news(change.kind(), &change.name)
            {
                continue;
            }
            print(session, event)?;
        }
    }
}

fn print(session: &mut Session<'_>, event: Event) -> Result<(), Failure> {
    let line = match event {
        Event::Change(change) => Line::from(*change),
        Event::Checkpoint(_) => return Ok(()),
        Event::Resync(_) => {
            if session.format == Format::Table {
                session.note("note: more changed than the server remembers; list the devices anew");
                return Ok(());
            }
            Line {
                change: "RESYNC",
                name: String::new(),
                device: None,
            }
        }
    };
    let shown = if session.format == Format::Table {
        text::line(&human(&line, jiff::Timestamp::now())).into_owned()
    } else {
        serde_json::to_string(&line).map_err(anyhow::Error::new)?
    };
    writeln!(session.out, "{shown}")?;
    Ok(session.out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, serial: Option<&str>, expected: &str) {
        let device = serial.map(|serial| v1::Device {
            serial: serial.to_owned(),
            state: v1::device::State::Active.into(),
            presence: Some(v1::Presence {
                state: v1::presence::State::Online.into(),
                ..v1::Presence::default()
            }),
            ..v1::Device::default()
        });
        let line = Line::from(v1::DeviceChange {
            kind: kind.into(),
            name: "devices/01hzxk3v9q4t5y6w7e8r9t0a1b".to_owned(),
            device,
        });
        let now = jiff::Timestamp::from_second(1_795_478_400).unwrap();
        assert_eq!(human(&line, now), expected);
    }

    #[test]
    fn who_was_never_shown_does_not_leave() {
        let mut shown = Shown::new("site = MUC-01");
        let mut said = |kind, name| shown.is_news(kind, name);
        assert!(!said(Kind::Left, "a"));
        assert!(!said(Kind::Gone, "a"));
        assert!(said(Kind::Matches, "a"));
        assert!(said(Kind::Matches, "a"));
        assert!(said(Kind::Left, "a"));
        assert!(!said(Kind::Left, "a"), "it has left already");
        // Without a filter whoever goes was there.
        assert!(Shown::new("").is_news(Kind::Gone, "b"));
    }

    #[test]
    fn a_line_says_when_what_and_which() {
        check(
            Kind::Matches,
            Some("GW2-7000001"),
            "2026-11-24 00:00:00Z  MATCHES  GW2-7000001  ACTIVE  ONLINE",
        );
        check(
            Kind::Left,
            Some("GW2-7000001"),
            "2026-11-24 00:00:00Z  LEFT     GW2-7000001",
        );
        check(
            Kind::Gone,
            None,
            "2026-11-24 00:00:00Z  GONE     01hzxk3v9q4t5y6w7e8r9t0a1b",
        );
    }
}
