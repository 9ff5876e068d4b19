//! `mosquitto_sub` with an integrator's certificate, and `muster mqtt tail`.

use muster_domain::access::Role;
use muster_tests::{Ended, Pair, Program, Registry, World, until};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// One of Mosquitto's clients with somebody's certificate, whose files are made here.
fn mosquitto(world: &World, program: &str, whose: &str, pair: &Pair) -> Command {
    let file = |end: &str, text: &str| {
        let path = world.path(&format!("{whose}.{end}"));
        fs::write(&path, text).unwrap();
        path
    };
    let mut client = Command::new(program);
    let port = world.mqtt().port().to_string();
    client.args(["-h", "localhost", "-p", &port, "-q", "1"]);
    client
        .arg("--cafile")
        .arg(world.registry().join("operator/root.pem"));
    client.arg("--cert").arg(file("pem", &pair.chain));
    client.arg("--key").arg(file("key", &pair.key));
    client
}

fn hello() -> String {
    let digest = "0".repeat(64);
    format!(
        r#"{{"generation": 0, "digest": "{digest}", "agent_version": "mosquitto", "firmware": null, "boot_id": 7}}"#
    )
}

/// The device says hello again and again until the other has ended.
async fn while_it_speaks(speak: impl Fn() -> Command, mut listening: Program) -> Ended {
    until("the listener has enough", async || {
        let said = Program::run(&mut speak()).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        listening.has_ended().then_some(())
    })
    .await;
    listening.ended().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mosquitto_hears_devices_and_the_audit_log_as_json() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let device = world.claim(&serial, &code).await;
    let ines = world.operator("ines", Role::Integrator).await;
    let name = world.device(&serial).await.name;
    let id = name.trim_start_matches("devices/");
    for version in ["311", "5"] {
        let mut listener = mosquitto(&world, "mosquitto_sub", "ines", &ines);
        listener.args(["-V", version, "-F", "%t %p", "-C", "3", "-W", "50"]);
        for filter in ["muster/v1/+/hello/json", "muster/v1/+/presence/json"] {
            listener.args(["-t", filter]);
        }
        let speak = || {
            let mut speaker = mosquitto(&world, "mosquitto_pub", "device", &device);
            let topic = format!("muster/v1/{id}/hello/json");
            speaker.args(["-V", version, "-i", id, "-t", &topic, "-m", &hello()]);
            speaker
        };
        let heard = while_it_speaks(speak, Program::start(&mut listener)).await;
        assert_eq!((heard.code, heard.out.lines().count()), (Some(0), 3), "{heard:?}");
        for line in heard.out.lines() {
            let (topic, payload) = line.split_once(' ').unwrap();
            let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
            if topic == format!("muster/v1/{id}/presence/json") {
                assert_eq!(payload["device_id"], id);
            } else {
                assert_eq!(topic, format!("muster/v1/{id}/hello/json"));
                assert_eq!(payload["agent_version"], "mosquitto");
            }
        }
        // What an integrator may not subscribe.
        for filter in ["#", "muster/v1/+/desired/json", "$share/g/muster/v1/+/hello"] {
            let mut refused = mosquitto(&world, "mosquitto_sub", "ines", &ines);
            refused.args(["-V", version, "-d", "-E", "-W", "20", "-t", filter]);
            let refused = Program::run(&mut refused).await;
            let code = if version == "311" { 128 } else { 135 };
            let line = format!("Subscribed (mid: 1): {code}\n");
            assert!(refused.out.contains(&line), "{version} {filter}: {refused:?}");
        }
    }
}

/// A served registry, with a device that speaks over Mosquitto.
struct Stage {
    world: World,
    serial: String,
    id: String,
    device: Pair,
}

impl Stage {
    async fn set() -> Self {
        let world = World::start().await;
        let (serial, code) = world.gateways(2).await.remove(0);
        let device = world.claim(&serial, &code).await;
        let name = world.device(&serial).await.name;
        // The context of the template says where its server would listen.
        let context = world.registry().join("operator/context.toml");
        let text = fs::read_to_string(&context).unwrap();
        let moved = text.lines().map(|line| match line.split_once(" = ") {
            Some(("server", _)) => format!("server = \"https://{}\"\n", world.grpc()),
            Some(("mqtt", _)) => format!("mqtt = \"{}\"\n", world.mqtt()),
            _ => format!("{line}\n"),
        });
        fs::write(&context, moved.collect::<String>()).unwrap();
        Self {
            serial,
            id: name.trim_start_matches("devices/").to_owned(),
            device,
            world,
        }
    }

    fn muster(&self, context: &Path, arguments: &[&str]) -> Command {
        let mut muster = Program::command("muster");
        muster.arg("--context").arg(context).args(arguments);
        muster.env("NO_COLOR", "1").env_remove("MUSTER_CONTEXT");
        muster.stdin(Stdio::null());
        muster
    }

    fn admin(&self, arguments: &[&str]) -> Command {
        self.muster(&self.world.registry(), arguments)
    }

    fn speak(&self) -> Command {
        let mut speaker = mosquitto(&self.world, "mosquitto_pub", "device", &self.device);
        let topic = format!("muster/v1/{}/hello/json", self.id);
        speaker.args(["-V", "5", "-i", &self.id, "-t", &topic, "-m", &hello()]);
        speaker
    }

    async fn refused(&self, context: &Path, arguments: &[&str], code: i32, why: &str) {
        let ended = Program::run(&mut self.muster(context, arguments)).await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.log.contains(why) && ended.out.is_empty(), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_shows_a_line_a_message() {
    let stage = Stage::set().await;
    let device = format!("serial:{}", stage.serial);
    let mut tail = Program::start(&mut stage.admin(&["mqtt", "tail", &device, "--count", "3"]));
    tail.logged("listening at").await;
    let shown = while_it_speaks(|| stage.speak(), tail).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let begin = format!("  {}  {}  ", stage.id, stage.serial);
    let said: Vec<_> = shown
        .out
        .lines()
        .map(|line| line.split_once(&begin).unwrap_or_else(|| panic!("{line}")).1)
        .collect();
    assert_eq!(
        said,
        [
            "presence  online, from 127.0.0.1",
            "hello     generation 0, agent mosquitto",
            "presence  offline: it said goodbye",
        ]
    );
    // For programs, with the audit log: everybody's messages, but of the log only what the device is in.
    let mut arguments = vec!["mqtt", "tail", "--events", "--json", "--count", "4", &device];
    let mut tail = Program::start(&mut stage.admin(&arguments));
    tail.logged("listening at").await;
    for command in ["suspend", "resume"] {
        let mut change = stage.admin(&["device", command, &device]);
        if command == "suspend" {
            change.args(["--reason", "a test"]);
        }
        assert_eq!(Program::run(&mut change).await.code, Some(0));
    }
    let other = stage.world.operator("olga", Role::Operator).await;
    drop(other);
    let shown = while_it_speaks(|| stage.speak(), tail).await;
    let lines: Vec<serde_json::Value> = shown
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["event", "event", "presence", "hello"]);
    let actions = lines[..2]
        .iter()
        .map(|line| line["message"]["action"].as_str().unwrap());
    assert_eq!(
        actions.collect::<Vec<_>>(),
        ["device_suspended", "device_resumed"]
    );
    assert_eq!(lines[3]["serial"], stage.serial);
    assert_eq!(lines[3]["message"]["agent_version"], "mosquitto");
    arguments.extend(["-o", "csv"]);
    stage
        .refused(&stage.world.registry(), &arguments, 2, "messages have no columns")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_says_why_it_is_refused() {
    let stage = Stage::set().await;
    let ines = stage.world.path("ines");
    let path = ines.to_str().unwrap();
    let create = [
        "operator",
        "create",
        "ines",
        "--role",
        "integrator",
        "--out",
        path,
    ];
    let created = Program::run(&mut stage.admin(&create)).await;
    assert_eq!(created.code, Some(0), "{created:?}");
    // Their directory knows where MQTT is spoken, and their role may look a device up.
    let device = format!("serial:{}", stage.serial);
    let listen = ["mqtt", "tail", &device, "--count", "1"];
    let mut tail = Program::start(&mut stage.muster(&ines, &listen));
    tail.logged("listening at").await;
    assert_eq!(while_it_speaks(|| stage.speak(), tail).await.code, Some(0));

    stage
        .refused(&ines, &["mqtt", "tail", "serial:NOBODY"], 5, "M1004")
        .await;
    let nowhere = ["mqtt", "tail", "--mqtt", "127.0.0.1:1"];
    stage.refused(&ines, &nowhere, 7, "is this its MQTT port?").await;
    let wrong = stage.world.grpc().to_string();
    stage
        .refused(
            &ines,
            &["mqtt", "tail", "--mqtt", &wrong],
            7,
            "is this its MQTT port?",
        )
        .await;

    // Shut out while it listens, and before.
    let mut tail = Program::start(&mut stage.muster(&ines, &["mqtt", "tail"]));
    tail.logged("listening at").await;
    let disabled = Program::run(&mut stage.admin(&["operator", "disable", "ines"])).await;
    assert_eq!(disabled.code, Some(0), "{disabled:?}");
    let ended = tail.ended().await;
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(ended.log.contains("the operator was shut out"), "{ended:?}");
    stage.refused(&ines, &["mqtt", "tail"], 6, "M6003").await;

    // A context of a program that knew no such address.
    let context = stage.world.registry().join("operator/context.toml");
    let text = fs::read_to_string(&context).unwrap();
    let former: String = text
        .lines()
        .filter(|line| !line.starts_with("mqtt"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&context, former).unwrap();
    stage
        .refused(&context, &["mqtt", "tail"], 2, "--mqtt HOST:PORT")
        .await;
    let address = stage.world.mqtt().to_string();
    let mut tail = Program::start(&mut stage.admin(&["mqtt", "tail", "--mqtt", &address, "--count", "1"]));
    tail.logged("listening at").await;
    assert_eq!(while_it_speaks(|| stage.speak(), tail).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_comes_back_and_misses_no_entry_of_the_audit_log() {
    let registry = Registry::new();
    registry.keep_ports();
    let (musterd, _, _) = registry.serve("info").await;
    let mut muster = registry.muster();
    muster.args(["mqtt", "tail", "--events", "-o", "jsonl"]);
    let mut tail = Program::start(&mut muster);
    tail.logged("listening at").await;
    let create = async |name: &str| {
        let mut create = registry.muster();
        create.args(["operator", "create", name, "--role", "viewer", "--out"]);
        let created = Program::run(create.arg(registry.path(name))).await;
        assert_eq!(created.code, Some(0), "{created:?}");
    };
    create("first").await;
    until("the first entry is shown", async || {
        tail.out().contains("first").then_some(())
    })
    .await;
    musterd.signal("TERM");
    assert_eq!(musterd.ended().await.code, Some(0));
    tail.logged("trying again in").await;
    let (_musterd, _, _) = registry.serve("info").await;
    create("second").await;
    tail.logged("listening again").await;
    create("third").await;
    until("the last entry is shown", async || {
        tail.out().contains("third").then_some(())
    })
    .await;
    let entries: Vec<serde_json::Value> = tail
        .out()
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let names: Vec<_> = entries
        .iter()
        .map(|entry| entry["message"]["subject"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["operators/first", "operators/second", "operators/third"]);
}
