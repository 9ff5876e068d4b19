//! Certificate profiles as data: the built-in table, what the settings change of it, and the checked form.

use super::{crl_url::CrlUrl, profile::Purpose};
use muster_domain::{Timestamp, certificate::CertificateProfile};
use serde::Deserialize;
use std::{collections::BTreeMap, ops::RangeInclusive, str::FromStr, time::Duration};

/// The table of this release.
const BUILT_IN: &str = include_str!("profiles.toml");
/// Days that a certificate may live: at most as long as a fresh issuing authority.
const DAYS: RangeInclusive<u64> = 1..=3650;
const DAY: u64 = 24 * 3600;
/// Longest unit, in characters (RFC 5280, ub-organizational-unit-name).
const UNIT_LIMIT: usize = 64;
/// 9999-12-31T23:59:59Z: "no well-defined expiration date" (RFC 5280, 4.1.2.5).
pub(super) const NO_EXPIRY: Timestamp = Timestamp::from_seconds(253_402_300_799);

/// A profile as the table has it: nothing checked yet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    days: u64,
    #[serde(default)]
    no_expiry: bool,
    renew_at: Option<String>,
    names: String,
    usages: Vec<String>,
    unit: Option<String>,
}

/// What the settings change of one profile; the same keys as in the table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileChanges {
    days: Option<u64>,
    no_expiry: Option<bool>,
    renew_at: Option<String>,
}

/// How long certificates of a profile live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// So long, and not longer than their issuer.
    For(Duration),
    /// Without a well-defined end.
    Endless,
}

/// Where other names of a certificate come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Hardware,
    Server,
    Nothing,
}

/// A part of a whole, written `2/3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fraction {
    part: u32,
    whole: u32,
}

impl FromStr for Fraction {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (part, whole) = text.split_once('/').ok_or(())?;
        let [part, whole] = [part, whole].map(|number| number.parse().map_err(|_| ()));
        match (part?, whole?) {
            (part @ 1.., whole @ ..=100) if part < whole => Ok(Self { part, whole }),
            _ => Err(()),
        }
    }
}

/// A checked profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) life: Life,
    pub(super) unit: Option<String>,
    pub(super) purpose: Purpose,
    renewal: Option<Fraction>,
}

/// Everything that settings decide of certificates: their profiles, and where their revocation lists are.
#[derive(Debug, Clone)]
pub struct Issuance {
    profiles: [Profile; CertificateProfile::ALL.len()],
    crl_url: Option<CrlUrl>,
}

/// What the authority of a profile certifies keys for.
const fn purpose(profile: CertificateProfile) -> Purpose {
    match profile {
        CertificateProfile::Device
        | CertificateProfile::Gateway
        | CertificateProfile::Operator
        | CertificateProfile::Line
        | CertificateProfile::Integrator => Purpose::Client,
        CertificateProfile::Server => Purpose::Server,
    }
}

/// What a profile's holder can be called, and whether its software renews by itself.
const fn holder(profile: CertificateProfile) -> (Names, bool) {
    match profile {
        CertificateProfile::Device | CertificateProfile::Gateway => (Names::Hardware, true),
        CertificateProfile::Operator | CertificateProfile::Line | CertificateProfile::Integrator => {
            (Names::Nothing, false)
        }
        CertificateProfile::Server => (Names::Server, true),
    }
}

/// Collects what is wrong with one profile.
struct Check<'a> {
    profile: CertificateProfile,
    mistakes: &'a mut Vec<String>,
}

impl Check<'_> {
    fn mistake(&mut self, field: &str, why: impl std::fmt::Display) {
        self.mistakes
            .push(format!("certificates.{}.{field}: {why}", self.profile));
    }

    fn life(&mut self, days: u64, no_expiry: bool) -> Life {
        if !DAYS.contains(&days) {
            self.mistake("days", format_args!("must be {} to {}", DAYS.start(), DAYS.end()));
        }
        if !no_expiry {
            return Life::For(Duration::from_secs(days.saturating_mul(DAY)));
        }
        if holder(self.profile).0 != Names::Hardware {
            self.mistake("no_expiry", "is for keys in the hardware of devices only");
        }
        Life::Endless
    }

    fn renewal(&mut self, written: Option<&str>) -> Option<Fraction> {
        let written = written?;
        if !holder(self.profile).1 {
            self.mistake("renew_at", "nothing renews these certificates by itself");
            return None;
        }
        let parsed = written.parse().ok();
        if parsed.is_none() {
            self.mistake(
                "renew_at",
                format_args!("{written:?} is not a part of life such as \"2/3\""),
            );
        }
        parsed
    }

    fn names(&mut self, written: &str) {
        let names = match written {
            "hardware" => Some(Names::Hardware),
            "server" => Some(Names::Server),
            "none" => Some(Names::Nothing),
            _ => None,
        };
        if names != Some(holder(self.profile).0) {
            self.mistake("names", format_args!("{written:?} does not fit the holder"));
        }
    }

    fn usages(&mut self, written: &[String]) {
        let usage = |name: &String| match name.as_str() {
            "client-auth" => Some(Purpose::Client),
            "server-auth" => Some(Purpose::Server),
            _ => None,
        };
        // The issuing certificate names one usage, and no leaf under it is good for another.
        if written.iter().map(usage).collect::<Vec<_>>() != [Some(purpose(self.profile))] {
            self.mistake(
                "usages",
                format_args!("{written:?} is not what its authority certifies for"),
            );
        }
    }

    fn unit(&mut self, written: Option<String>) -> Option<String> {
        let is_good = |unit: &String| {
            (1..=UNIT_LIMIT).contains(&unit.chars().count()) && !unit.chars().any(char::is_control)
        };
        if written.as_ref().is_some_and(|unit| !is_good(unit)) {
            self.mistake("unit", format_args!("must have 1 to {UNIT_LIMIT} characters"));
        }
        written
    }

    fn profile(&mut self, written: Written, changes: &ProfileChanges) -> Profile {
        self.names(&written.names);
        self.usages(&written.usages);
        Profile {
            life: self.life(
                changes.days.unwrap_or(written.days),
                changes.no_expiry.unwrap_or(written.no_expiry),
            ),
            renewal: self.renewal(changes.renew_at.as_deref().or(written.renew_at.as_deref())),
            unit: self.unit(written.unit),
            purpose: purpose(self.profile),
        }
    }
}

impl Profile {
    /// From when on the holder of a certificate with this validity should ask for the next; `None` when it never need.
    pub(super) fn renew_from(&self, not_before: Timestamp, not_after: Timestamp) -> Option<Timestamp> {
        let Fraction { part, whole } = self.renewal.filter(|_| not_after < NO_EXPIRY)?;
        let life = not_after.seconds().saturating_sub(not_before.seconds());
        Some(not_before.plus(Duration::from_secs(life) * part / whole))
    }
}

impl Issuance {
    /// The built-in profiles, without revocation lists.
    ///
    /// # Errors
    ///
    /// What is wrong with the table of this build.
    pub fn built_in() -> Result<Self, Vec<String>> {
        Self::parse(|_| ProfileChanges::default(), "")
    }

    /// The built-in profiles with these changes. `crl_url` is empty, or where revocation lists are.
    ///
    /// # Errors
    ///
    /// Every mistake, each with its field.
    pub fn parse(
        changes: impl Fn(CertificateProfile) -> ProfileChanges,
        crl_url: &str,
    ) -> Result<Self, Vec<String>> {
        Self::of_table(BUILT_IN, changes, crl_url)
    }

    fn of_table(
        table: &str,
        changes: impl Fn(CertificateProfile) -> ProfileChanges,
        crl_url: &str,
    ) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let crl_url = match crl_url {
            "" => None,
            url => CrlUrl::parse(url)
                .map_err(|why| mistakes.push(format!("certificates.crl_url: {why}")))
                .ok(),
        };
        let mut table: BTreeMap<String, Written> =
            toml::from_str(table).map_err(|error| vec![format!("certificates: {error}")])?;
        let profiles = CertificateProfile::ALL.map(|profile| {
            let written = table.remove(profile.as_str());
            let mut check = Check {
                profile,
                mistakes: &mut mistakes,
            };
            if written.is_none() {
                check.mistake("days", "the profile is missing");
            }
            written.map(|written| check.profile(written, &changes(profile)))
        });
        mistakes.extend(
            table
                .into_keys()
                .map(|name| format!("certificates.{name}: there is no such profile")),
        );
        match profiles {
            [Some(a), Some(b), Some(c), Some(d), Some(e), Some(f)] if mistakes.is_empty() => Ok(Self {
                profiles: [a, b, c, d, e, f],
                crl_url,
            }),
            _ => Err(mistakes),
        }
    }

    /// One profile.
    pub(super) const fn profile(&self, profile: CertificateProfile) -> &Profile {
        let [device, gateway, operator, line, integrator, server] = &self.profiles;
        match profile {
            CertificateProfile::Device => device,
            CertificateProfile::Gateway => gateway,
            CertificateProfile::Operator => operator,
            CertificateProfile::Line => line,
            CertificateProfile::Integrator => integrator,
            CertificateProfile::Server => server,
        }
    }

    /// Where revocation lists are.
    pub(super) const fn crl_url(&self) -> Option<&CrlUrl> {
        self.crl_url.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unchanged(_: CertificateProfile) -> ProfileChanges {
        ProfileChanges::default()
    }

    #[test]
    fn every_mistake_in_the_table_is_named_at_once() {
        let table = BUILT_IN
            .replacen("days = 365", "days = 0", 1)
            .replacen("names = \"none\"", "names = \"server\"", 1)
            .replacen("[\"server-auth\"]", "[\"server-auth\", \"any\"]", 1)
            .replace("unit = \"line\"", "unit = \"\"")
            .replace(
                "renew_at = \"2/3\"\nnames = \"server\"",
                "renew_at = \"3/2\"\nnames = \"server\"",
            )
            .replace("[gateway]", "[router]");
        let mistakes = Issuance::of_table(&table, unchanged, "https://secret.example/").unwrap_err();
        let fields: Vec<_> = mistakes
            .iter()
            .filter_map(|mistake| mistake.split(": ").next())
            .collect();
        let expected = [
            "certificates.crl_url",
            "certificates.device.days",
            "certificates.gateway.days",
            "certificates.operator.names",
            "certificates.line.unit",
            "certificates.server.usages",
            "certificates.server.renew_at",
            "certificates.router",
        ];
        assert_eq!(fields, expected, "{mistakes:#?}");
    }

    #[test]
    fn a_part_of_life_is_less_than_the_whole() {
        let check =
            |text: &str, expected: bool| assert_eq!(text.parse::<Fraction>().is_ok(), expected, "{text}");
        check("2/3", true);
        check("1/100", true);
        for bad in ["0/3", "3/3", "4/3", "1/101", "2", "/", "2/3/4", "-1/3", "0.5"] {
            check(bad, false);
        }
    }

    #[test]
    fn settings_change_lives_and_nothing_else() {
        let changes = |text: &'static str| move |_: CertificateProfile| toml::from_str(text).unwrap();
        let device = |issuance: Issuance| issuance.profile(CertificateProfile::Device).clone();
        let day = |n: u64| Timestamp::from_seconds(1_800_000_000 + n * DAY);
        let changed = Issuance::parse(changes("days = 30"), "").map(device).unwrap();
        assert_eq!(changed.life, Life::For(Duration::from_secs(30 * DAY)));
        assert_eq!(changed.renew_from(day(0), day(30)), Some(day(20)));
        assert_eq!(changed.renew_from(day(0), NO_EXPIRY), None);
        let mistakes = Issuance::parse(changes("no_expiry = true"), "").unwrap_err();
        assert_eq!(
            mistakes.len(),
            4,
            "not for operators, lines, integrators and servers: {mistakes:?}"
        );
        let mistakes = Issuance::parse(changes("renew_at = \"1/2\""), "").unwrap_err();
        assert_eq!(mistakes.len(), 3, "not for people: {mistakes:?}");
        assert!(toml::from_str::<ProfileChanges>("usages = []").is_err());
    }
}
