//! Certificates: what is on record is found, ended at once, and stands on a list that anybody can check.

use muster_domain::{Code, access::Role};
use muster_proto::{
    payload::ClaimResult,
    v1::{self, certificate::State, certificates_client::CertificatesClient, device::State as DeviceState},
};
use muster_tests::{Key, Pair, Program, World, grpc, until};
use rumqttc::v5::mqttbytes::v5::ConnectReturnCode;
use std::{fs, process::Command};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Status, transport::Channel};

fn device_name(serial: &str) -> String {
    format!("devices/serial:{serial}")
}

async fn revoke(
    mut client: CertificatesClient<Channel>,
    serial: &str,
    reason: &str,
) -> Result<v1::Certificate, Status> {
    let request = v1::RevokeCertificateRequest {
        name: format!("certificates/{serial}"),
        reason: reason.into(),
        comment: "found on a forum".into(),
    };
    client
        .revoke_certificate(request)
        .await
        .map(tonic::Response::into_inner)
}

async fn listed(world: &World, filter: &str) -> Vec<v1::Certificate> {
    let request = v1::ListCertificatesRequest {
        filter: filter.into(),
        ..v1::ListCertificatesRequest::default()
    };
    let listed = world.client.certificates.clone().list_certificates(request).await;
    listed.unwrap().into_inner().certificates
}

/// Is the device let in with this certificate?
async fn is_let_in(world: &World, pair: &Pair) -> bool {
    let mut mqtt = world.dial(Some(pair)).await.unwrap();
    let answer = mqtt.connect("", None).await.unwrap();
    answer.code == ConnectReturnCode::Success
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b4_a_revoked_certificate_ends_its_session_and_opens_nothing() {
    let world = World::start().await;
    let mut gateways = world.gateways(2).await;
    let (serial, code) = gateways.remove(0);
    let pair = world.claim(&serial, &code).await;
    let device = world.device(&serial).await;
    let certificate = device.certificate_serial.clone();
    let id = device.name.trim_start_matches("devices/").to_owned();
    let found = listed(&world, &format!("device = {id}")).await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].state(), found[0].holder.as_str()),
        (State::Current, device.name.as_str())
    );
    assert_eq!(found[0].not_after, device.certificate_not_after);
    let mut live = world.dial(Some(&pair)).await.unwrap();
    assert_eq!(
        live.connect("", None).await.unwrap().code,
        ConnectReturnCode::Success
    );
    let client = world.client.certificates.clone();
    let revoked = revoke(client.clone(), &certificate, "privilege-withdrawn")
        .await
        .unwrap();
    assert_eq!(
        (revoked.state(), revoked.reason.as_str()),
        (State::Revoked, "privilege-withdrawn")
    );
    // The session says goodbye and ends.
    while live.hear().await.is_some() {}
    assert!(!is_let_in(&world, &pair).await);
    let device = world.device(&serial).await;
    assert_eq!(device.state(), DeviceState::Registered);
    let request = v1::ExplainDeviceRequest {
        name: device_name(&serial),
    };
    let explained = world
        .client
        .devices
        .clone()
        .explain_device(request)
        .await
        .unwrap()
        .into_inner();
    assert!(explained.summary.contains("privilege-withdrawn"), "{explained:?}");
    assert!(explained.next[0].contains("reissue-code"), "{explained:?}");
    // Again changes nothing, another reason is refused, and the spent code opens nothing.
    revoke(client.clone(), &certificate, "privilege-withdrawn")
        .await
        .unwrap();
    let other = revoke(client.clone(), &certificate, "superseded")
        .await
        .unwrap_err();
    assert_eq!(grpc::refusal(&other), Some(Code::RevocationFinal));
    let unknown = revoke(client, &certificate, "hold").await.unwrap_err();
    assert_eq!(grpc::refusal(&unknown), Some(Code::RequestInvalid));
    assert_eq!(world.audited("certificate_revoked").await, 1);
    let claim = async |code: &str, key: &Key| {
        let mut stranger = world.dial(None).await.unwrap();
        stranger.claim(&serial, code, key.csr()).await.unwrap()
    };
    let key = Key::of_pair(&pair);
    assert!(matches!(claim(&code, &key).await, ClaimResult::Refused(refused) if refused.code == 4001));
    let reissue = v1::ReissueCodeRequest {
        name: device_name(&serial),
        ..v1::ReissueCodeRequest::default()
    };
    let fresh = world
        .client
        .devices
        .clone()
        .reissue_code(reissue)
        .await
        .unwrap()
        .into_inner();
    let again = claim(&fresh.activation_code, &key).await;
    assert!(matches!(again, ClaimResult::Accepted(_)), "{again:?}");
    assert_eq!(listed(&world, &format!("device = {id}")).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_only_an_admin_ends_an_operators_certificate() {
    let world = World::start().await;
    world.operator("vera", Role::Viewer).await;
    let olga = world.operator("olga", Role::Operator).await;
    let vera = listed(&world, "operator = vera").await.remove(0);
    assert_eq!(
        (vera.profile.as_str(), vera.holder.as_str()),
        ("operator", "operators/vera")
    );
    let as_olga = CertificatesClient::new(world.channel(Some(&olga)));
    let refused = revoke(as_olga, &vera.serial, "key-compromise").await.unwrap_err();
    assert_eq!(grpc::refusal(&refused), Some(Code::NotPermitted));
    revoke(world.client.certificates.clone(), &vera.serial, "key-compromise")
        .await
        .unwrap();
    let operators = world
        .client
        .access
        .clone()
        .list_operators(v1::ListOperatorsRequest::default())
        .await
        .unwrap()
        .into_inner()
        .operators;
    let enabled: Vec<_> = operators
        .iter()
        .map(|one| (one.name.as_str(), one.enabled))
        .collect();
    assert_eq!(
        enabled,
        [
            ("operators/admin", true),
            ("operators/olga", true),
            ("operators/vera", false)
        ]
    );
    let admin = listed(&world, "operator = admin").await.remove(0);
    let last = revoke(world.client.certificates.clone(), &admin.serial, "superseded")
        .await
        .unwrap_err();
    assert_eq!(grpc::refusal(&last), Some(Code::LastAdmin));
    let expiry = world
        .client
        .certificates
        .clone()
        .get_expiry(v1::GetExpiryRequest {})
        .await;
    let expiry = expiry.unwrap().into_inner();
    assert_eq!(
        (expiry.year, expiry.longer + expiry.renewal_overdue),
        (2, 0),
        "{expiry:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_a_clone_alarm_is_shown_until_somebody_looked_into_it() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    world.claim(&serial, &code).await;
    for _ in 0..2 {
        let mut thief = world.dial(None).await.unwrap();
        thief.claim(&serial, &code, Key::new().csr()).await.unwrap();
    }
    let device = world.device(&serial).await;
    let alarm = device.clone_alarm.unwrap();
    assert_eq!(
        (alarm.count, alarm.source.as_str(), alarm.first_source.as_str()),
        (2, "127.0.0.1", "127.0.0.1")
    );
    let mut devices = world.client.devices.clone();
    let request = v1::ListDevicesRequest {
        filter: "clone_suspected = true".into(),
        ..v1::ListDevicesRequest::default()
    };
    let suspected = async |devices: &mut v1::devices_client::DevicesClient<Channel>| {
        let page = devices.list_devices(request.clone()).await.unwrap().into_inner();
        page.devices.len()
    };
    assert_eq!(suspected(&mut devices).await, 1);
    let explain = v1::ExplainDeviceRequest {
        name: device_name(&serial),
    };
    let explained = devices.explain_device(explain).await.unwrap().into_inner();
    assert!(explained.warnings[0].contains("possibly cloned"), "{explained:?}");
    let clear = |etag: &str| v1::ClearCloneAlarmRequest {
        name: device_name(&serial),
        reason: "a test rig".into(),
        etag: etag.into(),
    };
    let stale = devices.clear_clone_alarm(clear("r1")).await.unwrap_err();
    assert_eq!(grpc::refusal(&stale), Some(Code::EtagMismatch));
    for _ in 0..2 {
        let cleared = devices.clear_clone_alarm(clear("")).await.unwrap().into_inner();
        assert_eq!(cleared.clone_alarm, None);
    }
    assert_eq!(suspected(&mut devices).await, 0);
    assert_eq!(world.audited("clone_alarm_cleared").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_a_claim_window_is_armed_and_kept() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let mut devices = world.client.devices.clone();
    let arm = |opens: Option<i64>, closes: Option<i64>| {
        let at = |seconds| prost_types::Timestamp { seconds, nanos: 0 };
        v1::ArmDeviceRequest {
            name: device_name(&serial),
            window: Some(v1::ClaimWindow {
                opens: opens.map(at),
                closes: closes.map(at),
            }),
            ..v1::ArmDeviceRequest::default()
        }
    };
    let wrong = devices.arm_device(arm(Some(9), Some(9))).await.unwrap_err();
    assert_eq!(grpc::refusal(&wrong), Some(Code::RequestInvalid));
    let wrong = devices.arm_device(arm(Some(-1), None)).await.unwrap_err();
    assert_eq!(grpc::refusal(&wrong), Some(Code::RequestInvalid));
    // The year 2100 is not here yet.
    let armed = devices
        .arm_device(arm(Some(4_102_444_800), None))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(armed.claim_window.unwrap().opens.unwrap().seconds, 4_102_444_800);
    let key = Key::new();
    let claim = async || {
        let mut stranger = world.dial(None).await.unwrap();
        stranger.claim(&serial, &code, key.csr()).await.unwrap()
    };
    assert!(matches!(claim().await, ClaimResult::Refused(refused) if refused.code == 4001));
    devices.arm_device(arm(None, None)).await.unwrap();
    assert!(matches!(claim().await, ClaimResult::Accepted(_)));
    let late = devices.arm_device(arm(None, None)).await.unwrap_err();
    assert_eq!(grpc::refusal(&late), Some(Code::TransitionForbidden));
    assert_eq!(world.audited("claim_armed").await, 2);
}

/// A request over plain HTTP/1.1 without TLS, and its whole answer.
async fn plain(world: &World, request: &str) -> String {
    let mut tcp = TcpStream::connect(world.lists().unwrap()).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn openssl(world: &World, arguments: &str) -> (bool, String) {
    let mut openssl = Command::new("openssl");
    openssl
        .args(arguments.split_whitespace())
        .current_dir(world.path(""));
    let ended = Program::run(&mut openssl).await;
    (ended.code == Some(0), ended.out + &ended.log)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_certificate_stands_on_the_list_that_it_names() {
    let mut world = World::builder()
        .setting(r#"crl_url = """#, r#"crl_url = "http://crl.example/crl""#)
        .setting(r#"http = """#, r#"http = "127.0.0.1:0""#)
        .start()
        .await;
    let mut gateways = world.gateways(2).await;
    let (good, code) = gateways.remove(0);
    fs::write(world.path("good.pem"), world.claim(&good, &code).await.chain).unwrap();
    let (bad, code) = gateways.remove(0);
    fs::write(world.path("bad.pem"), world.claim(&bad, &code).await.chain).unwrap();
    let serial = world.device(&bad).await.certificate_serial;
    let mut certificates = world.client.certificates.clone();
    let get = v1::GetCertificateRequest {
        name: format!("certificates/{serial}"),
    };
    let record = certificates.get_certificate(get).await.unwrap().into_inner();
    let shard = u8::from_str_radix(&serial[30..], 16).unwrap() % 16;
    let name = format!("authorities/{}/revocationLists/{shard}", record.issuer);
    let list = async |certificates: &mut CertificatesClient<Channel>| {
        let request = v1::GetRevocationListRequest { name: name.clone() };
        certificates
            .get_revocation_list(request)
            .await
            .ok()
            .map(tonic::Response::into_inner)
    };
    let first = until("a first list", async || list(&mut certificates.clone()).await).await;
    revoke(certificates.clone(), &serial, "key-compromise")
        .await
        .unwrap();
    let second = until("a list with the certificate", async || {
        let list = list(&mut certificates.clone()).await?;
        (list.number > first.number).then_some(list)
    })
    .await;
    assert_eq!(second.number, first.number + 1);
    // 1. Over TLS, and without: the same bytes, and no more of them than needed.
    let path = format!("/crl/{}/{shard}.crl", record.issuer);
    let mut http = world.http(None).await.unwrap();
    let answer = http
        .ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/pkix-crl")
    );
    assert!(answer.header("cache-control").contains("max-age") && !answer.header("last-modified").is_empty());
    assert_eq!(answer.body, second.der);
    let etag = answer.header("etag").to_owned();
    let known =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nIf-None-Match: {etag}\r\nConnection: close\r\n\r\n");
    assert!(plain(&world, &known).await.starts_with("HTTP/1.1 304 "));
    let plainly = plain(&world, &known.replace(&etag, "\"0\"")).await;
    assert!(
        plainly.starts_with("HTTP/1.1 200 ") && plainly.contains("application/pkix-crl"),
        "{plainly}"
    );
    for nothing in ["/crl/00/0.crl", "/crl/x", "/", "/.well-known/est/cacerts"] {
        let asked = format!("GET {nothing} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(
            plain(&world, &asked).await.starts_with("HTTP/1.1 404 "),
            "{nothing}"
        );
    }
    let issuer = http
        .ask(format!(
            "GET /crl/{}.cer HTTP/1.1\r\nHost: x\r\n\r\n",
            record.issuer
        ))
        .await
        .unwrap();
    assert_eq!(
        (issuer.status, issuer.header("content-type")),
        (200, "application/pkix-cert")
    );
    // 2. OpenSSL verifies the list, and by it the certificates.
    fs::write(world.path("list.der"), &second.der).unwrap();
    fs::write(world.path("issuer.der"), &issuer.body).unwrap();
    let (_, said) = openssl(&world, "x509 -inform DER -in issuer.der -out issuer.pem").await;
    assert_eq!(said, "");
    let (fine, said) = openssl(
        &world,
        "crl -inform DER -in list.der -CAfile issuer.pem -noout -text",
    )
    .await;
    assert!(fine && said.contains("verify OK"), "{said}");
    let text = said.to_lowercase().replace(':', "");
    assert!(
        text.contains(&serial) && said.contains("Key Compromise"),
        "{said}"
    );
    let mut lists = String::new();
    let all = certificates
        .list_revocation_lists(v1::ListRevocationListsRequest {})
        .await
        .unwrap();
    let all = all.into_inner().revocation_lists;
    assert_eq!(all.len(), 3 * 16);
    for known in all {
        let request = v1::GetRevocationListRequest { name: known.name };
        let list = certificates
            .get_revocation_list(request)
            .await
            .unwrap()
            .into_inner();
        fs::write(world.path("one.der"), &list.der).unwrap();
        lists += &openssl(&world, "crl -inform DER -in one.der").await.1;
    }
    fs::write(world.path("lists.pem"), lists).unwrap();
    let check = "verify -x509_strict -crl_check -CRLfile lists.pem -CAfile registry/operator/root.pem -untrusted issuer.pem";
    let (fine, said) = openssl(&world, &format!("{check} good.pem")).await;
    assert!(fine, "{said}");
    let (fine, said) = openssl(&world, &format!("{check} bad.pem")).await;
    assert!(!fine && said.contains("certificate revoked"), "{said}");
    // 3. A restart serves it at once, under the same number.
    world.stopped().await.unwrap();
    world.serve_again().await;
    let again = list(&mut world.client.certificates.clone()).await.unwrap();
    assert_eq!((again.number, again.der), (second.number, second.der));
}
