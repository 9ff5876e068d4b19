//! An agent in this process.

use crate::wait;
use muster_agent::{Agent, AgentError, AgentEvent, Settings as AgentSettings};
use std::{fs, path::PathBuf};
use tokio::{sync::broadcast, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// An agent that runs until this is dropped.
#[derive(Debug)]
pub struct Running {
    /// What it tells.
    pub events: broadcast::Receiver<AgentEvent>,
    state: PathBuf,
    stop: Option<DropGuard>,
    ended: JoinHandle<Result<(), AgentError>>,
}

impl Running {
    /// Starts an agent with its settings.
    pub fn start(settings: AgentSettings) -> Self {
        let state = settings.state_directory().to_owned();
        let agent = Agent::new(settings).expect("an agent");
        let (events, stop) = (agent.events(), CancellationToken::new());
        let ended = tokio::spawn(agent.run(stop.clone().cancelled_owned()));
        Self {
            events,
            state,
            stop: Some(stop.drop_guard()),
            ended,
        }
    }

    /// Waits for an event.
    pub async fn event(&mut self, what: &str, wanted: impl Fn(&AgentEvent) -> bool) -> AgentEvent {
        wait::within(what, async {
            loop {
                match self.events.recv().await {
                    Ok(event) if wanted(&event) => return event,
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => panic!("the agent ended before: {what}"),
                }
            }
        })
        .await
    }

    /// A file that it applied.
    pub fn applied(&self, name: &str) -> String {
        let path = self.state.join("config/current").join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Ends it.
    pub async fn stopped(mut self) {
        drop(self.stop.take());
        wait::within("the agent stops", &mut self.ended)
            .await
            .expect("no panic")
            .expect("a good end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        wait::outlive(&mut self.ended);
    }
}
