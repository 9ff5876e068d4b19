//! `muster` in scripts: exit codes, formats, and the operator's day from the shell.

use muster_tests::{Ended, Program, Registry, fixture};
use std::path::Path;

/// A served registry and the shell of its first operator.
struct Shell {
    registry: Registry,
}

impl Shell {
    async fn run(&self, line: &str) -> Ended {
        self.run_as(&self.registry.path("registry"), line).await
    }

    /// `line` is split at blanks, but for one quoted argument.
    async fn run_as(&self, context: &Path, line: &str) -> Ended {
        let mut muster = Program::command("muster");
        muster
            .arg("--context")
            .arg(context)
            .current_dir(self.registry.path(""));
        muster.env("NO_COLOR", "1").env_remove("MUSTER_CONTEXT");
        for (place, part) in line.split('\'').enumerate() {
            // Every second part stood in quotes.
            if place % 2 == 1 {
                muster.arg(part);
            } else {
                muster.args(part.split_whitespace());
            }
        }
        Program::run(&mut muster).await
    }

    async fn good(&self, line: &str) -> String {
        let ended = self.run(line).await;
        assert_eq!(ended.code, Some(0), "muster {line}: {ended:?}");
        ended.out
    }
}

fn manifest(name: &str) -> String {
    fixture::manifest(name)
        .canonicalize()
        .unwrap()
        .display()
        .to_string()
}

async fn prepared(shell: &Shell) {
    shell
        .good(&format!("site apply -f {}", manifest("sites.csv")))
        .await;
    let catalog = fixture::in_repository("tools/src/demo/catalog.toml")
        .canonicalize()
        .unwrap();
    shell.good(&format!("apply -f {}", catalog.display())).await;
    shell
        .good(&format!("import {} --out results.csv", manifest("gateways.csv")))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_can_rely_on_exit_codes() {
    let registry = Registry::new();
    let (musterd, _, _) = registry.serve("info").await;
    let shell = Shell { registry };
    prepared(&shell).await;
    shell.good("operator create vera --role viewer --out vera").await;
    for (code, line) in [
        (0, "operator whoami".to_owned()),
        (2, "device list --no-such-option".into()),
        (2, "import no-such-file.csv".into()),
        (
            2,
            format!("import {} --out results.csv", manifest("gateways.csv")),
        ),
        (
            3,
            format!("import {} --out messy.csv", manifest("gateways-messy.csv")),
        ),
        (3, format!("import {} --dry-run", manifest("gateways-messy.csv"))),
        (4, "device list --filter 'model = ('".into()),
        (4, "device resume serial:GW2-7000001".into()),
        (5, "device get serial:NOBODY".into()),
    ] {
        let ended = shell.run(&line).await;
        assert_eq!(ended.code, Some(code), "muster {line}: {ended:?}");
    }
    let vera = shell.registry.path("vera");
    assert_eq!(shell.run_as(&vera, "device list").await.code, Some(0));
    let refused = shell
        .run_as(&vera, "device suspend serial:GW2-7000001 --reason x")
        .await;
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(refused.log.contains("M6002"), "{refused:?}");
    musterd.signal("TERM");
    assert_eq!(musterd.ended().await.code, Some(0));
    assert_eq!(shell.run("fleet counts").await.code, Some(7));
    // What needs no server works without one.
    let explained = shell.good("refusal 2111").await;
    assert!(explained.contains("MAC_MALFORMED"), "{explained}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_listing_comes_in_every_format() {
    let registry = Registry::new();
    let (_musterd, _, _) = registry.serve("info").await;
    let shell = Shell { registry };
    prepared(&shell).await;
    let filter =
        "device list --filter 'model = \"GW-200\" AND state = REGISTERED AND site = \"MUC-01\"' --limit 0";
    let array: serde_json::Value =
        serde_json::from_str(&shell.good(&format!("{filter} -o json")).await).unwrap();
    let array = array.as_array().unwrap();
    let jsonl = shell.good(&format!("{filter} -o jsonl")).await;
    let lines: Vec<serde_json::Value> = jsonl
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(&lines, array);
    let rows = csv::Reader::from_reader(shell.good(&format!("{filter} -o csv")).await.as_bytes())
        .records()
        .count();
    // As many as the file has, counted without Muster.
    let text = std::fs::read_to_string(fixture::manifest("gateways.csv")).unwrap();
    let expected = text.lines().filter(|line| line.contains(",MUC-01,")).count();
    assert!(expected > 10);
    assert_eq!((array.len(), rows), (expected, expected));
    assert!(shell.good(filter).await.contains("GW2-7000003"));
    for listing in [
        "model list",
        "site list",
        "profile list",
        "firmware list",
        "batch list",
        "operator list",
        "audit list",
        "fleet counts",
    ] {
        for format in ["json", "jsonl", "csv", "table"] {
            let out = shell.good(&format!("{listing} -o {format}")).await;
            assert!(!out.trim().is_empty(), "{listing} as {format}");
            match format {
                "json" => drop(serde_json::from_str::<serde_json::Value>(&out).unwrap()),
                "jsonl" => out
                    .lines()
                    .for_each(|line| drop(serde_json::from_str::<serde_json::Value>(line).unwrap())),
                "csv" => csv::Reader::from_reader(out.as_bytes())
                    .records()
                    .for_each(|record| drop(record.unwrap())),
                _ => {}
            }
        }
    }
}

/// The words of each line of a table.
fn words(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mapping_is_shown_corrected_and_kept() {
    let registry = Registry::new();
    let (_musterd, _, _) = registry.serve("info").await;
    let shell = Shell { registry };
    let file = shell.registry.path("line-7.toml");
    let text =
        "name = 'line-7'\n[[fields]]\nfield = 'serial'\ncolumns = ['S/N']\nsteps = [{ prefix = 'GW2-' }]\n";
    std::fs::write(&file, text).unwrap();
    shell
        .good("mapping apply -f line-7.toml -m 'as the tester writes it'")
        .await;
    // What is shown can be edited and applied again.
    let shown = shell.good("mapping show line-7 -o json").await;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let mut source = shown["source"].clone();
    std::fs::write(shell.registry.path("same.json"), source.to_string()).unwrap();
    let same = shell.good("mapping apply -f same.json").await;
    assert!(same.contains("UNCHANGED"), "{same}");
    source["unmapped"] = "ignore".into();
    std::fs::write(shell.registry.path("mended.json"), source.to_string()).unwrap();
    shell.good("mapping apply -f mended.json").await;
    let listed = shell.good("mapping list").await;
    let listed = words(&listed);
    assert_eq!(listed[1][0], "line-7");
    assert!(listed[1].contains(&"2"), "{listed:?}");
    for (name, unmapped) in [("line-7@1", "keep"), ("line-7@2", "ignore"), ("line-7", "ignore")] {
        let shown = shell.good(&format!("mapping show {name}")).await;
        let shown = words(&shown);
        for line in [
            vec!["source.fields[0].steps[0].prefix", "GW2-"],
            vec!["source.unmapped", unmapped],
        ] {
            assert!(shown.contains(&line), "{line:?} is not in {shown:?}");
        }
    }
    assert_eq!(shell.run("mapping show line-7@3").await.code, Some(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_planned_looked_at_and_started() {
    let registry = Registry::new();
    let (_musterd, _, _) = registry.serve("info").await;
    let shell = Shell { registry };
    prepared(&shell).await;
    let revision = "[[profiles]]\nname = \"gateway\"\n[profiles.files]\n\"two.txt\" = \"two\"\n";
    std::fs::write(shell.registry.path("two.toml"), revision).unwrap();
    shell.good("apply -f two.toml").await;
    let made = "change create --profile gateway --filter 'model = \"GW-200\"' --pilot 3 --stages 10% --soak 0s --title 'A second file'";
    let shown = shell.good(made).await;
    for line in [
        "Action    profile gateway@2",
        "Devices   model = \"GW-200\"",
        "State     PLANNED: ",
        "devices that match; 0 left out",
        "MAY FAIL",
        "muster change start ",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    let change: serde_json::Value =
        serde_json::from_str(&shell.good(&format!("{made} -o json")).await).unwrap();
    let id = change["name"].as_str().unwrap().trim_start_matches("changes/");
    // Nobody has claimed, so all come last: what is planned is the same, and so is its name.
    assert!(shown.contains(change["plan"].as_str().unwrap()), "{shown}");
    for (code, line) in [
        (2, format!("change start {id}")),
        (2, "change create --filter 'model = \"GW-200\"'".into()),
        (2, "change create --resume --rotate-certificates".into()),
        (4, format!("change start {id} --plan {}", "0".repeat(64))),
        (4, format!("change pause {id}")),
        (4, "change create --resume --filter 'model = ('".into()),
        (5, "change get 01h455vb4pex5vsknk084sn02q".into()),
    ] {
        let ended = shell.run(&line).await;
        assert_eq!(ended.code, Some(code), "muster {line}: {ended:?}");
    }
    let rows = "rack;serial\n1;GW2-7000001\n2;GW2-404\n";
    std::fs::write(shell.registry.path("list.csv"), rows).unwrap();
    let listed = "change create --rotate-certificates --file list.csv --stages ''";
    let ended = shell.run(listed).await;
    assert!(
        ended
            .log
            .contains("1 rows name no device that is registered: lines 3"),
        "{ended:?}"
    );
    assert!(
        ended.out.contains("Devices   2 listed, 1 not registered"),
        "{ended:?}"
    );
    let of_list: serde_json::Value =
        serde_json::from_str(&shell.good(&format!("{listed} -o json")).await).unwrap();
    let of_list = of_list["name"].as_str().unwrap().trim_start_matches("changes/");
    shell
        .good(&format!(
            "change targets {of_list} --file list.csv --file-results out.csv"
        ))
        .await;
    let results = std::fs::read_to_string(shell.registry.path("out.csv")).unwrap();
    assert!(
        results.starts_with(
            "rack;serial;state;stage;reason;device\n1;GW2-7000001;EXCLUDED;;it has no certificate"
        ),
        "{results}"
    );
    assert!(
        results.contains("\n2;GW2-404;UNKNOWN;;no device has the serial GW2-404;\n"),
        "{results}"
    );
    // Nobody has claimed: it is done when it is on record.
    let plan = change["plan"].as_str().unwrap();
    let watched = shell
        .good(&format!("change start {id} --plan {plan} --watch"))
        .await;
    assert!(watched.contains("State     DONE: "), "{watched}");
    let targets = shell
        .good(&format!("change targets {id} --state done,excluded -o csv"))
        .await;
    let rows = csv::Reader::from_reader(targets.as_bytes()).records().count();
    assert_eq!(rows as u64, change["targets"]["total"].as_u64().unwrap());
    assert!(shell.good("change list").await.contains("DONE"));
    assert!(
        shell
            .good(&format!("change explain {id}"))
            .await
            .contains("watched until")
    );
    // What is ended by somebody has not come to its end.
    let suspend = shell
        .good("change create --suspend 'stolen vans' --dry-run")
        .await;
    assert!(suspend.contains("DRAFT"), "{suspend}");
    let other: serde_json::Value =
        serde_json::from_str(&shell.good("change create --suspend 'stolen vans' -o json").await).unwrap();
    let other = other["name"].as_str().unwrap();
    shell.good(&format!("change abort {other}")).await;
    let ended = shell.run(&format!("change watch {other}")).await;
    assert_eq!(ended.code, Some(8), "{ended:?}");
}

/// What nobody but the owner of a file may read.
fn read_alone(path: &Path) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_of_a_change_go_into_a_file_and_are_forgotten() {
    let registry = Registry::new();
    let (_musterd, _, _) = registry.serve("info").await;
    let shell = Shell { registry };
    prepared(&shell).await;
    let file = |name: &str| shell.registry.path(name);
    let rows = "note;serial\n=1+1;GW2-7000001\nB;GW2-404\nC;GW2-7000002\nD;GW2-7000001\n";
    std::fs::write(file("list.csv"), rows).unwrap();
    let made = "change create --reissue-codes --reclaim --code-ttl 30d --file list.csv --stages '' -o json";
    let made: serde_json::Value = serde_json::from_str(&shell.good(made).await).unwrap();
    let id = made["name"].as_str().unwrap().trim_start_matches("changes/");
    let action = made["action"].as_str().unwrap();
    assert!(
        action.starts_with("re-issue codes, each good for 30 days; devices that have claimed lose"),
        "{action}"
    );
    for (code, line) in [
        (2, format!("change codes {id}")),
        (2, format!("change codes {id} --out no/such/place.csv")),
        (2, format!("change codes {id} --out list.csv")),
        (2, "change create --resume --reclaim".into()),
        (4, format!("change codes {id} --out early.csv")),
        (
            5,
            "change codes 01h455vb4pex5vsknk084sn02q --out early.csv".into(),
        ),
    ] {
        let ended = shell.run(&line).await;
        assert_eq!(ended.code, Some(code), "muster {line}: {ended:?}");
    }
    assert!(!file("early.csv").exists());
    let started = shell.good(&format!("change start {id} --yes --watch")).await;
    assert!(
        started.contains(&format!("muster change codes {id} --out codes.csv")),
        "{started}"
    );
    // On paper only where that is asked for, and as often as wanted.
    let kept = shell
        .run(&format!("change codes {id} --out codes.csv --keep"))
        .await;
    assert_eq!((kept.code, kept.out.as_str()), (Some(0), ""), "{kept:?}");
    assert!(
        kept.log
            .contains("2 codes are in codes.csv; the server keeps them"),
        "{kept:?}"
    );
    let codes = read_alone(&file("codes.csv"));
    let mut read = csv::Reader::from_reader(codes.as_bytes());
    let of: Vec<_> = read.records().map(|row| row.unwrap()).collect();
    assert_eq!((of.len(), &of[0][0], of[0][2].len()), (2, "GW2-7000001", 29));
    assert!(
        codes.starts_with("serial,device,activation_code,issued\n"),
        "{codes}"
    );
    let again = shell.run(&format!("change codes {id} --out codes.csv")).await;
    assert!(again.log.contains("give --replace"), "{again:?}");
    assert_eq!(shell.good(&format!("change codes {id} --out -")).await, codes);
    // The user's own file, each device's code once.
    let out = shell
        .run(&format!("change codes {id} --file list.csv --out labels.csv"))
        .await;
    assert!(
        out.log
            .contains("2 codes are in labels.csv; the server has forgotten them"),
        "{out:?}"
    );
    let [first, second] = [0, 1].map(|row| (of[row][1].to_owned(), of[row][2].to_owned()));
    assert_eq!(
        read_alone(&file("labels.csv")),
        format!(
            "note;serial;state;stage;reason;device;activation_code\n'=1+1;GW2-7000001;DONE;1;;{};{}\n\
             B;GW2-404;UNKNOWN;;no device has the serial GW2-404;;\nC;GW2-7000002;DONE;1;;{};{}\n\
             D;GW2-7000001;REPEATED;;duplicate of row 2;{};\n",
            first.0, first.1, second.0, second.1, first.0
        )
    );
    let shown = shell.good(&format!("change get {id}")).await;
    assert!(shown.contains("Codes     2 given out; erased"), "{shown}");
    assert!(!shown.contains("--out codes.csv"), "{shown}");
    let gone = shell.run(&format!("change codes {id} --out gone.csv")).await;
    assert_eq!(gone.code, Some(4), "{gone:?}");
    assert!(
        gone.log.contains("M8007") && !file("gone.csv").exists(),
        "{gone:?}"
    );
    let device = shell.good("device get serial:GW2-7000001 -o json").await;
    assert!(device.contains("\"closes\""), "{device}");
}
