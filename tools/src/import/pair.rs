//! Rows of the file and answers of the server, brought together in order.

use super::ImportOptions;
use super::{
    cause::Causes,
    results::{Columns, Keeping, ResultsFile},
    rows::{Row, Rows},
};
use crate::failure::Failure;
use muster_proto::v1::{RowResult, RowStatus};
use std::path::{Path, PathBuf};

/// The second reading of the file, and what is written from it.
pub(super) struct Pairing {
    rows: Rows,
    /// Read, and behind the last answer.
    waiting: Option<Row>,
    results: Option<ResultsFile>,
    failed: Option<ResultsFile>,
    pub(super) causes: Causes,
    /// Answers to rows that the file no longer has: it changed meanwhile.
    strays: u64,
    answers: u64,
    /// Of an import that applies all rows or none: the answers, until it is known which. The server limits how many.
    held: Option<Vec<RowResult>>,
}

/// The files of a pairing that was finished.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) results: Option<PathBuf>,
    pub(super) failed: Option<PathBuf>,
}

impl Pairing {
    /// Begins the files, before anything is sent.
    pub(super) fn begin(rows: Rows, options: &ImportOptions) -> Result<Self, Failure> {
        let keeping = Keeping {
            replace: options.replace,
            recipient: None,
        };
        let begin = |path: Option<&Path>, columns| {
            path.map(|path| ResultsFile::begin(path, keeping, (rows.style(), rows.form()), columns))
                .transpose()
        };
        let results = begin(options.results.as_deref(), Columns::PLAIN)?;
        let failed = begin(options.failed.as_deref(), Columns::OfRefused)?;
        let mut pairing = Self {
            rows,
            waiting: None,
            results,
            failed,
            causes: Causes::default(),
            strays: 0,
            answers: 0,
            held: (options.all_or_nothing && !options.dry_run).then(Vec::new),
        };
        pairing.applied(!options.dry_run);
        Ok(pairing)
    }

    /// Says whether what comes next was done, or only would be.
    fn applied(&mut self, is_applied: bool) {
        for file in [&mut self.results, &mut self.failed].into_iter().flatten() {
            file.is_applied = is_applied;
        }
    }

    /// Writes the rows up to the last of these answers, and the answers beside them.
    pub(super) fn take(&mut self, answers: &[RowResult]) -> Result<(), Failure> {
        for answer in answers {
            self.causes.add(answer);
            self.answers += 1;
        }
        match &mut self.held {
            Some(held) => {
                held.extend_from_slice(answers);
                Ok(())
            }
            None => self.pair(answers),
        }
    }

    /// Writes the answers held back, now that it is known what they mean.
    fn release(&mut self, is_applied: bool) -> Result<(), Failure> {
        match self.held.take() {
            Some(held) => {
                self.applied(is_applied);
                self.pair(&held)
            }
            None => Ok(()),
        }
    }

    fn pair(&mut self, answers: &[RowResult]) -> Result<(), Failure> {
        for answer in answers {
            if self.results.is_some() || self.failed.is_some() {
                let row = self.row_of(answer.row)?;
                self.write(&row, Some(answer))?;
            }
        }
        match &mut self.results {
            Some(results) => results.flush(),
            None => Ok(()),
        }
    }

    /// The row of a number; rows before it that got no answer (empty lines) are written on the way.
    fn row_of(&mut self, number: u32) -> Result<Row, Failure> {
        loop {
            let next = match self.waiting.take() {
                Some(row) => Some(row),
                None => self.rows.next()?,
            };
            match next {
                Some(row) if row.number < number => self.write(&row, None)?,
                Some(row) if row.number == number => return Ok(row),
                // An answer is never dropped: it may hold a code.
                other => {
                    self.waiting = other;
                    self.strays += 1;
                    return Ok(Row {
                        number,
                        ..Row::default()
                    });
                }
            }
        }
    }

    fn write(&mut self, row: &Row, answer: Option<&RowResult>) -> Result<(), Failure> {
        if let Some(results) = &mut self.results {
            results.push(row, answer)?;
        }
        let is_refused = answer.is_some_and(|answer| answer.status == i32::from(RowStatus::Refused));
        match &mut self.failed {
            Some(failed) if is_refused => failed.push(row, answer),
            _ => Ok(()),
        }
    }

    /// Writes the rest and names the files. `sent` is the hash of the file as it was sent; `is_applied` says whether the
    /// registry changed.
    pub(super) fn finish(mut self, sent: &[u8], is_applied: bool) -> Result<(Causes, Written), Failure> {
        self.release(is_applied)?;
        if self.results.is_some() {
            while let Some(row) = self
                .waiting
                .take()
                .map_or_else(|| self.rows.next(), |row| Ok(Some(row)))?
            {
                self.write(&row, None)?;
            }
        }
        let reads_whole = self.results.is_some();
        let results = self.results.map(ResultsFile::finish).transpose()?;
        // A file of no rows would only ask to be sent again.
        let failed = self
            .failed
            .filter(|failed| failed.written > 0)
            .map(ResultsFile::finish)
            .transpose()?;
        if self.strays > 0 || (reads_whole && self.rows.hash() != sent) {
            let kept = results
                .as_deref()
                .map(|path| format!("; the results are in {}", path.display()));
            return Err(Failure::usage(
                format!(
                    "the file changed while it was imported{}",
                    kept.unwrap_or_default()
                ),
                "The import is done. Answers were put beside the rows of the same number: check them before you print labels.",
            ));
        }
        Ok((self.causes, Written { results, failed }))
    }

    /// Names the results of an import that broke off; `None` when there was no answer.
    pub(super) fn abandon(mut self) -> Option<PathBuf> {
        // Only rows that were applied come with a code.
        let has_codes = |held: &Vec<RowResult>| held.iter().any(|answer| !answer.activation_code.is_empty());
        let is_applied = self.held.as_ref().is_some_and(has_codes);
        if let Err(failure) = self.release(is_applied) {
            tracing::error!(%failure, "results of a broken import");
        }
        let results = self.results.filter(|_| self.answers > 0)?;
        match results.finish() {
            Ok(path) => Some(path),
            Err(failure) => {
                tracing::error!(%failure, "results of a broken import");
                None
            }
        }
    }
}
