//! Everything that this process logs, kept.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

/// All log lines of the process, at the most talkative level.
#[derive(Debug, Clone, Default)]
pub struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    /// Captures from now on; once a process.
    pub fn install() -> Self {
        let sink = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(sink.clone());
        subscriber
            .try_init()
            .expect("a process has one log; run this test in a process of its own");
        sink
    }

    /// What was logged.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
