//! Valid row + what the registry has -> created, updated, unchanged or refused.
//!
//! One decision for the dry run and for the real import, taken inside the store's transaction. It is pure, so the same
//! file again finds every device as the row wants it.

use super::{
    DeviceRow, Limits, Problem, Rendered, RowClaim, ValidRow, Writes, checker::rule_name, terms::agree,
};
use crate::{
    Code, Refusal, Timestamp,
    activation::CodeHash,
    catalog::{Catalog, Model, NamingRule, RuledField},
    certificate::{CertificateProfile, SpkiDigest},
    desired::{self, Place, Recipe},
    device::{ClaimWindow, Credential, Device, Identity, Lifecycle, Origin, PinnedKey, Verification},
    ids::DeviceId,
    names::{ModelName, SiteCode},
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a new device gets from outside.
#[derive(Debug, Clone, Copy)]
pub struct Fresh {
    /// Its id.
    pub id: DeviceId,
    /// How it comes to its identity.
    pub credential: FreshCredential,
    /// File and row.
    pub origin: Origin,
    /// Now.
    pub now: Timestamp,
}

/// How a new device comes to its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreshCredential {
    /// With a code on its label.
    Code {
        /// What we keep of it.
        hash: CodeHash,
        /// When it can be claimed with.
        window: ClaimWindow,
    },
    /// With the key in it.
    Pinned(PinnedKey),
    /// With a certificate that comes with the import.
    Certified(Identity),
}

impl FreshCredential {
    /// The key that only the new device may use.
    pub const fn key(&self) -> Option<SpkiDigest> {
        match self {
            Self::Code { .. } => None,
            Self::Pinned(key) => Some(key.spki),
            Self::Certified(identity) => Some(identity.spki),
        }
    }

    const fn lifecycle(&self) -> Lifecycle {
        let credential = match *self {
            Self::Code { hash, window } => Credential::Code {
                hash,
                window,
                bound: None,
                intent: None,
            },
            Self::Pinned(key) => Credential::Pinned {
                key,
                window: ClaimWindow::ALWAYS,
                intent: None,
            },
            Self::Certified(identity) => return Lifecycle::Claimed { identity },
        };
        Lifecycle::Registered { credential }
    }
}

/// How a row ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowOutcome {
    /// A new device.
    Created(Box<Device>),
    /// A device that changes.
    Updated {
        /// As it is after the update.
        device: Box<Device>,
        /// The fields that change, such as `site` and `variables.extension`; [`DESIRED_STATE`] where no value of the
        /// device does, but what its profile and site make of them.
        changes: Vec<String>,
    },
    /// The device says the same already.
    Unchanged(DeviceId),
    /// No, and everything that keeps it from being taken.
    Refused(Vec<Problem>),
}

/// What an update changes when no value does.
pub const DESIRED_STATE: &str = "desired_state";

/// A model, and how its devices come to their content.
#[derive(Debug)]
pub(super) struct Plan {
    model: Arc<Model>,
    recipe: Result<Recipe, Refusal>,
    /// The naming rules for its devices.
    rules: Vec<Arc<NamingRule>>,
}

/// The catalog as it was when the import started, with its profiles compiled.
#[derive(Debug)]
pub struct Intake {
    catalog: Arc<Catalog>,
    plans: BTreeMap<ModelName, Plan>,
    places: BTreeMap<SiteCode, Place>,
}

/// Who holds the serial and the address of a row already.
#[derive(Debug, Clone, Copy)]
pub struct Holders<'a> {
    /// The device with the row's serial.
    pub serial: Option<&'a Device>,
    /// The device with the row's address.
    pub mac: Option<DeviceId>,
}

impl Plan {
    pub(super) fn name(&self) -> &ModelName {
        &self.model.name
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    pub(super) fn recipe(&self) -> Result<&Recipe, Refusal> {
        self.recipe.as_ref().map_err(Clone::clone)
    }

    pub(super) fn rules(&self) -> &[Arc<NamingRule>] {
        &self.rules
    }
}

/// The same refusal, at its field of a row.
pub(super) fn in_row(row: u32, refusal: Refusal) -> Refusal {
    let field = match refusal.field.as_str() {
        "" => format!("rows[{row}]"),
        field => format!("rows[{row}].{field}"),
    };
    refusal.at(field)
}

impl Intake {
    /// The form of certificates of devices of this model.
    pub fn certificate_profile(&self, model: &ModelName) -> CertificateProfile {
        self.catalog.certificate_profile(model)
    }

    /// With the catalog as it is now. A model whose profile or policy cannot be used is no error here: its rows are
    /// refused.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        let plan = |(name, model): (&ModelName, &Arc<Model>)| {
            let recipe = Recipe::newest(&catalog, model);
            let rules = catalog.naming_rules.values();
            let rules = rules.filter(|rule| rule.covers(name)).map(Arc::clone);
            (
                name.clone(),
                Plan {
                    model: Arc::clone(model),
                    recipe,
                    rules: rules.collect(),
                },
            )
        };
        let plans = catalog.models.iter().map(plan).collect();
        let places = catalog
            .sites
            .iter()
            .map(|(code, site)| (code.clone(), Place::new(&catalog, site)))
            .collect();
        Self {
            catalog,
            plans,
            places,
        }
    }

    /// The catalog it was made with.
    pub const fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    pub(super) fn plan(&self, model: &str) -> Option<&Plan> {
        self.plans.get(model)
    }

    /// The names of all models.
    pub(super) fn models(&self) -> impl Iterator<Item = &str> {
        self.plans.keys().map(ModelName::as_str)
    }

    /// The codes of all sites.
    pub(super) fn sites(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(SiteCode::as_str)
    }

    pub(super) fn place(&self, code: &str) -> Option<(&SiteCode, &Place)> {
        self.places.get_key_value(code)
    }

    /// What becomes of a row.
    ///
    /// A new serial is a new device, as the row's target says. A known one is updated: values that the row has
    /// replace the device's, labels and variables one by one, and what the row does not have stays. The device keeps
    /// the profile and policy revisions that it has; where its content differs then, its generation grows. `limits`
    /// can forbid either, and leave fields out.
    pub fn decide(&self, row: &ValidRow, holders: Holders<'_>, fresh: &Fresh, limits: &Limits) -> RowOutcome {
        let outcome = match holders.serial {
            None => self.create(row, holders, fresh, limits),
            Some(device) => self.update(&row.row, device, holders, fresh, limits),
        };
        outcome.unwrap_or_else(|problems| {
            let problems = problems.into_iter();
            RowOutcome::Refused(problems.map(|problem| problem.in_row(row.row.row)).collect())
        })
    }

    fn create(
        &self,
        valid: &ValidRow,
        holders: Holders<'_>,
        fresh: &Fresh,
        limits: &Limits,
    ) -> Result<RowOutcome, Vec<Problem>> {
        let row = &valid.row;
        if limits.writes == Writes::UpdateOnly {
            let why = format!("{} is not registered", row.serial);
            return Err(no(Code::DeviceMissing, "serial", why, row.serial.as_str()));
        }
        if let Some(etag) = row.etag {
            let why = format!("{} is not registered, so it has no etag", row.serial);
            return Err(no(Code::EtagStale, "etag", why, &etag_text(etag)));
        }
        mac_is_free(row, holders, None)?;
        let lifecycle = expected(row.claim.as_deref(), fresh)?;
        match &valid.target {
            Rendered::Whole(target) => {
                let device = created(row, target, fresh, lifecycle);
                Ok(RowOutcome::Created(Box::new(self.born(device)?)))
            }
            Rendered::Lacking(problems) => Err(problems.clone()),
        }
    }

    /// A new device, which may be in groups by its birth: of that a row knew nothing when it was checked.
    fn born(&self, mut device: Device) -> Result<Device, Vec<Problem>> {
        if let Some(plan) = self.plan(device.model.as_str())
            && plan.recipe().is_ok_and(Recipe::asks_birth)
        {
            device.target = self.retarget(&device, plan)?;
        }
        Ok(device)
    }

    fn update(
        &self,
        row: &DeviceRow,
        device: &Device,
        holders: Holders<'_>,
        fresh: &Fresh,
        limits: &Limits,
    ) -> Result<RowOutcome, Vec<Problem>> {
        let serial = row.serial.as_str();
        let is_own = device.origin == fresh.origin;
        // A row that made a device before in this batch, and was not it: a file of refused rows that was not mended.
        if device.origin.batch == fresh.origin.batch && !is_own {
            let why = format!("{serial} stands in row {} already", device.origin.row);
            return Err(no(Code::SerialRepeated, "serial", why, serial));
        }
        if limits.writes == Writes::CreateOnly && !is_own {
            let why = format!("{serial} is registered as {}", device.name());
            return Err(no(Code::DeviceExists, "serial", why, serial));
        }
        if device.model != row.model {
            let why = format!("{serial} is registered as {}, a {}", device.name(), device.model);
            return Err(no(Code::SerialTaken, "serial", why, serial));
        }
        let masked = limits.mask.as_ref().map(|mask| mask.masked(row));
        let row = masked.as_ref().unwrap_or(row);
        let (merged, mut changes) = merge(device, row);
        let merged = with_terms(merged, row.claim.as_deref(), fresh.now, &mut changes)?;
        if let Lifecycle::Retired { .. } = device.lifecycle {
            return if changes.is_empty() {
                Ok(RowOutcome::Unchanged(device.id))
            } else {
                Err(frozen(device, "", "it is retired"))
            };
        }
        mac_is_free(row, holders, Some(device.id))?;
        if merged.mac != device.mac && device.lifecycle.certificate().is_some() {
            return Err(frozen(
                device,
                "mac",
                "it has claimed its identity under another address",
            ));
        }
        let plan = self.plan(device.model.as_str()).ok_or_else(|| {
            let why = format!("there is no model {}", device.model);
            no(Code::ModelUnknown, "model", why, device.model.as_str())
        })?;
        let target = self.retarget(&merged, plan)?;
        let rendered = target.digest != device.target.digest;
        if changes.is_empty() && !rendered {
            return Ok(RowOutcome::Unchanged(device.id));
        }
        is_current(row, device)?;
        has_required(&merged, plan)?;
        if changes.is_empty() {
            changes.push(DESIRED_STATE.to_owned());
        }
        let mut updated = merged.into_owned();
        if rendered {
            updated.target = target;
            updated.target.generation = device.target.generation + 1;
            updated.verification = Verification::Pending;
        }
        let device = Box::new(updated.touched(fresh.now));
        Ok(RowOutcome::Updated { device, changes })
    }

    /// What a device must become with the values it has now.
    fn retarget(&self, device: &Device, plan: &Plan) -> Result<desired::Target, Vec<Problem>> {
        let recipe = plan
            .recipe()
            .and_then(|newest| newest.kept(&self.catalog, &device.target));
        let recipe = recipe.map_err(|refusal| vec![refusal.into()])?;
        let place = device.site.as_ref().map(|code| {
            let found = self.places.get(code);
            found.ok_or_else(|| no(Code::SiteUnknown, "site", format!("there is no site {code}"), ""))
        });
        let facts = desired::facts(device);
        let generation = device.target.generation;
        let target = recipe.target(&facts, place.transpose()?, generation, &mut Vec::new());
        target.map_err(|refusals| refusals.into_iter().map(Problem::from).collect())
    }
}

/// One reason, at a field.
fn no(code: Code, field: &str, why: String, value: &str) -> Vec<Problem> {
    vec![Problem::new(Refusal::new(code, why).at(field)).with_value(value)]
}

fn etag_text(revision: u64) -> String {
    format!("r{revision}")
}

/// Is the device as it was when its etag was written into the file?
fn is_current(row: &DeviceRow, device: &Device) -> Result<(), Vec<Problem>> {
    match row.etag {
        Some(etag) if etag != device.revision => {
            let why = format!(
                "{} has the etag {} now",
                device.name(),
                etag_text(device.revision)
            );
            Err(no(Code::EtagStale, "etag", why, &etag_text(etag)))
        }
        Some(_) | None => Ok(()),
    }
}

/// Has the device every value that naming rules demand? Its other values were checked when they came.
fn has_required(device: &Device, plan: &Plan) -> Result<(), Vec<Problem>> {
    let lacks = |rule: &&Arc<NamingRule>| rule.required && value(device, &rule.field).is_none();
    let missing = plan.rules().iter().filter(lacks).filter_map(|rule| {
        let refusal = rule.check(None).err()?;
        Some(Problem::new(refusal).with_rule(rule_name(rule)))
    });
    let missing: Vec<_> = missing.collect();
    if missing.is_empty() { Ok(()) } else { Err(missing) }
}

fn value<'d>(device: &'d Device, field: &RuledField) -> Option<&'d str> {
    match field {
        RuledField::Serial => Some(device.serial.as_str()),
        RuledField::Hardware => device.hardware.as_deref(),
        RuledField::Site => device.site.as_ref().map(SiteCode::as_str),
        RuledField::Position => device.position.as_deref(),
        RuledField::Label(key) => device.labels.get(key).map(String::as_str),
        RuledField::Variable(name) => device.variables.get(name).map(String::as_str),
    }
}

fn frozen(device: &Device, field: &str, why: &str) -> Vec<Problem> {
    no(
        Code::RowFrozen,
        field,
        format!("{} cannot change: {why}", device.name()),
        "",
    )
}

fn mac_is_free(row: &DeviceRow, holders: Holders<'_>, own: Option<DeviceId>) -> Result<(), Vec<Problem>> {
    match (row.mac, holders.mac) {
        (Some(mac), Some(holder)) if Some(holder) != own => {
            let why = format!("{mac} belongs to devices/{holder}");
            Err(no(Code::MacTaken, "mac", why, &mac.to_string()))
        }
        (Some(_) | None, _) => Ok(()),
    }
}

/// How a new device may earn its identity, and on which terms of the row.
fn expected(claim: Option<&RowClaim>, fresh: &Fresh) -> Result<Lifecycle, Vec<Problem>> {
    let lifecycle = fresh.credential.lifecycle();
    match (claim, lifecycle.claim_terms()) {
        (Some(claim), Some(before)) => {
            let (terms, _) = agree(claim, before, fresh.now)?;
            Ok(lifecycle.on_terms(terms))
        }
        (Some(_) | None, _) => Ok(lifecycle),
    }
}

/// The device with what a row says of its claim. Nothing of it concerns a device that has begun to claim: like a credential,
/// it was of use until then.
fn with_terms<'d>(
    device: Cow<'d, Device>,
    claim: Option<&RowClaim>,
    now: Timestamp,
    changes: &mut Vec<String>,
) -> Result<Cow<'d, Device>, Vec<Problem>> {
    let (Some(claim), Some(before)) = (claim, device.lifecycle.claim_terms()) else {
        return Ok(device);
    };
    let (terms, changed) = agree(claim, before, now)?;
    if changed.is_empty() {
        return Ok(device);
    }
    let lifecycle = device.lifecycle.clone().on_terms(terms);
    if lifecycle.claim_terms() != Some(terms) {
        return Err(frozen(&device, RowClaim::KEY, "its key is pinned"));
    }
    changes.extend(changed.into_iter().map(str::to_owned));
    let device = device.into_owned();
    Ok(Cow::Owned(Device { lifecycle, ..device }))
}

fn created(row: &DeviceRow, target: &desired::Target, fresh: &Fresh, lifecycle: Lifecycle) -> Device {
    Device {
        id: fresh.id,
        serial: row.serial.clone(),
        mac: row.mac,
        model: row.model.clone(),
        hardware: row.hardware.clone(),
        factory_firmware: row.firmware.clone(),
        site: row.site.clone(),
        position: row.position.clone(),
        labels: row.labels.clone(),
        variables: row.variables.clone(),
        kept: row.kept.clone(),
        origin: fresh.origin,
        created: fresh.now,
        updated: fresh.now,
        revision: 1,
        lifecycle,
        target: target.clone(),
        reported: None,
        verification: Verification::Pending,
        alarm: None,
        renew_from: None,
        trust: 0,
        groups: BTreeSet::new(),
        presence: None,
    }
}

/// The device with the values that a row has, and the fields that change; borrowed when it says the same already.
fn merge<'d>(device: &'d Device, row: &DeviceRow) -> (Cow<'d, Device>, Vec<String>) {
    let mut merged = Cow::Borrowed(device);
    let mut changes = Vec::new();
    macro_rules! replace {
        ($($from:ident => $to:ident)*) => {$(
            if row.$from.is_some() && row.$from != device.$to {
                changes.push(stringify!($from).to_owned());
                merged.to_mut().$to = row.$from.clone();
            }
        )*};
        ($($map:ident)*) => {$(
            let differs = |(key, value): &(&String, &String)| device.$map.get(*key) != Some(*value);
            for (key, value) in row.$map.iter().filter(differs) {
                changes.push(format!("{}.{key}", stringify!($map)));
                merged.to_mut().$map.insert(key.clone(), value.clone());
            }
        )*};
    }
    replace!(mac => mac hardware => hardware firmware => factory_firmware site => site position => position);
    replace!(labels variables);
    (merged, changes)
}
