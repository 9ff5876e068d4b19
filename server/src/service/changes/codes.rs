//! The codes that a change gives out: made from its seed, shown as often as they are asked for, and forgotten when somebody has
//! all of them.

use super::super::{OrFault as _, Service, actor, blocking};
use crate::{ca::Ca, fault::Failure, random, store::IssuedCode};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use muster_domain::{
    Code, Refusal,
    access::Permit,
    activation::{ActivationCode, CodeHash, Seed},
    audit::{Action, Actor, Event},
    change::{Change, Codes},
    ids::{ChangeId, DeviceId},
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Codes of one message: about 100 bytes each, so that a message stays far below the 4 MiB that clients accept.
const PART: usize = 4096;
/// Bytes of a resume token: its version, the change, and a number.
const TOKEN: usize = 1 + 16 + 4;
const VERSION: u8 = 1;

/// A device with the code that a change gave it. `Debug` does not show the code.
#[derive(Debug)]
pub struct GivenCode {
    /// Which, and when.
    pub issued: IssuedCode,
    /// For its label.
    pub code: ActivationCode,
}

/// The next codes, and the token that goes on behind them.
#[derive(Debug)]
pub struct CodesPart {
    /// In the order in which they were given out.
    pub codes: Vec<GivenCode>,
    /// Where to go on.
    pub token: String,
}

/// Where codes are told.
type Telling = mpsc::Sender<Result<CodesPart, Failure>>;

/// What makes the codes of one change.
#[derive(Clone)]
pub(super) struct Coder {
    ca: Arc<Ca>,
    seed: Seed,
}

impl std::fmt::Debug for Coder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coder").finish_non_exhaustive()
    }
}

impl Coder {
    fn code(&self, device: DeviceId) -> ActivationCode {
        self.ca.code_key().code_of(&self.seed, device)
    }

    /// What is kept of a device's code.
    pub(super) fn hash(&self, device: DeviceId) -> CodeHash {
        self.code(device).hash(self.ca.code_key())
    }
}

/// The token of whoever has this many codes of a change.
fn token(id: ChangeId, number: u32) -> String {
    let bytes = [&[VERSION][..], &id.as_u128().to_be_bytes(), &number.to_be_bytes()];
    URL_SAFE_NO_PAD.encode(bytes.concat())
}

/// How many codes of a change the holder of a token has.
fn read(id: ChangeId, token: &str) -> Result<u32, Refusal> {
    if token.is_empty() {
        return Ok(0);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let bytes = bytes.and_then(|bytes| <[u8; TOKEN]>::try_from(bytes).ok());
    let number = bytes.and_then(|bytes| {
        let (head, number) = bytes.split_last_chunk()?;
        let is_ours = head == [&[VERSION][..], &id.as_u128().to_be_bytes()].concat();
        is_ours.then_some(u32::from_be_bytes(*number))
    });
    number.ok_or_else(|| {
        let why = format!("is no token of changes/{id}");
        Refusal::new(Code::PageTokenInvalid, why).at("resume_token")
    })
}

impl Service {
    /// What makes the codes of a change, on record before any is made; none where it gives out none, or none any more.
    pub(super) async fn coder(&self, change: &Change) -> Result<Option<Coder>, Failure> {
        if !change.action.gives_codes() {
            return Ok(None);
        }
        let fresh = Seed::from_bytes(random::bytes().or_fault("make a seed")?);
        let seed = self.store.code_seed(change.id, fresh).await;
        let seed = seed.or_fault("record a seed")?;
        Ok(seed.map(|seed| Coder { ca: self.ca(), seed }))
    }

    /// How far the codes of a change are that gives some out. A change is shown without them where that cannot be said, and the log
    /// has the fault.
    pub fn codes_of(&self, change: &Change) -> Option<Codes> {
        if !change.action.gives_codes() {
            return None;
        }
        self.store.codes(change.id).or_fault("count codes").ok()
    }

    /// Tells the codes that a change has given out so far, behind a token; the audit log says who was shown them.
    ///
    /// # Errors
    /// Refusals of [`Codes::shown`], [`Code::PageTokenInvalid`]; or a fault.
    pub async fn list_codes(
        &self,
        permit: &Permit,
        id: ChangeId,
        resume: &str,
        telling: Telling,
    ) -> Result<(), Failure> {
        let (actor, change) = (actor(permit)?, self.change(id).await?.change);
        let from = read(id, resume)?;
        let first = self.codes_from(id, from).await?;
        let event = Event::new(self.clock.now(), actor, Action::CodesShown, change.name());
        let shown = self.store.append_audit(event.with("from", from)).await;
        shown.or_fault("record that codes are shown")?;
        tokio::spawn(tell(self.clone(), id, first, telling));
        Ok(())
    }

    /// Codes from this number on, and the number behind them.
    async fn codes_from(&self, id: ChangeId, from: u32) -> Result<(Vec<GivenCode>, u32), Failure> {
        let page = self.store.issued_codes(id, from, PART).await;
        let (seed, issued) = page.or_fault("look for codes")??;
        let next = issued.last().map_or(from, |last| last.number.saturating_add(1));
        let coder = Coder { ca: self.ca(), seed };
        let given = move |issued: IssuedCode| GivenCode {
            code: coder.code(issued.device),
            issued,
        };
        let codes = blocking("make codes", move || issued.into_iter().map(given).collect()).await?;
        Ok((codes, next))
    }

    /// The caller has the codes of a change up to a token, which must be all of them: they are erased.
    ///
    /// # Errors
    /// Refusals of [`Codes::acknowledged`]; or a fault.
    pub async fn acknowledge_codes(&self, permit: &Permit, id: ChangeId, token: &str) -> Result<(), Failure> {
        let (actor, kept) = (actor(permit)?, read(id, token)?);
        self.erase_codes(id, Some(kept), actor).await
    }

    async fn erase_codes(&self, id: ChangeId, kept: Option<u32>, actor: Actor) -> Result<(), Failure> {
        let erased = self
            .store
            .acknowledge_codes(id, kept, actor, self.clock.now())
            .await;
        Ok(erased.or_fault("erase codes")??)
    }

    /// Erases codes that nobody acknowledged in time. A running server does this every hour.
    ///
    /// # Errors
    /// A fault; what was swept stays swept.
    pub async fn sweep_codes(&self) -> Result<(), Failure> {
        let expired = self.store.expired_codes(self.clock.now()).await;
        for id in expired.or_fault("find expired codes")? {
            self.erase_codes(id, None, Actor::System).await?;
        }
        Ok(())
    }
}

/// Sends part after part, until none is left.
async fn tell(service: Service, id: ChangeId, first: (Vec<GivenCode>, u32), telling: Telling) {
    let (mut codes, mut next) = first;
    while !codes.is_empty() {
        let token = token(id, next);
        if telling.send(Ok(CodesPart { codes, token })).await.is_err() {
            return;
        }
        (codes, next) = match service.codes_from(id, next).await {
            Ok(more) => more,
            Err(failure) => {
                drop(telling.send(Err(failure)).await);
                return;
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn a_token_is_of_its_change(id: u128, other: u128, number: u32) {
            let (id, other) = (ChangeId::from_u128(id), ChangeId::from_u128(other));
            let token = token(id, number);
            prop_assert_eq!(read(id, &token), Ok(number));
            prop_assert!(id == other || read(other, &token).is_err());
        }

        #[test]
        fn no_text_is_taken_for_another_token(text in "[A-Za-z0-9_-]{1,40}") {
            prop_assert_eq!(read(ChangeId::from_u128(7), &text).unwrap_err().code, Code::PageTokenInvalid);
        }
    }

    #[test]
    fn no_code_shows_in_debug() {
        let given = GivenCode {
            issued: IssuedCode {
                number: 1,
                device: DeviceId::from_u128(1),
                serial: None,
                at: muster_domain::Timestamp::default(),
            },
            code: ActivationCode::from_random([7; 15]),
        };
        assert!(format!("{given:?}").contains("ActivationCode(..)"));
    }
}
