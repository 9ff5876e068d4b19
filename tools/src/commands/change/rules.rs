//! `muster change rules`: which changes need approvals.

use super::{Changes, create::Size};
use crate::{
    cli::Session,
    context::read_small,
    failure::Failure,
    output::{Format, Listing, print_one},
    records::{ApprovalRule, ApprovalRules},
};
use clap::{Args, Subcommand};
use muster_domain::change::ActionKind;
use muster_proto::v1::{self, approval_rule::Kind};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{collections::BTreeMap, io::Read as _, path::PathBuf};

/// Largest file of rules: 32 of them are a tenth of it.
const FILE_LIMIT: u64 = 64 << 10;

/// The rules that say which changes need approvals, by what they do, how many devices they are about and how urgent they are.
#[derive(Debug, Subcommand)]
pub(crate) enum Rules {
    /// Show them.
    Get,
    Set(Set),
}

/// Replace all of them by those of a file; for admins. The audit log keeps those before and those after.
#[derive(Debug, Args)]
#[command(after_long_help = "\
A file is TOML, or the JSON that `muster change rules get -o json` prints:

  [[rules]]
  name = \"retire-many\"
  actions = [\"retire\", \"suspend\"]   # none: whatever a change does
  above = 100                       # devices, or \"2%\" of the fleet; absent: any number
  priority = \"normal\"               # or \"emergency\"; absent: both
  approvals = 2                     # of others than the author, 1 to 8
  reason = \"Retired is retired\"     # for people

Actions: profile, firmware_policy, move, suspend, resume, retire, rotate_certificate, relabel, place,
reissue_codes. A change needs as many approvals as the strictest rule that is about it asks for, or its author. `rules = []` is a file
without rules. With etag = \"...\" in the file, or --etag, nothing is replaced when
somebody else was faster. A rule that comes counts for changes that are not started; one that goes, for those that are planned anew.")]
pub(crate) struct Set {
    /// Rules; `-` for standard input.
    #[arg(short, long = "file", value_name = "FILE")]
    file: PathBuf,
    /// Only if the rules still have this etag.
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    /// Check them, change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// A file of rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    #[serde(default)]
    etag: String,
    /// Never left out: a file that was cut off must not do away with all rules.
    rules: Vec<RuleEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    name: String,
    #[serde(default)]
    actions: Vec<ActionKind>,
    #[serde(default, deserialize_with = "size")]
    above: Option<Size>,
    #[serde(default, deserialize_with = "priority")]
    priority: Option<v1::change::Priority>,
    approvals: u32,
    #[serde(default)]
    reason: String,
}

/// A count as a number or a text, or a percentage; an empty text is none.
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Size>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a count such as 100, or a percentage such as \"2%\"")]
    enum Written {
        Count(u32),
        Text(String),
    }
    let text = match Written::deserialize(deserializer)? {
        Written::Count(count) => count.to_string(),
        Written::Text(text) if text.is_empty() => return Ok(None),
        Written::Text(text) => text,
    };
    text.parse().map(Some).map_err(D::Error::custom)
}

fn priority<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<v1::change::Priority>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "" => Ok(None),
        "normal" => Ok(Some(v1::change::Priority::Normal)),
        "emergency" => Ok(Some(v1::change::Priority::Emergency)),
        other => Err(D::Error::custom(format!(
            "{other:?} is neither \"normal\" nor \"emergency\""
        ))),
    }
}

const fn kind(action: ActionKind) -> Kind {
    match action {
        ActionKind::Profile => Kind::Profile,
        ActionKind::FirmwarePolicy => Kind::FirmwarePolicy,
        ActionKind::Move => Kind::Move,
        ActionKind::Suspend => Kind::Suspend,
        ActionKind::Resume => Kind::Resume,
        ActionKind::Retire => Kind::Retire,
        ActionKind::RotateCertificate => Kind::RotateCertificate,
        ActionKind::Relabel => Kind::Relabel,
        ActionKind::Place => Kind::Place,
        ActionKind::ReissueCodes => Kind::ReissueCodes,
    }
}

impl RuleEntry {
    fn wire(self) -> v1::ApprovalRule {
        v1::ApprovalRule {
            name: self.name,
            actions: self
                .actions
                .into_iter()
                .map(|action| kind(action).into())
                .collect(),
            above: self.above.map(Into::into),
            priority: self.priority.map(Into::into),
            approvals: self.approvals,
            reason: self.reason,
        }
    }
}

impl RulesFile {
    /// JSON begins with a brace, which no TOML does.
    fn read(text: &str) -> Result<Self, String> {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if text.starts_with('{') {
            return serde_json::from_str(text).map_err(|error| error.to_string());
        }
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
    }
}

impl Rules {
    pub(super) async fn run(self, session: &mut Session<'_>, changes: &mut Changes) -> Result<(), Failure> {
        match self {
            Self::Get => {
                let rules = known(changes).await?;
                show(session, &rules)
            }
            Self::Set(set) => set.run(session, changes).await,
        }
    }
}

async fn known(changes: &mut Changes) -> Result<ApprovalRules, Failure> {
    let rules = changes.get_approval_rules(v1::GetApprovalRulesRequest {}).await?;
    Ok(rules.into_inner().into())
}

fn show(session: &mut Session<'_>, rules: &ApprovalRules) -> Result<(), Failure> {
    if session.format == Format::Json {
        return print_one(session.out, session.format, rules);
    }
    let mut listing = Listing::of::<ApprovalRule>(session.out, session.format, &[])?;
    for rule in &rules.rules {
        listing.push(rule)?;
    }
    listing.finish()
}

impl Set {
    fn text(&self) -> Result<String, Failure> {
        let mut bytes = Vec::new();
        if self.file.as_os_str() == "-" {
            let read = std::io::stdin().lock().take(FILE_LIMIT).read_to_end(&mut bytes);
            read.map_err(|error| Failure::file("read", &self.file, &error))?;
        } else {
            bytes = read_small(&self.file, FILE_LIMIT)?;
        }
        let file = self.file.display();
        String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{file} is not UTF-8"), ""))
    }

    async fn run(self, session: &mut Session<'_>, changes: &mut Changes) -> Result<(), Failure> {
        let file = RulesFile::read(&self.text()?).map_err(|why| {
            Failure::usage(
                format!("{}: {why}", self.file.display()),
                "`muster change rules set --help` shows what a file looks like.",
            )
        })?;
        let before = known(changes).await?;
        let request = v1::UpdateApprovalRulesRequest {
            rules: file.rules.into_iter().map(RuleEntry::wire).collect(),
            etag: if self.etag.is_empty() {
                file.etag
            } else {
                self.etag
            },
            validate_only: self.dry_run,
        };
        let updated = changes.update_approval_rules(request).await?.into_inner();
        let after = ApprovalRules::from(updated);
        show(session, &after)?;
        for line in differences(&before.rules, &after.rules) {
            session.note(&line);
        }
        if self.dry_run {
            session.note("dry run: nothing was changed");
        }
        Ok(())
    }
}

/// What becomes of each rule that does not stay as it is.
fn differences(before: &[ApprovalRule], after: &[ApprovalRule]) -> Vec<String> {
    let by_name = |rules: &[ApprovalRule]| -> BTreeMap<String, ApprovalRule> {
        rules
            .iter()
            .map(|rule| (rule.name.clone(), rule.clone()))
            .collect()
    };
    let (before, after) = (by_name(before), by_name(after));
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let mut lines: Vec<_> = gone.map(|name| format!("note: rule {name} is gone")).collect();
    for (name, rule) in &after {
        match before.get(name) {
            None => lines.push(format!("note: rule {name} is new")),
            Some(known) if known != rule => lines.push(format!("note: rule {name} is another")),
            Some(_) => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_toml_or_what_get_prints() {
        let toml = r#"
            [[rules]]
            name = "many"
            actions = ["retire", "firmware_policy"]
            above = "2.5%"
            priority = "emergency"
            approvals = 2
            [[rules]]
            name = "any"
            above = 100
            approvals = 1
        "#;
        let wire: Vec<_> = RulesFile::read(toml)
            .unwrap()
            .rules
            .into_iter()
            .map(RuleEntry::wire)
            .collect();
        let shown = ApprovalRules::from(v1::ApprovalRules {
            rules: wire.clone(),
            etag: "r3".into(),
        });
        assert_eq!(
            (shown.rules[0].above.as_str(), shown.rules[1].above.as_str()),
            ("2.5%", "100")
        );
        let json = RulesFile::read(&serde_json::to_string_pretty(&shown).unwrap()).unwrap();
        assert_eq!(json.etag, "r3");
        let again: Vec<_> = json.rules.into_iter().map(RuleEntry::wire).collect();
        assert_eq!(again, wire);
    }

    #[test]
    fn a_mistake_is_shown_where_it_is() {
        let check = |line: &str, expected: &str| {
            let text = format!("[[rules]]\nname = \"many\"\napprovals = 1\n{line}\n");
            let why = RulesFile::read(&text).unwrap_err();
            assert!(why.contains("line 4") && why.contains(expected), "{why}");
        };
        check(
            "actions = [\"delete\"]",
            "unknown variant `delete`, expected one of `profile`",
        );
        check("above = \"lots\"", "neither a count such as 100 nor a percentage");
        check("priority = \"urgent\"", "neither \"normal\" nor \"emergency\"");
        check("approval = 2", "unknown field `approval`");
    }

    #[test]
    fn only_a_file_that_says_so_has_no_rules() {
        for empty in ["", " \n", "# none\n", "etag = \"r3\"\n", "{}"] {
            let why = RulesFile::read(empty).unwrap_err();
            assert!(why.contains("missing field `rules`"), "{empty:?}: {why}");
        }
        for none in ["rules = []", "{\"rules\": []}"] {
            assert!(RulesFile::read(none).unwrap().rules.is_empty());
        }
    }

    #[test]
    fn help_names_every_action() {
        let help = Rules::augment_subcommands(clap::Command::new("rules"));
        let set = help.find_subcommand("set").unwrap();
        let help = set.get_after_long_help().unwrap().to_string();
        for action in ActionKind::ALL {
            assert!(help.contains(action.as_str()), "{action}");
        }
    }

    #[test]
    fn what_becomes_of_rules_is_told_by_name() {
        let rule = |name: &str, approvals| {
            ApprovalRule::from(v1::ApprovalRule {
                name: name.into(),
                approvals,
                ..v1::ApprovalRule::default()
            })
        };
        let told = differences(
            &[rule("a", 1), rule("b", 1), rule("c", 1)],
            &[rule("d", 1), rule("b", 2), rule("c", 1)],
        );
        assert_eq!(
            told,
            [
                "note: rule a is gone",
                "note: rule b is another",
                "note: rule d is new"
            ]
        );
    }
}
