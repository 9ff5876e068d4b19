//! Compound files (MS-CFB): streams in chains of sectors. Held in memory, so they are limited before they are read.

use super::bytes::{place, u16_at, u32_at};
use crate::{
    Code, Refusal,
    manifest::{
        ReadError,
        carried::{arrive, damaged, too_large},
        part::Tagged,
    },
};
use std::io::{Read, Seek, SeekFrom};

/// Most bytes of a compound file. Old Excel has 65536 rows; with twenty texts each they take 40 MB.
const LIMIT: u64 = 64 << 20;
/// Sector numbers from here on mean "none", "end of chain" and the like.
const LAST_SECTOR: u32 = 0xFFFF_FFFA;
/// Sectors of the table of sectors that the header names itself.
const IN_HEADER: usize = 109;

/// A compound file.
pub(super) struct Compound {
    bytes: Vec<u8>,
    sector: usize,
    next: Vec<u32>,
    small: Small,
    entries: Vec<Entry>,
}

/// Short streams share one stream, in sectors of 64 bytes.
struct Small {
    /// Streams shorter than this are short.
    below: u32,
    next: Vec<u32>,
    bytes: Vec<u8>,
}

/// An entry of the directory.
struct Entry {
    name: String,
    start: u32,
    size: u32,
}

impl Compound {
    pub(super) fn read(mut source: impl Read + Seek) -> Result<Self, ReadError> {
        let length = source.seek(SeekFrom::End(0)).map_err(ReadError::Input)?;
        if length > LIMIT {
            return Err(too_large(format!("is over {LIMIT} bytes; save it as XLSX or CSV")).into());
        }
        source.seek(SeekFrom::Start(0)).map_err(ReadError::Input)?;
        let mut bytes = Vec::new();
        let read = Tagged(source).take(LIMIT).read_to_end(&mut bytes);
        read.map_err(arrive)?;
        Self::parse(bytes).ok_or_else(|| damaged("has no sound directory").into())
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let shift = u16_at(&bytes, 30).filter(|shift| matches!(shift, 9 | 12))?;
        let mut file = Self {
            sector: 1 << shift,
            next: Vec::new(),
            small: Small {
                below: u32_at(&bytes, 56)?,
                next: Vec::new(),
                bytes: Vec::new(),
            },
            entries: Vec::new(),
            bytes,
        };
        file.next = file.table()?;
        let directory = file.chain(u32_at(&file.bytes, 48)?)?;
        let (entries, _) = directory.as_chunks::<128>();
        file.entries = entries.iter().filter_map(entry).collect();
        let short = file.chain(u32_at(&file.bytes, 60)?)?;
        file.small.next = numbers(&short);
        let root = u32_at(&directory, 116)?;
        file.small.bytes = file.chain(root)?;
        Some(file)
    }

    fn sector_at(&self, sector: u32) -> Option<&[u8]> {
        let start = place(sector).checked_add(1)?.checked_mul(self.sector)?;
        // The last sector of a file may be cut short.
        let end = start.checked_add(self.sector)?.min(self.bytes.len());
        self.bytes.get(start..end)
    }

    /// For each sector, the one behind it.
    fn table(&self) -> Option<Vec<u32>> {
        let most = self.bytes.len() / self.sector;
        let mut sectors: Vec<u32> = (0..IN_HEADER)
            .map_while(|slot| u32_at(&self.bytes, 76 + 4 * slot))
            .collect();
        let mut more = u32_at(&self.bytes, 68)?;
        while more < LAST_SECTOR {
            let mut list = numbers(self.sector_at(more)?);
            more = list.pop()?;
            sectors.append(&mut list);
            // No more tables than sectors: a chain that bites its own tail ends here.
            if sectors.len() > most + IN_HEADER {
                return None;
            }
        }
        let mut next = Vec::new();
        for sector in sectors.into_iter().filter(|&sector| sector < LAST_SECTOR) {
            next.append(&mut numbers(self.sector_at(sector)?));
            if next.len() > most + self.sector / 4 {
                break;
            }
        }
        Some(next)
    }

    /// The bytes of a chain of sectors, as far as the file has them: whoever needs all of them knows how many.
    fn chain(&self, start: u32) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut sector = start;
        while sector < LAST_SECTOR {
            let Some(more) = self.sector_at(sector) else { break };
            bytes.extend_from_slice(more);
            sector = *self.next.get(place(sector))?;
            if bytes.len() > self.bytes.len() {
                return None;
            }
        }
        Some(bytes)
    }

    fn short_chain(&self, start: u32) -> Option<Vec<u8>> {
        const SECTOR: usize = 64;
        let mut bytes = Vec::new();
        let mut sector = start;
        while sector < LAST_SECTOR {
            let from = place(sector).checked_mul(SECTOR)?;
            let to = from.checked_add(SECTOR)?.min(self.small.bytes.len());
            bytes.extend_from_slice(self.small.bytes.get(from..to)?);
            sector = *self.small.next.get(place(sector))?;
            if bytes.len() > self.small.bytes.len() {
                return None;
            }
        }
        Some(bytes)
    }

    /// The stream of Excel; the rest is dropped.
    pub(super) fn into_workbook(self) -> Result<Vec<u8>, Refusal> {
        let named = |name: &str| {
            self.entries
                .iter()
                .find(|entry| entry.name.eq_ignore_ascii_case(name))
        };
        let unreadable = |why| Err(Refusal::new(Code::ManifestUnreadable, why));
        if named("EncryptedPackage").is_some() {
            return unreadable("is encrypted; save it without a password");
        }
        let Some(entry) = named("Workbook") else {
            return unreadable(match named("Book") {
                Some(_) => "is a workbook of Excel 95 or before; save it as XLSX or CSV",
                None => "is a document of old Office, but no workbook; save the table as CSV",
            });
        };
        let bytes = if entry.size < self.small.below {
            self.short_chain(entry.start)
        } else {
            self.chain(entry.start)
        };
        let mut bytes = bytes.ok_or_else(|| damaged("has a stream that is not where its directory says"))?;
        if bytes.len() < place(entry.size) {
            return Err(damaged("has a stream that ends early"));
        }
        bytes.truncate(place(entry.size));
        Ok(bytes)
    }
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().copied().map(u32::from_le_bytes).collect()
}

fn entry(bytes: &[u8; 128]) -> Option<Entry> {
    /// Streams; storages are folders.
    const STREAM: u8 = 2;
    if bytes[66] != STREAM {
        return None;
    }
    let length = usize::from(u16_at(bytes, 64)?).saturating_sub(2);
    let (units, _) = bytes.get(..length.min(64))?.as_chunks();
    let name = char::decode_utf16(units.iter().copied().map(u16::from_le_bytes));
    Some(Entry {
        name: name.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect(),
        start: u32_at(bytes, 116)?,
        size: u32_at(bytes, 120)?,
    })
}
