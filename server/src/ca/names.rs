//! The names of the server, as its certificate carries them.

use rustls::pki_types::ServerName;

/// Most names of a server: every handshake carries them.
const LIMIT: usize = 32;

/// DNS names and addresses by which clients call the server; at least one, none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerNames(Vec<ServerName<'static>>);

impl ServerNames {
    /// Reads written names; case does not matter.
    ///
    /// # Errors
    ///
    /// What is wrong, for people.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<Self, String> {
        let mut parsed: Vec<ServerName<'static>> = Vec::new();
        for name in names {
            let name = name.as_ref();
            let name = ServerName::try_from(name.to_ascii_lowercase())
                .map_err(|_| format!("{name:?} is neither a DNS name nor an IP address"))?;
            if !parsed.contains(&name) {
                parsed.push(name);
            }
        }
        match parsed.len() {
            0 => Err("is empty".to_owned()),
            1..=LIMIT => Ok(Self(parsed)),
            _ => Err(format!("has more than {LIMIT} names")),
        }
    }

    /// The names, in the order given.
    pub fn as_slice(&self) -> &[ServerName<'static>] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_names_or_addresses() {
        let check =
            |names: &[&str], expected: Result<&[&str], &str>| match (ServerNames::parse(names), expected) {
                (Ok(parsed), Ok(expected)) => {
                    let written: Vec<_> = parsed.as_slice().iter().map(|name| name.to_str()).collect();
                    assert_eq!(written, expected);
                }
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
                (parsed, _) => panic!("{names:?}: {parsed:?}"),
            };
        check(
            &["New.Example", "10.0.0.1", "new.example", "::1"],
            Ok(&["new.example", "10.0.0.1", "::1"]),
        );
        check(&[], Err("is empty"));
        check(&["*.example"], Err("neither a DNS name"));
        check(&["a.example", "ex ample"], Err("\"ex ample\""));
        let many: Vec<String> = (0..33).map(|n| format!("h{n}.example")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check(&many, Err("more than 32"));
    }
}
