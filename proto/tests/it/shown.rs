//! What `Debug` shows of messages with secrets in them, wherever one is printed.

use muster_proto::v1;

const SECRET: &str = "2VYFH-Y3WC4-JRJMR-7HG";

/// As text, and as the bytes of it are printed.
fn hides(shown: &str, known: &str) {
    let bytes = format!("{:?}", SECRET.as_bytes());
    assert!(
        !shown.contains(SECRET) && !shown.contains(bytes.trim_matches(['[', ']'])),
        "{shown}"
    );
    assert!(shown.contains(known), "{shown}");
}

#[test]
fn no_code_key_or_value_is_shown() {
    let (code, device) = (|| SECRET.to_owned(), || "devices/one".to_owned());
    let row = v1::RowResult {
        device: device(),
        activation_code: code(),
        key: SECRET.into(),
        ..v1::RowResult::default()
    };
    hides(
        &format!(
            "{:?}",
            v1::ImportResults {
                rows: vec![row],
                issuers: Vec::new()
            }
        ),
        "devices/one",
    );
    let given = v1::GivenCode {
        device: device(),
        activation_code: code(),
        ..v1::GivenCode::default()
    };
    let codes = v1::ListCodesResponse {
        codes: vec![given],
        resume_token: String::new(),
    };
    hides(&format!("{codes:?}"), "devices/one");
    let reissued = v1::ReissueCodeResponse {
        device: Some(v1::Device {
            name: device(),
            ..v1::Device::default()
        }),
        activation_code: code(),
    };
    hides(&format!("{reissued:?}"), "devices/one");
    let claim = v1::ClaimRequest {
        serial: "GW2-7000001".into(),
        activation_code: code(),
        csr: Vec::new(),
    };
    hides(&format!("{claim:?}"), "GW2-7000001");
    let secret = v1::PutSecretRequest {
        name: "secrets/wifi".into(),
        value: SECRET.into(),
        message: String::new(),
    };
    hides(&format!("{secret:?}"), "secrets/wifi");
}
