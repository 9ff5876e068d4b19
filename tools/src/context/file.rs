//! The context file.

use super::{FILE_LIMIT, read_small};
use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a context file says. Relative paths are relative to the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextFile {
    /// Such as `https://127.0.0.1:8443`.
    pub server: String,
    /// Root certificates, PEM.
    pub roots: PathBuf,
    /// The operator's certificate and those above it, PEM.
    pub certificate: PathBuf,
    /// The operator's private key, PEM (PKCS#8).
    pub key: PathBuf,
    /// Where the server listens for MQTT, such as `127.0.0.1:8883`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<String>,
    /// The name in the server's certificate, where it differs from that in `server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

impl ContextFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = read_small(path, FILE_LIMIT)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            Failure::usage(
                format!("{} is not UTF-8", path.display()),
                "Is it a context file?",
            )
        })?;
        Self::parse(&text).map_err(|why| {
            Failure::usage(
                format!("{} is not a context: {why}", path.display()),
                "A context has server, roots, certificate and key, and may have mqtt and server_name.",
            )
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        file.check()?;
        Ok(file)
    }

    /// What cannot work is found before it is kept.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.server.starts_with("https://") {
            return Err(format!("server {:?} does not start with https://", self.server));
        }
        match &self.mqtt {
            Some(address) if !is_address(address) => Err(format!("mqtt {address:?} is not HOST:PORT")),
            Some(_) | None => Ok(()),
        }
    }

    /// The text of the file.
    pub fn to_toml(&self) -> Result<String, Failure> {
        Ok(toml::to_string(self).map_err(anyhow::Error::new)?)
    }

    /// The same with absolute paths, so that it works from another directory.
    #[must_use]
    pub fn based_at(self, base: &Path) -> Self {
        Self {
            roots: base.join(self.roots),
            certificate: base.join(self.certificate),
            key: base.join(self.key),
            ..self
        }
    }
}

/// A host and a port, whatever the host is.
fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_as_it_is_written() {
        let file = ContextFile {
            server: "https://127.0.0.1:8443".into(),
            roots: "root.pem".into(),
            certificate: "operator.pem".into(),
            key: "operator.key".into(),
            mqtt: None,
            server_name: None,
        };
        let text = file.to_toml().unwrap();
        assert_eq!(
            text,
            "server = \"https://127.0.0.1:8443\"\nroots = \"root.pem\"\ncertificate = \"operator.pem\"\nkey = \"operator.key\"\n"
        );
        assert_eq!(ContextFile::parse(&text), Ok(file.clone()));
        let file = ContextFile {
            mqtt: Some("[::1]:8883".into()),
            ..file
        };
        assert_eq!(ContextFile::parse(&file.to_toml().unwrap()), Ok(file));
    }

    #[test]
    fn an_address_of_mqtt_is_a_host_and_a_port() {
        for wrong in ["", "h", "h:", ":1", "h:99999", "https://h:1"] {
            let text = format!(
                "server = \"https://h\"\nroots = \"\"\ncertificate = \"\"\nkey = \"\"\nmqtt = \"{wrong}\"\n"
            );
            assert!(
                ContextFile::parse(&text).unwrap_err().contains("HOST:PORT"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn plain_http_is_refused() {
        let text = "server = \"http://h\"\nroots = \"\"\ncertificate = \"\"\nkey = \"\"\n";
        assert!(ContextFile::parse(text).unwrap_err().contains("https://"));
    }
}
