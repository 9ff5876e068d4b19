//! Our binaries as processes, as a user starts them.

use crate::{process::Counts, template, wait};
use std::{
    ffi::OsStr,
    fmt, fs,
    io::{BufRead as _, BufReader, Read},
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};
use tempfile::TempDir;

/// Below the range that systems take for outgoing connections, so that a port found free stays so.
const PORTS: std::ops::Range<u64> = 20_000..30_000;

/// Searches for ports so far.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Ports of the loopback address that are free now, for programs that must be told them beforehand.
pub fn free_ports<const N: usize>() -> [u16; N] {
    // Tests of one process look elsewhere, each time: ports that were found may not be taken yet.
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let mut chance = crate::Random::seeded(u64::from(std::process::id()) << 32 | call);
    // All are held until all are found, so that none is found twice.
    let mut held = Vec::new();
    while held.len() < N {
        let port = u16::try_from(PORTS.start + chance.below(PORTS.end - PORTS.start)).expect("in range");
        held.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    std::array::from_fn(|place| held[place].local_addr().expect("an address").port())
}

/// A running process of ours; killed when dropped.
pub struct Program {
    name: String,
    child: Child,
    out: Kept,
    log: Kept,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub log: String,
}

/// A stream of a process, kept line by line.
struct Kept {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.child.id())
    }
}

impl Kept {
    fn new(stream: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                into.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self {
            text,
            reader: Some(reader),
        }
    }

    fn so_far(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All of it; the process has ended.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader");
        }
        self.so_far()
    }
}

impl Program {
    /// The path of one of our binaries, from the build that this test belongs to.
    pub fn path(name: &str) -> PathBuf {
        let path = template::build_directory().join(name);
        assert!(
            path.exists(),
            "{} is not built; run `cargo build --workspace --bins` first",
            path.display()
        );
        path
    }

    /// A command that runs one of our binaries.
    pub fn command(name: &str) -> Command {
        Command::new(Self::path(name))
    }

    /// Starts a command.
    pub fn start(command: &mut Command) -> Self {
        let name = Path::new(command.get_program())
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // A group of its own: what it starts ends with it.
        let piped = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let (out, log) = (
            child.stdout.take().expect("piped"),
            child.stderr.take().expect("piped"),
        );
        Self {
            name,
            child,
            out: Kept::new(out),
            log: Kept::new(log),
        }
    }

    /// Runs a command to its end.
    pub async fn run(command: &mut Command) -> Ended {
        Self::start(command).ended().await
    }

    /// Runs one of our binaries to its end.
    pub async fn muster(name: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ended {
        Self::run(Self::command(name).args(arguments)).await
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.so_far()
    }

    /// What it has written to its standard output so far.
    pub fn out(&self) -> String {
        self.out.so_far()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the kernel counts of it; of one that has ended, `None`.
    pub fn counts(&self) -> Option<Counts> {
        Counts::of(self.child.id())
    }

    /// Waits for a line of the log.
    pub async fn logged(&mut self, what: &str) -> String {
        wait::until(&format!("{} logs {what:?}", self.name), async || {
            let log = self.log.so_far();
            if let Some(line) = log.lines().find(|line| line.contains(what)) {
                return Some(line.to_owned());
            }
            let ended = self.child.try_wait().expect("a process");
            assert!(
                ended.is_none(),
                "{} ended before it logged {what:?}: {}",
                self.name,
                self.log.whole()
            );
            None
        })
        .await
    }

    /// Sends a signal such as `TERM`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(
            sent.expect("kill(1)").success(),
            "{} cannot be signalled",
            self.name
        );
    }

    /// `kill -9`. One that has ended before keeps its exit code.
    pub async fn killed(mut self) -> Ended {
        self.child.kill().expect("a process");
        self.ended().await
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let status: ExitStatus = wait::until(&format!("{} ends", self.name), async || {
            self.child.try_wait().expect("a process")
        })
        .await;
        Ended {
            code: status.code(),
            out: self.out.whole(),
            log: self.log.whole(),
        }
    }

    /// Has it ended?
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a process").is_some()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A group that has ended cannot be killed, which is as well.
        let group = format!("-{}", self.child.id());
        drop(
            Command::new("kill")
                .args(["-KILL", "--", &group])
                .stderr(Stdio::null())
                .status(),
        );
        drop(self.child.wait());
    }
}

/// A registry for `musterd` as a process, copied from the template.
#[derive(Debug)]
pub struct Registry {
    directory: TempDir,
}

impl Registry {
    /// A fresh copy.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("muster-program-")
            .tempdir()
            .expect("a directory");
        template::copy_tree(template::template(), directory.path());
        Self { directory }
    }

    /// A copy of everything here, for a registry that is not served.
    pub fn copy(&self) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("muster-program-")
            .tempdir()
            .expect("a directory");
        template::copy_tree(self.directory.path(), directory.path());
        Self { directory }
    }

    /// Gives the next servers ports that stay the same when one is started again.
    pub fn keep_ports(&self) {
        let settings = self.path("registry/musterd.toml");
        let mut text = fs::read_to_string(&settings).expect("settings");
        for port in free_ports::<2>() {
            text = text.replacen("127.0.0.1:0\"", &format!("127.0.0.1:{port}\""), 1);
        }
        fs::write(&settings, text).expect("settings");
    }

    /// A place beside the registry.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A `musterd` command on this registry, such as `serve` or `check`.
    pub fn musterd(&self, command: &str) -> Command {
        let mut musterd = Program::command("musterd");
        musterd.arg(command).arg("--dir").arg(self.path("registry"));
        musterd.arg("--passphrase-file").arg(self.path("passphrase"));
        musterd
    }

    /// Starts serving; the process, and where it listens for gRPC and MQTT. Writes the context for [`Registry::muster`].
    pub async fn serve(&self, log: &str) -> (Program, SocketAddr, SocketAddr) {
        let mut musterd = Program::start(self.musterd("serve").env("MUSTER_LOG", log).env("NO_COLOR", "1"));
        let ready = musterd.logged(" ready ").await;
        let address = |name: &str| -> SocketAddr {
            let word = ready
                .split_whitespace()
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            word.and_then(|word| word.parse().ok())
                .unwrap_or_else(|| panic!("no {name} in {ready:?}"))
        };
        let (grpc, mqtt) = (address("grpc"), address("mqtt"));
        let context = self.path("registry/operator/context.toml");
        let text = fs::read_to_string(&context).expect("a context");
        let moved: String = text
            .lines()
            .map(|line| {
                if line.starts_with("server = ") {
                    format!("server = \"https://{grpc}\"\n")
                } else if line.starts_with("mqtt = ") {
                    format!("mqtt = \"{mqtt}\"\n")
                } else {
                    format!("{line}\n")
                }
            })
            .collect();
        fs::write(&context, moved).expect("a context");
        (musterd, grpc, mqtt)
    }

    /// A `muster` command as the first operator.
    pub fn muster(&self) -> Command {
        let mut muster = Program::command("muster");
        muster
            .arg("--context")
            .arg(self.path("registry/operator/context.toml"));
        muster
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}
