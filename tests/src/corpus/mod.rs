//! Files that are made to hurt (E1): by code, from a seed, so that nobody has to keep them.

mod archives;
mod lists;
mod sheets;
mod text;

use crate::Random;
use std::path::{Path, PathBuf};

/// How a file must be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Each of these rows, as the file counts them, and no other; a refused one with the number of its first problem.
    Rows(Vec<(u32, Option<u16>)>),
    /// The same for what stands at the beginning; there are so many rows in all.
    Many {
        /// The first rows.
        first: Vec<(u32, Option<u16>)>,
        /// Rows in all.
        count: usize,
    },
    /// So many rows, all accepted but this one.
    Only {
        /// The row, and the number of its first problem.
        refused: (u32, u16),
        /// Rows in all.
        count: usize,
    },
    /// As a whole, with exit code 4, or with 2 where the client itself cannot read it; the text says why.
    Not(&'static str),
}

/// One file of the corpus.
#[derive(Debug)]
pub struct Hostile {
    /// Where it lies.
    pub path: PathBuf,
    /// Options of the import that it needs.
    pub options: &'static [&'static str],
    /// What must come of it.
    pub answer: Answer,
}

/// Where files are put as they are made.
#[derive(Debug)]
struct Bench<'b> {
    directory: &'b Path,
    chance: Random,
    files: Vec<Hostile>,
}

impl Bench<'_> {
    fn put(&mut self, name: &str, bytes: impl AsRef<[u8]>, answer: Answer) {
        self.put_with(name, bytes, &[], answer);
    }

    fn put_with(
        &mut self,
        name: &str,
        bytes: impl AsRef<[u8]>,
        options: &'static [&'static str],
        answer: Answer,
    ) {
        let path = self.directory.join(name);
        std::fs::write(&path, bytes).expect("a file");
        self.files.push(Hostile {
            path,
            options,
            answer,
        });
    }
}

/// Rows without problems.
fn good(rows: impl IntoIterator<Item = u32>) -> Answer {
    Answer::Rows(rows.into_iter().map(|row| (row, None)).collect())
}

/// Makes all of them in a directory.
pub fn hostile(directory: &Path, seed: u64) -> Vec<Hostile> {
    let mut bench = Bench {
        directory,
        chance: Random::seeded(seed),
        files: Vec::new(),
    };
    text::make(&mut bench);
    lists::make(&mut bench);
    sheets::make(&mut bench);
    archives::make(&mut bench);
    bench.files
}
