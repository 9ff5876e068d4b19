//! `muster change create`: a change from its options, planned at once.

use super::{Changes, list::DeviceFile};
use crate::{
    cli::Session,
    commands::{device::Moment, import::Ttl, resource, with_caret},
    failure::Failure,
};
use clap::{Args, ValueEnum};
use muster_domain::device::schema;
use muster_proto::v1::{
    self,
    change_action::{
        Action, Assign, Move, Place, ReissueCodes, Relabel, Resume, Retire, RotateCertificate, Suspend,
    },
    change_strategy, share,
};
use std::{path::PathBuf, str::FromStr};

/// Describe a change and list what it would do. Nothing happens before it is started.
///
/// Devices are taken in stages: the pilot, then each of --stages, then all that are left. A stage passes when every target of it has
/// proved the change by a report of its own and stood by it for --soak; what may fail or stay silent is a part of the stage.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Sizes and limits are counts (100) or percentages (2%, 0.5%).

Examples:
  muster change create --profile gateway@3 --filter 'model = \"GW-200\"' --pilot 100 --stages 1%,10% --soak 15m \\
      --max-failures 2% --max-silent 5% --on-halt rollback
  muster change create --profile gateway@3 --canary 'labels.ring = \"canary\"' --stages 10%
  muster change create --profile gateway@3 --start-at 2027-03-01T22:00:00+01:00 --window 'Mon-Fri 01:00-05:00'
  muster change create --firmware gw-200-stable --filter 'site = MUC-01' --per-site 5 --per-minute 600
  muster change create --move-to BER-02 --filter 'labels.rack = \"7\"' --stages ''
  muster change create --move-to BER-02 --file serials.csv
  muster change create --label ring=canary --unlabel trial --filter 'labels.rack = \"7\"'
  muster change create --reissue-codes --file unshipped.csv --code-ttl 90d
  muster change create --suspend 'stolen vans' --filter 'labels.fleet = \"vans\"' --emergency")]
pub(crate) struct Create {
    #[command(flatten)]
    action: ActionArgs,
    /// Which devices, such as 'model = \"GW-200\" AND state = ACTIVE'; without it, all.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "FILTER")]
    filter: String,
    /// Only the devices in this CSV file: its column `serial`, or else its first one, has serials or ids. Of these, those that
    /// match --filter.
    #[arg(long, value_name = "CSV")]
    file: Option<PathBuf>,
    /// What it is for, for whoever looks at it.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    title: String,
    #[command(flatten)]
    strategy: StrategyArgs,
    /// Take devices from changes that are not urgent, and do not wait for maintenance windows of sites.
    #[arg(long)]
    emergency: bool,
    /// How many others must approve the plan, at most 8; rules (`muster change rules get`) may ask for more.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    approvals: u32,
    /// The same again answers with the same change.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    request_id: String,
    /// Check the description, make nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What every target becomes.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct ActionArgs {
    /// It is configured by this profile: NAME, or NAME@REVISION; without a revision, the newest.
    #[arg(long, value_name = "NAME[@REV]")]
    profile: Option<Revised>,
    /// It follows this firmware policy.
    #[arg(long, value_name = "NAME[@REV]")]
    firmware: Option<Revised>,
    /// It belongs to this site.
    #[arg(long, value_name = "SITE")]
    move_to: Option<String>,
    /// It is shut out until it is let in again, for this reason.
    #[arg(long, value_name = "REASON")]
    suspend: Option<String>,
    /// It is let in again.
    #[arg(long)]
    resume: bool,
    /// It is shut out for good, for this reason.
    #[arg(long, value_name = "REASON")]
    retire: Option<String>,
    /// It gets another certificate, with another key.
    #[arg(long)]
    rotate_certificates: bool,
    /// It gets a new activation code, and the one that it had is void; `muster change codes` fetches them. Devices that have
    /// claimed, or begun to, are left out.
    #[arg(long)]
    reissue_codes: bool,
    /// With --reissue-codes, also devices that have claimed: they lose their certificates at once, and claim anew; those whose
    /// certificates were revoked get a way in again.
    #[arg(long, requires = "reissue_codes")]
    reclaim: bool,
    /// With --reissue-codes, how long each code lasts from when it is given out, such as 30d; without it, until it is used.
    #[arg(long, value_name = "TIME", requires = "reissue_codes")]
    code_ttl: Option<Ttl>,
    /// It gets this label; several at once, beside --unlabel.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// It loses this label, where it has it.
    #[arg(long, value_name = "KEY")]
    unlabel: Vec<String>,
    /// It is there in its site; '' for no position.
    #[arg(long, value_name = "TEXT")]
    position: Option<String>,
}

/// How the change goes through the fleet.
#[derive(Debug, Args)]
pub(crate) struct StrategyArgs {
    /// The first stage; without it, the first of --stages.
    #[arg(long, value_name = "SIZE")]
    pilot: Option<Size>,
    /// The stages behind it; the last one is always all that are left.
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        default_value = "1%,10%",
        value_parser = optional_size
    )]
    stages: Vec<Option<Size>>,
    /// Targets that match this filter come before all others, in a stage of their own, such as 'labels.ring = "canary"'.
    #[arg(long, value_name = "FILTER", default_value = "", hide_default_value = true)]
    canary: String,
    /// Begin nothing before: 2027-03-01T22:00:00+01:00, or a day, which begins at midnight UTC.
    #[arg(long, value_name = "TIME")]
    start_at: Option<Moment>,
    /// Begin a target only then, by the clock of its site (UTC without one), such as 01:00-05:00 or 'Mon-Fri 22:00-05:00'; several
    /// times for several. Where its site has maintenance windows, one of these must be open too.
    #[arg(long, value_name = "WINDOW")]
    window: Vec<String>,
    /// How long a target must stand by what it proved; 0s for not at all.
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = time)]
    soak: u64,
    /// How many of a stage may fail.
    #[arg(long, value_name = "SIZE", default_value = "2%")]
    max_failures: Size,
    /// How many of a stage may stay silent.
    #[arg(long, value_name = "SIZE", default_value = "5%")]
    max_silent: Size,
    /// Targets under way at once.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    in_flight: u32,
    /// Of these, targets of one site; without it, no such limit.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    per_site: u32,
    /// Targets begun within a minute; without it, no such limit.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    per_minute: u32,
    /// How long a target may stay silent.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    deadline: Ttl,
    /// How long after the end a target that falls back halts the change again; 0s for not at all.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = time)]
    watch_for: u64,
    /// How often a target that falls back from what it proved is sent its state once more before it counts as failed; at most 10.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    repair: u32,
    /// While it runs, devices that match only then (registered, moved, relabelled or added to a group) join the last stage: so many at
    /// most, such as 10% of the plan, or 50; without it, none.
    #[arg(long, value_name = "SIZE")]
    dynamic: Option<Size>,
    /// Leave devices out that were away for longer; 0s leaves none out.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = time)]
    away_limit: u64,
    /// What a halt does: wait for somebody, or take everything back.
    #[arg(long, value_name = "WHAT", default_value = "wait")]
    on_halt: OnHalt,
}

/// What a halt does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnHalt {
    /// Somebody decides.
    Wait,
    /// Every device that was touched is given back what it had.
    Rollback,
}

/// `NAME` or `NAME@REVISION`; revision 0 is the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revised {
    name: String,
    revision: u32,
}

impl FromStr for Revised {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, revision) = match text.split_once('@') {
            None => (text, 0),
            Some((name, revision)) => match revision.parse() {
                Ok(revision) if revision > 0 => (name, revision),
                _ => return Err(format!("{revision:?} is not the number of a revision, from 1")),
            },
        };
        Ok(Self {
            name: name.to_owned(),
            revision,
        })
    }
}

impl Revised {
    fn assign(self, collection: &str) -> Assign {
        Assign {
            name: resource(collection, &self.name),
            revision: self.revision,
        }
    }
}

/// A count, or a percentage to a tenth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(share::Share);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither a count such as 100 nor a percentage such as 2% or 0.5%");
        let Some(percent) = text.strip_suffix('%') else {
            let count = text.parse().map_err(|_| wrong())?;
            return Ok(Self(share::Share::Count(count)));
        };
        let (whole, tenth) = percent.split_once('.').unwrap_or((percent, "0"));
        let digit = |text: &str| {
            text.parse::<u32>()
                .ok()
                .filter(|_| text.bytes().all(|c| c.is_ascii_digit()))
        };
        let part = match (digit(whole), digit(tenth), tenth.len()) {
            (Some(whole), Some(tenth), 1) if whole <= 100 => whole * 10 + tenth,
            _ => return Err(wrong()),
        };
        if part > 1000 {
            return Err(format!("{text:?} is more than all"));
        }
        Ok(Self(share::Share::PerMille(part)))
    }
}

/// An empty list is written as an empty text.
fn optional_size(text: &str) -> Result<Option<Size>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some)
}

/// Seconds; zero too.
fn time(text: &str) -> Result<u64, String> {
    if ["0", "0s"].contains(&text) {
        return Ok(0);
    }
    text.parse::<Ttl>().map(|Ttl(time)| time.as_secs())
}

impl From<Size> for v1::Share {
    fn from(Size(share): Size) -> Self {
        Self { share: Some(share) }
    }
}

/// `KEY=VALUE`.
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err(format!("{text:?} is not written KEY=VALUE")),
    }
}

impl ActionArgs {
    /// What was asked for; one thing alone.
    fn wire(self) -> Result<v1::ChangeAction, Failure> {
        let labels = (!self.label.is_empty() || !self.unlabel.is_empty()).then(|| {
            Action::Relabel(Relabel {
                set: self.label.into_iter().collect(),
                remove: self.unlabel,
            })
        });
        let asked = [
            self.profile.map(|to| Action::Profile(to.assign("profiles"))),
            self.firmware
                .map(|to| Action::FirmwarePolicy(to.assign("firmwarePolicies"))),
            self.move_to.map(|site| {
                Action::Move(Move {
                    site: resource("sites", &site),
                })
            }),
            self.suspend.map(|reason| Action::Suspend(Suspend { reason })),
            self.resume.then_some(Action::Resume(Resume {})),
            self.retire.map(|reason| Action::Retire(Retire { reason })),
            self.rotate_certificates
                .then_some(Action::RotateCertificate(RotateCertificate {})),
            self.reissue_codes.then(|| {
                Action::ReissueCodes(ReissueCodes {
                    claimed: self.reclaim,
                    code_ttl_seconds: self.code_ttl.map_or(0, |ttl| ttl.0.as_secs()),
                })
            }),
            labels,
            self.position.map(|position| Action::Place(Place { position })),
        ];
        let mut asked = asked.into_iter().flatten();
        let action = asked.next();
        if asked.next().is_some() {
            let why = "a change does one thing, and more was asked for";
            return Err(Failure::usage(
                why,
                "make a change for each; only --label and --unlabel go together",
            ));
        }
        Ok(v1::ChangeAction { action })
    }
}

impl StrategyArgs {
    pub(crate) fn wire(self) -> v1::ChangeStrategy {
        let stage = |size: Option<Size>| v1::ChangeStage {
            size: size.map(Into::into),
            soak_seconds: self.soak,
            failures: Some(self.max_failures.into()),
            silent: Some(self.max_silent.into()),
        };
        let canary = (!self.canary.is_empty()).then_some(None);
        let bounded = self.pilot.into_iter().chain(self.stages.into_iter().flatten());
        let on_halt = match self.on_halt {
            OnHalt::Wait => change_strategy::OnHalt::Wait,
            OnHalt::Rollback => change_strategy::OnHalt::RollBack,
        };
        v1::ChangeStrategy {
            stages: canary
                .into_iter()
                .chain(bounded.map(Some))
                .chain([None])
                .map(stage)
                .collect(),
            in_flight: self.in_flight,
            in_flight_per_site: self.per_site,
            per_minute: self.per_minute,
            deadline_seconds: self.deadline.0.as_secs(),
            watch_seconds: Some(self.watch_for),
            on_halt: on_halt.into(),
            away_limit_seconds: Some(self.away_limit),
            start_time: self.start_at.map(Into::into),
            windows: self.window,
            canary: self.canary,
            repairs: self.repair,
            dynamic: self.dynamic.map(Into::into),
        }
    }
}

impl Create {
    pub(super) async fn run(
        self,
        session: &mut Session<'_>,
        changes: &mut Changes,
    ) -> Result<v1::Change, Failure> {
        let file = self.file.as_deref().map(DeviceFile::read).transpose()?;
        let priority = if self.emergency {
            v1::change::Priority::Emergency
        } else {
            v1::change::Priority::Normal
        };
        let request = v1::CreateChangeRequest {
            request_id: self.request_id,
            title: self.title,
            action: Some(self.action.wire()?),
            filter: self.filter.clone(),
            strategy: Some(self.strategy.wire()),
            priority: priority.into(),
            approvals_needed: self.approvals,
            validate_only: self.dry_run,
            listed: file.as_ref().map_or(0, DeviceFile::len),
        };
        let made = changes.create_change(request).await;
        let made = made
            .map_err(|status| with_caret(Failure::from(status), &self.filter, schema()))?
            .into_inner();
        if self.dry_run {
            session.note("note: nothing was made; its targets are found when it is planned");
            return Ok(made);
        }
        // What the same request made before is shown as it is.
        if made.state() != v1::change::State::Draft {
            return Ok(made);
        }
        if let Some(file) = file {
            file.send(session, changes, &made.name).await?;
        }
        let request = v1::PlanChangeRequest {
            name: made.name,
            etag: made.etag,
        };
        Ok(changes.plan_change(request).await?.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use share::Share;

    #[test]
    fn sizes_are_counts_or_percentages() {
        let check = |text: &str, expected: Option<Share>| {
            assert_eq!(text.parse::<Size>().ok().map(|size| size.0), expected, "{text}");
        };
        check("100", Some(Share::Count(100)));
        check("2%", Some(Share::PerMille(20)));
        check("0.5%", Some(Share::PerMille(5)));
        check("100%", Some(Share::PerMille(1000)));
        for wrong in ["", "%", "100.1%", "101%", "1.25%", "-1", "+1%", "1,5%", "0.%"] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_revision_is_named_or_the_newest() {
        let check = |text: &str, expected: Option<(&str, u32)>| {
            let read = text.parse::<Revised>().ok();
            let read = read.as_ref().map(|read| (read.name.as_str(), read.revision));
            assert_eq!(read, expected, "{text}");
        };
        check("gateway", Some(("gateway", 0)));
        check("gateway@3", Some(("gateway", 3)));
        check("gateway@0", None);
        check("gateway@x", None);
    }
}
