//! EST (RFC 7030) over real sockets: a device enrolls with the code of its label, or with what its maker gave it, and
//! nobody learns anything from being refused.

use super::credentials::works;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use muster_domain::Code;
use muster_proto::v1::{self, CredentialKind, device::State};
use muster_tests::{
    Answer, Counts, ForeignCa, Http, Key, Pair, Proxy, World,
    est::{basic, certificates, decoded, enroll, parts, request},
    grpc, until,
};
use muster_tools::import::ImportOptions;
use rcgen::KeyPair;
use std::{collections::BTreeSet, fs, time::Instant};
use tonic::client::GrpcService as _;

const BASE: &str = "/.well-known/est";
const ENROLL: &str = "/.well-known/est/simpleenroll";
const KEYGEN: &str = "/.well-known/est/serverkeygen";

/// The same from who shows a certificate only.
fn enroll_by_certificate(csr: &[u8]) -> String {
    request(
        "POST",
        ENROLL,
        &[("Content-Type", "application/pkcs10")],
        &BASE64_STANDARD.encode(csr),
    )
}

/// The one certificate of a good answer.
#[track_caller]
fn granted(answer: &Answer) -> Vec<u8> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        "application/pkcs7-mime; smime-type=certs-only"
    );
    let mut all = certificates(&decoded(&answer.body));
    assert_eq!(all.len(), 1, "the issued certificate alone");
    all.remove(0)
}

/// The number of a refusal, which its text begins with; the help stands below.
#[track_caller]
fn refused(answer: &Answer) -> Code {
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    let text = answer.text();
    let number = text
        .strip_prefix('M')
        .and_then(|text| text.split(':').next()?.parse::<u16>().ok());
    let code = Code::try_from(number.unwrap_or_default()).unwrap_or_else(|_| panic!("{text:?}"));
    assert!(
        text.contains(code.reason()) && text.contains(code.help()),
        "{text:?}"
    );
    code
}

/// What differs between two answers by their time only is the same.
fn timeless(mut answer: Answer) -> Answer {
    answer.headers.retain(|(name, _)| name != "date");
    answer
}

/// With what the device needs above its own certificate.
fn pair(world: &World, key: &Key, leaf: &[u8]) -> Pair {
    key.pair(&[leaf.to_vec(), world.service().authorities().remove(1)])
}

async fn ask(world: &World, request: impl AsRef<[u8]>) -> Answer {
    let mut http = world.http(None).await.unwrap();
    http.ask(request).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_earns_a_certificate_once() {
    let world = World::start().await;
    let codes = world.gateways(2).await;
    let (serial, code) = &codes[0];
    let key = Key::new();
    let mut http = world.http(None).await.unwrap();
    let first = http.ask(enroll(ENROLL, serial, code, &key.csr())).await.unwrap();
    let leaf = granted(&first);
    // A lost answer is repeated, on this connection or another, however the code is typed.
    for code in [code.clone(), code.to_lowercase().replace('-', "")] {
        let again = http.ask(enroll(ENROLL, serial, &code, &key.csr())).await.unwrap();
        assert_eq!(timeless(again), timeless(first.clone()));
    }
    let again = ask(&world, enroll(ENROLL, serial, code, &key.csr())).await;
    assert_eq!(granted(&again), leaf);
    // Another key gets nothing, and is told to the operators.
    let stranger = ask(&world, enroll(ENROLL, serial, code, &Key::new().csr())).await;
    assert_eq!((stranger.status, refused(&stranger)), (401, Code::ClaimRefused));
    assert_eq!(world.audited("clone_suspected").await, 1);
    assert_eq!(world.audited("claim_finished").await, 1);
    // It is what a device connects with.
    works(&world, serial, &pair(&world, &key, &leaf)).await;
    assert_eq!(world.device(&codes[1].0).await.state(), State::Registered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_unknown_wrong_and_used_are_one_answer() {
    let world = World::start().await;
    let codes = world.gateways(2).await;
    let ((used, code), (open, _)) = (&codes[0], &codes[1]);
    granted(&ask(&world, enroll(ENROLL, used, code, &Key::new().csr())).await);
    let wrong = "00000-00000-00000-00000-00000";
    let other_model = format!("{BASE}/CAM-IR/simpleenroll");
    let csr = Key::new().csr();
    let answers = [
        ask(&world, enroll(ENROLL, used, code, &csr)).await,
        ask(&world, enroll(ENROLL, used, wrong, &csr)).await,
        ask(&world, enroll(ENROLL, open, wrong, &csr)).await,
        ask(&world, enroll(ENROLL, open, "typed wrongly", &csr)).await,
        ask(&world, enroll(ENROLL, open, "", &csr)).await,
        ask(&world, enroll(ENROLL, "NOBODY", wrong, &csr)).await,
        ask(&world, enroll(ENROLL, "", wrong, &csr)).await,
        ask(&world, enroll(&other_model, used, code, &csr)).await,
        ask(&world, enroll(&other_model, open, &codes[1].1, &csr)).await,
    ]
    .map(timeless);
    assert_eq!(
        (answers[0].status, answers[0].header("www-authenticate")),
        (401, r#"Basic realm="muster", charset="UTF-8""#)
    );
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    // The label was at fault, not the code.
    let label = format!("{BASE}/GW-200/simpleenroll");
    granted(&ask(&world, enroll(&label, open, &codes[1].1, &csr)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_a_request_is_told_so() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let (authorization, key) = (basic(&serial, &code), Key::new());
    let with = |media_type: &str, body: &str| {
        let headers = [("Content-Type", media_type), ("Authorization", &authorization)];
        request("POST", ENROLL, &headers, body)
    };
    let pkcs10 = |body: &str| with("application/pkcs10", body);
    let raw = {
        let csr = key.csr();
        let mut bytes = pkcs10(&"x".repeat(csr.len())).into_bytes();
        bytes.truncate(bytes.len() - csr.len());
        [bytes, csr].concat()
    };
    let good = BASE64_STANDARD.encode(key.csr());
    let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{good}\n-----END CERTIFICATE REQUEST-----\n");
    let get = |path: &str| request("GET", path, &[], "").into_bytes();
    let post = |path: &str| request("POST", path, &[("Content-Length", "0")], "").into_bytes();
    let announced = request(
        "POST",
        ENROLL,
        &[
            ("Content-Type", "application/pkcs10"),
            ("Content-Length", "16385"),
        ],
        "",
    );
    let chunks = format!(
        "{}4001\r\n{}\r\n",
        request(
            "POST",
            ENROLL,
            &[
                ("Content-Type", "application/pkcs10"),
                ("Transfer-Encoding", "chunked")
            ],
            ""
        ),
        "A".repeat(0x4001)
    );
    let p384 = Key::of_kind(&rcgen::PKCS_ECDSA_P384_SHA384).csr();
    for (request, status, code, said) in [
        (
            pkcs10("not base64!").into_bytes(),
            400,
            Code::CsrMalformed,
            "not base64",
        ),
        (pkcs10("AAAA").into_bytes(), 400, Code::CsrMalformed, "in DER"),
        (raw, 400, Code::CsrMalformed, "raw DER"),
        (pkcs10(&pem).into_bytes(), 400, Code::CsrMalformed, "PEM"),
        (
            pkcs10(&BASE64_STANDARD.encode(p384)).into_bytes(),
            400,
            Code::CsrKey,
            "prime256v1",
        ),
        (
            with("application/x-www-form-urlencoded", &good).into_bytes(),
            415,
            Code::RequestInvalid,
            "pkcs10",
        ),
        (post(ENROLL), 415, Code::RequestInvalid, "pkcs10"),
        (announced.into_bytes(), 413, Code::TooLarge, "16384"),
        (chunks.into_bytes(), 413, Code::TooLarge, "16384"),
        (get(ENROLL), 405, Code::RequestInvalid, "method"),
        (
            post(&format!("{BASE}/cacerts")),
            405,
            Code::RequestInvalid,
            "method",
        ),
        (get(&format!("{BASE}/fullcmc")), 404, Code::NotFound, "path"),
        (
            get(&format!("{BASE}/NO-MODEL/cacerts")),
            404,
            Code::NotFound,
            "label",
        ),
        (get(&format!("{BASE}/%00/cacerts")), 404, Code::NotFound, "label"),
        (
            get(&format!("{BASE}/GW-200/x/cacerts")),
            404,
            Code::NotFound,
            "path",
        ),
        (post(KEYGEN), 404, Code::NotFound, "path"),
        (get("/"), 404, Code::NotFound, "path"),
        (post("/muster.v1.Fleet/GetCounts"), 404, Code::NotFound, "path"),
    ] {
        let answer = ask(&world, &request).await;
        let what = String::from_utf8_lossy(&request[..request.len().min(160)]).into_owned();
        assert_eq!(
            (answer.status, refused(&answer)),
            (status, code),
            "{what}: {}",
            answer.text()
        );
        assert!(answer.text().contains(said), "{what}: {}", answer.text());
        let allow: BTreeSet<_> = answer.header("allow").split(',').collect();
        match (status, request.starts_with(b"GET")) {
            (405, true) => assert_eq!(allow, BTreeSet::from(["POST"]), "{what}"),
            (405, false) => assert_eq!(allow, BTreeSet::from(["GET", "HEAD"]), "{what}"),
            _ => assert_eq!(allow, BTreeSet::from([""]), "{what}"),
        }
    }
    // Nothing of it cost the code anything. Line breaks and old headers do no harm.
    let (front, back) = good.split_at(100);
    let headers = [
        ("Content-Type", "Application/PKCS10; charset=us-ascii"),
        ("Content-Transfer-Encoding", "base64"),
        ("Authorization", &authorization),
    ];
    granted(
        &ask(
            &world,
            request("POST", ENROLL, &headers, &format!("{front}\r\n{back}\n")),
        )
        .await,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_of_themselves_is_asked() {
    let world = World::start().await;
    let csr = Key::new().csr();
    for pair in [None, Some(world.admin())] {
        let mut http = world.http(pair.as_ref()).await.unwrap();
        let asked = http.ask(enroll_by_certificate(&csr)).await.unwrap();
        assert_eq!((asked.status, refused(&asked)), (401, Code::ClaimRefused));
        assert!(asked.header("www-authenticate").starts_with("Basic realm="));
        // Also a client that asks without a body first, to learn how.
        let headers = [("Content-Type", "application/pkcs10"), ("Content-Length", "0")];
        let probed = http.ask(request("POST", ENROLL, &headers, "")).await.unwrap();
        assert_eq!(timeless(probed), timeless(asked));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anybody_may_know_what_to_trust_and_what_to_ask_for() {
    let world = World::start().await;
    let mut http = world.http(None).await.unwrap();
    for base in [BASE.to_owned(), format!("{BASE}/GW-200")] {
        let answer = http
            .ask(request("GET", &format!("{base}/cacerts"), &[], ""))
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
        let given: BTreeSet<_> = certificates(&decoded(&answer.body)).into_iter().collect();
        let expected: BTreeSet<_> = world.service().authorities().into_iter().collect();
        assert_eq!(given.len(), 2);
        assert_eq!(given, expected);
        assert!(given.is_superset(&world.service().roots().into_iter().collect()));
        let answer = http
            .ask(request("GET", &format!("{base}/csrattrs"), &[], ""))
            .await
            .unwrap();
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "application/csrattrs")
        );
        assert_eq!(answer.header("content-transfer-encoding"), "base64");
        assert_eq!(answer.text(), "MCEwFQYHKoZIzj0CATEKBggqhkjOPQMBBwYIKoZIzj0EAwI=");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_requests_may_come_at_once() {
    let world = World::start().await;
    let codes = world.gateways(2).await;
    let both: Vec<_> = codes
        .iter()
        .map(|(serial, code)| enroll(ENROLL, serial, code, &Key::new().csr()))
        .collect();
    let mut http = world.http(None).await.unwrap();
    http.say(both.concat()).await.unwrap();
    let (first, second) = (http.hear().await.unwrap(), http.hear().await.unwrap());
    assert_ne!(granted(&first), granted(&second));
    // Without ALPN it is HTTP/1.1, too.
    let mut http = Http::dial(world.grpc(), &world.roots(), None, None, &[])
        .await
        .unwrap();
    let answer = http
        .ask(request("GET", &format!("{BASE}/cacerts"), &[], ""))
        .await;
    assert_eq!(answer.unwrap().status, 200);
}

/// The same over HTTP/2, where gRPC is beside it.
async fn ask2(world: &World, request: &str) -> http::Response<Vec<u8>> {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let mut built = http::Request::builder().method(first.next().unwrap());
    built = built.uri(first.next().unwrap());
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        // What HTTP/2 has pseudo-headers and frames for.
        if !["Host", "Content-Length"].contains(&name) {
            built = built.header(name, value);
        }
    }
    let body = tonic::body::Body::new(http_body_util::Full::from(body.to_owned()));
    let mut channel = world.channel(None);
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let answer = channel.call(built.body(body).unwrap()).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    http::Response::from_parts(head, body.to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_gives_the_same_answers_beside_grpc() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let csr = Key::new().csr();
    for (request, status) in [
        (enroll(ENROLL, &serial, &code, &csr), 200),
        (enroll(ENROLL, &serial, &code, &Key::new().csr()), 401),
        (enroll(ENROLL, "NOBODY", &code, &csr), 401),
        (request("GET", &format!("{BASE}/cacerts"), &[], ""), 200),
        (request("GET", &format!("{BASE}/GW-200/csrattrs"), &[], ""), 200),
        (request("GET", ENROLL, &[], ""), 405),
        (request("GET", &format!("{BASE}/fullcmc"), &[], ""), 404),
        (
            request(
                "POST",
                ENROLL,
                &[("Content-Type", "application/pkcs10")],
                &"A".repeat(16_385),
            ),
            413,
        ),
    ] {
        let answer = ask2(&world, &request).await;
        assert_eq!(answer.status(), status, "{request}");
        let one = ask(&world, &request).await;
        assert_eq!(answer.into_body(), one.body, "{request}");
    }
    // What is neither stays what it was: refused before it is looked for.
    let answer = ask2(&world, &request("GET", "/", &[], "")).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["grpc-status"]),
        (200, &"16".parse().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b5_who_goes_silent_is_let_go() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let whole = enroll(ENROLL, &serial, &code, &Key::new().csr());
    let (head, _) = whole.split_once("\r\n\r\n").unwrap();
    let silent = async |said: &str| {
        let mut http = world.http(None).await.unwrap();
        http.say(said).await.unwrap();
        let answer = http.hear().await;
        // Whatever is said, the connection ends.
        assert_eq!(http.hear().await, None);
        answer
    };
    let began = Instant::now();
    let half_body = &whole[..whole.len() - 10];
    let (nothing, half, body) = tokio::join!(silent(""), silent(head), silent(half_body));
    assert_eq!(nothing, None);
    assert!(half.is_none_or(|answer| answer.status == 408));
    let body = body.unwrap();
    assert_eq!((body.status, refused(&body)), (408, Code::RequestInvalid));
    assert!(began.elapsed().as_secs() < 25, "{:?}", began.elapsed());
    granted(&ask(&world, whole).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g12_stalled_connections_keep_nobody_out() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let held = || Counts::of(std::process::id()).unwrap().resident;
    let before = held();
    // More than one address may hold.
    let mut stalled = Vec::new();
    for _ in 0..1100 {
        let mut http = world.http(None).await.unwrap();
        http.say("POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: l")
            .await
            .unwrap();
        stalled.push(http);
    }
    // Both ends are in this process.
    let grown = held().saturating_sub(before) / 1024;
    assert!(grown < 100 << 10, "{grown} KiB for {} connections", stalled.len());
    let began = Instant::now();
    granted(&ask(&world, enroll(ENROLL, &serial, &code, &Key::new().csr())).await);
    assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
    assert_eq!(stalled[0].hear().await, None, "the oldest gave way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_is_told() {
    let world = World::start().await;
    let csr = Key::new().csr();
    let guess = enroll(ENROLL, "NOBODY", "00000-00000-00000-00000-00000", &csr);
    let mut http = world.http(None).await.unwrap();
    let mut waits = BTreeSet::new();
    for _ in 0..60 {
        let answer = http.ask(&guess).await.unwrap();
        if answer.status == 503 {
            assert_eq!(refused(&answer), Code::ClaimThrottled);
            waits.insert(answer.header("retry-after").parse::<u32>().unwrap());
        } else {
            assert_eq!(answer.status, 401);
        }
    }
    assert!(
        waits.len() > 1 && waits.iter().all(|wait| (1..=6).contains(wait)),
        "{waits:?}"
    );
    // gRPC says the same in its way.
    let request = v1::ClaimRequest {
        serial: "NOBODY".into(),
        activation_code: "00000-00000-00000-00000-00000".into(),
        csr,
    };
    let throttled = until("gRPC is throttled", async || {
        let status = world
            .client
            .enrollment
            .clone()
            .claim(request.clone())
            .await
            .unwrap_err();
        (grpc::refusal(&status) == Some(Code::ClaimThrottled)).then_some(status)
    });
    let details = tonic_types::StatusExt::get_error_details(&throttled.await);
    assert!(details.retry_info().unwrap().retry_delay.is_some());
}

/// Gateways with a credential of their maker's.
async fn pinned(world: &World, credentials: &[&str]) -> Vec<String> {
    let mut text = "serial,mac,model,firmware,site,position,extension,credential\n".to_owned();
    let serial = |i: usize| format!("GW2-{}", 6_300_000 + i);
    for (i, credential) in credentials.iter().enumerate() {
        let quoted = credential.replace('"', "\"\"");
        text += &format!(
            "{},00:1B:C5:63:00:{i:02X},GW-200,2.3.1,MUC-01,Hall 1,{i},\"{quoted}\"\n",
            serial(i)
        );
    }
    let file = world.path("pinned.csv");
    fs::write(&file, text).unwrap();
    let import = ImportOptions {
        credential: CredentialKind::Pinned,
        ..ImportOptions::of(file)
    };
    let imported = world.import_with(import).await;
    assert_eq!(
        imported.summary.created,
        credentials.len() as u64,
        "{:?}",
        imported.summary.causes
    );
    (0..credentials.len()).map(serial).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_key_needs_no_code() {
    let world = World::start().await;
    let made = KeyPair::generate().unwrap();
    let serial = pinned(&world, &[&made.public_key_pem()]).await.remove(0);
    let key = Key::of_pair(&Pair {
        chain: String::new(),
        key: made.serialize_pem(),
    });
    let stranger = ask(&world, enroll(ENROLL, &serial, "", &Key::new().csr())).await;
    assert_eq!((stranger.status, refused(&stranger)), (401, Code::ClaimRefused));
    let leaf = granted(&ask(&world, enroll(ENROLL, &serial, "", &key.csr())).await);
    works(&world, &serial, &pair(&world, &key, &leaf)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_makers_certificate_is_known_by_its_handshake() {
    let world = World::start().await;
    let maker = ForeignCa::new();
    let (own, unknown) = (maker.client("se-1"), maker.client("se-2"));
    pinned(&world, &[&own.chain]).await;
    let key = Key::of_pair(&own);
    let mut http = world.http(Some(&own)).await.unwrap();
    let first = granted(&http.ask(enroll_by_certificate(&key.csr())).await.unwrap());
    let again = granted(&http.ask(enroll_by_certificate(&key.csr())).await.unwrap());
    assert_eq!(first, again);
    // Another of the same maker is not let in at all. TLS 1.3 lets the client finish first.
    if let Ok(mut http) = world.http(Some(&unknown)).await {
        assert_eq!(
            http.ask(enroll_by_certificate(&Key::of_pair(&unknown).csr()))
                .await,
            None
        );
    }
}

/// What a device got that has no key of its own.
fn made(world: &World, answer: &Answer) -> Pair {
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (200, "no-store"),
        "{}",
        answer.text()
    );
    let parts = parts(answer);
    let types: Vec<_> = parts.iter().map(|(media_type, _)| media_type.as_str()).collect();
    assert_eq!(
        types,
        [
            "application/pkcs8",
            "application/pkcs7-mime; smime-type=certs-only"
        ]
    );
    let key = KeyPair::try_from(parts[0].1.as_slice()).unwrap().serialize_pem();
    let key = Pair {
        chain: String::new(),
        key,
    };
    let mut leaf = certificates(&parts[1].1);
    assert_eq!(leaf.len(), 1);
    pair(world, &Key::of_pair(&key), &leaf.remove(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_cannot_make_a_key_is_given_one() {
    let world = World::builder()
        .setting("serverkeygen = false", "serverkeygen = true")
        .start()
        .await;
    let codes = world.gateways(3).await;
    let (serial, code) = &codes[0];
    // The request's own key counts for nothing, not even its kind.
    let csr = Key::of_kind(&rcgen::PKCS_ECDSA_P384_SHA384).csr();
    let first = ask(&world, enroll(KEYGEN, serial, code, &csr)).await;
    let pair = made(&world, &first);
    // A lost answer is the same again, to whoever has serial and code.
    let typed = code.to_lowercase();
    let label = format!("{BASE}/GW-200/serverkeygen");
    for (path, code, csr) in [
        (KEYGEN, code, Key::new().csr()),
        (label.as_str(), &typed, csr.clone()),
    ] {
        let again = ask(&world, enroll(path, serial, code, &csr)).await;
        assert_eq!(timeless(again), timeless(first.clone()));
    }
    assert_eq!(
        (
            world.audited("claim_finished").await,
            world.audited("clone_suspected").await
        ),
        (1, 0)
    );
    // A key of the device's own is a second one now.
    let own = ask(&world, enroll(ENROLL, serial, code, &Key::new().csr())).await;
    assert_eq!((own.status, refused(&own)), (401, Code::ClaimRefused));
    // Who has neither gets the answer of every door.
    for (path, serial, code) in [
        (KEYGEN, serial.as_str(), "00000-00000-00000-00000-00000"),
        (KEYGEN, "NOBODY", code.as_str()),
        (
            "/.well-known/est/CAM-IR/serverkeygen",
            serial.as_str(),
            code.as_str(),
        ),
    ] {
        let refused = ask(&world, enroll(path, serial, code, &csr)).await;
        assert_eq!(timeless(refused), timeless(own.clone()));
    }
    let nobody = request(
        "POST",
        KEYGEN,
        &[("Content-Type", "application/pkcs10")],
        &BASE64_STANDARD.encode(&csr),
    );
    assert_eq!(ask(&world, nobody).await.status, 401);
    // Who asks for more than that is not given less.
    let named = ask(
        &world,
        enroll(
            KEYGEN,
            &codes[1].0,
            &codes[1].1,
            &Key::new().csr_with_name("x.example"),
        ),
    )
    .await;
    assert_eq!((named.status, refused(&named)), (400, Code::CsrAttribute));
    // Once the device has said that all is well, its code opens nothing more.
    works(&world, serial, &pair).await;
    let late = ask(&world, enroll(KEYGEN, serial, code, &csr)).await;
    assert_eq!(timeless(late), timeless(own));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_lost_with_the_server_is_honestly_gone() {
    let mut world = World::builder()
        .setting("serverkeygen = false", "serverkeygen = true")
        .start()
        .await;
    let codes = world.gateways(2).await;
    let (serial, code) = &codes[0];
    let csr = Key::new().csr();
    made(&world, &ask(&world, enroll(KEYGEN, serial, code, &csr)).await);
    // One hangs up without waiting, and gets what it was to get.
    let mut http = world.http(None).await.unwrap();
    http.say(enroll(KEYGEN, &codes[1].0, &codes[1].1, &csr))
        .await
        .unwrap();
    drop(http);
    made(
        &world,
        &ask(&world, enroll(KEYGEN, &codes[1].0, &codes[1].1, &csr)).await,
    );
    world.stopped().await.unwrap();
    world.serve_again().await;
    let again = ask(&world, enroll(KEYGEN, serial, code, &csr)).await;
    assert_eq!((again.status, refused(&again)), (401, Code::ClaimRefused));
    // The operators are told, as of every second key.
    assert_eq!(
        (
            world.audited("claim_finished").await,
            world.audited("clone_suspected").await
        ),
        (2, 1)
    );
}

/// One claim through a broken network, until an answer comes.
async fn persist(world: &World, request: &str, allowances: Vec<u64>) -> Answer {
    let proxy = Proxy::start(world.grpc(), allowances).await;
    loop {
        let dialled = Http::dial(proxy.address(), &world.roots(), None, None, &["http/1.1"]).await;
        if let Ok(mut http) = dialled
            && let Some(answer) = http.ask(request).await
        {
            return answer;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_a_lost_answer_is_asked_for_again() {
    let world = World::builder()
        .setting("claims_per_second = 50", "claims_per_second = 100000")
        .setting("serverkeygen = false", "serverkeygen = true")
        .start()
        .await;
    let mut codes = world.gateways(200).await.into_iter();
    let mut devices = 0;
    for path in [ENROLL, KEYGEN] {
        // How much a whole claim takes is measured first, so that the cuts cover all of it.
        let (serial, code) = codes.next().unwrap();
        let proxy = Proxy::start(world.grpc(), Vec::new()).await;
        let mut http = Http::dial(proxy.address(), &world.roots(), None, None, &["http/1.1"])
            .await
            .unwrap();
        let whole = enroll(path, &serial, &code, &Key::new().csr());
        assert_eq!(http.ask(whole).await.unwrap().status, 200);
        devices += 1;
        for (at, (serial, code)) in (0..proxy.carried()[0]).step_by(70).zip(codes.by_ref()) {
            let request = enroll(path, &serial, &code, &Key::new().csr());
            let first = persist(&world, &request, vec![at]).await;
            assert_eq!(first.status, 200, "cut at {at}: {}", first.text());
            // Once more over a sound network: it is the same.
            assert_eq!(
                timeless(persist(&world, &request, Vec::new()).await),
                timeless(first)
            );
            devices += 1;
        }
    }
    assert!((60..200).contains(&devices), "{devices} claims were cut");
    let audited = (
        world.audited("claim_started").await,
        world.audited("claim_finished").await,
        world.audited("clone_suspected").await,
    );
    assert_eq!(audited, (devices, devices, 0));
}
