//! Serial and activation code as HTTP Basic carries them (RFC 7617).

use axum::http::{HeaderMap, header};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

/// What a device's label says.
pub(super) struct Basic {
    pub(super) serial: String,
    pub(super) code: Zeroizing<String>,
}

/// The user name is the serial, the password the code: empty for a device whose key is pinned. What is not Basic is as
/// good as nothing.
pub(super) fn basic(headers: &HeaderMap) -> Option<Basic> {
    let said = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = said.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(credentials.trim()).ok()?);
    let (serial, code) = str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(Basic {
        serial: serial.to_owned(),
        code: Zeroizing::new(code.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn serial_and_code_are_read_from_basic_only() {
        let check = |said: &'static str, expected: Option<(&str, &str)>| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(said))]);
            let read = basic(&headers);
            let read = read
                .as_ref()
                .map(|basic| (basic.serial.as_str(), basic.code.as_str()));
            assert_eq!(read, expected, "{said}");
        };
        check("Basic R1c6MQ==", Some(("GW", "1")));
        check("basic  R1c6MQ== ", Some(("GW", "1")));
        // A code has no colon, but what is behind the first is the password.
        check("Basic R1c6MTo6", Some(("GW", "1::")));
        check("Basic R1c6", Some(("GW", "")));
        check("Basic R1c=", None);
        check("Basic R1c6MQ", None);
        check("Basic //8=", None);
        check("Bearer R1c6MQ==", None);
        check("Basic", None);
        assert!(basic(&HeaderMap::new()).is_none());
    }
}
