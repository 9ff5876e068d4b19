//! `agent.toml`. Read by hand and not into a struct, because a struct stops at the first mistake.

use super::{
    Problem, Problems, Settings,
    builder::{HOOK_LIMIT, SettingsBuilder},
};
use std::time::Duration;
use toml::{Table, Value};

/// Settings taken out of a table one by one; what is left at the end is unknown.
struct Section {
    /// With a dot at its end; empty for the file itself.
    prefix: &'static str,
    table: Table,
    problems: Vec<Problem>,
}

impl Section {
    fn problem(&mut self, name: &str, message: &str) {
        let setting = format!("{}{name}", self.prefix);
        self.problems.push(Problem {
            setting,
            message: message.into(),
        });
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.table.remove(name)? {
            Value::String(text) if !text.trim().is_empty() => Some(text),
            Value::String(_) => {
                self.problem(name, "must not be empty");
                None
            }
            _ => {
                self.problem(name, "must be text");
                None
            }
        }
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        match self.table.remove(name)? {
            Value::Integer(number @ 1..) => u64::try_from(number).ok(),
            _ => {
                self.problem(name, "must be a whole number from 1");
                None
            }
        }
    }

    fn switch(&mut self, name: &str) -> Option<bool> {
        match self.table.remove(name)? {
            Value::Boolean(switch) => Some(switch),
            _ => {
                self.problem(name, "must be true or false");
                None
            }
        }
    }

    fn words(&mut self, name: &str) -> Option<Vec<String>> {
        let value = self.table.remove(name)?;
        let words = match value {
            Value::Array(words) => words.into_iter().map(word).collect(),
            _ => None,
        };
        if words.is_none() {
            self.problem(name, "must be a list of texts");
        }
        words
    }

    fn section(&mut self, name: &'static str, prefix: &'static str) -> Self {
        let table = match self.table.remove(name) {
            Some(Value::Table(table)) => table,
            None => Table::new(),
            Some(_) => {
                self.problem(name, "must be a table");
                Table::new()
            }
        };
        Self {
            prefix,
            table,
            problems: Vec::new(),
        }
    }

    fn finish(mut self) -> Vec<Problem> {
        for name in std::mem::take(&mut self.table).into_iter().map(|(name, _)| name) {
            self.problem(&name, "is not a setting");
        }
        self.problems
    }
}

fn word(value: Value) -> Option<String> {
    match value {
        Value::String(word) => Some(word),
        _ => None,
    }
}

pub(super) fn parse(text: &str) -> Result<Settings, Problems> {
    let table = text.parse::<Table>().map_err(|error| {
        // Its span and message; not the line itself, which may hold what somebody pasted.
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.lines().count().max(1));
        let message = format!("is not TOML: line {line}: {}", error.message());
        Problems(vec![Problem {
            setting: String::new(),
            message,
        }])
    })?;
    let mut file = Section {
        prefix: "",
        table,
        problems: Vec::new(),
    };
    let mut builder = Settings::builder(
        file.text("server").unwrap_or_default(),
        file.text("serial").unwrap_or_default(),
        file.text("state_directory").unwrap_or_default(),
    );
    builder = texts(builder, &mut file);
    if let Some(paths) = file.words("firmware_keys") {
        builder = builder.firmware_keys(paths);
    }
    let mut hooks = file.section("hooks", "hooks.");
    let limit = hooks.number("time_limit_seconds").map(Duration::from_secs);
    match (hooks.words("apply"), limit) {
        (Some(command), limit) => builder = builder.hook(command, limit.unwrap_or(HOOK_LIMIT)),
        (None, Some(_)) => hooks.problem("time_limit_seconds", "is set without hooks.apply"),
        (None, None) => {}
    }
    let mut reconnect = file.section("reconnect", "reconnect.");
    let first = reconnect
        .number("first_seconds")
        .map_or(Duration::from_secs(1), Duration::from_secs);
    let most = reconnect
        .number("most_seconds")
        .map_or(Duration::from_secs(300), Duration::from_secs);
    builder = builder.reconnect(first, most);
    if let Some(minutes) = file.number("inspect_every_minutes") {
        builder = builder.inspect_every(Duration::from_secs(minutes.saturating_mul(60)));
    }
    // A setting of the wrong type counts as missing later; the first word about it is the better one.
    for problem in [hooks.finish(), reconnect.finish(), file.finish()].concat() {
        builder.problems.push(problem);
    }
    builder.build().map_err(first_words)
}

/// The settings that are one text each.
fn texts(mut builder: SettingsBuilder, file: &mut Section) -> SettingsBuilder {
    if let Some(name) = file.text("server_name") {
        builder = builder.server_name(name);
    }
    match (file.text("activation_code_file"), file.switch("pinned_key")) {
        (Some(_), Some(true)) => file.problem("pinned_key", "cannot be set beside activation_code_file"),
        (Some(path), _) => builder = builder.code_file(path),
        (None, Some(true)) => builder = builder.pinned_key(),
        (None, Some(false) | None) => {}
    }
    if let Some(path) = file.text("root") {
        builder = builder.root_file(path);
    }
    if let Some(path) = file.text("apply_directory") {
        builder = builder.apply_directory(path);
    }
    match (file.text("firmware"), file.text("firmware_file")) {
        (Some(_), Some(_)) => {
            file.problem("firmware_file", "cannot be set beside firmware");
            builder
        }
        (Some(version), None) => builder.firmware(version),
        (None, Some(path)) => builder.firmware_file(path),
        (None, None) => builder,
    }
}

/// One problem a setting, the first.
fn first_words(problems: Problems) -> Problems {
    let mut kept: Vec<Problem> = Vec::new();
    for problem in problems.0 {
        if problem.setting.is_empty() || kept.iter().all(|other| other.setting != problem.setting) {
            kept.push(problem);
        }
    }
    Problems(kept)
}
