//! JSON, XML, and the manifests of makers.

use super::{Answer, Bench};
use muster_domain::Code;

const ROW: &str = r#"{"serial":"HOS-0000001","model":"CAM-IR","site":"MUC-01"}"#;
const OTHER: &str = r#"{"serial":"HOS-0000002","model":"CAM-IR","site":"MUC-01"}"#;

pub(super) fn make(bench: &mut Bench<'_>) {
    json(bench);
    lines(bench);
    xml(bench);
    microchip(bench);
}

fn json(bench: &mut Bench<'_>) {
    let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    bench.put("deep.json", &deep, Answer::Not(""));
    bench.put(
        "deep-cell.json",
        format!(r#"[{ROW},{{"serial":{deep}}},{OTHER}]"#),
        Answer::Not(""),
    );
    bench.put(
        "lists-in-lists.json",
        format!("[[{ROW}],[{OTHER}]]"),
        Answer::Rows(vec![
            (1, Some(Code::CellMalformed.number())),
            (2, Some(Code::CellMalformed.number())),
        ]),
    );
    bench.put("cut.json", format!("[{ROW},{OTHER}"), Answer::Not(""));
    bench.put("two-documents.json", format!("[{ROW}][{OTHER}]"), Answer::Not(""));
    bench.put(
        "string-of-100mb.json",
        format!(r#"[{ROW},{{"serial":"{}"}}]"#, "x".repeat(100 << 20)),
        Answer::Rows(vec![(1, None), (2, Some(Code::CellMalformed.number()))]),
    );
    bench.put("scalar.json", "1e999999", Answer::Not(""));
    bench.put(
        "numbers.json",
        format!(
            r#"[{ROW},{{"serial":1e999999,"model":"CAM-IR"}},{{"serial":{},"model":"CAM-IR"}}]"#,
            "9".repeat(4000)
        ),
        Answer::Rows(vec![
            (1, None),
            (2, Some(Code::CellMalformed.number())),
            (3, Some(Code::CellMalformed.number())),
        ]),
    );
}

fn lines(bench: &mut Bench<'_>) {
    let refused = |middle: &str, code: Code| {
        (
            format!("{ROW}\n{middle}\n{OTHER}\n"),
            Answer::Rows(vec![(1, None), (2, Some(code.number())), (3, None)]),
        )
    };
    for (name, middle) in [
        ("deep.ndjson", "[".repeat(60_000)),
        (
            "duplicate-keys.ndjson",
            r#"{"serial":"HOS-0000003","serial":"HOS-0000004","model":"CAM-IR"}"#.to_owned(),
        ),
        (
            "lone-surrogate.ndjson",
            r#"{"serial":"HOS-\ud800","model":"CAM-IR"}"#.to_owned(),
        ),
        (
            "nested.ndjson",
            r#"{"serial":{"a":[1,{"b":2}]},"model":"CAM-IR"}"#.to_owned(),
        ),
        ("not-json.ndjson", "serial=HOS-0000003".to_owned()),
    ] {
        let (text, answer) = refused(&middle, Code::CellMalformed);
        bench.put(name, text, answer);
    }
    let keys: String = (0..3000).map(|i| format!(r#","k{i}":1"#)).collect();
    let (text, answer) = refused(&format!(r#"{{"serial":"HOS-0000003"{keys}}}"#), Code::RowWidth);
    bench.put("3000-keys.ndjson", text, answer);
    let other_keys: String = (0..5000)
        .map(|i| format!("{{\"serial\":\"HOS-{i:07}\",\"model\":\"CAM-IR\",\"k{i}\":1}}\n"))
        .collect();
    bench.put(
        "other-keys-in-each-row.ndjson",
        other_keys,
        Answer::Many {
            first: vec![(1, None)],
            count: 5000,
        },
    );
}

fn xml(bench: &mut Bench<'_>) {
    let rows = "<d><serial>HOS-0000001</serial><model>CAM-IR</model></d>";
    let mut laughs = "<!DOCTYPE a [<!ENTITY a0 \"ha\">".to_owned();
    for level in 1..30 {
        let before = level - 1;
        laughs += &format!("<!ENTITY a{level} \"{}\">", format!("&a{before};").repeat(10));
    }
    bench.put(
        "billion-laughs.xml",
        format!("{laughs}]><l><d><serial>&a29;</serial></d>{rows}</l>"),
        Answer::Not(""),
    );
    bench.put(
        "external-entity.xml",
        format!(
            "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><l><d><serial>&x;</serial></d>{rows}</l>"
        ),
        Answer::Not(""),
    );
    bench.put("deep.xml", "<a>".repeat(1_000_000), Answer::Not(""));
    let attributes: String = (0..1_000_000).map(|i| format!(" a{i}='1'")).collect();
    bench.put(
        "attributes-1m.xml",
        format!("<l><d{attributes}/>{rows}</l>"),
        Answer::Not(""),
    );
    bench.put("cut.xml", format!("<l>{rows}<d><serial>HOS"), Answer::Not(""));
    bench.put(
        "comment-of-20mb.xml",
        format!("<l><!--{}-->{rows}</l>", "x".repeat(20 << 20)),
        Answer::Not(""),
    );
    bench.put(
        "tags-crossed.xml",
        format!("<l>{rows}<d><serial></d></serial></l>"),
        Answer::Not(""),
    );
}

fn microchip(bench: &mut Bench<'_>) {
    let entry = |protected: &str, payload: &str| {
        format!(
            r#"[{{"payload":"{payload}","protected":"{protected}","header":{{"uniqueId":"0123e10a50c93db127"}},"signature":"{}"}}]"#,
            "A".repeat(86)
        )
    };
    let payload = "eyJ2ZXJzaW9uIjoxLCJ1bmlxdWVJZCI6IjAxMjNlMTBhNTBjOTNkYjEyNyJ9";
    // {"alg":"none"}
    bench.put_with(
        "alg-none.json",
        entry("eyJhbGciOiJub25lIn0", payload),
        &["--format", "microchip", "--model", "CAM-IR"],
        Answer::Not("signed"),
    );
    bench.put_with(
        "protected-1mb.json",
        entry(&"A".repeat(1 << 20), payload),
        &["--format", "microchip", "--model", "CAM-IR"],
        Answer::Not("signed"),
    );
    bench.put_with(
        "payload-no-base64.json",
        entry("eyJhbGciOiJFUzI1NiJ9", "%%%"),
        &["--format", "microchip", "--model", "CAM-IR"],
        Answer::Not("signed"),
    );
}
