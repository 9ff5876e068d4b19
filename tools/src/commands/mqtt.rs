//! `muster mqtt`.

use super::resource;
use crate::{
    cli::Session,
    client::{Client, pages},
    context::Context,
    failure::Failure,
    mqtt::{Content, Link, Message},
    output::Format,
};
use clap::{Args, Subcommand};
use muster_proto::v1;
use std::{collections::HashMap, time::Duration};

/// Before the second attempt to come back; each further one waits twice as long.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest of these.
const LAST_DELAY: Duration = Duration::from_secs(30);
/// Serials that are kept; more are asked for again.
const SERIALS: usize = 10_000;

const TAIL_HELP: &str = "\
Hello is what a device has when it connects, report what it applied, presence that it came or went. They are told as they happen:
what was before, and what happens while there is no connection, is on the devices' records (`muster device get`). Entries of the
audit log are told from now on, and after a broken connection from where it broke.

Examples:
  muster mqtt tail serial:GW2-6000001
  muster mqtt tail --events -o jsonl | jq 'select(.kind == \"event\")'

Any role may listen. A machine that does so gets an operator of its own: `muster operator create NAME --role integrator --out DIR`.
Programs subscribe the same over MQTT themselves: proto/README.md, 12.";

/// What goes over MQTT.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what devices say, and that they come and go, as it happens.
    #[command(after_long_help = TAIL_HELP)]
    Tail(Tail),
}

/// Show what devices say.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// One device: its id, or its serial. Without it, all.
    #[arg(value_name = "ID|serial:SERIAL")]
    device: Option<String>,
    /// Show the audit log as well; of one device, the entries that name it.
    #[arg(long)]
    events: bool,
    /// Print a JSON object a line; the same as -o jsonl.
    #[arg(long)]
    json: bool,
    /// End after so many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Where the server listens for MQTT; without it, what the context says.
    #[arg(long, value_name = "HOST:PORT")]
    mqtt: Option<String>,
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let Self::Tail(tail) = self;
        tail.run(session).await
    }
}

/// A tail under way.
struct Follow<'s, 'a> {
    session: &'s mut Session<'a>,
    client: Client,
    /// The id of the one device that is followed.
    device: Option<String>,
    json: bool,
    serials: HashMap<String, Option<String>>,
    /// The last entry of the audit log that was shown.
    last: Option<u64>,
    left: Option<u64>,
}

fn address(context: &Context, given: Option<String>) -> Result<String, Failure> {
    given.or_else(|| context.mqtt.clone()).ok_or_else(|| {
        Failure::usage(
            format!(
                "context {} does not say where the server listens for MQTT",
                context.label
            ),
            "Give --mqtt HOST:PORT, or add a line such as `mqtt = \"muster.example:8883\"` to the context.",
        )
    })
}

fn filters(device: Option<&str>, events: bool) -> Vec<String> {
    let of = device.unwrap_or("+");
    let mut filters = ["hello", "report", "presence"]
        .map(|channel| format!("muster/v1/{of}/{channel}"))
        .to_vec();
    if events {
        filters.push("muster/v1/events/#".to_owned());
    }
    filters
}

impl Tail {
    async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let json = match session.format {
            Format::Table => self.json,
            Format::Json | Format::Jsonl => true,
            Format::Csv => {
                return Err(Failure::usage(
                    "messages have no columns",
                    "Give -o table or -o jsonl.",
                ));
            }
        };
        let context = session.context()?;
        let address = address(&context, self.mqtt)?;
        let mut client = session.client().await?;
        let device = match &self.device {
            Some(device) => Some(id_of(&mut client, device).await?),
            None => None,
        };
        // Before the subscription, so that none is missed between the two.
        let last = if self.events {
            newest(&mut client).await?
        } else {
            None
        };
        let filters = filters(device.as_deref(), self.events);
        let link = Link::open(&context, &address, &filters).await?;
        session.note(&format!("listening at {address}"));
        let mut follow = Follow {
            session,
            client,
            device,
            json,
            serials: HashMap::new(),
            last,
            left: self.count,
        };
        follow
            .run(link, async || Link::open(&context, &address, &filters).await)
            .await
    }
}

async fn id_of(client: &mut Client, device: &str) -> Result<String, Failure> {
    let name = resource("devices", device);
    let found = client.devices.get_device(v1::GetDeviceRequest { name }).await?;
    let name = found.into_inner().name;
    Ok(name.trim_start_matches("devices/").to_owned())
}

/// The index of the newest entry of the audit log.
async fn newest(client: &mut Client) -> Result<Option<u64>, Failure> {
    let request = v1::ListEntriesRequest {
        page_size: 1,
        ..v1::ListEntriesRequest::default()
    };
    let page = client.audit.list_entries(request).await?.into_inner();
    Ok(page.size.checked_sub(1))
}

impl Follow<'_, '_> {
    async fn run(
        &mut self,
        mut link: Link,
        mut open: impl AsyncFnMut() -> Result<Link, Failure>,
    ) -> Result<(), Failure> {
        loop {
            let lost = match self.hear(&mut link).await {
                Ok(()) => return Ok(()),
                Err(failure) if failure.is_passing() => failure,
                Err(failure) => return Err(failure),
            };
            link = self.come_back(lost, &mut open).await?;
            self.session.note("listening again");
        }
    }

    /// Opens the connection anew, again and again; ends when the server says no.
    async fn come_back(
        &mut self,
        mut lost: Failure,
        open: &mut impl AsyncFnMut() -> Result<Link, Failure>,
    ) -> Result<Link, Failure> {
        let mut delay = FIRST_DELAY;
        loop {
            let seconds = delay.as_secs();
            self.session.note(&format!("{lost}\ntrying again in {seconds} s"));
            tokio::time::sleep(delay).await;
            lost = match open().await {
                Ok(link) => return Ok(link),
                Err(failure) if failure.is_passing() => failure,
                Err(failure) => return Err(failure),
            };
            delay = (delay * 2).min(LAST_DELAY);
        }
    }

    /// Shows what was missed, then what comes, until there was enough of it.
    async fn hear(&mut self, link: &mut Link) -> Result<(), Failure> {
        if self.catch_up().await? {
            return Ok(());
        }
        loop {
            let (topic, payload) = link.next().await?;
            let now = jiff::Timestamp::now().to_string();
            if self.show(Message::read(&topic, &payload, &now)).await? {
                return Ok(());
            }
        }
    }

    /// The entries of the audit log since the last that was shown; whether that was enough. Those that come again are shown once.
    async fn catch_up(&mut self) -> Result<bool, Failure> {
        let Some(last) = self.last else { return Ok(false) };
        let mut audit = self.client.audit.clone();
        let mut missed = Vec::new();
        let fetch = async |page_size, page_token| {
            let request = v1::ListEntriesRequest {
                page_size,
                page_token,
                first_index: last + 1,
            };
            let page = audit.list_entries(request).await?.into_inner();
            Ok((page.entries, page.next_page_token))
        };
        let each = |entry: v1::AuditEntry| {
            missed.push(entry.leaf);
            Ok(())
        };
        pages(None, fetch, each).await?;
        for leaf in missed {
            let now = jiff::Timestamp::now().to_string();
            if self.show(Message::entry(leaf.as_bytes(), &now)).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Shows a message; whether it was the last that is wanted.
    async fn show(&mut self, mut message: Message) -> Result<bool, Failure> {
        let is_wanted = self.is_wanted(&message);
        self.last = message.index().max(self.last);
        if !is_wanted {
            return Ok(false);
        }
        if !message.device.is_empty() {
            message.serial = self.serial(&message.device).await;
        }
        let line = if self.json {
            serde_json::to_string(&message).map_err(anyhow::Error::new)?
        } else {
            message.to_string()
        };
        writeln!(self.session.out, "{line}")?;
        self.session.out.flush()?;
        self.left = self.left.map(|left| left - 1);
        Ok(self.left == Some(0))
    }

    fn is_wanted(&self, message: &Message) -> bool {
        let Content::Event(entry) = &message.content else {
            return true;
        };
        let is_new = message
            .index()
            .is_none_or(|index| self.last.is_none_or(|last| last < index));
        // An id is long and written in one way, so an entry that holds it is about its device.
        let concerns = |device: &String| entry.to_string().contains(device);
        is_new && self.device.as_ref().is_none_or(concerns)
    }

    /// The serial of a device, if the server tells it.
    async fn serial(&mut self, device: &str) -> Option<String> {
        if let Some(known) = self.serials.get(device) {
            return known.clone();
        }
        let name = resource("devices", device);
        let found = self
            .client
            .devices
            .get_device(v1::GetDeviceRequest { name })
            .await;
        let serial = found.ok().map(|found| found.into_inner().serial);
        if self.serials.len() >= SERIALS {
            self.serials.clear();
        }
        self.serials.insert(device.to_owned(), serial.clone());
        serial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_given_or_stands_in_the_context() {
        let context = |mqtt: Option<&str>| Context {
            label: "l".into(),
            server: "https://h:1".into(),
            mqtt: mqtt.map(str::to_owned),
            server_name: None,
            roots: vec![],
            certificate: vec![],
            key: vec![],
        };
        let of = |said: Option<&str>, given: Option<&str>| address(&context(said), given.map(str::to_owned));
        assert_eq!(of(Some("a:1"), None).unwrap(), "a:1");
        assert_eq!(of(Some("a:1"), Some("b:2")).unwrap(), "b:2");
        let failure = of(None, None).unwrap_err().to_string();
        assert!(
            failure.contains("--mqtt HOST:PORT") && failure.contains("context l"),
            "{failure}"
        );
    }

    #[test]
    fn one_device_or_all_are_subscribed() {
        assert_eq!(
            filters(None, true),
            [
                "muster/v1/+/hello",
                "muster/v1/+/report",
                "muster/v1/+/presence",
                "muster/v1/events/#"
            ]
        );
        assert_eq!(filters(Some("x"), false).len(), 3);
        assert_eq!(filters(Some("x"), false)[0], "muster/v1/x/hello");
    }
}
