//! What columns mean.

use crate::support::options;
use muster_domain::{
    Code, Refusal,
    manifest::{Mapping, Reader},
};
use std::io::Cursor;

fn mapping(names: &[&str], has_model: bool) -> Result<Mapping, Vec<Refusal>> {
    let header = names.join(";") + "\n";
    Mapping::of(
        &Reader::new(Cursor::new(header.as_bytes()), &options("a.csv")).unwrap(),
        has_model,
    )
}

#[test]
fn columns_are_known_by_many_names() {
    let check = |column: &str, expected: &str| {
        // Another spelling of each needed column, so that only this one is looked at.
        let others: &[&str] = match expected {
            "serial" => &["model"],
            "model" => &["serial"],
            _ => &["serial", "model"],
        };
        let mapping = mapping(&[&[column], others].concat(), false).unwrap();
        assert_eq!(mapping.columns()[0], (column.to_owned(), expected.to_owned()));
    };
    for column in ["Serial No.", "serial", "SERIAL_NUMBER", "S/N", "sn", "Serial-Nr"] {
        check(column, "serial");
    }
    for column in ["MAC Address", "mac", "Wi-Fi MAC", "EUI-48", "eui64", "DevEUI"] {
        check(column, "mac");
    }
    for column in ["Device Model", "product", "SKU", "Part Number"] {
        check(column, "model");
    }
    for (column, expected) in [
        ("HW Rev", "hardware"),
        ("Firmware Version", "firmware"),
        ("Site Code", "site"),
        ("location", "site"),
        ("Position", "position"),
        ("label:env", "labels.env"),
        ("labels.Rack.Row", "labels.Rack.Row"),
        ("var:Port", "variables.port"),
        ("variables.port", "variables.port"),
        ("attributes.interval_s", "variables.interval_s"),
        ("PoE Port 3", "variables.poe_port_3"),
        ("x.y", "variables.x_y"),
        ("", "ignored"),
        ("#", "ignored"),
        ("label:", "variables.label"),
        ("activation_code", "ignored"),
        ("status", "variables.status"),
    ] {
        check(column, expected);
    }
}

#[test]
fn a_results_file_comes_back_without_its_results() {
    let check = |file: &[&str], expected: &[&str]| {
        let fields: Vec<_> = mapping(file, false).unwrap().columns();
        let fields: Vec<_> = fields.into_iter().map(|(_, field)| field).collect();
        assert_eq!(fields, expected, "{file:?}");
    };
    check(
        &[
            "serial",
            "model",
            "port",
            "status",
            "code",
            "message",
            "device",
            "activation_code",
        ],
        &[
            "serial",
            "model",
            "variables.port",
            "ignored",
            "ignored",
            "ignored",
            "ignored",
            "ignored",
        ],
    );
    // Where the user has a column of such a name, ours are told apart by a prefix, and theirs stays theirs.
    check(
        &[
            "serial",
            "model",
            "status",
            "muster_status",
            "muster_code",
            "muster_message",
            "muster_device",
            "muster_activation_code",
        ],
        &[
            "serial",
            "model",
            "variables.status",
            "ignored",
            "ignored",
            "ignored",
            "ignored",
            "ignored",
        ],
    );
    check(
        &["serial", "model", "code"],
        &["serial", "model", "variables.code"],
    );
    check(
        &["serial", "model", "muster_activation_code"],
        &["serial", "model", "ignored"],
    );
}

#[test]
fn headers_that_lack_or_double_a_field_are_refused_with_all_problems() {
    let check = |names: &[&str], has_model, expected: &[(Code, &str)]| {
        let problems = mapping(names, has_model).map_or_else(|problems| problems, |_| Vec::new());
        let found: Vec<_> = problems
            .iter()
            .map(|refusal| (refusal.code, refusal.field.as_str()))
            .collect();
        assert_eq!(found, expected, "{names:?}");
    };
    check(&["serial", "model"], false, &[]);
    check(&["serial"], true, &[]);
    check(&["serial"], false, &[(Code::HeaderMissing, "header.model")]);
    check(
        &["foo"],
        false,
        &[
            (Code::HeaderMissing, "header.serial"),
            (Code::HeaderMissing, "header.model"),
        ],
    );
    check(
        &["serial", "S/N", "model", "Port", "port"],
        false,
        &[
            (Code::HeaderAmbiguous, "header.serial"),
            (Code::HeaderAmbiguous, "header.variables.port"),
        ],
    );
    check(&["serial", "model", "", "", "#"], false, &[]);
}
