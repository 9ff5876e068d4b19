//! `muster refusal`: known without a server.

use crate::{
    cli::Session,
    failure::{Answer, Failure},
    output::{Listing, print_one},
    records::KnownRefusal,
};
use clap::Args;
use muster_domain::Code;

/// Explain a refusal.
#[derive(Debug, Args)]
pub(crate) struct Refusal {
    /// Its number (2111 or M2111) or name (MAC_MALFORMED).
    #[arg(value_name = "NUMBER|NAME")]
    code: Option<String>,
}

fn find(text: &str) -> Option<Code> {
    let number = text.trim_start_matches(['M', 'm']).parse::<u16>().ok();
    let by_name = || {
        Code::ALL
            .iter()
            .copied()
            .find(|code| code.reason().eq_ignore_ascii_case(text))
    };
    number
        .and_then(|number| Code::try_from(number).ok())
        .or_else(by_name)
}

impl Refusal {
    pub(crate) fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let Some(text) = self.code else {
            let mut listing = Listing::of::<KnownRefusal>(session.out, session.format, &[])?;
            for &code in Code::ALL {
                listing.push(&KnownRefusal::from(code))?;
            }
            return listing.finish();
        };
        match find(&text) {
            Some(code) => print_one(session.out, session.format, &KnownRefusal::from(code)),
            None => Err(Failure::Refused(Box::new(Answer::missing(
                format!("there is no refusal {text:?}"),
                "`muster refusal` lists all that this version knows.",
            )))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_find_the_same() {
        for &code in Code::ALL {
            for text in [
                code.number().to_string(),
                format!("M{}", code.number()),
                code.reason().to_owned(),
            ] {
                assert_eq!(find(&text), Some(code));
            }
        }
        for text in ["", "M", "1", "X2111", "99999999"] {
            assert_eq!(find(text), None, "{text:?}");
        }
    }
}
