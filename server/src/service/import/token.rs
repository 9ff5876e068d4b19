//! Resume tokens: which results a caller has.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use muster_domain::{Code, Refusal};

const VERSION: u8 = 1;
const BYTES: usize = 14;

/// Everything before this place was sent. Places are ordered as results are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Of which file of the batch.
    pub(super) attempt: u32,
    /// What was applied comes behind what was planned.
    pub(super) applied: bool,
    /// The part; plans count from 0, applied parts as the batch does.
    pub(super) part: u32,
    /// Slots of it that were sent.
    pub(super) slot: u32,
}

impl Place {
    pub(super) fn token(self) -> String {
        let mut bytes = [0; BYTES];
        bytes[0] = VERSION;
        bytes[1] = self.applied.into();
        bytes[2..6].copy_from_slice(&self.attempt.to_be_bytes());
        bytes[6..10].copy_from_slice(&self.part.to_be_bytes());
        bytes[10..].copy_from_slice(&self.slot.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `None` for the empty token: the beginning.
    ///
    /// # Errors
    /// [`Code::PageTokenInvalid`] for anything that we did not make.
    pub(super) fn read(token: &str) -> Result<Option<Self>, Refusal> {
        if token.is_empty() {
            return Ok(None);
        }
        let place = URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| <[u8; BYTES]>::try_from(bytes).ok())
            .and_then(Self::of);
        place.map(Some).ok_or_else(invalid)
    }

    fn of(bytes: [u8; BYTES]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let applied = match (bytes[0], bytes[1]) {
            (VERSION, 0) => false,
            (VERSION, 1) => true,
            _ => return None,
        };
        Some(Self {
            attempt: number(2)?,
            applied,
            part: number(6)?,
            slot: number(10)?,
        })
    }
}

/// A token that is of no use here.
pub(super) fn invalid() -> Refusal {
    Refusal::new(Code::PageTokenInvalid, "is not a token of this batch").at("resume_token")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_reads_back(attempt: u32, applied: bool, part: u32, slot: u32) {
            let place = Place { attempt, applied, part, slot };
            prop_assert_eq!(Place::read(&place.token()), Ok(Some(place)));
        }

        #[test]
        fn no_text_is_taken_for_another_token(text in "[A-Za-z0-9_-]{0,24}") {
            if let Ok(Some(place)) = Place::read(&text) {
                prop_assert_eq!(place.token(), text);
            }
        }
    }

    #[test]
    fn the_empty_token_is_the_beginning() {
        assert_eq!(Place::read(""), Ok(None));
        assert_eq!(Place::read("?").unwrap_err().code, Code::PageTokenInvalid);
    }
}
