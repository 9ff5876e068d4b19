//! What the columns of a file mean: by the mapping that was asked for, by one that was made for such files, by one that
//! comes with the registry, or by one that is proposed from names and values.

use super::{check::Stop, typed};
use crate::{
    fault::Fault,
    service::{OrFault as _, Service},
};
use muster_domain::{
    Code, Refusal,
    batch::{BatchSpec, CredentialKind},
    catalog::{Applied, Catalog, Resource, Revision, RevisionNumber},
    manifest::{
        CheckedMapping, FieldSource, Format, Mapping, MappingSource, Preset, ReadOptions, Reader, Record,
        SAMPLE_LIMIT, Survey, suggested_name,
    },
    names::{MappingName, OperatorName},
};
use serde::{Deserialize, Serialize};
use std::io::{Read, Seek};

/// The field of certificate requests, keys and certificates.
const CREDENTIAL: &str = "credential";

/// How a file was understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Understood {
    /// Columns as the file names them, and the fields they fill.
    pub columns: Vec<(String, String)>,
    /// The mapping that is used.
    pub mapping: UsedMapping,
    /// What it is written in.
    pub format: Format,
    /// Spreadsheets: the sheet.
    pub sheet: Option<String>,
    /// The row that names the columns; 0 where there is none.
    pub header_row: u32,
}

/// The mapping that a file is read by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedMapping {
    /// Its revision in the catalog; `None` when it is proposed and not kept yet.
    pub kept: Option<(MappingName, RevisionNumber)>,
    /// The name to keep it under; `None` when it need not be kept.
    pub keep_as: Option<MappingName>,
    /// As JSON, as the catalog shows it.
    pub source: String,
}

/// Something that columns can be read by.
pub(super) struct Meaning {
    pub(super) mapping: Mapping,
    pub(super) used: UsedMapping,
    /// Records that were looked at already.
    pub(super) sample: Vec<Record>,
}

/// Several refusals of a header as one: an import fails for one reason, which names all the columns.
fn together(refusals: Vec<Refusal>) -> Refusal {
    let mut refusals = refusals.into_iter();
    let first = refusals
        .next()
        .unwrap_or_else(|| Refusal::new(Code::ManifestUnreadable, "has no usable header"));
    let rest: String = refusals
        .map(|other| format!("; {}: {}", other.field, other.message))
        .collect();
    Refusal {
        message: first.message + &rest,
        ..first
    }
}

/// A mapping that somebody made.
pub(super) enum Given<'c> {
    /// An operator, and it is on record.
    Kept(&'c Revision<CheckedMapping>),
    /// It comes with the registry.
    Preset(Box<CheckedMapping>),
}

impl Given<'_> {
    pub(super) const fn content(&self) -> &CheckedMapping {
        match self {
            Self::Kept(revision) => &revision.content,
            Self::Preset(checked) => checked,
        }
    }
}

/// The mapping that the caller names. An operator's own goes before one of the registry's of the same name.
pub(super) fn given<'c>(catalog: &'c Catalog, spec: &BatchSpec) -> Result<Option<Given<'c>>, Refusal> {
    let Some((name, number)) = &spec.mapping else {
        return Ok(None);
    };
    let found = match number {
        Some(number) => catalog.mapping_at(name, *number),
        None => catalog.mapping(name),
    };
    if let Some(revision) = found {
        return Ok(Some(Given::Kept(revision)));
    }
    match Preset::named(name.as_str()).filter(|_| number.is_none()) {
        Some(preset) => Ok(Some(Given::Preset(Box::new(
            preset.source().check().map_err(together)?,
        )))),
        None => {
            let revision = number
                .map(|number| format!("/revisions/{number}"))
                .unwrap_or_default();
            let why = format!("there is no mappings/{name}{revision}");
            Err(Refusal::new(Code::NotFound, why).at("spec.mapping"))
        }
    }
}

/// The mapping of the registry for files of this form. Makers list columns for credentials that not every product has: where
/// nobody asked for credentials and no row seen brings one, there is none to read.
fn preset<R: Read + Seek>(
    reader: &Reader<R>,
    sample: &[Record],
    wanted: CredentialKind,
) -> Option<MappingSource> {
    let mut source = Preset::of(reader.format(), reader.columns())?.source();
    let wants = match wanted {
        CredentialKind::Code | CredentialKind::Key => false,
        CredentialKind::Csr | CredentialKind::Pinned => true,
    };
    let brings = |field: &FieldSource| {
        field.field == CREDENTIAL
            && sample.iter().any(|record| {
                let mut filled = record.fields().filter(|(_, text)| !text.is_empty());
                filled.any(|(name, _)| field.columns.iter().any(|column| column == name))
            })
    };
    if !wants && !source.fields.iter().any(brings) {
        source.fields.retain(|field| field.field != CREDENTIAL);
    }
    Some(source)
}

/// How to read the file, as the caller says and else the mapping.
pub(super) fn options(spec: &BatchSpec, given: Option<&CheckedMapping>) -> ReadOptions {
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut options = ReadOptions {
        file_name: spec.file_name.clone(),
        format: spec.format,
        sheet: said(&spec.sheet),
        header_row: (spec.header_row > 0).then_some(spec.header_row),
        record_path: said(&spec.record_path),
        signers: spec.signers.clone(),
    };
    if let Some(given) = given {
        given.complete(&mut options);
    }
    options
}

/// The first records.
fn sample<R: Read + Seek>(
    reader: &mut Reader<R>,
    unread: impl Fn(muster_domain::manifest::ReadError) -> Stop,
) -> Result<Vec<Record>, Stop> {
    let mut sample = Vec::new();
    while sample.len() < SAMPLE_LIMIT {
        let mut record = Record::default();
        if !reader.read(&mut record).map_err(&unread)? {
            break;
        }
        sample.push(record);
    }
    Ok(sample)
}

fn json(source: &MappingSource) -> Result<String, Fault> {
    serde_json::to_string(source).or_fault("write a mapping down")
}

fn of_revision(
    revision: &Revision<CheckedMapping>,
    keep_as: Option<MappingName>,
) -> Result<UsedMapping, Fault> {
    let content = &revision.content;
    Ok(UsedMapping {
        kept: Some((content.name().clone(), revision.number)),
        keep_as: keep_as.filter(|name| name != content.name()),
        source: json(content.source())?,
    })
}

/// What the columns mean.
pub(super) fn understand<R: Read + Seek>(
    reader: &mut Reader<R>,
    spec: &BatchSpec,
    catalog: &Catalog,
    given: Option<Given<'_>>,
    unread: impl Fn(muster_domain::manifest::ReadError) -> Stop,
) -> Result<Meaning, Stop> {
    let has_model = spec.default_model.is_some();
    if typed::is_typed(spec) {
        // Typed rows name their fields; nothing is guessed of them.
        return Ok(Meaning {
            mapping: Mapping::of(reader, has_model).map_err(together)?,
            used: UsedMapping {
                kept: None,
                keep_as: None,
                source: String::new(),
            },
            sample: Vec::new(),
        });
    }
    let sample = match given {
        Some(_) => Vec::new(),
        None => sample(reader, unread)?,
    };
    let survey = Survey::new(reader.columns(), &sample);
    let default_model = spec.default_model.as_ref();
    let found = match given {
        Some(given) => Some(given),
        None => match survey.find(catalog, default_model) {
            Some(revision) => Some(Given::Kept(revision)),
            None => preset(reader, &sample, spec.credential)
                .map(|source| source.check().map(Box::new).map(Given::Preset))
                .transpose()
                .map_err(together)?,
        },
    };
    let (checked, used) = match found {
        Some(Given::Kept(revision)) => {
            let used = of_revision(revision, spec.save_mapping.clone())?;
            (revision.content.clone(), used)
        }
        Some(Given::Preset(checked)) => {
            let used = UsedMapping {
                kept: None,
                keep_as: spec.save_mapping.clone(),
                source: json(checked.source())?,
            };
            (*checked, used)
        }
        None => {
            let source = survey.propose(catalog, default_model);
            let suggested = suggested_name(default_model, &survey.models(catalog));
            // A mapping that somebody made is not replaced by a proposal, unless they say so.
            let suggested = suggested.filter(|name| catalog.mapping(name).is_none());
            let used = UsedMapping {
                kept: None,
                keep_as: spec.save_mapping.clone().or(suggested),
                source: json(&source)?,
            };
            (source.check().map_err(together)?, used)
        }
    };
    let mapping = Mapping::resolve(&checked, reader.columns(), reader.format(), has_model);
    Ok(Meaning {
        mapping: mapping.map_err(together)?,
        used,
        sample,
    })
}

impl UsedMapping {
    /// What it says, in full, whatever it is called: for the hash of a plan.
    pub(super) fn content(&self) -> Vec<u8> {
        let anonymous = serde_json::from_str::<MappingSource>(&self.source).map(|source| MappingSource {
            name: String::new(),
            ..source
        });
        anonymous
            .and_then(|source| serde_json::to_vec(&source))
            .unwrap_or_else(|_| self.source.clone().into_bytes())
    }
}

impl Service {
    /// Keeps the mapping of a batch that is applied, under the name it goes by; a mapping that cannot be kept is no reason
    /// to stop an import.
    pub(super) async fn keep_mapping(
        &self,
        used: &UsedMapping,
        author: OperatorName,
        file_name: &str,
    ) -> Result<Option<(MappingName, RevisionNumber)>, Fault> {
        let Some(name) = &used.keep_as else {
            return Ok(used.kept.clone());
        };
        let source: MappingSource = serde_json::from_str(&used.source).or_fault("read a mapping")?;
        let source = MappingSource {
            name: name.to_string(),
            ..source
        };
        let Ok(checked) = source.check() else {
            return Ok(used.kept.clone());
        };
        let message = format!("as {file_name} was read");
        let resources = vec![Resource::Mapping(checked)];
        let kept = self
            .store
            .apply_catalog(resources, author, vec![message], self.clock.now(), false)
            .await
            .or_fault("keep a mapping")?;
        Ok(match kept.as_deref() {
            Ok([Applied::Created(number) | Applied::Updated(number) | Applied::Unchanged(number)]) => {
                Some((name.clone(), *number))
            }
            Ok(_) => used.kept.clone(),
            Err(refusals) => {
                tracing::info!(mapping = %name, ?refusals, "a mapping was not kept");
                used.kept.clone()
            }
        })
    }
}
