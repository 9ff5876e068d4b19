//! Templates that only insert values: most of a fleet's, and one is rendered for every row of a manifest.
//!
//! `hostname = "{{ device.serial | lower }}"` needs no engine, only its pieces one behind the other, at a sixth of the cost.
//! What is read here means the same to the engine, character by character; a property test holds the two together.
//! Whatever else a template does makes it no plain one, and whatever goes wrong is left to the engine to explain.

use super::{
    Facts, OUTPUT_LIMIT, ParameterType, Syntax,
    proof::{self, Mark},
};
use minijinja::Value;
use std::fmt::Write as _;

/// Most insertions of a plain template; the engine's limit on work lies beyond.
const INSERT_LIMIT: usize = 256;

/// A template in pieces.
#[derive(Debug)]
pub(super) struct Plain {
    pieces: Vec<Piece>,
    /// Every tame filling is readable.
    is_proved: bool,
}

/// A file, and whether it is known to be readable without reading it.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) is_readable: bool,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Insert(Source, Filter),
}

/// What is inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Serial,
    Mac,
    Model,
    Hardware,
    Firmware,
    Position,
    Label(String),
    SiteCode,
    SiteName,
    SiteCountry,
    SiteTimeZone,
    /// A parameter, by its place among those of the profile.
    Parameter(usize),
}

/// What happens to it on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    Kept,
    Lower,
    Upper,
    Json,
}

impl Plain {
    /// The pieces of a template; `None` when it does more than insert. `slot` gives the place of a parameter.
    pub(super) fn parse(template: &str, slot: impl Fn(&str) -> Option<usize>) -> Option<Self> {
        // Tags and comments have rules about the white space around them.
        if template.contains("{%") || template.contains("{#") {
            return None;
        }
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some((before, behind)) = rest.split_once("{{") {
            let (inside, after) = behind.split_once("}}")?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(insert(inside, &slot)?);
            rest = after;
            if pieces.len() > 2 * INSERT_LIMIT {
                return None;
            }
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Some(Self {
            pieces,
            is_proved: false,
        })
    }

    /// The same, with the proof that every tame filling is readable, if there is one. `kind` gives the type of a parameter
    /// by its place.
    pub(super) fn proved(mut self, syntax: Syntax, kind: impl Fn(usize) -> Option<ParameterType>) -> Self {
        let mut text = String::new();
        let mut marks = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) if proof::resembles_mark(piece) => return self,
                Piece::Text(piece) => text.push_str(piece),
                Piece::Insert(source, filter) => {
                    let Some(mark) = source.mark(*filter, marks.len(), &kind) else {
                        return self;
                    };
                    match &mark {
                        Mark::Text(mark) => text.push_str(mark),
                        Mark::Quoted(mark) => text.push_str(&json(mark)),
                        Mark::Whole(mark) => text.push_str(&mark.to_string()),
                    }
                    marks.push(mark);
                }
            }
        }
        self.is_proved = proof::holds(syntax, &text, &marks);
        self
    }

    /// Is every tame filling known to be readable?
    #[cfg(test)]
    pub(super) const fn is_proved(&self) -> bool {
        self.is_proved
    }

    /// The file of a device; `None` when something is not defined, or the file grows over its limit. `values` are the
    /// parameters' in the order of their places.
    pub(super) fn render(&self, facts: &Facts<'_>, values: &[Value]) -> Option<Written> {
        let mut text = String::with_capacity(self.pieces.len() * 32);
        let mut is_readable = self.is_proved;
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Insert(source, filter) => {
                    let start = text.len();
                    source.write(facts, values, &mut text)?;
                    // A number is the same in JSON, and a truth value is shown as `True`.
                    let is_text = source.is_text(values);
                    let is_plain = *filter == Filter::Json && !is_text;
                    let filter = if is_plain { Filter::Lower } else { *filter };
                    filter.apply(&mut text, start);
                    is_readable = is_readable
                        && text.get(start..).is_some_and(|inserted| match (is_text, filter) {
                            (false, _) => proof::is_tame_whole(inserted),
                            (true, Filter::Json) => proof::is_tame_quoted(inserted),
                            (true, Filter::Kept | Filter::Lower | Filter::Upper) => proof::is_tame(inserted),
                        });
                }
            }
            if text.len() > OUTPUT_LIMIT {
                return None;
            }
        }
        Some(Written { text, is_readable })
    }
}

/// `device.serial`, `site.code | lower`, `name_of_a_parameter`.
fn insert(inside: &str, slot: &impl Fn(&str) -> Option<usize>) -> Option<Piece> {
    let (path, filter) = match inside.split_once('|') {
        None => (inside, Filter::Kept),
        Some((path, filter)) => match filter.trim() {
            "lower" => (path, Filter::Lower),
            "upper" => (path, Filter::Upper),
            "tojson" => (path, Filter::Json),
            _ => return None,
        },
    };
    let path = path.trim_matches([' ', '\t']);
    let source = match path.split_once('.') {
        Some(("device", field)) => device(field)?,
        Some(("site", field)) => site(field)?,
        Some(_) => return None,
        // The case of what is no text is the engine's to decide.
        None if matches!(filter, Filter::Lower | Filter::Upper) => return None,
        // No parameter is named like a word of the template language.
        None => Source::Parameter(slot(path)?),
    };
    Some(Piece::Insert(source, filter))
}

fn device(field: &str) -> Option<Source> {
    Some(match field {
        "serial" => Source::Serial,
        "mac" => Source::Mac,
        "model" => Source::Model,
        "hardware" => Source::Hardware,
        "firmware" => Source::Firmware,
        "position" => Source::Position,
        _ => {
            let key = field.strip_prefix("labels.")?;
            let is_name = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && key
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            is_name.then(|| Source::Label(key.to_owned()))?
        }
    })
}

fn site(field: &str) -> Option<Source> {
    Some(match field {
        "code" => Source::SiteCode,
        "name" => Source::SiteName,
        "country" => Source::SiteCountry,
        "time_zone" => Source::SiteTimeZone,
        _ => return None,
    })
}

impl Source {
    /// What stands for its values; `None` for a number with a fraction, which may look like anything, and for a truth value.
    fn mark(
        &self,
        filter: Filter,
        place: usize,
        kind: &impl Fn(usize) -> Option<ParameterType>,
    ) -> Option<Mark> {
        let kind = match self {
            Self::Parameter(place) => kind(*place)?,
            Self::Serial
            | Self::Mac
            | Self::Model
            | Self::Hardware
            | Self::Firmware
            | Self::Position
            | Self::Label(_)
            | Self::SiteCode
            | Self::SiteName
            | Self::SiteCountry
            | Self::SiteTimeZone => ParameterType::String,
        };
        match (kind, filter) {
            (ParameterType::String, Filter::Json) => Some(Mark::Quoted(Mark::text(place))),
            (ParameterType::String, Filter::Kept | Filter::Lower | Filter::Upper) => {
                Some(Mark::Text(Mark::text(place)))
            }
            (ParameterType::Integer, _) => Some(Mark::Whole(Mark::whole(place))),
            (ParameterType::Number | ParameterType::Boolean, _) => None,
        }
    }

    /// Is its value a text? All that is known of a device is.
    fn is_text(&self, values: &[Value]) -> bool {
        match self {
            Self::Parameter(place) => values.get(*place).is_some_and(|value| value.as_str().is_some()),
            Self::Serial
            | Self::Mac
            | Self::Model
            | Self::Hardware
            | Self::Firmware
            | Self::Position
            | Self::Label(_)
            | Self::SiteCode
            | Self::SiteName
            | Self::SiteCountry
            | Self::SiteTimeZone => true,
        }
    }

    /// Appends the value; `None` when it is not defined.
    fn write(&self, facts: &Facts<'_>, values: &[Value], text: &mut String) -> Option<()> {
        match self {
            Self::Serial => text.push_str(facts.serial.as_str()),
            Self::Mac => write!(text, "{}", facts.mac?).ok()?,
            Self::Model => text.push_str(facts.model.as_str()),
            Self::Hardware => text.push_str(facts.hardware?),
            Self::Firmware => write!(text, "{}", facts.firmware?).ok()?,
            Self::Position => text.push_str(facts.position?),
            Self::Label(key) => text.push_str(facts.labels.get(key)?),
            Self::SiteCode => text.push_str(facts.site?.code.as_str()),
            Self::SiteName => text.push_str(there(&facts.site?.name)?),
            Self::SiteCountry => text.push_str(there(&facts.site?.country)?),
            Self::SiteTimeZone => text.push_str(there(&facts.site?.time_zone)?),
            Self::Parameter(place) => {
                let value = values.get(*place)?;
                match value.as_str() {
                    Some(value) => text.push_str(value),
                    None => write!(text, "{value}").ok()?,
                }
            }
        }
        Some(())
    }
}

/// An empty text of a site is not defined.
fn there(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl Filter {
    fn apply(self, text: &mut String, start: usize) {
        let changed = |part: &str| match self {
            Self::Kept => None,
            Self::Lower => Some(part.to_lowercase()),
            Self::Upper => Some(part.to_uppercase()),
            Self::Json => Some(json(part)),
        };
        if let Some(changed) = text.get(start..).and_then(changed) {
            text.truncate(start);
            text.push_str(&changed);
        }
    }
}

/// A text in JSON as the engine writes it: what means something to HTML is escaped, too.
fn json(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '<' | '>' | '&' | '\'' | '\0'..='\u{1f}' => {
                // Writing to a string cannot fail.
                let _infallible = write!(json, "\\u{:04x}", u32::from(c));
            }
            _ => json.push(c),
        }
    }
    json.push('"');
    json
}
