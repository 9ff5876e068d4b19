//! What the authority consists of, for people. No key is opened.

use crate::ca::{
    AuthorityKind, CaError,
    files::{self, Stored},
    hierarchy::{Hierarchy, Root},
};
use muster_domain::{
    Timestamp,
    certificate::{AuthorityId, CertificateSerial},
};
use std::path::{Path, PathBuf};

/// How one stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorityState {
    /// It works: it signs what is signed.
    Issuing,
    /// What it signed is believed.
    Trusted,
    /// It ended by itself.
    Expired,
    /// A key that waits for its certificate.
    Pending,
}

/// A certificate of the authority, or a key that waits for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Such as `devices`, or `root`.
    pub kind: &'static str,
    /// Its subject key identifier.
    pub id: AuthorityId,
    /// How it stands.
    pub state: AuthorityState,
    /// `None` while it is pending.
    pub certificate: Option<ListedCertificate>,
}

/// What its certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedCertificate {
    /// Its serial.
    pub serial: CertificateSerial,
    /// Its subject.
    pub subject: String,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// DER.
    pub der: Vec<u8>,
}

impl AuthorityState {
    /// As people read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issuing => "issuing",
            Self::Trusted => "trusted",
            Self::Expired => "expired",
            Self::Pending => "pending",
        }
    }
}

impl Listed {
    /// Does it work, and is less than a third of its life left?
    pub fn is_due(&self, now: Timestamp) -> bool {
        let works = self.state == AuthorityState::Issuing || self.kind == ROOT;
        works
            && self.certificate.as_ref().is_some_and(|certificate| {
                let [from, until] = [certificate.not_before, certificate.not_after].map(Timestamp::seconds);
                until.saturating_sub(now.seconds()) < until.saturating_sub(from) / 3
            })
    }
}

const ROOT: &str = "root";

/// An instant as people write it, in UTC.
pub fn utc(at: Timestamp) -> String {
    let seconds = i64::try_from(at.seconds()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
}

fn certificate(stored: &Stored) -> ListedCertificate {
    ListedCertificate {
        serial: stored.serial,
        subject: format!("O={}, CN={}", stored.organisation, stored.common_name),
        not_before: Timestamp::from_seconds(stored.not_before),
        not_after: Timestamp::from_seconds(stored.not_after),
        der: stored.bytes.clone(),
    }
}

/// Every certificate of the authority and every key that waits for one: roots, the oldest first, then kind by kind, the
/// newest first.
///
/// # Errors
///
/// [`CaError::Missing`], [`CaError::Damaged`] or [`CaError::File`].
pub fn list(server: &Path, now: Timestamp) -> Result<Vec<Listed>, CaError> {
    let hierarchy = Hierarchy::read(server)?;
    let ended = |stored: &Stored| now.seconds() >= stored.not_after;
    let root = |root: &Root| Listed {
        kind: ROOT,
        id: root.certificate.id(),
        state: if ended(&root.certificate) {
            AuthorityState::Expired
        } else {
            AuthorityState::Trusted
        },
        certificate: Some(certificate(&root.certificate)),
    };
    let mut all: Vec<_> = hierarchy.roots.iter().map(root).collect();
    for kind in AuthorityKind::ALL {
        let working = hierarchy.working(kind, now).map(|one| one.certificate.id());
        if let Some(pending) = hierarchy.pending(kind) {
            all.push(Listed {
                kind: kind.as_str(),
                id: pending.id,
                state: AuthorityState::Pending,
                certificate: None,
            });
        }
        all.extend(hierarchy.of(kind).iter().map(|one| Listed {
            kind: kind.as_str(),
            id: one.certificate.id(),
            state: match working {
                Some(id) if id == one.certificate.id() => AuthorityState::Issuing,
                _ if ended(&one.certificate) => AuthorityState::Expired,
                _ => AuthorityState::Trusted,
            },
            certificate: Some(certificate(&one.certificate)),
        }));
    }
    Ok(all)
}

/// What somebody should look at soon: a root key where it must not be, certificates whose last third has begun.
///
/// # Errors
///
/// As [`list`].
pub fn warnings(server: &Path, now: Timestamp) -> Result<Vec<String>, CaError> {
    let key = root_key_within(server)?.map(|key| {
        format!(
            "the root key lies in the server's directory, at {}: move its directory to storage that is not connected to a \
             network",
            key.display()
        )
    });
    let untold = super::vouch::warning(&Hierarchy::read(server)?);
    let all = list(server, now)?;
    let due = all.iter().filter(|one| one.is_due(now)).map(|one| {
        let until = one
            .certificate
            .as_ref()
            .map_or(now, |certificate| certificate.not_after);
        let how = if one.kind == ROOT { "root" } else { "rotate" };
        format!(
            "{} {} ends on {}: renew it in time, see `musterd authority {how} --help`",
            one.kind,
            one.id,
            utc(until)
        )
    });
    // Of a kind of which none holds, nothing works.
    let ended = AuthorityKind::ALL.into_iter().filter(|kind| {
        let mut of_kind = all.iter().filter(|one| one.kind == kind.as_str()).peekable();
        of_kind.peek().is_some() && !of_kind.any(|one| one.state == AuthorityState::Issuing)
    });
    let ended = ended.map(|kind| {
        format!("no certificate of kind {kind} holds any more: see `musterd authority rotate --help`")
    });
    Ok(key.into_iter().chain(due).chain(ended).chain(untold).collect())
}

/// A root key that lies in a server's directory, where it must not be.
///
/// # Errors
///
/// [`CaError::File`].
pub fn root_key_within(server: &Path) -> Result<Option<PathBuf>, CaError> {
    let below = files::names(server)?.into_iter().map(|name| server.join(name));
    let places = std::iter::once(server.to_owned()).chain(below.filter(|path| path.is_dir()));
    Ok(places
        .map(|place| place.join(files::ROOT_KEY))
        .find(|key| key.exists()))
}
