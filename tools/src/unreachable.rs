//! Why a server did not answer, and what to do about it.

use crate::output::text::clean;
use rustls::{AlertDescription, CertificateError, Error as Tls};
use std::{error::Error, fmt, io};

/// Most causes looked at under one error: chains are short, and one that points at itself must end.
const CAUSES: usize = 16;
const MQTT_PORT: &str =
    "Is musterd running, and is this its MQTT port? --mqtt names another than the context does.";

/// A server that did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// What was attempted, such as `connect to https://127.0.0.1:8443`.
    pub doing: String,
    /// Why it failed.
    pub why: String,
    /// What to do.
    pub help: &'static str,
}

impl Unreachable {
    /// A connection that could not be opened.
    pub(crate) fn connecting(server: &str, error: &(dyn Error + 'static)) -> Self {
        let (why, help) = diagnose(error);
        let help = match help {
            "" => "Check `server` in the context, and the way there: `muster context show` names it.",
            known => known,
        };
        Self {
            doing: format!("connect to {server}"),
            why,
            help,
        }
    }

    /// The same, to where MQTT is spoken.
    pub(crate) fn over_mqtt(address: &str, error: &(dyn Error + 'static)) -> Self {
        let (why, help) = diagnose(error);
        let help = match help {
            // What is said of the other port is no help here.
            "" => MQTT_PORT,
            known if known.contains("gRPC") => MQTT_PORT,
            known => known,
        };
        Self {
            doing: format!("connect to {address}"),
            why,
            help,
        }
    }

    /// A connection that stood, and broke.
    pub(crate) fn lost(why: String) -> Self {
        Self {
            doing: "go on".to_owned(),
            why,
            help: "",
        }
    }

    /// A connection that broke, or was refused after its handshake.
    pub(crate) fn during_call(error: &(dyn Error + 'static)) -> Self {
        let (why, help) = diagnose(error);
        Self {
            doing: "finish the call".to_owned(),
            why,
            help,
        }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", clean(&self.doing), clean(&self.why))?;
        match self.help {
            "" => Ok(()),
            help => write!(f, "\n  help: {help}"),
        }
    }
}

/// The errors under an error. An `io::Error` hides the one it wraps from `source`, so it is opened here.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| below(error)).take(CAUSES)
}

fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn diagnose(error: &(dyn Error + 'static)) -> (String, &'static str) {
    let mut last = error;
    let mut network = None;
    for cause in causes(error) {
        if let Some(tls) = cause.downcast_ref::<Tls>() {
            return tls_failure(tls);
        }
        network = cause.downcast_ref::<io::Error>().or(network);
        last = cause;
    }
    let text = last.to_string();
    // In TLS 1.3 a server refuses a certificate after the client's handshake is over; the alert then comes up through
    // HTTP/2, which keeps its text only.
    if let Some(alert) = REJECTED
        .iter()
        .map(|&alert| Tls::AlertReceived(alert))
        .find(|alert| text.contains(&alert.to_string()))
    {
        return tls_failure(&alert);
    }
    match network {
        Some(error) if error.get_ref().is_none() => io_failure(error),
        _ => (text, ""),
    }
}

/// What a server says of a certificate that it does not accept.
const REJECTED: [AlertDescription; 9] = [
    AlertDescription::UnknownCA,
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateUnknown,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateRequired,
    AlertDescription::AccessDenied,
    AlertDescription::DecryptError,
];

fn io_failure(error: &io::Error) -> (String, &'static str) {
    let help = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "Nothing listens there. Is musterd running, and is this its gRPC port?"
        }
        io::ErrorKind::TimedOut => "Nothing answered. Check the address, and firewalls on the way.",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "There is no way to that address. Check it, and this machine's network."
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
            "The other side closed the connection. Is this musterd's gRPC port, and is musterd still running?"
        }
        _ => "",
    };
    (error.to_string(), help)
}

fn tls_failure(error: &Tls) -> (String, &'static str) {
    let help = match error {
        Tls::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "The server's certificate is not from the root of this context. Does `roots` belong to this server?"
        }
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "The server's certificate is for another name. Use that name in `server`, or set `server_name`.",
        Tls::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "The server's certificate has expired. Check this machine's clock, then renew the certificate."
        }
        Tls::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "The server's certificate is not valid yet. Check this machine's clock.",
        Tls::AlertReceived(alert) if REJECTED.contains(alert) => {
            "The server does not accept this context's certificate. Is it from this server, and still valid? \
             An admin can make a new one: muster operator create."
        }
        Tls::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "What answers there does not speak gRPC. Is this musterd's gRPC port, not its MQTT port?"
        }
        Tls::InvalidMessage(_) => "What answers there does not speak TLS. Is this musterd's gRPC port?",
        _ => "",
    };
    (error.to_string(), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: io::Error, why: &str, help: &str) {
        let found = Unreachable::connecting("https://h:1", &error);
        assert_eq!(found.doing, "connect to https://h:1");
        assert!(found.why.contains(why), "{found:?}");
        assert!(found.help.contains(help), "{found:?}");
    }

    #[test]
    fn what_answers_no_mqtt_is_not_taken_for_grpc() {
        for kind in [io::ErrorKind::ConnectionRefused, io::ErrorKind::UnexpectedEof] {
            let found = Unreachable::over_mqtt("h:1", &io::Error::from(kind));
            assert_eq!((found.doing.as_str(), found.help), ("connect to h:1", MQTT_PORT));
        }
    }

    #[test]
    fn each_cause_has_its_advice() {
        check(
            io::Error::from(io::ErrorKind::ConnectionRefused),
            "refused",
            "Is musterd running",
        );
        let tls = |error: Tls| io::Error::new(io::ErrorKind::InvalidData, error);
        check(
            tls(Tls::InvalidCertificate(CertificateError::UnknownIssuer)),
            "UnknownIssuer",
            "`roots`",
        );
        check(
            tls(Tls::InvalidCertificate(CertificateError::NotValidForName)),
            "NotValidForName",
            "server_name",
        );
        check(
            tls(Tls::AlertReceived(AlertDescription::UnknownCA)),
            "UnknownCA",
            "this context's certificate",
        );
        check(
            tls(Tls::AlertReceived(AlertDescription::NoApplicationProtocol)),
            "NoApplicationProtocol",
            "gRPC port",
        );
        check(io::Error::other("odd"), "odd", "muster context show");
        // As HTTP/2 hands it on: the text without the type.
        for alert in REJECTED {
            let text = Tls::AlertReceived(alert).to_string();
            check(
                io::Error::other(text.clone()),
                &text,
                "this context's certificate",
            );
        }
    }
}
