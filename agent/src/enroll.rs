//! The claim: what is sent, and what its answer is worth.

use crate::{
    config::CodeSource,
    desired::ENCODING,
    identity::{DeviceId, DeviceKey, Identity, Trust},
    record::StateError,
};
use muster_proto::payload::{
    self, Binary, CertificateUpdate, Claim, ClaimAccepted, ClaimRefused, ClaimResult, Renew,
};
use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    path::Path,
    time::Duration,
};
use zeroize::Zeroizing;

/// A code has some thirty characters; the rest is for line ends and blanks.
const CODE_LIMIT: usize = 256;

/// What a registry answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Checked: the chain is for this device's key and leads to a pinned root.
    Granted(Identity),
    Refused {
        reason: String,
        retry_after: Option<Duration>,
    },
    Disbelieved(String),
}

/// The payload of a claim.
pub(crate) fn claim(key: &DeviceKey) -> Result<Vec<u8>, StateError> {
    let claim = Claim {
        csr: Binary(key.request()?),
    };
    payload::encode(&claim, ENCODING).map_err(|_| StateError::Random)
}

/// Reads and checks the answer.
pub(crate) fn answer(bytes: &[u8], key: &DeviceKey, trust: &Trust) -> Answer {
    match payload::decode(bytes, ENCODING) {
        Ok(ClaimResult::Accepted(accepted)) => match trust.identity(accepted, key) {
            Ok(identity) => Answer::Granted(identity),
            Err(error) => Answer::Disbelieved(format!("granted identity is not believed: {error}")),
        },
        Ok(ClaimResult::Refused(refused)) => Answer::Refused {
            retry_after: retry_after(&refused),
            reason: told(&refused),
        },
        Err(error) => Answer::Disbelieved(format!("answer to the claim cannot be read: {error}")),
    }
}

/// The payload of a renewal.
pub(crate) fn renewal(key: &DeviceKey) -> Result<Vec<u8>, StateError> {
    let renew = Renew {
        csr: Binary(key.request()?),
    };
    payload::encode(&renew, ENCODING).map_err(|_| StateError::Random)
}

/// What a registry says of a certificate.
#[derive(Debug)]
pub(crate) enum Update {
    /// Checked as the answer to a claim is, for the next key.
    Issued(Identity),
    /// No, or nothing that is believed.
    NotIssued {
        reason: String,
        retry_after: Option<Duration>,
    },
    /// The registry wants a renewal.
    Wanted,
}

/// Reads and checks it. `next` is the key that a renewal was asked for with.
pub(crate) fn update(bytes: &[u8], device: &DeviceId, next: Option<&DeviceKey>, trust: &Trust) -> Update {
    let not_issued = |reason| Update::NotIssued {
        reason,
        retry_after: None,
    };
    match (payload::decode(bytes, ENCODING), next) {
        (Ok(CertificateUpdate::Issued(issued)), Some(next)) => {
            let accepted = ClaimAccepted {
                device_id: device.to_string(),
                chain: issued.chain,
                roots: Vec::new(),
            };
            match trust.identity(accepted, next) {
                Ok(identity) => Update::Issued(identity),
                Err(error) => not_issued(format!("the next certificate is not believed: {error}")),
            }
        }
        (Ok(CertificateUpdate::Issued(_)), None) => {
            not_issued("a certificate came that was not asked for".into())
        }
        (Ok(CertificateUpdate::Refused(refused)), _) => Update::NotIssued {
            retry_after: retry_after(&refused),
            reason: told(&refused),
        },
        (Ok(CertificateUpdate::Due), _) => Update::Wanted,
        (Err(error), _) => not_issued(format!("news of the certificate cannot be read: {error}")),
    }
}

fn retry_after(refused: &ClaimRefused) -> Option<Duration> {
    let seconds = refused.retry_after_seconds?;
    Some(Duration::from_secs(seconds.into()))
}

/// A refusal in one line. Its text comes from the network: only characters that cannot harm a log are kept.
fn told(refused: &ClaimRefused) -> String {
    let clean = |text: &str| {
        text.chars()
            .filter(|c| !c.is_control())
            .take(300)
            .collect::<String>()
    };
    let ClaimRefused {
        code,
        reason,
        message,
        help,
        ..
    } = refused;
    format!(
        "claim refused: {code} {}: {}; {}",
        clean(reason),
        clean(message),
        clean(help)
    )
}

/// The activation code, without blanks around it.
pub(crate) fn code(source: &CodeSource) -> io::Result<Zeroizing<String>> {
    match source {
        CodeSource::Text(code) => Ok(code.clone()),
        CodeSource::File(path) => {
            let mut text = Zeroizing::new(String::with_capacity(CODE_LIMIT + 1));
            let limit = u64::try_from(CODE_LIMIT).unwrap_or(u64::MAX);
            fs::File::open(path)?.take(limit + 1).read_to_string(&mut text)?;
            let code = text.trim();
            if code.is_empty() || text.len() > CODE_LIMIT {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "does not hold an activation code",
                ));
            }
            Ok(Zeroizing::new(code.to_owned()))
        }
        CodeSource::Key => Ok(Zeroizing::default()),
        CodeSource::Absent => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "no activation code is set",
        )),
    }
}

/// Makes the code unreadable, once the identity that it earned is durable. Done again at each start, for a power
/// loss may come between; nothing there is fine.
pub(crate) fn wipe(source: &CodeSource) {
    let CodeSource::File(path) = source else { return };
    match overwrite(path).and_then(|()| fs::remove_file(path)) {
        Ok(()) => tracing::info!(path = %path.display(), "activation code wiped"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "cannot wipe the activation code"),
    }
}

/// Best effort: a file system may keep the old blocks elsewhere.
fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let length = file
        .metadata()?
        .len()
        .min(CODE_LIMIT.try_into().unwrap_or(u64::MAX));
    file.write_all(&vec![b'0'; usize::try_from(length).unwrap_or(CODE_LIMIT)])?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
