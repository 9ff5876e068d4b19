//! A device as the filter language sees it.

use super::{Device, LifecycleState, VerificationState};
use crate::{
    catalog::Catalog,
    filter::{CheckedFilter, Field, Filter, FilterError, Kind, Record, Schema, Short, Value},
    names::GroupName,
};

/// The fields that devices can be filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceField {
    /// `id`: assigned by the registry.
    Id,
    /// `serial`: from the manufacturer.
    Serial,
    /// `mac`: in any notation.
    Mac,
    /// `model`: the hardware kind.
    Model,
    /// `hardware`: the hardware revision.
    Hardware,
    /// `firmware`: what the device says it runs.
    Firmware,
    /// `factory_firmware`: what it left the factory with.
    FactoryFirmware,
    /// `site`: the code of its site.
    Site,
    /// `position`: where in the site.
    Position,
    /// `state`: where it stands in its life.
    State,
    /// `verification`: the verdict on its last report.
    Verification,
    /// `batch`: the import that created it.
    Batch,
    /// `row`: its row in that import.
    Row,
    /// `generation`: of its desired state.
    Generation,
    /// `create_time`: when it was registered.
    CreateTime,
    /// `update_time`: when it last changed.
    UpdateTime,
    /// `clone_suspected`: another key came with its code, and nobody has looked into it yet.
    CloneSuspected,
    /// `certificate_not_after`: when its certificate ends.
    CertificateNotAfter,
    /// `trust_version`: of the trusted roots, as it says.
    TrustVersion,
    /// `online`: is it connected?
    Online,
    /// `presence_time`: when it last came or went.
    PresenceTime,
    /// `group`: the groups that it is in.
    Group,
    /// `labels.KEY`.
    Labels,
    /// `variables.KEY`.
    Variables,
}

const STATES: [&str; LifecycleState::ALL.len()] = {
    let mut names = [""; LifecycleState::ALL.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = LifecycleState::ALL[place].as_str();
        place += 1;
    }
    names
};

const VERIFICATIONS: [&str; VerificationState::ALL.len()] = {
    let mut names = [""; VerificationState::ALL.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = VerificationState::ALL[place].as_str();
        place += 1;
    }
    names
};

/// What a listing of devices can be filtered by.
pub const fn schema() -> &'static Schema<DeviceField> {
    const SCHEMA: Schema<DeviceField> = Schema::new(&[
        Field::new(DeviceField::Id, "id", Kind::Text),
        Field::new(DeviceField::Serial, "serial", Kind::Text),
        Field::new(DeviceField::Mac, "mac", Kind::Mac),
        Field::new(DeviceField::Model, "model", Kind::Text),
        Field::new(DeviceField::Hardware, "hardware", Kind::Text),
        Field::new(DeviceField::Firmware, "firmware", Kind::Version),
        Field::new(DeviceField::FactoryFirmware, "factory_firmware", Kind::Version),
        Field::new(DeviceField::Site, "site", Kind::Text),
        Field::new(DeviceField::Position, "position", Kind::Text),
        Field::new(DeviceField::State, "state", Kind::Enum(&STATES)),
        Field::new(
            DeviceField::Verification,
            "verification",
            Kind::Enum(&VERIFICATIONS),
        ),
        Field::new(DeviceField::Batch, "batch", Kind::Text),
        Field::new(DeviceField::Row, "row", Kind::Int),
        Field::new(DeviceField::Generation, "generation", Kind::Int),
        Field::new(DeviceField::CreateTime, "create_time", Kind::Timestamp),
        Field::new(DeviceField::UpdateTime, "update_time", Kind::Timestamp),
        Field::new(DeviceField::CloneSuspected, "clone_suspected", Kind::Bool),
        Field::new(
            DeviceField::CertificateNotAfter,
            "certificate_not_after",
            Kind::Timestamp,
        ),
        Field::new(DeviceField::TrustVersion, "trust_version", Kind::Int),
        Field::new(DeviceField::Online, "online", Kind::Bool),
        Field::new(DeviceField::PresenceTime, "presence_time", Kind::Timestamp),
        Field::new(DeviceField::Group, "group", Kind::Set("a group")),
        Field::new(DeviceField::Labels, "labels", Kind::Labels),
        Field::new(DeviceField::Variables, "variables", Kind::Labels),
    ]);
    &SCHEMA
}

/// What the filter of a group may ask: what a device is by its record alone, and what only an operator's hand or the
/// factory's moves. So what the device must be does not depend on what it says or when it was heard.
pub const fn lasting_schema() -> &'static Schema<DeviceField> {
    const SCHEMA: Schema<DeviceField> = Schema::new(&[
        Field::new(DeviceField::Serial, "serial", Kind::Text),
        Field::new(DeviceField::Mac, "mac", Kind::Mac),
        Field::new(DeviceField::Model, "model", Kind::Text),
        Field::new(DeviceField::Hardware, "hardware", Kind::Text),
        Field::new(DeviceField::FactoryFirmware, "factory_firmware", Kind::Version),
        Field::new(DeviceField::Site, "site", Kind::Text),
        Field::new(DeviceField::Position, "position", Kind::Text),
        Field::new(DeviceField::Batch, "batch", Kind::Text),
        Field::new(DeviceField::CreateTime, "create_time", Kind::Timestamp),
        Field::new(DeviceField::Labels, "labels", Kind::Labels),
        Field::new(DeviceField::Variables, "variables", Kind::Labels),
    ]);
    &SCHEMA
}

/// Checks a filter of devices, its groups being those of the catalog.
///
/// # Errors
/// As [`Filter::check_with`].
pub fn check_filter(filter: &Filter, catalog: &Catalog) -> Result<CheckedFilter<DeviceField>, FilterError> {
    filter.check_with(schema(), catalog)
}

impl Record for Device {
    type Field = DeviceField;

    fn value(&self, field: DeviceField) -> Option<Value<'_>> {
        match field {
            DeviceField::Id => Short::of(self.id).map(Value::Short),
            DeviceField::Serial => Some(Value::Text(self.serial.as_str())),
            DeviceField::Mac => self.mac.and_then(Short::of).map(Value::Short),
            DeviceField::Model => Some(Value::Text(self.model.as_str())),
            DeviceField::Hardware => self.hardware.as_deref().map(Value::Text),
            DeviceField::Firmware => self.reported.as_ref()?.firmware.as_ref().map(Value::Version),
            DeviceField::FactoryFirmware => self.factory_firmware.as_ref().map(Value::Version),
            DeviceField::Site => self.site.as_ref().map(|site| Value::Text(site.as_str())),
            DeviceField::Position => self.position.as_deref().map(Value::Text),
            DeviceField::State => Some(Value::Enum(self.lifecycle.state().as_str())),
            DeviceField::Verification => Some(Value::Enum(self.verification.state().as_str())),
            DeviceField::Batch => Short::of(self.origin.batch).map(Value::Short),
            DeviceField::Row => Some(Value::Int(self.origin.row.into())),
            DeviceField::Generation => i64::try_from(self.target.generation).ok().map(Value::Int),
            DeviceField::CreateTime => Some(Value::Timestamp(self.created)),
            DeviceField::UpdateTime => Some(Value::Timestamp(self.updated)),
            DeviceField::CloneSuspected => Some(Value::Bool(self.alarm.is_some())),
            DeviceField::CertificateNotAfter => self.lifecycle.not_after().map(Value::Timestamp),
            DeviceField::TrustVersion => i64::try_from(self.trust).ok().map(Value::Int),
            DeviceField::Online => Some(Value::Bool(self.is_online())),
            DeviceField::PresenceTime => self.presence.map(|presence| Value::Timestamp(presence.since)),
            DeviceField::Group | DeviceField::Labels | DeviceField::Variables => None,
        }
    }

    fn label(&self, field: DeviceField, key: &str) -> Option<&str> {
        match field {
            DeviceField::Group => self.groups.get(key).map(GroupName::as_str),
            DeviceField::Variables => self.variables.get(key).map(String::as_str),
            DeviceField::Labels => self.labels.get(key).map(String::as_str),
            DeviceField::Id
            | DeviceField::Serial
            | DeviceField::Mac
            | DeviceField::Model
            | DeviceField::Hardware
            | DeviceField::Firmware
            | DeviceField::FactoryFirmware
            | DeviceField::Site
            | DeviceField::Position
            | DeviceField::State
            | DeviceField::Verification
            | DeviceField::Batch
            | DeviceField::Row
            | DeviceField::Generation
            | DeviceField::CreateTime
            | DeviceField::UpdateTime
            | DeviceField::CloneSuspected
            | DeviceField::CertificateNotAfter
            | DeviceField::TrustVersion
            | DeviceField::Online
            | DeviceField::PresenceTime => None,
        }
    }
}
