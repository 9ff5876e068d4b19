//! Somebody else's MQTT client: a device in Python, on paho, in both versions of the protocol.

use super::grpcio::python;
use muster_proto::v1::device::State;
use muster_tests::{Program, World, fixture};
use serde_json::{Value, json};
use std::{fs, process::Command};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_in_python_is_verified_in_both_versions() {
    let Some(python) = python() else { return };
    let world = World::start().await;
    let mut gateways = world.gateways(3).await;
    let (other, _) = gateways.remove(2);
    let id = async |serial: &str| {
        let name = world.device(serial).await.name;
        name.trim_start_matches("devices/").to_owned()
    };
    let other = id(&other).await;
    for (version, (serial, code)) in ["311", "5"].into_iter().zip(gateways) {
        let pair = world.claim(&serial, &code).await;
        let own = id(&serial).await;
        for (name, text) in [("device.pem", &pair.chain), ("device.key", &pair.key)] {
            fs::write(world.path(name), text).unwrap();
        }
        let mut device = Command::new(&python);
        device
            .arg(fixture::in_repository("tests/clients/device.py"))
            .args(["--server", &format!("localhost:{}", world.mqtt().port())])
            .args(["--version", version, "--id", &own, "--other", &other])
            .arg("--root")
            .arg(world.registry().join("operator/root.pem"))
            .arg("--certificate")
            .arg(world.path("device.pem"))
            .arg("--key")
            .arg(world.path("device.key"));
        let ended = Program::run(&mut device).await;
        assert_eq!(ended.code, Some(0), "{version}: {ended:?}");
        let seen: Value = serde_json::from_str(&ended.out).expect("one JSON object");
        let is_5 = version == "5";
        let check = |key: &str, expected: Value| assert_eq!(seen[key], expected, "{version}: {key}");
        // paho tells the codes of 3.1.1 by the names and numbers of 5.0.
        check("foreign", json!(0x85));
        check("connack", json!(0));
        check(
            "granted",
            json!(if is_5 { [1, 0x87, 0x87] } else { [1, 0x80, 0x80] }),
        );
        check("hello", json!(0));
        check("device", json!(own));
        check("report", json!(0));
        if is_5 {
            check("terms", json!([16, 0, 0]));
            check("forbidden", json!(0x87));
            assert!(seen["why"].as_str().unwrap().starts_with("M7001: "), "{seen}");
        }
        let device = world.device(&serial).await;
        assert_eq!(device.state(), State::Active, "{version}");
        assert_eq!(device.reported.unwrap().agent_version, "paho");
    }
}
