//! Seals that open quickly. A registry seals its keys so that each guess at the passphrase costs some 40 ms. A test has
//! nothing to guard, and opens six of them whenever it starts a server.

use crate::files_below;
use pkcs8::{
    EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument,
    pkcs5::{
        EncryptionScheme,
        pbes2::{Kdf, Parameters, ScryptParams},
    },
};
use std::{fs, path::Path};

const LABEL: &str = "ENCRYPTED PRIVATE KEY";
/// The least that scrypt allows.
const COST: u64 = 2;

/// Seals every sealed key below a directory anew, at next to no cost. The passphrase stays.
pub(crate) fn loosen(directory: &Path, passphrase: &Path) {
    let passphrase = fs::read_to_string(passphrase).expect("a passphrase");
    for file in files_below(directory) {
        let text = fs::read(&file).expect("a file");
        if let Ok(text) = str::from_utf8(&text)
            && let Ok((LABEL, sealed)) = SecretDocument::from_pem(text)
        {
            fs::write(&file, loosened(&sealed, passphrase.trim_end())).expect("a key");
        }
    }
}

fn loosened(sealed: &SecretDocument, passphrase: &str) -> String {
    let sealed = EncryptedPrivateKeyInfoRef::try_from(sealed.as_bytes()).expect("a sealed key");
    let opened = sealed.decrypt(passphrase).expect("the passphrase");
    let EncryptionScheme::Pbes2(Parameters {
        kdf: Kdf::Scrypt(kdf),
        encryption,
    }) = sealed.encryption_algorithm
    else {
        panic!("a key is not sealed with scrypt");
    };
    let loose = Parameters {
        kdf: Kdf::Scrypt(ScryptParams {
            cost_parameter: COST,
            ..kdf
        }),
        encryption,
    };
    let info = PrivateKeyInfoRef::try_from(opened.as_bytes()).expect("a key");
    let sealed = info.encrypt_with_params(loose, passphrase).expect("a sealed key");
    sealed.to_pem(LABEL, LineEnding::LF).expect("PEM").to_string()
}
