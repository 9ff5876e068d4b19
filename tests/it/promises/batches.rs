//! What a batch promises: it outlives its callers and the server, and answers whoever asks, as often as they ask.

use muster_proto::v1::{
    self, AcknowledgeResultsRequest, ApplyBatchRequest, Batch, BatchSpec, CancelBatchRequest,
    CreateBatchRequest, GetBatchRequest, ImportRowsRequest, ManifestRow, RowResult, RowStatus, UploadEnd,
    UploadManifestRequest, UploadStart, WatchBatchRequest, batch::State,
    upload_manifest_request::Message as Sent, watch_batch_response::Message as Told,
};
use muster_tests::{World, within};
use sha2::{Digest as _, Sha256};
use tonic::{Code, Status};

/// The header of every manifest here.
const HEADER: &str = "Serial No.,MAC Address,Device Model,Firmware,Site,Position,Extension\n";

/// A manifest of gateways with serials from `first` on.
pub(super) fn manifest(first: u32, count: u32) -> String {
    let mut text = HEADER.to_owned();
    for i in first..first + count {
        text += &line(i, &i.to_string());
    }
    text
}

fn line(i: u32, extension: &str) -> String {
    let [_, high, middle, low] = i.to_be_bytes();
    format!(
        "GW2-{:07},00:1B:C5:{high:02X}:{middle:02X}:{low:02X},GW-200,2.3.1,MUC-01,Hall 1,{extension}\n",
        6_000_000 + i
    )
}

/// One batch as a caller has it.
pub(super) struct Caller<'w> {
    world: &'w World,
    name: String,
}

/// Everything that a watcher heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    rows: Vec<RowResult>,
    mapping: Option<v1::ImportMapping>,
    pub(super) summary: Option<v1::ImportSummary>,
    /// Behind each message with results.
    tokens: Vec<String>,
    /// The last of all.
    token: String,
}

impl Heard {
    pub(super) fn codes(&self) -> Vec<&str> {
        self.rows.iter().map(|row| row.activation_code.as_str()).collect()
    }

    pub(super) fn statuses(&self) -> Vec<RowStatus> {
        self.rows.iter().map(RowResult::status).collect()
    }

    pub(super) fn state(&self) -> State {
        self.summary.as_ref().expect("a summary").state()
    }
}

pub(super) async fn create(world: &World, request: CreateBatchRequest) -> Result<Batch, Status> {
    let created = world.client.manifests.clone().create_batch(request).await?;
    Ok(created.into_inner())
}

fn request(id: &str, spec: BatchSpec) -> CreateBatchRequest {
    CreateBatchRequest {
        request_id: id.to_owned(),
        spec: Some(spec),
        retry_of: String::new(),
    }
}

impl<'w> Caller<'w> {
    pub(super) async fn new(world: &'w World, id: &str, spec: BatchSpec) -> Self {
        let name = create(world, request(id, spec)).await.expect("a batch").name;
        Self { world, name }
    }

    async fn retry(&self, id: &str) -> Batch {
        let retry = CreateBatchRequest {
            retry_of: self.name.clone(),
            ..request(id, BatchSpec::default())
        };
        create(self.world, retry).await.expect("a retry")
    }

    async fn undo(&self, validate_only: bool) -> v1::UndoBatchResponse {
        let request = v1::UndoBatchRequest {
            name: self.name.clone(),
            validate_only,
        };
        let undone = self.world.client.manifests.clone().undo_batch(request).await;
        undone.expect("an answer").into_inner()
    }

    pub(super) async fn get(&self) -> Batch {
        let name = self.name.clone();
        let found = self
            .world
            .client
            .manifests
            .clone()
            .get_batch(GetBatchRequest { name })
            .await;
        found.expect("a batch").into_inner()
    }

    /// One call: the bytes, and the end if `whole` is given. How much is durable.
    pub(super) async fn send(&self, offset: u64, bytes: &[u8], whole: Option<&[u8]>) -> Result<u64, Status> {
        let start = Sent::Start(UploadStart {
            batch: self.name.clone(),
            offset,
        });
        let chunks = bytes.chunks(1000).map(|chunk| Sent::Chunk(chunk.to_vec().into()));
        let end = whole.map(|file| {
            Sent::End(UploadEnd {
                file_bytes: file.len() as u64,
                file_sha256: Sha256::digest(file).to_vec(),
            })
        });
        let messages: Vec<_> = std::iter::once(start)
            .chain(chunks)
            .chain(end)
            .map(|message| UploadManifestRequest {
                message: Some(message),
            })
            .collect();
        let stream = tokio_stream::iter(messages);
        let mut answers = self
            .world
            .client
            .manifests
            .clone()
            .upload_manifest(stream)
            .await?
            .into_inner();
        let mut received = 0;
        while let Some(answer) = within("an answer to an upload", answers.message()).await? {
            received = answer.received_bytes;
        }
        Ok(received)
    }

    pub(super) async fn send_all(&self, file: &str) {
        let sent = self.send(0, file.as_bytes(), Some(file.as_bytes())).await;
        assert_eq!(sent.expect("an upload"), file.len() as u64);
    }

    pub(super) async fn watch(&self, token: &str) -> Result<Heard, Status> {
        let request = WatchBatchRequest {
            name: self.name.clone(),
            resume_token: token.to_owned(),
        };
        let watched = self.world.client.manifests.clone().watch_batch(request).await?;
        let mut stream = watched.into_inner();
        let mut heard = Heard::default();
        while let Some(told) = within("news of a batch", stream.message()).await? {
            match told.message {
                Some(Told::Results(results)) => {
                    heard.rows.extend(results.rows);
                    heard.tokens.push(told.resume_token.clone());
                }
                Some(Told::Mapping(mapping)) => heard.mapping = Some(mapping),
                Some(Told::Summary(summary)) => heard.summary = Some(summary),
                Some(Told::Progress(_)) | None => {}
            }
            heard.token = told.resume_token;
        }
        Ok(heard)
    }

    pub(super) async fn heard(&self) -> Heard {
        self.watch("").await.expect("a batch to its end")
    }

    async fn acknowledge(&self, token: &str) -> Result<(), Status> {
        let request = AcknowledgeResultsRequest {
            name: self.name.clone(),
            resume_token: token.to_owned(),
        };
        let kept = self
            .world
            .client
            .manifests
            .clone()
            .acknowledge_results(request)
            .await;
        kept.map(drop)
    }

    pub(super) async fn apply(&self, plan_hash: &[u8]) -> Result<Batch, Status> {
        let request = ApplyBatchRequest {
            name: self.name.clone(),
            plan_hash: plan_hash.to_vec(),
        };
        let applied = self.world.client.manifests.clone().apply_batch(request).await?;
        Ok(applied.into_inner())
    }

    pub(super) async fn cancel(&self) -> Result<Batch, Status> {
        let name = self.name.clone();
        let cancelled = self
            .world
            .client
            .manifests
            .clone()
            .cancel_batch(CancelBatchRequest { name })
            .await?;
        Ok(cancelled.into_inner())
    }
}

pub(super) fn named(file_name: &str) -> BatchSpec {
    BatchSpec {
        file_name: file_name.to_owned(),
        ..BatchSpec::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_applied_watched_and_acknowledged() {
    let world = World::start().await;
    let caller = Caller::new(&world, "first", named("line7.csv")).await;
    assert_eq!(caller.get().await.state(), State::Uploading);
    caller.send_all(&manifest(1, 3)).await;
    let heard = caller.heard().await;
    assert_eq!(heard.statuses(), [RowStatus::Created; 3]);
    assert_eq!(heard.state(), State::Done);
    let rows: Vec<u32> = heard.rows.iter().map(|row| row.row).collect();
    assert_eq!(rows, [2, 3, 4], "as the file counts");
    let mapping = heard.mapping.as_ref().expect("a mapping");
    assert_eq!(mapping.columns[0].field, "serial");
    // The codes are real, and shown again until they are acknowledged.
    world.claim("GW2-6000001", &heard.rows[0].activation_code).await;
    assert_eq!(caller.heard().await.codes(), heard.codes());
    caller.acknowledge(&heard.token).await.expect("kept");
    assert_eq!(caller.heard().await.codes(), ["", "", ""]);
    assert_eq!(world.audited("results_acknowledged").await, 1);
    let left = std::fs::read_dir(world.registry().join("batches"))
        .expect("a directory")
        .count();
    assert_eq!(left, 0, "the file is gone with its results");
    // The same file again changes nothing.
    let again = Caller::new(&world, "second", named("line7.csv")).await;
    again.send_all(&manifest(1, 3)).await;
    assert_eq!(again.heard().await.statuses(), [RowStatus::Unchanged; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_upload_goes_on_where_it_ended() {
    let world = World::start().await;
    let caller = Caller::new(&world, "cut", named("line7.csv")).await;
    let file = manifest(1, 100);
    let bytes = file.as_bytes();
    let durable = caller.send(0, &bytes[..3000], None).await.expect("a part of it");
    assert_eq!((durable, caller.get().await.received_bytes), (3000, 3000));
    let refused = caller.send(1000, &bytes[1000..], Some(bytes)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    assert!(refused.message().contains("3000"), "{refused:?}");
    caller
        .send(3000, &bytes[3000..], Some(bytes))
        .await
        .expect("the rest");
    assert_eq!(caller.heard().await.rows.len(), 100);
    let late = caller.send(0, bytes, Some(bytes)).await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_what_was_announced_begins_again() {
    let world = World::start().await;
    let caller = Caller::new(&world, "mismatch", named("line7.csv")).await;
    let file = manifest(1, 5);
    let wrong = caller
        .send(0, file.as_bytes(), Some(b"another file"))
        .await
        .unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert_eq!(caller.get().await.received_bytes, 0);
    caller.send_all(&file).await;
    assert_eq!(caller.heard().await.statuses(), [RowStatus::Created; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_id_is_one_batch() {
    let world = World::start().await;
    let first = create(&world, request("once", named("a.csv")))
        .await
        .expect("a batch");
    let again = create(&world, request("once", named("a.csv")))
        .await
        .expect("a batch");
    assert_eq!(first.name, again.name);
    let other = create(&world, request("once", named("b.csv"))).await.unwrap_err();
    assert_eq!(other.code(), Code::InvalidArgument, "{other:?}");
    let empty = create(&world, request("", named("a.csv"))).await.unwrap_err();
    assert_eq!(empty.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_see_the_same_and_go_on_behind_any_token() {
    let world = World::start().await;
    let caller = Caller::new(&world, "watched", named("line7.csv")).await;
    let file = manifest(1, 10_000);
    let (early, ()) = tokio::join!(caller.watch(""), caller.send_all(&file));
    let early = early.expect("from before the first byte");
    let late = caller.heard().await;
    assert_eq!(early.rows.len(), 10_000);
    assert_eq!(early.rows, late.rows);
    assert!(late.tokens.len() > 2, "messages are bounded");
    let mut seen = 0;
    for token in &late.tokens {
        let rest = caller.watch(token).await.expect("the rest");
        assert!(rest.mapping.is_none(), "it was told");
        seen = late.rows.len() - rest.rows.len();
        assert_eq!(rest.rows, late.rows[seen..]);
        assert_eq!(rest.summary, late.summary);
    }
    assert_eq!(seen, 10_000);
    for token in ["x", "AAAA", &late.token[1..]] {
        assert_eq!(
            caller.watch(token).await.unwrap_err().code(),
            Code::InvalidArgument
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_applied_exactly_or_not_at_all() {
    let world = World::start().await;
    let spec = BatchSpec {
        validate_only: true,
        ..named("line7.csv")
    };
    let caller = Caller::new(&world, "plan", spec.clone()).await;
    let file = manifest(1, 3) + "GW2-bad,,,,,,\n";
    caller.send_all(&file).await;
    let plan = caller.heard().await;
    use RowStatus::{Created, Refused, Updated};
    assert_eq!(plan.statuses(), [Created, Created, Created, Refused]);
    assert_eq!(plan.codes(), ["", "", "", ""]);
    assert_eq!((plan.state(), world.counts().await.devices), (State::Planned, 0));
    let hash = plan.summary.as_ref().expect("a summary").plan_hash.clone();
    // Another batch of the same file and options is the same plan.
    let twin = Caller::new(&world, "twin", spec).await;
    twin.send_all(&file).await;
    assert_eq!(twin.heard().await.summary.expect("a summary").plan_hash, hash);
    assert_eq!(caller.apply(&[7; 32]).await.unwrap_err().code(), Code::Aborted);
    caller.apply(&hash).await.expect("applied");
    // A token of the plan is no excuse to withhold codes.
    let applied = caller.watch(&plan.token).await.expect("results");
    assert_eq!(applied.statuses(), [Created, Created, Created, Refused]);
    assert!(applied.codes()[..3].iter().all(|code| !code.is_empty()));
    // What the columns were taken for is remembered, as it is without a plan.
    assert_eq!(caller.get().await.mapping, "mappings/GW-200/revisions/1");
    // Meanwhile the registry moved under the twin.
    twin.apply(&hash).await.expect("it begins");
    let moved = twin.watch("").await.unwrap_err();
    assert_eq!(moved.code(), Code::Aborted, "{moved:?}");
    assert_eq!(twin.get().await.state(), State::Failed);
    // An import can be bound to a plan from its beginning.
    let changed = HEADER.to_owned() + &line(1, "another");
    let planned = Caller::new(
        &world,
        "p1",
        BatchSpec {
            validate_only: true,
            ..named("x.csv")
        },
    )
    .await;
    planned.send_all(&changed).await;
    let plan_hash = planned.heard().await.summary.expect("a summary").plan_hash;
    for (id, file, expected) in [
        ("p2", &file, Err(Code::Aborted)),
        ("p3", &changed, Ok(vec![Updated])),
        ("p4", &changed, Err(Code::Aborted)),
    ] {
        let spec = BatchSpec {
            plan_hash: plan_hash.clone(),
            ..named("x.csv")
        };
        let bound = Caller::new(&world, id, spec).await;
        bound.send_all(file).await;
        let heard = bound.watch("").await;
        let heard = heard
            .map(|heard| heard.statuses())
            .map_err(|status| status.code());
        assert_eq!(heard, expected, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_or_nothing_applies_nothing_when_a_row_is_refused() {
    let world = World::start().await;
    let spec = BatchSpec {
        all_or_nothing: true,
        ..named("line7.csv")
    };
    let caller = Caller::new(&world, "all", spec.clone()).await;
    caller.send_all(&(manifest(1, 3) + "GW2-bad,,,,,,\n")).await;
    let heard = caller.heard().await;
    assert_eq!((heard.state(), heard.rows.len()), (State::Planned, 4));
    assert_eq!(world.counts().await.devices, 0);
    let mended = Caller::new(&world, "mended", spec).await;
    mended.send_all(&manifest(1, 3)).await;
    assert_eq!(mended.heard().await.state(), State::Done);
    assert_eq!(world.counts().await.devices, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_batch_stays_cancelled() {
    let world = World::start().await;
    let caller = Caller::new(&world, "cancelled", named("line7.csv")).await;
    let file = manifest(1, 50);
    caller
        .send(0, &file.as_bytes()[..1000], None)
        .await
        .expect("a part of it");
    let (watched, cancelled) = tokio::join!(caller.watch(""), caller.cancel());
    assert_eq!(cancelled.expect("cancelled").state(), State::Cancelled);
    assert_eq!(watched.expect("an end").state(), State::Cancelled);
    let late = caller
        .send(1000, &file.as_bytes()[1000..], Some(file.as_bytes()))
        .await
        .unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition);
    assert_eq!(
        caller.cancel().await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    assert_eq!(world.counts().await.devices, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_on_after_a_restart() {
    let mut world = World::start().await;
    let file = manifest(1, 40_000);
    let bytes = file.as_bytes();
    let (half, name) = {
        let caller = Caller::new(&world, "restart", named("line7.csv")).await;
        let half = bytes.len() / 2;
        caller.send(0, &bytes[..half], None).await.expect("one half");
        (half, caller.name)
    };
    world.stopped().await.expect("a good end");
    world.serve_again().await;
    {
        let world = &world;
        let caller = Caller {
            world,
            name: name.clone(),
        };
        assert_eq!(caller.get().await.received_bytes, half as u64);
        caller
            .send(half as u64, &bytes[half..], Some(bytes))
            .await
            .expect("the other half");
    }
    // Wherever it is by now.
    world.stopped().await.expect("a good end");
    world.serve_again().await;
    let caller = Caller { world: &world, name };
    let heard = caller.heard().await;
    assert_eq!((heard.state(), heard.rows.len()), (State::Done, 40_000));
    assert!(
        heard
            .statuses()
            .iter()
            .all(|status| *status == RowStatus::Created)
    );
    assert_eq!(world.counts().await.devices, 40_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_rows_take_the_same_way_and_answer_again() {
    let world = World::start().await;
    let row = |i: u32| ManifestRow {
        serial: format!("GW2-{:07}", 6_000_000 + i),
        mac: format!("00:1B:C5:00:00:{i:02X}"),
        model: "GW-200".into(),
        site: "MUC-01".into(),
        position: "Hall 1".into(),
        variables: [("extension".to_owned(), i.to_string())].into(),
        ..ManifestRow::default()
    };
    let import = async |id: &str, rows: Vec<ManifestRow>| {
        let request = ImportRowsRequest {
            request_id: id.to_owned(),
            spec: None,
            rows,
        };
        let answer = world.client.manifests.clone().import_rows(request).await;
        answer.map(tonic::Response::into_inner)
    };
    let broken = ManifestRow {
        mac: "nonsense".into(),
        ..row(3)
    };
    let rows = vec![row(1), row(2), broken];
    let first = import("typed", rows.clone()).await.expect("an answer");
    let statuses: Vec<_> = first.rows.iter().map(|row| (row.row, row.status())).collect();
    use RowStatus::{Created, Refused};
    assert_eq!(statuses, [(1, Created), (2, Created), (3, Refused)], "{first:?}");
    let again = import("typed", rows).await.expect("the same answer");
    assert_eq!(first, again);
    assert_eq!(
        import("typed", vec![row(9)]).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(
        import("none", Vec::new()).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mended_rows_run_within_their_batch() {
    let world = World::start().await;
    let caller = Caller::new(&world, "mend", named("line7.csv")).await;
    let broken = |i| line(i, "1").replace("00:1B:C5", "nonsense");
    caller.send_all(&(manifest(1, 1) + &broken(2) + &broken(3))).await;
    use RowStatus::{Created, Refused, Unchanged};
    let first = caller.heard().await;
    assert_eq!(first.statuses(), [Created, Refused, Refused]);
    let numbered = |row: u32, text: String| format!("{},{row}\n", text.trim_end());
    let failed = HEADER.trim_end().to_owned()
        + ",muster_row\n"
        + &numbered(4, line(3, "3"))
        + &numbered(3, broken(2))
        + &numbered(2, line(1, "another value"));
    let retried = caller.retry("mend-1").await;
    assert_eq!((retried.attempt, retried.state()), (1, State::Uploading));
    assert_eq!(
        caller.retry("mend-1").await.name,
        retried.name,
        "the same request again"
    );
    caller.send_all(&failed).await;
    let second = caller.watch(&first.token).await.expect("the second file");
    let told: Vec<_> = second.rows.iter().map(|row| (row.row, row.status())).collect();
    assert_eq!(
        told,
        [(4, Created), (3, Refused), (2, Unchanged)],
        "rows are those of the first file"
    );
    world.claim("GW2-6000003", &second.rows[0].activation_code).await;
    let batch = caller.get().await;
    assert_eq!((batch.created, batch.refused), (2, 1));
    assert_eq!(world.device("GW2-6000001").await.variables["extension"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_taken_back_as_one_unit_or_not_at_all() {
    let world = World::start().await;
    let before = Caller::new(&world, "before", named("before.csv")).await;
    before.send_all(&manifest(1, 1)).await;
    before.heard().await;
    let caller = Caller::new(&world, "undo", named("line7.csv")).await;
    caller
        .send_all(&(HEADER.to_owned() + &line(1, "other") + &line(2, "2") + &line(3, "3")))
        .await;
    let heard = caller.heard().await;
    assert_eq!(heard.statuses()[0], RowStatus::Updated);
    assert_eq!(heard.rows[0].changes, ["variables.extension"]);
    assert_eq!(caller.undo(true).await.blocked, 0);
    assert_eq!(world.counts().await.devices, 3, "it was only asked");
    let undone = caller.undo(false).await;
    assert_eq!(undone.batch.expect("a batch").state(), State::Undone);
    assert_eq!(world.counts().await.devices, 1);
    let device = world.device("GW2-6000001").await;
    assert_eq!(device.variables["extension"], "1");
    // A device that has claimed its identity stands in the way.
    let again = Caller::new(&world, "again", named("line7.csv")).await;
    again.send_all(&manifest(2, 2)).await;
    let heard = again.heard().await;
    world.claim("GW2-6000003", &heard.rows[1].activation_code).await;
    let blocked = again.undo(false).await;
    let blocks: Vec<_> = blocked.blocks.iter().map(|block| block.row).collect();
    assert_eq!((blocked.blocked, blocks), (1, vec![3]));
    assert_eq!(world.counts().await.devices, 3);
}
