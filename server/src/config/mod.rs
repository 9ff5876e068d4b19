//! Settings: raw file -> checked [`Settings`] -> parts. Every mistake is reported at once, before a port is opened.

mod raw;

use crate::ca::{Issuance, ServerNames};
use muster_domain::certificate::CertificateProfile;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// The settings file, in the server's directory.
pub const FILE_NAME: &str = "musterd.toml";
/// What `musterd init` writes: every setting with its default and its meaning.
pub const TEMPLATE: &str = include_str!("musterd.toml");

/// X.520 (ub-organization-name) allows no more.
const ORGANISATION_LIMIT: usize = 64;
const CONNECTION_RANGE: std::ops::RangeInclusive<u64> = 1..=1_000_000;
const CLAIM_RANGE: std::ops::RangeInclusive<u64> = 1..=1_000_000;
const STOP_RANGE: std::ops::RangeInclusive<u64> = 1..=300;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// What EST (RFC 7030) may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EstSettings {
    /// Keys may be made here and sent to devices.
    pub serverkeygen: bool,
}

/// Checked settings.
#[derive(Debug, Clone)]
pub struct Settings {
    directory: PathBuf,
    grpc: SocketAddr,
    mqtt: SocketAddr,
    http: Option<SocketAddr>,
    server_names: ServerNames,
    organisation: String,
    issuance: Issuance,
    connections: usize,
    claims_per_second: u32,
    stop_timeout: Duration,
    est: EstSettings,
    log: LogFormat,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is read, and wrong.
    #[error("{path}: {}", .mistakes.join("; "))]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// All that is wrong with it.
        mistakes: Vec<String>,
    },
}

impl Settings {
    /// Reads the settings of a server directory.
    pub fn load(directory: &Path) -> Result<Self, SettingsError> {
        let path = directory.join(FILE_NAME);
        let text = std::fs::read_to_string(&path).map_err(|source| SettingsError::Unreadable {
            path: path.clone(),
            source,
        })?;
        Self::parse(&text, directory).map_err(|mistakes| SettingsError::Wrong { path, mistakes })
    }

    /// Checks a settings text; the error lists every mistake.
    pub fn parse(text: &str, directory: &Path) -> Result<Self, Vec<String>> {
        let file: raw::File =
            toml::from_str(text).map_err(|error| vec![error.to_string().trim_end().to_owned()])?;
        let mut mistakes = Vec::new();
        let grpc = address(&file.listen.grpc, "listen.grpc", &mut mistakes);
        let mqtt = address(&file.listen.mqtt, "listen.mqtt", &mut mistakes);
        let http = match file.listen.http.as_str() {
            "" => None,
            text => address(text, "listen.http", &mut mistakes),
        };
        let names = ServerNames::parse(&file.server.names)
            .map_err(|why| mistakes.push(format!("server.names: {why}")))
            .ok();
        let organisation = file.server.organisation.trim();
        if organisation.is_empty() || organisation.chars().count() > ORGANISATION_LIMIT {
            mistakes.push(format!(
                "server.organisation: must have 1 to {ORGANISATION_LIMIT} characters"
            ));
        }
        let issuance = issuance(file.certificates, &mut mistakes);
        let connections = ranged(
            file.limits.connections,
            &CONNECTION_RANGE,
            "limits.connections",
            &mut mistakes,
        );
        let claims = ranged(
            file.limits.claims_per_second,
            &CLAIM_RANGE,
            "limits.claims_per_second",
            &mut mistakes,
        );
        let stop = ranged(
            file.limits.stop_seconds,
            &STOP_RANGE,
            "limits.stop_seconds",
            &mut mistakes,
        );
        let log = match file.log.format.as_str() {
            "human" => LogFormat::Human,
            "json" => LogFormat::Json,
            other => {
                mistakes.push(format!("log.format: {other:?} is neither \"human\" nor \"json\""));
                LogFormat::Human
            }
        };
        match (grpc, mqtt, names, issuance) {
            (Some(grpc), Some(mqtt), Some(names), Some(issuance)) if mistakes.is_empty() => Ok(Self {
                directory: directory.to_owned(),
                grpc,
                mqtt,
                http,
                server_names: names,
                organisation: organisation.to_owned(),
                issuance,
                connections: usize::try_from(connections).unwrap_or(usize::MAX),
                claims_per_second: u32::try_from(claims).unwrap_or(u32::MAX),
                stop_timeout: Duration::from_secs(stop),
                est: EstSettings {
                    serverkeygen: file.est.serverkeygen,
                },
                log,
            }),
            _ => Err(mistakes),
        }
    }

    /// The same settings with other addresses; port 0 lets the system choose.
    #[must_use]
    pub const fn listening(mut self, grpc: SocketAddr, mqtt: SocketAddr) -> Self {
        self.grpc = grpc;
        self.mqtt = mqtt;
        self
    }

    /// The server's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the database is.
    pub fn database(&self) -> PathBuf {
        self.directory.join("registry.db")
    }

    /// Where gRPC listens.
    pub const fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// Where MQTT listens.
    pub const fn mqtt(&self) -> SocketAddr {
        self.mqtt
    }

    /// Names of the server's certificate.
    pub const fn server_names(&self) -> &ServerNames {
        &self.server_names
    }

    /// Stands in every certificate.
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// Profiles of certificates, and where their revocation lists are.
    pub const fn issuance(&self) -> &Issuance {
        &self.issuance
    }

    /// Where revocation lists are served without TLS.
    pub const fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Most MQTT connections at once.
    pub const fn connections(&self) -> usize {
        self.connections
    }

    /// Most claims a second from one address.
    pub const fn claims_per_second(&self) -> u32 {
        self.claims_per_second
    }

    /// How long calls under way may take after a stop.
    pub const fn stop_timeout(&self) -> Duration {
        self.stop_timeout
    }

    /// What EST may do.
    pub const fn est(&self) -> EstSettings {
        self.est
    }

    /// How log lines are written.
    pub const fn log(&self) -> LogFormat {
        self.log
    }
}

fn address(text: &str, field: &str, mistakes: &mut Vec<String>) -> Option<SocketAddr> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        mistakes.push(format!(
            "{field}: {text:?} is not an address and port such as 127.0.0.1:8443 or [::]:8443"
        ));
    }
    parsed
}

fn issuance(written: raw::Certificates, mistakes: &mut Vec<String>) -> Option<Issuance> {
    let changes = |profile| {
        let changes = match profile {
            CertificateProfile::Device => &written.device,
            CertificateProfile::Gateway => &written.gateway,
            CertificateProfile::Operator => &written.operator,
            CertificateProfile::Line => &written.line,
            CertificateProfile::Integrator => &written.integrator,
            CertificateProfile::Server => &written.server,
        };
        changes.clone()
    };
    Issuance::parse(changes, &written.crl_url)
        .map_err(|wrong| mistakes.extend(wrong))
        .ok()
}

fn ranged(value: u64, range: &std::ops::RangeInclusive<u64>, field: &str, mistakes: &mut Vec<String>) -> u64 {
    if !range.contains(&value) {
        mistakes.push(format!("{field}: must be {} to {}", range.start(), range.end()));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, Vec<String>> {
        Settings::parse(text, Path::new("d"))
    }

    #[test]
    fn the_template_says_what_the_defaults_are() {
        let (written, default) = (parse(TEMPLATE).unwrap(), parse("").unwrap());
        assert_eq!(format!("{written:?}"), format!("{default:?}"));
        assert_eq!(default.database(), Path::new("d/registry.db"));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let mistakes = parse(
            r#"
            listen.grpc = "8443"
            listen.mqtt = "localhost:8883"
            listen.http = "80"
            server.names = ["ok.example", "not a name"]
            server.organisation = " "
            certificates.crl_url = "https://crl.example"
            certificates.device.days = 0
            certificates.line.renew_at = "1/2"
            certificates.server.no_expiry = true
            limits.connections = 0
            limits.claims_per_second = 0
            limits.stop_seconds = 301
            log.format = "xml"
            "#,
        )
        .unwrap_err();
        let fields: Vec<_> = mistakes
            .iter()
            .filter_map(|mistake| mistake.split(':').next())
            .collect();
        let expected = [
            "listen.grpc",
            "listen.mqtt",
            "listen.http",
            "server.names",
            "server.organisation",
            "certificates.crl_url",
            "certificates.device.days",
            "certificates.line.renew_at",
            "certificates.server.no_expiry",
            "limits.connections",
            "limits.claims_per_second",
            "limits.stop_seconds",
            "log.format",
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        for (text, expected) in [
            ("[listen]\nftp = \"1.2.3.4:21\"", "ftp"),
            ("[certificates.router]\ndays = 1", "router"),
            ("[certificates.device]\nusages = []", "usages"),
        ] {
            let mistakes = parse(text).unwrap_err();
            assert!(mistakes[0].contains(expected), "{mistakes:?}");
        }
    }
}
