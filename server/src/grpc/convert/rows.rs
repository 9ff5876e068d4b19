//! Typed rows as the lines of a manifest, so that they take the same way as a file.

use muster_proto::v1::ManifestRow;
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use std::collections::HashMap;

/// A row as the object of a line. What is empty is not there.
struct Line<'r>(&'r ManifestRow);

/// Labels or variables in the order of their names, so that the same rows are the same file.
struct Values<'r>(&'r HashMap<String, String>);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_unstable();
        serializer.collect_map(sorted)
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = self.0;
        let fields = [
            ("serial", &row.serial),
            ("mac", &row.mac),
            ("model", &row.model),
            ("hardware", &row.hardware),
            ("firmware", &row.firmware),
            ("site", &row.site),
            ("position", &row.position),
            ("credential", &row.credential),
            ("etag", &row.etag),
            ("spki_sha256", &row.spki_sha256),
            ("claim_not_before", &row.claim_not_before),
            ("claim_not_after", &row.claim_not_after),
        ];
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            map.serialize_entry(name, value)?;
        }
        for (name, values) in [("labels", &row.labels), ("variables", &row.variables)] {
            if !values.is_empty() {
                map.serialize_entry(name, &Values(values))?;
            }
        }
        map.end()
    }
}

/// The rows as a file of one object a line: row numbers count from 1.
pub(crate) fn manifest(rows: &[ManifestRow]) -> Vec<u8> {
    let mut file = Vec::with_capacity(rows.len() * 256);
    for row in rows {
        #[expect(clippy::expect_used, reason = "strings and maps of strings always serialise")]
        serde_json::to_writer(&mut file, &Line(row)).expect("plain data");
        file.push(b'\n');
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_line_whatever_it_holds() {
        let row = ManifestRow {
            serial: "GW2-1".into(),
            position: "Hall \"1\"\nnorth".into(),
            labels: [("b".into(), "2".into()), ("a".into(), "1".into())].into(),
            ..ManifestRow::default()
        };
        let file = manifest(&[row, ManifestRow::default()]);
        let expected = concat!(
            r#"{"serial":"GW2-1","position":"Hall \"1\"\nnorth","labels":{"a":"1","b":"2"}}"#,
            "\n{}\n"
        );
        assert_eq!(String::from_utf8(file).unwrap(), expected);
    }
}
