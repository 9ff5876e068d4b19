//! Somebody else's EST clients: curl with OpenSSL, as the contract's README says, and strongSwan's `pki --est`.

use muster_tests::{Ended, Program, World};
use std::{fs, process::Command};

async fn run(world: &World, program: &str, arguments: &str) -> Ended {
    let mut command = Command::new(program);
    command
        .args(arguments.split_whitespace())
        .current_dir(world.path(""))
        // What Debian's OpenSSL and strongSwan say is in no language but English.
        .env("LC_ALL", "C");
    Program::run(&mut command).await
}

async fn done(world: &World, program: &str, arguments: &str) -> Ended {
    let ended = run(world, program, arguments).await;
    assert_eq!(ended.code, Some(0), "{program} {arguments}: {ended:?}");
    ended
}

const ROOT: &str = "registry/operator/root.pem";

fn base(world: &World) -> String {
    format!("https://localhost:{}/.well-known/est", world.grpc().port())
}

/// OpenSSL accepts the certificate as a TLS client's, under the root that the device pins.
async fn verified(world: &World, leaf: &str, authorities: &str) {
    let arguments =
        format!("verify -x509_strict -purpose sslclient -CAfile {ROOT} -untrusted {authorities} {leaf}");
    assert_eq!(
        done(world, "openssl", &arguments).await.out.trim(),
        format!("{leaf}: OK")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_and_openssl_enroll_a_device() {
    let world = World::start().await;
    let codes = world.gateways(2).await;
    for ((serial, code), version) in codes.iter().zip(["--http1.1", "--http2"]) {
        let curl = format!("--silent --show-error --fail-with-body {version} --cacert {ROOT}");
        let base = base(&world);
        // 1. Whom to trust.
        done(&world, "curl", &format!("{curl} -o ca.b64 {base}/cacerts")).await;
        done(&world, "openssl", "base64 -d -A -in ca.b64 -out ca.p7").await;
        let shown = done(
            &world,
            "openssl",
            "pkcs7 -inform DER -in ca.p7 -print_certs -out ca.pem",
        )
        .await;
        assert_eq!(shown.log, "");
        assert_eq!(
            fs::read_to_string(world.path("ca.pem"))
                .unwrap()
                .matches("BEGIN")
                .count(),
            2
        );
        // 2. What to ask for.
        done(
            &world,
            "curl",
            &format!("{curl} -o attributes.b64 {base}/csrattrs"),
        )
        .await;
        done(
            &world,
            "openssl",
            "base64 -d -A -in attributes.b64 -out attributes.der",
        )
        .await;
        let attributes = done(&world, "openssl", "asn1parse -inform DER -in attributes.der").await;
        for wanted in ["id-ecPublicKey", "prime256v1", "ecdsa-with-SHA256"] {
            assert!(attributes.out.contains(wanted), "{}", attributes.out);
        }
        // 3. Key, request, certificate.
        done(
            &world,
            "openssl",
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout d.key -subj /CN=any -outform DER -out d.der",
        )
        .await;
        done(&world, "openssl", "base64 -in d.der -out d.b64").await;
        let enroll = format!(
            "{curl} -H Content-Type:application/pkcs10 --data-binary @d.b64 {base}/GW-200/simpleenroll"
        );
        done(
            &world,
            "curl",
            &format!("{enroll} --user {serial}:{code} -o d.p7.b64"),
        )
        .await;
        done(&world, "openssl", "base64 -d -A -in d.p7.b64 -out d.p7").await;
        done(
            &world,
            "openssl",
            "pkcs7 -inform DER -in d.p7 -print_certs -out d.pem",
        )
        .await;
        verified(&world, "d.pem", "ca.pem").await;
        let id = world.device(serial).await.name.replace("devices/", "CN = ");
        let shown = done(&world, "openssl", "x509 -in d.pem -noout -subject").await;
        assert!(shown.out.contains(&id), "{} is not {id}", shown.out);
        // 4. A "no" that a person can read.
        let refused = run(&world, "curl", &format!("{enroll} --user {serial}:wrong")).await;
        assert_eq!(refused.code, Some(22), "{refused:?}");
        assert!(
            refused.log.contains("401") && refused.out.starts_with("M4001: "),
            "{refused:?}"
        );
        // Curl waits to be asked, too.
        let asked = done(
            &world,
            "curl",
            &format!("{enroll} --anyauth --user {serial}:{code}"),
        )
        .await;
        let first = fs::read_to_string(world.path("d.p7.b64")).unwrap();
        assert_eq!(asked.out, first, "the same key gets the same certificate");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_fetches_a_key_that_the_server_made() {
    let world = World::builder()
        .setting("serverkeygen = false", "serverkeygen = true")
        .start()
        .await;
    let (serial, code) = world.gateways(1).await.remove(0);
    done(
        &world,
        "openssl",
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout unused.key -subj /CN=any -outform DER -out d.der",
    )
    .await;
    done(&world, "openssl", "base64 -in d.der -out d.b64").await;
    let curl = format!(
        "--silent --show-error --fail --cacert {ROOT} -H Content-Type:application/pkcs10 --data-binary @d.b64 \
         --user {serial}:{code} {}/serverkeygen",
        base(&world)
    );
    let answer = done(&world, "curl", &curl).await.out;
    let bodies: Vec<_> = answer.split("\r\n\r\n").skip(1).collect();
    for (body, name) in bodies.iter().zip(["k", "c"]) {
        let base64 = body.split("\r\n").next().unwrap();
        fs::write(world.path(name), base64).unwrap();
        done(
            &world,
            "openssl",
            &format!("base64 -d -A -in {name} -out {name}.der"),
        )
        .await;
    }
    done(
        &world,
        "openssl",
        "pkcs7 -inform DER -in c.der -print_certs -out c.pem",
    )
    .await;
    let of_key = done(&world, "openssl", "pkey -inform DER -in k.der -pubout")
        .await
        .out;
    let of_certificate = done(&world, "openssl", "x509 -in c.pem -noout -pubkey").await.out;
    assert_eq!(of_key, of_certificate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strongswan_enrolls_a_device_unmodified() {
    let world = World::start().await;
    let (serial, code) = world.gateways(1).await.remove(0);
    let server = format!("https://localhost:{}", world.grpc().port());
    done(
        &world,
        "pki",
        &format!("--estca --url {server} --cacert {ROOT} --caout ca --outform pem --force"),
    )
    .await;
    let authorities: String = fs::read_dir(world.path(""))
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("ca"))
        .map(|entry| fs::read_to_string(entry.path()).unwrap())
        .collect();
    assert_eq!(
        authorities.matches("BEGIN CERTIFICATE").count(),
        2,
        "{authorities}"
    );
    fs::write(world.path("authorities.pem"), authorities).unwrap();
    let key = done(&world, "pki", "--gen --type ecdsa --size 256 --outform pem")
        .await
        .out;
    fs::write(world.path("d.key"), key).unwrap();
    let request = done(
        &world,
        "pki",
        "--req --in d.key --type ecdsa --dn CN=any --digest sha256 --outform pem",
    )
    .await;
    fs::write(world.path("d.csr"), request.out).unwrap();
    let enroll = format!(
        "--est --url {server} --in d.csr --cacert {ROOT} --cacert authorities.pem --userpass {serial}:{code} --outform pem"
    );
    let leaf = done(&world, "pki", &enroll).await.out;
    fs::write(world.path("d.pem"), leaf).unwrap();
    verified(&world, "d.pem", "authorities.pem").await;
    let wrong = run(&world, "pki", &enroll.replace(&code, "wrong")).await;
    assert_ne!(wrong.code, Some(0), "{wrong:?}");
}
