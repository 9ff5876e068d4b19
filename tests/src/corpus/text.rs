//! Cells between delimiters.

use super::{Answer, Bench, good};
use muster_domain::Code;
use std::{
    fs::File,
    io::{BufWriter, Write as _},
};

const HEADER: &str = "serial,model,site\n";
/// A whole row of a camera.
fn row(number: u32) -> String {
    format!("HOS-{number:07},CAM-IR,MUC-01\n")
}

/// A header, and what stands between a row before and a row behind.
fn around(middle: &str) -> String {
    format!("{HEADER}{}{middle}{}", row(1), row(2))
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

pub(super) fn make(bench: &mut Bench<'_>) {
    encodings(bench);
    shapes(bench);
    sizes(bench);
    cells(bench);
}

fn refused(row: u32, code: Code) -> Answer {
    Answer::Rows(vec![(2, None), (row, Some(code.number())), (row + 1, None)])
}

fn encodings(bench: &mut Bench<'_>) {
    let plain = around("");
    bench.put(
        "utf16le-unmarked.csv",
        utf16(&plain, u16::to_le_bytes),
        Answer::Not("UTF-16 without a byte order mark"),
    );
    bench.put(
        "utf16be-unmarked.csv",
        utf16(&plain, u16::to_be_bytes),
        Answer::Not("UTF-16 without a byte order mark"),
    );
    let mut odd = vec![0xff, 0xfe];
    odd.extend(utf16(&plain, u16::to_le_bytes));
    odd.push(b'x');
    bench.put(
        "utf16-odd.csv",
        odd,
        Answer::Rows(vec![
            (2, None),
            (3, None),
            (4, Some(Code::CellMalformed.number())),
        ]),
    );
    let mut lone = vec![0xff, 0xfe];
    lone.extend(utf16(HEADER, u16::to_le_bytes));
    lone.extend(utf16(&row(1), u16::to_le_bytes));
    lone.extend([0x00, 0xd8, b',', 0, b'\n', 0]);
    bench.put(
        "utf16-lone-surrogate.csv",
        lone,
        Answer::Rows(vec![(2, None), (3, Some(Code::CellMalformed.number()))]),
    );
    let mut broken = around("").into_bytes();
    // A byte that is no UTF-8 behind much that is: too late to take the file for another encoding.
    let many: String = (10..20_010).map(row).collect();
    broken.extend(many.as_bytes());
    broken.extend(b"HOS-0000003,CAM-IR,MUC-01\xff\xfe\n");
    broken.extend(row(4).as_bytes());
    bench.put(
        "not-utf8-late.csv",
        broken,
        Answer::Only {
            refused: (20_004, Code::CellMalformed.number()),
            count: 20_004,
        },
    );
    bench.put(
        "nul-in-a-cell.csv",
        around("HOS-\u{0}1,CAM-IR,MUC-01\n"),
        Answer::Not("NUL"),
    );
    bench.put("only-nul.csv", vec![0; 1 << 20], Answer::Not(""));
    bench.put("only-a-mark.csv", [0xef, 0xbb, 0xbf], Answer::Not(""));
    bench.put("empty.csv", [], Answer::Not(""));
    bench.put("two-marks.csv", format!("\u{feff}\u{feff}{plain}"), good([2, 3]));
    let noise: Vec<u8> = (0..1 << 17)
        .flat_map(|_| bench.chance.next().to_le_bytes())
        .collect();
    bench.put("noise.csv", noise, Answer::Not(""));
}

fn shapes(bench: &mut Bench<'_>) {
    let mut open = around("\"HOS-0000003,CAM-IR,MUC-01\n");
    (10..30_010).for_each(|number| open += &row(number));
    bench.put(
        "quote-never-closed.csv",
        open,
        Answer::Only {
            refused: (3, Code::CellMalformed.number()),
            count: 30_003,
        },
    );
    bench.put("header-only.csv", HEADER, good([]));
    bench.put(
        "duplicate-columns.csv",
        "serial,model,site,serial\na,CAM-IR,MUC-01,b\n",
        Answer::Not(""),
    );
    bench.put("lone-cr.csv", around("").replace('\n', "\r"), good([2, 3]));
    bench.put(
        "mixed-ends.csv",
        format!("{HEADER}{}\r{}\r\n{}", row(1).trim(), row(2).trim(), row(3)),
        good([2, 3, 4]),
    );
    bench.put(
        "mixed-delimiters.csv",
        around("HOS-0000003;CAM-IR;MUC-01\n"),
        refused(3, Code::ModelMissing),
    );
    bench.put(
        "gzip.csv",
        [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3],
        Answer::Not(""),
    );
    bench.put(
        "two-tables.csv",
        format!("{}{}", around(""), around("").replace("HOS", "HOT")),
        Answer::Rows(vec![
            (2, None),
            (3, None),
            (4, Some(Code::ModelUnknown.number())),
            (5, None),
            (6, None),
        ]),
    );
}

fn sizes(bench: &mut Bench<'_>) {
    bench.put(
        "row-70kb.csv",
        around(&format!("HOS-0000003,CAM-IR,{}\n", "x".repeat(70_000))),
        refused(3, Code::CellMalformed),
    );
    bench.put(
        "cell-5kb.csv",
        around(&format!("HOS-0000003,CAM-IR,{}\n", "x".repeat(5000))),
        refused(3, Code::CellMalformed),
    );
    bench.put(
        "columns-1m.csv",
        format!("serial{}\n", ",x".repeat(1_000_000)),
        Answer::Not(""),
    );
    bench.put(
        "row-of-1m-cells.csv",
        around(&format!("HOS-0000003,CAM-IR{}\n", ",".repeat(1_000_000))),
        refused(3, Code::CellMalformed),
    );
    bench.put(
        "columns-300.csv",
        format!(
            "serial,{}\n",
            (0..300).map(|i| i.to_string()).collect::<Vec<_>>().join(",")
        ),
        Answer::Not(""),
    );
    bench.put(
        "header-1mb.csv",
        format!("serial,model,{}\n", "x".repeat(1 << 20)),
        Answer::Not(""),
    );
    let empty = format!("{HEADER}{}{}{}", row(1), "\n".repeat(10_000_000), row(2));
    bench.put("empty-lines-10m.csv", empty, Answer::Not(""));
    bench.put(
        "blank-rows-1m.csv",
        around(&",,\n".repeat(1_000_000)),
        good([2, 1_000_003]),
    );
    gigabyte(bench);
}

/// A cell of 1 GiB, written as a stream.
fn gigabyte(bench: &mut Bench<'_>) {
    let path = bench.directory.join("cell-1gib.csv");
    let mut file = BufWriter::new(File::create(&path).expect("a file"));
    let written = (|| {
        file.write_all(around("HOS-0000003,CAM-IR,\"").trim_end().as_bytes())?;
        let block = [b'x'; 1 << 20];
        (0..1024).try_for_each(|_| file.write_all(&block))?;
        file.write_all(b"\"\n")?;
        file.flush()
    })();
    written.expect("room for 1 GiB");
    bench.files.push(super::Hostile {
        path,
        options: &[],
        answer: Answer::Rows(vec![(2, None), (3, Some(Code::CellMalformed.number()))]),
    });
}

fn cells(bench: &mut Bench<'_>) {
    // Cyrillic letters that look like Latin ones; blanks that nobody sees; what turns the line around.
    for (name, serial, code) in [
        ("homoglyph.csv", "НОS-0000003", Code::SerialMalformed),
        ("zero-width.csv", "HOS-\u{200b}0000003", Code::CellMalformed),
        ("right-to-left.csv", "HOS-\u{202e}0000003", Code::CellMalformed),
        (
            "escape-sequence.csv",
            "\u{1b}[2J\u{1b}]0;x\u{7}",
            Code::CellMalformed,
        ),
        ("formula.csv", "=cmd|'/c calc'!A1", Code::FormulaCell),
        ("plus.csv", "+HOS-0000003", Code::FormulaCell),
        ("path.csv", "../../../etc/passwd", Code::SerialMalformed),
        ("long-serial.csv", &"9".repeat(400), Code::SerialMalformed),
    ] {
        bench.put(
            name,
            around(&format!("{serial},CAM-IR,MUC-01\n")),
            refused(3, code),
        );
    }
    bench.put(
        "trailing-blanks.csv",
        around("HOS-0000003  ,CAM-IR\u{a0},MUC-01\t\n"),
        good([2, 3, 4]),
    );
    // Letters and digits, as any serial.
    bench.put(
        "huge-number.csv",
        around("1e999999,CAM-IR,MUC-01\n"),
        good([2, 3, 4]),
    );
    bench.put("repeated.csv", around(&row(1)), refused(3, Code::SerialRepeated));
    let same: String = std::iter::repeat_n(row(1), 50_000).collect();
    let repeated = Some(Code::SerialRepeated.number());
    bench.put(
        "one-serial-50k-times.csv",
        format!("{HEADER}{same}"),
        Answer::Many {
            first: vec![(2, None), (3, repeated), (4, repeated)],
            count: 50_000,
        },
    );
    let wrong: String = (0..50_000)
        .map(|i| format!("HOS {i},NO-SUCH-{i},NO-{i}\n"))
        .collect();
    bench.put(
        "50k-causes.csv",
        format!("{HEADER}{wrong}"),
        Answer::Many {
            first: vec![(2, Some(Code::ModelUnknown.number()))],
            count: 50_000,
        },
    );
    bench.put(
        "year-99999.csv",
        "serial,model,site,made\nHOS-0000001,CAM-IR,MUC-01,99999-12-31T23:59:60Z\n",
        good([2]),
    );
}
