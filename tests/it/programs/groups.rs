//! `muster group`, and layered values from the shell.

use muster_tests::{Ended, Program, Registry};
use std::fs;

async fn run(registry: &Registry, line: &str) -> Ended {
    let mut muster = registry.muster();
    muster.current_dir(registry.path("")).env("NO_COLOR", "1");
    // Every second part stands in quotes.
    for (place, part) in line.split('\'').enumerate() {
        if place % 2 == 1 {
            muster.arg(part);
        } else {
            muster.args(part.split_whitespace());
        }
    }
    Program::run(&mut muster).await
}

async fn ended(registry: &Registry, line: &str, code: i32) -> Ended {
    let ended = run(registry, line).await;
    assert_eq!(ended.code, Some(code), "muster {line}: {ended:?}");
    ended
}

const CATALOG: &str = r#"
[[models]]
name = "RT-1"
profile = "router"
[[sites]]
code = "DE"
[[sites]]
code = "MUC-01"
parent = "DE"
[[groups]]
name = "canary"
description = "First to get anything"
rank = 100
[[groups]]
name = "early"
filter = 'labels.ring = early'
[[profiles]]
name = "router"
[profiles.parameters.ntp]
type = "string"
[profiles.parameters.port]
type = "integer"
default = 80
[profiles.values.organisation]
ntp = "ntp.example"
[profiles.values.sites.DE]
ntp = "de.example"
[profiles.values.groups.canary]
port = 8080
[profiles.files]
"net.toml" = '''
ntp = {{ ntp | tojson }}
port = {{ port }}
'''
"#;

async fn prepared(registry: &Registry) {
    fs::write(registry.path("catalog.toml"), CATALOG).unwrap();
    let rows =
        "serial,model,site,labels.ring\nRT-1,RT-1,MUC-01,early\nRT-2,RT-1,,early\nRT-3,RT-1,MUC-01,late\n";
    fs::write(registry.path("rows.csv"), rows).unwrap();
    ended(registry, "apply -f catalog.toml", 0).await;
    // No row has the parameter without default: a layer gives it.
    ended(registry, "import rows.csv --out results.csv", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_come_into_groups_and_leave_them() {
    let registry = Registry::new();
    let (_musterd, _, _) = registry.serve("info").await;
    prepared(&registry).await;
    let listed = ended(&registry, "group list -o csv", 0).await.out;
    assert!(
        listed.contains("canary") && listed.contains("labels.ring = early"),
        "{listed}"
    );
    let added = ended(&registry, "group add canary RT-1 RT-9", 3).await;
    assert!(
        added.out.contains("RT-9") && added.out.contains("NOT_FOUND") || added.out.contains("1004"),
        "{added:?}"
    );
    assert!(
        added.log.contains("1 updated, 0 unchanged, 1 failed"),
        "{added:?}"
    );
    // A filter is confirmed by the number of devices.
    let asked = ended(&registry, "group add canary --filter 'group = early'", 2).await;
    assert!(
        asked.log.contains("2 devices match") && asked.log.contains("--count 2"),
        "{asked:?}"
    );
    ended(
        &registry,
        "group add canary --filter 'group = early' --count 3",
        2,
    )
    .await;
    let added = ended(
        &registry,
        "group add canary --filter 'group = early' --count 2",
        0,
    )
    .await;
    assert!(added.log.contains("1 updated, 1 unchanged"), "{added:?}");
    fs::write(registry.path("serials.csv"), "site,serial\nMUC-01,RT-1\n,RT-2\n").unwrap();
    let removed = ended(&registry, "group remove canary --file serials.csv", 0).await;
    assert!(removed.log.contains("2 updated"), "{removed:?}");
    ended(&registry, "group add early RT-3", 4).await;
    ended(&registry, "group add nobody RT-3", 5).await;
    ended(&registry, "group add canary RT-3", 0).await;
    let shown = ended(&registry, "device get RT-1 -o json", 0).await.out;
    assert!(
        shown.contains("\"groups/early\"") && !shown.contains("groups/canary"),
        "{shown}"
    );
    let wrong = ended(&registry, "device list --filter 'group = canari'", 4).await;
    assert!(wrong.log.contains("did you mean canary?"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_are_explained_rendered_compared_and_tested() {
    let registry = Registry::new();
    let (_musterd, _, _) = registry.serve("info").await;
    prepared(&registry).await;
    ended(&registry, "group add canary RT-1", 0).await;
    let explained = ended(&registry, "profile explain router --device serial:RT-1 -o csv", 0)
        .await
        .out;
    assert_eq!(
        explained.lines().skip(1).collect::<Vec<_>>(),
        ["ntp,de.example,sites/DE", "port,8080,groups/canary"]
    );
    let explained = ended(
        &registry,
        "profile explain router --device serial:RT-2 --set port=1 -o csv",
        0,
    )
    .await
    .out;
    assert_eq!(
        explained.lines().skip(1).collect::<Vec<_>>(),
        ["ntp,ntp.example,organisation", "port,1,device"]
    );
    let line = "profile render router --device serial:RT-3 --only net.toml";
    assert_eq!(
        ended(&registry, line, 0).await.out,
        "ntp = \"de.example\"\nport = 80\n"
    );
    let line = "profile render router --device serial:RT-3 --group canary --only net.toml";
    assert_eq!(
        ended(&registry, line, 0).await.out,
        "ntp = \"de.example\"\nport = 8080\n"
    );
    // Layers are compared, alone and in what comes of them.
    let next = CATALOG.replace("de.example", "germany.example");
    fs::write(registry.path("next.toml"), next).unwrap();
    let diff = ended(&registry, "profile diff router -f next.toml", 9).await.out;
    assert!(
        diff.contains("router@1/(values)") && diff.contains("+ntp = \"germany.example\""),
        "{diff}"
    );
    let diff = ended(
        &registry,
        "profile diff router -f next.toml --device serial:RT-1",
        9,
    )
    .await
    .out;
    assert!(diff.contains("+ntp = \"germany.example\""), "{diff}");
    ended(
        &registry,
        "profile diff router -f next.toml --device serial:RT-2",
        0,
    )
    .await;
    ended(&registry, "profile lint -f catalog.toml --deny warnings", 0).await;
    let cases = "profile = 'catalog.toml'\n[given.device]\nserial = 'RT-1'\nmodel = 'RT-1'\n\
                 [[cases]]\nname = 'below DE'\ngiven.site.code = 'MUC-01'\ngiven.above = ['DE']\n\
                 files.'net.toml'.values = { ntp = 'de.example', port = 80 }\n\
                 [[cases]]\nname = 'a canary'\ngiven.groups = ['canary']\n\
                 files.'net.toml'.values = { ntp = 'ntp.example', port = 8080 }\n";
    fs::write(registry.path("router.test.toml"), cases).unwrap();
    ended(&registry, "profile test router.test.toml", 0).await;
}
