//! `muster site` and maintenance windows: the example of the README, and tables.

use muster_tests::{Ended, Program, Registry, fixture};
use std::fs;

async fn ended(registry: &Registry, line: &str, code: i32) -> Ended {
    let mut muster = registry.muster();
    muster.current_dir(registry.path("")).env("NO_COLOR", "1");
    let ended = Program::run(muster.args(line.split_whitespace())).await;
    assert_eq!(ended.code, Some(code), "muster {line}: {ended:?}");
    ended
}

async fn windows(registry: &Registry, code: &str) -> serde_json::Value {
    let shown = ended(registry, &format!("site get {code} -o json"), 0).await.out;
    serde_json::from_str::<serde_json::Value>(&shown).unwrap()["maintenance_windows"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_windows_come_from_files_and_tables() {
    let registry = Registry::new();
    let (_musterd, _, _) = registry.serve("info").await;
    let example = fixture::readme_block("[[sites]] ");
    fs::write(registry.path("sites.toml"), example).unwrap();
    ended(&registry, "site apply -f sites.toml", 0).await;
    let munich = ["Mon-Fri 01:00-05:00", "Sun 12:00-24:00"];
    assert_eq!(windows(&registry, "MUC-01").await, serde_json::json!(munich));
    assert!(ended(&registry, "site list", 0).await.out.contains("MAINTENANCE"));
    let table = "code,maintenance_windows,time_zone\nMUC-01,,Europe/Berlin\nOSA-05,\"Mon,Tue 01:00-02:00; 04:00-05:00\",Asia/Tokyo\n";
    fs::write(registry.path("sites.csv"), table).unwrap();
    ended(&registry, "site apply -f sites.csv", 0).await;
    assert_eq!(windows(&registry, "MUC-01").await, serde_json::json!([]));
    let osaka = ["Mon,Tue 01:00-02:00", "04:00-05:00"];
    assert_eq!(windows(&registry, "OSA-05").await, serde_json::json!(osaka));
    fs::write(
        registry.path("wrong.csv"),
        "code,maintenance_windows\nOSA-05,01:00-02:00;noon\n",
    )
    .unwrap();
    let refused = ended(&registry, "site apply -f wrong.csv", 4).await;
    assert!(refused.log.contains("maintenance_windows[1]"), "{refused:?}");
}
