//! Which roots devices are to trust, from version to version: each is a file, signed by the key of a root that was trusted
//! before it.
//!
//! ```text
//! ca/trust/1.json    a bundle (muster_proto::payload::TrustBundle) of this one version
//! ```

use super::{
    CaError,
    files::{self, Stored},
    hierarchy::Root,
};
use muster_domain::certificate::AuthorityId;
use muster_proto::{
    payload::{Binary, Digest, TrustBundle, TrustVersion},
    trust,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub(super) const TRUST: &str = "trust";

/// What is to be signed: the next version, before a root has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    /// What the file is, for people who find it.
    pub(super) sign: String,
    pub(super) version: u64,
    /// The roots, DER.
    pub(super) roots: Vec<Binary>,
}

/// What [`Draft::sign`] says.
pub(super) const DRAFT: &str = "muster trust";

/// Every version that there is, checked.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    versions: Vec<TrustBundle>,
}

/// A version, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTrust {
    /// From 1.
    pub version: u64,
    /// The roots that are trusted by it.
    pub roots: Vec<AuthorityId>,
    /// The one whose key signed.
    pub signer: AuthorityId,
}

/// Did the key of `root` sign?
fn is_signed(root: &[u8], message: &[u8], signature: &[u8]) -> bool {
    Stored::from_bytes(PathBuf::new(), root.to_vec())
        .is_ok_and(|root| root.key.has_signed(message, signature))
}

pub(super) fn file(authority: &Path, version: u64) -> PathBuf {
    authority.join(TRUST).join(format!("{version}.json"))
}

/// Text of a file that people carry.
pub(super) fn text(content: &impl Serialize) -> Result<String, CaError> {
    serde_json::to_string_pretty(content)
        .map(|text| text + "\n")
        .map_err(|error| CaError::Ceremony(format!("cannot write the version of trust: {error}")))
}

impl History {
    /// Reads the versions of an authority.
    pub(super) fn read(authority: &Path) -> Result<Self, CaError> {
        let mut history = Self::default();
        loop {
            let path = file(authority, history.next());
            if !path.exists() {
                return Ok(history);
            }
            let bundle = serde_json::from_str(&files::read(&path)?)
                .map_err(|_| CaError::damaged(&path, "is not a version of trust"))?;
            history = history.with(bundle).map_err(|why| CaError::damaged(&path, why))?;
        }
    }

    /// The number that the next version will have.
    pub(super) fn next(&self) -> u64 {
        self.newest().map_or(1, |newest| newest.version + 1)
    }

    pub(super) fn newest(&self) -> Option<&TrustVersion> {
        self.versions.last().and_then(|bundle| bundle.versions.first())
    }

    /// Does the newest version name this root? Before the first, devices know the oldest root alone: `None`.
    pub(super) fn names(&self, root: &Stored) -> Option<bool> {
        let newest = self.newest()?;
        Some(newest.roots.contains(&trust::digest(&root.bytes)))
    }

    /// Is the newest version about these roots?
    pub(super) fn is_of(&self, roots: &[Root]) -> bool {
        let digest = |root: &Root| trust::digest(&root.certificate.bytes).0;
        let mut roots: Vec<_> = roots.iter().map(digest).collect();
        let mut named: Vec<_> = self.newest().map_or(Vec::new(), |newest| {
            newest.roots.iter().map(|root| root.0).collect()
        });
        roots.sort_unstable();
        named.sort_unstable();
        roots == named
    }

    /// With the next version, if it is that.
    pub(super) fn with(mut self, next: TrustBundle) -> Result<Self, &'static str> {
        let [version] = next.versions.as_slice() else {
            return Err("is not one version of trust");
        };
        if version.version != self.next() {
            return Err("is not the next version of trust");
        }
        // Of the first, the signer must lie beside: there is no version that could name it.
        let before: Vec<_> = match self.versions.last() {
            Some(before) => named(before).map(<[u8]>::to_vec).collect(),
            None => certificate(&next, version.signer)
                .map(|signer| vec![signer.to_vec()])
                .unwrap_or_default(),
        };
        match trust::advance(&next, version.version - 1, &before, is_signed) {
            Ok(Some(_)) if named(&next).count() == version.roots.len() => {
                self.versions.push(next);
                Ok(self)
            }
            Ok(Some(_)) => Err("names a root that does not lie beside"),
            Ok(None) => Err("is not signed by a root of the version before it"),
            Err(_) => Err("has a wrong signature or misses a root"),
        }
    }

    /// The versions above `held`, as a device takes them.
    pub(super) fn above(&self, held: u64) -> TrustBundle {
        let mut all = TrustBundle::default();
        let mut wanted: Vec<_> = self
            .versions
            .iter()
            .rev()
            .take(trust::VERSIONS_LIMIT)
            .filter(|bundle| bundle.versions.iter().any(|version| version.version > held))
            .collect();
        wanted.reverse();
        for bundle in wanted {
            for certificate in &bundle.certificates {
                if !all.certificates.contains(certificate) {
                    all.certificates.push(certificate.clone());
                }
            }
            all.versions.extend(bundle.versions.iter().cloned());
        }
        all
    }

    pub(super) fn listed(&self) -> Vec<ListedTrust> {
        let id = |der: &[u8]| {
            let stored = Stored::from_bytes(PathBuf::new(), der.to_vec());
            stored.map_or(AuthorityId([0; 20]), |stored| stored.id())
        };
        let each = |bundle: &TrustBundle| {
            let version = bundle.versions.first()?;
            let signer = self.signer(bundle, version)?;
            Some(ListedTrust {
                version: version.version,
                roots: named(bundle).map(id).collect(),
                signer: id(signer),
            })
        };
        self.versions.iter().filter_map(each).collect()
    }

    /// The certificate of whoever signed: it may have been left out by then.
    fn signer<'a>(&'a self, bundle: &'a TrustBundle, version: &TrustVersion) -> Option<&'a [u8]> {
        let all = std::iter::once(bundle).chain(&self.versions);
        all.filter_map(|bundle| certificate(bundle, version.signer))
            .next()
    }
}

fn certificate(bundle: &TrustBundle, name: Digest) -> Option<&[u8]> {
    let mut all = bundle.certificates.iter();
    all.find(|der| trust::digest(&der.0) == name)
        .map(|der| der.0.as_slice())
}

/// The roots that a bundle of one version names, DER.
fn named(bundle: &TrustBundle) -> impl Iterator<Item = &[u8]> {
    let roots = bundle.versions.first().map_or(&[][..], |version| &version.roots);
    roots.iter().filter_map(|root| certificate(bundle, *root))
}
