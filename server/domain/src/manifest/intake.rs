//! Valid row + what the registry has -> created, updated, unchanged or refused.
//!
//! One decision for the dry run and for the real import, taken inside the store's transaction. It is pure, so the same
//! file again finds every device as the row wants it.

use super::{DeviceRow, ValidRow};
use crate::{
    Code, Refusal, Timestamp,
    activation::CodeHash,
    catalog::{Catalog, Model},
    desired::{self, Place, Recipe},
    device::{Credential, Device, Lifecycle, Origin, Verification},
    ids::DeviceId,
    names::{ModelName, SiteCode},
};
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

/// What a new device gets from outside.
#[derive(Debug, Clone, Copy)]
pub struct Fresh {
    /// Its id.
    pub id: DeviceId,
    /// What we keep of its code.
    pub code: CodeHash,
    /// When the code ends.
    pub code_expires: Option<Timestamp>,
    /// File and row.
    pub origin: Origin,
    /// Now.
    pub now: Timestamp,
}

/// How a row ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowOutcome {
    /// A new device.
    Created(Box<Device>),
    /// The device as it is after the update.
    Updated(Box<Device>),
    /// The device says the same already.
    Unchanged(DeviceId),
    /// No.
    Refused(Refusal),
}

/// A model, and how its devices come to their content.
#[derive(Debug)]
pub(super) struct Plan {
    model: Arc<Model>,
    recipe: Result<Recipe, Refusal>,
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
    /// With the catalog as it is now. A model whose profile or policy cannot be used is no error here: its rows are
    /// refused.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        let plan = |(name, model): (&ModelName, &Arc<Model>)| {
            let recipe = Recipe::newest(&catalog, model);
            (
                name.clone(),
                Plan {
                    model: Arc::clone(model),
                    recipe,
                },
            )
        };
        let plans = catalog.models.iter().map(plan).collect();
        let places = catalog
            .sites
            .iter()
            .map(|(code, site)| (code.clone(), Place::new(site)))
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

    pub(super) fn place(&self, code: &str) -> Option<(&SiteCode, &Place)> {
        self.places.get_key_value(code)
    }

    /// What becomes of a row.
    ///
    /// A new serial is a new device, as the row's target says. A known one is updated: values that the row has
    /// replace the device's, labels and variables one by one, and what the row does not have stays. The device keeps
    /// the profile and policy revisions that it has; where its content differs then, its generation grows.
    pub fn decide(&self, row: &ValidRow, holders: Holders<'_>, fresh: &Fresh) -> RowOutcome {
        let outcome = match holders.serial {
            None => create(row, holders, fresh),
            Some(device) => self.update(&row.row, device, holders, fresh.now),
        };
        outcome.unwrap_or_else(|refusal| RowOutcome::Refused(in_row(row.row.row, refusal)))
    }

    fn update(
        &self,
        row: &DeviceRow,
        device: &Device,
        holders: Holders<'_>,
        now: Timestamp,
    ) -> Result<RowOutcome, Refusal> {
        if device.model != row.model {
            let why = format!(
                "{} is registered as {}, a {}",
                row.serial,
                device.name(),
                device.model
            );
            return Err(Refusal::new(Code::SerialTaken, why).at("serial"));
        }
        let merged = merge(device, row);
        let differs = matches!(merged, Cow::Owned(_));
        if let Lifecycle::Retired { .. } = device.lifecycle {
            return if differs {
                Err(frozen(device, "it is retired"))
            } else {
                Ok(RowOutcome::Unchanged(device.id))
            };
        }
        mac_is_free(row, holders, Some(device.id))?;
        if merged.mac != device.mac && device.lifecycle.certificate().is_some() {
            return Err(frozen(device, "it has claimed its identity under another address").at("mac"));
        }
        let target = self.retarget(&merged)?;
        let rendered = target.digest != device.target.digest;
        if !differs && !rendered {
            return Ok(RowOutcome::Unchanged(device.id));
        }
        let mut updated = merged.into_owned();
        if rendered {
            updated.target = target;
            updated.target.generation = device.target.generation + 1;
            updated.verification = Verification::Pending;
        }
        Ok(RowOutcome::Updated(Box::new(updated.touched(now))))
    }

    /// What a device must become with the values it has now.
    fn retarget(&self, device: &Device) -> Result<desired::Target, Refusal> {
        let unknown =
            || Refusal::new(Code::ModelUnknown, format!("there is no model {}", device.model)).at("model");
        let newest = self.plan(device.model.as_str()).ok_or_else(unknown)?.recipe()?;
        let recipe = newest.kept(&self.catalog, &device.target)?;
        let place = device.site.as_ref().map(|code| {
            let found = self.places.get(code);
            found
                .ok_or_else(|| Refusal::new(Code::SiteUnknown, format!("there is no site {code}")).at("site"))
        });
        recipe
            .target(
                &desired::facts(device),
                place.transpose()?,
                device.target.generation,
                &mut Vec::new(),
            )
            .map_err(|mut problems| {
                let first = (!problems.is_empty()).then(|| problems.swap_remove(0));
                first.unwrap_or_else(|| Refusal::new(Code::RenderFailed, "the profile does not render"))
            })
    }
}

fn frozen(device: &Device, why: &str) -> Refusal {
    Refusal::new(Code::RowFrozen, format!("{} cannot change: {why}", device.name()))
}

fn mac_is_free(row: &DeviceRow, holders: Holders<'_>, own: Option<DeviceId>) -> Result<(), Refusal> {
    match (row.mac, holders.mac) {
        (Some(mac), Some(holder)) if Some(holder) != own => {
            let why = format!("{mac} belongs to devices/{holder}");
            Err(Refusal::new(Code::MacTaken, why).at("mac"))
        }
        (Some(_) | None, _) => Ok(()),
    }
}

fn create(valid: &ValidRow, holders: Holders<'_>, fresh: &Fresh) -> Result<RowOutcome, Refusal> {
    let row = &valid.row;
    mac_is_free(row, holders, None)?;
    let credential = Credential::Code {
        hash: fresh.code,
        expires: fresh.code_expires,
        intent: None,
    };
    Ok(RowOutcome::Created(Box::new(Device {
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
        origin: fresh.origin,
        created: fresh.now,
        updated: fresh.now,
        revision: 1,
        lifecycle: Lifecycle::Registered { credential },
        target: valid.target.clone(),
        reported: None,
        verification: Verification::Pending,
    })))
}

/// The device with the values that a row has; borrowed when it says the same already.
fn merge<'d>(device: &'d Device, row: &DeviceRow) -> Cow<'d, Device> {
    let mut merged = Cow::Borrowed(device);
    macro_rules! replace {
        ($from:ident => $to:ident) => {
            if row.$from.is_some() && row.$from != device.$to {
                merged.to_mut().$to = row.$from.clone();
            }
        };
    }
    replace!(mac => mac);
    replace!(hardware => hardware);
    replace!(firmware => factory_firmware);
    replace!(site => site);
    replace!(position => position);
    for (key, value) in row
        .labels
        .iter()
        .filter(|(key, value)| device.labels.get(*key) != Some(*value))
    {
        merged.to_mut().labels.insert(key.clone(), value.clone());
    }
    for (key, value) in row
        .variables
        .iter()
        .filter(|(key, value)| device.variables.get(*key) != Some(*value))
    {
        merged.to_mut().variables.insert(key.clone(), value.clone());
    }
    merged
}
