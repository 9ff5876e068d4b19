//! Lists of JSON objects, and XML.

use crate::support::{Forward, catalog, check, options};
use muster_domain::{
    Code, Refusal,
    manifest::{Encoding, Fault, Format, ROW_LIMIT, ReadError, ReadOptions, Reader, Record},
};

/// Row, names and texts, fault, source.
type Row = (u32, Vec<(String, String)>, Option<Fault>, Option<String>);

fn read(name: &str, path: Option<&str>, bytes: &[u8]) -> Result<(Format, Vec<Row>), Refusal> {
    let options = ReadOptions {
        record_path: path.map(str::to_owned),
        ..options(name)
    };
    let refusal = |error| match error {
        ReadError::Refused(refusal) => refusal,
        ReadError::Input(error) => panic!("{error}"),
    };
    let mut reader = Reader::new(Forward(bytes), &options).map_err(refusal)?;
    let mut rows = Vec::new();
    let mut record = Record::default();
    while reader.read(&mut record).map_err(refusal)? {
        let fields = record
            .fields()
            .map(|(name, text)| (name.to_owned(), text.to_owned()));
        let source = record.source().map(str::to_owned);
        rows.push((record.row(), fields.collect(), record.fault().cloned(), source));
    }
    Ok((reader.format(), rows))
}

/// Row numbers and cells as `name=text`.
fn brief(rows: &[Row]) -> Vec<(u32, String)> {
    let cells = |fields: &[(String, String)]| {
        let cells: Vec<_> = fields
            .iter()
            .map(|(name, text)| format!("{name}={text}"))
            .collect();
        cells.join(" ")
    };
    rows.iter()
        .map(|(row, fields, _, _)| (*row, cells(fields)))
        .collect()
}

#[test]
fn lists_are_found_wherever_they_are() {
    let check = |path, text: &str, expected: &[(u32, &str)]| {
        let (format, rows) = read("a.json", path, text.as_bytes()).unwrap();
        let expected: Vec<_> = expected
            .iter()
            .map(|(row, cells)| (*row, (*cells).to_owned()))
            .collect();
        assert_eq!((format, brief(&rows)), (Format::Json, expected), "{text}");
    };
    let two = &[(1, "sn=A1"), (2, "sn=A2 labels.env=lab")][..];
    check(None, r#"[{"sn":"A1"},{"sn":"A2","labels":{"env":"lab"}}]"#, two);
    check(
        None,
        " [\n {\"sn\" : \"A1\"} ,\n{\"sn\":\"A2\", \"labels\":{\"env\":\"lab\"}}\n]\n",
        two,
    );
    check(
        None,
        r#"{"batch": "x]", "tags": ["a", {"b": [1]}], "empty": [], "devices": [{"sn":"A1"},{"sn":"A2","labels":{"env":"lab"}}], "n": 2}"#,
        two,
    );
    check(
        Some("more"),
        r#"{"devices": [{"x": 1}], "more": [{"sn":"A1"}], "last": [{"y": 1}]}"#,
        &[(1, "sn=A1")],
    );
    check(
        Some("data.devices"),
        r#"{"a": {"devices": []}, "data": {"n": -1.5e3, "devices": [{"sn":"A1"}], "z": null}, "b": "\"]}"}"#,
        &[(1, "sn=A1")],
    );
    check(Some("a.b"), r#"{"a.b": [{"sn":"A1"}]}"#, &[(1, "sn=A1")]);
    check(None, "[]", &[]);
    check(
        None,
        r#"{"devices": [{}, {"sn": "A2"}]}"#,
        &[(1, ""), (2, "sn=A2")],
    );
}

#[test]
fn an_object_is_given_back_as_it_was_written() {
    let text = "[ {\"sn\": \"A1\",\n   \"n\": 1.50, \"t\": \"a]\\\"}\" } , {\"sn\":\"A2\"}]";
    let (_, rows) = read("a.json", None, text.as_bytes()).unwrap();
    let sources: Vec<_> = rows.iter().map(|row| row.3.as_deref().unwrap()).collect();
    assert_eq!(
        sources,
        [
            "{\"sn\": \"A1\",\n   \"n\": 1.50, \"t\": \"a]\\\"}\" }",
            "{\"sn\":\"A2\"}"
        ]
    );
}

#[test]
fn a_bad_value_of_a_list_costs_itself_only() {
    for bad in [
        "1",
        "null",
        "\"x\"",
        "[{}]",
        r#"{"sn": [1]}"#,
        r#"{"sn": "A", "sn": "B"}"#,
        "{sn: 1}",
    ] {
        let text = format!(r#"[{{"sn":"A1"}},{bad},{{"sn":"A3"}}]"#);
        let (_, rows) = read("a.json", None, text.as_bytes()).unwrap();
        assert!(matches!(rows[1].2, Some(Fault::Json(_))), "{bad}: {:?}", rows[1]);
        assert_eq!((rows.len(), rows[2].0, &rows[2].2), (3, 3, &None), "{bad}");
    }
    for length in [ROW_LIMIT, 3 * ROW_LIMIT] {
        let text = format!(
            r#"[{{"sn":"A1"}},{{"sn":"{}"}},{{"sn":"A3"}}]"#,
            "]".repeat(length)
        );
        let (_, rows) = read("a.json", None, text.as_bytes()).unwrap();
        assert_eq!(rows[1].2, Some(Fault::TooLong));
        assert_eq!(brief(&rows[2..]), [(3, "sn=A3".to_owned())]);
    }
}

#[test]
fn broken_lists_are_refused_and_never_end_early() {
    let check = |text: &str, why: &str| {
        let refusal = read("a.json", None, text.as_bytes()).unwrap_err();
        assert_eq!(refusal.code, Code::ManifestUnreadable, "{text}");
        assert!(refusal.message.contains(why), "{text}: {refusal}");
    };
    check(r#"[{"sn":"A1"}"#, "ends within");
    check(r#"[{"sn":"A1"},"#, "ends within");
    check(r#"[{"sn":"A1"},]"#, "is missing");
    check(r#"[{"sn":"A1"} {"sn":"A2"}]"#, "value 1 of the list has no comma");
    check(r#"[{"sn":"A1"}] []"#, "goes on behind");
    check("{\n\"a\": 1}", "has no list of objects");
    check(
        r#"{"a": [{"sn":"A1"}], "b": [{"sn":"A2"}]}"#,
        "two lists of objects",
    );
    check(r#"{"a": [{"sn":"A1"}]"#, "ends within");
    check("{\"a\": [{\"sn\":\"A1\"}],\nb: 1}", "no name");
    check(&format!("[{}", "[".repeat(100)), "deeper than 64");
    check(
        &format!("{{\n\"a\": {}", "[{\"a\":".repeat(1 << 20)),
        "deeper than 64",
    );
    for path in ["b", "a.b", "a"] {
        let text = br#"{"a": 1, "devices": [{"sn":"A1"}]}"#;
        assert_eq!(
            read("a.json", Some(path), text).unwrap_err().code,
            Code::ManifestUnreadable
        );
    }
}

#[test]
fn a_long_list_is_read_in_pieces() {
    let mut text = b"{\"head\": \"".to_vec();
    text.extend(b"x".repeat(200_000));
    text.extend(b"\", \"devices\": [");
    for row in 0..20_000 {
        text.extend(
            format!(
                "{}{{\"sn\": \"A{row}\", \"n\": {row}}}",
                if row == 0 { "" } else { ",\n" }
            )
            .bytes(),
        );
    }
    text.extend(b"]}");
    let (_, rows) = read("a.json", None, &text).unwrap();
    assert_eq!(rows.len(), 20_000);
    assert_eq!(brief(&rows)[19_999], (20_000, "sn=A19999 n=19999".to_owned()));
}

const XML: &str = r#"<?xml version="1.0"?>
<m:export xmlns:m="urn:x" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="x y">
  <!-- made by hand --><header><lot>7</lot><line id="3"/></header>
  <m:devices>
    <m:device id="1"><serial>GW2-7000001</serial><mac kind="eui48">001BC5000001</mac>
      <labels><env>lab &amp; test</env></labels><empty/></m:device>
    <m:device id="2" xsi:nil="false"><serial><![CDATA[GW2-<7>]]></serial> <note>a&#228;</note></m:device>
  </m:devices>
</m:export>"#;

const DEVICES: [&str; 2] = [
    "id=1 serial=GW2-7000001 mac.kind=eui48 mac=001BC5000001 labels.env=lab & test empty=",
    "id=2 serial=GW2-<7> note=aä",
];

#[test]
fn elements_that_repeat_are_records() {
    for path in [
        None,
        Some("device"),
        Some("devices/device"),
        Some("/export/devices/device"),
    ] {
        let (format, rows) = read("a.xml", path, XML.as_bytes()).unwrap();
        assert_eq!(format, Format::Xml);
        let expected: Vec<_> = (1..).zip(DEVICES.map(str::to_owned)).collect();
        assert_eq!(brief(&rows), expected, "{path:?}");
        assert!(rows.iter().all(|row| row.2.is_none() && row.3.is_none()));
    }
    let found = |path, text: &str| brief(&read("a.xml", path, text.as_bytes()).unwrap().1);
    assert_eq!(found(Some("line"), XML), [(1, "id=3".to_owned())]);
    assert_eq!(found(None, "<d><device sn='A1'/></d>"), [(1, "sn=A1".to_owned())]);
    assert_eq!(
        found(None, "<d><sn>A1</sn><sn>A2</sn></d>"),
        [(1, "sn=A1".to_owned()), (2, "sn=A2".to_owned())]
    );
}

#[test]
fn xml_is_read_as_it_declares_itself() {
    let check = |bytes: &[u8], encoding| {
        let reader = Reader::new(Forward(bytes), &options("a.xml")).unwrap();
        assert_eq!(reader.encoding(), encoding);
        assert_eq!(
            brief(&read("a.xml", None, bytes).unwrap().1),
            [(1, "sn=Ä1".to_owned())]
        );
    };
    let text = |encoding: &str| format!("<?xml version='1.0' encoding='{encoding}'?><a><b sn='Ä1'/></a>");
    check(text("UTF-8").as_bytes(), Encoding::Utf8);
    let units: Vec<u16> = text("UTF-16").encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    check(&little, Encoding::Utf16Le);
    check(&big, Encoding::Utf16Be);
    check(&[&b"\xFF\xFE"[..], &little].concat(), Encoding::Utf16Le);
    let latin: Vec<u8> = text("ISO-8859-1")
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    check(&latin, Encoding::Windows1252);
    // The declaration counts even where the first block is plain ASCII.
    let mut late = b"<?xml version='1.0' encoding='windows-1252'?><a><b x='".to_vec();
    late.extend(
        b"x".repeat(3000)
            .repeat(30)
            .chunks(80)
            .flat_map(|part| [part, b"'/><b x='"].concat()),
    );
    late.extend(b"\xC4'/></a>");
    let (_, rows) = read("a.xml", None, &late).unwrap();
    assert_eq!(rows.last().unwrap().1[0].1, "Ä");
}

#[test]
fn a_bad_element_costs_itself_only() {
    let check = |bad: &str, why: &str| {
        let text = format!("<a><d sn='A1'/><d>{bad}</d><d sn='A3'/></a>");
        let (_, rows) = read("a.xml", Some("d"), text.as_bytes()).unwrap();
        let Some(Fault::Xml(message)) = &rows[1].2 else {
            panic!("{bad}: {:?}", rows[1])
        };
        assert!(message.contains(why), "{bad}: {message}");
        assert_eq!(brief(&rows[2..]), [(3, "sn=A3".to_owned())]);
    };
    check("<sn>A</sn><sn>B</sn>", "stands twice");
    check("<sn x='1'/><sn.x>2</sn.x>", "stands twice");
    check("<p><q><r><s>1</s></r></q></p>", "deeper than 4");
    check(&format!("<{}>1</{0}>", "n".repeat(5000)), "longer than 4096");
    let text = format!(
        "<a><d><sn>{}</sn></d><d>{}</d><d sn='A3'/></a>",
        "x".repeat(5000),
        "<n>x</n>"
    );
    let (_, rows) = read("a.xml", Some("d"), text.as_bytes()).unwrap();
    assert!(
        matches!(rows[0].2, Some(Fault::Cell { column: 0, .. })),
        "{:?}",
        rows[0].2
    );
    let many: String = (0..40)
        .map(|n| format!("<n{n}>{}</n{n}>", "x".repeat(2000)))
        .collect();
    let (_, rows) = read(
        "a.xml",
        Some("d"),
        format!("<a><d>{many}</d><d sn='A2'/></a>").as_bytes(),
    )
    .unwrap();
    assert_eq!((&rows[0].2, rows.len()), (&Some(Fault::TooLong), 2));
}

#[test]
fn broken_and_hostile_xml_is_refused() {
    let check = |text: &str, code: Code, why: &str| {
        let refusal = read("a.xml", None, text.as_bytes()).unwrap_err();
        assert_eq!(refusal.code, code, "{text:.60}");
        assert!(refusal.message.contains(why), "{text:.60}: {refusal}");
    };
    let unreadable = Code::ManifestUnreadable;
    check("<a><b x='1'/>", unreadable, "ends within");
    check("<a><b x='1'></a>", unreadable, "not well-formed");
    check("<a></a>", unreadable, "no element that is a record");
    check("<a><b x='&foo;'/><b/></a>", unreadable, "not well-formed");
    check("<a><b>&foo;</b><b/></a>", unreadable, "entity");
    check(
        "<!DOCTYPE a [<!ENTITY x 'y'>]><a><b>&x;</b></a>",
        unreadable,
        "document type",
    );
    check("<!DOCTYPE html><html/>", unreadable, "web page");
    check("  <table><tr/></table>", unreadable, "web page");
    check(
        &format!("<a><b>x</b>{}", "<c>".repeat(100)),
        Code::ManifestTooLarge,
        "deeper than 64",
    );
    check(
        &format!("<a><b>x</b><b>{}</b></a>", "y".repeat(2 << 20)),
        Code::ManifestTooLarge,
        "more than 1048576",
    );
    let many: String = (0..300).map(|n| format!(" a{n}='1'")).collect();
    check(
        &format!("<a><b/><b{many}/></a>"),
        Code::ManifestTooLarge,
        "256 attributes",
    );
    let text = b"<a><b>x\xFF\xFE</b></a>";
    assert!(
        read(
            "a.xml",
            None,
            &[
                &b"<?xml version='1.0' encoding='utf-8'?>"[..],
                &b" ".repeat(70_000),
                text
            ]
            .concat()
        )
        .is_err()
    );
}

#[test]
fn lists_go_through_the_same_checks() {
    let json = r#"[{"serial": "GW2-7000001", "model": "GW-200"}, {"serial": 7, "model": "GW-200"}]"#;
    let checked = check(catalog(), "a.json", json.as_bytes(), None);
    assert_eq!(
        (checked.rows.len(), checked.faults()),
        (1, vec![(2, "serial", Code::SerialDamaged)])
    );
    let checked = check(catalog(), "a.xml", XML.as_bytes(), Some("GW-200"));
    assert_eq!(
        (checked.rows.len(), checked.faults()),
        (1, vec![(2, "serial", Code::SerialMalformed)])
    );
}
