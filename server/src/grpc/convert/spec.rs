//! What is sent, and how to treat it.

use super::id;
use muster_domain::{
    Code, Refusal,
    batch::{BatchSpec, CredentialKind, KeyFormat, PlanHash, RetryFile},
    catalog::RevisionNumber,
    manifest::{Format, Writes},
    names::MappingName,
};
use muster_proto::v1;
use prost_types::FieldMask;
use std::time::Duration;

/// Longest name of a file that is kept, in bytes; more is cut.
const FILE_NAME_LIMIT: usize = 255;
/// Longest name of a sheet, element or key, in bytes.
const NAME_LIMIT: usize = 1024;
/// Most certificates of signers, and bytes of one.
const SIGNERS_LIMIT: usize = 64;
const SIGNER_LIMIT: usize = 8 << 10;
/// Most paths of an update mask: as many as a file has columns.
const PATHS_LIMIT: usize = 256;
/// Longest recipient of `age`; an X25519 one has 62 characters.
const RECIPIENT_LIMIT: usize = 4 << 10;

const FORMATS: [(v1::ManifestFormat, Format); 9] = [
    (v1::ManifestFormat::Csv, Format::Csv),
    (v1::ManifestFormat::Ndjson, Format::Ndjson),
    (v1::ManifestFormat::Json, Format::Json),
    (v1::ManifestFormat::Xml, Format::Xml),
    (v1::ManifestFormat::Xlsx, Format::Xlsx),
    (v1::ManifestFormat::Xls, Format::Xls),
    (v1::ManifestFormat::Ods, Format::Ods),
    (v1::ManifestFormat::Microchip, Format::Microchip),
    (v1::ManifestFormat::Certificates, Format::Certificates),
];

fn wrong(field: &str, why: impl Into<String>) -> Refusal {
    Refusal::new(Code::RequestInvalid, why).at(format!("spec.{field}"))
}

fn text(text: String, limit: usize, field: &str) -> Result<String, Refusal> {
    if text.len() <= limit {
        Ok(text)
    } else {
        Err(wrong(field, format!("is longer than {limit} bytes")))
    }
}

fn file_name(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(FILE_NAME_LIMIT));
    name
}

fn format(number: i32) -> Result<Option<Format>, Refusal> {
    match v1::ManifestFormat::try_from(number) {
        Ok(v1::ManifestFormat::Unspecified) => Ok(None),
        Ok(wire) => Ok(FORMATS
            .into_iter()
            .find(|(known, _)| *known == wire)
            .map(|(_, format)| format)),
        Err(_) => Err(wrong("format", "is not a format we know")),
    }
}

/// The format on the wire.
pub(crate) fn wire_format(format: Option<Format>) -> v1::ManifestFormat {
    let found = format.and_then(|format| FORMATS.into_iter().find(|(_, known)| *known == format));
    found.map_or(v1::ManifestFormat::Unspecified, |(wire, _)| wire)
}

/// `mappings/line-7` or `mappings/line-7/revisions/3`.
fn mapping(text: &str) -> Result<Option<(MappingName, Option<RevisionNumber>)>, Refusal> {
    let (base, revision) = match text.split_once("/revisions/") {
        _ if text.is_empty() => return Ok(None),
        None => (text, None),
        Some((base, number)) => {
            let number = number
                .parse()
                .map_err(|_| wrong("mapping", format!("{number:?} is no revision")))?;
            (base, Some(number))
        }
    };
    Ok(Some((id(base, "mappings", "spec.mapping")?, revision)))
}

fn optional<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: &str,
    collection: &str,
    field: &str,
) -> Result<Option<T>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    id(text, collection, &format!("spec.{field}")).map(Some)
}

/// A hash of a plan; empty for none.
pub(crate) fn plan_hash(bytes: &[u8], field: &str) -> Result<Option<PlanHash>, Refusal> {
    match <[u8; 32]>::try_from(bytes) {
        Ok(hash) => Ok(Some(PlanHash(hash))),
        Err(_) if bytes.is_empty() => Ok(None),
        Err(_) => Err(Refusal::new(Code::RequestInvalid, "is not a SHA-256").at(field)),
    }
}

fn signers(signers: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Refusal> {
    if signers.len() > SIGNERS_LIMIT {
        return Err(wrong("signers", format!("are more than {SIGNERS_LIMIT}")));
    }
    match signers.iter().position(|der| der.len() > SIGNER_LIMIT) {
        Some(place) => Err(wrong(
            &format!("signers[{place}]"),
            format!("is over {SIGNER_LIMIT} bytes"),
        )),
        None => Ok(signers),
    }
}

fn update_mask(mask: Option<FieldMask>) -> Result<Vec<String>, Refusal> {
    let paths = mask.unwrap_or_default().paths;
    if paths.len() > PATHS_LIMIT {
        return Err(wrong("update_mask", format!("has more than {PATHS_LIMIT} paths")));
    }
    for (place, path) in paths.iter().enumerate() {
        let whole = matches!(
            path.as_str(),
            "mac"
                | "hardware"
                | "firmware"
                | "site"
                | "position"
                | "spki_sha256"
                | "claim_not_before"
                | "claim_not_after"
                | "labels"
                | "variables"
        );
        let part = ["labels.", "variables."]
            .iter()
            .any(|prefix| path.len() > prefix.len() && path.starts_with(prefix));
        if !(whole || part) || path.len() > NAME_LIMIT {
            let field = format!("update_mask.paths[{place}]");
            return Err(wrong(&field, "is not a field that a row can change"));
        }
    }
    Ok(paths)
}

fn writes(number: i32) -> Result<Writes, Refusal> {
    match v1::Writes::try_from(number) {
        Ok(v1::Writes::Unspecified | v1::Writes::CreateOrUpdate) => Ok(Writes::CreateOrUpdate),
        Ok(v1::Writes::CreateOnly) => Ok(Writes::CreateOnly),
        Ok(v1::Writes::UpdateOnly) => Ok(Writes::UpdateOnly),
        Err(_) => Err(wrong("writes", "is not a value we know")),
    }
}

fn credential(number: i32) -> Result<CredentialKind, Refusal> {
    match v1::CredentialKind::try_from(number) {
        Ok(v1::CredentialKind::Unspecified | v1::CredentialKind::Code) => Ok(CredentialKind::Code),
        Ok(v1::CredentialKind::Csr) => Ok(CredentialKind::Csr),
        Ok(v1::CredentialKind::Key) => Ok(CredentialKind::Key),
        Ok(v1::CredentialKind::Pinned) => Ok(CredentialKind::Pinned),
        Err(_) => Err(wrong("credential", "is not a value we know")),
    }
}

fn key_format(number: i32) -> Result<KeyFormat, Refusal> {
    match v1::KeyFormat::try_from(number) {
        Ok(v1::KeyFormat::Unspecified | v1::KeyFormat::Pem) => Ok(KeyFormat::Pem),
        Ok(v1::KeyFormat::Pkcs12) => Ok(KeyFormat::Pkcs12),
        Err(_) => Err(wrong("key_format", "is not a value we know")),
    }
}

/// What the caller says, checked for form.
pub(crate) fn spec(wire: v1::BatchSpec) -> Result<BatchSpec, Refusal> {
    Ok(BatchSpec {
        file_name: file_name(wire.file_name),
        format: format(wire.format)?,
        sheet: text(wire.sheet, NAME_LIMIT, "sheet")?,
        header_row: wire.header_row,
        record_path: text(wire.record_path, NAME_LIMIT, "record_path")?,
        signers: signers(wire.signers)?,
        mapping: mapping(&wire.mapping)?,
        save_mapping: optional(&wire.save_mapping, "mappings", "save_mapping")?,
        default_model: optional(&wire.default_model, "models", "default_model")?,
        validate_only: wire.validate_only,
        plan_hash: plan_hash(&wire.plan_hash, "spec.plan_hash")?,
        all_or_nothing: wire.all_or_nothing,
        writes: writes(wire.writes)?,
        update_mask: update_mask(wire.update_mask)?,
        credential: credential(wire.credential)?,
        code_ttl: Duration::from_secs(wire.code_ttl_seconds),
        key_format: key_format(wire.key_format)?,
        key_recipient: text(wire.key_recipient, RECIPIENT_LIMIT, "key_recipient")?,
    })
}

/// Of a file that is sent again only these count.
pub(crate) fn retry(wire: v1::BatchSpec) -> Result<RetryFile, Refusal> {
    Ok(RetryFile {
        file_name: file_name(wire.file_name),
        format: format(wire.format)?,
        sheet: text(wire.sheet, NAME_LIMIT, "sheet")?,
        header_row: wire.header_row,
    })
}

/// Typed rows are no file: what describes one must be empty.
pub(crate) fn typed(spec: BatchSpec) -> Result<BatchSpec, Refusal> {
    let said = [
        ("file_name", !spec.file_name.is_empty()),
        ("format", spec.format.is_some()),
        ("sheet", !spec.sheet.is_empty()),
        ("header_row", spec.header_row != 0),
        ("record_path", !spec.record_path.is_empty()),
        ("signers", !spec.signers.is_empty()),
        ("mapping", spec.mapping.is_some()),
        ("save_mapping", spec.save_mapping.is_some()),
    ];
    if let Some((field, _)) = said.into_iter().find(|(_, said)| *said) {
        return Err(wrong(field, "must be empty: rows are no file"));
    }
    Ok(spec)
}

fn mapping_name(mapping: &(MappingName, Option<RevisionNumber>)) -> String {
    match mapping {
        (name, None) => format!("mappings/{name}"),
        (name, Some(number)) => format!("mappings/{name}/revisions/{number}"),
    }
}

/// The spec as the caller said it.
pub(crate) fn wire(spec: &BatchSpec) -> v1::BatchSpec {
    let writes = match spec.writes {
        Writes::CreateOrUpdate => v1::Writes::CreateOrUpdate,
        Writes::CreateOnly => v1::Writes::CreateOnly,
        Writes::UpdateOnly => v1::Writes::UpdateOnly,
    };
    let credential = match spec.credential {
        CredentialKind::Code => v1::CredentialKind::Code,
        CredentialKind::Csr => v1::CredentialKind::Csr,
        CredentialKind::Key => v1::CredentialKind::Key,
        CredentialKind::Pinned => v1::CredentialKind::Pinned,
    };
    let key_format = match spec.key_format {
        KeyFormat::Pem => v1::KeyFormat::Pem,
        KeyFormat::Pkcs12 => v1::KeyFormat::Pkcs12,
    };
    let mask = FieldMask {
        paths: spec.update_mask.clone(),
    };
    let named = |collection: &str, name: Option<&str>| name.map(|name| format!("{collection}/{name}"));
    v1::BatchSpec {
        file_name: spec.file_name.clone(),
        format: wire_format(spec.format).into(),
        sheet: spec.sheet.clone(),
        header_row: spec.header_row,
        record_path: spec.record_path.clone(),
        signers: spec.signers.clone(),
        mapping: spec.mapping.as_ref().map(mapping_name).unwrap_or_default(),
        save_mapping: named("mappings", spec.save_mapping.as_ref().map(|name| name.as_str()))
            .unwrap_or_default(),
        default_model: named("models", spec.default_model.as_ref().map(|name| name.as_str()))
            .unwrap_or_default(),
        validate_only: spec.validate_only,
        plan_hash: spec.plan_hash.map(|hash| hash.0.to_vec()).unwrap_or_default(),
        all_or_nothing: spec.all_or_nothing,
        writes: writes.into(),
        update_mask: (!spec.update_mask.is_empty()).then_some(mask),
        credential: credential.into(),
        code_ttl_seconds: spec.code_ttl.as_secs(),
        key_format: key_format.into(),
        key_recipient: spec.key_recipient.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> v1::BatchSpec {
        v1::BatchSpec {
            file_name: "line7.csv".into(),
            format: v1::ManifestFormat::Xlsx.into(),
            sheet: "Devices".into(),
            header_row: 3,
            record_path: "device".into(),
            signers: vec![vec![1, 2]],
            mapping: "mappings/line-7/revisions/3".into(),
            save_mapping: "mappings/line-8".into(),
            default_model: "models/GW-200".into(),
            validate_only: true,
            plan_hash: vec![7; 32],
            all_or_nothing: true,
            writes: v1::Writes::CreateOnly.into(),
            update_mask: Some(FieldMask {
                paths: vec!["site".into(), "labels.line".into()],
            }),
            credential: v1::CredentialKind::Csr.into(),
            code_ttl_seconds: 60,
            key_format: v1::KeyFormat::Pkcs12.into(),
            key_recipient: "age1".into(),
        }
    }

    #[test]
    fn a_spec_comes_back_as_it_was_said() {
        assert_eq!(spec(full()).map(|spec| wire(&spec)), Ok(full()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_at_its_field() {
        type Mend = fn(&mut v1::BatchSpec);
        let cases: [(&str, Mend); 9] = [
            ("spec.format", |spec| spec.format = 99),
            ("spec.writes", |spec| spec.writes = -1),
            ("spec.credential", |spec| spec.credential = 5),
            ("spec.key_format", |spec| spec.key_format = 3),
            ("spec.mapping", |spec| {
                spec.mapping = "mappings/x/revisions/y".into()
            }),
            ("spec.plan_hash", |spec| spec.plan_hash = vec![1]),
            ("spec.sheet", |spec| spec.sheet = "x".repeat(2000)),
            ("spec.signers[1]", |spec| spec.signers.push(vec![0; 1 << 20])),
            ("spec.update_mask.paths[0]", |spec| {
                spec.update_mask = Some(FieldMask {
                    paths: vec!["serial".into()],
                });
            }),
        ];
        for (field, mend) in cases {
            let mut wire = full();
            mend(&mut wire);
            assert_eq!(spec(wire).unwrap_err().field, field);
        }
    }

    #[test]
    fn rows_are_no_file() {
        let named = spec(full()).unwrap();
        assert_eq!(typed(named).unwrap_err().field, "spec.file_name");
        assert_eq!(typed(BatchSpec::default()), Ok(BatchSpec::default()));
    }
}
