//! Somebody else's MQTT client, with a device's certificate: `mosquitto_pub`, `_sub` and `_rr` of Debian.

use muster_tests::{Ended, Pair, Program, World};
use std::{fs, process::Command};

const SECONDS: &str = "20";

/// A device that has claimed, and its credentials as files.
struct Device<'w> {
    world: &'w World,
    id: String,
}

impl<'w> Device<'w> {
    fn new(world: &'w World, id: String, pair: &Pair) -> Self {
        for (name, text) in [("device.pem", &pair.chain), ("device.key", &pair.key)] {
            fs::write(world.path(name), text).unwrap();
        }
        Self { world, id }
    }

    /// One of Mosquitto's clients as this device.
    fn client(&self, program: &str, version: &str) -> Command {
        let mut client = Command::new(program);
        let port = self.world.mqtt().port().to_string();
        client.args([
            "-h",
            "localhost",
            "-p",
            &port,
            "-V",
            version,
            "-i",
            &self.id,
            "-q",
            "1",
        ]);
        client
            .arg("--cafile")
            .arg(self.world.registry().join("operator/root.pem"));
        client.arg("--cert").arg(self.world.path("device.pem"));
        client.arg("--key").arg(self.world.path("device.key"));
        client
    }

    async fn publish(&self, version: &str, topic: &str, message: &str) -> Ended {
        Program::run(
            self.client("mosquitto_pub", version)
                .args(["-d", "-t", topic, "-m", message]),
        )
        .await
    }

    async fn subscribe(&self, version: &str, topic: &str) -> Ended {
        // One message or the end of patience; a refused subscription ends at once.
        Program::run(
            self.client("mosquitto_sub", version)
                .args(["-d", "-E", "-W", SECONDS, "-t", topic]),
        )
        .await
    }

    fn topic(&self, channel: &str) -> String {
        format!("muster/v1/{}/{channel}/json", self.id)
    }
}

fn hello() -> String {
    format!(
        r#"{{"generation": 0, "digest": "{}", "agent_version": "mosquitto", "firmware": "2.3.1", "boot_id": 7}}"#,
        "0".repeat(64)
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_mosquitto_may_use_its_own_topics_and_no_others() {
    let world = World::start().await;
    let mut codes = world.gateways(2).await;
    let (other, other_code) = codes.remove(1);
    let (serial, code) = codes.remove(0);
    world.claim(&other, &other_code).await;
    let pair = world.claim(&serial, &code).await;
    let id = async |serial: &str| {
        world
            .device(serial)
            .await
            .name
            .trim_start_matches("devices/")
            .to_owned()
    };
    let other = id(&other).await;
    let device = Device::new(&world, id(&serial).await, &pair);
    for version in ["311", "5"] {
        // Its own hello is acknowledged, and recorded.
        let sent = device.publish(version, &device.topic("hello"), &hello()).await;
        assert_eq!(sent.code, Some(0), "{version}: {sent:?}");
        assert_eq!(
            world.device(&serial).await.reported.unwrap().agent_version,
            "mosquitto"
        );
        // Hello up, desired state down, on one connection.
        let mut asked = device.client("mosquitto_rr", version);
        asked.args([
            "-W",
            SECONDS,
            "-t",
            &device.topic("hello"),
            "-e",
            &device.topic("desired"),
            "-m",
            &hello(),
        ]);
        let answered = Program::run(&mut asked).await;
        assert_eq!(answered.code, Some(0), "{version}: {answered:?}");
        let envelope: serde_json::Value = serde_json::from_str(answered.out.trim()).unwrap();
        for field in ["key_id", "certificate", "payload", "signature"] {
            assert!(envelope[field].is_string(), "{version}: {field} of {envelope}");
        }
        // Nothing else.
        for topic in [
            format!("muster/v1/{other}/hello/json"),
            device.topic("desired"),
            "test".into(),
        ] {
            let sent = device.publish(version, &topic, &hello()).await;
            let refused = match version {
                // 3.1.1 has no way to say no but to hang up (7: the connection was lost).
                "311" => sent.code == Some(7),
                _ => sent.out.contains("RC:135") && sent.log.contains("M7001"),
            };
            assert!(refused, "{version} {topic}: {sent:?}");
        }
        for topic in [
            "#".into(),
            "muster/v1/+/desired/json".into(),
            format!("muster/v1/{other}/desired/json"),
        ] {
            let sent = device.subscribe(version, &topic).await;
            let code = if version == "311" { 128 } else { 135 };
            assert!(
                sent.out.contains(&format!("Subscribed (mid: 1): {code}\n")),
                "{version} {topic}: {sent:?}"
            );
        }
        let granted = device.subscribe(version, &device.topic("desired")).await;
        assert_eq!(granted.code, Some(0), "{version}: {granted:?}");
        assert!(
            granted.out.contains("Subscribed (mid: 1): 1\n"),
            "{version}: {granted:?}"
        );
    }
    assert!(
        world
            .device(&other_serial(&world, &other).await)
            .await
            .reported
            .is_none()
    );
}

async fn other_serial(world: &World, id: &str) -> String {
    let request = muster_proto::v1::GetDeviceRequest {
        name: format!("devices/{id}"),
    };
    world
        .client
        .devices
        .clone()
        .get_device(request)
        .await
        .unwrap()
        .into_inner()
        .serial
}
