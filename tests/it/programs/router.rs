//! The router of the bus dies, and with it the server: a supervisor starts a new one.
//!
//! No device can reach the router, and the server has no door to it that a test could use: so a debugger ends its thread,
//! and nothing else, as a panic in it would.

use muster_tests::{Program, Registry, until};
use std::{fs, process::Command, time::Instant};

/// The thread's id, by the name that rumqttd gives it.
fn router(musterd: u32) -> u32 {
    let tasks = fs::read_dir(format!("/proc/{musterd}/task")).unwrap();
    let found = tasks.map(|task| task.unwrap()).find(|task| {
        let name = fs::read_to_string(task.path().join("comm"));
        name.is_ok_and(|name| name.starts_with("router-"))
    });
    let found = found.expect("a thread of the router").file_name();
    found.to_str().unwrap().parse().unwrap()
}

/// Makes one thread go on with exit(2), which ends a thread and no more, and lets go. GDB of Debian is built with Python.
async fn end_thread(process: u32, thread: u32) {
    let choose =
        format!("python [t.switch() for t in gdb.selected_inferior().threads() if t.ptid[1] == {thread}]");
    // The wrapper of libc takes the number of a system call as its first argument; no call is to be repeated.
    let [number, no_repeat] = match std::env::consts::ARCH {
        "x86_64" => ["set $rdi = 60", "set $orig_rax = -1"],
        _ => ["set $x0 = 93", "echo"],
    };
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-readnever", "-p", &process.to_string()]);
    for step in [&choose, number, no_repeat, "set $pc = (long) &syscall", "detach"] {
        gdb.args(["-ex", step]);
    }
    let ended = Program::run(&mut gdb).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let task = format!("/proc/{process}/task/{thread}");
    until("the thread is gone", async || {
        (!fs::exists(&task).unwrap()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_router_died_ends_and_says_why() {
    let registry = Registry::new();
    let (mut musterd, _, _) = registry.serve("info").await;
    end_thread(musterd.id(), router(musterd.id())).await;
    let start = Instant::now();
    assert!(!musterd.has_ended(), "only a thread of it died");
    let ended = musterd.ended().await;
    println!("ended {:.1?} after the debugger let go", start.elapsed());
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    for line in ["the bus is dead", "the broker's router is dead"] {
        assert!(ended.log.contains(line), "{line:?} is not in: {}", ended.log);
    }
    // Nothing was lost by it, and a new process serves.
    let checked = Program::run(&mut registry.musterd("check")).await;
    assert_eq!(
        (checked.code, checked.out.trim()),
        (Some(0), "everything is in order")
    );
    let (musterd, ..) = registry.serve("info").await;
    musterd.killed().await;
}
