use super::*;

fn rows(name: &str, bytes: &[u8]) -> Result<Rows, Failure> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    Rows::open(&path, ReadOptions::default())
}

fn table(rows: &Rows) -> (u8, Vec<String>) {
    match rows.style() {
        Style::Csv { delimiter, table } => (*delimiter, table.header.clone()),
        _ => panic!("not a table"),
    }
}

fn texts(row: &Row) -> Vec<String> {
    row.cells.iter().map(|cell| cell.text.clone()).collect()
}

fn all(mut rows: Rows) -> Vec<Row> {
    let mut all = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        all.push(row);
    }
    all
}

#[test]
fn rows_are_the_users_own_and_counted_like_the_server_counts() {
    let text = "Serial No.;Note\nGW2-1;\"a\nb\"\n\nGW2-2;S\u{e3}o\n";
    let found = rows("x.csv", text.as_bytes()).unwrap();
    let header = vec!["Serial No.".to_owned(), "Note".to_owned()];
    assert_eq!(table(&found), (b';', header));
    let found: Vec<_> = all(found)
        .into_iter()
        .map(|row| (row.number, texts(&row).join("|")))
        .collect();
    assert_eq!(
        found,
        [(2, "GW2-1|a\nb".to_owned()), (4, "GW2-2|S\u{e3}o".to_owned())]
    );
}

#[test]
fn the_form_of_the_text_is_known_from_its_beginning() {
    let check = |bytes: &[u8], has_mark: bool, has_returns: bool| {
        let found = rows("x.csv", bytes).unwrap().form();
        assert_eq!(
            (found.has_mark, found.has_returns),
            (has_mark, has_returns),
            "{bytes:?}"
        );
    };
    let utf16 = |text: &str| {
        let mut bytes = vec![0xff, 0xfe];
        bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
        bytes
    };
    check(b"serial,note\na,b\r\n", false, false);
    check("serial,note\r\na,\u{e3}\n".as_bytes(), false, true);
    check(b"\xEF\xBB\xBFserial,note\na,b\n", true, false);
    check(b"serial,note\r\na,B\xFCro\r\n", true, true);
    check(&utf16("serial,note\r\na,b\r\n"), true, true);
    check(&utf16("serial,note\na,b\n"), true, false);
}

#[test]
fn objects_keep_their_text() {
    let found = rows("x.ndjson", b"{\"b\":1.50,  \"a\":2}\n\n{\"b\": 2}\n").unwrap();
    assert!(*found.style() == Style::Ndjson);
    let found: Vec<_> = all(found)
        .into_iter()
        .map(|row| (row.number, row.source))
        .collect();
    assert_eq!(
        found,
        [
            (1, "{\"b\":1.50,  \"a\":2}".to_owned()),
            (3, "{\"b\": 2}".to_owned())
        ]
    );
}

#[test]
fn results_that_come_back_lose_our_columns_and_keep_their_codes() {
    let text = "serial,status,code,message,device,activation_code\nGW2-1,created,,,id,SECRET\nGW2-2,refused,M2111,why\n";
    let found = rows("x.csv", text.as_bytes()).unwrap();
    assert_eq!(table(&found), (b',', vec!["serial".into()]));
    let found: Vec<_> = all(found)
        .into_iter()
        .map(|row| (texts(&row), row.earlier.activation_code))
        .collect();
    assert_eq!(
        found,
        [
            (vec!["GW2-1".to_owned()], "SECRET".to_owned()),
            (vec!["GW2-2".to_owned()], String::new())
        ]
    );
}

#[test]
fn what_is_no_manifest_is_refused_before_it_is_sent() {
    let failure = rows("x.xlsx", b"PK\x03\x04....").err().unwrap();
    assert_eq!(failure.answer().unwrap().number, Some(2001));
    assert_eq!(failure.exit(), crate::exit::Exit::Refused);
    assert!(failure.to_string().contains("x.xlsx is damaged"), "{failure}");
}
