//! ZIP archives (APPNOTE 6.3.10): the directory at the end of the file, and the parts that it names.
//!
//! Read here and not by a crate because every limit must hold before memory is taken: how many entries, how long
//! their names, how much they unpack to in all and for each packed byte. What the directory says of a part is held
//! against what comes out of it, see [`Part`].

use super::{
    FILE_LIMIT, ReadError,
    carried::{arrive, damaged, too_large},
    part::{Part, Tagged},
};
use crate::{Code, Refusal};
use std::io::{BufReader, Read, Seek, SeekFrom};

/// Most bytes that all parts of an archive may unpack to: a sheet of a million rows of thirty cells takes most of it.
const UNPACKED_LIMIT: u64 = 2 << 30;
/// Most unpacked bytes for a packed one. Sheets reach about 30; deflate can reach 1032.
const RATIO_LIMIT: u64 = 100;
/// Parts that unpack to no more than this may have any ratio.
const RATIO_FLOOR: u64 = 4 << 20;
/// Most bytes of the directory, which is held.
const DIRECTORY_LIMIT: u64 = 32 << 20;
/// Longest name of an entry.
const NAME_LIMIT: u16 = 1024;
/// The end record and the longest comment behind it.
const TAIL: u64 = 22 + 0xFFFF;

const END: u32 = 0x0605_4B50;
const END_64: u32 = 0x0606_4B50;
const LOCATOR_64: u32 = 0x0706_4B50;
const ENTRY: u32 = 0x0201_4B50;
const LOCAL: u32 = 0x0403_4B50;

/// What the directory says of a part.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// With slashes between folders; bytes that are no UTF-8 are replaced.
    pub(super) name: String,
    pub(super) is_deflated: bool,
    /// Why it cannot be read, if it cannot.
    unreadable: Option<&'static str>,
    pub(super) checksum: u32,
    pub(super) packed: u64,
    /// Bytes once unpacked.
    pub(super) size: u64,
    header: u64,
}

/// An archive with its directory.
#[derive(Debug)]
pub(super) struct Archive<R> {
    source: R,
    entries: Vec<Entry>,
    length: u64,
}

/// Where the directory is.
struct Directory {
    start: u64,
    length: u64,
    entries: u64,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the directory: `entry_limit` entries at most.
    ///
    /// # Errors
    /// [`Code::ManifestUnreadable`] when the archive is damaged, [`Code::ManifestTooLarge`] when it is over a limit.
    pub(super) fn open(source: R, entry_limit: u64) -> Result<Self, ReadError> {
        let mut source = source;
        let length = source.seek(SeekFrom::End(0)).map_err(ReadError::Input)?;
        if length > FILE_LIMIT {
            return Err(too_large(format!("is over {FILE_LIMIT} bytes")).into());
        }
        let directory = find_directory(&mut source, length)?;
        if directory.entries > entry_limit {
            return Err(too_large(format!("holds more than {entry_limit} parts")).into());
        }
        if directory.length > DIRECTORY_LIMIT {
            return Err(too_large(format!("has a directory of more than {DIRECTORY_LIMIT} bytes")).into());
        }
        let entries = read_directory(&mut source, &directory)?;
        let unpacked = entries
            .iter()
            .fold(0u64, |sum, entry| sum.saturating_add(entry.size));
        if unpacked > UNPACKED_LIMIT {
            return Err(too_large(format!("unpacks to more than {UNPACKED_LIMIT} bytes")).into());
        }
        Ok(Self {
            source,
            entries,
            length,
        })
    }

    /// Unpacks a part.
    pub(super) fn part(&mut self, entry: &Entry) -> Result<Part<&mut R>, ReadError> {
        self.admit(entry)?;
        Part::new(&mut self.source, entry)
    }

    /// Unpacks one last part.
    pub(super) fn into_part(mut self, entry: &Entry) -> Result<Part<R>, ReadError> {
        self.admit(entry)?;
        Part::new(self.source, entry)
    }

    /// Holds an entry to the limits, and stands at its first byte.
    fn admit(&mut self, entry: &Entry) -> Result<(), ReadError> {
        if let Some(why) = entry.unreadable {
            return Err(Refusal::new(Code::ManifestUnreadable, why).into());
        }
        if entry.size > RATIO_FLOOR && entry.size / RATIO_LIMIT > entry.packed {
            let why = format!("unpacks to more than {RATIO_LIMIT} times its size, as no real file does");
            return Err(too_large(why).into());
        }
        let local: [u8; 30] = read_at(&mut self.source, entry.header)?;
        let names = u64::from(u16_at(&local, 26)) + u64::from(u16_at(&local, 28));
        let start = entry.header.saturating_add(30).saturating_add(names);
        let end = start.checked_add(entry.packed);
        if u32_at(&local, 0) != LOCAL || end.is_none_or(|end| end > self.length) {
            return Err(damaged("has a part that is not where its directory says").into());
        }
        seek(&mut self.source, start)
    }
}

impl<R> Archive<R> {
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of this name. Writers differ in case and in a slash in front.
    pub(super) fn entry(&self, name: &str) -> Option<Entry> {
        let bare = |name: &str| name.trim_start_matches('/').to_ascii_lowercase();
        let wanted = bare(name);
        let found = self.entries.iter().find(|entry| bare(&entry.name) == wanted);
        found.cloned()
    }

    /// Bytes of the file.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }
}

fn seek(source: &mut impl Seek, place: u64) -> Result<(), ReadError> {
    let sought = source.seek(SeekFrom::Start(place));
    sought.map(|_| ()).map_err(ReadError::Input)
}

fn fill(source: &mut impl Read, bytes: &mut [u8]) -> Result<(), ReadError> {
    Tagged(source).read_exact(bytes).map_err(|error| {
        if error.kind() == std::io::ErrorKind::UnexpectedEof {
            damaged("ends early").into()
        } else {
            arrive(error)
        }
    })
}

fn read_at<const N: usize>(source: &mut (impl Read + Seek), place: u64) -> Result<[u8; N], ReadError> {
    seek(source, place)?;
    let mut bytes = [0; N];
    fill(source, &mut bytes)?;
    Ok(bytes)
}

fn array<const N: usize>(bytes: &[u8], place: usize) -> [u8; N] {
    let found = bytes.get(place..).and_then(|rest| rest.first_chunk());
    found.copied().unwrap_or([0; N])
}

/// Callers know that the bytes are there; what is not counts as zero.
fn u16_at(bytes: &[u8], place: usize) -> u16 {
    u16::from_le_bytes(array(bytes, place))
}

fn u32_at(bytes: &[u8], place: usize) -> u32 {
    u32::from_le_bytes(array(bytes, place))
}

fn u64_at(bytes: &[u8], place: usize) -> u64 {
    u64::from_le_bytes(array(bytes, place))
}

/// Finds the end record, from behind: its comment must reach to the end of the file.
fn find_directory(source: &mut (impl Read + Seek), length: u64) -> Result<Directory, ReadError> {
    let start = length.saturating_sub(TAIL);
    let size = usize::try_from(length - start).unwrap_or_default();
    let mut tail = vec![0; size];
    seek(source, start)?;
    fill(source, &mut tail)?;
    let is_end = |place: &usize| {
        u32_at(&tail, *place) == END && place + 22 + usize::from(u16_at(&tail, place + 20)) == tail.len()
    };
    let candidates = (0..tail.len().saturating_sub(21)).rev();
    let Some(place) = candidates.into_iter().find(is_end) else {
        return Err(damaged("has no directory at its end").into());
    };
    let end = &tail[place..];
    let directory = Directory {
        entries: u16_at(end, 10).into(),
        length: u32_at(end, 12).into(),
        start: u32_at(end, 16).into(),
    };
    let record = start + u64::try_from(place).unwrap_or_default();
    let is_64 = u16_at(end, 10) == u16::MAX || u32_at(end, 12) == u32::MAX || u32_at(end, 16) == u32::MAX;
    let directory = if is_64 && record >= 20 {
        find_directory_64(source, record - 20)?.unwrap_or(directory)
    } else {
        directory
    };
    match directory.start.checked_add(directory.length) {
        Some(behind) if behind <= record => Ok(directory),
        Some(_) | None => Err(damaged("has no directory where it should be").into()),
    }
}

/// The end record of large archives, where a locator names it.
fn find_directory_64(source: &mut (impl Read + Seek), locator: u64) -> Result<Option<Directory>, ReadError> {
    let locator: [u8; 20] = read_at(source, locator)?;
    if u32_at(&locator, 0) != LOCATOR_64 {
        return Ok(None);
    }
    let end: [u8; 56] = read_at(source, u64_at(&locator, 8))?;
    if u32_at(&end, 0) != END_64 {
        return Err(damaged("has no directory where it should be").into());
    }
    Ok(Some(Directory {
        entries: u64_at(&end, 32),
        length: u64_at(&end, 40),
        start: u64_at(&end, 48),
    }))
}

fn read_directory(source: &mut (impl Read + Seek), directory: &Directory) -> Result<Vec<Entry>, ReadError> {
    seek(source, directory.start)?;
    let mut source = BufReader::new(source.take(directory.length));
    let mut entries = Vec::new();
    for _ in 0..directory.entries {
        entries.push(read_entry(&mut source)?);
    }
    Ok(entries)
}

fn read_entry(source: &mut impl Read) -> Result<Entry, ReadError> {
    let mut head = [0; 46];
    fill(source, &mut head)?;
    let lengths = [28, 30, 32].map(|place| u16_at(&head, place));
    let [name_length, extra_length, comment_length] = lengths;
    if u32_at(&head, 0) != ENTRY || name_length > NAME_LIMIT {
        return Err(damaged("has a broken directory").into());
    }
    let mut rest = vec![0; lengths.iter().map(|&length| usize::from(length)).sum()];
    fill(source, &mut rest)?;
    let (name, rest) = rest.split_at(name_length.into());
    let (extra, _) = rest.split_at(usize::from(extra_length));
    debug_assert!(rest.len() == usize::from(extra_length) + usize::from(comment_length));
    let wide = wide_sizes(&head, extra);
    let (flags, method) = (u16_at(&head, 8), u16_at(&head, 10));
    let unreadable = match (flags & 1, method) {
        (1, _) => Some("is encrypted; save it without a password"),
        (_, 0 | 8) => None,
        (_, _) => Some("is packed in a way that spreadsheets do not use; pack it again as a plain ZIP"),
    };
    Ok(Entry {
        // Some writers know Windows only.
        name: String::from_utf8_lossy(name).replace('\\', "/"),
        is_deflated: method == 8,
        unreadable,
        checksum: u32_at(&head, 16),
        size: wide[0],
        packed: wide[1],
        header: wide[2],
    })
}

/// Size, packed size and place, from the ZIP64 field where the short ones say so.
fn wide_sizes(head: &[u8], extra: &[u8]) -> [u64; 3] {
    let short = [24, 20, 42].map(|place| u32_at(head, place));
    let mut fields = extra;
    let mut wide: &[u8] = &[];
    while fields.len() >= 4 {
        let (tag, length) = (u16_at(fields, 0), usize::from(u16_at(fields, 2)));
        let content = fields.get(4..4 + length).unwrap_or_default();
        if tag == 1 {
            wide = content;
        }
        fields = fields.get(4 + length..).unwrap_or_default();
    }
    short.map(|value| match wide.split_first_chunk() {
        Some((first, rest)) if value == u32::MAX => {
            wide = rest;
            u64::from_le_bytes(*first)
        }
        Some(_) | None => value.into(),
    })
}
