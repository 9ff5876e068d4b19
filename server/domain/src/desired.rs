//! Desired state: what one device must be, under a generation that only grows (I7).

use crate::{
    Code, Refusal,
    catalog::{
        Catalog, Channels, Facts, Model, Profile, Renderer, Revision, RevisionNumber, Site, Stack, Syntax,
    },
    change::Facet,
    device::Device,
    names::{ChannelName, PolicyName, ProfileName, SiteCode},
};
use muster_firmware_policy::FirmwarePolicy;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

/// SHA-256 of a content; names it on the wire and in records.
pub type ContentDigest = [u8; 32];

/// The first half of the SHA-256 of a part of a content: short enough to keep one for each of a million targets of a change.
pub type PartDigest = [u8; 16];

/// What a device must be, by reference: revisions are immutable, so the content can be rendered again
/// at any time and comes out the same; the digest proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// From 1; never falls.
    pub generation: u64,
    /// Of the content.
    pub digest: ContentDigest,
    /// The profile revision.
    pub profile: Option<(ProfileName, RevisionNumber)>,
    /// The firmware policy revision.
    pub firmware_policy: Option<(PolicyName, RevisionNumber)>,
}

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// The site.
    pub site: SiteCode,
    /// Its name.
    pub name: String,
    /// Two letters, or empty.
    pub country: String,
    /// Degrees north and east, WGS 84.
    pub coordinates: Option<(f64, f64)>,
    /// IANA name, or empty for UTC.
    pub time_zone: String,
    /// Where in the site.
    pub position: Option<String>,
}

/// A firmware policy revision as a device gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FirmwareContent {
    /// Its name.
    pub name: PolicyName,
    /// Its revision.
    pub revision: RevisionNumber,
    /// The rules.
    pub policy: FirmwarePolicy,
}

/// What a device must be, in full.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Content {
    /// The profile revision that rendered the files.
    pub profile: Option<(ProfileName, RevisionNumber)>,
    /// Rendered files, by key.
    pub files: BTreeMap<String, String>,
    /// Site and position.
    pub location: Option<Location>,
    /// The firmware policy.
    pub firmware: Option<FirmwareContent>,
    /// Of the device's labels, those that the firmware policy selects by: the device must know them to evaluate it.
    pub labels: BTreeMap<String, String>,
}

impl Content {
    /// SHA-256 of the JSON text: maps are ordered, so equal contents have equal digests.
    pub fn digest(&self) -> ContentDigest {
        Sha256::digest(json(self)).into()
    }

    /// Reads every file as what its key says. A content is rendered without that, because it was done when its target
    /// was made; one that came out otherwise than its target must pass before a device gets it.
    ///
    /// # Errors
    /// [`Code::RenderFailed`] at `files.KEY` for each file that no reader takes.
    pub fn check_files(&self) -> Result<(), Vec<Refusal>> {
        let wrong = self.files.iter().filter_map(|(key, text)| {
            let malformed = Syntax::of(key).check(text).err()?;
            Some(Refusal::new(Code::RenderFailed, malformed.to_string()).at(format!("files.{key}")))
        });
        let problems: Vec<_> = wrong.collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }
}

/// The JSON text of plain data.
pub(crate) fn json(data: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    write_json(&mut text, data);
    text
}

fn write_json(text: &mut Vec<u8>, data: &impl Serialize) {
    #[expect(
        clippy::expect_used,
        reason = "plain data with string keys always serialises into memory"
    )]
    serde_json::to_writer(text, data).expect("plain data");
}

/// The content of a device, rendered from the catalog by the revisions that its target pins.
///
/// # Errors
/// A pinned revision or the site is not in the catalog ([`Code::ReferenceMissing`]), or the profile does not render
/// with the device's values.
pub fn of_device(catalog: &Catalog, device: &Device) -> Result<Content, Vec<Refusal>> {
    let recipe = Recipe::pinned(catalog, &device.target).map_err(|refusal| vec![refusal])?;
    let site = device
        .site
        .as_ref()
        .map(|code| Place::find(catalog, code))
        .transpose();
    let site = site.map_err(|refusal| vec![refusal])?;
    recipe.content(&facts(device), site.as_ref())
}

/// What many devices must be, by digest: what they have in common is made once.
#[derive(Debug)]
pub struct Digests<'c> {
    catalog: &'c Catalog,
    recipes: BTreeMap<Pins, Recipe>,
    places: BTreeMap<SiteCode, Place>,
    scratch: Vec<u8>,
    /// See [`Recipe::write`].
    ends: [usize; 2],
}

/// The revisions that a target pins.
type Pins = (
    Option<(ProfileName, RevisionNumber)>,
    Option<(PolicyName, RevisionNumber)>,
);

impl<'c> Digests<'c> {
    /// By this catalog.
    pub const fn new(catalog: &'c Catalog) -> Self {
        Self {
            catalog,
            recipes: BTreeMap::new(),
            places: BTreeMap::new(),
            scratch: Vec::new(),
            ends: [0; 2],
        }
    }

    /// The catalog that it goes by.
    pub(crate) const fn catalog(&self) -> &'c Catalog {
        self.catalog
    }

    /// The digest of what [`of_device`] renders, for a fraction of the work.
    ///
    /// # Errors
    /// As [`of_device`].
    pub fn of(&mut self, device: &Device) -> Result<ContentDigest, Vec<Refusal>> {
        let Target {
            profile,
            firmware_policy,
            ..
        } = &device.target;
        let pins = (profile.clone(), firmware_policy.clone());
        let recipe = match self.recipes.entry(pins) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                free.insert(Recipe::pinned(self.catalog, &device.target).map_err(|refusal| vec![refusal])?)
            }
        };
        let place = match &device.site {
            None => None,
            Some(code) => Some(match self.places.entry(code.clone()) {
                Entry::Occupied(known) => &*known.into_mut(),
                Entry::Vacant(free) => {
                    &*free.insert(Place::find(self.catalog, code).map_err(|refusal| vec![refusal])?)
                }
            }),
        };
        self.ends = recipe.write(&facts(device), place, &mut self.scratch)?;
        Ok(Sha256::digest(&self.scratch).into())
    }

    /// Of the content whose digest [`Digests::of`] gave last, what it says of these facets alone: what other changes make of other
    /// facets meanwhile does not matter to it.
    pub fn part(&self, facets: &[Facet]) -> PartDigest {
        let [files, location] = self.ends;
        let mut hash = Sha256::new();
        for facet in facets {
            let part = match facet {
                Facet::Config => self.scratch.get(..files),
                Facet::Location => self.scratch.get(files..location),
                Facet::Firmware => self.scratch.get(location..),
                Facet::Lifecycle => None,
            };
            hash.update(part.unwrap_or_default());
        }
        let full: [u8; 32] = hash.finalize().into();
        let mut half = [0; 16];
        half.copy_from_slice(&full[..16]);
        half
    }
}

/// What templates may know of a registered device; its site is added by [`Recipe`].
pub(crate) fn facts(device: &Device) -> Facts<'_> {
    Facts {
        serial: &device.serial,
        mac: device.mac,
        model: &device.model,
        hardware: device.hardware.as_deref(),
        firmware: device.factory_firmware.as_ref(),
        site: None,
        position: device.position.as_deref(),
        labels: &device.labels,
        variables: &device.variables,
        groups: &device.groups,
        birth: Some((device.origin.batch, device.created)),
        underlay: None,
    }
}

/// A site, and its part of the JSON text of contents, made once.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    site: Arc<Site>,
    /// The site and those that it is a part of, the nearest first.
    way: Vec<SiteCode>,
    /// A [`Location`] up to the value of its last field, the position.
    prefix: Vec<u8>,
}

/// What stands in a [`Location`] without position behind its prefix.
const NO_POSITION: &[u8] = b"null}";

impl Place {
    pub(crate) fn new(catalog: &Catalog, site: &Arc<Site>) -> Self {
        let mut prefix = json(&location(site, None));
        prefix.truncate(prefix.len().saturating_sub(NO_POSITION.len()));
        let way = catalog.way_up(&site.code).map(|site| site.code.clone());
        Self {
            site: Arc::clone(site),
            way: way.collect(),
            prefix,
        }
    }

    fn find(catalog: &Catalog, code: &SiteCode) -> Result<Self, Refusal> {
        catalog
            .sites
            .get(code)
            .map(|site| Self::new(catalog, site))
            .ok_or_else(|| missing(&format!("sites/{code}")))
    }
}

fn location(site: &Site, position: Option<&str>) -> Location {
    Location {
        site: site.code.clone(),
        name: site.name.clone(),
        country: site.country.clone(),
        coordinates: site.coordinates,
        time_zone: site.time_zone.clone(),
        position: position.map(str::to_owned),
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::new(Code::ReferenceMissing, format!("{name} is not in the catalog"))
}

/// The revisions that make a content, found once for many devices.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    profile: Option<Arc<Revision<Profile>>>,
    policy: Option<(PolicyName, Arc<Revision<Channels>>)>,
    /// The layers of the profile, where it has values.
    stack: Option<Arc<Stack>>,
    /// The JSON texts of what is the same for every device.
    profile_json: Vec<u8>,
    firmware_json: Vec<u8>,
    /// What stands for that on devices that follow a channel of the policy.
    channels_json: BTreeMap<ChannelName, Vec<u8>>,
}

impl Recipe {
    /// By the newest revisions of what a model's devices get.
    pub(crate) fn newest(catalog: &Catalog, model: &Model) -> Result<Self, Refusal> {
        let profile = model.profile.as_ref().map(|name| {
            let newest = catalog.profile(name).cloned();
            newest.ok_or_else(|| missing(&format!("profiles/{name}")))
        });
        let policy = model.firmware_policy.as_ref().map(|name| {
            let newest = catalog.policy(name).cloned();
            newest
                .map(|found| (name.clone(), found))
                .ok_or_else(|| missing(&format!("firmwarePolicies/{name}")))
        });
        Self::new(catalog, profile.transpose()?, policy.transpose()?)
    }

    /// By the revisions that a target pins.
    fn pinned(catalog: &Catalog, target: &Target) -> Result<Self, Refusal> {
        let profile = target.profile.as_ref().map(|(name, number)| {
            let found = catalog.profile_at(name, *number).cloned();
            found.ok_or_else(|| missing(&format!("profiles/{name}@{number}")))
        });
        let policy = target.firmware_policy.as_ref().map(|(name, number)| {
            let found = catalog.policy_at(name, *number).cloned();
            found
                .map(|found| (name.clone(), found))
                .ok_or_else(|| missing(&format!("firmwarePolicies/{name}@{number}")))
        });
        Self::new(catalog, profile.transpose()?, policy.transpose()?)
    }

    /// By what a target pins, and where it pins nothing, as `self` does.
    pub(crate) fn kept(&self, catalog: &Catalog, target: &Target) -> Result<Cow<'_, Self>, Refusal> {
        let (profile, policy) = (self.profile_reference(), self.policy_reference());
        let wanted = Target {
            profile: target.profile.clone().or_else(|| profile.clone()),
            firmware_policy: target.firmware_policy.clone().or_else(|| policy.clone()),
            ..target.clone()
        };
        if wanted.profile == profile && wanted.firmware_policy == policy {
            return Ok(Cow::Borrowed(self));
        }
        Self::pinned(catalog, &wanted).map(Cow::Owned)
    }

    fn new(
        catalog: &Catalog,
        profile: Option<Arc<Revision<Profile>>>,
        policy: Option<(PolicyName, Arc<Revision<Channels>>)>,
    ) -> Result<Self, Refusal> {
        if let Some(profile) = &profile {
            profile.content.renderer()?;
        }
        let stack = profile
            .as_ref()
            .and_then(|revision| Stack::new(catalog, &revision.content));
        let mut recipe = Self {
            profile,
            policy,
            stack: stack.map(Arc::new),
            profile_json: Vec::new(),
            firmware_json: Vec::new(),
            channels_json: BTreeMap::new(),
        };
        recipe.profile_json = json(&recipe.profile_reference());
        recipe.firmware_json = json(&recipe.firmware(None));
        recipe.channels_json = recipe.channels_json();
        Ok(recipe)
    }

    fn profile_reference(&self) -> Option<(ProfileName, RevisionNumber)> {
        self.profile
            .as_ref()
            .map(|revision| (revision.content.name.clone(), revision.number))
    }

    fn policy_reference(&self) -> Option<(PolicyName, RevisionNumber)> {
        self.policy
            .as_ref()
            .map(|(name, revision)| (name.clone(), revision.number))
    }

    /// The policy as devices of a channel get it.
    fn firmware(&self, channel: Option<&ChannelName>) -> Option<FirmwareContent> {
        self.policy.as_ref().map(|(name, revision)| FirmwareContent {
            name: name.clone(),
            revision: revision.number,
            policy: revision.content.policy(channel).clone(),
        })
    }

    fn channels_json(&self) -> BTreeMap<ChannelName, Vec<u8>> {
        let channels = self.policy.iter().flat_map(|(_, policy)| policy.content.names());
        channels
            .map(|name| (name.clone(), json(&self.firmware(Some(name)))))
            .collect()
    }

    /// The channel of the policy that the device follows.
    fn channel(&self, facts: &Facts<'_>) -> Option<&ChannelName> {
        let (_, policy) = self.policy.as_ref()?;
        policy.content.followed(facts.labels)
    }

    /// The device's labels that the policy selects by. The one that says its channel is not among them: what it says is in the policy
    /// that the device gets, and a device that follows no channel of it gets nothing new when that label changes.
    fn labels(&self, facts: &Facts<'_>) -> BTreeMap<String, String> {
        let Some((_, policy)) = &self.policy else {
            return BTreeMap::new();
        };
        let asked = policy.content.policy(None).applies_to().labels.keys();
        asked
            .filter_map(|key| Some((key.clone(), facts.labels.get(key)?.clone())))
            .collect()
    }

    /// The files of a device, rendered by `render`.
    fn files(
        &self,
        facts: &Facts<'_>,
        place: Option<&Place>,
        render: impl FnOnce(&Renderer, &Facts<'_>) -> Result<BTreeMap<String, String>, Vec<Refusal>>,
    ) -> Result<BTreeMap<String, String>, Vec<Refusal>> {
        match &self.profile {
            None => Ok(BTreeMap::new()),
            Some(revision) => {
                let renderer = revision.content.renderer().map_err(|refusal| vec![refusal])?;
                let site = place.map(|place| &*place.site);
                let facts = Facts { site, ..*facts };
                let underlay = self.stack.as_ref().map(|stack| {
                    let way = place.map(|place| place.way.as_slice());
                    stack.underlay(&facts, way.unwrap_or_default())
                });
                let underlay = underlay.as_deref();
                render(renderer, &Facts { underlay, ..facts })
            }
        }
    }

    /// Does what a device gets depend on when, or by which import, it was registered?
    pub(crate) fn asks_birth(&self) -> bool {
        self.stack.as_ref().is_some_and(|stack| stack.asks_birth())
    }

    /// All that the value of a variable must be, in one line; `None` when no parameter asks for it.
    pub(crate) fn rule(&self, variable: &str) -> Option<String> {
        self.profile.as_ref()?.content.renderer().ok()?.rule(variable)
    }

    /// The values among these that their parameters do not allow.
    pub(crate) fn wrong_values(&self, variables: &BTreeMap<String, String>) -> Vec<Refusal> {
        let renderer = self
            .profile
            .as_ref()
            .and_then(|revision| revision.content.renderer().ok());
        renderer.map_or_else(Vec::new, |renderer| renderer.wrong_values(variables))
    }

    /// The content of a device.
    fn content(&self, facts: &Facts<'_>, place: Option<&Place>) -> Result<Content, Vec<Refusal>> {
        Ok(Content {
            profile: self.profile_reference(),
            files: self.files(facts, place, Renderer::render_again)?,
            location: place.map(|place| location(&place.site, facts.position)),
            firmware: self.firmware(self.channel(facts)),
            labels: self.labels(facts),
        })
    }

    /// What [`Content::digest`] of the device's content is, for a fraction of the work: most of the JSON text is
    /// the same for every device. `scratch` saves an allocation a device.
    fn digest(
        &self,
        facts: &Facts<'_>,
        place: Option<&Place>,
        scratch: &mut Vec<u8>,
    ) -> Result<ContentDigest, Vec<Refusal>> {
        self.write(facts, place, scratch)?;
        Ok(Sha256::digest(&*scratch).into())
    }

    /// Writes the JSON text of the device's content; where the files end in it, and where the location does.
    fn write(
        &self,
        facts: &Facts<'_>,
        place: Option<&Place>,
        scratch: &mut Vec<u8>,
    ) -> Result<[usize; 2], Vec<Refusal>> {
        let files = self.files(facts, place, Renderer::render)?;
        scratch.clear();
        scratch.extend_from_slice(b"{\"profile\":");
        scratch.extend_from_slice(&self.profile_json);
        scratch.extend_from_slice(b",\"files\":");
        write_json(scratch, &files);
        let files_end = scratch.len();
        scratch.extend_from_slice(b",\"location\":");
        match place {
            None => scratch.extend_from_slice(b"null"),
            Some(place) => {
                scratch.extend_from_slice(&place.prefix);
                write_json(scratch, &facts.position);
                scratch.push(b'}');
            }
        }
        let location_end = scratch.len();
        scratch.extend_from_slice(b",\"firmware\":");
        let followed = self.channel(facts).and_then(|name| self.channels_json.get(name));
        scratch.extend_from_slice(followed.unwrap_or(&self.firmware_json));
        scratch.extend_from_slice(b",\"labels\":");
        write_json(scratch, &self.labels(facts));
        scratch.push(b'}');
        Ok([files_end, location_end])
    }

    /// What a device with these facts must become, under `generation`.
    pub(crate) fn target(
        &self,
        facts: &Facts<'_>,
        place: Option<&Place>,
        generation: u64,
        scratch: &mut Vec<u8>,
    ) -> Result<Target, Vec<Refusal>> {
        Ok(Target {
            generation,
            digest: self.digest(facts, place, scratch)?,
            profile: self.profile_reference(),
            firmware_policy: self.policy_reference(),
        })
    }
}
