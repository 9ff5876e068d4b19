//! A generated manifest: the shape of a factory's file, any number of rows.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

/// The columns, as a database would take them.
pub(super) const COLUMNS: [&str; 7] = [
    "serial", "mac", "model", "hardware", "firmware", "site", "position",
];
const SITES: [&str; 6] = ["MUC-01", "AUS-02", "PNQ-03", "SAO-04", "OSA-05", "NBO-06"];

/// Writes a CSV of `count` rows; row `i` is the same in every run.
pub(super) fn write(path: &Path, count: u64) -> io::Result<u64> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    writeln!(file, "{}", COLUMNS.join(","))?;
    for i in 0..count {
        let site = SITES[usize::try_from(i % 6).unwrap_or(0)];
        let (high, middle, low) = (i >> 16 & 255, i >> 8 & 255, i & 255);
        writeln!(
            file,
            "GW2-{i:09},00:1B:C5:{high:02X}:{middle:02X}:{low:02X},GW-200,B0,2.3.1,{site},Hall {}",
            i % 40
        )?;
    }
    file.flush()?;
    Ok(file.get_ref().metadata()?.len())
}
