//! The operator's say before a switch: a command that gets the new slot and may refuse it.

use std::{path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    time::timeout,
};

/// How much of the end of what a hook says is kept as its reason.
const TAIL: usize = 400;
/// How long a finished hook's output may stay open: a child that it left behind must not hold the agent.
const DRAIN: Duration = Duration::from_millis(500);

/// A command and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hook {
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) time_limit: Duration,
}

/// Why a hook did not accept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HookError {
    #[error("apply hook cannot be started: {0}")]
    Start(#[source] std::io::Error),
    #[error("apply hook did not end within {} s{}", .0.as_secs(), said(.1))]
    TimeLimit(Duration, String),
    #[error("apply hook refused ({0}){said}", said = said(.1))]
    Refused(std::process::ExitStatus, String),
}

fn said(tail: &str) -> String {
    if tail.is_empty() {
        String::new()
    } else {
        format!(": {tail}")
    }
}

impl Hook {
    /// Runs the command with the slot's directory as last argument and as `MUSTER_SLOT`. Exit code 0 accepts.
    pub(crate) async fn run(&self, slot: &Path, generation: u64) -> Result<(), HookError> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(slot)
            .current_dir(slot)
            .env("MUSTER_SLOT", slot)
            .env("MUSTER_GENERATION", generation.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(HookError::Start)?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let mut tails = (Tail::default(), Tail::default());
        let mut drained = false;
        let ended = {
            let mut drain = core::pin::pin!(async {
                tokio::join!(tails.0.drain(output), tails.1.drain(errors));
            });
            let ended = timeout(self.time_limit, async {
                // Reading goes on while it runs: a full pipe would stop it.
                tokio::select! {
                    status = child.wait() => status,
                    () = &mut drain => {
                        drained = true;
                        child.wait().await
                    }
                }
            })
            .await;
            if !drained {
                // What it said last is still in the pipes.
                let _late = timeout(DRAIN, drain).await;
            }
            ended
        };
        // Refusals are written to the error output, by custom.
        let tail = if tails.1.0.is_empty() { tails.0 } else { tails.1 }.text();
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(HookError::Refused(status, tail)),
            Ok(Err(error)) => Err(HookError::Start(error)),
            Err(_elapsed) => {
                // The handle kills it on drop as well; waiting leaves no zombie.
                let _killed = child.kill().await;
                Err(HookError::TimeLimit(self.time_limit, tail))
            }
        }
    }
}

/// The end of a stream.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    async fn drain(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            self.0.extend(buffer.get(..read).unwrap_or_default());
            let surplus = self.0.len().saturating_sub(TAIL);
            self.0.drain(..surplus);
        }
    }

    /// As one line of text.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}
