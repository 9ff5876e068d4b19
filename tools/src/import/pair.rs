//! Rows of the file and answers of the server, brought together in order.

use super::{
    cause::Causes,
    results::{Columns, ResultsFile},
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
}

/// The files of a pairing that was finished.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) results: Option<PathBuf>,
    pub(super) failed: Option<PathBuf>,
}

impl Pairing {
    /// Begins the files, before anything is sent.
    pub(super) fn begin(
        rows: Rows,
        results: Option<&Path>,
        failed: Option<&Path>,
        replace: bool,
    ) -> Result<Self, Failure> {
        let begin = |path: Option<&Path>, columns| {
            path.map(|path| ResultsFile::begin(path, replace, rows.style(), columns))
                .transpose()
        };
        let results = begin(results, Columns::WithAnswers)?;
        let failed = begin(failed, Columns::OwnOnly)?;
        Ok(Self {
            rows,
            waiting: None,
            results,
            failed,
            causes: Causes::default(),
            strays: 0,
            answers: 0,
        })
    }

    /// Writes the rows up to the last of these answers, and the answers beside them.
    pub(super) fn take(&mut self, answers: &[RowResult]) -> Result<(), Failure> {
        for answer in answers {
            self.causes.add(answer);
            self.answers += 1;
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
            Some(failed) if is_refused => failed.push(row, None),
            _ => Ok(()),
        }
    }

    /// Writes the rest and names the files. `sent` is the hash of the file as it was sent.
    pub(super) fn finish(mut self, sent: &[u8]) -> Result<(Causes, Written), Failure> {
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
    pub(super) fn abandon(self) -> Option<PathBuf> {
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
