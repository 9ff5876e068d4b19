//! The agents of the demo: `muster-agent`'s library, each with a state directory of its own.

use super::place::Place;
use crate::client::{Client, pages};
use muster_agent::{Agent, AgentEvent, Settings};
use muster_proto::v1::{self, device::State, verification::State as Verdict};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Running agents and the devices they are.
pub(super) struct Agents {
    devices: Vec<v1::Device>,
    running: JoinSet<()>,
    stop: CancellationToken,
    last_word: Arc<Mutex<String>>,
}

/// The first devices of the registry that an agent here can be: not claimed yet, or claimed by an agent here.
async fn choose(client: &Client, place: &Place, count: usize) -> anyhow::Result<Vec<v1::Device>> {
    let mut chosen = Vec::new();
    let fetch = async |page_size, page_token| {
        let request = v1::ListDevicesRequest {
            page_size,
            page_token,
            ..v1::ListDevicesRequest::default()
        };
        let answer = client.devices.clone().list_devices(request).await?.into_inner();
        Ok((answer.devices, answer.next_page_token))
    };
    // A manifest's thousands need not be looked through to find a few.
    pages(Some(10_000), fetch, |device: v1::Device| {
        let open = match device.state() {
            State::Registered => true,
            State::Claimed | State::Active => place.agent(&device.serial).join("identity").exists(),
            State::Suspended | State::Retired | State::Unspecified => false,
        };
        if open && chosen.len() < count {
            chosen.push(device);
        }
        Ok(())
    })
    .await?;
    anyhow::ensure!(
        !chosen.is_empty(),
        "the registry has no device that an agent could be"
    );
    Ok(chosen)
}

impl Agents {
    pub(super) async fn start(
        client: &Client,
        place: &Place,
        mqtt: SocketAddr,
        count: usize,
    ) -> anyhow::Result<Self> {
        let devices = choose(client, place, count).await?;
        let codes = place.codes()?;
        let (stop, last_word) = (
            CancellationToken::new(),
            Arc::new(Mutex::new("no agent has complained".to_owned())),
        );
        let mut running = JoinSet::new();
        for device in &devices {
            let settings = settings(client, place, mqtt, device, &codes).await?;
            let agent = Agent::new(settings)?;
            let mut events = agent.events();
            let (serial, words) = (device.serial.clone(), Arc::clone(&last_word));
            running.spawn(async move {
                // Ends with the agent; what was missed in a burst is no loss for a display.
                while let Ok(event) = events.recv().await {
                    if let AgentEvent::Failed { reason } | AgentEvent::Disconnected { reason, .. } = event {
                        *words.lock().unwrap_or_else(PoisonError::into_inner) = format!("{serial}: {reason}");
                    }
                }
            });
            let (stop, serial) = (stop.clone(), device.serial.clone());
            running.spawn(async move {
                if let Err(error) = agent.run(stop.cancelled_owned()).await {
                    tracing::error!(serial, error = &error as &dyn std::error::Error, "agent ended");
                }
            });
        }
        Ok(Self {
            devices,
            running,
            stop,
            last_word,
        })
    }

    pub(super) fn count(&self) -> usize {
        self.devices.len()
    }

    /// The serial of the first.
    pub(super) fn first(&self) -> &str {
        self.devices.first().map_or("", |device| &device.serial)
    }

    /// What an agent last complained of.
    pub(super) fn last_word(&self) -> String {
        self.last_word
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many of these devices the registry has verified.
    pub(super) async fn verified(&self, client: &Client) -> anyhow::Result<usize> {
        let mut verified = 0;
        for device in &self.devices {
            let request = v1::GetDeviceRequest {
                name: device.name.clone(),
            };
            let device = client.devices.clone().get_device(request).await?.into_inner();
            let verdict = device
                .verification
                .as_ref()
                .map(|verification| verification.state());
            verified += usize::from(device.state() == State::Active && verdict == Some(Verdict::Verified));
        }
        Ok(verified)
    }

    /// Ends all of them.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        while self.running.join_next().await.is_some() {}
    }
}

async fn settings(
    client: &Client,
    place: &Place,
    mqtt: SocketAddr,
    device: &v1::Device,
    codes: &HashMap<String, Zeroizing<String>>,
) -> anyhow::Result<Settings> {
    let mut settings = Settings::builder(mqtt.to_string(), &device.serial, place.agent(&device.serial))
        .server_name("localhost")
        .root_file(place.root());
    if !device.factory_firmware.is_empty() {
        settings = settings.firmware(&device.factory_firmware);
    }
    if device.state() == State::Registered {
        let code = match codes.get(&device.name) {
            Some(code) => code.clone(),
            // The demo was stopped before its results were written: codes are shown once, so a new one is needed.
            None => {
                let request = v1::ReissueCodeRequest {
                    name: device.name.clone(),
                    ..v1::ReissueCodeRequest::default()
                };
                Zeroizing::new(
                    client
                        .devices
                        .clone()
                        .reissue_code(request)
                        .await?
                        .into_inner()
                        .activation_code,
                )
            }
        };
        settings = settings.code(code);
    }
    Ok(settings.build()?)
}
