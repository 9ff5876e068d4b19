//! The directory with the root key, on a machine that need not know the server's.
//!
//! It holds the sealed key, the root's certificate, and a ledger with a line for each certificate that the key ever signed. The
//! line is durable before the certificate is handed out: what the key signed and nobody knows of is not by this program.

use super::{
    AuthorityKind, CaError, Passphrase,
    authority::{self, Issuing},
    ceremony::AuthorityRequest,
    files::{self, Stored, certificate_pem},
    generations::Held as _,
    key::{PrivateKey, PublicKey},
    kind::{self, BACK_DATED, ROOT_CA, ROOT_LIFE, authority_name},
    lint::{self, Proof},
    lint_bytes,
    profile::{Kind, Template},
    sealed,
    trust::{self, DRAFT, Draft},
};
use muster_domain::{Timestamp, certificate::AuthorityId};
use muster_proto::{
    payload::{Binary, TrustBundle, TrustVersion},
    trust::{ROOTS_LIMIT, digest, signing_input},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What `install` takes of a new root: its certificate, then its link.
const ROOT_AND_LINK: &str = "root-and-link.pem";

const README: &str = "\
This directory holds the private key of the root of trust, root.key, sealed with the passphrase that was given when
it was made.

Keep it on storage that is not connected to a network, in two copies. The server never needs it. Whoever has the key and
its passphrase can make certificates that every device believes.

The key is needed to renew what stands under it: the config signer and the checkpoint signer every two years, the CAs of
devices, operators and servers within ten years, any of them after a theft. `musterd authority list --dir D` on the server
says when. To renew one, such as the CA of devices:

    on the server     musterd authority request devices --dir D --passphrase-file P --out devices.csr
    here              musterd authority sign devices.csr --offline . --passphrase-file P --kind devices --out devices.pem
    on the server     musterd authority install devices.pem --dir D --passphrase-file P
                      then start the server again

Only devices.csr and devices.pem travel; neither is secret. The old CA stays trusted until it ends, or until
`musterd authority remove`. Where this directory can be mounted on the server, `musterd authority rotate devices` does
the three in one.

issued.log has a line for each certificate that the key signed. Compare it with `musterd authority list` now and then.

The root itself holds for twenty years. Before it ends, or when its key may be known to others:

    here              musterd authority root --offline . --passphrase-file P --out NEW
    on the server     musterd authority install NEW/root-and-link.pem --dir D --passphrase-file P

NEW is a directory like this one, with another key. The old root certifies the new one's key, so that devices which
pinned the old root accept what stands under the new one. So that they trust the new root itself, and no longer the old one
in the end, a root signs what is to be trusted:

    on the server     musterd authority request trust --dir D --passphrase-file P --out draft.json
    here              musterd authority sign draft.json --offline . --passphrase-file P --kind trust --out trust.json
    on the server     musterd authority install trust.json --dir D --passphrase-file P

`musterd authority root --help` has all steps in their order.

The key without this program:

    openssl pkcs8 -in root.key -passin file:PASSPHRASE-FILE
";

/// A directory with a root key, opened.
#[derive(Debug)]
pub struct Offline {
    directory: PathBuf,
    root: Issuing,
}

impl Offline {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// [`CaError::Missing`], [`CaError::Passphrase`], [`CaError::Damaged`] or [`CaError::File`].
    pub fn open(directory: &Path, passphrase: &Passphrase) -> Result<Self, CaError> {
        let key_file = directory.join(files::ROOT_KEY);
        if !key_file.exists() {
            return Err(CaError::NoRootKey(key_file));
        }
        let path = directory.join(files::ROOT_CERTIFICATE);
        if !path.exists() {
            return Err(CaError::Ceremony(format!(
                "{} does not exist: programs before this one did not put it there; copy ca/root.pem (or the root's \
                 certificate.pem below ca/roots) of the server's directory to it",
                path.display()
            )));
        }
        let certificate = Stored::read(path)?;
        if !certificate.is_signed_by(&certificate) {
            return Err(CaError::damaged(&certificate.path, "is not a root"));
        }
        let key = sealed::private_key(&key_file, passphrase)?;
        if certificate.key != *key.public() {
            return Err(CaError::damaged(
                &certificate.path,
                "is not the certificate of the key beside it",
            ));
        }
        Ok(Self {
            directory: directory.to_owned(),
            root: Issuing::new(certificate, key, ROOT_CA),
        })
    }

    /// Makes a root in an existing, empty directory.
    pub(super) fn make(
        directory: &Path,
        organisation: &str,
        mark: Option<&str>,
        passphrase: &Passphrase,
        now: Timestamp,
    ) -> Result<Self, CaError> {
        let (key, document) = PrivateKey::generate()?;
        let own = kind::mark(key.public());
        let common_name = authority_name(ROOT_CA, mark.unwrap_or(&own));
        let template = Template {
            kind: Kind::Root,
            serial: authority::serial(now)?,
            not_before: now.minus(BACK_DATED),
            not_after: now.plus(ROOT_LIFE),
            organisation: organisation.to_owned(),
            unit: None,
            common_name,
            locations: None,
        };
        let built = template.params(key.public())?.self_signed(&key)?;
        let signer = lint::Signer {
            name: &lint_bytes::name(organisation, None, &template.common_name),
            key: key.public(),
        };
        lint::check(built.der(), &template, key.public(), signer)?;
        let file = |name: &str, content: &str| files::write_new(&directory.join(name), content.as_bytes());
        file(files::ROOT_KEY, &sealed::seal(&document, passphrase)?)?;
        file(files::ROOT_CERTIFICATE, &certificate_pem(built.der()))?;
        file(files::ROOT_README, README)?;
        let path = directory.join(files::ROOT_CERTIFICATE);
        let certificate = Stored::from_bytes(path, built.der().to_vec())?;
        let offline = Self {
            directory: directory.to_owned(),
            root: Issuing::new(certificate, key, ROOT_CA),
        };
        offline.record("root", offline.certificate(), now)?;
        files::sync_directory(directory)?;
        Ok(offline)
    }

    /// The root.
    pub(super) fn certificate(&self) -> &Stored {
        self.root.certificate()
    }

    /// Signs what [`request`](super::request) wrote: checks that it is of this kind and organisation and proves its key,
    /// and takes nothing else from it. Gives the certificate, PEM.
    ///
    /// # Errors
    ///
    /// [`CaError::Ceremony`] when the request is no good, [`CaError::Clock`], [`CaError::Expired`], or a fault.
    pub fn sign(&self, request: &str, kind: AuthorityKind, now: Timestamp) -> Result<String, CaError> {
        let request = AuthorityRequest::read(request, &self.certificate().organisation)?;
        if request.kind != kind {
            return Err(CaError::Ceremony(format!(
                "the request is for kind {}, and --kind says {kind}; make sure which is meant, nothing was signed",
                request.kind
            )));
        }
        let certificate = self.certify(kind, &kind::mark(&request.key), &request.key, now)?;
        Ok(certificate_pem(&certificate))
    }

    /// Signs what [`draft_trust`](super::draft_trust) wrote, and puts that down: devices that trust this root trust the roots of
    /// the draft from then on, and no others. Gives the signed version, its number, and the ids of its roots.
    ///
    /// # Errors
    ///
    /// [`CaError::Ceremony`] when the draft is no good, or a fault.
    pub fn vouch(&self, draft: &str, now: Timestamp) -> Result<(String, u64, Vec<AuthorityId>), CaError> {
        let refuse = |why: &str| CaError::Ceremony(format!("the draft {why}; nothing was signed"));
        let draft: Draft = serde_json::from_str(draft)
            .ok()
            .filter(|draft: &Draft| draft.sign == DRAFT)
            .ok_or_else(|| refuse("is not what `musterd authority request trust` writes"))?;
        if draft.version == 0 || draft.roots.is_empty() || draft.roots.len() > ROOTS_LIMIT {
            return Err(refuse(&format!(
                "must name a version and 1 to {ROOTS_LIMIT} roots"
            )));
        }
        let own = self.certificate();
        let mut ids = Vec::new();
        for Binary(der) in &draft.roots {
            let root = Stored::from_bytes(self.directory.join("a root of the draft"), der.clone())?;
            if !root.is_signed_by(&root) || root.organisation != own.organisation {
                return Err(refuse("names a certificate that is no root of this organisation"));
            }
            ids.push(root.id());
        }
        let roots: Vec<_> = draft.roots.iter().map(|root| digest(&root.0)).collect();
        let signature = self.root.key.sign(&signing_input(draft.version, &roots));
        let version = TrustVersion {
            version: draft.version,
            roots,
            signer: digest(&own.bytes),
            signature: Binary(signature.map_err(CaError::Key)?),
        };
        let mut certificates = draft.roots;
        if !certificates.iter().any(|root| root.0 == own.bytes) {
            certificates.push(Binary(own.bytes.clone()));
        }
        let named = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let line = format!("{} trust {} of {named}\n", super::utc(now), draft.version);
        files::append(&self.directory.join(files::LEDGER), &line)?;
        let signed = TrustBundle {
            certificates,
            versions: vec![version],
        };
        Ok((trust::text(&signed)?, draft.version, ids))
    }

    /// Certifies a key for a kind, and puts that down.
    pub(super) fn certify(
        &self,
        kind: AuthorityKind,
        mark: &str,
        key: &PublicKey,
        now: Timestamp,
    ) -> Result<Vec<u8>, CaError> {
        let common_name = authority_name(kind.what(), mark);
        let template = self.template(kind.profile(), common_name, kind.life(), now)?;
        self.issue(kind.as_str(), &template, key, now)
    }

    fn issue(
        &self,
        kind: &str,
        template: &Template,
        key: &PublicKey,
        now: Timestamp,
    ) -> Result<Vec<u8>, CaError> {
        let certificate = self.root.issue(template, key, Proof::Always)?;
        let stored = Stored::from_bytes(self.directory.join("a new certificate"), certificate)?;
        self.record(kind, &stored, now)?;
        Ok(stored.bytes)
    }

    /// What the root may sign now: within its own life.
    fn template(
        &self,
        kind: Kind,
        common_name: String,
        life: Duration,
        now: Timestamp,
    ) -> Result<Template, CaError> {
        let root = self.certificate();
        if now.seconds() < root.not_before {
            // The machine may never have heard of a time server.
            return Err(CaError::Clock(now));
        }
        if !root.holds_at(now) {
            return Err(CaError::Expired(ROOT_CA));
        }
        let start = now.minus(BACK_DATED).seconds().max(root.not_before);
        let end = now.plus(life).seconds().min(root.not_after);
        Ok(Template {
            kind,
            serial: authority::serial(now)?,
            not_before: Timestamp::from_seconds(start),
            not_after: Timestamp::from_seconds(end),
            organisation: root.organisation.clone(),
            unit: None,
            common_name,
            locations: None,
        })
    }

    /// Makes a root to follow this one, in a directory of its own that must not exist or be empty. It appears whole or not
    /// at all. Gives the file that `install` takes on the server.
    ///
    /// # Errors
    ///
    /// [`CaError::Ceremony`] when something is there, [`CaError::Clock`], [`CaError::Expired`], or a fault.
    pub fn succeed(&self, new: &Path, passphrase: &Passphrase, now: Timestamp) -> Result<PathBuf, CaError> {
        let place = Place::prepare(new)?;
        let organisation = &self.certificate().organisation;
        let next = Self::make(&place.staging, organisation, None, passphrase, now)?;
        let root = next.certificate();
        let template = self.template(Kind::Link, root.common_name.clone(), ROOT_LIFE, now)?;
        let link = self.issue("link", &template, &root.key, now)?;
        let both = certificate_pem(&root.bytes) + &certificate_pem(&link);
        files::write_new(&place.staging.join(ROOT_AND_LINK), both.as_bytes())?;
        files::sync_directory(&place.staging)?;
        place.settle()?;
        Ok(new.join(ROOT_AND_LINK))
    }

    /// Adds a line to the ledger, durably.
    fn record(&self, kind: &str, certificate: &Stored, now: Timestamp) -> Result<(), CaError> {
        let Stored {
            serial,
            organisation,
            common_name,
            not_after,
            ..
        } = certificate;
        let (at, until) = (super::utc(now), super::utc(Timestamp::from_seconds(*not_after)));
        let line = format!("{at} {kind} {serial} until {until} O={organisation}, CN={common_name}\n");
        files::append(&self.directory.join(files::LEDGER), &line)
    }
}

/// Where a directory with a root key is to be: made beside, then renamed.
#[derive(Debug)]
pub(crate) struct Place {
    /// Where it is made.
    pub(crate) staging: PathBuf,
    target: PathBuf,
}

/// The directory that holds a path.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

impl Place {
    /// Refuses a directory that holds something; makes an empty one beside it.
    pub(crate) fn prepare(target: &Path) -> Result<Self, CaError> {
        if !files::names(target)?.is_empty() {
            return Err(CaError::OfflineExists(target.to_owned()));
        }
        let staging = Self::beside(target)?;
        // A crash left it: it was never anybody's root.
        files::remove_directory(&staging)?;
        files::make_directory(&staging)?;
        Ok(Self {
            staging,
            target: target.to_owned(),
        })
    }

    /// Takes a directory with a root key away again that no registry came to: the next [`Place::prepare`] removes it.
    pub(crate) fn withdraw(target: &Path) -> Result<(), CaError> {
        let staging = Self::beside(target)?;
        files::remove_directory(&staging)?;
        files::rename(target, &staging)
    }

    fn beside(target: &Path) -> Result<PathBuf, CaError> {
        let Some(name) = target.file_name() else {
            return Err(CaError::Ceremony(format!(
                "{} cannot hold a root key: name a directory that can be made",
                target.display()
            )));
        };
        Ok(parent(target).join(format!(".{}.new", name.to_string_lossy())))
    }

    /// Makes it real, durably.
    pub(crate) fn settle(self) -> Result<(), CaError> {
        // rename(2) replaces an empty directory.
        files::rename(&self.staging, &self.target)?;
        files::sync_directory(parent(&self.target))
    }

    /// Removes what was made so far.
    pub(crate) fn give_up(&self) -> Result<(), CaError> {
        files::remove_directory(&self.staging)
    }
}
