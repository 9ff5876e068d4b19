//! H1: kill -9 of client and server at any point of an import. Whoever is left goes on, the same command again ends it,
//! and nobody can tell from the results that anything happened.
//!
//! Points are chosen by how many bytes the victim has moved, as the kernel counts them, between nothing and what it
//! moves in an undisturbed import: they lie in the upload, the check, the commits, the answers, the naming of files and
//! the acknowledgement.

use muster_proto::payload::ClaimResult;
use muster_tests::{Ended, Key, Mqtt, Program, Random, Registry, fixture, until};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    net::SocketAddr,
    path::Path,
    time::Duration,
};

/// What the manifest and the results are called.
const MANIFEST: &str = "cameras.csv";
const RESULTS: &str = "results.csv";
/// What an import goes on with.
const TICKET: &str = "cameras.csv.muster-import";
/// Columns that differ from import to import.
const DEVICE: &str = "device";
const CODE: &str = "activation_code";
/// Between two looks at a victim. Only looking: no outcome depends on it.
const LOOK: Duration = Duration::from_millis(1);

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Client,
    Server,
}

/// Where in an import, and whom.
#[derive(Debug, Clone, Copy)]
struct Point {
    victim: Victim,
    /// Thousandths of the bytes that the victim moves.
    at: u64,
}

type Phase = &'static str;

/// How far an import was when somebody was killed, by its ticket.
fn phase(trial: &Trial) -> Phase {
    let Ok(ticket) = fs::read_to_string(trial.registry.path(TICKET)) else {
        return if trial.is_over() { "over" } else { "not begun" };
    };
    let last = ticket.lines().rfind(|line| line.ends_with('}'));
    let Some(last) = last.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) else {
        return "not begun";
    };
    if !last["written"].is_null() {
        "acknowledging"
    } else if last["is_naming"] == true {
        "naming"
    } else if last["is_sent"] == true {
        "sent"
    } else if last["batch"].is_string() {
        "sending"
    } else {
        "no batch"
    }
}

/// Points spread over the whole of an import, client and server by turns.
fn points(count: u32, seed: u64) -> Vec<Point> {
    let mut chance = Random::seeded(seed);
    let count = u64::from(count);
    let point = |place: u64| Point {
        victim: if place.is_multiple_of(2) {
            Victim::Client
        } else {
            Victim::Server
        },
        // One in each stretch, so that none is left out.
        at: (place / 2 * 2000 + chance.below(2000)) / count,
    };
    (0..count).map(point).collect()
}

/// A line of the results, by column.
type Line = BTreeMap<String, String>;

fn results(path: &Path) -> Vec<Line> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader.deserialize().map(|line| line.unwrap()).collect()
}

/// What must be the same however often somebody is killed.
fn lasting(lines: &[Line]) -> Vec<Line> {
    let mut lines = lines.to_vec();
    for line in &mut lines {
        line.remove(DEVICE);
        line.remove(CODE);
    }
    lines
}

/// A registry with a manifest beside it, ready to be served.
async fn prepared(rows: u32) -> Registry {
    let registry = Registry::new();
    fs::write(registry.path(MANIFEST), fixture::cameras(0, rows)).unwrap();
    let (musterd, _, _) = registry.serve("info").await;
    for (command, file) in [
        (&["site", "apply"][..], "tests/fixtures/manifests/sites.csv"),
        (&["apply"], "tools/src/demo/catalog.toml"),
    ] {
        let mut muster = registry.muster();
        muster.args(command).arg("-f").arg(fixture::in_repository(file));
        good(&Program::run(&mut muster).await);
    }
    musterd.signal("TERM");
    musterd.ended().await;
    registry
}

#[track_caller]
fn good(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// One registry, and one import into it.
struct Trial {
    registry: Registry,
}

impl Trial {
    fn of(prepared: &Registry) -> Self {
        let registry = prepared.copy();
        // A client goes on only with the server that it began with.
        registry.keep_ports();
        Self { registry }
    }

    fn import(&self) -> Program {
        let mut muster = self.registry.muster();
        muster.current_dir(self.registry.path(""));
        Program::start(muster.args(["import", MANIFEST, "--out", RESULTS, "-o", "jsonl"]))
    }

    /// Is there nothing for the same command to go on with?
    fn is_over(&self) -> bool {
        self.registry.path(RESULTS).exists() && !self.registry.path(TICKET).exists()
    }

    async fn serve(&self) -> (Program, SocketAddr) {
        let (musterd, _, mqtt) = self.registry.serve("info").await;
        (musterd, mqtt)
    }

    /// Serial by device, as the registry has them.
    async fn devices(&self) -> BTreeMap<String, String> {
        let mut muster = self.registry.muster();
        let listed = Program::run(muster.args(["device", "list", "--limit", "0", "-o", "csv"])).await;
        good(&listed);
        let mut reader = csv::Reader::from_reader(listed.out.as_bytes());
        let lines = reader.deserialize().map(|line| line.unwrap());
        let pair = |mut line: Line| (line.remove("name").unwrap(), line.remove("serial").unwrap());
        lines.map(pair).collect()
    }

    /// Everything that was promised, at the end of an import.
    async fn kept(&self, undisturbed: &[Line], printed: &str, what: &str) -> Vec<Line> {
        let lines = results(&self.registry.path(RESULTS));
        assert!(
            lasting(&lines) == undisturbed,
            "{what}: the results differ from those of an undisturbed import"
        );
        let codes: HashSet<&str> = lines.iter().map(|line| line[CODE].as_str()).collect();
        assert!(!codes.contains(""), "{what}: a device has no code");
        assert_eq!(codes.len(), lines.len(), "{what}: two devices have one code");
        let devices = self.devices().await;
        assert_eq!(devices.len(), lines.len(), "{what}: devices were lost or doubled");
        let told: BTreeMap<_, _> = lines
            .iter()
            .map(|line| (format!("devices/{}", line[DEVICE]), line["serial"].clone()))
            .collect();
        let differs = told.iter().zip(&devices).find(|(told, device)| told != device);
        assert_eq!(differs, None, "{what}: the results name other devices");
        self.acknowledged(printed, &told, what);
        self.tidy(what);
        lines
    }

    /// Rows that the killed client had printed are the devices that it said.
    fn acknowledged(&self, printed: &str, devices: &BTreeMap<String, String>, what: &str) {
        let whole = printed.rfind('\n').map_or("", |end| &printed[..end]);
        for line in whole.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let number = u32::try_from(row["row"].as_u64().unwrap()).unwrap();
            let device = devices.get(row["device"].as_str().unwrap());
            // The header is row 1.
            assert_eq!(device, Some(&fixture::camera(number - 2)), "{what}: row {number}");
        }
    }

    /// Nothing is left that holds codes, beside the results.
    fn tidy(&self, what: &str) {
        let names = fs::read_dir(self.registry.path("")).unwrap();
        let names: BTreeSet<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        // What was there before: the root key lies beside its registry.
        let expected = ["passphrase", "registry", "registry-offline", MANIFEST, RESULTS];
        let left: Vec<_> = names
            .iter()
            .filter(|name| !expected.iter().any(|expected| name == expected))
            .collect();
        let with_codes = left.iter().filter(|name| {
            let path = self.registry.path(&name.to_string_lossy());
            fs::metadata(path).unwrap().len() > 0
        });
        assert_eq!(with_codes.count(), 0, "{what}: {left:?} were left behind");
    }

    /// A code of the results works: the device gets its certificate.
    async fn claims(&self, line: &Line, mqtt: SocketAddr) {
        let roots = fs::read(self.registry.path("registry/operator/root.pem")).unwrap();
        let mut device = Mqtt::dial(mqtt, &roots, None, None).await.unwrap();
        let answer = device.claim(&line["serial"], &line[CODE], Key::new().csr()).await;
        assert!(
            matches!(answer, Some(ClaimResult::Accepted(_))),
            "{line:?}: {answer:?}"
        );
    }
}

/// Bytes that client and server move in an import that nobody disturbs, and its results.
struct Undisturbed {
    client: u64,
    server: u64,
    lines: Vec<Line>,
}

async fn undisturbed(prepared: &Registry) -> Undisturbed {
    let trial = Trial::of(prepared);
    let (musterd, mqtt) = trial.serve().await;
    let before = musterd.counts().unwrap().moved;
    let mut import = trial.import();
    let mut client = 0;
    while !import.has_ended() {
        client = import.counts().map_or(client, |counts| counts.moved);
        tokio::time::sleep(LOOK).await;
    }
    let ended = import.ended().await;
    good(&ended);
    let server = musterd.counts().unwrap().moved - before;
    let lines = lasting(&results(&trial.registry.path(RESULTS)));
    let whole = trial.kept(&lines, &ended.out, "undisturbed").await;
    trial.claims(&whole[0], mqtt).await;
    Undisturbed {
        client,
        server,
        lines,
    }
}

/// Waits until a victim has moved so many bytes, or the import ended before.
async fn reached(victim: &Program, import: Option<&Program>, at: u64) {
    // A client that has ended is a zombie, without memory to count.
    let is_over = |program: &Program| program.counts().is_none();
    loop {
        match victim.counts() {
            Some(counts) if counts.moved >= at => return,
            Some(_) if import.is_none_or(|import| !is_over(import)) => tokio::time::sleep(LOOK).await,
            Some(_) | None => return,
        }
    }
}

/// Kills somebody at a point, goes on until the import ends, and looks at what is there. Was there anybody to kill?
async fn killed(prepared: &Registry, undisturbed: &Undisturbed, point: Point, claims: &mut Random) -> Phase {
    let trial = Trial::of(prepared);
    let what = format!("{point:?}");
    let (mut musterd, mut mqtt) = trial.serve().await;
    let before = musterd.counts().unwrap().moved;
    let import = trial.import();
    match point.victim {
        Victim::Client => reached(&import, None, undisturbed.client * point.at / 1000).await,
        Victim::Server => {
            let at = before + undisturbed.server * point.at / 1000;
            reached(&musterd, Some(&import), at).await;
        }
    }
    let phase;
    let mut printed = match point.victim {
        Victim::Client => {
            let ended = import.killed().await;
            phase = self::phase(&trial);
            ended.out
        }
        Victim::Server => {
            musterd.killed().await;
            phase = self::phase(&trial);
            let checked = Program::run(&mut trial.registry.musterd("check")).await;
            good(&checked);
            (musterd, mqtt) = trial.serve().await;
            // It waits for the server and goes on.
            let ended = import.ended().await;
            good(&ended);
            ended.out
        }
    };
    if !trial.is_over() {
        let ended = trial.import().ended().await;
        assert_eq!(ended.code, Some(0), "{what}: {ended:?}");
        // The first may have been cut in a line.
        printed.truncate(printed.rfind('\n').map_or(0, |end| end + 1));
        printed += &ended.out;
    }
    let lines = trial.kept(&undisturbed.lines, &printed, &what).await;
    let one = usize::try_from(claims.below(lines.len() as u64)).unwrap();
    trial.claims(&lines[one], mqtt).await;
    musterd.killed().await;
    phase
}

#[expect(clippy::print_stderr, reason = "where kills came is worth knowing")]
async fn all(rows: u32, points: &[Point], seed: u64) {
    let prepared = prepared(rows).await;
    let undisturbed = undisturbed(&prepared).await;
    let mut claims = Random::seeded(seed);
    let mut phases: BTreeMap<(Victim, Phase), u32> = BTreeMap::new();
    for point in points {
        let phase = killed(&prepared, &undisturbed, *point, &mut claims).await;
        *phases.entry((point.victim, phase)).or_default() += 1;
        eprintln!("{point:?}: {phase}");
    }
    eprintln!("{phases:?}");
    // What a process moves differs a little from run to run, so the last points may come too late.
    let late: u32 = phases
        .iter()
        .filter(|((_, phase), _)| *phase == "over")
        .map(|(_, count)| count)
        .sum();
    assert!(late as usize * 10 <= points.len(), "{phases:?}");
    for victim in [Victim::Client, Victim::Server] {
        assert!(phases.contains_key(&(victim, "sent")), "{phases:?}");
    }
}

/// One part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h1_kills_leave_no_trace_in_the_results() {
    all(3000, &points(20, 3), 3).await;
}

/// Two parts, more points; minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes many minutes"]
async fn all_hundred_kills() {
    all(40_000, &points(100, 4), 4).await;
}

/// The answers are on disk and the server was told to forget the codes, but the client was killed before it could remove
/// its ticket: the same command again must not write the file anew, without codes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h1_codes_stay_in_a_file_that_was_acknowledged() {
    let trial = Trial::of(&prepared(10).await);
    let (_musterd, mqtt) = trial.serve().await;
    let ticket = trial.registry.path(TICKET);
    let stopped = stopped_at_the_end(&trial, &ticket).await;
    assert!(stopped.contains("\"written\":{"), "{stopped}");
    fs::write(&ticket, stopped).unwrap();
    let again = trial.import().ended().await;
    good(&again);
    let lines = results(&trial.registry.path(RESULTS));
    assert_eq!(lines.len(), 10);
    trial.claims(&lines[9], mqtt).await;
    trial.tidy("acknowledged");
}

/// An import to its end, and its ticket as it was last seen: what a kill before its removal leaves.
async fn stopped_at_the_end(trial: &Trial, ticket: &Path) -> String {
    // A second name keeps the file, whatever happens to the first.
    let second = trial.registry.path("registry/second-name");
    let mut import = trial.import();
    until("the import has a ticket", async || {
        fs::hard_link(ticket, &second).is_ok().then_some(())
    })
    .await;
    while !import.has_ended() {
        tokio::time::sleep(LOOK).await;
    }
    good(&import.ended().await);
    assert!(!ticket.exists());
    let text = fs::read_to_string(&second).unwrap();
    fs::remove_file(second).unwrap();
    text
}
