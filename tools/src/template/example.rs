//! Values that follow rules: a text that matches a pattern, a serial that checks, an address within a block.

use muster_domain::{
    catalog::{CheckDigit, ParameterSource, ParameterType, Pattern},
    mac::{Block, Mac},
    names::Serial,
};
use muster_proto::v1::{Model, NamingRule};
use regex_syntax::hir::{Class, Hir, HirKind};

/// Texts that are tried. One in ten passes a check digit, one in 97 a pair of them.
const TRIES: u32 = 5_000;
/// Longest text, in bytes; no identifier of ours is longer.
const TEXT_LIMIT: usize = 128;
/// How often a part is repeated at most beyond what it must be.
const REPEAT_LIMIT: u32 = 8;
/// What serials look like where no rule says.
const ANY_SERIAL: &str = "[0-9]{10}";
/// An address for documentation (RFC 9542, 2.1.2), for models of any manufacturer.
const DOCUMENTATION: Mac = Mac::Eui48([0, 0, 0x5e, 0, 0x53, 1]);

/// Choices on the way through a pattern. The first text counts up, 1, 2, 3 and A, B, C, as people write examples; the
/// others are scattered, and always the same.
struct Choices {
    is_first: bool,
    state: u64,
}

impl Choices {
    const fn of(attempt: u32) -> Self {
        Self {
            is_first: attempt == 0,
            state: attempt as u64,
        }
    }

    /// A number below `count`.
    fn below(&mut self, count: u32) -> u32 {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(count.max(1))).unwrap_or_default()
    }
}

/// Appends a text that the expression may match; `None` when it grows too long.
fn write(hir: &Hir, choices: &mut Choices, text: &mut String) -> Option<()> {
    if text.len() > TEXT_LIMIT {
        return None;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(()),
        HirKind::Literal(literal) => {
            text.push_str(core::str::from_utf8(&literal.0).ok()?);
            Some(())
        }
        HirKind::Class(class) => {
            text.push(one_of(class, choices, text.len())?);
            Some(())
        }
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX).saturating_sub(repetition.min);
            let more = if choices.is_first {
                0
            } else {
                choices.below(most.min(REPEAT_LIMIT) + 1)
            };
            (0..repetition.min.saturating_add(more)).try_for_each(|_| write(&repetition.sub, choices, text))
        }
        HirKind::Capture(capture) => write(&capture.sub, choices, text),
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, choices, text)),
        HirKind::Alternation(parts) => {
            let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
            let place = if choices.is_first { 0 } else { choices.below(count) };
            write(
                parts.get(usize::try_from(place).unwrap_or_default())?,
                choices,
                text,
            )
        }
    }
}

/// A character of a class: a digit, a letter, or else the first that can be seen.
fn one_of(class: &Class, choices: &mut Choices, place: usize) -> Option<char> {
    let is_in = |c: char| match class {
        Class::Unicode(class) => class
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&c)),
        Class::Bytes(class) => u8::try_from(c).is_ok_and(|byte| {
            class
                .iter()
                .any(|range| (range.start()..=range.end()).contains(&byte))
        }),
    };
    for likely in ['0'..='9', 'A'..='Z', 'a'..='z', '!'..='~'] {
        let found: Vec<_> = likely.filter(|c| is_in(*c)).collect();
        let Some(count) = u32::try_from(found.len()).ok().filter(|count| *count > 0) else {
            continue;
        };
        let chosen = if choices.is_first {
            // After the prefix, digits go on from 1.
            u32::try_from(place).unwrap_or_default() % count
        } else {
            choices.below(count)
        };
        return found.get(usize::try_from(chosen).unwrap_or_default()).copied();
    }
    match class {
        Class::Unicode(class) => class.iter().next().map(|range| range.start()),
        Class::Bytes(_) => None,
    }
}

/// The first text that matches a pattern and passes.
fn find(pattern: &str, passes: impl Fn(&str) -> bool) -> Option<String> {
    let rule = Pattern::new(pattern).ok()?;
    let hir = regex_syntax::parse(pattern).ok()?;
    (0..TRIES).find_map(|attempt| {
        let mut text = String::new();
        write(&hir, &mut Choices::of(attempt), &mut text)?;
        (rule.matches(&text) && passes(&text)).then_some(text)
    })
}

/// A text that matches a pattern; `None` when none was found.
pub(super) fn matching(pattern: &str) -> Option<String> {
    if pattern.is_empty() {
        return None;
    }
    find(pattern, |text| !text.trim().is_empty())
}

/// A value that a parameter allows, if its rules can be met at all: its default, a choice, a bound, or what its type
/// suggests.
pub(crate) fn value(parameter: &ParameterSource) -> String {
    let bounds = [&parameter.minimum, &parameter.maximum].into_iter().flatten();
    let said = parameter
        .default
        .iter()
        .chain(parameter.choices.first())
        .chain(bounds)
        .next();
    if let Some(said) = said {
        return said.clone();
    }
    match parameter.kind {
        ParameterType::String => text(parameter),
        ParameterType::Integer => "1".to_owned(),
        ParameterType::Number => "1.5".to_owned(),
        ParameterType::Boolean => "true".to_owned(),
    }
}

/// A text of the right pattern and length.
fn text(parameter: &ParameterSource) -> String {
    let characters = |count: u32| usize::try_from(count).unwrap_or(usize::MAX).min(TEXT_LIMIT);
    let least = parameter.min_length.map_or(0, characters);
    let most = parameter.max_length.map_or(TEXT_LIMIT, characters);
    let fits = |text: &str| (least..=most).contains(&text.chars().count());
    let patterned = parameter
        .pattern
        .as_deref()
        .and_then(|pattern| find(pattern, fits));
    patterned.unwrap_or_else(|| "text".chars().cycle().take(least.max(most.min(4))).collect())
}

/// A serial that the model and the naming rules allow; empty when none was found.
pub(super) fn serial(model: &Model, rules: &[&NamingRule]) -> String {
    let patterns = rules.iter().filter(|rule| rule.field == "serial");
    let patterns: Vec<_> = patterns
        .filter_map(|rule| Pattern::new(&rule.pattern).ok())
        .collect();
    let check: Option<CheckDigit> = model.check_digit.parse().ok();
    let passes = |text: &str| {
        let Ok(serial) = text.parse::<Serial>() else {
            return false;
        };
        check.is_none_or(|check| check.check(&serial).is_ok())
            && patterns
                .iter()
                .all(|pattern| pattern.as_str().is_empty() || pattern.matches(text))
    };
    let own = Some(model.serial_pattern.as_str()).filter(|pattern| !pattern.is_empty());
    let named = || {
        patterns
            .first()
            .map(Pattern::as_str)
            .filter(|pattern| !pattern.is_empty())
    };
    let pattern = own.or_else(named).unwrap_or(ANY_SERIAL);
    find(pattern, passes).unwrap_or_default()
}

/// The first address but one of the model's first block: an address of zeros alone looks like a mistake.
pub(super) fn mac(model: &Model) -> String {
    let block = model.ouis.first().and_then(|block| block.parse().ok());
    let mac = match block {
        None => DOCUMENTATION,
        Some(Block::Range { first, .. }) => first,
        Some(Block::Prefix { value, .. }) => {
            let [a, b, c, d, e, _, _, _] = value.to_be_bytes();
            Mac::Eui48([a, b, c, d, e, 1])
        }
    };
    mac.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(serial_pattern: &str, check_digit: &str, ouis: &[&str]) -> Model {
        Model {
            serial_pattern: serial_pattern.into(),
            check_digit: check_digit.into(),
            ouis: ouis.iter().map(|&oui| oui.into()).collect(),
            ..Model::default()
        }
    }

    #[test]
    fn serials_match_and_check() {
        for pattern in [
            "GW2-[0-9]{7}",
            "[0-9]{10}|[0-9]{12}",
            "TS[0-9]-[0-9]{5}",
            "\\d+",
            "[A-Z]{3}\\w{4,}",
            "(AB|CD)+x?",
            "",
            ".{5}",
            "[^0-9]{4}",
            "(?i)abc[0-9]{2}",
            "\\p{Lu}{2}[0-9]{4}",
            "[0-9]*",
            "A{1,128}",
        ] {
            for check in CheckDigit::ALL.map(CheckDigit::as_str).into_iter().chain([""]) {
                let found = serial(&model(pattern, check, &[]), &[]);
                if found.is_empty() {
                    // There is none: letters where only digits count, or digits where they cannot be.
                    let is_digits = ["[0-9]{10}|[0-9]{12}", "\\d+", ""].contains(&pattern);
                    assert!(!check.is_empty() && !is_digits, "{pattern} {check}");
                    continue;
                }
                let serial: Serial = found.parse().unwrap();
                assert!(
                    pattern.is_empty() || Pattern::new(pattern).unwrap().matches(&found),
                    "{pattern} {found}"
                );
                assert!(check.is_empty() || check.parse::<CheckDigit>().unwrap().check(&serial).is_ok());
            }
        }
    }

    #[test]
    fn examples_look_like_examples() {
        assert_eq!(serial(&model("GW2-[0-9]{7}", "", &[]), &[]), "GW2-4567890");
        assert_eq!(matching("[A-Z]{2}-[0-9]{2}").unwrap(), "AB-34");
    }

    #[test]
    fn examples_of_parameters_follow_their_rules() {
        let check = |json: &str, expected: &str| {
            let parameter: ParameterSource = serde_json::from_str(json).unwrap();
            assert_eq!(value(&parameter), expected, "{json}");
        };
        check(r#"{"type": "string"}"#, "text");
        check(
            r#"{"type": "string", "min_length": 6}"#,
            "texttext".get(..6).unwrap(),
        );
        check(r#"{"type": "string", "max_length": 2}"#, "te");
        check(
            r#"{"type": "string", "pattern": "[a-c]{2,}", "min_length": 1}"#,
            "ab",
        );
        check(r#"{"type": "string", "enum": ["eu", "us"]}"#, "eu");
        check(r#"{"type": "integer", "minimum": 7, "default": 9}"#, "9");
        check(r#"{"type": "integer", "maximum": -7}"#, "-7");
        check(r#"{"type": "boolean"}"#, "true");
    }

    #[test]
    fn hostile_patterns_end() {
        for pattern in [
            "(((a{100}){100}){100})",
            "[0-9]{1000}",
            "a{0}",
            "$^",
            "x(?!y)",
            "(",
            "(a*)*{64}",
        ] {
            let found = serial(&model(pattern, "luhn", &[]), &[]);
            assert!(found.len() <= TEXT_LIMIT, "{pattern}");
        }
    }

    #[test]
    fn addresses_are_in_the_block() {
        let check = |block: &str, expected: &str| {
            let found = mac(&model("", "", &[block]));
            assert_eq!(found, expected);
            let block: Block = block.parse().unwrap();
            assert!(block.contains(&found.parse().unwrap()));
        };
        check("00:1B:C5", "00:1B:C5:00:00:01");
        check("70:B3:D5:1", "70:B3:D5:10:00:01");
        check("70:B3:D5:12:3", "70:B3:D5:12:30:01");
        check("00:1B:C5:00:00:10-00:1B:C5:0F:FF:FF", "00:1B:C5:00:00:10");
        assert_eq!(mac(&model("", "", &[])), "00:00:5E:00:53:01");
    }
}
