//! What the maker says of one secure element: the payload of an entry, versions 1 to 3.
//!
//! Version 2 has serials only. Versions 1 and 3 have the public keys of the element's slots, many with a chain of
//! certificates; version 1 can also have secrets, encrypted, which are not read.

use super::{
    super::credential,
    entry::{malformed, unusable},
};
use crate::manifest::Fault;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

/// The names of an element's cells: the maker's own, and what we make of its key.
pub(in crate::manifest) const COLUMNS: [&str; 12] = [
    "uniqueId",
    "version",
    "model",
    "partNumber",
    "groupId",
    "provisioningTimestamp",
    "manufacturer",
    "provisioner",
    "distributor",
    "keySlot",
    "publicKey",
    "certificate",
];
/// Versions of the format.
const VERSIONS: core::ops::RangeInclusive<u32> = 1..=3;
/// The slot of the key that the element proves itself with.
const SLOT: &str = "0";
/// Longest serial of an element, in hexadecimal digits; today's have 18.
const UNIQUE_ID_LIMIT: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'p> {
    version: u32,
    #[serde(borrow)]
    unique_id: &'p str,
    #[serde(default)]
    model: String,
    #[serde(default)]
    part_number: String,
    #[serde(default)]
    group_id: String,
    #[serde(default)]
    provisioning_timestamp: String,
    #[serde(default)]
    manufacturer: EntityName,
    #[serde(default)]
    provisioner: EntityName,
    /// The text of version 1 spells it with an e, its example with an o.
    #[serde(default, alias = "distributer")]
    distributor: EntityName,
    #[serde(default)]
    public_key_set: KeySet,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EntityName {
    organization_name: String,
    organizational_unit_name: String,
}

impl EntityName {
    fn text(self) -> String {
        [self.organization_name, self.organizational_unit_name]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

#[derive(Default, Deserialize)]
struct KeySet {
    #[serde(default)]
    keys: Vec<Key>,
}

/// A JSON Web Key. Keys of other types have other fields, so all are optional.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Key {
    kty: String,
    crv: String,
    x: String,
    y: String,
    /// The slot.
    kid: String,
    /// The certificate of the key and those above it, in base64 of the standard alphabet (RFC 7517, 4.7).
    x5c: Vec<String>,
}

/// A secure element.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Element {
    cells: [String; COLUMNS.len()],
}

impl Element {
    /// From a payload whose signature is verified.
    pub(super) fn read(text: &[u8]) -> Result<Self, Fault> {
        let payload: Payload<'_> =
            serde_json::from_slice(text).map_err(|error| malformed("the payload", &error))?;
        Self::new(payload).map_err(|why| unusable(&why))
    }

    fn new(mut payload: Payload<'_>) -> Result<Self, String> {
        if !VERSIONS.contains(&payload.version) {
            return Err(format!(
                "the payload has the version {}; 1 to 3 are known",
                payload.version
            ));
        }
        let id = payload.unique_id;
        let is_hex =
            !id.is_empty() && id.len() <= UNIQUE_ID_LIMIT && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex {
            return Err("the uniqueId is not hexadecimal".into());
        }
        let key = pick(core::mem::take(&mut payload.public_key_set.keys))?;
        let (slot, public_key, certificate) = match key {
            Some(key) => {
                let (public_key, certificate) = credentials(&key)
                    .map_err(|why| format!("the key of slot {:?} {why}", short(&key.kid)))?;
                (key.kid, public_key, certificate)
            }
            None => Default::default(),
        };
        Ok(Self {
            cells: [
                id.to_owned(),
                payload.version.to_string(),
                payload.model,
                payload.part_number,
                payload.group_id,
                payload.provisioning_timestamp,
                payload.manufacturer.text(),
                payload.provisioner.text(),
                payload.distributor.text(),
                slot,
                public_key,
                certificate,
            ],
        })
    }

    /// The serial of the element.
    pub(super) fn unique_id(&self) -> &str {
        let [unique_id, ..] = &self.cells;
        unique_id
    }

    /// In the order of [`COLUMNS`].
    pub(super) fn cells(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(String::as_str)
    }
}

/// The key on P-256 in the first slot, else the first there is.
fn pick(keys: Vec<Key>) -> Result<Option<Key>, String> {
    let mut usable: Vec<Key> = keys
        .into_iter()
        .filter(|key| (key.kty.as_str(), key.crv.as_str()) == ("EC", "P-256"))
        .collect();
    let mut slots: Vec<&str> = usable.iter().map(|key| key.kid.as_str()).collect();
    slots.sort_unstable();
    if let Some([slot, _]) = slots.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("the payload has two keys of slot {:?}", short(slot)));
    }
    let place = usable.iter().position(|key| key.kid == SLOT).unwrap_or(0);
    Ok((place < usable.len()).then(|| usable.swap_remove(place)))
}

/// What is said back of text that can be of any length.
fn short(text: &str) -> String {
    text.chars().take(16).collect()
}

/// The key and, where there is one, its certificate, as PEM.
fn credentials(key: &Key) -> Result<(String, String), String> {
    let spki = credential::jwk_spki(&key.x, &key.y)?;
    let Some(leaf) = key.x5c.first() else {
        return Ok((credential::armour("PUBLIC KEY", &spki), String::new()));
    };
    let der = STANDARD
        .decode(leaf)
        .map_err(|_| "has a certificate that is not base64 of the standard alphabet")?;
    let certificate =
        credential::Certificate::read(&der).map_err(|why| format!("has a certificate that {why}"))?;
    if certificate.spki != spki {
        return Err("has a certificate of another key".into());
    }
    Ok((
        credential::armour("PUBLIC KEY", &spki),
        credential::armour("CERTIFICATE", &der),
    ))
}
