//! Our binaries as a user starts them, and other people's programs against them.

mod approvals;
mod attacks;
mod authority;
mod certificates;
mod cli;
mod crash;
mod demo;
mod est;
mod firmware;
mod fleet;
mod groups;
mod grpcio;
mod mosquitto;
mod openssl;
mod paho;
mod profiles;
mod readme;
mod router;
mod rumqttc;
mod sites;
mod stop;
mod subscribers;
mod vendor;
mod watch;

use muster_proto::v1::{self, RowResult};
use muster_tests::{Program, Registry, World, until};
use muster_tools::{
    Client, Context, Failure,
    apply::{self, ApplyOptions},
    import::{self, ImportEvent, ImportOptions, ImportSummary},
};
use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

/// Connects as the first operator.
pub(crate) async fn connected(registry: &Registry) -> Client {
    Client::connect(&Context::load(&registry.path("registry")).unwrap())
        .await
        .unwrap()
}

/// The catalog of the demo, and the sites of the fixtures.
pub(crate) async fn catalog(client: &Client) {
    for (file, kind) in World::CATALOG {
        let resources = apply::read_path(&muster_tests::fixture::in_repository(file), kind, None).unwrap();
        apply::send(client, resources, &ApplyOptions::default())
            .await
            .unwrap();
    }
}

/// What an import was answered until it ended, whichever way. `each` is asked at every event.
pub(crate) async fn import(
    client: &Client,
    file: &Path,
    mut each: impl FnMut(&ImportEvent<'_>),
) -> (Vec<RowResult>, Result<ImportSummary, Failure>) {
    let mut rows = Vec::new();
    let ended = import::run(client, ImportOptions::of(file), |event| {
        if let ImportEvent::Results(some) = event {
            rows.extend_from_slice(some);
        }
        each(&event);
    });
    let ended = ended.await;
    (rows, ended)
}

/// A real agent, as its own process.
fn agent(registry: &Registry, serial: &str, code: &str, mqtt: SocketAddr) -> Program {
    let place = registry.path(&format!("agent-{serial}"));
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("code"), code).unwrap();
    let show = |path: &Path| path.display().to_string();
    let config = format!(
        "serial = {serial:?}\nactivation_code_file = {:?}\nstate_directory = {:?}\nserver = \"{mqtt}\"\n\
         server_name = \"localhost\"\nroot = {:?}\nfirmware = \"2.3.1\"\n",
        show(&place.join("code")),
        show(&place.join("state")),
        show(&registry.path("registry/operator/root.pem")),
    );
    fs::write(place.join("agent.toml"), config).unwrap();
    Program::start(
        Program::command("muster-agent")
            .arg("--config")
            .arg(place.join("agent.toml")),
    )
}

/// Starts an agent of a device that is new, and waits until it is verified.
async fn verified(registry: &Registry, client: &Client, mqtt: SocketAddr, (serial, code): (&str, &str)) {
    let _agent = agent(registry, serial, code, mqtt);
    until(&format!("{serial} is verified"), async || {
        let name = format!("devices/serial:{serial}");
        let request = v1::GetDeviceRequest { name };
        let device = client
            .devices
            .clone()
            .get_device(request)
            .await
            .unwrap()
            .into_inner();
        let verdict = device.verification.as_ref().map(v1::Verification::state);
        (verdict == Some(v1::verification::State::Verified)).then_some(())
    })
    .await;
}

/// Every device of the registry: resource name and serial.
async fn devices(client: &Client) -> BTreeMap<String, String> {
    let (mut devices, mut page_token) = (BTreeMap::new(), String::new());
    loop {
        let request = v1::ListDevicesRequest {
            page_size: 1000,
            page_token,
            ..v1::ListDevicesRequest::default()
        };
        let page = client
            .devices
            .clone()
            .list_devices(request)
            .await
            .unwrap()
            .into_inner();
        devices.extend(
            page.devices
                .into_iter()
                .map(|device| (device.name, device.serial)),
        );
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return devices;
        }
    }
}

/// Every acknowledged row is a device with the row's serial (I4); gives how many there are in all.
async fn acknowledged_rows_are_there(client: &Client, acknowledged: &[RowResult]) -> usize {
    let devices = devices(client).await;
    for row in acknowledged.iter().filter(|row| !row.device.is_empty()) {
        // The header is row 1.
        let serial = muster_tests::fixture::camera(row.row - 2);
        assert_eq!(
            devices.get(&row.device),
            Some(&serial),
            "row {} was acknowledged",
            row.row
        );
    }
    devices.len()
}
