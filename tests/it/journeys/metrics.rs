//! What a monitoring system sees, and who is one.

use muster_domain::access::Role;
use muster_tests::{Answer, Pair, World};
use rumqttc::v5::mqttbytes::v5::ConnectReturnCode;

async fn fetch(world: &World, pair: Option<&Pair>) -> Answer {
    let mut http = world.http(pair).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    http.ask(request).await.expect("an answer")
}

/// The value of a sample, by its name with labels.
fn sample(text: &str, name: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_what_the_gate_does() {
    let world = World::start().await;
    let devices = world.gateways(2).await;
    let pair = world.claim(&devices[0].0, &devices[0].1).await;
    let viewer = world.operator("watcher", Role::Viewer).await;
    let before = fetch(&world, Some(&viewer)).await;
    assert_eq!(before.status, 200);
    assert!(
        before
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    let before = before.text();
    let check = |text: &str, name: &str, expected: Option<f64>| {
        assert_eq!(sample(text, name), expected, "{name} in\n{text}");
    };
    check(&before, "muster_devices{state=\"REGISTERED\"}", Some(1.0));
    check(&before, "muster_devices{state=\"CLAIMED\"}", Some(1.0));
    check(&before, "muster_mqtt_sessions", Some(0.0));
    check(
        &before,
        "muster_mqtt_messages_received_total{channel=\"claim\",outcome=\"accepted\"}",
        Some(1.0),
    );
    check(&before, "muster_store_writable", Some(1.0));
    assert!(before.ends_with("# EOF\n"));

    let running = world.agent(&devices[1].0, &devices[1].1);
    world.verified(&devices[1].0, 1).await;
    let mut mqtt = world.dial(Some(&pair)).await.unwrap();
    assert_eq!(
        mqtt.connect("", None).await.unwrap().code,
        ConnectReturnCode::Success
    );
    let after = fetch(&world, Some(&world.admin())).await.text();
    check(&after, "muster_mqtt_sessions", Some(2.0));
    check(&after, "muster_devices_online", Some(2.0));
    check(
        &after,
        "muster_devices_verification{state=\"VERIFIED\"}",
        Some(1.0),
    );
    check(
        &after,
        "muster_mqtt_sessions_started_total{version=\"5.0\"}",
        Some(1.0),
    );
    check(
        &after,
        "muster_mqtt_messages_received_total{channel=\"report\",outcome=\"accepted\"}",
        Some(1.0),
    );
    check(
        &after,
        "muster_mqtt_messages_sent_total{channel=\"desired\"}",
        Some(1.0),
    );
    check(
        &after,
        "muster_mqtt_messages_acknowledged_total{channel=\"desired\"}",
        Some(1.0),
    );
    check(&after, "muster_mqtt_messages_in_flight", Some(0.0));
    check(
        &after,
        "muster_delivery_desired_sent_total{kind=\"first\"}",
        Some(1.0),
    );
    check(
        &after,
        "muster_delivery_desired_sent_total{kind=\"repeat\"}",
        None,
    );
    assert!(sample(&after, "process_resident_memory_bytes").unwrap() > 1e6);
    assert!(
        sample(&after, "muster_store_commits_total").unwrap()
            > sample(&before, "muster_store_commits_total").unwrap()
    );
    // Nothing of a device or a code.
    for (serial, code) in &devices {
        assert!(!after.contains(serial.as_str()) && !after.contains(code.as_str()));
    }
    running.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_nobody_else_sees_it() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let device = world.claim(&serial, &code).await;
    for pair in [None, Some(&device)] {
        let answer = fetch(&world, pair).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert!(!answer.text().contains("muster_"), "{}", answer.text());
    }
}
