//! The public part of the authority as it lies on the disk: roots, and of each kind its generations.
//!
//! ```text
//! ca/roots/ID/certificate.pem, and link.pem but for the first: the same key, certified by the root before
//! ca/devices/ID/private.key   sealed; pending, until there is a
//! ca/devices/ID/certificate.pem
//! ca/trust/N.json             which roots devices are to trust by version N, signed by one of version N - 1
//! ```
//!
//! and so for each kind. The rename of one file or directory makes, completes or ends a generation, so that none is ever
//! half there. ID is the subject key identifier, in hexadecimal digits.

use super::{
    AuthorityKind, CaError,
    files::{self, Stored},
    kind::{ROOT_CA, authority_name},
    trust::History,
};
use muster_domain::{Timestamp, certificate::AuthorityId};
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub(super) const ROOTS: &str = "roots";
pub(super) const CERTIFICATE: &str = "certificate.pem";
pub(super) const LINK: &str = "link.pem";
pub(super) const PRIVATE_KEY: &str = "private.key";
pub(super) const REQUEST: &str = "request.csr";

/// Where programs before this layout kept the one root there was.
pub(super) const FORMER_ROOT: &str = "root.pem";

/// Where they kept the one certificate of a kind, and its key.
pub(super) fn former(kind: AuthorityKind) -> (String, String) {
    (format!("{kind}.pem"), format!("keys/{kind}.key"))
}

/// A root, and how one comes to it from the one before.
#[derive(Debug, Clone)]
pub(super) struct Root {
    pub(super) certificate: Stored,
    pub(super) link: Option<Stored>,
}

/// A certificate with a key that works here.
#[derive(Debug, Clone)]
pub(super) struct Generation {
    pub(super) certificate: Stored,
    /// Its sealed key.
    pub(super) key: PathBuf,
    /// What stands between it and a root, DER: itself, then links from newer roots to older ones.
    pub(super) chain: Vec<Vec<u8>>,
    /// The root that signed it, counted from the oldest.
    pub(super) root: usize,
}

/// A key that waits for its certificate.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) kind: AuthorityKind,
    pub(super) id: AuthorityId,
    pub(super) directory: PathBuf,
}

/// All of it. What is in here was checked: it belongs together.
#[derive(Debug)]
pub(super) struct Hierarchy {
    /// [`files::AUTHORITY`].
    pub(super) directory: PathBuf,
    /// The oldest first; never empty.
    pub(super) roots: Vec<Root>,
    generations: BTreeMap<AuthorityKind, Vec<Generation>>,
    /// What devices were told of the roots.
    pub(super) trust: History,
    pub(super) pending: Vec<Pending>,
}

impl Hierarchy {
    /// Reads the authority of a server's directory.
    ///
    /// # Errors
    ///
    /// [`CaError::Missing`], [`CaError::Damaged`] or [`CaError::File`].
    pub(super) fn read(server: &Path) -> Result<Self, CaError> {
        let directory = server.join(files::AUTHORITY);
        if !directory.exists() {
            return Err(CaError::Missing(directory));
        }
        let roots = roots(&directory)?;
        let trust = History::read(&directory)?;
        let mut all = Self {
            directory,
            roots,
            generations: BTreeMap::new(),
            trust,
            pending: Vec::new(),
        };
        for kind in AuthorityKind::ALL {
            all.read_kind(kind)?;
        }
        Ok(all)
    }

    fn read_kind(&mut self, kind: AuthorityKind) -> Result<(), CaError> {
        let mut found = BTreeMap::new();
        let (certificate, key) = former(kind);
        let [certificate, key] = [certificate, key].map(|name| self.directory.join(name));
        if certificate.exists() {
            let generation = self.generation(kind, Stored::read(certificate)?, key)?;
            found.insert(generation.certificate.id(), generation);
        }
        for (id, directory) in numbered(&self.directory.join(kind.as_str()))? {
            let certificate = directory.join(CERTIFICATE);
            if !certificate.exists() {
                self.pending.push(Pending { kind, id, directory });
                continue;
            }
            let certificate = named(Stored::read(certificate)?, id)?;
            let generation = self.generation(kind, certificate, directory.join(PRIVATE_KEY))?;
            found.insert(id, generation);
        }
        // Programs before checkpoints made no key for them.
        if found.is_empty() && kind != AuthorityKind::Checkpoint {
            return Err(CaError::Missing(self.directory.join(kind.as_str())));
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_by_key(|generation| Reverse(generation.certificate.age()));
        self.generations.insert(kind, found);
        Ok(())
    }

    fn generation(
        &self,
        kind: AuthorityKind,
        certificate: Stored,
        key: PathBuf,
    ) -> Result<Generation, CaError> {
        let root = self
            .signer(&certificate)
            .ok_or_else(|| CaError::damaged(&certificate.path, "is not signed by the root"))?;
        // Two files that changed places would change what each port lets in.
        if !certificate
            .common_name
            .starts_with(&authority_name(kind.what(), ""))
        {
            return Err(CaError::damaged(
                &certificate.path,
                "is another certificate of this authority",
            ));
        }
        let mut chain = vec![certificate.bytes.clone()];
        chain.extend(self.links(root));
        Ok(Generation {
            certificate,
            key,
            chain,
            root,
        })
    }

    /// The root that signed a certificate, counted from the oldest.
    pub(super) fn signer(&self, certificate: &Stored) -> Option<usize> {
        self.roots
            .iter()
            .position(|root| certificate.is_signed_by(&root.certificate))
    }

    /// From a root back to the oldest: each link leads to one that is older. One whose root was removed stays: a device that lay in
    /// a store may have pinned that, and has no other way to what came after.
    fn links(&self, mut root: usize) -> Vec<Vec<u8>> {
        let mut links = Vec::new();
        while let Some(link) = &self.roots[root].link {
            links.push(link.bytes.clone());
            let mut older = self.roots[..root].iter();
            match older.position(|older| link.is_signed_by(&older.certificate)) {
                Some(before) => root = before,
                None => break,
            }
        }
        links
    }

    /// The generations of a kind, the newest first. Never empty, but for checkpoints.
    pub(super) fn of(&self, kind: AuthorityKind) -> &[Generation] {
        self.generations.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// Every generation of every kind.
    pub(super) fn generations(&self) -> impl Iterator<Item = (AuthorityKind, &Generation)> {
        self.generations
            .iter()
            .flat_map(|(kind, all)| all.iter().map(|one| (*kind, one)))
    }

    /// In the order in which they are to work: the first that holds does.
    ///
    /// The newest, but for the one that signs desired state: a device believes it under a root that it trusts, which are those of
    /// the newest version of trust. Before there is one, every device has pinned the oldest.
    pub(super) fn in_order(&self, kind: AuthorityKind) -> Vec<&Generation> {
        let mut all: Vec<_> = self.of(kind).iter().collect();
        if kind == AuthorityKind::Config {
            let is_known = |root: usize| {
                let named = self.trust.names(&self.roots[root].certificate);
                named.unwrap_or(root == 0)
            };
            all.sort_by_key(|generation| match generation.root {
                known if is_known(known) => (false, 0),
                other => (true, other),
            });
        }
        all
    }

    /// The one that works at `now`, if any holds.
    pub(super) fn working(&self, kind: AuthorityKind, now: Timestamp) -> Option<&Generation> {
        let mut all = self.in_order(kind).into_iter();
        all.find(|generation| generation.certificate.holds_at(now))
    }

    /// The key of this kind that waits for its certificate.
    pub(super) fn pending(&self, kind: AuthorityKind) -> Option<&Pending> {
        self.pending.iter().find(|pending| pending.kind == kind)
    }

    /// The root that is the youngest.
    pub(super) fn newest_root(&self) -> &Root {
        &self.roots[self.roots.len() - 1]
    }
}

/// The directories of a kind, each with the id that it is called by.
fn numbered(directory: &Path) -> Result<Vec<(AuthorityId, PathBuf)>, CaError> {
    let names = files::names(directory)?;
    let finished = names.into_iter().filter(|name| !name.starts_with('.'));
    finished
        .map(|name| {
            let path = directory.join(&name);
            match id(&name) {
                Some(id) => Ok((id, path)),
                None => Err(CaError::damaged(path, "is not called by the id of an authority")),
            }
        })
        .collect()
}

/// From 40 hexadecimal digits.
fn id(text: &str) -> Option<AuthorityId> {
    let mut id = [0; 20];
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 40 || !text.bytes().all(lower_hex) {
        return None;
    }
    for (place, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(AuthorityId(id))
}

fn named(certificate: Stored, id: AuthorityId) -> Result<Stored, CaError> {
    if certificate.id() == id {
        Ok(certificate)
    } else {
        Err(CaError::damaged(
            certificate.path,
            "is the certificate of another authority than its directory says",
        ))
    }
}

/// Every root, the oldest first.
fn roots(directory: &Path) -> Result<Vec<Root>, CaError> {
    let mut found = BTreeMap::new();
    let former = directory.join(FORMER_ROOT);
    if former.exists() {
        let certificate = Stored::read(former)?;
        let link = None;
        found.insert(certificate.id(), Root { certificate, link });
    }
    for (id, directory) in numbered(&directory.join(ROOTS))? {
        let certificate = named(Stored::read(directory.join(CERTIFICATE))?, id)?;
        let link = directory.join(LINK);
        let link = link
            .exists()
            .then(|| named(Stored::read(link)?, id))
            .transpose()?;
        found.insert(id, Root { certificate, link });
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by_key(|root| root.certificate.age());
    for Root { certificate, link } in &found {
        let is_root = certificate.common_name.starts_with(&authority_name(ROOT_CA, ""));
        if !is_root || !certificate.is_signed_by(certificate) {
            return Err(CaError::damaged(&certificate.path, "is not a root"));
        }
        if let Some(link) = link.as_ref().filter(|link| link.name != certificate.name) {
            return Err(CaError::damaged(
                &link.path,
                "has another name than the root it leads to",
            ));
        }
    }
    if found.is_empty() {
        return Err(CaError::Missing(directory.join(ROOTS)));
    }
    Ok(found)
}
