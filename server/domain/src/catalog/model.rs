//! Models: hardware kinds, with rules for their serials and addresses.

use super::{CheckDigit, Pattern};
use crate::{
    Code, Refusal,
    certificate::CertificateProfile,
    mac::{Block, Mac},
    names::{ModelName, PolicyName, ProfileName},
    renewal::GRACE_DAYS_LIMIT,
};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Most blocks of addresses of one model.
const OUI_LIMIT: usize = 64;
const DESCRIPTION_LIMIT: usize = 1024;

/// A model as a person writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSource {
    /// Its name.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// A regular expression that a whole serial must match; empty allows every serial.
    #[serde(default)]
    pub serial_pattern: String,
    /// Blocks of its addresses, such as `00:1B:C5`, `70:B3:D5:12:3` or a range; empty allows every address.
    #[serde(default)]
    pub ouis: Vec<String>,
    /// The profile that its devices get.
    #[serde(default)]
    pub profile: String,
    /// The firmware policy that its devices get.
    #[serde(default)]
    pub firmware_policy: String,
    /// How the last characters of a serial check the others: a name of [`CheckDigit`]; empty: not at all.
    #[serde(default)]
    pub check_digit: String,
    /// Locally administered addresses are no reason for a warning.
    #[serde(default)]
    pub allow_local_addresses: bool,
    /// Its devices speak for others: their certificates are those of gateways.
    #[serde(default)]
    pub gateway: bool,
    /// Days for which a device whose certificate ended may come back and renew it; 0: not a day; absent: 30.
    #[serde(default)]
    pub renewal_grace_days: Option<u32>,
}

/// Days of grace where a model does not say: a device that lay in a store for a month is no stranger.
pub(super) const GRACE_DAYS: u32 = 30;

/// A checked model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: ModelName,
    /// For people.
    pub description: String,
    /// What whole serials match.
    pub serial_pattern: Option<Pattern>,
    /// How serials are checked.
    pub check_digit: Option<CheckDigit>,
    /// Allowed blocks of addresses; empty allows all.
    pub ouis: Vec<Block>,
    /// Locally administered addresses are nothing odd.
    pub allow_local_addresses: bool,
    /// The form of its devices' certificates.
    pub certificate: CertificateProfile,
    /// Days of grace after the end of a certificate, where the model says.
    pub renewal_grace_days: Option<u32>,
    /// The profile of its devices.
    pub profile: Option<ProfileName>,
    /// The firmware policy of its devices.
    pub firmware_policy: Option<PolicyName>,
}

impl Model {
    /// Is the address in one of the model's blocks?
    pub fn allows_mac(&self, mac: &Mac) -> bool {
        self.ouis.is_empty() || self.ouis.iter().any(|block| block.contains(mac))
    }

    /// For how long a device whose certificate ended may renew it.
    pub fn renewal_grace(&self) -> Duration {
        const DAY: u64 = 24 * 3600;
        Duration::from_secs(DAY * u64::from(self.renewal_grace_days.unwrap_or(GRACE_DAYS)))
    }

    /// The blocks as people read them.
    pub fn blocks(&self) -> String {
        let blocks: Vec<_> = self.ouis.iter().map(Block::to_string).collect();
        blocks.join(", ")
    }
}

/// An optional name: empty means none.
pub(super) fn optional<T: core::str::FromStr>(text: &str) -> Result<Option<T>, T::Err> {
    if text.is_empty() {
        Ok(None)
    } else {
        text.parse().map(Some)
    }
}

impl ModelSource {
    /// Checks everything and reports every mistake, each at its field.
    pub fn check(&self) -> Result<Model, Vec<Refusal>> {
        let mut problems = Vec::new();
        let mut wrong =
            |field: &str, why: String| problems.push(Refusal::new(Code::ModelInvalid, why).at(field));
        let name = self
            .name
            .parse()
            .map_err(|why| wrong("name", format!("{why}")))
            .ok();
        if self.description.len() > DESCRIPTION_LIMIT {
            wrong("description", format!("is longer than {DESCRIPTION_LIMIT} bytes"));
        }
        let serial_pattern = match self.serial_pattern.as_str() {
            "" => None,
            pattern => Pattern::new(pattern)
                .map_err(|why| wrong("serial_pattern", why))
                .ok(),
        };
        if self.ouis.len() > OUI_LIMIT {
            wrong("ouis", format!("has more than {OUI_LIMIT} blocks"));
        }
        let ouis = self.ouis.iter().enumerate();
        let ouis = ouis.filter_map(|(i, oui)| {
            oui.parse()
                .map_err(|why| wrong(&format!("ouis[{i}]"), format!("{why}")))
                .ok()
        });
        let ouis = ouis.collect();
        let profile = optional(&self.profile)
            .map_err(|why| wrong("profile", format!("{why}")))
            .ok()
            .flatten();
        let firmware_policy = optional(&self.firmware_policy)
            .map_err(|why| wrong("firmware_policy", format!("{why}")))
            .ok()
            .flatten();
        let check_digit = optional(&self.check_digit)
            .map_err(|why| wrong("check_digit", format!("{why}")))
            .ok()
            .flatten();
        if self
            .renewal_grace_days
            .is_some_and(|days| days > GRACE_DAYS_LIMIT)
        {
            wrong("renewal_grace_days", format!("is over {GRACE_DAYS_LIMIT} days"));
        }
        match name {
            Some(name) if problems.is_empty() => Ok(Model {
                name,
                description: self.description.clone(),
                serial_pattern,
                check_digit,
                ouis,
                allow_local_addresses: self.allow_local_addresses,
                certificate: if self.gateway {
                    CertificateProfile::Gateway
                } else {
                    CertificateProfile::Device
                },
                renewal_grace_days: self.renewal_grace_days,
                profile,
                firmware_policy,
            }),
            _ => Err(problems),
        }
    }
}

impl From<&Model> for ModelSource {
    fn from(model: &Model) -> Self {
        Self {
            name: model.name.to_string(),
            description: model.description.clone(),
            serial_pattern: model
                .serial_pattern
                .as_ref()
                .map(|pattern| pattern.as_str().to_owned())
                .unwrap_or_default(),
            ouis: model.ouis.iter().map(Block::to_string).collect(),
            profile: model
                .profile
                .as_ref()
                .map(ProfileName::to_string)
                .unwrap_or_default(),
            firmware_policy: model
                .firmware_policy
                .as_ref()
                .map(PolicyName::to_string)
                .unwrap_or_default(),
            check_digit: model
                .check_digit
                .as_ref()
                .map(CheckDigit::to_string)
                .unwrap_or_default(),
            allow_local_addresses: model.allow_local_addresses,
            gateway: model.certificate == CertificateProfile::Gateway,
            renewal_grace_days: model.renewal_grace_days,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway() -> ModelSource {
        ModelSource {
            name: "GW-200".into(),
            serial_pattern: "GW2-[0-9]{7}".into(),
            ouis: vec!["00:1B:C5".into(), "70:b3:d5:1".into()],
            profile: "gateway".into(),
            check_digit: "luhn".into(),
            allow_local_addresses: true,
            ..ModelSource::default()
        }
    }

    #[test]
    fn a_model_knows_its_serials_and_addresses() {
        let model = gateway().check().unwrap();
        let pattern = model.serial_pattern.as_ref().unwrap();
        assert!(pattern.matches("GW2-7000001"));
        for serial in ["XGW2-7000001", "GW2-70000011", "GW2-700000"] {
            assert!(!pattern.matches(serial), "{serial}");
        }
        assert_eq!(model.check_digit, Some(CheckDigit::Luhn));
        assert!(model.allow_local_addresses);
        assert_eq!(model.blocks(), "00:1B:C5, 70:B3:D5:1");
        assert!(model.allows_mac(&"70:b3:d5:10:00:01".parse().unwrap()));
        assert!(model.allows_mac(&"00:1b:c5:00:00:01".parse().unwrap()));
        assert!(!model.allows_mac(&"70:b3:d5:00:00:01".parse().unwrap()));
        assert_eq!(ModelSource::from(&model).check(), Ok(model));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let source = ModelSource {
            name: "a b".into(),
            serial_pattern: "(".into(),
            ouis: vec!["00:1B:C5".into(), "xyz".into()],
            profile: "?".into(),
            check_digit: "crc".into(),
            ..ModelSource::default()
        };
        let fields: Vec<_> = source
            .check()
            .unwrap_err()
            .into_iter()
            .map(|refusal| refusal.field)
            .collect();
        assert_eq!(
            fields,
            ["name", "serial_pattern", "ouis[1]", "profile", "check_digit"]
        );
    }
}
