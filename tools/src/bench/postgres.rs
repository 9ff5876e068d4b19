//! The peer of an import: `\copy` of the same rows into one PostgreSQL table with the same indexes.

use super::rows::COLUMNS;
use anyhow::{Context as _, bail};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

/// Where Debian puts the server's programs.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The directory with `initdb` and `pg_ctl`, if PostgreSQL is installed.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let debian = std::fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"));
    std::env::split_paths(&path)
        .chain(debian)
        .find(|dir| dir.join("initdb").exists() && dir.join("pg_ctl").exists())
}

/// A server in a directory of its own, on a socket there; stopped when dropped.
struct Cluster {
    programs: PathBuf,
    directory: PathBuf,
    as_nobody: bool,
}

impl Cluster {
    /// PostgreSQL refuses to run as root, so root steps down.
    fn command(&self, program: &str) -> Command {
        let path = self.programs.join(program);
        let mut command = if self.as_nobody {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
                .arg(path);
            command
        } else {
            Command::new(path)
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn start(programs: PathBuf, scratch: &Path) -> anyhow::Result<Self> {
        let uid = Command::new("id").arg("-u").output()?.stdout;
        let as_nobody = uid.starts_with(b"0\n") || uid == b"0";
        let home = scratch.join("postgres");
        std::fs::create_dir(&home)?;
        if as_nobody {
            let owner = Command::new("chown").arg("nobody:nogroup").arg(&home).status()?;
            anyhow::ensure!(owner.success(), "cannot hand a directory to PostgreSQL");
        }
        let cluster = Self {
            programs,
            directory: home.join("data"),
            as_nobody,
        };
        let made = cluster
            .command("initdb")
            .args(["-U", "muster", "-A", "trust", "-D"])
            .arg(&cluster.directory)
            .status()?;
        anyhow::ensure!(made.success(), "initdb failed");
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories={}",
            home.display()
        );
        let started = cluster
            .command("pg_ctl")
            .args(["-w", "-o", &options, "start", "-D"])
            .arg(&cluster.directory)
            .status()?;
        anyhow::ensure!(started.success(), "pg_ctl start failed");
        Ok(cluster)
    }

    fn psql(&self, sql: &[String]) -> anyhow::Result<()> {
        let mut command = Command::new("psql");
        let home = self.directory.parent().context("no home")?;
        command
            .args([
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "muster",
                "-d",
                "postgres",
                "-h",
            ])
            .arg(home);
        for statement in sql {
            command.args(["-c", statement]);
        }
        let output = command.stdin(Stdio::null()).output().context("cannot run psql")?;
        if !output.status.success() {
            bail!("psql: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stopped = self
            .command("pg_ctl")
            .args(["-m", "immediate", "stop", "-D"])
            .arg(&self.directory)
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            tracing::warn!("PostgreSQL may still be running");
        }
    }
}

/// Rows a second of one `\copy`; `None` where PostgreSQL is not installed.
pub(super) fn copy_rows_per_s(manifest: &Path, rows: u64, scratch: &Path) -> anyhow::Result<Option<f64>> {
    let Some(programs) = programs() else {
        return Ok(None);
    };
    let cluster = Cluster::start(programs, scratch)?;
    let columns = COLUMNS.join(", ");
    // The columns of a device that every import fills, and an index for each that the registry keeps.
    let table = "CREATE TABLE devices (id bigserial PRIMARY KEY, serial text UNIQUE, mac text UNIQUE, model text, \
                 hardware text, firmware text, site text, position text, batch bigint DEFAULT 1, \
                 state text DEFAULT 'REGISTERED', verification text DEFAULT 'PENDING', generation bigint DEFAULT 1, \
                 created timestamptz DEFAULT now())";
    let indexes = ["model", "site", "state", "verification", "batch"]
        .map(|column| format!("CREATE INDEX ON devices ({column}, id)"));
    cluster.psql(&[vec![table.to_owned()], indexes.to_vec()].concat())?;
    let start = Instant::now();
    cluster.psql(&[format!(
        "\\copy devices ({columns}) FROM '{}' CSV HEADER",
        manifest.display()
    )])?;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    Ok(Some(rows as f64 / start.elapsed().as_secs_f64()))
}
