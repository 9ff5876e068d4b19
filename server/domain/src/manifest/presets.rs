//! Mappings that come with the registry, for files that many makers and clouds have the same form of.
//!
//! They are data: each is an ordinary [`MappingSource`], can be shown, copied and changed, and is chosen by what the file
//! is, never by what it is called. What a preset does not name is kept with the device.

use super::{
    Format,
    mapping::{FieldSource, MappingSource, column_key},
};

/// A mapping that comes with the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// As `--mapping` names it.
    pub name: &'static str,
    /// For people.
    pub description: &'static str,
    /// A format that no other preset reads.
    format: Option<(Format, &'static str)>,
    /// Columns by which the form is known: all of one of these sets.
    marks: &'static [&'static [&'static str]],
    fields: &'static [Entry],
}

/// One field, and what it is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    field: &'static str,
    columns: &'static [&'static str],
    /// All of the columns, one behind the other.
    is_joined: bool,
}

const fn entry(field: &'static str, columns: &'static [&'static str]) -> Entry {
    Entry {
        field,
        columns,
        is_joined: false,
    }
}

/// Columns that hold secrets: a one-time password, a password. They are not ours to keep.
const CUMULOCITY_SECRETS: &[&str] = &["ENROLLMENT_OTP", "CREDENTIALS"];

const PRESETS: [Preset; 6] = [
    Preset {
        name: "microchip",
        description: "Secure elements of the Microchip Trust Platform: signed manifests, versions 1 to 3. The serial is \
                      the element's; the credential is its certificate, or its public key where it has none.",
        format: Some((Format::Microchip, "microchip")),
        marks: &[],
        fields: &[
            entry("serial", &["uniqueId"]),
            // Of two blocks of PEM the first counts, and a cell that is empty is left out.
            Entry {
                field: "credential",
                columns: &["certificate", "publicKey"],
                is_joined: true,
            },
        ],
    },
    Preset {
        name: "certificates",
        description: "A ZIP archive of certificates, one device each. The serial is that of the subject, else its common \
                      name.",
        format: Some((Format::Certificates, "certificates")),
        marks: &[],
        fields: &[
            entry("serial", &["serial"]),
            entry("credential", &["certificate"]),
        ],
    },
    Preset {
        name: "espressif",
        description: "Pre-provisioned modules of Espressif: address, common name and certificate.",
        format: None,
        marks: &[&["MAC", "cn", "cert"]],
        fields: &[
            entry("serial", &["cn"]),
            entry("mac", &["MAC"]),
            entry("credential", &["cert"]),
        ],
    },
    Preset {
        name: "espressif-certificates",
        description: "Modules of Espressif by their certificates alone. The address is kept as a label and identifies nothing: \
                      for files whose addresses are not those of the modules.",
        format: None,
        marks: &[],
        fields: &[
            entry("serial", &["cn"]),
            entry("labels.mac", &["MAC"]),
            entry("credential", &["cert"]),
        ],
    },
    Preset {
        name: "aws-bulk",
        description: "Bulk registration of AWS IoT: an object a line, with name, serial and certificate request.",
        format: None,
        marks: &[&["ThingName", "SerialNumber", "CSR"]],
        fields: &[
            entry("serial", &["SerialNumber"]),
            entry("credential", &["CSR"]),
            entry("labels.thing_name", &["ThingName"]),
        ],
    },
    Preset {
        name: "cumulocity",
        description: "Bulk registration of Cumulocity. Its passwords are for Cumulocity alone and are not kept.",
        format: None,
        marks: &[
            &["ID", "AUTH_TYPE"],
            &["ID", "ENROLLMENT_OTP"],
            &["ID", "CREDENTIALS", "PATH"],
        ],
        fields: &[
            entry("serial", &["ID"]),
            entry("model", &["TYPE"]),
            entry("labels.name", &["NAME"]),
            entry("labels.iccid", &["ICCID"]),
            entry("ignored", CUMULOCITY_SECRETS),
        ],
    },
];

/// All of them.
pub const fn presets() -> &'static [Preset] {
    &PRESETS
}

impl Preset {
    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// The one whose form a file has.
    pub fn of(format: Format, columns: &[String]) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.fits(format, columns))
    }

    /// Has a file the form that this is for?
    fn fits(&self, format: Format, columns: &[String]) -> bool {
        let has = |mark: &&str| {
            columns
                .iter()
                .any(|column| column_key(column) == column_key(mark))
        };
        match (self.format, format) {
            (Some((own, _)), given) => own == given,
            // These name their cells themselves: a column called like one of them is a coincidence.
            (None, Format::Microchip | Format::Certificates) => false,
            (
                None,
                Format::Csv
                | Format::Ndjson
                | Format::Json
                | Format::Xml
                | Format::Xlsx
                | Format::Xls
                | Format::Ods,
            ) => self.marks.iter().any(|marks| marks.iter().all(has)),
        }
    }

    /// The mapping, as a person would write it.
    pub fn source(&self) -> MappingSource {
        MappingSource {
            name: self.name.to_owned(),
            description: self.description.to_owned(),
            format: self.format.map_or_else(String::new, |(_, name)| name.to_owned()),
            fields: self.fields.iter().map(Entry::source).collect(),
            ..MappingSource::default()
        }
    }
}

impl Entry {
    fn source(&self) -> FieldSource {
        FieldSource {
            field: self.field.to_owned(),
            columns: self.columns.iter().map(|column| (*column).to_owned()).collect(),
            join: self.is_joined.then(|| "\n".to_owned()),
            ..FieldSource::default()
        }
    }
}
