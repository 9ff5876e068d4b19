use super::*;

fn check(text: &str, expected: Result<Option<(&str, &[u8])>, &str>) {
    let found = first(text);
    let found = found.as_ref().map(|block| {
        block
            .as_ref()
            .map(|block| (block.label.as_str(), block.der.as_slice()))
    });
    assert_eq!(found.map_err(String::as_str), expected, "{text}");
}

#[test]
fn blocks_survive_what_tables_do_to_line_breaks() {
    let expected = Ok(Some(("X", &b"abcd"[..])));
    for text in [
        "-----BEGIN X-----\nYWJjZA==\n-----END X-----\n",
        "-----BEGIN X-----\r\nYWJj\r\nZA==\r\n-----END X-----",
        "-----BEGIN X----- YWJj ZA== -----END X-----",
        "-----BEGIN X-----\\nYWJj\\nZA==\\n-----END X-----\\n",
        "-----BEGIN X-----\\r\\nYWJjZA\\r\\n-----END X-----",
        "subject=CN = x\n\n-----BEGIN X-----YWJjZA==-----END X-----",
    ] {
        check(text, expected);
    }
}

#[test]
fn what_is_no_block_is_told_apart() {
    check("YWJjZA==", Ok(None));
    check(
        "-----BEGIN X-----\nYWJj",
        Err("opens a PEM block that does not end"),
    );
    check("-----BEGIN X", Err("opens a PEM block that does not end"));
    check(
        "-----BEGIN X-----YWJj-----END Y-----",
        Err("ends a PEM block by another name than it began"),
    );
    let broken = Err("has a PEM block that is not base64");
    check("-----BEGIN X-----Y*Jj-----END X-----", broken);
    check("-----BEGIN X-----YWJjZB==-----END X-----", broken);
    check("-----BEGIN X----------END X-----", broken);
}

#[test]
fn base64_is_read_in_both_alphabets_but_not_in_their_mixture() {
    assert_eq!(base64("-_8="), Some(vec![0xfb, 0xff]));
    assert_eq!(base64("+/8"), Some(vec![0xfb, 0xff]));
    assert_eq!(base64("+_8"), None);
    assert_eq!(base64(""), None);
}

#[test]
fn armour_is_read_back() {
    let der: Vec<u8> = (0..=255).collect();
    let text = armour("CERTIFICATE", &der);
    assert!(text.lines().all(|line| line.len() <= WIDTH));
    assert_eq!(
        certificates(&format!("{text}\n{text}")),
        Ok(vec![der.clone(), der])
    );
}

#[test]
fn private_keys_are_noticed_among_certificates() {
    let key = armour("EC PRIVATE KEY", b"secret");
    assert!(certificates(&format!("{}\n{key}", armour("CERTIFICATE", b"x"))).is_err());
}
