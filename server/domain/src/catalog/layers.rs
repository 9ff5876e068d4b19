//! Layered values: what the organisation, a model, sites and groups give the parameters of a profile.
//!
//! Each layer is above the one before: the parameter's default, the organisation, the model, the sites from the root of
//! their tree down to the device's own, its groups from the lowest rank up (of equal ranks by name), and the device's own
//! variables. They are a part of the profile's revision, so that none reaches a device but by a change of the profile, of
//! the device, or of its place among sites and groups.

use super::{Catalog, Facts, Group, Parameter, Profile, check::Problems, parameter::plain_map};
use crate::{
    device::DeviceField,
    filter::{Record, Short, Value as FieldValue, closest, evaluate},
    names::{GroupName, ModelName, SiteCode},
};
use core::{fmt, str::FromStr};
use minijinja::Value;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Most values of all layers of a profile.
pub const VALUE_LIMIT: usize = 10_000;
/// Most groups that a profile has values for: each is a bit in the key of what was merged.
pub const VALUED_GROUPS_LIMIT: usize = 64;
/// Merged layers that are kept; with more combinations than that, merging begins anew.
const MERGED_LIMIT: usize = 4096;

/// The values of one layer as a person writes them: texts by the names of parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayerSource(#[serde(deserialize_with = "plain_map")] pub BTreeMap<String, String>);

impl LayerSource {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// All layers of a profile as a person writes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValuesSource {
    /// For every device.
    #[serde(default, skip_serializing_if = "LayerSource::is_empty")]
    pub organisation: LayerSource,
    /// By model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, LayerSource>,
    /// By site: for the devices of the site, and of the sites that are a part of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sites: BTreeMap<String, LayerSource>,
    /// By group, of either kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, LayerSource>,
}

/// A value, and the text it was read from.
#[derive(Debug, Clone, PartialEq)]
struct Given {
    text: String,
    value: Value,
}

type Layer = BTreeMap<String, Given>;

/// All layers of a profile, every value read by the type of its parameter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    organisation: Layer,
    models: BTreeMap<ModelName, Layer>,
    sites: BTreeMap<SiteCode, Layer>,
    groups: BTreeMap<GroupName, Layer>,
}

/// Where the value of a parameter comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The parameter has it by itself.
    Default,
    /// Everybody has it.
    Organisation,
    /// The hardware kind.
    Model(ModelName),
    /// The site, or one that it is a part of.
    Site(SiteCode),
    /// A group.
    Group(GroupName),
    /// The device's own variable.
    Device,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Organisation => f.write_str("organisation"),
            Self::Model(name) => write!(f, "models/{name}"),
            Self::Site(code) => write!(f, "sites/{code}"),
            Self::Group(name) => write!(f, "groups/{name}"),
            Self::Device => f.write_str("device"),
        }
    }
}

impl ValuesSource {
    /// Are there no values at all?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn layers(&self) -> impl Iterator<Item = &LayerSource> {
        let named = [&self.models, &self.sites, &self.groups];
        std::iter::once(&self.organisation).chain(named.into_iter().flat_map(BTreeMap::values))
    }

    /// Checks every value by its parameter, each mistake at its path, such as `values.sites.MUC-01.ntp`.
    pub(super) fn check(&self, parameters: &BTreeMap<String, Parameter>, problems: &mut Problems) -> Values {
        let count: usize = self.layers().map(|layer| layer.0.len()).sum();
        if count > VALUE_LIMIT {
            problems.add("values", format!("has more than {VALUE_LIMIT} values"));
            return Values::default();
        }
        if self.groups.len() > VALUED_GROUPS_LIMIT {
            let why = format!("has more than {VALUED_GROUPS_LIMIT} groups");
            problems.add("values.groups", why);
        }
        Values {
            organisation: layer("values.organisation", &self.organisation, parameters, problems),
            models: named("models", &self.models, parameters, problems),
            sites: named("sites", &self.sites, parameters, problems),
            groups: named("groups", &self.groups, parameters, problems),
        }
    }
}

fn named<N: FromStr<Err: fmt::Display> + Ord>(
    kind: &str,
    layers: &BTreeMap<String, LayerSource>,
    parameters: &BTreeMap<String, Parameter>,
    problems: &mut Problems,
) -> BTreeMap<N, Layer> {
    let mut checked = BTreeMap::new();
    for (name, source) in layers {
        let field = format!("values.{kind}.{name}");
        let layer = layer(&field, source, parameters, problems);
        if let Some(name) = problems.take(&field, name.parse()) {
            checked.insert(name, layer);
        }
    }
    checked
}

fn layer(
    field: &str,
    source: &LayerSource,
    parameters: &BTreeMap<String, Parameter>,
    problems: &mut Problems,
) -> Layer {
    let mut checked = BTreeMap::new();
    for (key, text) in &source.0 {
        let field = format!("{field}.{key}");
        let Some(parameter) = parameters.get(key) else {
            problems.add(&field, nearest("is no parameter", key, parameters.keys()));
            continue;
        };
        if let Some(value) = problems.take(&field, parameter.read_short(text)) {
            let text = text.clone();
            checked.insert(key.clone(), Given { text, value });
        }
    }
    checked
}

/// What is wrong with a name, and which one may be meant.
fn nearest<'n, N: AsRef<str> + 'n>(why: &str, name: &str, known: impl Iterator<Item = &'n N>) -> String {
    match closest(name, known.map(AsRef::as_ref)) {
        Some(closest) => format!("{why}; did you mean {closest}?"),
        None => why.to_owned(),
    }
}

impl From<&Values> for ValuesSource {
    fn from(values: &Values) -> Self {
        fn source(layer: &Layer) -> LayerSource {
            let texts = layer.iter().map(|(key, given)| (key.clone(), given.text.clone()));
            LayerSource(texts.collect())
        }
        fn sources<N: fmt::Display>(layers: &BTreeMap<N, Layer>) -> BTreeMap<String, LayerSource> {
            let layers = layers.iter();
            layers
                .map(|(name, layer)| (name.to_string(), source(layer)))
                .collect()
        }
        Self {
            organisation: source(&values.organisation),
            models: sources(&values.models),
            sites: sources(&values.sites),
            groups: sources(&values.groups),
        }
    }
}

impl Values {
    /// Are there none?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Does it have values for this group?
    pub fn names_group(&self, name: &GroupName) -> bool {
        self.groups.contains_key(name)
    }

    /// Does every device have a value for this parameter, whatever it is?
    pub fn gives_all(&self, parameter: &str) -> bool {
        self.organisation.contains_key(parameter)
    }

    /// What it has values for that is not in the catalog: each field, and what may be meant.
    pub fn missing(&self, catalog: &Catalog) -> Vec<(String, String)> {
        let mut missing = strangers("models", &self.models, &catalog.models);
        missing.extend(strangers("sites", &self.sites, &catalog.sites));
        missing.extend(strangers("groups", &self.groups, &catalog.groups));
        missing
    }
}

fn strangers<N: Ord + fmt::Display + AsRef<str>, T>(
    kind: &str,
    layers: &BTreeMap<N, Layer>,
    known: &BTreeMap<N, T>,
) -> Vec<(String, String)> {
    let strangers = layers.keys().filter(|name| !known.contains_key(*name));
    let strangers = strangers.map(|name| {
        let why = nearest(&format!("there is no {kind}/{name}"), name.as_ref(), known.keys());
        (format!("values.{kind}.{name}"), why)
    });
    strangers.collect()
}

/// What the layers below a device's own variables give the parameters of its profile, in their order.
#[derive(Debug)]
pub struct Underlay(Vec<Option<(Given, Origin)>>);

impl Underlay {
    /// The value of the parameter at a place, if a layer gives one.
    pub(super) fn value(&self, place: usize) -> Option<&Value> {
        self.0.get(place)?.as_ref().map(|(given, _)| &given.value)
    }
}

/// Of which layers something was merged: those that the profile has values for.
type Key = (Option<ModelName>, Option<SiteCode>, u64);

/// The layers of one profile, for the devices of one catalog: what devices have in common is merged once.
#[derive(Debug)]
pub struct Stack {
    values: Arc<Values>,
    parameters: Vec<String>,
    /// The groups that it has values for and that there are, the lowest first.
    groups: Vec<Arc<Group>>,
    merged: Mutex<BTreeMap<Key, Arc<Underlay>>>,
}

impl Stack {
    /// `None` for a profile without values: its devices have defaults and variables alone.
    pub fn new(catalog: &Catalog, profile: &Profile) -> Option<Self> {
        if profile.values.is_empty() {
            return None;
        }
        let named = profile.values.groups.keys();
        let mut groups: Vec<_> = named
            .filter_map(|name| catalog.groups.get(name).cloned())
            .collect();
        groups.sort_by(|a, b| (a.rank, &a.name).cmp(&(b.rank, &b.name)));
        groups.truncate(VALUED_GROUPS_LIMIT);
        Some(Self {
            values: Arc::clone(&profile.values),
            parameters: profile.parameters.keys().cloned().collect(),
            groups,
            merged: Mutex::default(),
        })
    }

    /// Does it depend on when, or by which import, a device was registered?
    pub(crate) fn asks_birth(&self) -> bool {
        let mut rules = self.groups.iter().filter_map(|group| group.rule.as_ref());
        rules.any(|rule| {
            rule.filter()
                .asks(|field| matches!(field, DeviceField::Batch | DeviceField::CreateTime))
        })
    }

    /// What a device has by its layers; `way` are its site and those that this is a part of, the nearest first.
    pub fn underlay(&self, facts: &Facts<'_>, way: &[SiteCode]) -> Arc<Underlay> {
        let model = self.values.models.get_key_value(facts.model);
        let mut sites = way.iter().filter(|code| self.values.sites.contains_key(*code));
        let members = self.members(facts);
        // What is above the nearest site follows from it.
        let key = (
            model.map(|(name, _)| name.clone()),
            sites.next().cloned(),
            members,
        );
        // A panic elsewhere leaves whole entries: each is one call.
        let mut merged = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = merged.get(&key) {
            return Arc::clone(known);
        }
        if merged.len() >= MERGED_LIMIT {
            merged.clear();
        }
        let underlay = Arc::new(self.merge(facts.model, way, members));
        merged.insert(key, Arc::clone(&underlay));
        underlay
    }

    /// The groups that a device is in, a bit each.
    fn members(&self, facts: &Facts<'_>) -> u64 {
        let bits = self.groups.iter().enumerate().map(|(place, group)| {
            let is_in = match &group.rule {
                Some(rule) => evaluate(rule.filter(), facts),
                None => facts.groups.contains(&group.name),
            };
            u64::from(is_in) << place
        });
        bits.fold(0, |members, bit| members | bit)
    }

    fn merge(&self, model: &ModelName, way: &[SiteCode], members: u64) -> Underlay {
        let values = &self.values;
        let mut underlay: Vec<_> = self.parameters.iter().map(|_| None).collect();
        let mut lay = |layer: &Layer, origin: Origin| {
            for (place, key) in self.parameters.iter().enumerate() {
                if let (Some(given), Some(slot)) = (layer.get(key), underlay.get_mut(place)) {
                    *slot = Some((given.clone(), origin.clone()));
                }
            }
        };
        lay(&values.organisation, Origin::Organisation);
        if let Some(layer) = values.models.get(model) {
            lay(layer, Origin::Model(model.clone()));
        }
        for code in way.iter().rev() {
            if let Some(layer) = values.sites.get(code) {
                lay(layer, Origin::Site(code.clone()));
            }
        }
        for (place, group) in self.groups.iter().enumerate() {
            if members >> place & 1 == 1
                && let Some(layer) = values.groups.get(&group.name)
            {
                lay(layer, Origin::Group(group.name.clone()));
            }
        }
        Underlay(underlay)
    }
}

/// A value of a device, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced {
    /// The parameter.
    pub parameter: String,
    /// As it was written; `None` where nothing gives one, so that the profile does not render.
    pub value: Option<(String, Origin)>,
}

impl Profile {
    /// For each parameter, the value that a device has and the layer that gives it.
    pub fn explain(&self, facts: &Facts<'_>) -> Vec<Sourced> {
        let own = |key: &String| facts.variables.get(key).filter(|text| !text.is_empty());
        let parameters = self.parameters.iter().enumerate();
        let sourced = parameters.map(|(place, (key, parameter))| {
            let layered = facts.underlay.and_then(|underlay| underlay.0.get(place)?.clone());
            let value = match (own(key), layered, &parameter.source().default) {
                (Some(text), _, _) => Some((text.clone(), Origin::Device)),
                (None, Some((given, origin)), _) => Some((given.text, origin)),
                (None, None, Some(text)) => Some((text.clone(), Origin::Default)),
                (None, None, None) => None,
            };
            Sourced {
                parameter: key.clone(),
                value,
            }
        });
        sourced.collect()
    }
}

/// As the filters of groups see it. What they may not ask has no value.
impl Record for Facts<'_> {
    type Field = DeviceField;

    fn value(&self, field: DeviceField) -> Option<FieldValue<'_>> {
        match field {
            DeviceField::Serial => Some(FieldValue::Text(self.serial.as_str())),
            DeviceField::Mac => self.mac.and_then(Short::of).map(FieldValue::Short),
            DeviceField::Model => Some(FieldValue::Text(self.model.as_str())),
            DeviceField::Hardware => self.hardware.map(FieldValue::Text),
            DeviceField::FactoryFirmware => self.firmware.map(FieldValue::Version),
            DeviceField::Site => self.site.map(|site| FieldValue::Text(site.code.as_str())),
            DeviceField::Position => self.position.map(FieldValue::Text),
            DeviceField::Batch => self
                .birth
                .and_then(|(batch, _)| Short::of(batch))
                .map(FieldValue::Short),
            DeviceField::CreateTime => self.birth.map(|(_, at)| FieldValue::Timestamp(at)),
            DeviceField::Id
            | DeviceField::Firmware
            | DeviceField::State
            | DeviceField::Verification
            | DeviceField::Row
            | DeviceField::Generation
            | DeviceField::UpdateTime
            | DeviceField::CloneSuspected
            | DeviceField::CertificateNotAfter
            | DeviceField::TrustVersion
            | DeviceField::Online
            | DeviceField::PresenceTime
            | DeviceField::Group
            | DeviceField::Labels
            | DeviceField::Variables => None,
        }
    }

    fn label(&self, field: DeviceField, key: &str) -> Option<&str> {
        let map = if field == DeviceField::Variables {
            self.variables
        } else {
            self.labels
        };
        map.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
