//! Somebody else's TLS: OpenSSL makes a key, and judges the chain that a claim gives for it.

use muster_proto::payload::ClaimResult;
use muster_tests::{Ended, Program, World};
use std::{fs, process::Command};

async fn openssl(world: &World, arguments: &str) -> Ended {
    let mut openssl = Command::new("openssl");
    openssl
        .args(arguments.split_whitespace())
        .current_dir(world.path(""));
    let ended = Program::run(&mut openssl).await;
    assert_eq!(ended.code, Some(0), "openssl {arguments}: {ended:?}");
    ended
}

/// `openssl s_client`, which says a CONNECT of MQTT 3.1.1 and a DISCONNECT, and hears what the server has to say until it
/// closes: with the answer come the tickets of TLS 1.3.
async fn with_connect(world: &World, arguments: &str) -> Ended {
    fs::write(
        world.path("connect"),
        b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0\xe0\0",
    )
    .unwrap();
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("cat connect | openssl {arguments} -ign_eof"))
        .current_dir(world.path(""));
    Program::run(&mut shell).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_makes_the_request_and_accepts_the_chain() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    // 1. A device without any Rust: key and request by OpenSSL.
    openssl(&world, "ecparam -name prime256v1 -genkey -noout -out device.key").await;
    openssl(
        &world,
        "req -new -key device.key -subj / -outform DER -out device.csr",
    )
    .await;
    let csr = fs::read(world.path("device.csr")).unwrap();
    let Some(ClaimResult::Accepted(accepted)) =
        world.dial(None).await.unwrap().claim(&serial, &code, csr).await
    else {
        panic!("OpenSSL's request is granted");
    };
    let pem = |certificates: &[muster_proto::payload::Binary]| -> String {
        certificates
            .iter()
            .map(|der| muster_server::ca::certificate_pem(&der.0))
            .collect()
    };
    fs::write(world.path("leaf.pem"), pem(&accepted.chain[..1])).unwrap();
    fs::write(world.path("above.pem"), pem(&accepted.chain[1..])).unwrap();
    fs::write(world.path("chain.pem"), pem(&accepted.chain)).unwrap();
    // 2. The chain stands up to the strictest reading.
    let root = "-CAfile registry/operator/root.pem";
    for purpose in ["", "-purpose sslclient"] {
        let verified = openssl(
            &world,
            &format!("verify -x509_strict -check_ss_sig {purpose} {root} -untrusted above.pem leaf.pem"),
        )
        .await;
        assert_eq!(verified.out.trim(), "leaf.pem: OK");
    }
    // It is no server's, and nobody's authority.
    let mut wrong = Command::new("openssl");
    wrong.args(format!("verify -purpose sslserver {root} -untrusted above.pem leaf.pem").split_whitespace());
    assert_ne!(
        Program::run(wrong.current_dir(world.path(""))).await.code,
        Some(0)
    );
    // 3. It says what the registry knows, and no more.
    let shown = openssl(
        &world,
        "x509 -in leaf.pem -noout -subject -nameopt RFC2253 -ext keyUsage,extendedKeyUsage,basicConstraints",
    )
    .await
    .out;
    for expected in [
        format!("CN={}", accepted.device_id),
        "X509v3 Key Usage: critical\n    Digital Signature\n".into(),
        "TLS Web Client Authentication\n".into(),
        "CA:FALSE".into(),
    ] {
        assert!(shown.contains(&expected), "{expected:?} in {shown}");
    }
    // 4. Both sides of a handshake accept each other, on TLS 1.2 and 1.3. The session is resumed at the port of devices, and not
    // at that of operators, where it is none.
    for version in ["tls1_2", "tls1_3"] {
        let connect = format!(
            "s_client -connect {} -servername localhost -verify_hostname localhost -verify_return_error -{version} {root} \
             -cert leaf.pem -cert_chain above.pem -key device.key",
            world.mqtt()
        );
        let shaken = with_connect(&world, &format!("{connect} -sess_out {version}.session")).await;
        assert!(shaken.out.contains("Verify return code: 0 (ok)"), "{shaken:?}");
        assert!(shaken.out.contains("New, TLSv1."), "{shaken:?}");
        for _ in 0..2 {
            let resumed = with_connect(&world, &format!("{connect} -sess_in {version}.session")).await;
            assert!(resumed.out.contains("Reused, TLSv1."), "{resumed:?}");
        }
        let elsewhere = connect.replace(&world.mqtt().to_string(), &world.grpc().to_string());
        let full = with_connect(&world, &format!("{elsewhere} -sess_in {version}.session")).await;
        assert!(full.out.contains("New, TLSv1."), "{full:?}");
        assert!(!full.out.contains("TLS session ticket:"), "{full:?}");
    }
}
