//! kill -9 of the server at any point of a change: it goes on where it was, and at the end nobody can tell that anything
//! happened. No device is begun twice, none is forgotten.
//!
//! Points are chosen by how many bytes the server has read and written, between nothing and what it moves in an undisturbed
//! change: they lie in the plan, its start, the stages, the reports and the rollback.

use muster_agent::Judge;
use muster_proto::v1::{
    self, Change, CredentialKind, TargetCounts,
    change::State,
    change_action::{Action, Assign},
    change_strategy::OnHalt,
    change_target::State as TargetState,
    share::Share,
};
use muster_tests::{Key, Member, Program, Random, Registry, Swarm, fixture, until, within};
use muster_tools::{
    Client, Context,
    import::{self, ImportEvent, ImportOptions},
};
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Between two looks. Only looking: no outcome depends on it.
const LOOK: Duration = Duration::from_millis(2);
const PROFILE: &str = "gateway";

/// How a change is meant to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Course {
    /// One device in ten fails, and one in five may.
    Well,
    /// One in three fails: it halts in its last stage and is taken back.
    Badly,
}

/// Where in a change, in thousandths of what the server moves, and in which.
#[derive(Debug, Clone, Copy)]
struct Point {
    course: Course,
    at: u64,
}

impl Course {
    /// Whether a device cannot apply what is new, by its number.
    const fn fails(self, number: usize) -> bool {
        match self {
            Self::Well => number % 10 == 7,
            Self::Badly => number % 3 == 1,
        }
    }
}

/// Points spread over the whole of a change, good and bad ones by turns.
fn points(count: u64, seed: u64) -> Vec<Point> {
    let mut chance = Random::seeded(seed);
    let point = |place: u64| Point {
        course: if place.is_multiple_of(2) {
            Course::Well
        } else {
            Course::Badly
        },
        // One in each stretch, so that none is left out.
        at: (place / 2 * 2000 + chance.below(2000)) / count,
    };
    (0..count).map(point).collect()
}

/// A registry whose devices are enrolled and verified at revision 1, with a revision 2 that nobody has.
struct Prepared {
    registry: Registry,
    members: Vec<Member>,
}

async fn client(registry: &Registry) -> Client {
    let context = Context::load(&registry.path("registry/operator/context.toml")).unwrap();
    until("the server answers", async || {
        Client::connect(&context).await.ok()
    })
    .await
}

/// A manifest with a request for each key.
fn manifest(keys: &[Key]) -> String {
    let mut text = "serial,mac,model,site,position,csr\n".to_owned();
    for (number, key) in keys.iter().enumerate() {
        let request = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key.csr());
        text += &format!(
            "GW2-{},00:1B:C5:00:{:02X}:{:02X},GW-200,MUC-01,Hall 1,{request}\n",
            7_000_000 + number,
            number / 256,
            number % 256
        );
    }
    text
}

async fn enrolled(registry: &Registry, count: usize) -> Vec<Member> {
    let keys: Vec<_> = (0..count).map(|_| Key::new()).collect();
    let file = registry.path("fleet.csv");
    fs::write(&file, manifest(&keys)).unwrap();
    let options = ImportOptions {
        credential: CredentialKind::Csr,
        ..ImportOptions::of(&file)
    };
    let mut rows = Vec::new();
    let client = client(registry).await;
    let imported = import::run(&client, options, |event| {
        if let ImportEvent::Results(some) = event {
            rows.extend_from_slice(some);
        }
    });
    let imported = imported.await.unwrap();
    assert_eq!(imported.created, count as u64, "{:?}", imported.causes);
    fs::remove_file(file).unwrap();
    rows.sort_by_key(|row| row.row);
    let roots = roots(registry);
    let member = |(row, key): (&v1::RowResult, &Key)| {
        let pair = key.pair(&[&row.certificate]);
        Member::new(
            row.device.trim_start_matches("devices/"),
            &row.serial,
            &pair,
            &roots,
        )
    };
    rows.iter().zip(&keys).map(member).collect()
}

fn roots(registry: &Registry) -> Vec<u8> {
    fs::read(registry.path("registry/operator/root.pem")).unwrap()
}

async fn apply(registry: &Registry, command: &[&str], file: &std::path::Path) {
    let mut muster = registry.muster();
    let applied = Program::run(muster.args(command).arg("-f").arg(file)).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
}

async fn prepared(count: usize) -> Prepared {
    let registry = Registry::new();
    let (musterd, _, mqtt) = registry.serve("info").await;
    for (command, file) in [
        (&["site", "apply"][..], "tests/fixtures/manifests/sites.csv"),
        (&["apply"], "tools/src/demo/catalog.toml"),
    ] {
        apply(&registry, command, &fixture::in_repository(file)).await;
    }
    let members = enrolled(&registry, count).await;
    let swarm = Swarm::start(mqtt, &roots(&registry), &members, |_| Arc::new(|_| Ok(())));
    all_there(&swarm, &members).await;
    drop(swarm);
    let revised = registry.path("revised.toml");
    let text = format!(
        "[[profiles]]\nname = \"{PROFILE}\"\nmessage = \"Two\"\n[profiles.files]\n\"a.toml\" = 'two = true'\n"
    );
    fs::write(&revised, text).unwrap();
    apply(&registry, &["apply"], &revised).await;
    musterd.signal("TERM");
    musterd.ended().await;
    Prepared { registry, members }
}

/// Every device has connected and said how it stands.
async fn all_there(swarm: &Swarm, members: &[Member]) {
    let all = members.len() as u64;
    until("all devices are there", async || {
        (swarm.reports() >= all).then_some(())
    })
    .await;
}

/// A tenth first, then all; a fifth of a stage may fail.
fn request() -> v1::CreateChangeRequest {
    let share = |part| {
        Some(v1::Share {
            share: Some(Share::PerMille(part)),
        })
    };
    let stage = |size, soak_seconds| v1::ChangeStage {
        size,
        soak_seconds,
        failures: share(200),
        silent: share(0),
    };
    // The pilot may fail as a whole: what goes badly does so when many have it.
    let pilot = v1::ChangeStage {
        failures: share(1000),
        ..stage(share(100), 1)
    };
    let action = Action::Profile(Assign {
        name: format!("profiles/{PROFILE}"),
        revision: 2,
    });
    v1::CreateChangeRequest {
        request_id: "once".into(),
        title: "killed".into(),
        action: Some(v1::ChangeAction { action: Some(action) }),
        strategy: Some(v1::ChangeStrategy {
            stages: vec![pilot, stage(None, 0)],
            in_flight: 25,
            deadline_seconds: 86_400,
            on_halt: OnHalt::RollBack.into(),
            ..v1::ChangeStrategy::default()
        }),
        ..v1::CreateChangeRequest::default()
    }
}

/// An operator who wants the change done, whatever the server does meanwhile.
#[derive(Clone)]
struct Operator {
    context: Context,
    /// Where the change was when it was last seen.
    seen: Arc<Mutex<String>>,
}

impl Operator {
    fn of(registry: &Registry) -> Self {
        Self {
            context: Context::load(&registry.path("registry/operator/context.toml")).unwrap(),
            seen: Arc::new(Mutex::new("not begun".into())),
        }
    }

    fn phase(&self) -> String {
        self.seen.lock().unwrap().clone()
    }

    /// To the end, whoever dies.
    async fn pushes(self) -> Change {
        loop {
            // Whoever does not answer is asked again: by the same request id it is the same change.
            if let Ok(client) = Client::connect(&self.context).await
                && let Ok(end) = self.pushes_on(&client).await
            {
                return end;
            }
            tokio::time::sleep(LOOK * 10).await;
        }
    }

    async fn pushes_on(&self, client: &Client) -> Result<Change, tonic::Status> {
        let mut changes = client.changes.clone();
        let mut change = changes.create_change(request()).await?.into_inner();
        loop {
            let (name, counts) = (change.name.clone(), change.total.unwrap_or_default());
            *self.seen.lock().unwrap() = phase(&change);
            match change.state() {
                State::Draft => {
                    let etag = change.etag.clone();
                    changes
                        .plan_change(v1::PlanChangeRequest {
                            name: name.clone(),
                            etag,
                        })
                        .await?;
                }
                State::Planned => {
                    let request = v1::StartChangeRequest {
                        name: name.clone(),
                        plan_hash: change.plan_hash.clone(),
                        targets: counts.total,
                    };
                    changes.start_change(request).await?;
                }
                State::Done => return Ok(change),
                State::RolledBack if counts.reverting == 0 => return Ok(change),
                State::Running | State::RollingBack | State::RolledBack => tokio::time::sleep(LOOK).await,
                other => panic!("{other:?}"),
            }
            change = changes
                .get_change(v1::GetChangeRequest { name })
                .await?
                .into_inner();
        }
    }
}

fn phase(change: &Change) -> String {
    match change.state() {
        State::Running => format!("stage {}", change.stage),
        other => other.as_str_name().to_lowercase(),
    }
}

/// A change that is under way in a registry of its own.
struct Trial<'a> {
    prepared: &'a Prepared,
    registry: Registry,
    course: Course,
    musterd: Program,
    /// What the server had moved before the change was made.
    before: u64,
    swarm: Swarm,
    operator: Operator,
}

impl<'a> Trial<'a> {
    async fn begin(prepared: &'a Prepared, course: Course) -> Self {
        let registry = prepared.registry.copy();
        // Devices and operator come back to where the server was.
        registry.keep_ports();
        let (musterd, _, mqtt) = registry.serve("info").await;
        let swarm = swarm(prepared, &registry, mqtt, course);
        all_there(&swarm, &prepared.members).await;
        let before = musterd.counts().unwrap().moved;
        Self {
            prepared,
            operator: Operator::of(&registry),
            registry,
            course,
            musterd,
            before,
            swarm,
        }
    }

    fn moved(&self) -> u64 {
        self.musterd.counts().unwrap().moved - self.before
    }

    /// Kills the server when it has moved so many bytes, if the change lasts so long, and starts it again.
    async fn killed_at(mut self, at: u64) -> String {
        let pushing = tokio::spawn(self.operator.clone().pushes());
        while self.moved() < at && !pushing.is_finished() {
            tokio::time::sleep(LOOK).await;
        }
        let phase = if pushing.is_finished() {
            "over".to_owned()
        } else {
            self.operator.phase()
        };
        self.musterd.killed().await;
        let checked = Program::run(&mut self.registry.musterd("check")).await;
        assert_eq!(checked.code, Some(0), "{checked:?}");
        self.musterd = self.registry.serve("info").await.0;
        let end = within("the change ends", pushing).await.unwrap();
        self.kept(&end).await;
        drop(self.swarm);
        self.musterd.killed().await;
        let checked = Program::run(&mut self.registry.musterd("check")).await;
        assert_eq!(checked.code, Some(0), "{checked:?}");
        phase
    }

    /// Everything that was promised.
    async fn kept(&self, end: &Change) {
        let (client, course) = (client(&self.registry).await, self.course);
        let expected = match course {
            Course::Well => State::Done,
            Course::Badly => State::RolledBack,
        };
        assert_eq!(end.state(), expected, "{end:?}");
        let targets = targets(&client, &end.name).await;
        assert_eq!(
            targets.len(),
            self.prepared.members.len(),
            "all are targets, none twice"
        );
        let audited = audited(&client, &end.name).await;
        for (number, member) in self.prepared.members.iter().enumerate() {
            let target = targets.get(&member.id).expect("a target");
            let device = device(&client, &member.id).await;
            let desired = device.desired.unwrap();
            let raised = match target.state() {
                TargetState::Done | TargetState::Failed => 1,
                TargetState::Reverted => 2,
                TargetState::Skipped => 0,
                other => panic!("{course:?}: {} is {other:?}", member.serial),
            };
            assert_eq!(desired.generation, 1 + raised, "{course:?}: {target:?}");
            let written = audited.get(&member.id).copied().unwrap_or(0);
            assert_eq!(
                written, raised,
                "{course:?}: {} was begun more than once",
                member.serial
            );
            let revision = if raised == 1 { 2 } else { 1 };
            assert!(
                desired.profile.ends_with(&format!("/{revision}")),
                "{target:?} {desired:?}"
            );
            let fails = course.fails(number) && raised == 1;
            assert_eq!(target.state() == TargetState::Failed, fails, "{target:?}");
        }
        for (stage, counts) in (1..).zip(&end.stages) {
            let derived = counted(targets.values().filter(|target| target.stage == stage));
            assert_eq!(*counts, derived, "{course:?}: stage {stage}");
        }
    }
}

fn swarm(prepared: &Prepared, registry: &Registry, mqtt: SocketAddr, course: Course) -> Swarm {
    let mut numbers = 0..;
    let failing = std::cell::RefCell::new(&mut numbers);
    Swarm::start(mqtt, &roots(registry), &prepared.members, |_| {
        let fails = failing
            .borrow_mut()
            .next()
            .is_some_and(|number| course.fails(number));
        let judge: Judge = Arc::new(move |desired| match desired.profile.as_deref() {
            Some("gateway@2") if fails => Err("it does not fit".into()),
            _ => Ok(()),
        });
        judge
    })
}

async fn targets(client: &Client, change: &str) -> BTreeMap<String, v1::ChangeTarget> {
    let request = v1::ListTargetsRequest {
        name: change.to_owned(),
        page_size: 1000,
        ..v1::ListTargetsRequest::default()
    };
    let page = client
        .changes
        .clone()
        .list_targets(request)
        .await
        .unwrap()
        .into_inner();
    let (listed, named) = (page.targets.len(), page.targets.into_iter());
    let targets: BTreeMap<_, _> = named
        .map(|target| (target.device.trim_start_matches("devices/").to_owned(), target))
        .collect();
    assert_eq!(listed, targets.len(), "a target is listed twice");
    targets
}

async fn device(client: &Client, id: &str) -> v1::Device {
    let request = v1::GetDeviceRequest {
        name: format!("devices/{id}"),
    };
    client
        .devices
        .clone()
        .get_device(request)
        .await
        .unwrap()
        .into_inner()
}

/// How often each device was made something else by this change, as the audit log has it; and that no step of it is there twice.
async fn audited(client: &Client, change: &str) -> BTreeMap<String, u64> {
    let id = change.trim_start_matches("changes/");
    let (mut devices, mut steps) = (BTreeMap::new(), BTreeMap::<String, u32>::new());
    let mut page_token = String::new();
    loop {
        let request = v1::ListEntriesRequest {
            page_size: 1000,
            page_token,
            first_index: 0,
        };
        let page = client
            .audit
            .clone()
            .list_entries(request)
            .await
            .unwrap()
            .into_inner();
        for entry in &page.entries {
            let leaf: serde_json::Value = serde_json::from_str(&entry.leaf).unwrap();
            let (action, subject) = (
                leaf["action"].as_str().unwrap(),
                leaf["subject"].as_str().unwrap(),
            );
            if action == "device_retargeted" && leaf["detail"]["change"] == id {
                *devices
                    .entry(subject.trim_start_matches("devices/").to_owned())
                    .or_default() += 1;
            } else if subject == change && action != "change_planned" {
                *steps.entry(format!("{action} {}", leaf["detail"])).or_default() += 1;
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            assert!(steps.values().all(|count| *count == 1), "{steps:?}");
            return devices;
        }
    }
}

fn counted<'t>(targets: impl Iterator<Item = &'t v1::ChangeTarget>) -> TargetCounts {
    let mut counts = TargetCounts::default();
    for target in targets {
        counts.total += 1;
        match target.state() {
            TargetState::Done => counts.done += 1,
            TargetState::Failed => counts.failed += 1,
            TargetState::Reverted => counts.reverted += 1,
            TargetState::Skipped => counts.skipped += 1,
            other => panic!("{other:?} at the end"),
        }
    }
    counts
}

/// What a server moves in a change that nobody disturbs.
async fn undisturbed(prepared: &Prepared, course: Course) -> u64 {
    let trial = Trial::begin(prepared, course).await;
    let pushing = trial.operator.clone().pushes();
    let end = within("the change ends", pushing).await;
    let moved = trial.moved();
    trial.kept(&end).await;
    moved
}

#[expect(clippy::print_stderr, reason = "where kills came is worth knowing")]
async fn all(devices: usize, points: &[Point]) {
    let prepared = prepared(devices).await;
    let moved = [
        undisturbed(&prepared, Course::Well).await,
        undisturbed(&prepared, Course::Badly).await,
    ];
    let mut phases: BTreeMap<(Course, String), u32> = BTreeMap::new();
    for point in points {
        let whole = match point.course {
            Course::Well => moved[0],
            Course::Badly => moved[1],
        };
        let trial = Trial::begin(&prepared, point.course).await;
        let phase = trial.killed_at(whole * point.at / 1000).await;
        eprintln!("{point:?}: {phase}");
        *phases.entry((point.course, phase)).or_default() += 1;
    }
    eprintln!("{phases:?}");
    // What a server moves differs a little from run to run, so the last points may come too late.
    let of = |wanted: &str| {
        let counts = phases.iter().filter(|((_, phase), _)| phase == wanted);
        counts.map(|(_, count)| *count).sum::<u32>()
    };
    assert!(of("over") as usize * 5 <= points.len(), "{phases:?}");
    assert!(of("stage 1") + of("stage 2") > 0, "{phases:?}");
}

/// A few devices, few points.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_goes_on_where_the_server_was_killed() {
    all(40, &points(20, 5)).await;
}

/// More of both; minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes many minutes"]
async fn all_hundred_kills_of_changes() {
    all(300, &points(100, 6)).await;
}
