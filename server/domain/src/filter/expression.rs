//! The filter as a tree, and its canonical text.

use std::{fmt, iter};

use super::pattern::{Pattern, Segment};
use super::span::{Span, Spanned};

/// A filter's tree in normal form: groups have two parts or more, and no group has a part of its
/// own kind. Built by [`Expression::all`] and [`Expression::any`], which keep it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Compare(Comparison),
}

/// `path comparator argument`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) path: Path,
    pub(super) comparator: Spanned<Comparator>,
    pub(super) argument: Spanned<Pattern>,
}

/// `field` or `field.member`; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) first: Spanned<String>,
    pub(super) rest: Vec<Spanned<String>>,
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `:`, "has"
    Has,
}

impl Comparator {
    /// Every operator, longer symbols before their own beginnings.
    pub(super) const ALL: [Self; 7] = [
        Self::NotEqual,
        Self::LessOrEqual,
        Self::GreaterOrEqual,
        Self::Less,
        Self::Greater,
        Self::Equal,
        Self::Has,
    ];

    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Has => ":",
        }
    }
}

impl Expression {
    /// True if every part is. `parts` is not empty.
    pub(super) fn all(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::All(inner) => flat.extend(inner),
                part @ (Self::Any(_) | Self::Not(_) | Self::Compare(_)) => flat.push(part),
            }
        }
        Self::group(flat, Self::All)
    }

    /// True if some part is. `parts` is not empty.
    pub(super) fn any(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Any(inner) => flat.extend(inner),
                part @ (Self::All(_) | Self::Not(_) | Self::Compare(_)) => flat.push(part),
            }
        }
        Self::group(flat, Self::Any)
    }

    fn group(parts: Vec<Self>, group: fn(Vec<Self>) -> Self) -> Self {
        match <[Self; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => group(parts),
        }
    }

    /// How deep the parentheses of the canonical form nest.
    pub(super) fn depth(&self) -> usize {
        let enclosed = |part: &Self| part.depth() + usize::from(self.encloses(part));
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(enclosed).max().unwrap_or(0),
            Self::Not(inner) => enclosed(inner),
            Self::Compare(_) => 0,
        }
    }

    /// Whether the canonical form puts `part` of this expression in parentheses. The grammar does
    /// not ask for those around OR within AND, but AIP-160 recommends them to readers.
    fn encloses(&self, part: &Self) -> bool {
        match part {
            Self::All(_) | Self::Any(_) => true,
            Self::Not(_) => matches!(self, Self::Not(_)),
            Self::Compare(_) => false,
        }
    }

    fn write_part(&self, part: &Self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.encloses(part) {
            write!(f, "({part})")
        } else {
            write!(f, "{part}")
        }
    }

    fn write_group(&self, parts: &[Self], separator: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        parts.iter().enumerate().try_for_each(|(index, part)| {
            if index > 0 {
                f.write_str(separator)?;
            }
            self.write_part(part, f)
        })
    }
}

impl Path {
    /// The steps, outermost first.
    pub(super) fn segments(&self) -> impl Iterator<Item = &str> {
        iter::once(&self.first)
            .chain(&self.rest)
            .map(|segment| segment.value.as_str())
    }

    pub(super) fn span(&self) -> Span {
        match self.rest.last() {
            Some(last) => self.first.span.to(last.span),
            None => self.first.span,
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => self.write_group(parts, " AND ", f),
            Self::Any(parts) => self.write_group(parts, " OR ", f),
            Self::Not(inner) => {
                f.write_str("NOT ")?;
                self.write_part(inner, f)
            }
            Self::Compare(comparison) => write!(f, "{comparison}"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let argument = &self.argument.value;
        match self.comparator.value {
            Comparator::Has => write!(f, "{}:{argument}", self.path),
            comparator @ (Comparator::Equal
            | Comparator::NotEqual
            | Comparator::Less
            | Comparator::LessOrEqual
            | Comparator::Greater
            | Comparator::GreaterOrEqual) => write!(f, "{} {comparator} {argument}", self.path),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Segment(&self.first.value))?;
        self.rest
            .iter()
            .try_for_each(|segment| write!(f, ".{}", Segment(&segment.value)))
    }
}

impl fmt::Display for Comparator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}
