//! Check digits: the last characters of a serial, computed from the others.
//!
//! Only letters and digits count, letters in either case as capitals; the separators `. _ + / -` are skipped.
//! Systems that compute with digits alone refuse letters. Luhn and ISO 7064 mod 97-10 read a letter as a number of
//! two digits, A = 10 to Z = 35, as ISO 6166 (ISIN) and ISO 17442 (LEI) do.

use crate::names::Serial;
use core::{fmt, str::FromStr};

/// A way to check a serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDigit {
    /// Luhn (ISO/IEC 7812-1, annex B): one digit, as on cards and in IMEIs.
    Luhn,
    /// Luhn over the 36 digits and letters: one of them.
    LuhnMod36,
    /// ISO 7064, pure, modulus 11, radix 2: one digit or X, over digits; as in ISNI and ORCID.
    Mod11Radix2,
    /// ISO 7064, pure, modulus 37, radix 2: one digit, letter or `*`. No serial holds the last, so serials that need it
    /// are not used.
    Mod37Radix2,
    /// ISO 7064, pure, modulus 97, radix 10: two digits, as in LEI.
    Mod97Radix10,
    /// ISO 7064, hybrid, moduli 11 and 10: one digit, over digits.
    Mod11And10,
    /// ISO 7064, hybrid, moduli 37 and 36: one digit or letter, as in GRid and ISAN.
    Mod37And36,
}

/// Why a serial does not check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckDigitError {
    /// Nothing stands in front of the check digits.
    Short,
    /// A letter where the system knows only digits.
    Letter(char),
    /// Other check digits.
    Differs {
        /// What they should be, were all else right.
        expected: String,
        /// What they are.
        found: String,
    },
}

/// No system has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownCheckDigit;

/// The characters by their values.
const ALPHABET: &[u8; 37] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*";

impl CheckDigit {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Luhn,
        Self::LuhnMod36,
        Self::Mod11Radix2,
        Self::Mod37Radix2,
        Self::Mod97Radix10,
        Self::Mod11And10,
        Self::Mod37And36,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Luhn => "luhn",
            Self::LuhnMod36 => "luhn-mod-36",
            Self::Mod11Radix2 => "iso7064-mod-11-2",
            Self::Mod37Radix2 => "iso7064-mod-37-2",
            Self::Mod97Radix10 => "iso7064-mod-97-10",
            Self::Mod11And10 => "iso7064-mod-11-10",
            Self::Mod37And36 => "iso7064-mod-37-36",
        }
    }

    /// Checks the last characters of a serial against the others.
    ///
    /// # Errors
    /// Why they are wrong, and what they should be.
    pub fn check(self, serial: &Serial) -> Result<(), CheckDigitError> {
        let text: Vec<char> = serial
            .as_str()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let width = text.len().checked_sub(self.width());
        let (body, found) = width
            .filter(|&width| width > 0)
            .map(|width| text.split_at(width))
            .ok_or(CheckDigitError::Short)?;
        if let Some(letter) = body.iter().find(|c| c.is_ascii_alphabetic())
            && self.is_numeric()
        {
            return Err(CheckDigitError::Letter(*letter));
        }
        let values: Vec<u32> = body.iter().filter_map(|c| c.to_digit(36)).collect();
        let (expected, found) = (self.digits(&values), found.iter().collect::<String>());
        if expected == found {
            Ok(())
        } else {
            Err(CheckDigitError::Differs { expected, found })
        }
    }

    /// How many check digits there are.
    const fn width(self) -> usize {
        match self {
            Self::Mod97Radix10 => 2,
            Self::Luhn
            | Self::LuhnMod36
            | Self::Mod11Radix2
            | Self::Mod37Radix2
            | Self::Mod11And10
            | Self::Mod37And36 => 1,
        }
    }

    /// Does it compute with digits alone?
    const fn is_numeric(self) -> bool {
        match self {
            Self::Mod11Radix2 | Self::Mod11And10 => true,
            Self::Luhn | Self::LuhnMod36 | Self::Mod37Radix2 | Self::Mod97Radix10 | Self::Mod37And36 => false,
        }
    }

    /// The check digits of these values, each below 36.
    fn digits(self, values: &[u32]) -> String {
        match self {
            Self::Luhn => one(luhn(&decimals(values), 10)),
            Self::LuhnMod36 => one(luhn(values, 36)),
            Self::Mod11Radix2 => {
                let value = pure(values, 11, 2);
                if value == 10 { "X".to_owned() } else { one(value) }
            }
            Self::Mod37Radix2 => one(pure(values, 37, 2)),
            Self::Mod97Radix10 => {
                // Both digits together are one value of radix 10; in front of them stand two places.
                let sum = decimals(values)
                    .iter()
                    .fold(0, |sum, digit| (sum * 10 + digit) % 97);
                format!("{:02}", 98 - sum * 100 % 97)
            }
            Self::Mod11And10 => one(hybrid(values, 10)),
            Self::Mod37And36 => one(hybrid(values, 36)),
        }
    }
}

fn one(value: u32) -> String {
    let place = usize::try_from(value).unwrap_or(usize::MAX);
    ALPHABET
        .get(place)
        .map(|&byte| char::from(byte).to_string())
        .unwrap_or_default()
}

/// Letters as two decimal digits.
fn decimals(values: &[u32]) -> Vec<u32> {
    let mut digits = Vec::with_capacity(values.len() * 2);
    for &value in values {
        if value >= 10 {
            digits.push(value / 10);
        }
        digits.push(value % 10);
    }
    digits
}

/// Every second value from the right is doubled, and the digits of the double are added.
fn luhn(values: &[u32], radix: u32) -> u32 {
    let weigh = |(place, &value): (usize, &u32)| {
        let weighted = if place.is_multiple_of(2) { value * 2 } else { value };
        weighted / radix + weighted % radix
    };
    let sum: u32 = values.iter().rev().enumerate().map(weigh).sum();
    (radix - sum % radix) % radix
}

/// ISO 7064, section 7: the sum weighted by powers of the radix is congruent to 1.
fn pure(values: &[u32], modulus: u32, radix: u32) -> u32 {
    let sum = values
        .iter()
        .fold(0, |sum, value| (sum + value) * radix % modulus);
    (modulus + 1 - sum) % modulus
}

/// ISO 7064, section 8: moduli M + 1 and M in turn.
fn hybrid(values: &[u32], modulus: u32) -> u32 {
    let product = values.iter().fold(modulus, |product, value| {
        let sum = (product + value) % modulus;
        let sum = if sum == 0 { modulus } else { sum };
        sum * 2 % (modulus + 1)
    });
    (modulus + 1 - product) % modulus
}

impl FromStr for CheckDigit {
    type Err = UnknownCheckDigit;

    fn from_str(text: &str) -> Result<Self, UnknownCheckDigit> {
        let found = Self::ALL.into_iter().find(|system| system.as_str() == text);
        found.ok_or(UnknownCheckDigit)
    }
}

impl fmt::Display for CheckDigit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for UnknownCheckDigit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = CheckDigit::ALL.map(CheckDigit::as_str);
        write!(f, "is not one of {}", names.join(", "))
    }
}

impl fmt::Display for CheckDigitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("has nothing in front of its check digit"),
            Self::Letter(c) => write!(f, "has the letter {c} where its check digit allows only digits"),
            Self::Differs { expected, found } => {
                write!(f, "ends in {found}, and its check digit should be {expected}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn result(system: CheckDigit, serial: &str) -> Result<(), CheckDigitError> {
        system.check(&serial.parse().unwrap())
    }

    /// Examples from the standards and from well-known identifiers.
    #[test]
    fn known_identifiers_check() {
        let check = |system: CheckDigit, serial: &str| {
            assert_eq!(result(system, serial), Ok(()), "{system} {serial}")
        };
        // The usual example, an IMEI, and two ISINs with letters.
        check(CheckDigit::Luhn, "79927398713");
        check(CheckDigit::Luhn, "49-015420-323751-8");
        check(CheckDigit::Luhn, "US0378331005");
        check(CheckDigit::Luhn, "AU0000XVGZA3");
        // ORCIDs, one with X, and the ISNI of ISO 27729.
        check(CheckDigit::Mod11Radix2, "0000-0002-1825-0097");
        check(CheckDigit::Mod11Radix2, "0000-0002-1694-233X");
        check(CheckDigit::Mod11Radix2, "0000-0002-1694-233x");
        check(CheckDigit::Mod11Radix2, "0000-0001-2281-955X");
        check(CheckDigit::Mod11Radix2, "07940");
        // ISBT 128 donation number.
        check(CheckDigit::Mod37Radix2, "G123498654321H");
        // LEIs, an example of the standard, and an IBAN with its country behind it.
        check(CheckDigit::Mod97Radix10, "5493000IBP32UQZ0KL24");
        check(CheckDigit::Mod97Radix10, "213800WSGIIZCXF1P572");
        check(CheckDigit::Mod97Radix10, "79444");
        check(CheckDigit::Mod97Radix10, "WEST-12345698765432-GB82");
        // The example of the standard, and two tax numbers that use it.
        check(CheckDigit::Mod11And10, "07945");
        check(CheckDigit::Mod11And10, "136695976");
        check(CheckDigit::Mod11And10, "33392005961");
        // GRid.
        check(CheckDigit::Mod37And36, "A1-2425G-ABC1234002-M");
        check(CheckDigit::Mod37And36, "a12425gabc1234002m");
    }

    #[test]
    fn a_wrong_digit_is_told_with_the_right_one() {
        let check = |system, serial, expected: &str, found: &str| {
            let (expected, found) = (expected.to_owned(), found.to_owned());
            assert_eq!(
                result(system, serial),
                Err(CheckDigitError::Differs { expected, found })
            );
        };
        check(CheckDigit::Luhn, "79927398710", "3", "0");
        check(CheckDigit::Luhn, "GW2-700000A", "3", "A");
        check(CheckDigit::Mod11Radix2, "0000-0002-1694-2330", "X", "0");
        check(CheckDigit::Mod97Radix10, "5493000IBP32UQZ0KL42", "24", "42");
        check(CheckDigit::Mod37And36, "A12425GABC1234002N", "M", "N");
        assert_eq!(
            result(CheckDigit::Mod11And10, "GW12"),
            Err(CheckDigitError::Letter('G'))
        );
        for system in CheckDigit::ALL {
            assert_eq!(result(system, "7-"), Err(CheckDigitError::Short), "{system}");
        }
        assert_eq!(
            result(CheckDigit::Mod97Radix10, "77"),
            Err(CheckDigitError::Short)
        );
    }

    #[test]
    fn names_read_back() {
        for system in CheckDigit::ALL {
            assert_eq!(system.as_str().parse(), Ok(system));
        }
        assert_eq!("crc32".parse::<CheckDigit>(), Err(UnknownCheckDigit));
    }

    proptest! {
        /// Every system finds every single wrong character of its own alphabet, and what it computes it accepts.
        #[test]
        fn one_wrong_digit_is_found(body in "[0-9]{1,20}", place: prop::sample::Index, shift in 1u8..10) {
            for system in CheckDigit::ALL {
                let values: Vec<u32> = body.chars().filter_map(|c| c.to_digit(36)).collect();
                let whole = format!("{body}{}", system.digits(&values));
                if whole.contains('*') {
                    continue;
                }
                prop_assert_eq!(result(system, &whole), Ok(()), "{} {}", system, whole);
                let mut bytes = whole.into_bytes();
                let place = place.index(body.len());
                bytes[place] = b'0' + (bytes[place] - b'0' + shift) % 10;
                let wrong = String::from_utf8(bytes).unwrap();
                prop_assert!(result(system, &wrong).is_err(), "{} {}", system, wrong);
            }
        }

        #[test]
        fn one_wrong_letter_is_found(body in "[0-9A-Z]{1,20}", place: prop::sample::Index, other in "[0-9A-Z]") {
            for system in [CheckDigit::LuhnMod36, CheckDigit::Mod37Radix2, CheckDigit::Mod37And36] {
                let values: Vec<u32> = body.chars().filter_map(|c| c.to_digit(36)).collect();
                let digits = system.digits(&values);
                let place = place.index(body.len());
                if digits == "*" || body[place..=place] == other {
                    continue;
                }
                let mut wrong = format!("{body}{digits}");
                prop_assert_eq!(result(system, &wrong), Ok(()));
                wrong.replace_range(place..=place, &other);
                prop_assert!(result(system, &wrong).is_err(), "{} {}", system, wrong);
            }
        }
    }
}
