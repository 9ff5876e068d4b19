//! `muster change rules`: the example of the README, read back, and what a plan says of it.

use muster_tests::{Ended, Program, Registry, fixture};
use std::fs;

async fn ended(registry: &Registry, line: &str, code: i32) -> Ended {
    let mut muster = registry.muster();
    muster.current_dir(registry.path("")).env("NO_COLOR", "1");
    let ended = Program::run(muster.args(line.split_whitespace())).await;
    assert_eq!(ended.code, Some(code), "muster {line}: {ended:?}");
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_set_from_a_file_and_a_plan_says_what_they_ask() {
    let registry = Registry::new();
    let (_musterd, _, _) = registry.serve("info").await;
    fs::write(
        registry.path("approvals.toml"),
        fixture::readme_block("[[rules]] "),
    )
    .unwrap();
    let tried = ended(&registry, "change rules set -f approvals.toml --dry-run", 0).await;
    for line in [
        "rule firmware is new",
        "rule retire-many is new",
        "nothing was changed",
    ] {
        assert!(tried.log.contains(line), "{line} in {tried:?}");
    }
    assert_eq!(
        ended(&registry, "change rules get -o json", 0)
            .await
            .out
            .matches("\"name\"")
            .count(),
        0
    );
    ended(&registry, "change rules set -f approvals.toml", 0).await;
    let shown = ended(&registry, "change rules get", 0).await.out;
    for part in [
        "RULE",
        "retire-many",
        "suspend, retire",
        "100",
        "2%",
        "normal",
        "Retired is retired",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    // What is printed is a file, with the etag that keeps two admins apart.
    let printed = ended(&registry, "change rules get -o json", 0).await.out;
    fs::write(registry.path("printed.json"), &printed).unwrap();
    let again = ended(&registry, "change rules set -f printed.json", 0).await;
    assert!(!again.log.contains("rule "), "{again:?}");
    let all = "[[rules]]\nname = \"all\"\napprovals = 2\n";
    fs::write(registry.path("all.toml"), all).unwrap();
    let replaced = ended(&registry, "change rules set -f all.toml", 0).await;
    for line in [
        "rule firmware is gone",
        "rule retire-many is gone",
        "rule all is new",
    ] {
        assert!(replaced.log.contains(line), "{line} in {replaced:?}");
    }
    let stale = ended(&registry, "change rules set -f printed.json", 4).await;
    assert!(stale.log.contains("1005"), "{stale:?}");
    // A plan says who asks, and so does whoever refuses to start it.
    let plan = ended(&registry, "change create --suspend stolen", 0).await.out;
    for line in [
        "2 approvals are missing: rule all asks for 2 (every change)",
        "Approved  0 of 2",
        "Rules     all asks for 2 (every change)",
    ] {
        assert!(plan.contains(line), "{line} in {plan}");
    }
    let listed = ended(&registry, "change list -o json", 0).await.out;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["demands"][0]["rule"], "all");
    let id = listed[0]["name"]
        .as_str()
        .unwrap()
        .trim_start_matches("changes/")
        .to_owned();
    let refused = ended(&registry, &format!("change start {id} --yes"), 4).await;
    assert!(
        refused
            .log
            .contains("0 of 2 approvals are there: rule all asks for 2"),
        "{refused:?}"
    );
    // Mistakes, here and there.
    let wrong = "[[rules]]\nname = \"all\"\napprovals = 1\n[[rules]]\nname = \"all\"\napprovals = 9\n";
    fs::write(registry.path("wrong.toml"), wrong).unwrap();
    let refused = ended(&registry, "change rules set -f wrong.toml", 4).await;
    for field in ["rules[1].name", "rules[1].approvals"] {
        assert!(refused.log.contains(field), "{field} in {refused:?}");
    }
    fs::write(
        registry.path("wrong.toml"),
        "[[rules]]\nname = \"all\"\napproval = 1\n",
    )
    .unwrap();
    let refused = ended(&registry, "change rules set -f wrong.toml", 2).await;
    assert!(refused.log.contains("unknown field `approval`"), "{refused:?}");
}
