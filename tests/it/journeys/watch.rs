//! Watching devices: every change is told, to whoever may hear of it, across cuts and restarts.

use super::presence::connected;
use muster_domain::{Code, access::Role, ids::DeviceId};
use muster_proto::v1::{
    self, device::State, device_change::Kind, devices_client::DevicesClient,
    presence::State as PresenceState, watch_devices_response::Event,
};
use muster_server::store::WATCHER_LIMIT;
use muster_tests::{World, grpc, until, within};
use std::time::Duration;
use tonic::{Status, Streaming, transport::Channel};

struct Watch(Streaming<v1::WatchDevicesResponse>);

/// A change: what, of which device by its serial or, if it is gone, its name, and how that stands.
type Seen = (Kind, String, Option<v1::Device>);

impl Watch {
    async fn begin(channel: Channel, request: v1::WatchDevicesRequest) -> Result<Self, Status> {
        let watch = DevicesClient::new(channel).watch_devices(request).await?;
        Ok(Self(watch.into_inner()))
    }

    async fn of(world: &World, filter: &str, token: &str) -> Self {
        let request = v1::WatchDevicesRequest {
            filter: filter.into(),
            resume_token: token.into(),
            include_current: false,
        };
        Self::begin(world.channel(Some(&world.admin())), request)
            .await
            .unwrap()
    }

    async fn next(&mut self) -> Result<Event, Status> {
        let answer = within("an event", self.0.message()).await?;
        Ok(answer
            .expect("a watch does not end by itself")
            .event
            .expect("an event"))
    }

    /// Until the next checkpoint: its token.
    async fn checkpoint(&mut self) -> (String, bool) {
        loop {
            if let Event::Checkpoint(checkpoint) = self.next().await.unwrap() {
                return (checkpoint.resume_token, checkpoint.current);
            }
        }
    }

    /// The next change of a device.
    async fn change(&mut self) -> Seen {
        loop {
            match self.next().await.unwrap() {
                Event::Change(change) => {
                    let kind = change.kind();
                    let named = change.device.as_ref().map(|device| device.serial.clone());
                    return (kind, named.unwrap_or(change.name), change.device);
                }
                Event::Checkpoint(_) => {}
                Event::Resync(_) => panic!("too many changes"),
            }
        }
    }

    /// Waits for a change that fits; those between may be there or not.
    async fn until(&mut self, fits: impl Fn(&Seen) -> bool) -> Seen {
        loop {
            let seen = self.change().await;
            if fits(&seen) {
                return seen;
            }
        }
    }

    /// The name of the next device that matches, whatever else is told before.
    async fn matching(&mut self) -> String {
        loop {
            if let Event::Change(change) = self.next().await.unwrap()
                && change.kind() == Kind::Matches
            {
                return change.name;
            }
        }
    }

    async fn ends(&mut self) -> (Option<String>, Status) {
        let mut token = None;
        loop {
            match self.next().await {
                Ok(Event::Checkpoint(checkpoint)) => token = Some(checkpoint.resume_token),
                Ok(_) => {}
                Err(status) => return (token, status),
            }
        }
    }
}

fn online(seen: &Seen) -> Option<PresenceState> {
    Some(seen.2.as_ref()?.presence.as_ref()?.state())
}

async fn suspend(world: &World, serial: &str) {
    let request = v1::SuspendDeviceRequest {
        name: format!("devices/serial:{serial}"),
        reason: "a test".into(),
        etag: String::new(),
    };
    world
        .client
        .devices
        .clone()
        .suspend_device(request)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_sees_devices_come_change_and_go() {
    let world = World::start().await;
    let mut watch = Watch::of(&world, "", "").await;
    let (_, is_current) = watch.checkpoint().await;
    assert!(!is_current);
    // 1. Registered, claimed, connected, gone, suspended.
    let (serial, code) = world.gateways(1).await.remove(0);
    let (kind, named, device) = watch.change().await;
    assert_eq!((kind, named), (Kind::Matches, serial.clone()));
    assert_eq!(device.unwrap().state(), State::Registered);
    let pair = world.claim(&serial, &code).await;
    let is = |state: State| move |seen: &Seen| seen.2.as_ref().is_some_and(|device| device.state() == state);
    watch.until(is(State::Claimed)).await;
    let mqtt = connected(&world, &pair).await;
    watch
        .until(|seen| online(seen) == Some(PresenceState::Online))
        .await;
    drop(mqtt);
    watch
        .until(|seen| online(seen) == Some(PresenceState::Offline))
        .await;
    suspend(&world, &serial).await;
    watch.until(is(State::Suspended)).await;
    // 2. Taken back: gone.
    let imported = world
        .import_text(
            "wrong.csv",
            "serial,mac,model,firmware,site,position,extension\nGW2-6500001,00:1B:C5:65:00:01,GW-200,2.3.1,MUC-01,Hall 1,1\n",
        )
        .await;
    let (_, _, device) = watch.until(|seen| seen.1 == "GW2-6500001").await;
    let undo = v1::UndoBatchRequest {
        name: imported.summary.batch,
        validate_only: false,
    };
    world.client.manifests.clone().undo_batch(undo).await.unwrap();
    let (kind, name, device_now) = watch.until(|seen| seen.0 == Kind::Gone).await;
    assert_eq!((kind, name, device_now), (Kind::Gone, device.unwrap().name, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_tells_who_comes_to_match_and_who_leaves() {
    let world = World::start().await;
    let gateways = world.gateways(3).await;
    let mut pairs = Vec::new();
    for (serial, code) in &gateways {
        pairs.push(world.claim(serial, code).await);
    }
    let first = connected(&world, &pairs[0]).await;
    // 1. What there is, then a marker.
    let request = v1::WatchDevicesRequest {
        filter: "online = true".into(),
        resume_token: String::new(),
        include_current: true,
    };
    let channel = world.channel(Some(&world.admin()));
    let mut watch = Watch::begin(channel, request).await.unwrap();
    let (kind, serial, _) = watch.change().await;
    assert_eq!((kind, &serial), (Kind::Matches, &gateways[0].0));
    let (token, is_current) = watch.checkpoint().await;
    assert!(is_current && !token.is_empty());
    // 2. Of one that never matched nothing is heard.
    suspend(&world, &gateways[1].0).await;
    let _third = connected(&world, &pairs[2]).await;
    let (kind, serial, _) = watch.change().await;
    assert_eq!((kind, &serial), (Kind::Matches, &gateways[2].0));
    drop(first);
    let (kind, serial, device) = watch.until(|seen| seen.0 == Kind::Left).await;
    assert_eq!((kind, &serial), (Kind::Left, &gateways[0].0));
    assert!(device.is_some());
    // 3. Who goes on from the token hears what changed since, whatever it knows.
    let mut again = Watch::of(&world, "online = true", &token).await;
    let mut seen = [again.change().await, again.change().await, again.change().await]
        .map(|(kind, serial, _)| (serial, kind));
    seen.sort();
    assert_eq!(
        seen,
        [
            (gateways[0].0.clone(), Kind::Left),
            (gateways[1].0.clone(), Kind::Left),
            (gateways[2].0.clone(), Kind::Matches),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_leaves_a_token_that_goes_on_at_the_next_start() {
    let mut world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let mut watch = Watch::of(&world, "", "").await;
    watch.checkpoint().await;
    world.stop();
    let (token, status) = watch.ends().await;
    assert_eq!(grpc::refusal(&status), Some(Code::Stopping), "{status:?}");
    assert_eq!(status.code(), tonic::Code::Unavailable);
    world.stopped().await.unwrap();
    world.serve_again().await;
    // What happens while nobody watches is told by the token.
    world.claim(&serial, &code).await;
    let mut watch = Watch::of(&world, "", &token.unwrap()).await;
    let claimed = |seen: &Seen| {
        seen.2
            .as_ref()
            .is_some_and(|device| device.state() == State::Claimed)
    };
    assert_eq!(watch.until(claimed).await.1, serial);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_watch_any_more_is_cut() {
    let world = World::start().await;
    let vera = world.operator("vera", Role::Viewer).await;
    let everything = v1::WatchDevicesRequest::default();
    let mut watch = Watch::begin(world.channel(Some(&vera)), everything.clone())
        .await
        .unwrap();
    watch.checkpoint().await;
    let request = v1::DisableOperatorRequest {
        name: "operators/vera".into(),
    };
    world
        .client
        .access
        .clone()
        .disable_operator(request)
        .await
        .unwrap();
    let (_, status) = watch.ends().await;
    assert_eq!(grpc::refusal(&status), Some(Code::OperatorDisabled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_are_so_many_and_no_more() {
    let world = World::start().await;
    let mut watches = Vec::new();
    for _ in 0..WATCHER_LIMIT {
        let mut watch = Watch::of(&world, "", "").await;
        watch.checkpoint().await;
        watches.push(watch);
    }
    let channel = world.channel(Some(&world.admin()));
    let one_more = async || Watch::begin(channel.clone(), v1::WatchDevicesRequest::default()).await;
    let status = one_more().await.map(|_| ()).unwrap_err();
    assert_eq!(grpc::refusal(&status), Some(Code::Busy));
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    // Who goes makes room.
    watches.pop();
    until("there is room", async || one_more().await.ok().map(drop)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_mean_is_refused() {
    let world = World::start().await;
    let mut watch = Watch::of(&world, "online = true", "").await;
    let (token, _) = watch.checkpoint().await;
    let channel = world.channel(Some(&world.admin()));
    for (filter, resume_token, include_current, expected) in [
        ("colour = red", "", false, Code::FilterInvalid),
        ("online = true", "nonsense", false, Code::PageTokenInvalid),
        ("online = false", token.as_str(), false, Code::PageTokenInvalid),
        ("online = true", token.as_str(), true, Code::RequestInvalid),
    ] {
        let request = v1::WatchDevicesRequest {
            filter: filter.into(),
            resume_token: resume_token.into(),
            include_current,
        };
        let refused = Watch::begin(channel.clone(), request)
            .await
            .map(|_| ())
            .unwrap_err();
        assert_eq!(grpc::refusal(&refused), Some(expected), "{filter} {resume_token}");
    }
}

/// How long a change is waited for before another one is made.
const SOON: Duration = Duration::from_millis(500);
/// What fits between the two, what is looked at in one go, and more than is remembered, several times over.
const CHANGES: u128 = 500_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_watcher_is_told_to_list_anew_and_goes_on() {
    let world = World::start().await;
    let mut watch = Watch::of(&world, "", "").await;
    watch.checkpoint().await;
    // Nobody reads. More is told than fits between the two, so that the server waits; then more changes than it remembers, however
    // much it took before.
    let store = world.service().store();
    let source = std::net::IpAddr::from([127, 0, 0, 1]);
    for number in 1..=CHANGES {
        store.arrived(DeviceId::from_u128(number), source, world.now());
    }
    let (mut events, mut checkpoints) = (0, 0);
    loop {
        match watch.next().await.unwrap() {
            Event::Resync(_) => break,
            Event::Change(_) => events += 1,
            Event::Checkpoint(_) => checkpoints += 1,
        }
        assert!(
            checkpoints < 3,
            "{events} of {CHANGES} changes were told, one by one"
        );
    }
    assert!(events < CHANGES, "{events}");
    // What changes once it has caught up is told; before that it may be one of too many.
    let (serial, _) = world.gateways(1).await.remove(0);
    let name = world.device(&serial).await.name;
    let id = name.trim_start_matches("devices/").parse().unwrap();
    let told = until("a change is told", async || {
        store.arrived(id, source, world.now());
        let soon = tokio::time::timeout(SOON, watch.matching()).await;
        soon.ok()
    })
    .await;
    assert_eq!(told, name);
}
