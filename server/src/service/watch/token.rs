//! Resume tokens: until when a watcher has been told.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use muster_domain::{Code, Refusal, Timestamp};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

const VERSION: u8 = 1;
const BYTES: usize = 17;
/// How far before its time a watch goes on: a change bears the time at which it was asked for, and is committed and told later;
/// the parts of an import, and a clock that is set back a little, count as well.
const OVERLAP: Duration = Duration::from_secs(5 * 60);

/// See [`Token::write`].
pub(super) struct Token;

/// Names a filter.
fn name(filter: &str) -> [u8; 8] {
    let digest: [u8; 32] = Sha256::digest(filter.trim().as_bytes()).into();
    std::array::from_fn(|place| digest[place])
}

impl Token {
    /// For a watcher by this filter that knows of all that changed before `told_until`.
    pub(super) fn write(told_until: Timestamp, filter: &str) -> String {
        let mut bytes = [0; BYTES];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&told_until.millis().to_be_bytes());
        bytes[9..].copy_from_slice(&name(filter));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Since when to tell; `None` for the empty token: from now on.
    ///
    /// # Errors
    /// [`Code::PageTokenInvalid`] for anything that was not made for this filter.
    pub(super) fn read(token: &str, filter: &str) -> Result<Option<Timestamp>, Refusal> {
        if token.is_empty() {
            return Ok(None);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| <[u8; BYTES]>::try_from(bytes).ok());
        let millis = bytes.and_then(|bytes| match bytes {
            [VERSION, millis @ .., _, _, _, _, _, _, _, _] if bytes[9..] == name(filter) => {
                Some(u64::from_be_bytes(millis))
            }
            _ => None,
        });
        let millis = millis.ok_or_else(|| {
            Refusal::new(Code::PageTokenInvalid, "is not a token of a watch by this filter")
                .at("resume_token")
        })?;
        Ok(Some(Timestamp::from_millis(millis).minus(OVERLAP)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_goes_on_a_little_before_its_time(millis in 300_000..u64::from(u32::MAX), filter: String) {
            let token = Token::write(Timestamp::from_millis(millis), &filter);
            prop_assert_eq!(Token::read(&token, &filter), Ok(Some(Timestamp::from_millis(millis - 300_000))));
            let other = format!("x{filter}");
            prop_assert!(Token::read(&token, &other).is_err());
        }

        #[test]
        fn no_text_breaks_it(text in "[A-Za-z0-9_-]{1,30}") {
            prop_assert!(Token::read(&text, "online = true").is_err());
        }
    }

    #[test]
    fn the_empty_token_is_from_now_on() {
        assert_eq!(Token::read("", "x"), Ok(None));
        assert_eq!(Token::read("?", "x").unwrap_err().code, Code::PageTokenInvalid);
    }
}
