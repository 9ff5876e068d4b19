//! Work on the disk, as the machine asks for it. One piece at a time; the disk's part runs on blocking threads.

use crate::{
    apply::{self, ApplyError, Hook, Staged},
    authors::Authors,
    clock::Clock,
    config::FirmwareSource,
    desired::Proven,
    disk::Disk,
    identity::DeviceKey,
    ledger::Ledger,
    machine::{Mark, Outcome, Status, Work},
    sealed::{self, News, ProvenSealed, Secrets},
};
use muster_firmware_policy::Running;
use muster_proto::payload::{Facet, FacetState};
use std::{
    fs::File,
    io::Read as _,
    sync::{Arc, Mutex, PoisonError},
};

/// Longest text of a version that is looked at.
const VERSION_LIMIT: u64 = 1024;

/// Everything that work needs. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    /// Where sealed secrets are kept.
    pub(crate) state: Arc<dyn Disk>,
    /// Opens them.
    pub(crate) key: Arc<DeviceKey>,
    /// Where slots are.
    pub(crate) target: Arc<dyn Disk>,
    pub(crate) clock: Clock,
    pub(crate) firmware: FirmwareSource,
    pub(crate) authors: Arc<Authors>,
    pub(crate) hook: Option<Arc<Hook>>,
}

impl Worker {
    /// Does a piece of work.
    pub(crate) async fn run(self, work: Work) -> Outcome {
        match work {
            Work::Keep(offer) => blocking(move || self.keep(*offer)).await,
            Work::KeepSealed(offer) => blocking(move || self.keep_sealed(*offer)).await,
            Work::Apply => self.apply().await,
            Work::Inspect => blocking(move || self.inspect()).await,
        }
    }

    fn keep(&self, offer: Proven) -> Outcome {
        let mark = offer.mark();
        match self.with_ledger(|ledger| ledger.keep(offer, &self.clock)) {
            Ok(_admission) => Outcome::Kept(mark),
            Err(error) => Outcome::NotKept(format!("desired state is not kept: {}", chain(&error))),
        }
    }

    fn keep_sealed(&self, offer: ProvenSealed) -> Outcome {
        let generation = offer.generation();
        match sealed::keep(&*self.state, offer, self.held(), &self.key) {
            Ok(News::Kept) => Outcome::SealedKept(generation),
            Ok(News::Known) => Outcome::SealedKnown,
            Err(error) => Outcome::NotKept(format!("sealed secrets are not kept: {}", chain(&error))),
        }
    }

    /// Stage, ask the hook, switch, note.
    async fn apply(self) -> Outcome {
        let Some(hook) = self.hook.clone() else {
            return blocking(move || {
                let staged = self.stage();
                self.finish(staged)
            })
            .await;
        };
        let worker = self.clone();
        let staged = blocking(move || worker.stage()).await;
        let accepted = match staged {
            Ok(staged) => {
                let generation = self.held().map_or(0, |mark| mark.generation);
                hook.run(staged.path(), generation)
                    .await
                    .map(|()| staged)
                    .map_err(ApplyError::from)
            }
            Err(error) => Err(error),
        };
        blocking(move || self.finish(accepted)).await
    }

    fn stage(&self) -> Result<Staged, ApplyError> {
        self.with_ledger(|ledger| match (ledger.desired(), ledger.held()) {
            (Some(desired), Some(mark)) => {
                let secrets = Secrets::open(&*self.state, desired, &self.key)?;
                apply::stage(&*self.target, desired, mark, &secrets)
            }
            _ => Err(ApplyError::Unproven),
        })
    }

    fn finish(&self, staged: Result<Staged, ApplyError>) -> Outcome {
        let switched = staged.and_then(|staged| apply::commit(&*self.target, staged));
        let noted = switched.and_then(|applied| {
            self.with_ledger(|ledger| ledger.note_applied(applied))
                .map_err(ApplyError::State)
        });
        match noted {
            Ok(()) => match self.status(FacetState::Applied, FacetState::Applied) {
                Some((status, again_in)) => Outcome::Applied { status, again_in },
                None => unproven(),
            },
            Err(error) => {
                let lacks_secrets = matches!(error, ApplyError::Secret(_));
                let reason = chain(&error);
                let failed = || FacetState::Failed {
                    reason: reason.clone(),
                };
                // A slot goes live as a whole, so the location waits with the configuration beside it.
                let told = self.status(failed(), failed());
                let again_in = told.as_ref().and_then(|(_, again_in)| *again_in);
                Outcome::NotApplied {
                    status: told.map(|(status, _)| status),
                    reason,
                    again_in,
                    lacks_secrets,
                }
            }
        }
    }

    fn inspect(&self) -> Outcome {
        let drift = self.with_ledger(|ledger| {
            ledger
                .applied()
                .and_then(|applied| apply::inspect(&*self.target, applied))
        });
        let mut facets = (FacetState::Applied, FacetState::Applied);
        if let Some(drift) = &drift {
            let drifted = FacetState::Drifted {
                reason: drift.reason.clone(),
            };
            match drift.facet {
                Facet::Location => facets.1 = drifted,
                Facet::Config | Facet::Firmware => facets.0 = drifted,
            }
        }
        match (self.status(facets.0, facets.1), drift) {
            (Some((status, _)), Some(drift)) => Outcome::Drifted {
                status,
                reason: drift.reason,
            },
            (Some((status, again_in)), None) => Outcome::Inspected { status, again_in },
            (None, _) => unproven(),
        }
    }

    /// How the device stands, the firmware policy asked anew.
    fn status(
        &self,
        config: FacetState,
        location: FacetState,
    ) -> Option<(Status, Option<std::time::Duration>)> {
        let running = running(&self.firmware);
        self.with_ledger(|ledger| {
            let (desired, mark) = (ledger.desired()?, ledger.held()?);
            let reported = apply::reported(&running);
            let firmware = apply::assess(&*self.target, desired, &self.authors, running, self.clock.now());
            let status = Status {
                mark,
                config,
                location,
                firmware: firmware.state,
                running: reported,
            };
            Some((status, firmware.again_in))
        })
    }

    fn held(&self) -> Option<Mark> {
        self.with_ledger(|ledger| ledger.held())
    }

    /// A panic under the lock leaves the record on the disk as it was, so the lock stays usable.
    fn with_ledger<T>(&self, use_it: impl FnOnce(&mut Ledger) -> T) -> T {
        use_it(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Nothing can be said about what is held.
fn unproven() -> Outcome {
    Outcome::NotApplied {
        status: None,
        reason: ApplyError::Unproven.to_string(),
        again_in: None,
        lacks_secrets: false,
    }
}

/// The firmware that runs, read anew: an update changes it under a running agent.
pub(crate) fn running(source: &FirmwareSource) -> Running {
    match source {
        FirmwareSource::Unknown => Running::Unreported,
        FirmwareSource::Text(text) => Running::from_report(text),
        FirmwareSource::File(path) => {
            let mut text = Vec::new();
            let read = File::open(path).and_then(|file| file.take(VERSION_LIMIT).read_to_end(&mut text));
            match read {
                Ok(_) => Running::from_report(&String::from_utf8_lossy(&text)),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "cannot read the firmware version");
                    Running::Unreported
                }
            }
        }
    }
}

/// An error and its sources, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let sources = core::iter::successors(error.source(), |error| error.source());
    let texts = core::iter::once(error.to_string()).chain(sources.map(ToString::to_string));
    // Some texts end with their source's already.
    texts.fold(String::new(), |line, text| match line.as_str() {
        "" => text,
        told if told.ends_with(&text) => line,
        _ => format!("{line}: {text}"),
    })
}

/// Runs the disk's part where it may block. A panic there is passed on: going on would be guessing.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Cancelled: the runtime is going down, and nothing will ask for the answer any more.
        Err(_cancelled) => std::future::pending().await,
    }
}
