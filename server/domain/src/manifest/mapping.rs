//! What the columns of a manifest mean.
//!
//! Names are compared without case, blanks and punctuation, so `Serial No.`, `serial_no` and `SERIALNO` are one.
//! A column that means nothing to us is a variable of the device, under its name in snake case.

use super::{Format, Reader, Record};
use crate::{Code, Refusal};
use core::fmt;

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The serial.
    Serial,
    /// The hardware address.
    Mac,
    /// The model.
    Model,
    /// The hardware revision.
    Hardware,
    /// The firmware from the factory.
    Firmware,
    /// The site.
    Site,
    /// The place in the site.
    Position,
    /// A label, by key.
    Label(String),
    /// A variable, by name.
    Variable(String),
    /// Nothing: a column without a name, or one of an earlier results file.
    Ignored,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial => f.write_str("serial"),
            Self::Mac => f.write_str("mac"),
            Self::Model => f.write_str("model"),
            Self::Hardware => f.write_str("hardware"),
            Self::Firmware => f.write_str("firmware"),
            Self::Site => f.write_str("site"),
            Self::Position => f.write_str("position"),
            Self::Label(key) => write!(f, "labels.{key}"),
            Self::Variable(name) => write!(f, "variables.{name}"),
            Self::Ignored => f.write_str("ignored"),
        }
    }
}

/// Columns that a results file has behind the user's own. Where the code's column is there, a file is one of ours that
/// comes back, and these are not the user's data; the code is a secret and must never become a variable.
pub const RESULT_COLUMNS: [&str; 5] = ["status", "code", "message", "device", "activation_code"];
const CODE_COLUMN: &str = "activation_code";
/// What our columns' names begin with: this, where the user has a column of such a name, or else nothing.
const RESULT_PREFIXES: [&str; 2] = ["muster_", ""];

/// Longest name of a label or variable, in bytes.
const NAME_LIMIT: usize = 63;

/// Names of columns, without case, blanks and punctuation.
const ALIASES: [(&[&str], Field); 7] = [
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
        ],
        Field::Firmware,
    ),
    (
        &["site", "sitecode", "siteid", "location", "locationcode", "plant"],
        Field::Site,
    ),
    (&["position", "pos", "place", "spot"], Field::Position),
];

/// Prefixes of columns that are labels and variables; nested objects of NDJSON have them too.
const LABEL_PREFIXES: [&str; 3] = ["label", "labels", "tags"];
const VARIABLE_PREFIXES: [&str; 5] = ["var", "vars", "variable", "variables", "attributes"];

/// The meaning of each column, in order. In NDJSON later objects can add columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    columns: Vec<(String, Field)>,
    /// The prefix of our results' columns, where they are there.
    results: Option<&'static str>,
}

impl Mapping {
    /// The meaning of the columns of a file. `has_model` says that a model was given for the whole file. In NDJSON each
    /// object names its own fields, so nothing is wrong before the rows are.
    ///
    /// # Errors
    /// [`Code::HeaderAmbiguous`] for columns that mean the same, [`Code::HeaderMissing`] when no column holds the
    /// serial, or none the model; each at `header.FIELD`.
    pub fn of<R>(reader: &Reader<R>, has_model: bool) -> Result<Self, Vec<Refusal>> {
        let mapping = Self::new(reader.columns());
        let problems = match reader.format() {
            Format::Csv | Format::Xlsx | Format::Xls | Format::Ods => mapping.problems(has_model),
            Format::Ndjson | Format::Json | Format::Xml | Format::Microchip | Format::Certificates => {
                Vec::new()
            }
        };
        if problems.is_empty() {
            Ok(mapping)
        } else {
            Err(problems)
        }
    }

    fn new(columns: &[String]) -> Self {
        let results = results_prefix(columns.iter().map(String::as_str));
        let columns = columns
            .iter()
            .map(|column| (column.clone(), field(column, results)))
            .collect();
        Self { columns, results }
    }

    fn problems(&self, has_model: bool) -> Vec<Refusal> {
        let mut problems = Vec::new();
        let mut sorted: Vec<_> = self
            .columns
            .iter()
            .filter(|(_, field)| *field != Field::Ignored)
            .collect();
        // By field, then in the order of the file: sorting is stable.
        sorted.sort_by(|a, b| a.1.cmp(&b.1));
        for pair in sorted.windows(2) {
            if let [(first, field), (second, other)] = pair
                && field == other
            {
                problems.push(
                    Refusal::new(
                        Code::HeaderAmbiguous,
                        format!("the columns {first:?} and {second:?} mean the same"),
                    )
                    .at(format!("header.{field}")),
                );
            }
        }
        let has = |field: &Field| self.columns.iter().any(|(_, found)| found == field);
        let needed = [
            (Field::Serial, has(&Field::Serial)),
            (Field::Model, has_model || has(&Field::Model)),
        ];
        for (field, _) in needed.iter().filter(|(_, there)| !there) {
            let names: Vec<&str> = self
                .columns
                .iter()
                .take(16)
                .map(|(column, _)| column.as_str())
                .collect();
            let why = format!("no column holds the {field}; there are {}", names.join(", "));
            problems.push(Refusal::new(Code::HeaderMissing, why).at(format!("header.{field}")));
        }
        problems
    }

    /// The columns as the user calls them, with the fields they fill: `serial`, `labels.KEY`, `variables.NAME`, `ignored`.
    pub fn columns(&self) -> Vec<(String, String)> {
        self.columns
            .iter()
            .map(|(column, field)| (column.clone(), field.to_string()))
            .collect()
    }

    /// Is this the name of a column that we know, rather than of a variable?
    pub(super) fn knows(column: &str) -> bool {
        !matches!(field(column, None), Field::Variable(_) | Field::Ignored)
    }

    /// Is this the name of the column of serials?
    pub(super) fn is_serial(column: &str) -> bool {
        matches!(field(column, None), Field::Serial)
    }

    /// How many columns the header has.
    pub(super) const fn width(&self) -> usize {
        self.columns.len()
    }

    /// The field of a cell of CSV.
    pub(super) fn at(&self, place: usize) -> Option<&Field> {
        self.columns.get(place).map(|(_, field)| field)
    }

    /// Learns the keys of an object of NDJSON and says which column each of its cells is in. Objects mostly have the
    /// same keys in the same order, so the place of a cell is the first guess.
    pub(super) fn places(&mut self, record: &Record, places: &mut Vec<usize>) {
        places.clear();
        for (guess, (name, _)) in record.fields().enumerate() {
            let is_here = |place: usize| self.columns.get(place).is_some_and(|(known, _)| known == name);
            let found = if is_here(guess) {
                Some(guess)
            } else {
                (0..self.columns.len()).find(|&place| is_here(place))
            };
            places.push(found.unwrap_or_else(|| {
                let field = field(name, self.results);
                self.columns.push((name.to_owned(), field));
                self.columns.len() - 1
            }));
        }
    }
}

/// Is this our results' column `name`, under this prefix?
fn is_results(column: &str, prefix: &str, name: &str) -> bool {
    column.trim().strip_prefix(prefix) == Some(name)
}

/// The prefix of our results among these columns: known by the code, which no user's file has of its own.
fn results_prefix<'c>(columns: impl Iterator<Item = &'c str> + Clone) -> Option<&'static str> {
    let holds = |prefix: &&str| {
        columns
            .clone()
            .any(|column| is_results(column, prefix, CODE_COLUMN))
    };
    RESULT_PREFIXES.into_iter().find(holds)
}

fn field(column: &str, results: Option<&str>) -> Field {
    let is_code = RESULT_PREFIXES
        .iter()
        .any(|prefix| is_results(column, prefix, CODE_COLUMN));
    let is_ours = |prefix: &str| RESULT_COLUMNS.iter().any(|name| is_results(column, prefix, name));
    if is_code || results.is_some_and(is_ours) {
        return Field::Ignored;
    }
    if let Some((prefix, name)) = column.split_once([':', '.']) {
        let prefix = bare(prefix);
        if LABEL_PREFIXES.contains(&prefix.as_str()) && !name.trim().is_empty() {
            return named(name.trim(), Field::Label);
        }
        if VARIABLE_PREFIXES.contains(&prefix.as_str()) {
            return named(&snake(name), Field::Variable);
        }
    }
    let bare = bare(column);
    let known = ALIASES.iter().find(|(names, _)| names.contains(&bare.as_str()));
    known.map_or_else(
        || named(&snake(column), Field::Variable),
        |(_, field)| field.clone(),
    )
}

/// A column without a usable name is not data for a device.
fn named(name: &str, field: fn(String) -> Field) -> Field {
    if name.is_empty() || name.len() > NAME_LIMIT {
        Field::Ignored
    } else {
        field(name.to_owned())
    }
}

fn bare(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Letters and digits in lower case, with one underscore for whatever is between them: a name that templates can use.
fn snake(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let words = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}
