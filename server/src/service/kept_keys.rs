//! Keys that were made for devices, until their devices have them. Memory only; each is wiped when it goes.

use crate::{
    ca::{CaError, DeviceKey},
    random,
};
use muster_domain::{Code, Refusal, activation::ActivationCode};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// How long an answer can be repeated: a device that lost one comes back within a minute.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(5 * 60);
/// Keys kept at once; about a kilobyte each. Wrong codes leave none.
const KEPT: usize = 16 << 10;

/// What a key is kept under: a salted hash of serial and code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name([u8; 32]);

struct Kept {
    key: Arc<DeviceKey>,
    /// It was certified, and goes when its time is over.
    settled: bool,
}

/// The keys of a process, which end with it.
#[derive(Clone)]
pub(super) struct KeptKeys {
    kept: Arc<Mutex<HashMap<Name, Kept>>>,
    salt: [u8; 32],
    limit: usize,
}

impl fmt::Debug for KeptKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptKeys").finish_non_exhaustive()
    }
}

impl KeptKeys {
    /// None yet.
    pub(super) fn new() -> Result<Self, random::NoRandom> {
        Ok(Self {
            kept: Arc::default(),
            salt: random::bytes()?,
            limit: KEPT,
        })
    }

    /// The name of a device's key. However the code is typed, it is the same.
    pub(super) fn name(&self, serial: &str, code: &str) -> Name {
        let parsed = code
            .parse()
            .map(|code: ActivationCode| Zeroizing::new(code.reveal()));
        let code = parsed.as_ref().map_or(code, |code| code.as_str());
        // A serial has no NUL, or it is nobody's.
        let parts = [&self.salt[..], serial.as_bytes(), &[0], code.as_bytes()];
        let hash = parts
            .iter()
            .fold(Sha256::new(), |hash, part| hash.chain_update(part));
        Name(hash.finalize().into())
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Name, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of that name, or a fresh one. It is kept before anything is recorded of it, so that a repetition that
    /// overtakes the first try finds it.
    pub(super) fn key(&self, name: Name) -> Result<Result<Arc<DeviceKey>, Refusal>, CaError> {
        if let Some(known) = self.kept().get(&name) {
            return Ok(Ok(Arc::clone(&known.key)));
        }
        let fresh = Arc::new(DeviceKey::generate()?);
        let mut kept = self.kept();
        if kept.len() >= self.limit && !kept.contains_key(&name) {
            return Ok(Err(Refusal::new(
                Code::Busy,
                "too many keys wait for their devices",
            )));
        }
        let known = kept.entry(name).or_insert(Kept {
            key: fresh,
            settled: false,
        });
        Ok(Ok(Arc::clone(&known.key)))
    }

    pub(super) fn forget(&self, name: Name) {
        self.kept().remove(&name);
    }

    /// Keeps the key for its time, counted from the first call, and not beyond `stop`.
    pub(super) fn settle(&self, name: Name, key: &Arc<DeviceKey>, stop: CancellationToken) {
        let mut kept = self.kept();
        let known = kept.entry(name).or_insert_with(|| Kept {
            key: Arc::clone(key),
            settled: false,
        });
        if std::mem::replace(&mut known.settled, true) {
            return;
        }
        let keys = self.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(tokio::time::sleep(KEPT_FOR)).await;
            keys.forget(name);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    /// The key's own form says which it is.
    fn key(keys: &KeptKeys, name: Name) -> Vec<u8> {
        keys.key(name).unwrap().unwrap().pkcs8().to_vec()
    }

    #[test]
    fn a_name_follows_from_serial_and_code_however_it_is_typed() {
        let keys = KeptKeys::new().unwrap();
        let code = ActivationCode::from_random([7; 15]).reveal();
        let typed = code.to_lowercase().replace('-', " ");
        assert!(keys.name("GW-1", &code) == keys.name("GW-1", &typed));
        assert!(keys.name("GW-2", &code) != keys.name("GW-1", &code));
        assert!(keys.name("GW-1", "wrong") != keys.name("GW-1", &code));
        assert!(KeptKeys::new().unwrap().name("GW-1", &code) != keys.name("GW-1", &code));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_repeated_for_its_time_and_no_longer() {
        let (keys, stop) = (KeptKeys::new().unwrap(), CancellationToken::new());
        let name = keys.name("GW-1", "code");
        let first = keys.key(name).unwrap().unwrap();
        assert_eq!(key(&keys, name), first.pkcs8());
        keys.settle(name, &first, stop.clone());
        sleep(KEPT_FOR - Duration::from_secs(1)).await;
        // To be asked again does not lengthen it.
        keys.settle(name, &first, stop.clone());
        assert_eq!(key(&keys, name), first.pkcs8());
        sleep(Duration::from_secs(2)).await;
        assert!(keys.kept().is_empty());
        assert_ne!(key(&keys, name), first.pkcs8());
        // A server that stops keeps nothing.
        keys.settle(name, &first, stop.clone());
        stop.cancel();
        sleep(Duration::from_millis(1)).await;
        assert!(keys.kept().is_empty());
    }

    #[test]
    fn there_is_a_most_that_is_kept() {
        let keys = KeptKeys {
            limit: 2,
            ..KeptKeys::new().unwrap()
        };
        let names = ["1", "2", "3"].map(|serial| keys.name(serial, "code"));
        let held = [key(&keys, names[0]), key(&keys, names[1])];
        let full = keys.key(names[2]).unwrap().unwrap_err();
        assert_eq!(full.code, Code::Busy);
        assert_eq!([key(&keys, names[0]), key(&keys, names[1])], held);
        keys.forget(names[0]);
        key(&keys, names[2]);
    }
}
