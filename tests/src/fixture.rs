//! The files in `tests/fixtures`, and what is expected of them.

use muster_domain::Code;
use std::path::{Path, PathBuf};

/// A file of the repository.
pub fn in_repository(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

/// A factory manifest.
pub fn manifest(name: &str) -> PathBuf {
    in_repository("tests/fixtures/manifests").join(name)
}

/// A fault that a manifest holds: where it is, and what it must be refused with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// As the file counts.
    pub row: u32,
    /// The number of the refusal.
    pub code: Code,
}

/// What must come out of a manifest.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Name of the file.
    pub name: String,
    /// Rows in all.
    pub rows: usize,
    /// In order of rows.
    pub faults: Vec<Fault>,
}

/// The refusal that answers a cause of `EXPECTED.json`.
fn code(why: &str) -> Code {
    match why.split(" (").next().unwrap_or_default() {
        "not hexadecimal" | "MAC too short" => Code::MacMalformed,
        "multicast bit set" => Code::MacMulticast,
        "serial missing" => Code::SerialMissing,
        "duplicate serial in file" => Code::SerialRepeated,
        "duplicate MAC in file" => Code::MacRepeated,
        "model unknown" => Code::ModelUnknown,
        "site unknown" => Code::SiteUnknown,
        "not a semantic version" => Code::VersionMalformed,
        "spreadsheet damage: scientific notation" | "number cell in an identifier column" => {
            Code::SerialDamaged
        }
        "serial with inner blank" => Code::SerialMalformed,
        "formula" => Code::FormulaCell,
        other => panic!("{other} has no code here"),
    }
}

fn fault(fault: &serde_json::Value) -> Fault {
    let row = fault["row"]
        .as_u64()
        .and_then(|row| u32::try_from(row).ok())
        .expect("a row");
    Fault {
        row,
        code: code(fault["why"].as_str().expect("a cause")),
    }
}

/// Every manifest of the fixtures that `EXPECTED.json` describes.
pub fn expected() -> Vec<Expected> {
    let text = std::fs::read_to_string(manifest("EXPECTED.json")).unwrap();
    let files: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let there = files.into_iter().filter(|(name, _)| manifest(name).exists());
    there
        .map(|(name, file)| Expected {
            name,
            rows: file["rows"]
                .as_u64()
                .and_then(|rows| usize::try_from(rows).ok())
                .expect("rows"),
            faults: file["faults"]
                .as_array()
                .map(|faults| faults.iter().map(fault).collect())
                .unwrap_or_default(),
        })
        .collect()
}

/// The serial of a generated camera.
pub fn camera(number: u32) -> String {
    format!("CAM-{number:07}")
}

/// A generated manifest of `count` cameras, numbered from `first` on. They have no profile, so that large imports cost
/// little.
pub fn cameras(first: u32, count: u32) -> String {
    let mut text = "serial,model,site\n".to_owned();
    for number in first..first + count {
        text += &camera(number);
        text += ",CAM-IR,MUC-01\n";
    }
    text
}

/// The block of TOML in the README that begins with this.
pub fn readme_block(start: &str) -> String {
    let text = std::fs::read_to_string(in_repository("README.md")).expect("the README");
    let mut blocks = text.split("```toml\n").skip(1);
    let block = blocks.find(|block| block.starts_with(start));
    let block = block.and_then(|block| block.split("```").next());
    block.expect("a block that begins so").to_owned()
}
