//! The last step: the certificate that came back, beside its key.

use super::{Session, settle, vouch};
use crate::ca::{
    AuthorityKind, CaError, Passphrase, authority,
    files::{self, Stored, certificate_pem},
    hierarchy::{CERTIFICATE, Generation, Hierarchy, LINK, PRIVATE_KEY, REQUEST, ROOTS},
    kind::{ROOT_CA, authority_name, mark},
    lint,
    profile::{Kind, Template},
};
use muster_domain::{Timestamp, certificate::AuthorityId};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::path::{Path, PathBuf};

/// What was installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// A generation of an authority.
    Authority(AuthorityKind, AuthorityId),
    /// A root, with its link.
    Root(AuthorityId),
    /// A version of trust.
    Trust(u64),
    /// It was there already, the very same.
    Before(AuthorityId),
}

fn refuse(why: impl Into<String>) -> CaError {
    CaError::Ceremony(format!("{}; nothing was changed", why.into()))
}

/// Installs a certificate of the root for a key that waits for it, a new root with its link (PEM, two certificates), or a version
/// of trust that a root signed (JSON). From the next start on it works; what worked before stays trusted.
///
/// # Errors
///
/// [`CaError::Ceremony`] when it does not belong here, [`CaError::Passphrase`], [`CaError::Lint`], or a fault. Nothing was
/// changed then.
pub fn install(
    server: &Path,
    text: &str,
    passphrase: &Passphrase,
    now: Timestamp,
) -> Result<Installed, CaError> {
    let Session { hierarchy, _lock } = Session::open(server)?;
    if text.trim_start().starts_with('{') {
        return Ok(Installed::Trust(vouch::install(&hierarchy, text)?));
    }
    let path = PathBuf::from("the file");
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes())
        .map(|der| {
            let der = der.map_err(|_| refuse("the file holds something else than certificates in PEM"))?;
            Stored::from_bytes(path.clone(), der.to_vec())
        })
        .collect::<Result<Vec<_>, CaError>>()?;
    match certificates.as_slice() {
        [certificate] if certificate.is_signed_by(certificate) => Err(refuse(
            "the file holds a root alone; install the root-and-link.pem that `musterd authority root` wrote",
        )),
        [certificate] => authority(&hierarchy, certificate, passphrase, now),
        [root, link] => self::root(&hierarchy, root, link, now),
        _ => Err(refuse(
            "the file holds neither one certificate nor a root with its link",
        )),
    }
}

fn authority(
    hierarchy: &Hierarchy,
    certificate: &Stored,
    passphrase: &Passphrase,
    now: Timestamp,
) -> Result<Installed, CaError> {
    let id = certificate.id();
    let mut known = hierarchy.generations();
    if let Some((_, known)) = known.find(|(_, one)| one.certificate.id() == id) {
        return if known.certificate.bytes == certificate.bytes {
            Ok(Installed::Before(id))
        } else {
            Err(refuse(format!("{id} has another certificate already")))
        };
    }
    // 1. It is for a key that waits here.
    let Some(pending) = hierarchy.pending.iter().find(|pending| pending.id == id) else {
        return Err(refuse(format!(
            "no key here waits for this certificate, of {:?} with id {id}: it was requested from another directory, or the \
             request was withdrawn",
            certificate.common_name
        )));
    };
    // 2. A root of ours signed it, for what the key was made for, and it says nothing else.
    let Some(root) = hierarchy.signer(certificate) else {
        return Err(refuse(
            "the certificate is not signed by a root of this authority; was a new root installed here?",
        ));
    };
    let common_name = authority_name(pending.kind.what(), &mark(&certificate.key));
    check(
        certificate,
        pending.kind.profile(),
        common_name,
        &hierarchy.roots[root].certificate,
    )?;
    holds(certificate, now)?;
    // 3. Its key opens: or the server would not start any more.
    let key = pending.directory.join(PRIVATE_KEY);
    let generation = Generation {
        certificate: certificate.clone(),
        key,
        chain: Vec::new(),
        root,
    };
    authority::key_of(&generation, passphrase)?;
    // 4. One rename, and it is a generation.
    let pem = certificate_pem(&certificate.bytes);
    files::write_new(&pending.directory.join(CERTIFICATE), pem.as_bytes())?;
    files::sync_directory(&pending.directory)?;
    files::remove_file(&pending.directory.join(REQUEST))?;
    Ok(Installed::Authority(pending.kind, id))
}

fn root(hierarchy: &Hierarchy, root: &Stored, link: &Stored, now: Timestamp) -> Result<Installed, CaError> {
    let id = root.id();
    let mut known = hierarchy.roots.iter();
    if known.any(|known| known.certificate.bytes == root.bytes) {
        return Ok(Installed::Before(id));
    }
    if link.id() != id {
        return Err(refuse("the link in the file is for another root than the file's"));
    }
    let Some(before) = hierarchy.signer(link) else {
        return Err(refuse("the link is not signed by a root of this authority"));
    };
    let before = &hierarchy.roots[before].certificate;
    let name = authority_name(ROOT_CA, &mark(&root.key));
    check(root, Kind::Root, name.clone(), root)?;
    check(link, Kind::Link, name, before)?;
    if root.organisation != before.organisation {
        return Err(refuse("the root is of another organisation"));
    }
    holds(root, now)?;
    holds(link, now)?;
    let [root, link] = [root, link].map(|one| certificate_pem(&one.bytes));
    settle::appear(
        &hierarchy.directory.join(ROOTS),
        &id.to_string(),
        &[(CERTIFICATE, &root), (LINK, &link)],
    )?;
    Ok(Installed::Root(id))
}

/// Is it what its profile makes of the name and the key, and nothing else?
fn check(certificate: &Stored, kind: Kind, common_name: String, signer: &Stored) -> Result<(), CaError> {
    let template = Template {
        kind,
        serial: certificate.serial,
        not_before: Timestamp::from_seconds(certificate.not_before),
        not_after: Timestamp::from_seconds(certificate.not_after),
        organisation: signer.organisation.clone(),
        unit: None,
        common_name,
        locations: None,
    };
    let signer = lint::Signer {
        name: &signer.name,
        key: &signer.key,
    };
    Ok(lint::check(
        &certificate.bytes,
        &template,
        &certificate.key,
        signer,
    )?)
}

/// Does it hold already, and still?
fn holds(certificate: &Stored, now: Timestamp) -> Result<(), CaError> {
    if certificate.holds_at(now) {
        return Ok(());
    }
    let [from, until] =
        [certificate.not_before, certificate.not_after].map(|at| super::utc(Timestamp::from_seconds(at)));
    Err(refuse(format!(
        "the certificate holds from {from} until {until}, and here it is {}; look at the clocks of both machines",
        super::utc(now)
    )))
}
