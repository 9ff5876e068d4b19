//! What templates compare: read from their text. A template that compares is meant to work for devices of several kinds,
//! and the engine refuses a comparison with what is not there; samples, which have everything, do not show that.

/// Words that compare their neighbours.
const COMPARISONS: [&str; 8] = ["==", "!=", "<", ">", "<=", ">=", "in", "not"];

/// The names that a template compares without asking whether they are there: `device.mac` in
/// `{% if device.mac == "x" %}`.
pub(super) fn compared(template: &str) -> Vec<String> {
    let tags: Vec<Vec<&str>> = tags(template).into_iter().map(words).collect();
    let mut found = Vec::new();
    for tag in &tags {
        for (place, word) in tag.iter().enumerate() {
            if !is_optional(word) || found.iter().any(|known| known == word) || asks(&tags, word) {
                continue;
            }
            let is_comparison =
                |neighbour: Option<&&str>| neighbour.is_some_and(|word| COMPARISONS.contains(word));
            let before = place.checked_sub(1).and_then(|before| tag.get(before));
            // `not` in front of a name negates it; between names it is part of `not in`.
            if is_comparison(tag.get(place + 1)) || is_comparison(before.filter(|word| **word != "not")) {
                found.push((*word).to_owned());
            }
        }
    }
    found
}

/// Names of what not every device has.
fn is_optional(word: &str) -> bool {
    matches!(
        word,
        "device.mac" | "device.hardware" | "device.firmware" | "device.position"
    ) || word.starts_with("device.labels.")
        || (word.starts_with("site.") && word != "site.code")
}

/// Does a tag ask whether the name is there, or give it a default?
fn asks(tags: &[Vec<&str>], name: &str) -> bool {
    tags.iter().any(|tag| {
        tag.windows(3).any(|words| {
            words[0] == name
                && matches!(
                    (words[1], words[2]),
                    ("is", "defined" | "undefined" | "not") | ("|", "default" | "d")
                )
        })
    })
}

/// The insides of `{{ }}` and `{% %}`.
fn tags(template: &str) -> Vec<&str> {
    let mut tags = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let behind = &rest[start + 1..];
        let end = match behind.as_bytes().first() {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            Some(b'#') => "#}",
            _ => {
                rest = behind;
                continue;
            }
        };
        let Some((inside, after)) = behind.get(1..).and_then(|inside| inside.split_once(end)) else {
            break;
        };
        if end != "#}" {
            tags.push(inside);
        }
        rest = after;
    }
    tags
}

/// Dotted names, operators and all other characters of a tag; texts in quotes are left out.
fn words(tag: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let is_operator = |c: char| matches!(c, '=' | '!' | '<' | '>');
    let mut words = Vec::new();
    let mut rest = tag.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' | '\'' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            c if is_name(c) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
            c if is_operator(c) => rest.find(|c| !is_operator(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_with_what_may_be_missing_are_found() {
        let check =
            |template: &str, expected: &[&str]| assert_eq!(compared(template), expected, "{template}");
        check("{% if device.mac == 'x' %}{% endif %}", &["device.mac"]);
        check("{% if 'x' != device.hardware %}{% endif %}", &["device.hardware"]);
        check(
            "{{ 'a' if device.labels.ring in ['early'] else 'b' }}",
            &["device.labels.ring"],
        );
        check(
            "{% if device.labels.ring not in ['early'] %}{% endif %}",
            &["device.labels.ring"],
        );
        check(
            "{% if site.country=='DE' and device.serial == 'x' %}{% endif %}",
            &["site.country"],
        );
        check(
            "{% if device.mac is defined and device.mac == 'x' %}{% endif %}",
            &[],
        );
        check("{% if device.position | default('') == 'x' %}{% endif %}", &[]);
        check("{% if not device.mac %}{% endif %}", &[]);
        check("{{ device.mac }} == x {# device.mac == 'x' #} '{' {", &[]);
        check("{{ 'device.mac' == 'device.mac' }}", &[]);
        check("{{ \"unclosed", &[]);
    }
}
