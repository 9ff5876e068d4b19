//! What an import may do: parts of a device, only some writes, some fields, one row a serial.

use crate::{
    outcomes::{GOOD, created, fresh, retired, valid, with_profile},
    support::{add_profile, gateway_profile},
};
use muster_domain::{
    Code,
    catalog::{Catalog, NamingRuleSource},
    device::{Device, Origin},
    ids::BatchId,
    manifest::{
        DESIRED_STATE, Fresh, Holders, Intake, Limits, Rendered, RowOutcome, UpdateMask, ValidRow, Writes,
    },
};
use std::sync::Arc;

/// What becomes of a line where the registry has `device`.
fn meet(device: Option<&Device>, line: &str, limits: &Limits, batch: u128, row: u32) -> RowOutcome {
    decide(
        with_profile(),
        device,
        &valid(with_profile(), line),
        limits,
        batch,
        row,
    )
}

fn decide(
    catalog: Catalog,
    device: Option<&Device>,
    row: &ValidRow,
    limits: &Limits,
    batch: u128,
    number: u32,
) -> RowOutcome {
    let origin = Origin {
        batch: BatchId::from_u128(batch),
        row: number,
    };
    let fresh = Fresh { origin, ..fresh(7) };
    let holders = Holders {
        serial: device,
        mac: device
            .filter(|device| device.mac == row.row.mac)
            .map(|device| device.id),
    };
    Intake::new(Arc::new(catalog)).decide(row, holders, &fresh, limits)
}

/// A short word for an outcome: what changed, or the codes of a refusal with their fields.
fn word(outcome: &RowOutcome) -> String {
    match outcome {
        RowOutcome::Created(_) => "created".into(),
        RowOutcome::Updated { changes, .. } => changes.join(" "),
        RowOutcome::Unchanged(_) => "unchanged".into(),
        RowOutcome::Refused(problems) => {
            let word = |refusal: &muster_domain::Refusal| format!("{:?} {}", refusal.code, refusal.field);
            let words: Vec<_> = problems.iter().map(|problem| word(&problem.refusal)).collect();
            words.join(", ")
        }
    }
}

/// The device's other batch, and a row of it.
const OTHER: (u128, u32) = (10, 5);

#[test]
fn an_update_takes_what_it_lacks_from_the_device() {
    let device = created(with_profile());
    let check = |device: Option<&Device>, line: &str, expected: &str| {
        let outcome = meet(device, line, &Limits::default(), OTHER.0, OTHER.1);
        assert_eq!(word(&outcome), expected, "{line}");
    };
    // The profile needs `extension` and a site; the device has them.
    check(Some(&device), "GW2-7000001,,GW-200,,,,Roof,,\n", "position");
    check(
        Some(&device),
        "GW2-7000001,,GW-200,,,AUS-02,,prod,\n",
        "site labels.env",
    );
    check(
        Some(&device),
        "GW2-7000001,,GW-200,,,,,,8\n",
        "variables.extension",
    );
    check(Some(&device), "GW2-7000001,,GW-200,,,,,,\n", "unchanged");
    // Nobody has them: every missing value is named.
    check(
        None,
        "GW2-7000001,,GW-200,,,MUC-01,,,\n",
        "VariableInvalid rows[2].variables.extension",
    );
    check(
        None,
        "GW2-7000001,,GW-200,,,,,,7\n",
        "RenderFailed rows[2].files.network.toml",
    );
    let mut bare = device.clone();
    bare.variables.clear();
    check(
        Some(&bare),
        "GW2-7000001,,GW-200,,,,Roof,,\n",
        "VariableInvalid rows[2].variables.extension",
    );
}

#[test]
fn a_row_that_lacks_values_survives_the_spool() {
    let row = valid(with_profile(), "GW2-7000001,,GW-200,,,,Roof,,\n");
    assert!(matches!(row.target, Rendered::Lacking(_)));
    let bytes = postcard::to_allocvec(&row).unwrap();
    assert_eq!(postcard::from_bytes::<ValidRow>(&bytes).unwrap(), row);
}

#[test]
fn an_update_says_what_changes() {
    let device = created(with_profile());
    let check = |line: &str, expected: &str| {
        let outcome = meet(Some(&device), line, &Limits::default(), OTHER.0, OTHER.1);
        assert_eq!(word(&outcome), expected, "{line}");
    };
    check(GOOD, "unchanged");
    check(
        "GW2-7000001,00:1B:C5:00:00:02,GW-200,C0,2.5.0,AUS-02,Roof,prod,8\n",
        "mac hardware firmware site position labels.env variables.extension",
    );
    // No value of the device, but what its new profile makes of them.
    let without = created(crate::support::catalog());
    let mut catalog = crate::support::catalog();
    add_profile(&mut catalog, &gateway_profile(), "GW-200");
    let row = valid(catalog.clone(), GOOD);
    let outcome = decide(
        catalog,
        Some(&without),
        &row,
        &Limits::default(),
        OTHER.0,
        OTHER.1,
    );
    assert_eq!(word(&outcome), DESIRED_STATE);
}

#[test]
fn an_import_may_be_only_for_new_or_only_for_known_devices() {
    let device = created(with_profile());
    let check = |writes: Writes, device: Option<&Device>, (batch, row): (u128, u32), expected: &str| {
        let limits = Limits {
            writes,
            ..Limits::default()
        };
        let outcome = meet(device, GOOD, &limits, batch, row);
        assert_eq!(word(&outcome), expected, "{writes:?}");
    };
    check(Writes::CreateOrUpdate, None, OTHER, "created");
    check(Writes::CreateOrUpdate, Some(&device), OTHER, "unchanged");
    check(Writes::CreateOnly, None, OTHER, "created");
    check(
        Writes::CreateOnly,
        Some(&device),
        OTHER,
        "DeviceExists rows[2].serial",
    );
    check(Writes::UpdateOnly, None, OTHER, "DeviceMissing rows[2].serial");
    check(Writes::UpdateOnly, Some(&device), OTHER, "unchanged");
    // The row that made the device, applied once more after a crash.
    check(Writes::CreateOnly, Some(&device), (9, 2), "unchanged");
}

#[test]
fn a_mask_leaves_other_fields_alone() {
    let device = created(with_profile());
    let line = "GW2-7000001,00:1B:C5:00:00:02,GW-200,C0,2.5.0,AUS-02,Roof,prod,8\n";
    let check = |paths: &[&str], expected: &str| {
        let paths: Vec<_> = paths.iter().map(|&path| path.to_owned()).collect();
        let limits = Limits {
            mask: UpdateMask::parse(&paths).unwrap(),
            ..Limits::default()
        };
        let outcome = meet(Some(&device), line, &limits, OTHER.0, OTHER.1);
        assert_eq!(word(&outcome), expected, "{paths:?}");
        // New devices take the whole row.
        assert_eq!(word(&meet(None, line, &limits, OTHER.0, OTHER.1)), "created");
    };
    check(&["position"], "position");
    check(&["labels", "variables.other"], "labels.env");
    check(&["labels.other", "variables.other"], "unchanged");
    check(
        &["firmware", "variables.extension"],
        "firmware variables.extension",
    );
    check(&["mac", "hardware", "site"], "mac hardware site");
}

/// A file of refused rows that was not mended, sent again: a row that repeats the serial of another row must not become
/// an update of the other row's device.
#[test]
fn a_serial_has_one_row_in_a_batch() {
    let device = created(with_profile());
    let line = "GW2-7000001,,GW-200,C0,,MUC-01,,,7\n";
    let check = |device: &Device, (batch, row): (u128, u32), expected: &str| {
        let outcome = meet(Some(device), line, &Limits::default(), batch, row);
        assert_eq!(word(&outcome), expected);
    };
    check(&device, (9, 3), "SerialRepeated rows[2].serial");
    check(&retired(device.clone()), (9, 3), "SerialRepeated rows[2].serial");
    check(&device, (9, 2), "hardware");
    check(&device, (10, 3), "hardware");
}

/// The etag of a row is the revision the file was made with. A row that changes nothing needs no newest one, so the same
/// file again is no mistake.
#[test]
fn an_etag_of_the_past_changes_nothing() {
    let device = created(with_profile());
    let check = |device: Option<&Device>, etag: u64, line: &str, expected: &str| {
        let mut row = valid(with_profile(), line);
        row.row.etag = Some(etag);
        let outcome = decide(with_profile(), device, &row, &Limits::default(), OTHER.0, OTHER.1);
        assert_eq!(word(&outcome), expected, "r{etag} {line}");
    };
    let roof = "GW2-7000001,,GW-200,,,MUC-01,Roof,,7\n";
    check(Some(&device), 1, roof, "position");
    check(Some(&device), 2, roof, "EtagStale rows[2].etag");
    check(Some(&device), 2, GOOD, "unchanged");
    check(None, 1, GOOD, "EtagStale rows[2].etag");
}

#[test]
fn a_required_value_may_be_the_devices() {
    let mut catalog = with_profile();
    let rule = NamingRuleSource {
        name: "env".into(),
        field: "labels.env".into(),
        required: true,
        ..NamingRuleSource::default()
    };
    let rule = rule.check().unwrap();
    catalog.naming_rules.insert(rule.name.clone(), Arc::new(rule));
    let device = created(with_profile());
    let mut bare = device.clone();
    bare.labels.clear();
    let check = |device: Option<&Device>, line: &str, expected: &str| {
        let row = valid(catalog.clone(), line);
        let outcome = decide(
            catalog.clone(),
            device,
            &row,
            &Limits::default(),
            OTHER.0,
            OTHER.1,
        );
        assert_eq!(word(&outcome), expected, "{line}");
    };
    let without = "GW2-7000001,,GW-200,,,MUC-01,Roof,,7\n";
    check(None, without, "ValueMissing rows[2].labels.env");
    check(Some(&device), without, "position");
    check(Some(&bare), without, "ValueMissing rows[2].labels.env");
    check(Some(&bare), GOOD, "labels.env");
    // What changes nothing is not held to rules that came later.
    check(Some(&bare), "GW2-7000001,,GW-200,,,MUC-01,,,7\n", "unchanged");
}

#[test]
fn refusals_of_the_registry_name_their_column() {
    let device = created(with_profile());
    let outcome = meet(Some(&device), GOOD, &Limits::default(), 9, 3);
    let RowOutcome::Refused(problems) = outcome else {
        panic!()
    };
    let columns = [("Serial No.".to_owned(), "serial".to_owned())];
    let problem = problems[0].clone().find_column(&columns);
    assert_eq!(
        (
            problem.refusal.code,
            problem.column.as_str(),
            problem.value.as_str()
        ),
        (Code::SerialRepeated, "Serial No.", "GW2-7000001")
    );
}
