//! Where revocation lists are: what certificates and lists say of it, so that each finds the other.

use http::{Uri, uri::Scheme};
use muster_domain::certificate::AuthorityId;

/// Longest address: it stands twice in every certificate, and every handshake carries that.
const LIMIT: usize = 128;

/// The address of a directory of revocation lists, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CrlUrl(String);

impl CrlUrl {
    /// Reads an address such as `http://crl.example:8080/crl`.
    ///
    /// # Errors
    ///
    /// What is wrong, for people.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let uri = text.parse::<Uri>();
        let plain = |uri: &Uri| {
            uri.scheme() == Some(&Scheme::HTTP)
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.query().is_none()
                && !text.contains(['@', '#'])
        };
        // Over HTTPS, whoever wants to know whether a certificate is revoked would first have to know it of another
        // (RFC 5280, 8). Lists are signed and hold no secrets.
        if !uri.is_ok_and(|uri| plain(&uri)) {
            return Err(format!(
                "{text:?} is not an address such as http://crl.example:8080/crl"
            ));
        }
        if text.len() > LIMIT {
            return Err(format!("is longer than {LIMIT} characters"));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// Where one list of an authority is.
    pub(super) fn list(&self, authority: AuthorityId, shard: u8) -> String {
        format!("{}{}", self.0, Self::place(authority, shard))
    }

    /// Where it is below that address.
    pub(super) fn place(authority: AuthorityId, shard: u8) -> String {
        format!("/{authority}/{shard}.crl")
    }

    /// Where the certificate of an authority is.
    pub(super) fn authority(&self, authority: AuthorityId) -> String {
        format!("{}/{authority}.cer", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_found_by_plain_http() {
        let check = |text: &str, expected: Option<&str>| {
            let list = CrlUrl::parse(text).map(|url| url.list(AuthorityId([0xab; 20]), 7));
            let expected = expected.map(|base| format!("{base}/{}/7.crl", "ab".repeat(20)));
            assert_eq!(list.ok(), expected, "{text}");
        };
        check("http://crl.example:8080/crl", Some("http://crl.example:8080/crl"));
        check("http://[fd00::1]/a/b/", Some("http://[fd00::1]/a/b"));
        check("http://10.0.0.1", Some("http://10.0.0.1"));
        for bad in [
            "",
            "crl.example/crl",
            "https://crl.example/crl",
            "ldap://crl.example",
            "http:///crl",
            "http://crl.example/?a",
            "http://crl.example/#a",
            "http://user@crl.example/",
            "http://crl.example/a b",
            "http://crl.exämple/",
        ] {
            check(bad, None);
        }
        check(&format!("http://crl.example/{}", "x".repeat(110)), None);
    }
}
