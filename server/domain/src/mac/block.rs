//! Blocks of hardware addresses: what IEEE assigns to a manufacturer, or a part of it.

use super::{Mac, MacError, write_octets};
use core::{fmt, str::FromStr};

/// Addresses that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// All that begin with these bits: an MA-L of 24, an MA-M of 28 or an MA-S of 36.
    Prefix {
        /// The bits, the first at the top; the rest is 0.
        value: u64,
        /// How many there are.
        bits: u32,
    },
    /// All of one length between two, both included.
    Range {
        /// The lowest.
        first: Mac,
        /// The highest.
        last: Mac,
    },
}

/// Why a text is not a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockError {
    /// A character that is neither hexadecimal nor a separator.
    Character(char),
    /// Not 6, 7 or 9 hexadecimal digits, and no range.
    Length(usize),
    /// A length behind `/` that IEEE does not assign, or with other digits behind it than 0.
    Bits,
    /// One end of a range is no address.
    End(MacError),
    /// The ends are of different lengths, or the last is below the first.
    Order,
}

/// Longest text of a block, in bytes: two EUI-64 with separators take 49.
const TEXT_LIMIT: usize = 64;
/// Lengths of prefixes that IEEE assigns, in bits.
const PREFIX_BITS: [u32; 3] = [24, 28, 36];

impl Block {
    /// Is this one of its addresses?
    pub fn contains(&self, mac: &Mac) -> bool {
        match self {
            Self::Prefix { value, bits } => (top(mac) ^ value) >> (64 - bits) == 0,
            // Keys of one length are in the order of the addresses; those of the other are all below or all above.
            Self::Range { first, last } => (first.key()..=last.key()).contains(&mac.key()),
        }
    }
}

/// The address with its first octet at the top.
fn top(mac: &Mac) -> u64 {
    match mac {
        Mac::Eui48([a, b, c, d, e, f]) => u64::from_be_bytes([*a, *b, *c, *d, *e, *f, 0, 0]),
        Mac::Eui64(octets) => u64::from_be_bytes(*octets),
    }
}

/// Hexadecimal digits with `:` or `-` between them, from the top.
fn prefix(text: &str, bits: Option<u32>) -> Result<Block, BlockError> {
    let (mut value, mut digits) = (0u64, 0u32);
    for c in text.chars().filter(|c| !matches!(c, ':' | '-')) {
        let digit = c.to_digit(16).ok_or(BlockError::Character(c))?;
        digits += 1;
        value = value << 4 | u64::from(digit);
    }
    let shift = 64u32.checked_sub(digits * 4).filter(|_| digits > 0);
    let shift = shift.ok_or(BlockError::Length(text.len()))?;
    value <<= shift;
    let bits = bits.unwrap_or(digits * 4);
    if !PREFIX_BITS.contains(&bits) {
        return Err(BlockError::Length(usize::try_from(digits).unwrap_or(usize::MAX)));
    }
    if value << bits != 0 {
        return Err(BlockError::Bits);
    }
    Ok(Block::Prefix { value, bits })
}

/// Two addresses with `-` between them. Where their octets have it too, it is the one in the middle.
fn range(text: &str) -> Option<Result<Block, BlockError>> {
    let ends = text.match_indices('-').map(|(place, _)| {
        let (first, last) = (&text[..place], &text[place + 1..]);
        (first.trim().parse::<Mac>(), last.trim().parse::<Mac>())
    });
    let mut wrong = None;
    for end in ends {
        match end {
            (Ok(first), Ok(last)) => {
                let sound = first.octets().len() == last.octets().len() && first <= last;
                return Some(if sound {
                    Ok(Block::Range { first, last })
                } else {
                    Err(BlockError::Order)
                });
            }
            // Half a range: the other end is at fault.
            (Ok(_), Err(why)) | (Err(why), Ok(_)) => wrong = Some(Err(BlockError::End(why))),
            (Err(_), Err(_)) => {}
        }
    }
    wrong
}

impl FromStr for Block {
    type Err = BlockError;

    /// `00:1B:C5`, `70:B3:D5:1`, `70:B3:D5:12:3`, `70:B3:D5:10:00:00/28`, or
    /// `00:1B:C5:00:00:00-00:1B:C5:0F:FF:FF`.
    fn from_str(text: &str) -> Result<Self, BlockError> {
        let text = text.trim();
        if text.len() > TEXT_LIMIT {
            return Err(BlockError::Length(text.len()));
        }
        if let Some((digits, bits)) = text.split_once('/') {
            let bits = bits.parse().ok().filter(|bits| PREFIX_BITS.contains(bits));
            return prefix(digits, Some(bits.ok_or(BlockError::Bits)?));
        }
        range(text).unwrap_or_else(|| prefix(text, None))
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix { value, bits } => {
                let octets = value.to_be_bytes();
                let whole = usize::try_from(bits / 8).unwrap_or(0).min(octets.len());
                write_octets(&octets[..whole], f)?;
                match octets.get(whole) {
                    Some(octet) if bits % 8 != 0 => write!(f, ":{:X}", octet >> 4),
                    Some(_) | None => Ok(()),
                }
            }
            Self::Range { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character(c) => write!(f, "contains {c:?}, which is not hexadecimal"),
            Self::Length(digits) => write!(
                f,
                "has {digits} hexadecimal digits; blocks have 6, 7 or 9, or are two whole addresses with - between"
            ),
            Self::Bits => {
                f.write_str("has another length than 24, 28 or 36 bits, or more bits than its length")
            }
            Self::End(why) => write!(f, "is a range of which one end {why}"),
            Self::Order => {
                f.write_str("is a range whose ends are of different lengths or in the wrong order")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn blocks_are_written_one_way() {
        let check = |text: &str, expected: &str| {
            let block: Block = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(block.to_string(), expected, "{text}");
            assert_eq!(expected.parse(), Ok(block), "{text}");
        };
        check("00:1B:C5", "00:1B:C5");
        check("00-1b-c5", "00:1B:C5");
        check(" 001bc5 ", "00:1B:C5");
        check("70:B3:D5:1", "70:B3:D5:1");
        check("70b3d51", "70:B3:D5:1");
        check("70-B3-D5-12-3", "70:B3:D5:12:3");
        check("70:B3:D5:10:00:00/28", "70:B3:D5:1");
        check("70:B3:D5/24", "70:B3:D5");
        check("70:B3:D5:12:30:00/36", "70:B3:D5:12:3");
        let range = "00:1B:C5:00:00:00-00:1B:C5:0F:FF:FF";
        check(range, range);
        check("001bc5000000 - 001bc50fffff", range);
        check("00-1B-C5-00-00-00-00-1B-C5-0F-FF-FF", range);
        check(
            "00-1B-C5-00-00-00-00-00-00-1B-C5-0F-FF-FF-FF-FF",
            "00:1B:C5:00:00:00:00:00-00:1B:C5:0F:FF:FF:FF:FF",
        );
    }

    #[test]
    fn what_is_no_block_says_why() {
        let check = |text: &str, expected| assert_eq!(text.parse::<Block>(), Err(expected), "{text}");
        check("xyz", BlockError::Character('x'));
        check("", BlockError::Length(0));
        check("00:1B", BlockError::Length(4));
        check("00:1B:C5:00", BlockError::Length(8));
        check("00:1B:C5:00:00:01", BlockError::Length(12));
        check(&"0".repeat(10_000), BlockError::Length(10_000));
        check("70:B3:D5:10:00:01/28", BlockError::Bits);
        check("70:B3:D5/20", BlockError::Bits);
        check("70:B3:D5/x", BlockError::Bits);
        check("00:1B:C5:00:00:02-00:1B:C5:00:00:01", BlockError::Order);
        check("00:1B:C5:00:00:02-00:1B:C5:00:00:00:00:03", BlockError::Order);
        check("00:1B:C5:00:00:02-00:1B:C5", BlockError::End(MacError::Length(6)));
        check(
            "01:1B:C5:00:00:02-02:1B:C5:00:00:00",
            BlockError::End(MacError::Multicast),
        );
    }

    #[test]
    fn addresses_are_in_their_blocks_and_no_other() {
        let check = |block: &str, mac: &str, expected: bool| {
            let (block, mac): (Block, Mac) = (block.parse().unwrap(), mac.parse().unwrap());
            assert_eq!(block.contains(&mac), expected, "{mac} in {block}");
        };
        check("00:1B:C5", "00:1B:C5:FF:FF:FF", true);
        check("00:1B:C5", "00:1B:C5:FF:FF:FF:FF:FF", true);
        check("00:1B:C5", "00:1B:C4:FF:FF:FF", false);
        check("70:B3:D5:1", "70:B3:D5:1F:00:00", true);
        check("70:B3:D5:1", "70:B3:D5:20:00:00", false);
        check("70:B3:D5:12:3", "70:B3:D5:12:3F:FF", true);
        check("70:B3:D5:12:3", "70:B3:D5:12:40:00", false);
        let range = "00:1B:C5:00:00:10-00:1B:C5:00:00:20";
        check(range, "00:1B:C5:00:00:10", true);
        check(range, "00:1B:C5:00:00:20", true);
        check(range, "00:1B:C5:00:00:21", false);
        check(range, "00:1B:C5:00:00:0F", false);
        check(range, "00:1B:C5:00:00:10:00:00", false);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}") {
            if let Ok(block) = text.parse::<Block>() {
                prop_assert_eq!(block.to_string().parse(), Ok(block));
            }
        }

        #[test]
        fn what_is_written_reads_back(value: [u8; 8], other: [u8; 8], bits in prop::sample::select(&PREFIX_BITS[..])) {
            let value = u64::from_be_bytes(value) >> (64 - bits) << (64 - bits);
            let block = Block::Prefix { value, bits };
            prop_assert_eq!(block.to_string().parse(), Ok(block));
            prop_assert_eq!(block.contains(&Mac::Eui64(other)), u64::from_be_bytes(other) >> (64 - bits) == value >> (64 - bits));
        }
    }
}
