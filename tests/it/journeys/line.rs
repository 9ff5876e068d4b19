//! Line: a factory's file, sent as it is, becomes devices with codes that work.

use muster_domain::Code;
use muster_proto::v1::{self, RowResult, RowStatus, batch::State as BatchState, device::State};
use muster_tests::{
    Imported, World,
    fixture::{self, Expected, Fault},
};
use muster_tools::import::{ImportOptions, RESULT_COLUMNS};
use std::{fs, path::Path};

/// A row as an import answers it, without what only a real import can know.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    row: u32,
    status: RowStatus,
    refusals: Vec<(u32, String, String)>,
}

fn outcome(row: &RowResult) -> Outcome {
    let refusals = row
        .refusals
        .iter()
        .map(|refusal| (refusal.code, refusal.field.clone(), refusal.message.clone()));
    Outcome {
        row: row.row,
        status: row.status(),
        refusals: refusals.collect(),
    }
}

fn outcomes(imported: &Imported) -> Vec<Outcome> {
    imported.rows.iter().map(outcome).collect()
}

fn dry(file: &Path) -> ImportOptions {
    ImportOptions {
        dry_run: true,
        ..ImportOptions::of(file)
    }
}

fn faults(imported: &Imported) -> Vec<Fault> {
    let refused = imported
        .rows
        .iter()
        .filter(|row| row.status() == RowStatus::Refused);
    refused
        .map(|row| {
            assert_eq!(row.refusals.len(), 1, "{row:?}");
            let number = u16::try_from(row.refusals[0].code).unwrap();
            Fault {
                row: row.row,
                code: Code::try_from(number).unwrap(),
            }
        })
        .collect()
}

/// The whole line journey with one of the factory's files.
async fn check(world: &World, expected: &Expected) {
    let name = &expected.name;
    let file = fixture::manifest(name);
    let before = world.counts().await;
    // 1. The dry run finds every fault at its row, and nothing else, and changes nothing.
    let looked = world.import_with(dry(&file)).await;
    assert_eq!(looked.rows.len(), expected.rows, "{name}");
    assert_eq!(faults(&looked), expected.faults, "{name}");
    assert!(
        looked
            .rows
            .iter()
            .all(|row| row.activation_code.is_empty() && row.device.is_empty()),
        "{name}"
    );
    assert_eq!(
        (looked.summary.batch.as_str(), world.counts().await),
        ("", before.clone()),
        "{name}"
    );
    // 2. The real run ends as the dry run said, row by row.
    let ending = file.extension().unwrap().to_str().unwrap();
    let results = world.path(&format!("results-{name}"));
    let real = world
        .import_with(ImportOptions {
            results: Some(results.clone()),
            ..ImportOptions::of(&file)
        })
        .await;
    assert_eq!(outcomes(&real), outcomes(&looked), "{name}");
    let created = u64::try_from(expected.rows - expected.faults.len()).unwrap();
    assert_eq!(
        (real.summary.created, real.summary.refused),
        (created, expected.faults.len() as u64),
        "{name}"
    );
    assert_eq!(world.counts().await.devices, before.devices + created, "{name}");
    // 3. The same file again changes nothing.
    let again = world.import(&file).await;
    assert_eq!(
        (
            again.summary.unchanged,
            again.summary.created,
            again.summary.updated
        ),
        (created, 0, 0),
        "{name}"
    );
    assert_eq!(faults(&again), expected.faults, "{name}");
    // 4. Nor does the results file, which is the user's own file with more columns.
    if ending == "csv" {
        check_results(&file, &results, &real);
    }
    let returned = world.import(&results).await;
    assert_eq!(
        (returned.summary.unchanged, returned.summary.updated),
        (created, 0),
        "{name}: {:?}",
        returned.summary
    );
}

/// The manifest as cells, in the encoding that it has.
fn cells(file: &Path) -> Vec<Vec<String>> {
    use muster_domain::manifest::{ReadOptions, Reader, Record};
    let options = ReadOptions {
        file_name: file.display().to_string(),
        ..ReadOptions::default()
    };
    let mut reader = Reader::new(fs::File::open(file).unwrap(), &options).unwrap();
    let mut rows = vec![reader.columns().to_vec()];
    let mut record = Record::default();
    while reader.read(&mut record).unwrap() {
        rows.push(record.cells().map(str::to_owned).collect());
    }
    rows
}

/// Each line of the results is the user's own line, and how it ended.
fn check_results(file: &Path, results: &Path, real: &Imported) {
    let (own, found) = (cells(file), cells(results));
    assert_eq!(own.len(), found.len());
    assert_eq!(found[0][own[0].len()..], RESULT_COLUMNS);
    for (place, (own, found)) in own.iter().zip(&found).enumerate().skip(1) {
        let neutral = |cell: &String| cell.trim_start_matches('\'').to_owned();
        let (theirs, ours) = found.split_at(own.len());
        let theirs: Vec<_> = theirs.iter().map(neutral).collect();
        assert_eq!(&theirs, own, "line {place}");
        let row = &real.rows[place - 1];
        assert_eq!(ours[3], row.device.trim_start_matches("devices/"), "line {place}");
        assert_eq!(ours[4], row.activation_code, "line {place}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_factory_file_ends_as_its_dry_run_said() {
    let world = World::start().await;
    let files = fixture::expected();
    assert!(files.len() >= 3, "the factory's files are there: {files:?}");
    for expected in &files {
        check(&world, expected).await;
    }
    assert_eq!(
        world.audited("batch_finished").await,
        3 * files.len(),
        "one a real import"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_of_the_results_file_open_claims_once() {
    let world = World::start().await;
    let results = world.path("results.csv");
    let options = ImportOptions {
        results: Some(results.clone()),
        ..ImportOptions::of(fixture::manifest("gateways.csv"))
    };
    world.import_with(options).await;
    let rows = cells(&results);
    let column = |name: &str| rows[0].iter().position(|column| column == name).unwrap();
    let (serial, code) = (column("Serial No."), column("activation_code"));
    for row in [&rows[1], &rows[500], &rows[1000]] {
        world.claim(&row[serial], &row[code]).await;
        assert_eq!(world.device(&row[serial]).await.state(), State::Claimed);
    }
    let codes: std::collections::HashSet<_> = rows[1..].iter().map(|row| &row[code]).collect();
    assert_eq!(codes.len(), 1000, "each device has a code of its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_updates_the_rows_that_changed() {
    let world = World::start().await;
    let text = fs::read_to_string(fixture::manifest("gateways.csv")).unwrap();
    world.import_text("gateways.csv", &text).await;
    let before = world.device("GW2-7000002").await;
    // Row 3 moves to another site, row 4 gets another extension; both stand in the files that devices get.
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines[2] = lines[2].replace("PNQ-03", "AUS-02");
    lines[3] = lines[3].replace("7851", "7852");
    let dry_file = world.path("changed.csv");
    fs::write(&dry_file, lines.join("\n")).unwrap();
    let looked = world.import_with(dry(&dry_file)).await;
    let changed = world.import(&dry_file).await;
    assert_eq!(outcomes(&looked), outcomes(&changed));
    assert_eq!((changed.summary.updated, changed.summary.unchanged), (2, 998));
    let updated: Vec<_> = changed
        .rows
        .iter()
        .filter(|row| row.status() == RowStatus::Updated)
        .map(|row| row.row)
        .collect();
    assert_eq!(updated, [3, 4]);
    let after = world.device("GW2-7000002").await;
    let generation = |device: &v1::Device| device.desired.as_ref().unwrap().generation;
    assert_eq!(
        (after.site.as_str(), generation(&after)),
        ("sites/AUS-02", generation(&before) + 1)
    );
    assert_ne!(after.etag, before.etag);
    // Its code is still the one on its label: an update makes no new one.
    assert!(changed.rows.iter().all(|row| row.activation_code.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_or_nothing_writes_nothing_when_one_row_is_refused() {
    let world = World::start().await;
    let messy = fixture::manifest("gateways-messy.csv");
    let whole = |file: &Path| ImportOptions {
        all_or_nothing: true,
        ..ImportOptions::of(file)
    };
    let refused = world.import_with(whole(&messy)).await;
    assert_eq!(
        (refused.summary.refused, refused.summary.batch.as_str()),
        (12, "")
    );
    assert_eq!(world.counts().await.devices, 0);
    assert!(
        refused.rows.iter().all(|row| row.activation_code.is_empty()),
        "codes that open nothing are not shown"
    );
    let batches = world
        .client
        .manifests
        .clone()
        .list_batches(v1::ListBatchesRequest::default())
        .await
        .unwrap()
        .into_inner();
    // What it would have done stays to be looked at, as after a dry run.
    let looked: Vec<_> = batches
        .batches
        .iter()
        .map(|batch| (batch.state(), batch.refused))
        .collect();
    assert_eq!(looked, [(BatchState::Planned, 12)]);
    let done = world.import_with(whole(&fixture::manifest("gateways.csv"))).await;
    assert_eq!((done.summary.created, world.counts().await.devices), (1000, 1000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_rows_alone_can_be_mended_and_sent_again() {
    let world = World::start().await;
    let failed = world.path("failed.csv");
    let options = ImportOptions {
        failed: Some(failed.clone()),
        ..ImportOptions::of(fixture::manifest("gateways-messy.csv"))
    };
    let first = world.import_with(options).await;
    assert_eq!(first.summary.refused, 12);
    let rows = cells(&failed);
    assert_eq!(rows.len(), 1 + 12, "the header and the refused rows");
    // One site is made after all: that row alone passes now.
    world
        .apply_text("[[sites]]\ncode = \"XXX-99\"\nname = \"New hall\"\ntime_zone = \"UTC\"\n")
        .await;
    let results = world.path("mended.csv");
    let second = world
        .import_with(ImportOptions {
            results: Some(results.clone()),
            ..ImportOptions::of(&failed)
        })
        .await;
    // The batch is the same one, and counts all of its rows.
    assert_eq!(second.summary.batch, first.summary.batch);
    assert_eq!(
        (second.summary.created, second.summary.refused),
        (first.summary.created + 1, 11),
        "{:?}",
        second.summary.causes
    );
    let created: Vec<_> = second
        .rows
        .iter()
        .filter(|row| row.status() == RowStatus::Created)
        .collect();
    assert_eq!(created.len(), 1);
    let created = created[0];
    // Its code stands beside it, and nobody else's.
    let written = cells(&results);
    let code = written[0]
        .iter()
        .position(|name| name == "activation_code")
        .unwrap();
    let with_codes: Vec<_> = written[1..].iter().filter(|row| !row[code].is_empty()).collect();
    assert_eq!(with_codes.len(), 1, "{with_codes:?}");
    assert_eq!(with_codes[0][code], created.activation_code);
    assert!(
        with_codes[0].iter().any(|cell| cell == "XXX-99"),
        "{with_codes:?}"
    );
    let device = world
        .client
        .devices
        .clone()
        .get_device(v1::GetDeviceRequest {
            name: created.device.clone(),
        })
        .await
        .unwrap();
    assert_eq!(device.into_inner().site, "sites/XXX-99");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mended_results_file_brings_no_answers_as_values() {
    let world = World::start().await;
    // The second file has a column of the user's own under a name that results have.
    for (number, own) in [(1, "batch"), (2, "status")] {
        let header = format!("serial,mac,model,site,position,{own}");
        let results = world.path(&format!("results-{number}.csv"));
        let file = world.path(&format!("file-{number}.csv"));
        let rows = format!(
            "GW2-800000{number},00:1B:C5:00:08:0{number},GW-200,MUC-01,Roof,mine\nGW2-900000{number},00:1B:C5:00:09:0{number},GW-200,MUC-99,Roof,mine\n"
        );
        fs::write(&file, format!("{header}\n{rows}")).unwrap();
        let first = world
            .import_with(ImportOptions {
                results: Some(results.clone()),
                ..ImportOptions::of(&file)
            })
            .await;
        assert_eq!((first.summary.created, first.summary.refused), (1, 1));
        // The user mends the refused row in the results file and sends that.
        let mended = fs::read_to_string(&results).unwrap().replace("MUC-99", "MUC-01");
        fs::write(&results, mended).unwrap();
        let second = world.import(&results).await;
        assert_eq!(
            (second.summary.created, second.summary.unchanged),
            (1, 1),
            "{:?}",
            second.summary.causes
        );
        for serial in [format!("GW2-800000{number}"), format!("GW2-900000{number}")] {
            let device = world.device(&serial).await;
            let kept: Vec<_> = device.kept.into_iter().collect();
            assert_eq!(kept, [(own.to_owned(), "mine".to_owned())], "{serial}");
        }
    }
}
