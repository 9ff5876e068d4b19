//! A firmware policy: what it would make of the fleet is told before anything moves, and comes true.

use super::changes::{Desk, asked, strategy};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use muster_domain::Code;
use muster_proto::v1::{
    self, FirmwareForecast, ForetoldDevice,
    change::State,
    change_action::{self, Action},
    forecast_firmware_request::Policy,
    forecast_firmware_response::Part,
    foretold_device::Outcome,
    resource::Resource,
};
use muster_tests::{Running, World, grpc, until};
use rcgen::{KeyPair, SigningKey as _};
use sha2::{Digest as _, Sha256};
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

/// What the agent itself decided, as far as `read` finds it there.
async fn decision<T>(world: &World, serial: &str, read: impl Fn(&serde_json::Value) -> Option<T>) -> T {
    let path = world.agent_state(serial).join("config/firmware.json");
    until("the agent has decided", async || {
        let text = std::fs::read_to_string(&path).ok()?;
        read(&serde_json::from_str(&text).ok()?)
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
    let decided = decision(&world, serial, |file| {
        Some(file["explanation"].as_str()?.to_owned())
    })
    .await;
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

/// The same, and a candidate for whoever is labelled so.
fn with_beta(version: &str) -> String {
    let image = AT_ANY_TIME.split("update.target]").last().unwrap();
    let image = image.replace("2.4.1", version);
    format!("{AT_ANY_TIME}[firmware_policies.channels.beta.update.target]{image}")
}

/// Waits until the agent is about to install that version.
async fn installs(world: &World, serial: &str, version: &str) {
    decision(world, serial, |file| {
        let next = &file["decision"]["install"]["artifact"]["version"];
        (next == version).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_takes_a_device_to_another_channel() {
    let world = World::start().await;
    world.apply_text(&with_beta("2.5.0")).await;
    let gateways = world.gateways(2).await;
    let running: Vec<_> = gateways
        .iter()
        .map(|(serial, code)| world.agent(serial, code))
        .collect();
    for (serial, _) in &gateways {
        installs(&world, serial, "2.4.1").await;
        world.verified(serial, 1).await;
    }

    // Labels are changed as all else. It is proved by whoever installs it, which the agent leaves to others.
    let mut desk = Desk::of(&world);
    let relabel = Action::Relabel(change_action::Relabel {
        set: [("channel".to_owned(), "beta".to_owned())].into(),
        remove: Vec::new(),
    });
    let request = v1::CreateChangeRequest {
        filter: format!("serial = {:?}", gateways[0].0),
        ..asked(relabel, strategy(0))
    };
    desk.started(request).await;
    installs(&world, &gateways[0].0, "2.5.0").await;
    assert_eq!(world.device(&gateways[1].0).await.desired.unwrap().generation, 1);

    // What was foretold is what they decided, and all channels are shown.
    let (devices, forecast) = foretold(&world, named("gw-200-stable"), "").await.unwrap();
    let told = |serial: &str| {
        let told = devices.iter().find(|told| told.serial == serial).unwrap();
        (told.channel.as_str(), told.versions[0].as_str())
    };
    assert_eq!(told(&gateways[0].0), ("beta", "2.5.0"));
    assert_eq!(told(&gateways[1].0), ("", "2.4.1"));
    let mut kinds: Vec<_> = forecast
        .alike
        .iter()
        .map(|alike| (alike.channel.as_str(), alike.count))
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [("", 1), ("beta", 1)]);
    let request = v1::GetFirmwarePolicyRequest {
        name: "firmwarePolicies/gw-200-stable".into(),
    };
    let shown = world.client.catalog.clone().get_firmware_policy(request).await;
    let shown: serde_json::Value = serde_json::from_str(&shown.unwrap().into_inner().source_json).unwrap();
    let beta = &shown["channels"]["beta"]["update"]["target"]["version"];
    assert_eq!(
        (beta, &shown["channel_label"]),
        (&"2.5.0".into(), &"channel".into())
    );
    for agent in running {
        agent.stopped().await;
    }
}

/// A target with this image, signed by `author` as that other image.
fn target(table: &str, version: &str, image: &[u8], author: Option<(&KeyPair, &[u8])>) -> String {
    let digest: String = Sha256::digest(image)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let signature = author
        .map(|(key, signed)| format!("signature = \"{}\"\n", STANDARD.encode(key.sign(signed).unwrap())));
    format!(
        "[firmware_policies.{table}update.target]\nversion = \"{version}\"\nurl = \"https://firmware.example/{version}\"\n\
         sha256 = \"{digest}\"\nsize = {}\n{}",
        image.len(),
        signature.unwrap_or_default()
    )
}

/// Takes devices to a channel, and waits until the change was halted by the first that failed.
async fn halts_in_channel(world: &World, channel: &str, serials: &[&str]) {
    let mut desk = Desk::of(world);
    let relabel = Action::Relabel(change_action::Relabel {
        set: [("channel".to_owned(), channel.to_owned())].into(),
        remove: Vec::new(),
    });
    let named: Vec<_> = serials
        .iter()
        .map(|serial| format!("serial = {serial:?}"))
        .collect();
    let request = v1::CreateChangeRequest {
        filter: named.join(" OR "),
        ..asked(relabel, strategy(0))
    };
    let change = desk.started(request).await;
    desk.when(&change.name, "a failure halts the change", |change| {
        change.state() == State::Halted
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_with_its_authors_key_installs_nothing_else_whatever_the_registry_says() {
    let world = World::start().await;
    let author = KeyPair::generate().unwrap();
    let (image, other) = (&b"the image"[..], &b"another image"[..]);
    world
        .apply_text(
            &[
                AT_ANY_TIME.split("[firmware_policies.update").next().unwrap(),
                &target("", "2.4.1", image, Some((&author, image))),
                &target("channels.unsigned.", "2.5.0", other, None),
                // As of a registry that was taken: its own image under the author's signature.
                &target("channels.altered.", "2.6.0", other, Some((&author, image))),
            ]
            .concat(),
        )
        .await;
    let key = world.path("author.pem");
    std::fs::write(&key, author.public_key_pem()).unwrap();
    let gateways = world.gateways(3).await;
    let [trusting, first, second] = [0, 1, 2].map(|place| gateways[place].0.as_str());
    let running: Vec<_> = gateways
        .iter()
        .map(|(serial, code)| {
            let settings = world
                .agent_settings(serial, world.mqtt())
                .code(code.clone().into());
            let settings = if serial == trusting {
                settings
            } else {
                settings.firmware_keys([&key])
            };
            Running::start(settings.build().unwrap())
        })
        .collect();
    for (serial, _) in &gateways {
        installs(&world, serial, "2.4.1").await;
        world.verified(serial, 1).await;
        let signature = decision(&world, serial, |file| {
            Some(file["decision"]["install"]["artifact"]["signature"].clone())
        });
        assert!(signature.await.is_string(), "the installer can check it, too");
    }
    halts_in_channel(&world, "unsigned", &[trusting, first]).await;
    halts_in_channel(&world, "altered", &[second]).await;
    installs(&world, trusting, "2.5.0").await;
    for (serial, expected) in [
        (first, "The image of 2.5.0 is not signed"),
        (second, "The signature of 2.6.0 is not over this image"),
    ] {
        let verdict = world.device(serial).await.verification.unwrap();
        assert_eq!(verdict.state(), v1::verification::State::Failed, "{verdict:?}");
        assert_eq!(verdict.facet, "firmware");
        assert!(verdict.reason.contains(expected), "{verdict:?}");
        let file = decision(&world, serial, |file| Some(file.clone())).await;
        assert_eq!(file["decision"], "stuck", "{file}");
        assert!(file["explanation"].as_str().unwrap().contains(expected), "{file}");
    }
    for agent in running {
        agent.stopped().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_contradicts_its_policy_is_refused_at_its_field() {
    let world = World::start().await;
    let policy = r#"{"name": "p", "applies_to": {"models": ["*"]}, "channels": {"beta": {"update":
        {"target": {"version": "2.5.0-rc.1", "url": "http://h/i", "sha256": "0", "size": 1}}}}}"#;
    let policy = v1::FirmwarePolicy {
        name: "firmwarePolicies/p".into(),
        source_json: policy.into(),
        revision: None,
    };
    let request = v1::ApplyRequest {
        resources: vec![v1::Resource {
            resource: Some(Resource::FirmwarePolicy(policy)),
        }],
        validate_only: true,
    };
    let status = world.client.catalog.clone().apply(request).await.unwrap_err();
    assert_eq!(grpc::refusal(&status), Some(Code::PolicyInvalid));
    let target = "resources[0].channels.beta.update.target";
    assert_eq!(
        grpc::fields(&status),
        [format!("{target}.sha256"), format!("{target}.version")]
    );
}
