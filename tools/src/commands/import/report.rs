//! What an import did, or would do, for people.

use crate::{
    import::{Cause, ImportSummary},
    output::{Look, table, text},
    records::hex,
};
use muster_domain::manifest::Preset;
use muster_proto::v1::{ImportMapping, batch::State};
use std::fmt::Write as _;

/// What else the report says.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    /// How the columns were understood.
    pub(super) mapping: Option<&'a ImportMapping>,
    /// Nothing is changed on purpose.
    pub(super) is_dry: bool,
    /// The command that does what a dry run shows.
    pub(super) apply: Option<String>,
}

/// The whole report.
pub(super) fn describe(summary: &ImportSummary, told: &Told<'_>) -> String {
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "{args}");
    };
    if let Some(mapping) = told.mapping.filter(|mapping| !mapping.columns.is_empty()) {
        line(format_args!("{}", columns(mapping, told.is_dry)));
    }
    if let Some(name) = mapping_name(summary, told) {
        line(format_args!("mapping: {name}"));
    }
    let ImportSummary {
        created,
        updated,
        unchanged,
        refused,
        ..
    } = summary;
    line(format_args!(
        "{created} created, {updated} updated, {unchanged} unchanged, {refused} refused{}",
        ended(summary, told.is_dry)
    ));
    for cause in &summary.causes {
        line(format_args!("{}", describe_cause(cause)));
    }
    if !summary.warnings.is_empty() {
        line(format_args!("odd, and accepted:"));
    }
    for cause in &summary.warnings {
        line(format_args!("{}", describe_cause(cause)));
    }
    let id = summary.name.trim_start_matches("batches/");
    if summary.is_applied {
        line(format_args!("batch:   {id}"));
    }
    if let Some(path) = &summary.results {
        line(format_args!("results: {}", path.display()));
    }
    if let Some(path) = &summary.failed {
        line(format_args!(
            "refused: {}  (mend these rows and import them alone)",
            path.display()
        ));
    }
    if let Some(path) = &summary.problems {
        line(format_args!("problems: {}", path.display()));
    }
    if told.is_dry && !summary.plan_hash.is_empty() {
        line(format_args!("plan:    {}", hex(&summary.plan_hash)));
    }
    if let Some(apply) = told.apply.as_ref().filter(|_| told.is_dry) {
        line(format_args!("apply:   {apply}"));
    }
    text
}

/// A dry run is looked at; a real import should not push its end off the screen.
fn columns(mapping: &ImportMapping, is_dry: bool) -> String {
    if is_dry {
        let rows = mapping.columns.iter().map(|one| {
            let shown = [&one.column, &one.field].map(|text| text::line(text).into_owned());
            shown.to_vec()
        });
        let titles = vec!["COLUMN".to_owned(), "FIELD".to_owned()];
        return table(titles, rows.collect(), &[Look::Plain, Look::Plain]);
    }
    let pairs = mapping
        .columns
        .iter()
        .map(|one| format!("{} -> {}", text::line(&one.column), text::line(&one.field)));
    format!("columns: {}", pairs.collect::<Vec<_>>().join(", "))
}

/// The mapping as it is given on the command line.
fn mapping_name(summary: &ImportSummary, told: &Told<'_>) -> Option<String> {
    if let Some(name) = summary.mapping.strip_prefix("mappings/") {
        return Some(text::line(name).replace("/revisions/", "@"));
    }
    let proposed = told.mapping?.mapping.as_ref()?;
    if let Some(preset) = preset_name(&proposed.source_json) {
        return Some(format!("{preset}, which comes with the registry"));
    }
    let is_kept = proposed.revision.as_ref().is_some_and(|kept| kept.number > 0);
    (told.is_dry && !is_kept).then(|| "proposed; --save-mapping NAME keeps it".to_owned())
}

/// The name of a mapping that comes with the registry.
fn preset_name(source: &str) -> Option<&'static str> {
    let source: serde_json::Value = serde_json::from_str(source).ok()?;
    Preset::named(source["name"].as_str()?).map(|preset| preset.name)
}

const fn ended(summary: &ImportSummary, is_dry: bool) -> &'static str {
    if is_dry {
        return " (dry run: nothing was changed)";
    }
    match summary.state {
        State::Cancelled => " (cancelled: rows behind them were not applied)",
        State::Undone | State::Undoing => " (and taken back)",
        // Of a real import, only one of all rows or none is left as a plan.
        State::Unspecified
        | State::Planned
        | State::Applying
        | State::Done
        | State::Uploading
        | State::Checking
        | State::Failed => match summary.is_applied {
            true => "",
            false => " (all or nothing: nothing was changed)",
        },
    }
}

fn describe_cause(cause: &Cause) -> String {
    let rows: Vec<_> = cause.first_rows.iter().map(ToString::to_string).collect();
    let more = if cause.rows > rows.len() as u64 {
        ", ..."
    } else {
        ""
    };
    let word = if cause.rows == 1 { "row" } else { "rows" };
    let mut text = format!(
        "  M{} {} {word} ({}{more}): {}",
        cause.code,
        cause.rows,
        rows.join(", "),
        text::line(&cause.example)
    );
    let mut indented = |part: &str| {
        text.push_str("\n        ");
        text.push_str(part);
    };
    if !cause.column.is_empty() {
        let first = cause.first_rows.first().copied().unwrap_or_default();
        let (column, value) = (text::line(&cause.column), text::line(&cause.value));
        indented(&format!("row {first}, column {column}: {value:?}"));
    }
    if !cause.rule.is_empty() {
        indented(&format!("rule: {}", text::line(&cause.rule)));
    }
    if !cause.help.is_empty() {
        indented(&text::line(&cause.help));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::v1::MappedColumn;

    fn summary() -> ImportSummary {
        ImportSummary {
            batch: "batches/b1".into(),
            name: "batches/b1".into(),
            token: String::new(),
            state: State::Done,
            is_applied: true,
            created: 998,
            updated: 0,
            unchanged: 0,
            refused: 7,
            file_sha256: vec![],
            plan_hash: vec![0xab, 1],
            mapping: String::new(),
            causes: vec![Cause {
                code: 2111,
                reason: "MAC_MALFORMED".into(),
                rows: 7,
                first_rows: vec![5, 9, 12, 13, 14],
                example: "mac: contains 'G'".into(),
                help: "Write 12 digits.".into(),
                ..Cause::default()
            }],
            warnings: vec![],
            results: Some("results.csv".into()),
            failed: Some("failed.csv".into()),
            problems: None,
        }
    }

    fn mapping() -> ImportMapping {
        ImportMapping {
            columns: vec![MappedColumn {
                column: "Serial No.".into(),
                field: "serial".into(),
            }],
            ..ImportMapping::default()
        }
    }

    #[test]
    fn the_summary_says_what_and_why() {
        let mapping = mapping();
        let told = Told {
            mapping: Some(&mapping),
            ..Told::default()
        };
        assert_eq!(
            describe(&summary(), &told),
            "columns: Serial No. -> serial\n998 created, 0 updated, 0 unchanged, 7 refused\n  \
             M2111 7 rows (5, 9, 12, 13, 14, ...): mac: contains 'G'\n        Write 12 digits.\n\
             batch:   b1\nresults: results.csv\nrefused: failed.csv  (mend these rows and import them alone)\n"
        );
        let nothing = ImportSummary {
            is_applied: false,
            ..summary()
        };
        assert!(describe(&nothing, &Told::default()).contains("(all or nothing: nothing was changed)"));
    }

    #[test]
    fn a_dry_run_shows_the_mapping_each_fault_and_how_to_apply() {
        let mapping = mapping();
        let told = Told {
            mapping: Some(&mapping),
            is_dry: true,
            apply: Some("muster import gw.csv --plan ab01".into()),
        };
        let odd = Cause {
            code: 2116,
            rows: 1,
            first_rows: vec![8],
            example: "mac: is local".into(),
            column: "MAC\u{7}".into(),
            value: "02:\"".into(),
            rule: "EUI-48".into(),
            ..Cause::default()
        };
        let summary = ImportSummary {
            state: State::Planned,
            is_applied: false,
            causes: vec![],
            warnings: vec![odd],
            mapping: "mappings/line-2/revisions/3".into(),
            results: None,
            failed: None,
            ..summary()
        };
        assert_eq!(
            describe(&summary, &told),
            "COLUMN      FIELD\nSerial No.  serial\n\nmapping: line-2@3\n\
             998 created, 0 updated, 0 unchanged, 7 refused (dry run: nothing was changed)\n\
             odd, and accepted:\n  M2116 1 row (8): mac: is local\n        row 8, column MAC\\u{7}: \"02:\\\"\"\n        \
             rule: EUI-48\nplan:    ab01\napply:   muster import gw.csv --plan ab01\n"
        );
    }
}
