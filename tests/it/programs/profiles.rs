//! `muster profile`: what shows a change before anything moves, as a script runs it.

use muster_tests::{Ended, Program, Registry, fixture};
use std::fs;

async fn run(registry: &Registry, line: &str) -> Ended {
    let mut muster = registry.muster();
    muster.current_dir(registry.path("")).env("NO_COLOR", "1");
    Program::run(muster.args(line.split_whitespace())).await
}

async fn ended(registry: &Registry, line: &str, code: i32) -> String {
    let ended = run(registry, line).await;
    assert_eq!(ended.code, Some(code), "muster {line}: {ended:?}");
    ended.out
}

/// A profile of one parameter and one file, in a file of its own.
fn write(registry: &Registry, name: &str, parameter: &str, template: &str) {
    let text = format!(
        "name = 'router'\nparameters.port = {{ {parameter} }}\nfiles.'net.toml' = '''\n{template}'''\n"
    );
    fs::write(registry.path(name), text).unwrap();
}

const PORT: &str = "type = 'integer', minimum = 1, maximum = 65535, default = 80";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_are_listed_and_compared() {
    let registry = Registry::new();
    let (_musterd, _, _) = registry.serve("info").await;
    write(
        &registry,
        "one.toml",
        "type = 'integer', default = 80",
        "port = {{ port }}\n",
    );
    write(
        &registry,
        "two.toml",
        PORT,
        "port = {{ port }}\nname = {{ device.serial | tojson }}\n",
    );
    ended(&registry, "profile diff -f one.toml", 9).await;
    ended(&registry, "profile apply -f one.toml -m first", 0).await;
    assert_eq!(ended(&registry, "profile diff -f one.toml", 0).await, "");
    ended(&registry, "profile apply -f two.toml -m second", 0).await;
    // Newest first, with who, when and why; pages follow each other.
    let listed = ended(&registry, "profile history router -o json", 0).await;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let found: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|revision| (&revision["number"], &revision["message"], &revision["author"]))
        .collect();
    let author = &"operators/admin".into();
    assert_eq!(
        found,
        [
            (&2.into(), &"second".into(), author),
            (&1.into(), &"first".into(), author)
        ]
    );
    let first = ended(&registry, "profile history router --limit 1", 0).await;
    assert!(first.contains("second") && !first.contains("first"), "{first}");
    ended(&registry, "profile history nobody", 5).await;
    // What changed between revisions, in the form that patch reads.
    let expected = "--- router@1/(parameters)\n+++ router@2/(parameters)\n@@ -1,3 +1,5 @@\n [port]\n type = \"integer\"\n \
                    default = \"80\"\n+minimum = \"1\"\n+maximum = \"65535\"\n--- router@1/net.toml\n+++ router@2/net.toml\n\
                    @@ -1 +1,2 @@\n port = {{ port }}\n+name = {{ device.serial | tojson }}\n";
    for line in [
        "profile diff router",
        "profile diff router@1",
        "profile diff router@1 @2",
    ] {
        assert_eq!(ended(&registry, line, 9).await, expected, "{line}");
    }
    assert_eq!(ended(&registry, "profile diff router@2 @2", 0).await, "");
    let json = ended(&registry, "profile diff router@2 router@1 -o json", 9).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["file"], "(parameters)");
    assert!(
        json[1]["diff"]
            .as_str()
            .unwrap()
            .contains("-name = {{ device.serial | tojson }}")
    );
    ended(&registry, "profile diff router@3", 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_seen_on_the_device_before_it_is_applied() {
    let registry = Registry::new();
    let (_musterd, _, _) = registry.serve("info").await;
    write(&registry, "one.toml", PORT, "port = {{ port }}\n");
    write(
        &registry,
        "two.toml",
        PORT,
        "port = {{ port }}\nserial = {{ device.serial | tojson }}\n",
    );
    fs::write(registry.path("model.toml"), "name = 'RT-1'\nprofile = 'router'\n").unwrap();
    fs::write(
        registry.path("rows.csv"),
        "serial,model,port\nRT-7,RT-1,8080\nRT-8,RT-1,70000\n",
    )
    .unwrap();
    ended(&registry, "profile apply -f one.toml", 0).await;
    ended(&registry, "model apply -f model.toml", 0).await;
    // The row names parameter, rule and value.
    let refused = run(
        &registry,
        "import rows.csv --out results.csv --problems problems.csv",
    )
    .await;
    assert_eq!(refused.code, Some(3), "{refused:?}");
    let problems = fs::read_to_string(registry.path("problems.csv")).unwrap();
    for part in [
        "2151",
        "is above the maximum, 65535",
        "70000",
        "\"integer, at least 1, at most 65535\"",
    ] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
    let diff = ended(&registry, "profile diff -f two.toml --device serial:RT-7", 9).await;
    assert_eq!(
        diff,
        "--- router@1/net.toml\n+++ two.toml/net.toml\n@@ -1 +1,2 @@\n port = 8080\n+serial = \"RT-7\"\n"
    );
    // What would not be TOML for this device says so, and nothing is shown of it.
    write(
        &registry,
        "bad.toml",
        PORT,
        "port = {{ port }}\nserial = {{ device.serial }}\n",
    );
    let bad = run(&registry, "profile render -f bad.toml --device serial:RT-7").await;
    assert_eq!(bad.code, Some(4), "{bad:?}");
    assert!(
        bad.log.contains("M2152") && bad.log.contains("is not TOML: line 2"),
        "{bad:?}"
    );
    // Nor does a row get it.
    ended(&registry, "profile apply -f bad.toml", 0).await;
    fs::write(registry.path("more.csv"), "serial,model\nRT-9,RT-1\n").unwrap();
    let refused = run(&registry, "import more.csv --out more-results.csv").await;
    assert_eq!(refused.code, Some(3), "{refused:?}");
    let results = fs::read_to_string(registry.path("more-results.csv")).unwrap();
    assert!(results.contains("is not TOML: line 2"), "{results}");
    // What can never be TOML is not even accepted.
    write(&registry, "never.toml", PORT, "port = \n");
    let never = run(&registry, "profile apply -f never.toml").await;
    assert_eq!(never.code, Some(4), "{never:?}");
    assert!(
        never.log.contains("M3003") && never.log.contains("is not TOML: line 1"),
        "{never:?}"
    );
}

#[tokio::test]
async fn a_profile_is_looked_through_without_a_server() {
    let registry = Registry::new();
    let demo = fixture::in_repository("tools/src/demo/catalog.toml")
        .canonicalize()
        .unwrap();
    let demo = demo.display();
    let clean = ended(&registry, &format!("profile lint -f {demo} --deny warnings"), 0).await;
    assert_eq!(clean, "1 profiles looked through: 0 errors, 0 warnings\n");
    write(
        &registry,
        "odd.toml",
        "type = 'string'",
        "port = \"{{ port }}\" \n",
    );
    let found = ended(&registry, "profile lint -f odd.toml", 0).await;
    assert_eq!(
        found,
        "router: warning[unquoted-text] files.net.toml: inserts port as it is: a quote in it breaks the file; write \
         {{ port | tojson }} without quotes around it\n\
         router: warning[trailing-space] files.net.toml: line 1 ends in blanks\n\
         router: warning[required-parameter] parameters.port: has no default, so every row needs a value (string)\n\
         1 profiles looked through: 0 errors, 3 warnings\n"
    );
    ended(&registry, "profile lint -f odd.toml --deny warnings", 9).await;
    let allowed = "--allow unquoted-text --allow trailing-space --allow required-parameter";
    ended(
        &registry,
        &format!("profile lint -f odd.toml --deny warnings {allowed}"),
        0,
    )
    .await;
    write(
        &registry,
        "bad.toml",
        "type = 'integer', minimum = 2, default = 1",
        "port = \n",
    );
    let json = ended(&registry, "profile lint -f bad.toml -o json", 9).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let found: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            (
                finding["lint"].as_str().unwrap(),
                finding["field"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("refused", "parameters.port.default"),
            ("refused", "files.net.toml")
        ]
    );
    // What apply refuses cannot be waved through.
    let allowed = run(&registry, "profile lint -f bad.toml --allow refused").await;
    assert!(
        allowed.code != Some(0) && allowed.out.contains("error[refused]"),
        "{allowed:?}"
    );
}

#[tokio::test]
async fn the_demos_profile_passes_its_tests() {
    let registry = Registry::new();
    let directory = fixture::in_repository("tests/fixtures/profiles")
        .canonicalize()
        .unwrap();
    let out = ended(&registry, &format!("profile test {}", directory.display()), 0).await;
    assert!(out.ends_with("5 cases: 5 passed, 0 failed\n"), "{out}");
    write(&registry, "router.toml", PORT, "port = {{ port }}\n");
    let tests = "profile = 'router.toml'\n[given.device]\nserial = 'RT-1'\nmodel = 'RT-1'\n\
                 [[cases]]\nname = 'as it is'\nfiles.'net.toml'.values.port = 80\n\
                 [[cases]]\nname = 'as it is not'\nfiles.'net.toml'.text = \"port = 443\\n\"\n";
    fs::write(registry.path("router.test.toml"), tests).unwrap();
    assert_eq!(
        ended(&registry, "profile test router.test.toml", 9).await,
        "router.test.toml\n  ok     as it is\n  FAILED as it is not\n         net.toml is another text:\n         --- expected\n         \
         +++ rendered\n         @@ -1 +1 @@\n         -port = 443\n         +port = 80\n2 cases: 1 passed, 1 failed\n"
    );
    let json = ended(&registry, "profile test router.test.toml -o json", 9).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json[0]["passed"], &json[1]["passed"]),
        (&true.into(), &false.into())
    );
    fs::write(
        registry.path("none.test.toml"),
        "profile = 'router.toml'\ncases = []\n",
    )
    .unwrap();
    ended(&registry, "profile test none.test.toml", 2).await;
}

/// The two files of the README's section, run as they stand there.
#[tokio::test]
async fn the_example_of_the_readme_passes() {
    let registry = Registry::new();
    let text = fs::read_to_string(fixture::in_repository("README.md")).unwrap();
    let (_, section) = text.split_once("\n## Profiles\n").unwrap();
    for block in section.split("```toml\n").skip(1).take(2) {
        let (file, _) = block.split_once("```").unwrap();
        let name = file.lines().next().unwrap().trim_start_matches("# ");
        fs::write(registry.path(name), file).unwrap();
    }
    let out = ended(&registry, "profile test gateway.test.toml", 0).await;
    assert!(out.ends_with("2 cases: 2 passed, 0 failed\n"), "{out}");
    ended(&registry, "profile lint -f gateway.toml --deny warnings", 0).await;
}
