//! The usual names of columns.
//!
//! Names are compared without case, accents, blanks and punctuation, so `Serial No.`, `serial_no` and `SERIALNO` are
//! one, and so are `Número de série` and `numero-de-serie`.

use super::{Field, field::NAME_LIMIT};
use unicode_normalization::UnicodeNormalization as _;

/// English, then German, French, Spanish and Portuguese; as [`bare`] writes them.
const NAMES: [(&[&str], Field); 12] = [
    (
        &[
            "serial",
            "serialno",
            "serialnumber",
            "serialnr",
            "serialnum",
            "sn",
            "deviceserial",
            "deviceserialnumber",
            "seriennummer",
            "seriennr",
            "fabriknummer",
            "numerodeserie",
            "numserie",
            "noserie",
            "nodeserie",
            "nserie",
            "ndeserie",
            "nrserie",
            "numeroserie",
        ],
        Field::Serial,
    ),
    (
        &[
            "mac",
            "macaddress",
            "macaddr",
            "eui",
            "eui48",
            "eui64",
            "deveui",
            "wifimac",
            "wifimacaddress",
            "wlanmac",
            "ethmac",
            "ethernetmac",
            "lanmac",
            "btmac",
            "blemac",
            "hwaddr",
            "hardwareaddress",
            "physicaladdress",
            "macadresse",
            "hardwareadresse",
            "physikalischeadresse",
            "adressemac",
            "adressephysique",
            "direccionmac",
            "direccionfisica",
            "enderecomac",
            "enderecofisico",
        ],
        Field::Mac,
    ),
    (
        &[
            "model",
            "devicemodel",
            "modelname",
            "modelno",
            "modelnumber",
            "product",
            "productname",
            "sku",
            "partnumber",
            "partno",
            "devicetype",
            "type",
            "modell",
            "geratetyp",
            "geraetetyp",
            "typ",
            "artikelnummer",
            "artikelnr",
            "produkt",
            "modele",
            "produit",
            "typedappareil",
            "modelo",
            "producto",
            "tipodedispositivo",
            "produto",
        ],
        Field::Model,
    ),
    (
        &[
            "hardware",
            "hw",
            "hwrev",
            "hwrevision",
            "hwversion",
            "hardwarerev",
            "hardwarerevision",
            "hardwareversion",
            "revision",
            "rev",
            "hardwarestand",
            "revisionmaterielle",
            "versionmaterielle",
            "materiel",
            "revisiondehardware",
            "versiondehardware",
            "revisaodehardware",
            "versaodehardware",
            "revisao",
        ],
        Field::Hardware,
    ),
    (
        &[
            "firmware",
            "fw",
            "fwversion",
            "fwrev",
            "firmwareversion",
            "factoryfirmware",
            "softwareversion",
            "swversion",
            "version",
            "firmwarestand",
            "softwarestand",
            "micrologiciel",
            "versiondumicrologiciel",
            "versiondefirmware",
            "versionfirmware",
            "versiondesoftware",
            "versaodefirmware",
            "versaodofirmware",
            "versaodesoftware",
        ],
        Field::Firmware,
    ),
    (
        &[
            "site",
            "sitecode",
            "siteid",
            "location",
            "locationcode",
            "plant",
            "standort",
            "standortcode",
            "werk",
            "emplacement",
            "codesite",
            "codedusite",
            "usine",
            "sitio",
            "ubicacion",
            "planta",
            "localizacao",
            "fabrica",
        ],
        Field::Site,
    ),
    (
        &[
            "position",
            "pos",
            "place",
            "spot",
            "einbauort",
            "platz",
            "posicion",
            "posicao",
        ],
        Field::Position,
    ),
    (
        &[
            "credential",
            "csr",
            "certificaterequest",
            "certificatesigningrequest",
            "certificate",
            "cert",
            "devicecertificate",
            "publickey",
            "pubkey",
            "zertifikat",
            "zertifikatsanforderung",
            "certificat",
            "clepublique",
            "certificado",
            "clavepublica",
            "chavepublica",
        ],
        Field::Credential,
    ),
    (&["etag", "ifmatch"], Field::Etag),
    // Only names that say which digest it is: a "fingerprint" may be any, and a code bound to the wrong one is of no use.
    (
        &[
            "spkisha256",
            "sha256spki",
            "spki",
            "spkihash",
            "spkidigest",
            "spkifingerprint",
            "keysha256",
            "devicekeysha256",
            "publickeysha256",
            "pubkeysha256",
            "claimspkisha256",
        ],
        Field::SpkiSha256,
    ),
    (
        &[
            "claimnotbefore",
            "claimfrom",
            "claimstart",
            "claimopens",
            "claimwindowopens",
            "claimwindowstart",
            "claimwindowfrom",
        ],
        Field::ClaimNotBefore,
    ),
    (
        &[
            "claimnotafter",
            "claimuntil",
            "claimend",
            "claimcloses",
            "claimexpires",
            "claimwindowcloses",
            "claimwindowend",
            "claimwindowuntil",
        ],
        Field::ClaimNotAfter,
    ),
];

/// Prefixes of columns that are labels and variables; nested objects of NDJSON have them too.
const LABEL_PREFIXES: [&str; 3] = ["label", "labels", "tags"];
const VARIABLE_PREFIXES: [&str; 5] = ["var", "vars", "variable", "variables", "attributes"];

/// What a column of this name usually holds; `None` when we know no such name.
pub(super) fn field(column: &str) -> Option<Field> {
    prefixed(column).or_else(|| {
        let bare = bare(column);
        let known = NAMES.iter().find(|(names, _)| names.contains(&bare.as_str()));
        known.map(|(_, field)| field.clone())
    })
}

/// The label or variable that a column names itself, such as `labels.env` or `attributes.interval_s`.
pub(super) fn prefixed(column: &str) -> Option<Field> {
    let (prefix, name) = column.split_once([':', '.'])?;
    let prefix = bare(prefix);
    if LABEL_PREFIXES.contains(&prefix.as_str()) && !name.trim().is_empty() {
        return Some(named(name.trim(), Field::Label));
    }
    VARIABLE_PREFIXES
        .contains(&prefix.as_str())
        .then(|| named(&snake(name), Field::Variable))
}

/// A column without a usable name is not data for a device.
pub(super) fn named(name: &str, field: fn(String) -> Field) -> Field {
    if name.is_empty() || name.len() > NAME_LIMIT {
        Field::Ignored
    } else {
        field(name.to_owned())
    }
}

/// A name for comparison: letters and digits of any script in lower case, Latin ones without their accents.
pub(super) fn bare(text: &str) -> String {
    if text.is_ascii() {
        let plain = text.bytes().filter(u8::is_ascii_alphanumeric);
        return plain.map(|byte| char::from(byte.to_ascii_lowercase())).collect();
    }
    let mut bare = String::with_capacity(text.len());
    // Decomposed, accents are characters of their own (U+0300 and up), which are no letters.
    for c in text.nfkd().flat_map(char::to_lowercase) {
        match c {
            'ß' => bare.push_str("ss"),
            'æ' => bare.push_str("ae"),
            'œ' => bare.push_str("oe"),
            'ø' => bare.push('o'),
            'ł' => bare.push('l'),
            c if c.is_alphanumeric() => bare.push(c),
            _ => {}
        }
    }
    bare
}

/// Letters and digits in lower case, with one underscore for whatever is between them: a name that templates can use.
pub(super) fn snake(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let words = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}
