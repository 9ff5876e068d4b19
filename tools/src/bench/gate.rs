//! `muster bench gate`.

use super::{
    bare::Bare,
    crowd::{self, Crowd, Identity, Member},
    host::{Host, Process},
    mosquitto::{Mosquitto, Publisher},
    rows,
};
use crate::{
    apply::{self, ApplyOptions, FileFormat, Kind},
    demo::catalog,
    import::{self, ImportEvent, ImportOptions},
};
use anyhow::Context as _;
use clap::Args;
use muster_proto::{
    payload::{self, CertificateUpdate},
    topic::Encoding,
    v1::{self, CredentialKind},
};
use muster_server::ca;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
};
use serde::Serialize;
use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Instant};
use tokio::task::JoinSet;

/// Devices with certificates of their own connect over TLS 1.3 and subscribe one topic of their own; then each gets a message on
/// it, round after round; then they leave, and come back with the tickets of their sessions. The same client, certificates and topics with Mosquitto, where that is installed.
///
/// How the two differ: here messages come from the registry, through the bus, one `due` for each device and round; there two
/// connections publish them. Both are of two bytes and QoS 0. A round ends when every device has its message. `desired_push_s` has
/// no peer: an edit of every site, on record, and until each device has its new desired state, rendered and signed for it, and has
/// acknowledged it (QoS 1). Last, one in ten of 500 connected devices loses its certificate. `limit_pushes_per_s` is what this
/// machine could do at most: a server that only writes one message to each of the same clients, over TLS, with nothing behind it.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Devices that connect.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    devices: u32,
    /// Handshakes under way at once.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    at_once: u32,
    /// Rounds of messages.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    rounds: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
    /// Leave the comparison with Mosquitto out.
    #[arg(long)]
    no_peer: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Figures {
    devices: u32,
    at_once: u32,
    rounds: u32,
    connects_per_s: f64,
    server_cpu_us_per_connect: f64,
    #[serde(flatten)]
    resumed: Resumed,
    rss_bytes_per_connection: f64,
    pushes_per_s: f64,
    server_cpu_us_per_push: f64,
    /// What a server that knows only TLS and this one message does with the same clients: no server can do more here.
    limit_pushes_per_s: f64,
    /// The first round, and the middle one of all.
    first_round_ms: f64,
    median_round_ms: f64,
    /// Connections that ended, and rounds that were not complete in time.
    lost: u64,
    /// An edit of every site, until every device has acknowledged its new desired state.
    desired_push_s: f64,
    desired_lost: u64,
    #[serde(flatten)]
    revoked: Revoked,
    #[serde(flatten)]
    peer: Option<Peer>,
}

/// The same devices once more, each with the ticket of its last connection.
#[derive(Debug, Serialize)]
struct Resumed {
    resumes_per_s: f64,
    server_cpu_us_per_resume: f64,
    /// Handshakes that were full all the same.
    not_resumed: usize,
}

/// Certificates that are revoked while their sessions are live: one in ten of 500 devices at most.
#[derive(Debug, Serialize)]
struct Revoked {
    revoked: usize,
    /// From the answer to the revocation until the client sees its connection end; 0 if it ended before the answer came.
    revoke_close_p99_ms: f64,
    /// Of those, connections that did not end in time.
    revoke_open: usize,
    /// Of those, how many were let in again afterwards.
    revoke_readmitted: usize,
}

#[derive(Debug, Serialize)]
struct Peer {
    connects_ratio: f64,
    rss_ratio: f64,
    pushes_ratio: f64,
    peer_connects_per_s: f64,
    peer_cpu_us_per_connect: f64,
    peer_rss_bytes_per_connection: f64,
    peer_pushes_per_s: f64,
    peer_cpu_us_per_push: f64,
    peer_first_round_ms: f64,
    peer_median_round_ms: f64,
    peer_lost: u64,
}

/// What is measured of both.
struct Measured {
    connects_per_s: f64,
    rss_per_connection: f64,
    /// Seconds.
    rounds: Vec<f64>,
    pushes_per_s: f64,
    cpu_us_per_push: f64,
    cpu_us_per_connect: f64,
    lost: u64,
}

/// Registers the devices, each with a certificate for a key that is made here.
pub(super) async fn identities(host: &Host, count: u32, scratch: &Path) -> anyhow::Result<Vec<Identity>> {
    let made = tokio::task::spawn_blocking(move || {
        let make = |_| {
            let key = KeyPair::generate()?;
            let mut wanted = CertificateParams::default();
            wanted.distinguished_name = DistinguishedName::new();
            let request = wanted.serialize_request(&key)?.der().to_vec();
            Ok((key.serialize_der(), request))
        };
        (0..count).map(make).collect::<Result<Vec<_>, rcgen::Error>>()
    });
    let (keys, requests): (Vec<_>, Vec<_>) = made.await??.into_iter().unzip();
    let manifest = scratch.join("rows.csv");
    rows::write_requests(&manifest, &requests)?;
    apply::send(&host.client, catalog::resources()?, &ApplyOptions::default()).await?;
    let options = ImportOptions {
        credential: CredentialKind::Csr,
        ..ImportOptions::of(&manifest)
    };
    let mut issued = Vec::new();
    import::run(&host.client, options, |event| {
        if let ImportEvent::Results(rows) = event {
            issued.extend(
                rows.iter()
                    .map(|row| (row.device.clone(), row.certificate.clone())),
            );
        }
    })
    .await?;
    anyhow::ensure!(issued.len() == keys.len(), "{} certificates", issued.len());
    let identity = |((device, certificate), key): ((String, Vec<u8>), Vec<u8>)| Identity {
        id: device.trim_start_matches("devices/").to_owned(),
        certificate: certificate.into(),
        key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)),
    };
    Ok(issued.into_iter().zip(keys).map(identity).collect())
}

fn members(
    identities: &[Identity],
    roots: &Arc<RootCertStore>,
    desired: bool,
) -> anyhow::Result<Arc<Vec<Member>>> {
    let member = |one: &Identity| {
        Ok(Member {
            client_id: one.id.clone(),
            topic: if desired {
                format!("muster/v1/{}/desired", one.id)
            } else {
                one.topic()
            },
            acknowledges: desired,
            tls: one.tls(roots)?,
        })
    };
    let members: anyhow::Result<Vec<_>> = identities.iter().map(member).collect();
    Ok(Arc::new(members?))
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn per_second(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// Connects the crowd, and sends each of it a message, round after round.
async fn measure(
    address: SocketAddr,
    crowd: &Arc<Vec<Member>>,
    process: &Process,
    options: &Options,
    mut send: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Measured> {
    let (before, began) = (process.resident()?, process.cpu_seconds()?);
    let gathered = Crowd::gather(address, Arc::clone(crowd), usize::try_from(options.at_once)?).await?;
    let after = process.resident()?;
    let (mut rounds, mut lost, connected) = (Vec::new(), 0, process.cpu_seconds()?);
    for _ in 0..options.rounds {
        match gathered.round(send()).await? {
            Some(seconds) => rounds.push(seconds),
            None => lost += 1,
        }
    }
    lost += gathered.lost();
    let pushed = process.cpu_seconds()? - connected;
    let connects_per_s = per_second(crowd.len(), gathered.connected_in);
    gathered.leave().await;
    #[expect(clippy::cast_precision_loss, reason = "an average")]
    Ok(Measured {
        connects_per_s,
        rss_per_connection: after.saturating_sub(before) as f64 / crowd.len() as f64,
        pushes_per_s: per_second(crowd.len() * rounds.len(), rounds.iter().sum()),
        cpu_us_per_push: pushed * 1e6 / (crowd.len() as f64 * f64::from(options.rounds)),
        cpu_us_per_connect: (connected - began) * 1e6 / crowd.len() as f64,
        rounds,
        lost,
    })
}

/// Connects a crowd that was connected before.
async fn resumed(host: &mut Host, crowd: &Arc<Vec<Member>>, at_once: u32) -> anyhow::Result<Resumed> {
    let before = host.process()?.cpu_seconds()?;
    let gathered = Crowd::gather(host.mqtt, Arc::clone(crowd), usize::try_from(at_once)?).await?;
    let after = host.process()?.cpu_seconds()?;
    let (connected_in, resumed) = (gathered.connected_in, gathered.resumed);
    gathered.leave().await;
    #[expect(clippy::cast_precision_loss, reason = "an average")]
    Ok(Resumed {
        resumes_per_s: per_second(crowd.len(), connected_in),
        server_cpu_us_per_resume: (after - before) * 1e6 / crowd.len() as f64,
        not_resumed: crowd.len() - resumed,
    })
}

/// The middle one, in milliseconds.
fn median_ms(rounds: &[f64]) -> f64 {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get(sorted.len() / 2)
        .map_or(f64::NAN, |seconds| seconds * 1e3)
}

fn first_ms(rounds: &[f64]) -> f64 {
    rounds.first().map_or(f64::NAN, |seconds| seconds * 1e3)
}

/// Every site under another name, so that every device must become something else.
fn edited_sites() -> anyhow::Result<Vec<apply::Resource>> {
    let mut reader = csv::Reader::from_reader(catalog::sites().as_bytes());
    let mut text = reader.headers()?.iter().collect::<Vec<_>>().join(",") + "\n";
    for site in reader.records() {
        let mut cells: Vec<_> = site?.iter().map(str::to_owned).collect();
        if let Some(name) = cells.get_mut(1) {
            name.push_str(" (moved)");
        }
        text += &(cells.join(",") + "\n");
    }
    Ok(apply::read_text(
        &text,
        "sites.csv",
        Path::new(""),
        Kind::Sites,
        Some(FileFormat::Csv),
    )?)
}

/// How long it takes until every device has acknowledged other desired state, and how many did not.
async fn desired(host: &Host, crowd: Arc<Vec<Member>>, at_once: u32) -> anyhow::Result<(f64, u64)> {
    let gathered = Crowd::gather(host.mqtt, crowd, usize::try_from(at_once)?).await?;
    let sites = edited_sites()?;
    let edit = async {
        apply::send(&host.client, sites, &ApplyOptions::default()).await?;
        Ok(())
    };
    let taken = gathered.round(edit).await?;
    let lost = gathered.lost() + gathered.missing();
    gathered.leave().await;
    Ok((taken.unwrap_or(f64::NAN), lost))
}

/// Devices that the limit is measured with: its server shares this process, and the number of files that it may have open.
const LIMIT_CROWD: usize = 5_000;
/// Devices of which one in ten loses its certificate.
const REVOCATION_CROWD: usize = 500;

async fn revoked(
    host: &Host,
    identities: &[Identity],
    trusted: &Arc<RootCertStore>,
) -> anyhow::Result<Revoked> {
    let identities = identities.get(..REVOCATION_CROWD).unwrap_or(identities);
    let crowd = members(identities, trusted, false)?;
    let mut gathered = Crowd::gather(host.mqtt, Arc::clone(&crowd), 16).await?;
    let mut revocations = JoinSet::new();
    for (place, one) in identities.iter().enumerate().step_by(10) {
        let serial: String = ca::certificate_serial(&one.certificate)?
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let mut certificates = host.client.certificates.clone();
        revocations.spawn(async move {
            let request = v1::RevokeCertificateRequest {
                name: format!("certificates/{serial}"),
                reason: "key-compromise".to_owned(),
                comment: String::new(),
            };
            certificates.revoke_certificate(request).await?;
            Ok::<_, tonic::Status>((place, Instant::now()))
        });
    }
    let mut answered = BTreeMap::new();
    while let Some(revocation) = revocations.join_next().await {
        let (place, at) = revocation??;
        answered.insert(place, at);
    }
    let mut times = Vec::new();
    while times.len() < answered.len() {
        let Some((place, at)) = gathered.next_end().await else {
            break;
        };
        let answer = answered
            .get(&place)
            .context("a session ended that was not revoked")?;
        times.push(at.saturating_duration_since(*answer).as_secs_f64() * 1e3);
    }
    let mut readmitted = 0;
    for place in answered.keys() {
        let member = crowd.get(*place).context("no such member")?;
        readmitted += usize::from(crowd::is_let_in(host.mqtt, member).await);
    }
    gathered.leave().await;
    times.sort_by(f64::total_cmp);
    Ok(Revoked {
        revoked: answered.len(),
        revoke_close_p99_ms: times.get(times.len() * 99 / 100).copied().unwrap_or(f64::NAN),
        revoke_open: answered.len() - times.len(),
        revoke_readmitted: readmitted,
    })
}

/// The authorities of devices and what is above them, PEM, as Mosquitto wants them.
async fn authorities(host: &Host) -> anyhow::Result<String> {
    let listed = host
        .client
        .certificates
        .clone()
        .list_certificates(v1::ListCertificatesRequest {
            page_size: 1,
            filter: "profile = device".to_owned(),
            ..v1::ListCertificatesRequest::default()
        })
        .await?
        .into_inner();
    let one = listed
        .certificates
        .first()
        .context("no certificate of a device")?;
    let issuing = host.issuing(&one.issuer)?;
    Ok(issuing + &std::fs::read_to_string(&host.root)?)
}

pub(super) async fn run(options: &Options) -> anyhow::Result<Figures> {
    let scratch = tempfile::tempdir()?;
    let host = Host::start(scratch.path(), |settings| settings).await?;
    let identities = identities(&host, options.devices, scratch.path()).await?;
    let authorities = authorities(&host).await?;
    let root = CertificateDer::from_pem_file(&host.root)?;
    let mosquitto = if options.no_peer {
        None
    } else {
        Mosquitto::start(scratch.path(), &authorities).await?
    };
    let message = payload::encode(&CertificateUpdate::Due, Encoding::Postcard)?;
    let bare = Bare::start(&identities.first().context("no devices")?.topic(), &message).await?;
    let roots = [root, bare.root.clone()].into_iter();
    let trusted = roots.chain(mosquitto.iter().map(|peer| peer.root.clone()));
    let trusted = crowd::roots(trusted)?;
    // 1. Ours, on a server that has done nothing yet.
    let mut host = host.again().await?;
    let crowd = members(&identities, &trusted, false)?;
    let ids: Vec<_> = identities.iter().map(|one| one.id.as_str()).collect();
    let ids = ids.join(" ");
    let (process, address) = (host.process()?, host.mqtt);
    let ours = measure(address, &crowd, &process, options, async || host.push(&ids).await).await?;
    let resumed = resumed(&mut host, &crowd, options.at_once).await?;
    drop(crowd);
    let (desired_push_s, desired_lost) =
        desired(&host, members(&identities, &trusted, true)?, options.at_once).await?;
    let revoked = revoked(&host, &identities, &trusted).await?;
    drop(host);
    // 2. The limit.
    let some = identities.get(..LIMIT_CROWD).unwrap_or(&identities);
    let crowd = members(some, &trusted, false)?;
    let this = Process::of_this_process();
    let limit = measure(bare.address, &crowd, &this, options, async || bare.push().await).await?;
    let limit_pushes_per_s = limit.pushes_per_s;
    drop((crowd, bare));
    // 3. The peer.
    let peer = match mosquitto {
        Some(mosquitto) => Some(peer(&mosquitto, &identities, &trusted, options, &ours).await?),
        None => None,
    };
    Ok(Figures {
        devices: options.devices,
        at_once: options.at_once,
        rounds: options.rounds,
        connects_per_s: ours.connects_per_s,
        server_cpu_us_per_connect: ours.cpu_us_per_connect,
        resumed,
        rss_bytes_per_connection: ours.rss_per_connection,
        pushes_per_s: ours.pushes_per_s,
        server_cpu_us_per_push: ours.cpu_us_per_push,
        limit_pushes_per_s,
        first_round_ms: first_ms(&ours.rounds),
        median_round_ms: median_ms(&ours.rounds),
        lost: ours.lost,
        desired_push_s,
        desired_lost,
        revoked,
        peer,
    })
}

async fn peer(
    mosquitto: &Mosquitto,
    identities: &[Identity],
    trusted: &Arc<RootCertStore>,
    options: &Options,
    ours: &Measured,
) -> anyhow::Result<Peer> {
    let crowd = members(identities, trusted, false)?;
    let topics: Vec<_> = identities.iter().map(Identity::topic).collect();
    let payload = payload::encode(&CertificateUpdate::Due, Encoding::Postcard)?;
    let mut publishers = Vec::new();
    for (number, topics) in topics.chunks(topics.len().div_ceil(2)).enumerate() {
        // Other client ids than those of the crowd.
        let one = identities.get(number).context("no devices")?;
        let member = Member {
            client_id: format!("publisher-{number}"),
            topic: String::new(),
            acknowledges: false,
            tls: one.tls(trusted)?,
        };
        publishers.push(Publisher::connect(mosquitto.address, &member, topics, &payload).await?);
    }
    let process = mosquitto.process()?;
    let theirs = measure(mosquitto.address, &crowd, &process, options, async || {
        for publisher in &mut publishers {
            publisher.publish().await?;
        }
        Ok(())
    })
    .await?;
    Ok(Peer {
        connects_ratio: ours.connects_per_s / theirs.connects_per_s,
        rss_ratio: ours.rss_per_connection / theirs.rss_per_connection,
        pushes_ratio: ours.pushes_per_s / theirs.pushes_per_s,
        peer_connects_per_s: theirs.connects_per_s,
        peer_cpu_us_per_connect: theirs.cpu_us_per_connect,
        peer_rss_bytes_per_connection: theirs.rss_per_connection,
        peer_pushes_per_s: theirs.pushes_per_s,
        peer_cpu_us_per_push: theirs.cpu_us_per_push,
        peer_first_round_ms: first_ms(&theirs.rounds),
        peer_median_round_ms: median_ms(&theirs.rounds),
        peer_lost: theirs.lost,
    })
}
