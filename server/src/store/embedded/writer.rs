//! The one thread that writes, and its group commit.
//!
//! Commands wait in a bounded queue. While one group is being made durable the next one gathers, so that under load one
//! sync serves many, and a lonely command waits for nobody. A command runs by reference: if one of a group
//! fails, the transaction is dropped and each command runs again in a transaction of its own, so that a
//! damaged record harms only who asked for it.

use super::{live::Live, txn, txn::Txn};
use crate::store::StoreError;
use redb::Database;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};
use tokio::sync::{mpsc, oneshot};

/// Commands that wait; more make their callers wait.
pub(super) const QUEUE_LIMIT: usize = 1024;
/// Most commands of one transaction.
const GROUP_LIMIT: usize = 256;
/// Rows of imports after which a transaction takes no more commands: larger ones gain nothing and hold memory
/// (about a kilobyte a row).
const GROUP_WEIGHT: usize = 131_072;

/// What waits in the queue.
pub(super) enum Job {
    /// Run this.
    Run(Box<dyn Command>),
    /// Answer what came before, then end.
    Stop,
}

/// A queued command with the way back to its caller.
pub(super) trait Command: Send {
    /// Rows that it writes, about.
    fn weight(&self) -> usize;
    /// Runs it and keeps its result; an error means that the transaction must be dropped.
    fn attempt(&mut self, txn: &mut Txn<'_>) -> Result<(), StoreError>;
    /// Sends the result. Only after the commit.
    fn answer(self: Box<Self>);
    /// Sends an error instead.
    fn fail(self: Box<Self>, error: StoreError);
}

struct Pending<T, F> {
    weight: usize,
    run: F,
    result: Option<T>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Command for Pending<T, F>
where
    T: Send,
    F: Fn(&mut Txn<'_>) -> Result<T, StoreError> + Send,
{
    fn weight(&self) -> usize {
        self.weight
    }

    fn attempt(&mut self, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        self.result = Some((self.run)(txn)?);
        Ok(())
    }

    fn answer(self: Box<Self>) {
        let Self {
            run, result, caller, ..
        } = *self;
        // Before the caller goes on: what it lent is its own again.
        drop(run);
        // A caller that went away has its durable result in the store.
        drop(caller.send(result.ok_or(StoreError::Panicked)));
    }

    fn fail(self: Box<Self>, error: StoreError) {
        drop(self.caller.send(Err(error)));
    }
}

/// Queues a command and waits until it is durable. When the caller is dropped while it waits, the command
/// still runs.
pub(super) async fn submit<T, F>(queue: &mpsc::Sender<Job>, weight: usize, run: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: Fn(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
{
    let (caller, answer) = oneshot::channel();
    let command = Box::new(Pending {
        weight,
        run,
        result: None,
        caller,
    });
    queue
        .send(Job::Run(command))
        .await
        .map_err(|_| StoreError::Closed)?;
    answer.await.map_err(|_| StoreError::Closed)?
}

/// The writer's side.
pub(super) struct Writer {
    pub(super) database: Arc<Database>,
    pub(super) live: Arc<Live>,
    pub(super) queue: mpsc::Receiver<Job>,
    /// Why nothing is written any more: after a failed commit nobody knows what is on the disk.
    pub(super) broken: Option<StoreError>,
}

/// Why a group came to nothing.
enum Failed {
    /// A command failed; the transaction was dropped.
    Dropped(StoreError),
    /// The commit failed.
    Commit(StoreError),
}

impl<E: Into<StoreError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Dropped(error.into())
    }
}

impl Writer {
    /// Until stopped, or nobody is left to ask.
    pub(super) fn run(mut self) {
        while let Some(Job::Run(first)) = self.queue.blocking_recv() {
            let (group, stop) = self.gather(first);
            self.serve(group);
            if stop {
                break;
            }
        }
        // Whoever still waits in the queue is told that it is closed by the drop of their senders.
        self.queue.close();
    }

    /// The first command and those that wait behind it.
    fn gather(&mut self, first: Box<dyn Command>) -> (Vec<Box<dyn Command>>, bool) {
        let mut weight = first.weight();
        let mut group = vec![first];
        while group.len() < GROUP_LIMIT && weight < GROUP_WEIGHT {
            match self.queue.try_recv() {
                Ok(Job::Run(next)) => {
                    weight = weight.saturating_add(next.weight());
                    group.push(next);
                }
                Ok(Job::Stop) => return (group, true),
                Err(_) => break,
            }
        }
        (group, false)
    }

    fn serve(&mut self, mut group: Vec<Box<dyn Command>>) {
        if let Some(error) = &self.broken {
            return fail(group, error);
        }
        match self.commit(&mut group) {
            Ok(()) => group.into_iter().for_each(Command::answer),
            Err(Failed::Commit(error)) => {
                // Before anybody is answered, so that whoever asks after a failure is told.
                self.live.set_broken();
                fail(group, &error);
                self.broken = Some(error);
            }
            Err(Failed::Dropped(error)) if group.len() == 1 => fail(group, &error),
            Err(Failed::Dropped(_)) => group.into_iter().for_each(|command| self.serve(vec![command])),
        }
    }

    /// One transaction for the whole group, durable when this returns.
    fn commit(&self, group: &mut [Box<dyn Command>]) -> Result<(), Failed> {
        let (began, commands) = (Instant::now(), group.len());
        let txn = txn::begin(&self.database)?;
        let mut open = Txn::open(&txn, &self.live)?;
        for command in group {
            // A bug in one decision must not take the registry's only writer with it. The transaction is
            // dropped, so no half-done work is seen.
            catch_unwind(AssertUnwindSafe(|| command.attempt(&mut open)))
                .unwrap_or(Err(StoreError::Panicked))?;
        }
        let Some(publication) = open.finish()? else {
            return Ok(());
        };
        txn.commit().map_err(|error| Failed::Commit(error.into()))?;
        publication.publish(&self.live);
        self.live.worked(commands, began.elapsed());
        Ok(())
    }
}

fn fail(group: Vec<Box<dyn Command>>, error: &StoreError) {
    group.into_iter().for_each(|command| command.fail(error.clone()));
}
