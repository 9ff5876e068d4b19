//! The ceremonies of the certificate authority, as people do them: on two machines, in three steps.

use super::{catalog, connected, import};
use muster_proto::{
    payload::{Binary, ClaimResult},
    v1,
};
use muster_tests::{
    Ended, Key, Mqtt, Packet, Pair, Program, Registry, copy_tree, files_below, fixture, until,
};
use muster_tools::Client;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, PingReq};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

/// A registry, and beside it the directory with its root key.
struct Plant(Registry);

impl Plant {
    fn new() -> Self {
        Self(Registry::new())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// `musterd authority`, in the directory of the plant; words that name files stay short that way.
    async fn authority(&self, arguments: &str) -> Ended {
        let mut musterd = Program::command("musterd");
        musterd.arg("authority").args(arguments.split_whitespace());
        Program::run(musterd.current_dir(self.path(""))).await
    }

    async fn done(&self, arguments: &str) -> String {
        let ended = self.authority(arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments}: {ended:?}");
        ended.out
    }

    /// It ends with an error that says so, and no file is other than before.
    async fn refused(&self, arguments: &str, expected: &str) {
        let before = self.content();
        let ended = self.authority(arguments).await;
        assert!(
            ended.code.is_some_and(|code| code != 0) && ended.log.contains(expected),
            "{arguments}: {expected:?} in {ended:?}"
        );
        assert_eq!(self.content(), before, "{arguments}");
    }

    /// Every file of the authority, and the names of what lies around.
    fn content(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let kept = ["registry/ca", "registry-offline"].map(|name| files_below(&self.path(name)));
        let around = fs::read_dir(self.path("")).unwrap();
        let mut around: Vec<_> = around.map(|entry| entry.unwrap().path()).collect();
        around.sort();
        let read = kept
            .into_iter()
            .flatten()
            .map(|path| (path.clone(), fs::read(path).unwrap()));
        read.chain(around.into_iter().map(|path| (path, Vec::new())))
            .collect()
    }

    fn roots(&self) -> Vec<u8> {
        fs::read(self.path("registry/operator/root.pem")).unwrap()
    }

    /// Does OpenSSL find the way from a chain to a root?
    async fn verifies(&self, chain: &[Binary], root: &Path) -> bool {
        let pem = |certificates: &[Binary]| -> String {
            certificates
                .iter()
                .map(|der| muster_server::ca::certificate_pem(&der.0))
                .collect()
        };
        fs::write(self.path("leaf.pem"), pem(&chain[..1])).unwrap();
        fs::write(self.path("above.pem"), pem(&chain[1..])).unwrap();
        let mut openssl = Command::new("openssl");
        openssl
            .args("verify -x509_strict -purpose sslclient -untrusted above.pem -CAfile".split(' '))
            .arg(root)
            .arg("leaf.pem");
        let ended = Program::run(openssl.current_dir(self.path(""))).await;
        ended.code == Some(0)
    }
}

async fn claim(mqtt: SocketAddr, roots: &[u8], serial: &str, code: &str, key: &Key) -> Vec<Binary> {
    let mut device = Mqtt::dial(mqtt, roots, None, None).await.unwrap();
    match device.claim(serial, code, key.csr()).await {
        Some(ClaimResult::Accepted(accepted)) => accepted.chain,
        other => panic!("{serial}: {other:?}"),
    }
}

fn pair(key: &Key, chain: &[Binary]) -> Pair {
    key.pair(&chain.iter().map(|der| &der.0).collect::<Vec<_>>())
}

async fn connects(mqtt: SocketAddr, roots: &[u8], pair: &Pair) -> bool {
    let Ok(mut device) = Mqtt::dial(mqtt, roots, Some(pair), None).await else {
        return false;
    };
    let answer = device.connect("", None).await;
    answer.is_some_and(|answer| answer.code == ConnectReturnCode::Success)
}

/// Lets the server open its authority again; what it says of that.
async fn reloaded(musterd: &mut Program, what: &str) -> String {
    musterd.signal("HUP");
    let told = musterd.logged("the certificate authority was opened again").await;
    assert!(told.contains(what), "{told}");
    told
}

/// Does the session go on?
async fn answers(mqtt: &mut Mqtt) -> bool {
    let asked = mqtt.say(&Packet::PingReq(PingReq)).await;
    asked.is_ok() && matches!(mqtt.hear().await, Some(Packet::PingResp(_)))
}

/// On the connection that it has.
async fn client_goes_on(client: &Client) {
    let mut access = client.access.clone();
    access.who_am_i(v1::WhoAmIRequest {}).await.unwrap();
}

async fn stopped(musterd: Program) {
    musterd.signal("TERM");
    assert_eq!(musterd.ended().await.code, Some(0));
}

const DEVICES: &str = "--dir registry --passphrase-file passphrase";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ca_of_devices_rotates_in_three_steps_and_nobody_is_lost() {
    let plant = Plant::new();
    let (mut musterd, _, mqtt) = plant.0.serve("info").await;
    let client = connected(&plant.0).await;
    catalog(&client).await;
    let (rows, ended) = import(&client, &fixture::manifest("gateways.csv"), |_| {}).await;
    ended.unwrap();
    let serial = |row: usize| format!("GW2-{}", 7_000_001 + row);
    let code = |row: usize| rows[row].activation_code.clone();
    let roots = plant.roots();
    let old_key = Key::new();
    let old = claim(mqtt, &roots, &serial(0), &code(0), &old_key).await;
    // 1. What cannot be done is told, and leaves no trace.
    let listed = plant.done("list --dir registry").await;
    let id = listed
        .lines()
        .find(|line| line.starts_with("devices"))
        .and_then(|line| line.split_whitespace().nth(2))
        .unwrap()
        .to_owned();
    plant
        .refused(
            &format!("remove {id} --dir registry"),
            "is the only one of kind devices",
        )
        .await;
    fs::write(plant.path("wrong"), "not the passphrase\n").unwrap();
    let mut restricted = Command::new("chmod");
    Program::run(restricted.arg("600").arg(plant.path("wrong"))).await;
    plant
        .refused(
            "request devices --dir registry --passphrase-file wrong --out devices.csr",
            "the passphrase does not open",
        )
        .await;
    plant
        .refused(
            &format!("request doors {DEVICES} --out doors.csr"),
            "is none of devices, operators",
        )
        .await;
    // 2. The ceremony. The machine with the root key knows nothing else of the server.
    plant
        .done(&format!("request devices {DEVICES} --out devices.csr"))
        .await;
    let waiting = plant.done("list --dir registry").await;
    assert!(waiting.contains("pending"), "{waiting}");
    let sign = |request: &str, kind: &str, passphrase: &str| {
        format!(
            "sign {request} --offline registry-offline --passphrase-file {passphrase} --kind {kind} --out devices.pem"
        )
    };
    plant
        .refused(
            &sign("devices.csr", "devices", "wrong"),
            "the passphrase does not open",
        )
        .await;
    plant
        .refused(
            &sign("devices.csr", "operators", "passphrase"),
            "the request is for kind devices",
        )
        .await;
    let foreign = "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout foreign.key -subj /CN=foreign -out foreign.csr";
    let mut openssl = Command::new("openssl");
    let made = Program::run(
        openssl
            .args(foreign.split_whitespace())
            .current_dir(plant.path("")),
    );
    assert_eq!(made.await.code, Some(0));
    plant
        .refused(
            &sign("foreign.csr", "devices", "passphrase"),
            "which is no authority of Muster tests",
        )
        .await;
    plant.done(&sign("devices.csr", "devices", "passphrase")).await;
    let ledger = fs::read_to_string(plant.path("registry-offline/issued.log")).unwrap();
    assert!(ledger.lines().last().unwrap().contains(" devices "), "{ledger}");
    plant
        .refused(
            "install devices.pem --dir registry --passphrase-file wrong",
            "the passphrase does not open",
        )
        .await;
    let installed = plant.done(&format!("install devices.pem {DEVICES}")).await;
    assert!(installed.contains("systemctl reload musterd"), "{installed}");
    // 3. Until it is told, the server works as before; then with the new authority, and whoever is connected stays so.
    let between = claim(mqtt, &roots, &serial(1), &code(1), &Key::new()).await;
    assert_eq!(between[1], old[1]);
    let old_pair = pair(&old_key, &old);
    let mut here = Mqtt::dial(mqtt, &roots, Some(&old_pair), None).await.unwrap();
    assert!(here.connect("", None).await.is_some());
    let told = reloaded(&mut musterd, "works").await;
    assert!(told.contains("sessions_ended=0"), "{told}");
    let new_key = Key::new();
    let new = claim(mqtt, &roots, &serial(2), &code(2), &new_key).await;
    assert_ne!(new[1], old[1]);
    let new_pair = pair(&new_key, &new);
    assert!(answers(&mut here).await);
    for pair in [&old_pair, &new_pair] {
        assert!(connects(mqtt, &roots, pair).await);
    }
    for chain in [&old, &new] {
        assert!(
            plant
                .verifies(chain, &plant.path("registry/operator/root.pem"))
                .await
        );
    }
    // A claim whose answer was lost gets the certificate of then, and the chain of then.
    assert_eq!(claim(mqtt, &roots, &serial(0), &code(0), &old_key).await, old);
    let listed = plant.done("list --dir registry").await;
    let of_devices: Vec<_> = listed
        .lines()
        .filter(|line| line.starts_with("devices"))
        .map(|line| line.split_whitespace().nth(1).unwrap())
        .collect();
    assert_eq!(of_devices, ["issuing", "trusted"], "{listed}");
    // 4. The old one stays as long as somebody needs it, unless it must not.
    plant
        .refused(&format!("remove {id} --dir registry"), "stop the server first")
        .await;
    client_goes_on(&client).await;
    // A passphrase that does not open leaves everything as it is, and says so.
    let passphrase = plant.path("passphrase");
    let right = fs::read(&passphrase).unwrap();
    fs::write(&passphrase, "another one altogether\n").unwrap();
    musterd.signal("HUP");
    let told = musterd.logged("was not opened again").await;
    assert!(told.contains("the passphrase does not open"), "{told}");
    assert!(connects(mqtt, &roots, &old_pair).await);
    fs::write(&passphrase, right).unwrap();
    drop(client);
    stopped(musterd).await;
    plant
        .refused(
            &format!("remove {id} --dir registry"),
            "has 2 certificates that are valid still",
        )
        .await;
    // 5. By force it goes under a server that runs, and with it the sessions of who has nothing else.
    let (mut musterd, _, mqtt) = plant.0.serve("info").await;
    let mut here = Mqtt::dial(mqtt, &roots, Some(&old_pair), None).await.unwrap();
    assert!(here.connect("", None).await.is_some());
    plant.done(&format!("remove {id} --dir registry --force")).await;
    assert!(answers(&mut here).await);
    let told = reloaded(&mut musterd, "is gone").await;
    assert!(told.contains("sessions_ended=1"), "{told}");
    while here.hear().await.is_some() {}
    assert!(!connects(mqtt, &roots, &old_pair).await);
    assert!(connects(mqtt, &roots, &new_pair).await);
    stopped(musterd).await;
    let checked = Program::run(&mut plant.0.musterd("check")).await;
    assert_eq!(
        (checked.code, checked.out.trim()),
        (Some(0), "everything is in order")
    );
    // A root key that lies in the server's directory is told, by whoever opens it.
    copy_tree(&plant.path("registry-offline"), &plant.path("registry/offline"));
    let checked = Program::run(&mut plant.0.musterd("check")).await;
    assert!(
        checked
            .out
            .contains("warning: the root key lies in the server's directory"),
        "{checked:?}"
    );
    let (mut musterd, ..) = plant.0.serve("info").await;
    musterd
        .logged("the root key lies in the server's directory")
        .await;
    musterd.killed().await;
}

/// A real agent that pins the root of a file.
fn agent(plant: &Plant, serial: &str, code: &str, mqtt: SocketAddr, root: &str) -> Program {
    let place = plant.path(&format!("agent-{serial}"));
    fs::create_dir_all(&place).unwrap();
    if !place.join("state").exists() {
        fs::write(place.join("code"), code).unwrap();
    }
    let show = |path: PathBuf| path.display().to_string();
    let config = format!(
        "serial = {serial:?}\nactivation_code_file = {:?}\nstate_directory = {:?}\nserver = \"{mqtt}\"\n\
         server_name = \"localhost\"\nroot = {:?}\nfirmware = \"2.3.1\"\n",
        show(place.join("code")),
        show(place.join("state")),
        show(plant.path(root)),
    );
    fs::write(place.join("agent.toml"), config).unwrap();
    Program::start(
        Program::command("muster-agent")
            .arg("--config")
            .arg(place.join("agent.toml")),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_root_takes_over_from_one_that_devices_have_pinned() {
    let plant = Plant::new();
    fs::copy(plant.path("registry/operator/root.pem"), plant.path("pinned.pem")).unwrap();
    let (musterd, _, mqtt) = plant.0.serve("info").await;
    let client = connected(&plant.0).await;
    catalog(&client).await;
    let (rows, ended) = import(&client, &fixture::manifest("gateways.csv"), |_| {}).await;
    ended.unwrap();
    let mut first = agent(
        &plant,
        "GW2-7000001",
        &rows[0].activation_code,
        mqtt,
        "pinned.pem",
    );
    first.logged("reported").await;
    first.killed().await;
    drop(client);
    stopped(musterd).await;
    // 1. A new root, and everything that rotates under it.
    plant
        .done("root --offline registry-offline --passphrase-file passphrase --out second")
        .await;
    plant
        .refused(
            "root --offline registry-offline --passphrase-file passphrase --out second",
            "is not empty",
        )
        .await;
    plant
        .refused(
            &format!("install second/root.pem {DEVICES}"),
            "holds a root alone",
        )
        .await;
    let told = plant
        .done(&format!("install second/root-and-link.pem {DEVICES}"))
        .await;
    assert!(told.contains("pins"), "{told}");
    for kind in ["servers", "devices", "operators"] {
        plant
            .done(&format!("rotate {kind} {DEVICES} --offline second"))
            .await;
    }
    let waits = plant
        .done(&format!("rotate config {DEVICES} --offline second"))
        .await;
    assert!(waits.contains("devices do not trust its root yet"), "{waits}");
    // 2. Who pinned the old one connects, claims and obeys as before.
    let (musterd, _, mqtt) = plant.0.serve("info").await;
    let mut first = agent(&plant, "GW2-7000001", "", mqtt, "pinned.pem");
    first.logged("connected").await;
    let mut second = agent(
        &plant,
        "GW2-7000002",
        &rows[1].activation_code,
        mqtt,
        "pinned.pem",
    );
    second.logged("reported").await;
    // And so does who pins both: the file for new devices has them.
    let mut third = agent(
        &plant,
        "GW2-7000003",
        &rows[2].activation_code,
        mqtt,
        "registry/operator/root.pem",
    );
    third.logged("reported").await;
    let chain = claim(
        mqtt,
        &plant.roots(),
        "GW2-7000004",
        &rows[3].activation_code,
        &Key::new(),
    )
    .await;
    for root in ["pinned.pem", "second/root.pem"] {
        assert!(plant.verifies(&chain, &plant.path(root)).await, "{root}");
    }
    // 3. The operator's tool goes on, with the file that has both.
    let whoami = Program::run(plant.0.muster().args(["operator", "whoami"])).await;
    assert_eq!(whoami.code, Some(0), "{whoami:?}");
    for program in [first, second, third, musterd] {
        program.killed().await;
    }
}

/// Devices that say they trust by this version.
async fn trusting(plant: &Plant, version: u64) -> usize {
    let mut muster = plant.0.muster();
    let filter = format!("trust_version = {version}");
    muster.args([
        "device",
        "list",
        "-o",
        "csv",
        "--columns",
        "serial",
        "--filter",
        &filter,
    ]);
    let listed = Program::run(&mut muster).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    listed.out.lines().count() - 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_leave_a_root_behind_and_latecomers_find_them() {
    let plant = Plant::new();
    let offline = |with: &str| format!("{DEVICES} --offline {with}");
    fs::copy(plant.path("registry/operator/root.pem"), plant.path("pinned.pem")).unwrap();
    let (musterd, _, mqtt) = plant.0.serve("info").await;
    let client = connected(&plant.0).await;
    catalog(&client).await;
    let (rows, ended) = import(&client, &fixture::manifest("gateways.csv"), |_| {}).await;
    ended.unwrap();
    let device = |number: usize, mqtt| {
        let (serial, code) = (
            format!("GW2-{}", 7_000_001 + number),
            &rows[number].activation_code,
        );
        agent(&plant, &serial, code, mqtt, "pinned.pem")
    };
    let mut here = device(0, mqtt);
    here.logged("reported").await;
    assert_eq!(trusting(&plant, 0).await, rows.len());
    here.killed().await;
    drop(client);
    stopped(musterd).await;
    // 1. A second root; the first vouches for it, in three steps.
    plant
        .done("root --offline registry-offline --passphrase-file passphrase --out second")
        .await;
    plant
        .done(&format!("install second/root-and-link.pem {DEVICES}"))
        .await;
    let told = plant.done("list --dir registry").await;
    assert!(told.contains("see `musterd authority request trust`"), "{told}");
    plant
        .done(&format!("request trust {DEVICES} --out draft.json"))
        .await;
    plant
        .refused(
            "sign draft.json --offline registry-offline --passphrase-file passphrase --kind config --out trust.json",
            "is not a certificate request",
        )
        .await;
    let signed = plant
        .done(
            "sign draft.json --offline registry-offline --passphrase-file passphrase --kind trust --out trust.json",
        )
        .await;
    assert!(
        signed.contains("version 1") && signed.matches("root").count() >= 2,
        "{signed}"
    );
    plant
        .refused(&format!("install draft.json {DEVICES}"), "is no version of trust")
        .await;
    let told = plant.done(&format!("install trust.json {DEVICES}")).await;
    assert!(told.contains("trust_version < 1"), "{told}");
    for kind in ["servers", "devices", "operators", "config", "checkpoint"] {
        let told = plant.done(&format!("rotate {kind} {}", offline("second"))).await;
        assert!(!told.contains("waits"), "{told}");
    }
    let (musterd, _, mqtt) = plant.0.serve("info").await;
    let mut here = device(0, mqtt);
    here.logged("other roots are trusted version=1").await;
    until("the registry knows", async || {
        (trusting(&plant, 1).await == 1).then_some(())
    })
    .await;
    // Its certificate comes from the new authority.
    let renew = Program::run(plant.0.muster().args(["device", "renew", "serial:GW2-7000001"])).await;
    assert_eq!(renew.code, Some(0), "{renew:?}");
    here.logged("certificate renewed").await;
    here.killed().await;
    // And so does that of whoever operates it.
    let out = plant.path("eve");
    let mut create = plant.0.muster();
    create
        .args(["operator", "create", "eve", "--role", "admin", "--out"])
        .arg(&out);
    let created = Program::run(&mut create).await;
    assert_eq!(created.code, Some(0), "{created:?}");
    for name in ["operator.pem", "operator.key"] {
        fs::copy(out.join(name), plant.path("registry/operator").join(name)).unwrap();
    }
    stopped(musterd).await;
    // 2. The first root goes, with all that stood under it, and devices are told.
    let listed = plant.done("list --dir registry").await;
    let mut old: Vec<_> = listed
        .lines()
        .filter(|line| line.contains("  trusted  "))
        .map(|line| line.split_whitespace().nth(2).unwrap().to_owned())
        .collect();
    let roots: Vec<_> = old.drain(..2).collect();
    for id in old.iter().chain([&roots[0]]) {
        plant.done(&format!("remove {id} --dir registry --force")).await;
    }
    plant.done(&format!("rotate trust {}", offline("second"))).await;
    let listed = plant.done("list --dir registry").await;
    assert!(
        listed.contains(&format!("version 2 names {}, signed by {}", roots[1], roots[1])),
        "{listed}"
    );
    assert!(!listed.contains("warning"), "{listed}");
    // 3. Who was here goes on, and who lay in a store with the first root alone comes to the second.
    let (musterd, _, mqtt) = plant.0.serve("info").await;
    let (mut here, mut new) = (device(0, mqtt), device(1, mqtt));
    here.logged("other roots are trusted version=2").await;
    new.logged("other roots are trusted version=2").await;
    new.logged("reported").await;
    until("both are known", async || {
        (trusting(&plant, 2).await == 2).then_some(())
    })
    .await;
    here.killed().await;
    let mut here = device(0, mqtt);
    here.logged("connected").await;
    for program in [here, new, musterd] {
        program.killed().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_puts_the_root_key_where_it_is_told() {
    let plant = Plant::new();
    let init = |directory: &str, more: &str| {
        let mut musterd = Program::command("musterd");
        musterd
            .args("init --passphrase-file passphrase --dir".split(' '))
            .arg(directory)
            .args(more.split_whitespace())
            .current_dir(plant.path(""));
        musterd
    };
    let made = Program::run(&mut init("one", "")).await;
    assert!(
        made.code == Some(0) && made.out.contains("one-offline"),
        "{made:?}"
    );
    let made = Program::run(&mut init("two", "--offline stick/two")).await;
    assert!(made.code == Some(0) && made.out.contains("stick/two"), "{made:?}");
    for place in ["one-offline", "stick/two"] {
        assert!(plant.path(place).join("root.key").exists());
    }
    let within = |directory: &str| {
        let files = files_below(&plant.path(directory)).into_iter();
        files.filter(|path| path.ends_with("root.key")).count()
    };
    assert_eq!(within("one") + within("two"), 0);
    for (offline, expected) in [
        ("one-offline", "is not empty"),
        ("three/offline", "lies in the registry's directory"),
    ] {
        let refused = Program::run(&mut init("three", &format!("--offline {offline}"))).await;
        assert!(
            refused.code != Some(0) && refused.log.contains(expected),
            "{refused:?}"
        );
        assert!(!plant.path("three").exists());
    }
}
