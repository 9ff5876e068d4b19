//! Rendering: compiled templates + one device's facts -> its files.
//!
//! Templates see what is known when a row is imported, and nothing else: `device.serial`, `.mac`, `.model`,
//! `.hardware`, `.firmware` (from the factory), `.position`, `.labels.KEY`; `site.code`, `.name`, `.country`,
//! `.latitude`, `.longitude`, `.time_zone`; and the parameters of their profile by name. What a device does not
//! have is undefined: using it fails, `is defined` and the filter `default` ask first. Values are inserted as they
//! are; write `{{ value | tojson }}` where the file's format needs quotes. `{{ secret("NAME") }}` stands for a value that only
//! the device sees: `secret.rs`.

use super::{
    Parameter, Profile, Site, Syntax, Underlay,
    plain::{Plain, Written},
    secret::{self, Named},
};
use crate::{
    Code, Refusal, Timestamp,
    ids::BatchId,
    mac::Mac,
    names::{GroupName, ModelName, Serial},
};
use minijinja::{
    Environment, ErrorKind, UndefinedBehavior, Value,
    syntax::SyntaxConfig,
    value::{Enumerator, Object},
};
use semver::Version;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Work that one file may cost. One unit is an instruction, or 64 bytes that are built; a file of
/// [`OUTPUT_LIMIT`] needs about a thousand. Ten thousand steps take well under a millisecond.
const FUEL: u64 = 20_000;
/// Most bytes of one rendered file.
pub const OUTPUT_LIMIT: usize = 64 << 10;
/// Most bytes of all rendered files of a device: they travel in one payload of at most 256 KiB, in the JSON twin too.
pub const TOTAL_LIMIT: usize = 96 << 10;
/// Calls and nested expressions in a template; people use two or three.
const RECURSION_LIMIT: usize = 32;
/// The one function templates have: loops over numbers. Its cost is fuel.
const FUNCTIONS: [&str; 1] = ["range"];
/// What templates can ask of a device, and of its site.
const DEVICE: [&str; 7] = [
    "firmware", "hardware", "labels", "mac", "model", "position", "serial",
];
const SITE: [&str; 6] = ["code", "country", "latitude", "longitude", "name", "time_zone"];

/// What is known of a device when its files are rendered: the same at import and at any time after.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Its serial.
    pub serial: &'a Serial,
    /// Its address.
    pub mac: Option<Mac>,
    /// Its hardware kind.
    pub model: &'a ModelName,
    /// Its hardware revision.
    pub hardware: Option<&'a str>,
    /// The firmware it left the factory with.
    pub firmware: Option<&'a Version>,
    /// Where it is.
    pub site: Option<&'a Site>,
    /// Where in the site.
    pub position: Option<&'a str>,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Values for parameters.
    pub variables: &'a BTreeMap<String, String>,
    /// The static groups that it is in.
    pub groups: &'a BTreeSet<GroupName>,
    /// The import that registered it, and when; not known of one that is about to be.
    pub birth: Option<(BatchId, Timestamp)>,
    /// What the layers of its profile give it, below its own values; `None`: nothing.
    pub underlay: Option<&'a Underlay>,
}

/// A parameter and its name.
#[derive(Debug)]
struct Slot {
    key: String,
    parameter: Parameter,
}

/// A file's template.
#[derive(Debug)]
struct Template {
    key: String,
    syntax: Syntax,
    /// It needs no engine.
    plain: Option<Plain>,
}

/// The compiled templates of one profile revision.
#[derive(Debug)]
pub struct Renderer {
    environment: Environment<'static>,
    files: Vec<Template>,
    slots: Arc<[Slot]>,
    secrets: Named,
}

impl Renderer {
    /// Compiles every template; each one that fails, or uses what it may not, is a problem at its field.
    pub(super) fn compile(profile: &Profile) -> Result<Self, Vec<Refusal>> {
        let mut environment = environment();
        let mut problems = Vec::new();
        let known = |name: &str| profile.parameters.contains_key(name);
        for (key, file) in &profile.files {
            let mut wrong = |why: String| {
                problems.push(Refusal::new(Code::ProfileInvalid, why).at(format!("files.{key}")))
            };
            let template = secret::replaced(&file.template, &profile.secrets);
            match environment.add_template_owned(key.clone(), template) {
                Ok(()) => {
                    let foreign = foreign_names(&environment, key, known);
                    foreign
                        .into_iter()
                        .chain(foreign_calls(&environment, key))
                        .for_each(wrong);
                }
                Err(error) => wrong(explain(&error)),
            }
        }
        let slots = profile.parameters.iter().map(|(key, parameter)| Slot {
            key: key.clone(),
            parameter: parameter.clone(),
        });
        let renderer = Self {
            environment,
            files: Vec::new(),
            slots: slots.collect(),
            secrets: Named::of(profile),
        };
        let kind = |place: usize| renderer.slots.get(place).map(|slot| slot.parameter.source().kind);
        let plain = |key: &str, template: &str| {
            let plain = Plain::parse(template, |name| renderer.slot(name))?;
            Some(plain.proved(Syntax::of(key), kind))
        };
        let files = profile
            .files
            .iter()
            .map(|(key, file)| Template {
                key: key.clone(),
                syntax: Syntax::of(key),
                plain: plain(key, &secret::replaced(&file.template, &profile.secrets)),
            })
            .collect();
        let renderer = Self { files, ..renderer };
        if problems.is_empty() {
            Ok(renderer)
        } else {
            Err(problems)
        }
    }

    /// What its templates name of a device, its site and the parameters: `device.mac`, `site.code`, `port`.
    pub fn names(&self) -> BTreeSet<String> {
        let templates = self.files.iter();
        let templates = templates.filter_map(|file| self.environment.get_template(&file.key).ok());
        templates
            .flat_map(|template| template.undeclared_variables(true))
            .collect()
    }

    /// The files of one device, by key, each read as what its key says.
    ///
    /// # Errors
    /// [`Code::VariableInvalid`] at `variables.KEY` for each parameter without a value or with one that it does not allow;
    /// [`Code::RenderFailed`] at `files.KEY` for each template that cannot be rendered within its limits, or to a file
    /// that no reader takes.
    pub fn render(&self, facts: &Facts<'_>) -> Result<BTreeMap<String, String>, Vec<Refusal>> {
        self.files(facts, |template, written| {
            secret::check_quoted(template.syntax, &written.text)?;
            if written.is_readable {
                return Ok(());
            }
            let read = template.syntax.check(&written.text);
            read.map_err(|malformed| malformed.to_string())
        })
    }

    /// The files of a device whose desired state is on record: they were read when it was made, by the rules of that
    /// time, and are not read again.
    ///
    /// # Errors
    /// As for [`Renderer::render`].
    pub fn render_again(&self, facts: &Facts<'_>) -> Result<BTreeMap<String, String>, Vec<Refusal>> {
        self.files(facts, |_, _| Ok(()))
    }

    /// The files, each rendered and then approved.
    fn files(
        &self,
        facts: &Facts<'_>,
        approve: impl Fn(&Template, &Written) -> Result<(), String>,
    ) -> Result<BTreeMap<String, String>, Vec<Refusal>> {
        let values = self.values(facts)?;
        self.secrets.check_facts(facts).map_err(|refusal| vec![refusal])?;
        let mut scope = None;
        let mut problems = Vec::new();
        let mut files = BTreeMap::new();
        let mut total = 0;
        for template in &self.files {
            let key = &template.key;
            let plain = template.plain.as_ref();
            let rendered = match plain.and_then(|plain| plain.render(facts, &values)) {
                Some(written) => Ok(written),
                None => {
                    let scope = scope.get_or_insert_with(|| self.scope(facts, &values)).clone();
                    let rendered = self
                        .environment
                        .get_template(key)
                        .and_then(|template| template.render(scope));
                    rendered.map(|text| Written {
                        text,
                        is_readable: false,
                    })
                }
            };
            let approved = match rendered {
                Ok(written) if written.text.len() > OUTPUT_LIMIT => {
                    Err(format!("is rendered to more than {OUTPUT_LIMIT} bytes"))
                }
                Ok(written) => self
                    .secrets
                    .check_file(&written.text)
                    .and_then(|()| approve(template, &written))
                    .map(|()| written.text),
                Err(error) => Err(explain(&error)),
            };
            match approved {
                Ok(text) => {
                    total += text.len();
                    files.insert(key.clone(), text);
                }
                Err(why) => problems.push(failed(key, why)),
            }
        }
        if total > TOTAL_LIMIT {
            let why = format!("are rendered to more than {TOTAL_LIMIT} bytes");
            problems.push(Refusal::new(Code::RenderFailed, why).at("files"));
        }
        if problems.is_empty() {
            Ok(files)
        } else {
            Err(problems)
        }
    }

    /// [`Code::VariableInvalid`] at `variables.KEY` for each value that its parameter does not allow.
    pub fn wrong_values(&self, variables: &BTreeMap<String, String>) -> Vec<Refusal> {
        let wrong = |slot: &Slot| {
            let text = variables.get(&slot.key).filter(|text| !text.is_empty())?;
            let why = slot.parameter.read(text).err()?.to_string();
            Some(Refusal::new(Code::VariableInvalid, why).at(format!("variables.{}", slot.key)))
        };
        self.slots.iter().filter_map(wrong).collect()
    }

    /// All that a value of a parameter must be, in one line.
    pub(crate) fn rule(&self, name: &str) -> Option<String> {
        let place = self.slot(name)?;
        Some(self.slots.get(place)?.parameter.rule())
    }

    /// The place of a parameter.
    fn slot(&self, name: &str) -> Option<usize> {
        self.slots
            .binary_search_by(|slot| slot.key.as_str().cmp(name))
            .ok()
    }

    /// The values of the parameters, in their order.
    fn values(&self, facts: &Facts<'_>) -> Result<Vec<Value>, Vec<Refusal>> {
        let mut problems = Vec::new();
        let mut values = Vec::with_capacity(self.slots.len());
        for (place, slot) in self.slots.iter().enumerate() {
            let value = match facts
                .variables
                .get(&slot.key)
                .map(String::as_str)
                .filter(|text| !text.is_empty())
            {
                Some(text) => slot.parameter.read(text).map_err(|why| why.to_string()),
                None => facts
                    .underlay
                    .and_then(|underlay| underlay.value(place))
                    .or_else(|| slot.parameter.default())
                    .cloned()
                    .ok_or_else(|| "is missing, and its parameter has no default".to_owned()),
            };
            match value {
                Ok(value) => values.push(value),
                Err(why) => {
                    problems
                        .push(Refusal::new(Code::VariableInvalid, why).at(format!("variables.{}", slot.key)));
                }
            }
        }
        if problems.is_empty() {
            Ok(values)
        } else {
            Err(problems)
        }
    }

    /// All that templates can name, for the engine.
    fn scope(&self, facts: &Facts<'_>, values: &[Value]) -> Value {
        Value::from_object(Scope {
            slots: Arc::clone(&self.slots),
            values: values.to_vec(),
            device: device(facts),
            site: facts.site.map(site),
        })
    }
}

/// A file that cannot be made.
fn failed(key: &str, why: String) -> Refusal {
    Refusal::new(Code::RenderFailed, why).at(format!("files.{key}"))
}

/// Strict, bounded, without autoescape: the name of a file says nothing about how its author quotes.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION_LIMIT);
    // Lines that hold only a tag vanish, and a file keeps its last line break.
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    let functions: Vec<String> = environment.globals().map(|(name, _)| name.to_owned()).collect();
    for name in functions
        .iter()
        .filter(|name| !FUNCTIONS.contains(&name.as_str()))
    {
        environment.remove_global(name);
    }
    environment
}

/// What a template uses that does not exist, in order.
fn foreign_names(environment: &Environment<'static>, key: &str, known: impl Fn(&str) -> bool) -> Vec<String> {
    let Ok(template) = environment.get_template(key) else {
        return Vec::new();
    };
    let mut used: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    used.sort_unstable();
    let problem = |path: &String| {
        let mut steps = path.split('.');
        let (first, second) = (steps.next().unwrap_or_default(), steps.next());
        match (first, second) {
            ("device", Some(name)) if !DEVICE.contains(&name) => {
                Some(format!("uses device.{name}; there are {}", DEVICE.join(", ")))
            }
            ("site", Some(name)) if !SITE.contains(&name) => {
                Some(format!("uses site.{name}; there are {}", SITE.join(", ")))
            }
            ("device" | "site", _) => None,
            (name, _) if known(name) || FUNCTIONS.contains(&name) => None,
            ("secret", _) => {
                Some("uses secret in another way than {{ secret(\"NAME\") }}, alone in its tag".to_owned())
            }
            (name, _) => Some(format!(
                "uses {name}, which is neither a parameter nor device or site"
            )),
        }
    };
    used.iter().filter_map(problem).collect()
}

/// What a template calls that does not exist. The engine looks filters and tests up when it comes to them, so the
/// template is tried with nothing defined; a branch that is not taken then shows its mistakes when it is rendered.
fn foreign_calls(environment: &Environment<'static>, key: &str) -> Option<String> {
    let mut trial = environment.clone();
    trial.set_undefined_behavior(UndefinedBehavior::Chainable);
    let error = trial.get_template(key).ok()?.render(()).err()?;
    let foreign = matches!(
        error.kind(),
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction
    );
    foreign.then(|| explain(&error))
}

/// A template's error for its author: what, and in which line.
fn explain(error: &minijinja::Error) -> String {
    let what = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    match error.line() {
        Some(line) => format!("line {line}: {what}"),
        None => what,
    }
}

/// Everything a template can name.
#[derive(Debug)]
struct Scope {
    slots: Arc<[Slot]>,
    values: Vec<Value>,
    device: Value,
    site: Option<Value>,
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "device" => Some(self.device.clone()),
            "site" => self.site.clone(),
            parameter => {
                let place = self
                    .slots
                    .binary_search_by(|slot| slot.key.as_str().cmp(parameter))
                    .ok()?;
                self.values.get(place).cloned()
            }
        }
    }
}

/// A few named values; what is not there is undefined.
#[derive(Debug)]
struct Group<const N: usize>([(&'static str, Option<Value>); N]);

impl<const N: usize> Object for Group<N> {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.iter().find(|(name, _)| *name == key)?.1.clone()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let there = self.0.iter().filter(|(_, value)| value.is_some());
        Enumerator::Values(there.map(|(name, _)| Value::from(*name)).collect())
    }
}

fn device(facts: &Facts<'_>) -> Value {
    let labels = facts
        .labels
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    Value::from_object(Group([
        ("serial", Some(Value::from(facts.serial.as_str()))),
        ("mac", facts.mac.map(|mac| Value::from(mac.to_string()))),
        ("model", Some(Value::from(facts.model.as_str()))),
        ("hardware", facts.hardware.map(Value::from)),
        (
            "firmware",
            facts.firmware.map(|version| Value::from(version.to_string())),
        ),
        ("position", facts.position.map(Value::from)),
        ("labels", Some(Value::from_pairs(labels))),
    ]))
}

fn site(site: &Site) -> Value {
    let text = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Value::from);
    Value::from_object(Group([
        ("code", Some(Value::from(site.code.as_str()))),
        ("name", text(&site.name)),
        ("country", text(&site.country)),
        (
            "latitude",
            site.coordinates.map(|(latitude, _)| Value::from(latitude)),
        ),
        (
            "longitude",
            site.coordinates.map(|(_, longitude)| Value::from(longitude)),
        ),
        ("time_zone", text(&site.time_zone)),
    ]))
}

#[cfg(test)]
mod tests;
