//! A registry with devices that are there, and a revision that none of them has.

use super::PROFILE;
use muster_proto::v1::{self, CredentialKind};
use muster_tests::{Key, Member, Program, Registry, Swarm, fixture, until};
use muster_tools::{
    Client, Context,
    import::{self, ImportEvent, ImportOptions},
};
use std::{fs, sync::Arc};

/// A registry whose devices are enrolled and verified at revision 1, with a revision 2 that nobody has.
pub(super) struct Prepared {
    pub(super) registry: Registry,
    pub(super) members: Vec<Member>,
}

pub(super) async fn client(registry: &Registry) -> Client {
    let context = Context::load(&registry.path("registry/operator/context.toml")).unwrap();
    until("the server answers", async || {
        Client::connect(&context).await.ok()
    })
    .await
}

/// A manifest with a request for each key.
fn manifest(keys: &[Key]) -> String {
    let mut text = "serial,mac,model,site,position,csr\n".to_owned();
    for (number, key) in keys.iter().enumerate() {
        let request = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key.csr());
        text += &format!(
            "GW2-{},00:1B:C5:00:{:02X}:{:02X},GW-200,MUC-01,Hall 1,{request}\n",
            7_000_000 + number,
            number / 256,
            number % 256
        );
    }
    text
}

async fn enrolled(registry: &Registry, count: usize) -> Vec<Member> {
    let keys: Vec<_> = (0..count).map(|_| Key::new()).collect();
    let file = registry.path("fleet.csv");
    fs::write(&file, manifest(&keys)).unwrap();
    let options = ImportOptions {
        credential: CredentialKind::Csr,
        ..ImportOptions::of(&file)
    };
    let mut rows = Vec::new();
    let client = client(registry).await;
    let imported = import::run(&client, options, |event| {
        if let ImportEvent::Results(some) = event {
            rows.extend_from_slice(some);
        }
    });
    let imported = imported.await.unwrap();
    assert_eq!(imported.created, count as u64, "{:?}", imported.causes);
    fs::remove_file(file).unwrap();
    rows.sort_by_key(|row| row.row);
    let roots = roots(registry);
    let member = |(row, key): (&v1::RowResult, &Key)| {
        let pair = key.pair(&[&row.certificate]);
        Member::new(
            row.device.trim_start_matches("devices/"),
            &row.serial,
            &pair,
            &roots,
        )
    };
    rows.iter().zip(&keys).map(member).collect()
}

pub(super) fn roots(registry: &Registry) -> Vec<u8> {
    fs::read(registry.path("registry/operator/root.pem")).unwrap()
}

async fn apply(registry: &Registry, command: &[&str], file: &std::path::Path) {
    let mut muster = registry.muster();
    let applied = Program::run(muster.args(command).arg("-f").arg(file)).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
}

pub(super) async fn prepared(count: usize) -> Prepared {
    let registry = Registry::new();
    let (musterd, _, mqtt) = registry.serve("info").await;
    for (command, file) in [
        (&["site", "apply"][..], "tests/fixtures/manifests/sites.csv"),
        (&["apply"], "tools/src/demo/catalog.toml"),
    ] {
        apply(&registry, command, &fixture::in_repository(file)).await;
    }
    let members = enrolled(&registry, count).await;
    let swarm = Swarm::start(mqtt, &roots(&registry), &members, |_| Arc::new(|_| Ok(())));
    all_there(&swarm, &members).await;
    drop(swarm);
    let revised = registry.path("revised.toml");
    let text = format!(
        "[[profiles]]\nname = \"{PROFILE}\"\nmessage = \"Two\"\n[profiles.files]\n\"a.toml\" = 'two = true'\n"
    );
    fs::write(&revised, text).unwrap();
    apply(&registry, &["apply"], &revised).await;
    musterd.signal("TERM");
    musterd.ended().await;
    Prepared { registry, members }
}

/// Every device has connected and said how it stands.
pub(super) async fn all_there(swarm: &Swarm, members: &[Member]) {
    let all = members.len() as u64;
    until("all devices are there", async || {
        (swarm.reports() >= all).then_some(())
    })
    .await;
}
