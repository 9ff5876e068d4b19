//! To whom a file of results is encrypted.

use std::{fmt, io::Write, str::FromStr};

/// An age recipient: the public half of a key, such as `age1...` (age-encryption.org/v1, X25519).
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(age::x25519::Recipient);

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.0)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Recipient {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY") {
            // The value is a secret: it is not repeated.
            return Err("this is a private key; give its public half, age1...".to_owned());
        }
        text.parse()
            .map(Self)
            .map_err(|why| format!("is no age recipient such as age1...: {why}"))
    }
}

/// A stream that encrypts what is written to it.
pub(super) type Encrypted<W> = age::stream::StreamWriter<W>;

impl Recipient {
    /// Encrypts what is written from here on to `out`.
    pub(super) fn encrypt<W: Write>(&self, out: W) -> std::io::Result<Encrypted<W>> {
        let recipients = std::iter::once(&self.0 as &dyn age::Recipient);
        age::Encryptor::with_recipients(recipients)
            .map_err(std::io::Error::other)?
            .wrap_output(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_are_refused_and_not_repeated() {
        let secret = "AGE-SECRET-KEY-1QQQQQQ";
        let why = secret.parse::<Recipient>().unwrap_err();
        assert!(!why.contains("1QQQ") && why.contains("public half"), "{why}");
        assert!("age1nonsense".parse::<Recipient>().is_err());
        let public = age::x25519::Identity::generate().to_public().to_string();
        assert_eq!(public.parse::<Recipient>().unwrap().to_string(), public);
    }
}
