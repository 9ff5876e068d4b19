//! Page sizes and page tokens (AIP-158): opaque, authenticated, bound to the arguments they were made for.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use muster_domain::{
    Code, Refusal,
    catalog::Catalog,
    device::{DeviceField, check_filter},
    filter::{CheckedFilter, Filter, FilterError, Schema},
};
use sha2::Sha256;

/// Items of a page when the caller names no size.
const DEFAULT_SIZE: usize = 50;
/// Most items of a page.
pub(super) const LARGEST_SIZE: usize = 1000;
const TAG_BYTES: usize = 16;

/// Makes and reads page tokens. The key lives as long as the process: after a restart a listing starts again.
#[derive(Clone)]
pub(super) struct Pages {
    key: [u8; 32],
}

/// The page size to use for the one asked for.
pub(super) fn size(asked: i32) -> Result<usize, Refusal> {
    match usize::try_from(asked) {
        Ok(0) => Ok(DEFAULT_SIZE),
        Ok(size) => Ok(size.min(LARGEST_SIZE)),
        Err(_) => Err(Refusal::new(Code::RequestInvalid, "is negative").at("page_size")),
    }
}

/// The filter of a listing; `None` for an empty one.
pub(super) fn filter<F: Copy>(
    text: &str,
    schema: &'static Schema<F>,
) -> Result<Option<CheckedFilter<F>>, Refusal> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let checked = Filter::parse(text).and_then(|filter| filter.check(schema));
    read(checked)
}

/// The filter of a listing of devices, its groups being those of the catalog; `None` for an empty one.
pub(super) fn device_filter(
    text: &str,
    catalog: &Catalog,
) -> Result<Option<CheckedFilter<DeviceField>>, Refusal> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    read(Filter::parse(text).and_then(|filter| check_filter(&filter, catalog)))
}

fn read<F>(checked: Result<CheckedFilter<F>, FilterError>) -> Result<Option<CheckedFilter<F>>, Refusal> {
    checked
        .map(Some)
        .map_err(|error| Refusal::new(Code::FilterInvalid, error.to_string()).at("filter"))
}

impl Pages {
    pub(super) const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    fn tag(&self, cursor: &[u8], arguments: &str) -> [u8; TAG_BYTES] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any length");
        mac.update(&[u8::try_from(cursor.len()).unwrap_or(u8::MAX)]);
        mac.update(cursor);
        mac.update(arguments.as_bytes());
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&mac.finalize().into_bytes()[..TAG_BYTES]);
        tag
    }

    /// A token for the page behind `cursor`; `arguments` names method and filter.
    pub(super) fn token(&self, cursor: &[u8], arguments: &str) -> String {
        URL_SAFE_NO_PAD.encode([&self.tag(cursor, arguments), cursor].concat())
    }

    /// The cursor in a token; `None` for the first page.
    pub(super) fn cursor(&self, token: &str, arguments: &str) -> Result<Option<Vec<u8>>, Refusal> {
        if token.is_empty() {
            return Ok(None);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        let valid = bytes
            .as_deref()
            .and_then(|bytes| bytes.split_at_checked(TAG_BYTES))
            .and_then(|(tag, cursor)| {
                // A token is no secret: it only keeps callers from inventing cursors, so the comparison may take its time.
                (tag == self.tag(cursor, arguments)).then(|| cursor.to_vec())
            });
        match valid {
            Some(cursor) => Ok(Some(cursor)),
            None => {
                Err(Refusal::new(Code::PageTokenInvalid, "is not a token for this listing").at("page_token"))
            }
        }
    }

    /// The cursor as a number, for listings ordered by id or index.
    pub(super) fn number(&self, token: &str, arguments: &str) -> Result<Option<u128>, Refusal> {
        let cursor = self.cursor(token, arguments)?;
        let wide = cursor.map(|cursor| <[u8; 16]>::try_from(cursor).map(u128::from_be_bytes));
        wide.transpose()
            .map_err(|_| Refusal::new(Code::PageTokenInvalid, "is of another listing").at("page_token"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_works_for_its_listing_only() {
        let pages = Pages::new([7; 32]);
        let token = pages.token(&5u128.to_be_bytes(), "devices|x");
        assert_eq!(pages.number(&token, "devices|x"), Ok(Some(5)));
        assert_eq!(pages.number("", "devices|x"), Ok(None));
        for (token, arguments) in [
            (token.as_str(), "devices|y"),
            ("AAAA", "devices|x"),
            ("?", "devices|x"),
            (&token[1..], "devices|x"),
        ] {
            assert_eq!(
                pages.number(token, arguments).unwrap_err().code,
                Code::PageTokenInvalid,
                "{token} {arguments}"
            );
        }
        assert!(Pages::new([8; 32]).number(&token, "devices|x").is_err());
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(size(0), Ok(50));
        assert_eq!(size(1_000_000), Ok(1000));
        assert_eq!(size(-1).unwrap_err().field, "page_size");
    }
}
