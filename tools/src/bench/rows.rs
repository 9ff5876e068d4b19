//! A generated manifest: the shape of a factory's file, any number of rows.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

/// The columns, as a database would take them.
pub(super) const COLUMNS: [&str; 7] = [
    "serial", "mac", "model", "hardware", "firmware", "site", "position",
];
/// Where rows belong, in turn.
pub(super) const SITES: [&str; 6] = ["MUC-01", "AUS-02", "PNQ-03", "SAO-04", "OSA-05", "NBO-06"];
/// Requests that are made at once, by two threads.
const BLOCK: usize = 4096;

fn row(out: &mut impl Write, i: u64) -> io::Result<()> {
    let site = SITES[usize::try_from(i % 6).unwrap_or(0)];
    let (high, middle, low) = (i >> 16 & 255, i >> 8 & 255, i & 255);
    write!(
        out,
        "GW2-{i:09},00:1B:C5:{high:02X}:{middle:02X}:{low:02X},GW-200,B0,2.3.1,{site},Hall {}",
        i % 40
    )
}

/// Writes a CSV of `count` rows; row `i` is the same in every run. Gives its size.
pub(super) fn write(path: &Path, count: u64) -> io::Result<u64> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    writeln!(file, "{}", COLUMNS.join(","))?;
    for i in 0..count {
        row(&mut file, i)?;
        writeln!(file)?;
    }
    file.flush()?;
    Ok(file.get_ref().metadata()?.len())
}

/// The same with a column `csr`: a certificate request of a key of its own in each row.
pub(crate) fn write_with_requests(path: &Path, count: u64) -> anyhow::Result<u64> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    writeln!(file, "{},csr", COLUMNS.join(","))?;
    let mut made = Vec::new().into_iter();
    for i in 0..count {
        let request = match made.next() {
            Some(request) => request,
            None => {
                let left = usize::try_from(count - i).unwrap_or(BLOCK);
                made = requests(left.min(BLOCK))?.into_iter();
                made.next().unwrap_or_default()
            }
        };
        row(&mut file, i)?;
        writeln!(file, ",{}", STANDARD.encode(request))?;
    }
    file.flush()?;
    Ok(file.get_ref().metadata()?.len())
}

/// The same with these requests, a row each.
pub(super) fn write_requests(path: &Path, requests: &[Vec<u8>]) -> anyhow::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    writeln!(file, "{},csr", COLUMNS.join(","))?;
    for (i, request) in (0..).zip(requests) {
        row(&mut file, i)?;
        writeln!(file, ",{}", STANDARD.encode(request))?;
    }
    file.flush()?;
    Ok(())
}

/// Certificate requests of new keys, DER.
pub(super) fn requests(count: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    std::thread::scope(|scope| {
        let other = scope.spawn(move || some_requests(count / 2));
        let mut all = some_requests(count - count / 2)?;
        let other = other
            .join()
            .map_err(|_| anyhow::anyhow!("a thread that makes keys panicked"))?;
        all.extend(other?);
        Ok(all)
    })
}

fn some_requests(count: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    let request = |_| {
        let key = rcgen::KeyPair::generate()?;
        let mut wanted = rcgen::CertificateParams::default();
        // Names come from the registry; a request needs none.
        wanted.distinguished_name = rcgen::DistinguishedName::new();
        Ok(wanted.serialize_request(&key)?.der().to_vec())
    };
    (0..count).map(request).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_request_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.csv");
        let bytes = write_with_requests(&path, 5).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(bytes, text.len() as u64);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let requests: std::collections::HashSet<Vec<u8>> = reader
            .records()
            .map(|row| STANDARD.decode(&row.unwrap()[COLUMNS.len()]).unwrap())
            .collect();
        assert_eq!(requests.len(), 5);
        for request in requests {
            muster_server::ca::CertificationRequest::parse(&request).unwrap();
        }
    }
}
