//! "Did you mean": the nearest of a few known words.

/// Longer words are no misspellings, and comparing them would cost for nothing.
const LONGEST_WORD: usize = 64;

/// The candidate with the fewest edits from `word`, at most one for every three characters; a
/// different case is none.
pub(crate) fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > LONGEST_WORD {
        return None;
    }
    let most = (length / 3).max(1);
    candidates
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(edits, _)| *edits <= most)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`, ignoring
/// ASCII case (optimal string alignment).
fn edits(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().map(|c| c.to_ascii_lowercase()).collect();
    let b: Vec<char> = b.chars().map(|c| c.to_ascii_lowercase()).collect();
    // Three rows of the distance table: two back, one back, and the one being filled.
    let mut older = vec![0; b.len() + 1];
    let mut old: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = old[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(old[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(older[j - 2] + 1);
            }
        }
        older = std::mem::replace(&mut old, row);
    }
    old[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_stranger_is_not() {
        let names = ["model", "state", "serial", "certificate.expires"];
        let check = |word: &str, expected: Option<&str>| {
            assert_eq!(closest(word, names.into_iter()), expected, "{word}");
        };
        check("modle", Some("model"));
        check("Model", Some("model"));
        check("mdel", Some("model"));
        check("states", Some("state"));
        check("certificate.expiry", Some("certificate.expires"));
        check("sreial", Some("serial"));
        check("profile", None);
        check("x", None);
        check(&"m".repeat(LONGEST_WORD + 1), None);
    }

    #[test]
    fn edits_count_single_character_changes() {
        let check = |a: &str, b: &str, expected: usize| {
            assert_eq!(edits(a, b), expected, "{a} {b}");
            assert_eq!(edits(b, a), expected, "{b} {a}");
        };
        check("", "", 0);
        check("", "abc", 3);
        check("abc", "ABC", 0);
        check("ab", "ba", 1);
        check("kitten", "sitting", 3);
        check("model", "modle", 1);
    }
}
