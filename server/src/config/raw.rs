//! The settings file as it is written: any text that TOML allows, unknown keys refused, nothing checked yet.

use crate::ca::ProfileChanges;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Listen,
    pub(super) server: Server,
    pub(super) certificates: Certificates,
    pub(super) limits: Limits,
    pub(super) est: Est,
    pub(super) log: Log,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listen {
    pub(super) grpc: String,
    pub(super) mqtt: String,
    pub(super) http: String,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Server {
    pub(super) names: Vec<String>,
    pub(super) organisation: String,
}

/// Of the profiles, what differs from the built-in table.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Certificates {
    pub(super) crl_url: String,
    pub(super) device: ProfileChanges,
    pub(super) gateway: ProfileChanges,
    pub(super) operator: ProfileChanges,
    pub(super) line: ProfileChanges,
    pub(super) integrator: ProfileChanges,
    pub(super) server: ProfileChanges,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) connections: u64,
    pub(super) claims_per_second: u64,
    pub(super) stop_seconds: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Est {
    pub(super) serverkeygen: bool,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    pub(super) format: String,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            grpc: "127.0.0.1:8443".into(),
            mqtt: "127.0.0.1:8883".into(),
            http: String::new(),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            names: vec!["localhost".into(), "127.0.0.1".into()],
            organisation: "Muster".into(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            claims_per_second: 50,
            stop_seconds: 8,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: "human".into(),
        }
    }
}
