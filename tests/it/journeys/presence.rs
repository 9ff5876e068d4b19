//! Presence: who is connected, since when, and why not.

use muster_proto::v1::{
    self, Presence,
    presence::{Reason, State},
};
use muster_tests::{Mqtt, Pair, World, until};
use rumqttc::v5::mqttbytes::v5::ConnectReturnCode;

pub(super) async fn connected(world: &World, pair: &Pair) -> Mqtt {
    let mut mqtt = world.dial(Some(pair)).await.unwrap();
    let answer = mqtt.connect("", None).await.unwrap();
    assert_eq!(answer.code, ConnectReturnCode::Success);
    mqtt
}

/// Serials of the devices that match.
async fn found(world: &World, filter: &str) -> Vec<String> {
    let request = v1::ListDevicesRequest {
        filter: filter.into(),
        ..Default::default()
    };
    let page = world.client.devices.clone().list_devices(request).await;
    let devices = page.unwrap().into_inner().devices;
    devices.into_iter().map(|device| device.serial).collect()
}

async fn away(world: &World, serial: &str, reason: Reason) -> Presence {
    let presence = until("the device is away", async || {
        let presence = world.device(serial).await.presence.unwrap();
        (presence.state() == State::Offline).then_some(presence)
    })
    .await;
    assert_eq!(presence.reason(), reason);
    presence
}

async fn connected_step(world: &World, serial: &str) -> v1::explain_device_response::Step {
    let request = v1::ExplainDeviceRequest {
        name: format!("devices/serial:{serial}"),
    };
    let explained = world.client.devices.clone().explain_device(request).await;
    explained.unwrap().into_inner().steps.remove(2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_online_until_it_is_not() {
    let mut world = World::start().await;
    let devices = world.gateways(3).await;
    let (serial, code) = devices[1].clone();
    let pair = world.claim(&serial, &code).await;
    // A claim is no connection of the device.
    let before = world.device(&serial).await;
    assert_eq!(before.presence, None);
    assert_eq!(found(&world, "online = true").await, [""; 0]);

    let mut mqtt = connected(&world, &pair).await;
    let device = world.device(&serial).await;
    let presence = device.presence.clone().unwrap();
    assert_eq!(
        (presence.state(), presence.reason()),
        (State::Online, Reason::Unspecified)
    );
    assert_eq!(presence.source, "127.0.0.1");
    assert!(presence.time.is_some());
    assert_eq!(
        (device.etag, device.update_time),
        (before.etag, before.update_time)
    );
    assert_eq!(found(&world, "online = true").await, [serial.as_str()]);
    assert_eq!(world.counts().await.online, 1);
    let step = connected_step(&world, &serial).await;
    assert_eq!(
        (step.detail.as_str(), step.time),
        ("online, from 127.0.0.1", presence.time)
    );

    // A second connection takes over: it stays online.
    let second = connected(&world, &pair).await;
    while mqtt.hear().await.is_some() {}
    assert_eq!(
        world.device(&serial).await.presence.unwrap().state(),
        State::Online
    );

    // The connection breaks.
    drop(second);
    let gone = away(&world, &serial, Reason::Lost).await;
    assert_eq!(found(&world, "online = true").await, [""; 0]);
    assert_eq!(found(&world, "online = false").await.len(), 3);
    assert_eq!(
        found(&world, "online = false AND presence_time:*").await,
        [serial.as_str()]
    );
    assert_eq!(world.counts().await.online, 0);
    let step = connected_step(&world, &serial).await;
    assert_eq!(
        (step.detail.as_str(), step.time),
        ("offline: the connection broke", gone.time)
    );

    // It is remembered.
    world.stopped().await.unwrap();
    world.serve_again().await;
    assert_eq!(world.device(&serial).await.presence, Some(gone));

    // The server stops under it.
    let mqtt = connected(&world, &pair).await;
    world.stopped().await.unwrap();
    drop(mqtt);
    world.serve_again().await;
    away(&world, &serial, Reason::Stopped).await;
    assert_eq!(world.counts().await.online, 0);

    // It is shut out.
    let mqtt = connected(&world, &pair).await;
    let request = v1::SuspendDeviceRequest {
        name: format!("devices/serial:{serial}"),
        reason: "stolen van".into(),
        etag: String::new(),
    };
    let mut devices = world.client.devices.clone();
    devices.suspend_device(request).await.unwrap();
    away(&world, &serial, Reason::ShutOut).await;
    drop(mqtt);
}
