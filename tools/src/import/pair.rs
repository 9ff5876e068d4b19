//! Rows of the file and answers of the server, brought together in order.

use super::{
    ImportOptions,
    cause::Causes,
    identities::IdentityFiles,
    problems::ProblemsFile,
    results::{Columns, Keeping, ResultsFile},
    rows::{Cell, Row, Rows, Style, Table, TextForm},
    ticket::Output,
};
use crate::failure::Failure;
use muster_proto::v1::{CredentialKind, ImportResults, RowResult, RowStatus};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What stands beside the answers.
pub(super) enum Own {
    /// The user's file.
    File(Box<Rows>),
    /// Nothing but the numbers of the rows: the file is not at hand.
    Numbers,
}

/// The only column where the user's file is not at hand.
const ROW_COLUMN: &str = "row";

impl Own {
    fn style(&self) -> (Style, TextForm) {
        match self {
            Self::File(rows) => (rows.style().clone(), rows.form()),
            Self::Numbers => (
                Style::Csv {
                    delimiter: b',',
                    table: Table {
                        header: vec![ROW_COLUMN.to_owned()],
                        header_row: 1,
                        ..Table::default()
                    },
                },
                TextForm::default(),
            ),
        }
    }

    /// The next row; `None` at the end.
    fn next(&mut self) -> Result<Option<Row>, Failure> {
        match self {
            Self::File(rows) => rows.next(),
            Self::Numbers => Ok(None),
        }
    }

    /// What stands for a row that the file does not have.
    fn absent(&self, number: u32) -> Row {
        match self {
            Self::File(_) => Row {
                number,
                ..Row::default()
            },
            Self::Numbers => Row {
                number,
                cells: vec![Cell::of(&number.to_string())],
                ..Row::default()
            },
        }
    }
}

/// The second reading of the file, and what is written from it.
pub(super) struct Pairing {
    own: Own,
    /// Read, and behind the last answer.
    waiting: Option<Row>,
    results: Option<ResultsFile>,
    failed: Option<ResultsFile>,
    problems: Option<ProblemsFile>,
    identities: Option<IdentityFiles>,
    outputs: Vec<Output>,
    causes: Causes,
    warnings: Causes,
    /// Answers to rows that the file no longer has: it changed meanwhile.
    strays: u64,
    /// The row of the last answer.
    last: u32,
    /// Of an import that applies all rows or none: the answers, until it is known which. The server limits how many.
    held: Option<Vec<RowResult>>,
    /// Mended rows have the numbers of another file, in whatever order their user left them: each answer is for the next row.
    is_sent_again: bool,
}

/// The files of a pairing that was finished.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) results: Option<PathBuf>,
    pub(super) failed: Option<PathBuf>,
    pub(super) problems: Option<PathBuf>,
}

/// The columns that such an import has answers for.
const fn columns(credential: CredentialKind) -> Columns {
    let (certificates, keys) = match credential {
        CredentialKind::Unspecified | CredentialKind::Code => (false, false),
        CredentialKind::Csr | CredentialKind::Pinned => (true, false),
        CredentialKind::Key => (true, true),
    };
    Columns::WithAnswers { certificates, keys }
}

impl Pairing {
    /// Begins the files, before anything is sent. `made` says which of them an earlier run of this import has written.
    pub(super) fn begin(
        own: Own,
        options: &ImportOptions,
        made: impl Fn(&Path) -> bool,
    ) -> Result<Self, Failure> {
        let (style, form) = own.style();
        let replace = |path: &Path| options.replace || made(path);
        let mut outputs = Vec::new();
        let mut writes = |path: &Path, temporary: &Path| {
            outputs.push(Output {
                path: path.to_owned(),
                temporary: temporary.to_owned(),
            });
        };
        let mut begin = |path: Option<&Path>, recipient, columns| {
            let Some(path) = path else { return Ok(None) };
            let keeping = Keeping {
                replace: replace(path),
                recipient,
            };
            let file = ResultsFile::begin(path, keeping, (&style, form), columns)?;
            writes(path, file.temporary());
            Ok::<_, Failure>(Some(file))
        };
        let recipient = options.recipient.as_ref();
        let results = begin(options.results.as_deref(), recipient, columns(options.credential))?;
        // Refused rows have no codes.
        let failed = begin(options.failed.as_deref(), None, Columns::OfRefused)?;
        let problems = options.problems.as_deref();
        let problems = problems
            .map(|path| {
                ProblemsFile::begin(path, replace(path)).inspect(|file| writes(path, file.temporary()))
            })
            .transpose()?;
        let mut pairing = Self {
            own,
            waiting: None,
            results,
            failed,
            problems,
            identities: IdentityFiles::begin(options)?,
            outputs,
            causes: Causes::default(),
            warnings: Causes::default(),
            strays: 0,
            last: 0,
            held: (options.all_or_nothing && !options.dry_run).then(Vec::new),
            is_sent_again: false,
        };
        pairing.applied(!options.dry_run);
        Ok(pairing)
    }

    /// The files that are being written; the first are the results.
    pub(super) fn outputs(&self) -> Vec<Output> {
        self.outputs.clone()
    }

    /// The batch that refused rows belong to.
    pub(super) fn belongs_to(&mut self, batch: &str) {
        for file in [&mut self.results, &mut self.failed].into_iter().flatten() {
            batch.clone_into(&mut file.batch);
        }
    }

    /// The file is one of mended rows.
    pub(super) const fn sent_again(&mut self) {
        self.is_sent_again = true;
    }

    /// Has any answer come?
    pub(super) const fn is_answered(&self) -> bool {
        self.last > 0
    }

    /// Says whether what comes next was done, or only would be.
    fn applied(&mut self, is_applied: bool) {
        for file in [&mut self.results, &mut self.failed].into_iter().flatten() {
            file.is_applied = is_applied;
        }
    }

    /// Writes the rows up to the last of these answers, and the answers beside them. Gives those that are new: an answer
    /// that came before stands in the file already.
    pub(super) fn take<'a>(&mut self, results: &'a ImportResults) -> Result<&'a [RowResult], Failure> {
        if let Some(identities) = &mut self.identities {
            identities.issued_by(&results.issuers);
        }
        let answers = &results.rows;
        let known = match self.is_sent_again {
            true => 0,
            false => answers.partition_point(|answer| answer.row <= self.last),
        };
        let answers = &answers[known..];
        for answer in answers {
            self.causes.add(answer.row, &answer.refusals);
            self.warnings.add(answer.row, &answer.warnings);
            if let Some(problems) = &mut self.problems {
                problems.push(answer)?;
            }
        }
        if let Some(last) = answers.last() {
            self.last = last.row;
        }
        match &mut self.held {
            Some(held) => held.extend_from_slice(answers),
            None => self.pair(answers)?,
        }
        Ok(answers)
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
            if let Some(identities) = &self.identities {
                identities.push(answer)?;
            }
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
                None => self.own.next()?,
            };
            match next {
                Some(row) if row.number < number && !self.is_sent_again => self.write(&row, None)?,
                Some(row) if self.number_of(&row) == number => return Ok(row),
                // An answer is never dropped: it may hold a code.
                other => {
                    self.waiting = other;
                    self.strays += u64::from(matches!(self.own, Own::File(_)));
                    return Ok(self.own.absent(number));
                }
            }
        }
    }

    /// The number under which the server answers: mended rows say which of their batch they are.
    fn number_of(&self, row: &Row) -> u32 {
        match self.is_sent_again {
            true => row.earlier.row.trim().parse().unwrap_or(row.number),
            false => row.number,
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
    /// registry changed. Gives why rows were refused, and what is odd about others.
    pub(super) fn finish(
        mut self,
        sent: &[u8],
        is_applied: bool,
    ) -> Result<(Causes, Causes, Written), Failure> {
        self.release(is_applied)?;
        if self.results.is_some() {
            while let Some(row) = self
                .waiting
                .take()
                .map_or_else(|| self.own.next(), |row| Ok(Some(row)))?
            {
                self.write(&row, None)?;
            }
        }
        let is_other = match &self.own {
            Own::File(rows) => self.results.is_some() && rows.hash() != sent,
            Own::Numbers => false,
        };
        let results = self.results.map(ResultsFile::finish).transpose()?;
        // A file of no rows would only ask to be sent again.
        let failed = self
            .failed
            .filter(|failed| failed.written > 0)
            .map(ResultsFile::finish)
            .transpose()?;
        let problems = self
            .problems
            .filter(|problems| problems.written() > 0)
            .map(ProblemsFile::finish)
            .transpose()?;
        if self.strays > 0 || is_other {
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
        let written = Written {
            results,
            failed,
            problems,
        };
        Ok((self.causes, self.warnings, written))
    }

    /// Names the results of an import that broke off behind its first answers; `None` when none are written.
    pub(super) fn abandon(mut self) -> Option<PathBuf> {
        // Only rows that were applied come with a code.
        let has_codes = |held: &Vec<RowResult>| held.iter().any(|answer| !answer.activation_code.is_empty());
        let is_applied = self.held.as_ref().is_some_and(has_codes);
        if let Err(failure) = self.release(is_applied) {
            tracing::error!(%failure, "results of a broken import");
        }
        let results = self.results?;
        match results.finish() {
            Ok(path) => Some(path),
            Err(failure) => {
                tracing::error!(%failure, "results of a broken import");
                None
            }
        }
    }
}
