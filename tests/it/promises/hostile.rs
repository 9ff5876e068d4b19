//! E1: a corpus of hostile files, one after the other through real processes. Each is answered with its rows or with a
//! reason, nothing breaks, and neither client nor server needs much memory for it.

use muster_tests::{
    Counts, Program, Registry,
    corpus::{self, Answer, Hostile},
    fixture,
};
use std::{fs, time::Instant};

/// Most bytes of memory at any time, in client and server.
const MEMORY: u64 = 256 << 20;
/// Exit codes of files that are answered: applied, unreadable here, rows refused, refused there.
const ANSWERED: [i32; 4] = [0, 2, 3, 4];

/// What one file cost, and how it ended.
struct Seen {
    code: Option<i32>,
    rows: Vec<(u32, Option<u16>)>,
    log: String,
    peak: u64,
    seconds: f64,
}

async fn sent(registry: &Registry, file: &Hostile) -> Seen {
    let mut muster = registry.muster();
    muster.arg("import").arg(&file.path).args(file.options);
    let start = Instant::now();
    let mut program = Program::start(muster.args(["--dry-run", "-o", "jsonl", "--retry-for", "1s"]));
    let mut peak = 0;
    while !program.has_ended() {
        peak = program.counts().map_or(peak, |counts: Counts| counts.peak);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let ended = program.ended().await;
    let row = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = u32::try_from(row["row"].as_u64().unwrap()).unwrap();
        (
            number,
            row["code"].as_u64().map(|code| u16::try_from(code).unwrap()),
        )
    };
    Seen {
        code: ended.code,
        rows: ended.out.lines().map(row).collect(),
        log: ended.log,
        peak,
        seconds: start.elapsed().as_secs_f64(),
    }
}

/// What is wrong with an answer; nothing, if it is right.
fn wrong(file: &Hostile, seen: &Seen) -> String {
    let mut wrong = String::new();
    let mut say = |what: String| wrong += &format!("  {what}\n");
    if !seen.code.is_some_and(|code| ANSWERED.contains(&code)) {
        say(format!("exit code {:?}", seen.code));
    }
    if seen.log.contains("panicked") {
        say("the client panicked".to_owned());
    }
    if seen.peak > MEMORY {
        say(format!("the client held {} MiB", seen.peak >> 20));
    }
    let is_read = matches!(seen.code, Some(0 | 3));
    let is_right = match &file.answer {
        Answer::Rows(rows) => is_read && seen.rows == *rows,
        Answer::Many { first, count } => is_read && seen.rows.starts_with(first) && seen.rows.len() == *count,
        Answer::Only { refused, count } => {
            let mut others = seen.rows.iter().filter(|(_, code)| code.is_some());
            let (row, code) = *refused;
            others.next() == Some(&(row, Some(code))) && others.next().is_none() && seen.rows.len() == *count
        }
        Answer::Not(why) => matches!(seen.code, Some(2 | 4)) && seen.log.contains(why),
    };
    if !is_right {
        let first = &seen.rows[..seen.rows.len().min(8)];
        say(format!(
            "answered with {:?}, {} rows {first:?}, {:.400}",
            seen.code,
            seen.rows.len(),
            seen.log
        ));
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e1_hostile_files_are_answered_in_little_memory() {
    let registry = Registry::new();
    let (musterd, _, _) = registry.serve("info").await;
    for (command, file) in [
        (&["site", "apply"][..], "tests/fixtures/manifests/sites.csv"),
        (&["apply"], "tools/src/demo/catalog.toml"),
    ] {
        let mut muster = registry.muster();
        muster.args(command).arg("-f").arg(fixture::in_repository(file));
        assert_eq!(Program::run(&mut muster).await.code, Some(0));
    }
    let directory = registry.path("corpus");
    fs::create_dir(&directory).unwrap();
    let files = corpus::hostile(&directory, 1);
    assert!(files.len() >= 40, "{} files", files.len());
    let mut all = String::new();
    let mut before = 0;
    for file in &files {
        let seen = sent(&registry, file).await;
        let name = file.path.file_name().unwrap().to_string_lossy().into_owned();
        let server = musterd.counts().expect("the server lives");
        eprintln!(
            "{name:<30} {:?} {:>7} rows {:>6.2} s, client {:>4} MiB, server {:>4} MiB {}",
            seen.code,
            seen.rows.len(),
            seen.seconds,
            seen.peak >> 20,
            server.peak >> 20,
            seen.log.lines().next().unwrap_or_default()
        );
        let mut wrong = wrong(file, &seen);
        if server.peak > MEMORY && server.peak > before {
            wrong += &format!("  the server held {} MiB\n", server.peak >> 20);
        }
        before = before.max(server.peak);
        if !wrong.is_empty() {
            all += &format!("{name}:\n{wrong}");
        }
        fs::remove_file(&file.path).unwrap();
    }
    let log = musterd.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(all.is_empty(), "{all}");
    musterd.killed().await;
}
