//! What the demo and the benchmarks register before they import.

use crate::{
    apply::{FileFormat, Kind, Resource, read_text},
    failure::Failure,
};
use std::path::Path;

const CATALOG: &str = include_str!("catalog.toml");
const SITES: &str = include_str!("../../../tests/fixtures/manifests/sites.csv");

/// Models, sites, a profile and a firmware policy.
pub(crate) fn resources() -> Result<Vec<Resource>, Failure> {
    read(CATALOG)
}

/// The same with another revision of the profile, which renders otherwise for every device.
pub(crate) fn revised() -> Result<Vec<Resource>, Failure> {
    read(&CATALOG.replace("default = 300", "default = 600"))
}

fn read(catalog: &str) -> Result<Vec<Resource>, Failure> {
    let read = |text, origin, kind, format| read_text(text, origin, Path::new(""), kind, Some(format));
    let mut resources = read(catalog, "catalog.toml", Kind::Any, FileFormat::Toml)?;
    resources.extend(read(SITES, "sites.csv", Kind::Sites, FileFormat::Csv)?);
    Ok(resources)
}

/// The sites, as their file.
pub(crate) const fn sites() -> &'static str {
    SITES
}
