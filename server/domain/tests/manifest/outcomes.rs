//! What becomes of a valid row: created, updated, unchanged or refused.

use crate::support::{GATEWAYS, add_profile, catalog as bare, check, gateway_profile};
use muster_domain::{
    Code, Timestamp,
    activation::{ActivationCode, CodeHash, CodeKey},
    catalog::{Catalog, ProfileSource},
    certificate::{CertificateSerial, SpkiDigest},
    desired,
    device::{ClaimIntent, ClaimWindow, Device, Origin, Transition, Verification},
    ids::{BatchId, DeviceId},
    manifest::{Fresh, FreshCredential, Holders, Intake, Limits, Problem, RowOutcome, ValidRow},
};
use proptest::{collection::vec, prelude::*};
use std::{collections::BTreeMap, sync::Arc};

fn hash(seed: u8) -> CodeHash {
    ActivationCode::from_random([seed; 15]).hash(&CodeKey::from_bytes([1; 32]))
}

pub(crate) fn fresh(number: u128) -> Fresh {
    Fresh {
        id: DeviceId::from_u128(number),
        credential: FreshCredential::Code {
            hash: hash(1),
            window: ClaimWindow::until(Some(Timestamp::from_seconds(500))),
        },
        origin: Origin {
            batch: BatchId::from_u128(9),
            row: 2,
        },
        now: Timestamp::from_seconds(100),
    }
}

pub(crate) fn with_profile() -> Catalog {
    let mut catalog = bare();
    add_profile(&mut catalog, &gateway_profile(), "GW-200");
    catalog
}

pub(crate) const HEADER: &str = "serial,mac,model,hw,fw,site,position,label:env,extension\n";
pub(crate) const GOOD: &str = "GW2-7000001,00:1B:C5:00:00:01,GW-200,B0,2.4.0,MUC-01,Hall 1,lab,7\n";

fn rows(catalog: Catalog, text: &str) -> Vec<ValidRow> {
    let checked = check(catalog, "a.csv", text.as_bytes(), None);
    assert_eq!(checked.refusals, []);
    checked.rows
}

pub(crate) fn valid(catalog: Catalog, line: &str) -> ValidRow {
    rows(catalog, &format!("{HEADER}{line}")).remove(0)
}

pub(crate) fn created(catalog: Catalog) -> Device {
    let row = valid(catalog.clone(), GOOD);
    match Intake::new(Arc::new(catalog)).decide(
        &row,
        Holders {
            serial: None,
            mac: None,
        },
        &fresh(1),
        &Limits::default(),
    ) {
        RowOutcome::Created(device) => *device,
        other => panic!("{other:?}"),
    }
}

/// The outcome of a line for a registry that has `device`.
fn meet(catalog: Catalog, device: &Device, line: &str) -> RowOutcome {
    let row = valid(catalog.clone(), line);
    let mac = row
        .row
        .mac
        .filter(|mac| device.mac == Some(*mac))
        .map(|_| device.id);
    Intake::new(Arc::new(catalog)).decide(
        &row,
        Holders {
            serial: Some(device),
            mac,
        },
        &fresh(2),
        &Limits::default(),
    )
}

pub(crate) fn claimed(mut device: Device) -> Device {
    let intent = ClaimIntent {
        spki: SpkiDigest([1; 32]),
        certificate: CertificateSerial::from_u128(5),
        not_before: Timestamp::from_seconds(1),
        not_after: Timestamp::from_seconds(1000),
        profile: muster_domain::certificate::CertificateProfile::Device,
        issuer: None,
        source: None,
    };
    for transition in [Transition::Intend(intent), Transition::Certify] {
        device.lifecycle = device
            .lifecycle
            .step(transition, Timestamp::from_seconds(3))
            .unwrap();
    }
    device
}

pub(crate) fn retired(mut device: Device) -> Device {
    device.lifecycle = device
        .lifecycle
        .step(Transition::Retire("scrapped".into()), Timestamp::from_seconds(3))
        .unwrap();
    device
}

#[test]
fn a_new_device_is_as_its_row_says() {
    let catalog = with_profile();
    let device = created(catalog.clone());
    let shown = |value: &Option<String>| value.clone().unwrap();
    assert_eq!(
        (device.id, device.revision, device.created),
        (DeviceId::from_u128(1), 1, Timestamp::from_seconds(100))
    );
    assert_eq!(
        (shown(&device.hardware), shown(&device.position)),
        ("B0".into(), "Hall 1".into())
    );
    assert_eq!(
        device.labels,
        BTreeMap::from([("env".to_owned(), "lab".to_owned())])
    );
    assert_eq!(
        (device.target.generation, &device.verification),
        (1, &Verification::Pending)
    );
    // The content that the row was checked with is the content that the device gets.
    let content = desired::of_device(&catalog, &device).unwrap();
    assert_eq!(content.digest(), device.target.digest);
    assert_eq!(
        content.files["phone.toml"],
        "extension = 7\ninterval = 2.5\nplace = \"Hall 1\"\n"
    );
    assert_eq!(
        content.files["network.toml"],
        "serial = \"GW2-7000001\"\nmac = \"00:1B:C5:00:00:01\"\nsite = \"MUC-01\"\n"
    );
    assert_eq!(content.location.unwrap().name, "Munich plant");
}

#[test]
fn a_row_that_says_the_same_or_less_changes_nothing() {
    let device = created(with_profile());
    for device in [device.clone(), claimed(device.clone()), retired(device)] {
        for line in [
            GOOD,
            "GW2-7000001,001bc5000001,GW-200,,,MUC-01,,,7\n",
            "GW2-7000001,,GW-200,,,MUC-01,,,7\n",
        ] {
            assert_eq!(
                meet(with_profile(), &device, line),
                RowOutcome::Unchanged(device.id),
                "{line}"
            );
        }
    }
}

#[test]
fn values_that_a_row_has_replace_the_devices() {
    let device = Device {
        verification: Verification::Verified {
            at: Timestamp::from_seconds(50),
        },
        ..created(with_profile())
    };
    let check = |line: &str, generation: u64, change: fn(&mut Device)| {
        let RowOutcome::Updated { device: found, .. } = meet(with_profile(), &device, line) else {
            panic!("{line}")
        };
        let mut expected = device.clone();
        change(&mut expected);
        expected.revision = 2;
        expected.updated = Timestamp::from_seconds(100);
        expected.target.generation = generation;
        expected.target.digest = found.target.digest;
        if generation > 1 {
            expected.verification = Verification::Pending;
        }
        assert_eq!(*found, expected, "{line}");
        assert_eq!(
            found.target.digest == device.target.digest,
            generation == 1,
            "{line}"
        );
        assert_eq!(
            desired::of_device(&with_profile(), &found).unwrap().digest(),
            found.target.digest,
            "{line}"
        );
    };
    // Not part of the content: no new generation.
    check("GW2-7000001,,GW-200,C1,,MUC-01,,,7\n", 1, |device| {
        device.hardware = Some("C1".into())
    });
    check("GW2-7000001,,GW-200,,,MUC-01,,prod,7\n", 1, |device| {
        device.labels.insert("env".into(), "prod".into());
    });
    // Part of it.
    check("GW2-7000001,,GW-200,,,AUS-02,,,7\n", 2, |device| {
        device.site = Some("AUS-02".parse().unwrap())
    });
    check("GW2-7000001,,GW-200,,,MUC-01,Roof,,7\n", 2, |device| {
        device.position = Some("Roof".into())
    });
    check("GW2-7000001,,GW-200,,,MUC-01,,,8\n", 2, |device| {
        device.variables.insert("extension".into(), "8".into());
    });
    check(
        "GW2-7000001,00:1B:C5:00:00:02,GW-200,,,MUC-01,,,7\n",
        2,
        |device| {
            device.mac = Some("00:1B:C5:00:00:02".parse().unwrap());
        },
    );
}

#[test]
fn rows_that_contradict_the_registry_are_refused() {
    let device = created(with_profile());
    let check = |outcome: RowOutcome, code: Code, field: &str, words: &str| match outcome {
        RowOutcome::Refused(problems) => {
            let [Problem { refusal, .. }] = &problems[..] else {
                panic!("{problems:?}")
            };
            assert_eq!((refusal.code, refusal.field.as_str()), (code, field));
            assert!(refusal.message.contains(words), "{refusal}");
        }
        other => panic!("{other:?}"),
    };
    let name = device.name();
    let other_mac = "GW2-7000001,00:1B:C5:00:00:02,GW-200,,,MUC-01,,,7\n";
    check(
        meet(with_profile(), &claimed(device.clone()), other_mac),
        Code::RowFrozen,
        "rows[2].mac",
        &name,
    );
    check(
        meet(with_profile(), &retired(device.clone()), other_mac),
        Code::RowFrozen,
        "rows[2]",
        "retired",
    );
    check(
        meet(
            with_profile(),
            &retired(device.clone()),
            "GW2-7000001,,GW-200,C1,,MUC-01,,,7\n",
        ),
        Code::RowFrozen,
        "rows[2]",
        &name,
    );
    let mut other_model = device.clone();
    other_model.model = "TS-10".parse().unwrap();
    check(
        meet(with_profile(), &other_model, GOOD),
        Code::SerialTaken,
        "rows[2].serial",
        "TS-10",
    );

    // The address of another device, for a new serial and for a known one.
    let intake = Intake::new(Arc::new(with_profile()));
    let holder = Some(DeviceId::from_u128(77));
    let words = format!("devices/{}", DeviceId::from_u128(77));
    let row = valid(with_profile(), GOOD);
    check(
        intake.decide(
            &row,
            Holders {
                serial: None,
                mac: holder,
            },
            &fresh(3),
            &Limits::default(),
        ),
        Code::MacTaken,
        "rows[2].mac",
        &words,
    );
    let taken = Holders {
        serial: Some(&device),
        mac: holder,
    };
    check(
        intake.decide(&row, taken, &fresh(3), &Limits::default()),
        Code::MacTaken,
        "rows[2].mac",
        &words,
    );
}

#[test]
fn a_device_keeps_its_revision_and_takes_one_where_it_has_none() {
    let newer = |catalog: &mut Catalog| {
        let mut source: ProfileSource = gateway_profile();
        source
            .files
            .insert("phone.toml".into(), "number = {{ extension }}\n".into());
        add_profile(catalog, &source, "GW-200");
    };
    let mut catalog = with_profile();
    let device = created(catalog.clone());
    newer(&mut catalog);
    assert_eq!(
        meet(catalog.clone(), &device, GOOD),
        RowOutcome::Unchanged(device.id)
    );
    let RowOutcome::Updated { device: moved, .. } =
        meet(catalog.clone(), &device, &GOOD.replace("MUC-01", "AUS-02"))
    else {
        panic!()
    };
    assert_eq!(
        (moved.target.generation, moved.target.profile.clone().unwrap().1),
        (2, 1)
    );
    assert_eq!(
        desired::of_device(&catalog, &moved).unwrap().digest(),
        moved.target.digest
    );

    let without = created(bare());
    assert_eq!(without.target.profile, None);
    let RowOutcome::Updated { device: given, .. } = meet(catalog, &without, GOOD) else {
        panic!()
    };
    assert_eq!(
        (given.target.generation, given.target.profile.clone().unwrap().1),
        (2, 2)
    );
}

#[test]
fn a_pinned_revision_that_is_gone_refuses_and_does_not_render_something_else() {
    let device = created(with_profile());
    let gone = bare();
    let refusals = desired::of_device(&gone, &device).unwrap_err();
    assert_eq!(refusals[0].code, Code::ReferenceMissing);
    let RowOutcome::Refused(problems) = meet(gone, &device, GOOD) else {
        panic!()
    };
    assert_eq!(problems[0].refusal.code, Code::ReferenceMissing);
}

#[test]
fn a_valid_row_survives_the_spool() {
    let row = valid(with_profile(), GOOD);
    let bytes = postcard::to_allocvec(&row).unwrap();
    assert_eq!(postcard::from_bytes::<ValidRow>(&bytes).unwrap(), row);
}

/// A registry in memory that takes rows as the store does.
struct Registry {
    intake: Intake,
    devices: Vec<Device>,
}

impl Registry {
    fn new(catalog: Catalog) -> Self {
        Self {
            intake: Intake::new(Arc::new(catalog)),
            devices: Vec::new(),
        }
    }

    fn take(&mut self, row: &ValidRow) -> RowOutcome {
        let number = u128::try_from(self.devices.len()).unwrap() + 1;
        let serial = self
            .devices
            .iter()
            .position(|device| device.serial == row.row.serial);
        let mac = row
            .row
            .mac
            .and_then(|mac| self.devices.iter().find(|device| device.mac == Some(mac)));
        let holders = Holders {
            serial: serial.map(|place| &self.devices[place]),
            mac: mac.map(|device| device.id),
        };
        let outcome = self
            .intake
            .decide(row, holders, &fresh(number), &Limits::default());
        match &outcome {
            RowOutcome::Created(device) => self.devices.push((**device).clone()),
            RowOutcome::Updated { device, .. } => self.devices[serial.unwrap()] = (**device).clone(),
            RowOutcome::Unchanged(_) | RowOutcome::Refused(_) => {}
        }
        outcome
    }
}

#[test]
fn the_same_file_again_changes_nothing() {
    let checked = check(with_profile(), "gateways.csv", GATEWAYS, None);
    let mut registry = Registry::new(with_profile());
    assert!(
        checked
            .rows
            .iter()
            .all(|row| matches!(registry.take(row), RowOutcome::Created(_)))
    );
    let devices = registry.devices.clone();
    assert_eq!(devices.len(), 1000);
    assert!(
        checked
            .rows
            .iter()
            .all(|row| matches!(registry.take(row), RowOutcome::Unchanged(_)))
    );
    assert!(registry.devices == devices);
}

/// A line about one of a few devices, with some cells empty.
fn line() -> impl Strategy<Value = String> {
    let cell = |texts: &'static [&'static str]| prop::sample::select(texts);
    (
        0u8..4,
        cell(&["", "1", "2", "3"]),
        cell(&["", "A1", "B0"]),
        cell(&["MUC-01", "AUS-02"]),
        cell(&["", "Hall 1", "Roof"]),
        cell(&["", "lab"]),
        cell(&["7", "8"]),
    )
        .prop_map(|(serial, mac, hardware, site, position, env, extension)| {
            let mac = if mac.is_empty() {
                String::new()
            } else {
                format!("00:1B:C5:00:00:0{mac}")
            };
            format!("GW2-700000{serial},{mac},GW-200,{hardware},,{site},{position},{env},{extension}\n")
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever came before: a row that was taken is unchanged when it comes again at once, generations never fall,
    /// and every target is what the device's values render to.
    #[test]
    fn taking_rows_is_idempotent(lines in vec(line(), 1..12)) {
        let mut registry = Registry::new(with_profile());
        let mut generations: BTreeMap<DeviceId, u64> = BTreeMap::new();
        for line in lines {
            let row = valid(with_profile(), &line);
            let first = registry.take(&row);
            let again = registry.take(&row);
            match first {
                RowOutcome::Created(device) | RowOutcome::Updated { device, .. } => {
                    prop_assert_eq!(again, RowOutcome::Unchanged(device.id));
                    let before = generations.insert(device.id, device.target.generation);
                    prop_assert!(before.unwrap_or(0) <= device.target.generation);
                    let content = desired::of_device(registry.intake.catalog(), &device).unwrap();
                    prop_assert_eq!(content.digest(), device.target.digest);
                }
                other => prop_assert_eq!(again, other),
            }
        }
    }
}
