//! A firmware policy: what it would make of the fleet is told before anything moves, and comes true.

use muster_domain::Code;
use muster_proto::v1::{
    self, FirmwareForecast, ForetoldDevice, forecast_firmware_request::Policy,
    forecast_firmware_response::Part, foretold_device::Outcome,
};
use muster_tests::{World, grpc, until};
use tonic::Status;

/// Without windows, so that what is foretold does not hang on the hour.
const AT_ANY_TIME: &str = r#"
[[firmware_policies]]
name = "gw-200-stable"
[firmware_policies.applies_to]
models = ["GW-200"]
[firmware_policies.permit]
minimum = "2.1.0"
[firmware_policies.update.target]
version = "2.4.1"
url = "https://firmware.example/gw-200/2.4.1.img"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
size = 18874368
"#;

async fn foretold(
    world: &World,
    policy: Policy,
    filter: &str,
) -> Result<(Vec<ForetoldDevice>, FirmwareForecast), Status> {
    let request = v1::ForecastFirmwareRequest {
        policy: Some(policy),
        filter: filter.into(),
        each_device: true,
        ..v1::ForecastFirmwareRequest::default()
    };
    let mut parts = world
        .client
        .fleet
        .clone()
        .forecast_firmware(request)
        .await?
        .into_inner();
    let mut devices = Vec::new();
    while let Some(part) = parts.message().await? {
        match part.part {
            Some(Part::Devices(told)) => devices.extend(told.devices),
            Some(Part::Forecast(forecast)) => return Ok((devices, forecast)),
            Some(Part::LookedAt(_)) | None => {}
        }
    }
    panic!("the forecast did not come");
}

fn named(name: &str) -> Policy {
    Policy::Name(format!("firmwarePolicies/{name}"))
}

/// What the agent itself decided.
async fn decided(world: &World, serial: &str) -> String {
    let path = world.agent_state(serial).join("config/firmware.json");
    until("the agent has decided", async || {
        let text = std::fs::read_to_string(&path).ok()?;
        let file: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(file["explanation"].as_str()?.to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_foretold_is_what_the_device_decides() {
    let world = World::start().await;
    world.apply_text(AT_ANY_TIME).await;
    let gateways = world.gateways(3).await;
    let (serial, code) = &gateways[0];
    let running = world.agent(serial, code);
    // It says that it waits for an installer, which the verdict waits for too.
    let decided = decided(&world, serial).await;
    until("the registry knows what it runs", async || {
        let reported = world.device(serial).await.reported;
        (reported?.firmware == "2.3.1").then_some(())
    })
    .await;

    let (devices, forecast) = foretold(&world, named("gw-200-stable"), "").await.unwrap();
    let told = devices.iter().find(|told| told.serial == *serial).unwrap();
    assert_eq!(told.explanation, decided);
    assert_eq!((told.outcome(), told.assumed), (Outcome::Install, false));
    assert_eq!(told.versions, ["2.4.1"]);
    assert_eq!(forecast.devices, 3);
    assert_eq!(forecast.outcomes["INSTALL"], 3);
    let [alike] = forecast.alike.as_slice() else {
        panic!("{:?}", forecast.alike);
    };
    // Two of them have said nothing yet.
    assert_eq!((alike.count, alike.assumed), (3, 2));
    running.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_is_tried_before_it_is_on_record() {
    let world = World::start().await;
    let gateways = world.gateways(2).await;
    let draft = |minimum: &str| {
        Policy::SourceJson(format!(
            r#"{{"name": "draft", "applies_to": {{"models": ["*"]}}, "permit": {{"minimum": "{minimum}"}}}}"#
        ))
    };
    let filter = format!("serial = {:?}", gateways[1].0);
    let (devices, forecast) = foretold(&world, draft("3.0.0"), &filter).await.unwrap();
    assert_eq!((devices.len(), forecast.devices), (1, 1));
    assert_eq!(devices[0].outcome(), Outcome::Stuck);
    assert!(
        devices[0].reasons.contains(&"below_minimum".to_owned()),
        "{devices:?}"
    );
    let (_, forecast) = foretold(&world, draft("2.0.0"), "").await.unwrap();
    assert_eq!(forecast.outcomes["COMPLIANT"], 2);

    let refused = async |policy, filter| {
        let status = foretold(&world, policy, filter).await.unwrap_err();
        (grpc::refusal(&status), grpc::fields(&status))
    };
    let cases = [
        (named("nobody"), "", Code::NotFound, "name"),
        (named("gw-200-stable/revisions/9"), "", Code::NotFound, "name"),
        (draft("not a version"), "", Code::PolicyInvalid, "permit.minimum"),
        (draft("2.0.0"), "colour = red", Code::FilterInvalid, "filter"),
    ];
    for (policy, filter, code, field) in cases {
        let (found, fields) = refused(policy, filter).await;
        assert_eq!((found, fields), (Some(code), vec![field.to_owned()]));
    }
}
