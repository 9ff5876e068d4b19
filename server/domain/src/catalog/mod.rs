//! What devices are measured against: models, sites, groups, profiles, firmware policies, naming rules; and what the columns of
//! manifests mean.
//!
//! Each comes in as a *source* (what a person writes, every mistake reported at once) and is kept as a checked
//! value. Models, sites, groups and naming rules are replaced as a whole; profiles, firmware policies and
//! mappings grow immutable revisions.

mod channels;
pub(crate) mod check;
mod check_digit;
mod group;
mod layers;
mod model;
mod naming;
mod parameter;
mod pattern;
mod plain;
mod profile;
mod proof;
mod render;
mod secret;
mod site;
mod syntax;

pub use channels::{ChannelSource, Channels, ChannelsSource};
pub use check_digit::{CheckDigit, CheckDigitError, UnknownCheckDigit};
pub use group::{Group, GroupRule, GroupSource};
pub use layers::{
    LayerSource, Origin, Sourced, Stack, Underlay, VALUE_LIMIT, VALUED_GROUPS_LIMIT, Values, ValuesSource,
};
pub use model::{Model, ModelSource};
pub use naming::{NamingRule, NamingRuleSource, RuledField};
pub use parameter::{
    CHOICE_LIMIT, DEFAULT_LIMIT, DESCRIPTION_LIMIT, Parameter, ParameterSource, ParameterType,
};
pub use pattern::Pattern;
pub use profile::{
    FILE_LIMIT, KEY_LIMIT, MESSAGE_LIMIT, PARAMETER_LIMIT, Profile, ProfileFile, ProfileSource,
    TEMPLATE_LIMIT,
};
pub use render::{Facts, OUTPUT_LIMIT, Renderer, TOTAL_LIMIT};
pub use secret::{
    OPEN as PLACEHOLDER_OPEN, PLACES_LIMIT, Pins, SECRET_LIMIT, Secret, VALUE_LIMIT as SECRET_VALUE_LIMIT,
    check_value, placeholder,
};
pub use site::{Site, SiteSource};
pub use syntax::{Malformed, Syntax};

use crate::{
    Code, Refusal, Timestamp,
    certificate::CertificateProfile,
    manifest::CheckedMapping,
    names::{
        GroupName, MappingName, ModelName, NamingRuleName, OperatorName, PolicyName, ProfileName, SecretName,
        SiteCode,
    },
    windows::Windows,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// The number of an immutable revision, from 1.
pub type RevisionNumber = u32;

/// One revision of a profile, firmware policy or mapping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision<T> {
    /// From 1, without gaps.
    pub number: RevisionNumber,
    /// Who made it.
    pub author: OperatorName,
    /// When.
    pub created: Timestamp,
    /// Why, in the author's words.
    pub message: String,
    /// What it says.
    pub content: T,
}

/// A checked resource, ready to store.
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    /// A hardware kind.
    Model(Model),
    /// A place.
    Site(Site),
    /// Devices under one name.
    Group(Group),
    /// A configuration template.
    Profile(Profile),
    /// A firmware rule set.
    FirmwarePolicy(PolicyName, Channels),
    /// What values of a field look like.
    NamingRule(NamingRule),
    /// What the columns of a manifest mean.
    Mapping(CheckedMapping),
}

impl Resource {
    /// The resource name, such as `models/GW-200`.
    pub fn name(&self) -> String {
        match self {
            Self::Model(model) => format!("models/{}", model.name),
            Self::Site(site) => format!("sites/{}", site.code),
            Self::Group(group) => format!("groups/{}", group.name),
            Self::Profile(profile) => format!("profiles/{}", profile.name),
            Self::FirmwarePolicy(name, _) => format!("firmwarePolicies/{name}"),
            Self::NamingRule(rule) => format!("namingRules/{}", rule.name),
            Self::Mapping(mapping) => format!("mappings/{}", mapping.name()),
        }
    }
}

/// What applying a resource did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is new; revisioned resources start at 1.
    Created(RevisionNumber),
    /// It changed; revisioned resources have a new revision, others count their changes.
    Updated(RevisionNumber),
    /// It said the same already.
    Unchanged(RevisionNumber),
}

/// Everything in the catalog at one moment; the newest revision of each is last. Small (thousands of
/// entries), shared, replaced as a whole when something is applied.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// By name.
    pub models: BTreeMap<ModelName, Arc<Model>>,
    /// By code.
    pub sites: BTreeMap<SiteCode, Arc<Site>>,
    /// By name.
    pub groups: BTreeMap<GroupName, Arc<Group>>,
    /// Every revision, oldest first.
    pub profiles: BTreeMap<ProfileName, Vec<Arc<Revision<Profile>>>>,
    /// Every revision, oldest first.
    pub policies: BTreeMap<PolicyName, Vec<Arc<Revision<Channels>>>>,
    /// By name.
    pub naming_rules: BTreeMap<NamingRuleName, Arc<NamingRule>>,
    /// Every revision, oldest first.
    pub mappings: BTreeMap<MappingName, Vec<Arc<Revision<CheckedMapping>>>>,
    /// Every revision, oldest first; of the values, only what is told of them.
    pub secrets: BTreeMap<SecretName, Vec<Arc<Revision<Secret>>>>,
}

impl Catalog {
    /// What a profile gives values for that is not there, each at its field.
    ///
    /// # Errors
    /// [`Code::ReferenceMissing`] at paths such as `values.sites.MUC-01`.
    pub fn values_fit(&self, profile: &Profile) -> Result<(), Vec<Refusal>> {
        let missing = profile.values.missing(self).into_iter();
        let missing: Vec<_> = missing
            .map(|(field, why)| Refusal::new(Code::ReferenceMissing, why).at(field))
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }

    /// The form of certificates of devices of this model. A model that is not there makes no gateways.
    pub fn certificate_profile(&self, model: &ModelName) -> CertificateProfile {
        let model = self.models.get(model);
        model.map_or(CertificateProfile::Device, |model| model.certificate)
    }

    /// A site and those that it is part of, up to the root of their tree.
    pub fn way_up<'c>(&'c self, code: &SiteCode) -> impl Iterator<Item = &'c Arc<Site>> + use<'c> {
        let first = self.sites.get(code);
        let way = std::iter::successors(first, |site| self.sites.get(site.parent.as_ref()?));
        // No site is part of itself; the bound ends the walk all the same.
        way.take(self.sites.len())
    }

    /// Whether a site is another, or a part of it.
    pub fn is_within(&self, site: &SiteCode, whole: &SiteCode) -> bool {
        self.way_up(site).any(|above| above.code == *whole)
    }

    /// The maintenance windows of a site: its own, or else those of the nearest site above it that has some.
    pub fn maintenance_windows(&self, site: &SiteCode) -> Option<&Windows> {
        let mut windows = self.way_up(site).map(|site| &site.maintenance_windows);
        windows.find(|windows| !windows.is_empty())
    }

    /// Whether any site has maintenance windows.
    pub fn has_maintenance_windows(&self) -> bool {
        let mut sites = self.sites.values();
        sites.any(|site| !site.maintenance_windows.is_empty())
    }

    /// The newest revision of a profile.
    pub fn profile(&self, name: &ProfileName) -> Option<&Arc<Revision<Profile>>> {
        self.profiles.get(name)?.last()
    }

    /// One revision of a profile.
    pub fn profile_at(&self, name: &ProfileName, number: RevisionNumber) -> Option<&Arc<Revision<Profile>>> {
        self.profiles
            .get(name)?
            .iter()
            .find(|revision| revision.number == number)
    }

    /// The newest revision of a mapping.
    pub fn mapping(&self, name: &MappingName) -> Option<&Arc<Revision<CheckedMapping>>> {
        self.mappings.get(name)?.last()
    }

    /// One revision of a mapping.
    pub fn mapping_at(
        &self,
        name: &MappingName,
        number: RevisionNumber,
    ) -> Option<&Arc<Revision<CheckedMapping>>> {
        self.mappings
            .get(name)?
            .iter()
            .find(|revision| revision.number == number)
    }

    /// The newest revision of a secret whose value is kept.
    pub fn secret(&self, name: &str) -> Option<&Arc<Revision<Secret>>> {
        let revisions = self.secrets.get(name)?.iter();
        revisions.rev().find(|revision| revision.content.is_held)
    }

    /// A profile that pins the newest revision of every secret that it names.
    ///
    /// # Errors
    /// At `files.KEY`: [`Code::ReferenceMissing`] for a secret that is not there, [`Code::ProfileInvalid`] for one whose
    /// value the file cannot hold.
    pub fn pinned(&self, profile: &Profile) -> Result<Profile, Vec<Refusal>> {
        let all: Vec<_> = self.secrets.keys().map(SecretName::as_str).collect();
        profile.pinned(&all, |name| {
            self.secret(name)
                .map(|revision| (revision.number, revision.content))
        })
    }

    /// The newest revision of a firmware policy.
    pub fn policy(&self, name: &PolicyName) -> Option<&Arc<Revision<Channels>>> {
        self.policies.get(name)?.last()
    }

    /// One revision of a firmware policy.
    pub fn policy_at(&self, name: &PolicyName, number: RevisionNumber) -> Option<&Arc<Revision<Channels>>> {
        self.policies
            .get(name)?
            .iter()
            .find(|revision| revision.number == number)
    }
}
