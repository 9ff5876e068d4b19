//! From files of models, sites, groups, profiles, firmware policies, naming rules and mappings to the
//! registry.

mod document;
mod profile;
mod read;
mod send;
mod wire;

pub use read::{FileFormat, read_path, read_text};
pub use send::{ApplyOptions, send};
pub(crate) use wire::{parameter_source, values_source};

use muster_proto::v1;

/// Which resources a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any: files must name them (`[[models]]`).
    Any,
    /// Models only.
    Models,
    /// Sites only.
    Sites,
    /// Groups only.
    Groups,
    /// Profiles only.
    Profiles,
    /// Firmware policies only.
    FirmwarePolicies,
    /// Naming rules only.
    NamingRules,
    /// Mappings only.
    Mappings,
}

/// A resource and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// File and name, for messages.
    pub origin: String,
    /// As it travels.
    pub wire: v1::Resource,
}

/// What files may look like, for `--help`.
pub const FILES_HELP: &str = "\
Examples:
  muster apply -f catalog.toml --dry-run
  muster apply -f models.toml profiles/ -m \"Report every five minutes\"
  muster site apply -f sites.csv

Files are TOML, JSON, YAML or, for sites, CSV; the ending of the name decides, and --format overrides it. One file holds
  - one resource:            name = \"GW-200\" ...
  - several of one kind:     [[models]] name = ... [[models]] name = ...     (JSON: an array, or one object after another;
                             YAML: a list, or several documents)
  - several kinds:           [[models]] [[sites]] [[groups]] [[profiles]] [[firmware_policies]] [[naming_rules]]
                             [[mappings]] (`muster apply` only)
A CSV of sites has the columns code, name, country, parent, latitude, longitude, time_zone and maintenance_windows (several in one
cell, with ; between them), in any order.
A profile's template is written in place, or read from a file beside it: files.\"network.toml\" = { file = \"network.toml.j2\" }
Up to 1000 resources are applied in one step, all or none; they may refer to each other in any order.";
