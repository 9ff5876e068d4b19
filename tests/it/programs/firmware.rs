//! Signatures of firmware images: what OpenSSL signs is accepted, what we sign OpenSSL accepts, and nothing else passes.

use muster_tests::{Ended, Program, Registry};
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

/// Where an author works.
struct Desk {
    directory: TempDir,
}

const POLICY: &str = "name = \"gw-200-stable\"\napplies_to.models = [\"GW-200\"]\n[update.target]\n";
const PLACE: &str = "--version 2.4.1 --url https://firmware.example/2.4.1.img";

impl Desk {
    /// With a key, and an image that does not fit into one read.
    async fn new() -> Self {
        let desk = Self {
            directory: TempDir::new().unwrap(),
        };
        desk.make_key("author").await;
        let image: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        desk.write("gw.img", image);
        desk
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    async fn run(&self, program: Command, line: &str) -> Ended {
        let mut program = program;
        program.args(line.split_whitespace()).current_dir(self.path());
        program.env("NO_COLOR", "1").env_remove("MUSTER_CONTEXT");
        Program::run(&mut program).await
    }

    async fn openssl(&self, line: &str) -> String {
        let ended = self.run(Command::new("openssl"), line).await;
        assert_eq!(ended.code, Some(0), "openssl {line}: {ended:?}");
        ended.out
    }

    async fn make_key(&self, name: &str) {
        let curve = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";
        self.openssl(&format!("{curve} -out {name}.key")).await;
        self.openssl(&format!("pkey -in {name}.key -pubout -out {name}.pem"))
            .await;
    }

    async fn muster(&self, line: &str) -> Ended {
        self.run(Program::command("muster"), &format!("firmware {line}"))
            .await
    }

    async fn ended(&self, line: &str, code: i32) -> Ended {
        let ended = self.muster(line).await;
        assert_eq!(ended.code, Some(code), "muster firmware {line}: {ended:?}");
        ended
    }

    /// A policy whose target is what `sign` printed.
    async fn sign(&self, key: &str) {
        let signed = self.ended(&format!("sign gw.img --key {key} {PLACE}"), 0).await;
        self.write("policy.toml", format!("{POLICY}{}", signed.out));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_accepts_what_we_sign() {
    let desk = Desk::new().await;
    // As OpenSSL writes keys: PKCS#8, and SEC 1 with parameters in front.
    desk.openssl("ecparam -name prime256v1 -genkey -out old.key")
        .await;
    desk.openssl("pkey -in old.key -pubout -out old.pem").await;
    assert!(desk.read("old.key").contains("EC PARAMETERS"));
    for name in ["author", "old"] {
        desk.sign(&format!("{name}.key")).await;
        let text = desk.read("policy.toml");
        let policy: toml::Table = text.parse().unwrap();
        let target = &policy["update"]["target"];
        assert_eq!(target["version"].as_str(), Some("2.4.1"));
        assert_eq!(target["size"].as_integer(), Some(1_200_000));
        desk.write("signature.b64", target["signature"].as_str().unwrap());
        desk.openssl("base64 -A -d -in signature.b64 -out signature")
            .await;
        let verified = desk
            .openssl(&format!(
                "dgst -sha256 -verify {name}.pem -signature signature gw.img"
            ))
            .await;
        assert_eq!(verified.trim(), "Verified OK");
        let digest = desk.openssl("dgst -sha256 -r gw.img").await;
        assert_eq!(digest.split_whitespace().next(), target["sha256"].as_str());
        desk.ended(
            &format!("verify -f policy.toml --key {name}.pem --image gw.img"),
            0,
        )
        .await;
        // The same key and image, the same signature.
        desk.sign(&format!("{name}.key")).await;
        assert_eq!(desk.read("policy.toml"), text);
    }
    let json = desk.ended("sign gw.img --key author.key -o json", 0).await.out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["size"].as_u64(), json.get("url")), (Some(1_200_000), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_openssl_signs_is_accepted() {
    let desk = Desk::new().await;
    desk.make_key("other").await;
    desk.openssl("dgst -sha256 -sign author.key -out signature gw.img")
        .await;
    let signature = desk.openssl("base64 -A -in signature").await;
    let digest = desk.openssl("dgst -sha256 -r gw.img").await;
    let digest = digest.split_whitespace().next().unwrap();
    let policy = |digest: &str, more: &str| {
        let place = "version = \"2.4.1\"\nurl = \"https://firmware.example/2.4.1.img\"\nsize = 1200000\n";
        desk.write(
            "policy.toml",
            format!("{POLICY}{place}sha256 = \"{digest}\"\n{more}\n"),
        );
    };
    let signed = format!("signature = \"{signature}\"");
    policy(digest, &signed);
    let verify = "verify -f policy.toml --image gw.img --key";
    let shown = desk.ended(&format!("{verify} author.pem"), 0).await.out;
    assert!(
        shown.contains("update.target") && shown.ends_with("1 images, 1 of them signed\n"),
        "{shown}"
    );
    desk.ended(&format!("{verify} other.pem --key author.pem"), 0)
        .await;

    let verdict = async |line: &str| {
        let out = desk.ended(&format!("{line} -o json"), 9).await.out;
        let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
        rows[0]["signature"].as_str().unwrap().to_owned()
    };
    assert_eq!(verdict(&format!("{verify} other.pem")).await, "wrong");
    // The registry cannot put another image under it.
    policy(&"5a".repeat(32), &signed);
    assert_eq!(verdict("verify -f policy.toml --key author.pem").await, "wrong");
    policy(digest, "");
    assert_eq!(verdict(&format!("{verify} author.pem")).await, "unsigned");
    // Another file under the name of the image.
    policy(digest, &signed);
    desk.write("gw.img", "an old one");
    let strange = desk.ended(&format!("{verify} author.pem"), 9).await;
    assert!(
        strange
            .log
            .contains("gw.img is none of these images: 10 bytes, SHA-256 "),
        "{strange:?}"
    );
    // A signature that was cut is none; the registry says the same, at the same place.
    policy(digest, &format!("signature = \"{}\"", &signature[..40]));
    let cut = desk.ended("verify -f policy.toml --key author.pem", 4).await;
    assert!(
        cut.log.contains("M3004") && cut.log.contains("update.target.signature"),
        "{cut:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_signed_is_refused_by_its_name() {
    let desk = Desk::new().await;
    desk.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key")
        .await;
    desk.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out large.key")
        .await;
    desk.openssl("pkey -in author.key -aes256 -passout pass:correct -out locked.key")
        .await;
    desk.sign("author.key").await;
    desk.write("empty.img", "");
    desk.write("nothing.key", "not a key");
    for (line, expected) in [
        ("sign no.img --key author.key", "cannot read no.img: No such file"),
        ("sign . --key author.key", "cannot read .: Is a directory"),
        ("sign empty.img --key author.key", "empty.img is empty"),
        ("sign gw.img --key no.key", "cannot read no.key: No such file"),
        ("sign gw.img --key rsa.key", "rsa.key holds no P-256 key"),
        ("sign gw.img --key large.key", "large.key holds no P-256 key"),
        (
            "sign gw.img --key author.pem",
            "author.pem holds no private key in PEM",
        ),
        (
            "sign gw.img --key nothing.key",
            "nothing.key holds no private key in PEM",
        ),
        (
            "sign gw.img --key locked.key",
            "locked.key holds a key that is encrypted",
        ),
        ("sign gw.img --key gw.img", "gw.img is over 16384 bytes"),
        (
            "sign gw.img --key author.key --version 2.4",
            "is not a version such as 2.4.1",
        ),
        (
            "sign gw.img --key author.key --url ftp://x",
            "is not an http or https address",
        ),
        (
            "verify -f policy.toml --key author.key",
            "author.key: a private key",
        ),
        (
            "verify -f policy.toml --key nothing.key",
            "nothing.key: not a public key in PEM",
        ),
        (
            "verify -f policy.toml --key no.pem",
            "cannot read no.pem: No such file",
        ),
        (
            "verify -f no.toml --key author.pem",
            "cannot read no.toml: No such file",
        ),
        ("verify -f policy.toml", "--key <FILE>"),
    ] {
        let refused = desk.ended(line, 2).await;
        assert!(refused.log.contains(expected), "{line}: {refused:?}");
        assert_eq!(refused.out, "", "{line}");
    }
    // An encrypted key is opened by OpenSSL, on the way.
    let mut shell = Command::new("sh");
    let opened = format!(
        "openssl pkey -in locked.key -passin pass:correct | {} firmware sign gw.img --key - {PLACE}",
        Program::path("muster").display()
    );
    shell.arg("-c").arg(opened).current_dir(desk.path());
    let signed = Program::run(&mut shell).await;
    assert_eq!(
        (signed.code, format!("{POLICY}{}", signed.out)),
        (Some(0), desk.read("policy.toml"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_record_is_verified_by_name() {
    let registry = Registry::new();
    let (_musterd, _, _) = registry.serve("info").await;
    let desk = Desk::new().await;
    let muster = async |line: &str, code: i32| {
        let ended = desk.run(registry.muster(), line).await;
        assert_eq!(ended.code, Some(code), "muster {line}: {ended:?}");
        ended.out
    };
    desk.sign("author.key").await;
    muster("firmware apply -f policy.toml -m signed", 0).await;
    let signed = desk.read("policy.toml");
    let unsigned: Vec<_> = signed
        .lines()
        .filter(|line| !line.starts_with("signature"))
        .collect();
    desk.write("policy.toml", unsigned.join("\n"));
    muster("firmware apply -f policy.toml -m unsigned", 0).await;
    // The registry gives back what it was given, also after it was read again from its disk.
    muster(
        "firmware verify gw-200-stable@1 --key author.pem --image gw.img",
        0,
    )
    .await;
    muster("firmware verify gw-200-stable --key author.pem", 9).await;
    muster("firmware verify nobody --key author.pem", 5).await;
}
