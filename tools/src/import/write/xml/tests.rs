use super::*;
use crate::import::write::Sink;

const OURS: [&str; 5] = ["status", "code", "message", "device", "activation_code"];

fn answer(status: &str) -> Vec<(&'static str, String)> {
    let values = [status, "", "a<b", "", ""].map(str::to_owned);
    OURS.into_iter().zip(values).collect()
}

/// Pushes these numbers; gives the document.
fn written(source: &[u8], encoding: Encoding, pushed: &[u32], only_pushed: bool) -> String {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from.xml"), directory.path().join("to.xml"));
    std::fs::write(&from, source).unwrap();
    let sink = Sink::begin(&to, false, None).unwrap();
    let mut writer = XmlWriter::begin(sink, &from, ("/lot/device", encoding), only_pushed).unwrap();
    for number in pushed {
        writer.push(*number, &answer("created")).unwrap();
    }
    writer.finish().unwrap().finish().unwrap();
    std::fs::read_to_string(to).unwrap()
}

const ADDED: &str = "<status>created</status><code></code><message>a&lt;b</message><device></device>\
                     <activation_code></activation_code>";

#[track_caller]
fn check(source: &str, pushed: &[u32], expected: &str) {
    let expected = expected.replace("ADDED", ADDED);
    let found = written(source.as_bytes(), Encoding::Utf8, pushed, false);
    assert_eq!(found, expected);
    // What was written is taken apart and written the same.
    let again = written(found.as_bytes(), Encoding::Utf8, pushed, false);
    assert_eq!(again, expected);
}

#[test]
fn the_document_stays_and_each_record_gets_its_answer() {
    check(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<!-- lot 7 --><lot n=\"1\"><device><sn>A &amp; B</sn></device>\
         <device sn='2'/><other><device/></other></lot>\n",
        &[1, 2],
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<!-- lot 7 --><lot n=\"1\"><device><sn>A &amp; B</sn>ADDED</device>\
         <device sn='2'>ADDED</device><other><device/></other></lot>\n",
    );
}

#[test]
fn elements_of_ours_are_indented_like_the_users() {
    let indented = ADDED.replace("><", ">\n    <").replace(">\n    </", "></");
    check(
        "<lot>\n  <device>\n    <sn>1</sn>\n  </device>\n</lot>",
        &[1],
        &format!("<lot>\n  <device>\n    <sn>1</sn>\n    {indented}\n  </device>\n</lot>"),
    );
}

#[test]
fn a_record_that_has_an_element_of_our_name_keeps_it() {
    let prefixed = OURS.iter().fold(ADDED.to_owned(), |text, name| {
        text.replace(&format!("<{name}>"), &format!("<muster_{name}>"))
            .replace(&format!("</{name}>"), &format!("</muster_{name}>"))
    });
    check(
        "<lot><device><status>new</status></device></lot>",
        &[1],
        &format!("<lot><device><status>new</status>{prefixed}</device></lot>"),
    );
}

#[test]
fn namespaces_are_the_records() {
    let added = ADDED
        .replace("</", "</m:")
        .replace('<', "<m:")
        .replace("<m:/m:", "</m:");
    check(
        "<m:lot xmlns:m=\"urn:x\"><m:device><m:sn>1</m:sn></m:device></m:lot>",
        &[1],
        &format!("<m:lot xmlns:m=\"urn:x\"><m:device><m:sn>1</m:sn>{added}</m:device></m:lot>"),
    );
}

#[test]
fn only_refused_records_are_kept_to_be_mended() {
    let source = "<lot>\n<device><sn>1</sn></device>\n<device><sn>2</sn></device>\n<device><sn>3</sn></device>\n</lot>";
    let found = written(source.as_bytes(), Encoding::Utf8, &[2], true);
    assert_eq!(
        found,
        format!("<lot>\n\n<device><sn>2</sn>{ADDED}</device></lot>")
    );
}

#[test]
fn other_encodings_become_utf_8() {
    let source = b"<?xml version='1.0' encoding='windows-1252'?><lot><device><sn>B\xFCro</sn></device></lot>";
    let found = written(source, Encoding::Windows1252, &[], false);
    assert_eq!(
        found,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><lot><device><sn>B\u{fc}ro</sn></device></lot>"
    );
}

#[test]
fn a_record_longer_than_is_held_is_copied() {
    let long = "<a>x</a>".repeat(400_000);
    let found = written(
        format!("<lot><device>{long}</device></lot>").as_bytes(),
        Encoding::Utf8,
        &[1],
        false,
    );
    assert!(found == format!("<lot><device>{long}{ADDED}</device></lot>"));
}

#[test]
fn a_document_that_breaks_off_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from.xml"), directory.path().join("to.xml"));
    for source in [
        "<lot><device><sn>",
        "<lot><device></lot>",
        "<lot><device a=></device",
    ] {
        std::fs::write(&from, source).unwrap();
        let sink = Sink::begin(&to, false, None).unwrap();
        let mut writer = XmlWriter::begin(sink, &from, ("device", Encoding::Utf8), false).unwrap();
        assert!(writer.push(1, &answer("created")).is_err(), "{source}");
    }
}
