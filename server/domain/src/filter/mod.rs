//! The filter language of every listing: a subset of [AIP-160](https://google.aip.dev/160).
//!
//! ```text
//! model = GW-200 AND state = ACTIVE
//! serial = "GW2-*" labels.env = prod
//! (site = BER OR site = HAM) AND -labels:quarantined AND firmware < 1.4.2
//! ```
//!
//! Three stages: [`Filter::parse`] knows the grammar, [`Filter::check`] knows the [`Schema`] of one
//! listing and converts the values, and [`evaluate`] asks a [`Record`] and cannot fail any more.
//! [`CheckedFilter::conjuncts`] tells a store which index to use. Nothing here knows a device, a
//! table or a request.
//!
//! ```
//! use muster_domain::filter::{Field, Filter, Kind, Record, Schema, Value, evaluate};
//!
//! #[derive(Clone, Copy)]
//! enum SiteField {
//!     Code,
//! }
//! const SITES: Schema<SiteField> =
//!     Schema::new(&[Field::new(SiteField::Code, "code", Kind::Text)]);
//!
//! struct Site(String);
//! impl Record for Site {
//!     type Field = SiteField;
//!     fn value(&self, field: SiteField) -> Option<Value<'_>> {
//!         match field {
//!             SiteField::Code => Some(Value::Text(&self.0)),
//!         }
//!     }
//!     fn label(&self, _: SiteField, _: &str) -> Option<&str> {
//!         None
//!     }
//! }
//!
//! let filter = Filter::parse("code = BER-*")?.check(&SITES)?;
//! assert!(evaluate(&filter, &Site("BER-1".to_owned())));
//!
//! let typo = "cod = BER-1";
//! let error = Filter::parse(typo)?.check(&SITES).map(drop).unwrap_err();
//! assert_eq!(error.to_string(), "unknown field \"cod\" at byte 0; did you mean code?");
//! assert_eq!(error.caret(typo), "cod = BER-1\n^^^");
//! # Ok::<(), muster_domain::filter::FilterError>(())
//! ```
//!
//! # Grammar
//!
//! ```text
//! filter     = [expression]                        an empty filter matches everything
//! expression = factor {["AND"] factor}             side by side means AND
//! factor     = term {"OR" term}                    OR binds tighter than AND
//! term       = ["NOT" | "-"] simple
//! simple     = comparison | "(" expression ")"
//! comparison = path ("=" | "!=" | "<" | "<=" | ">" | ">=" | ":") value
//! path       = text {"." text}
//! value, text = a bare word, or a string in "double" or 'single' quotes
//! ```
//!
//! - **OR binds tighter than AND**, as AIP-160 has it and most programming languages do not:
//!   `a = 1 AND b = 2 OR c = 3` means `a = 1 AND (b = 2 OR c = 3)`. The canonical form always
//!   shows these parentheses.
//! - Keywords are upper case. A keyword in quotes is text.
//! - Quotes are needed around white space, operators and punctuation. Within them, `\"`, `\'`,
//!   `\\` and `\*` stand for the character. After a comparison, `.` and a leading `-` belong to
//!   the word, and so does `:`, except after the `:` operator; that is wider than AIP-160, so
//!   that versions, negative numbers and times need no quotes.
//! - `*` at the start or the end of a value is a wildcard, in quotes or not.
//!
//! # Meaning
//!
//! - Text and names are compared with case, byte by byte.
//! - `labels.env = prod`, `labels."x.y" = prod`: the label under a key. `labels:env` or
//!   `labels.env:*`: there is such a key. `field:*`: there is a value. `field:value` is
//!   `field = value`.
//! - **Missing values.** A comparison with a missing value is false, except `!=`, which AIP-160
//!   defines as "true unless equal": `a != b` is always the same as `NOT a = b`. So
//!   `labels.env != prod` matches what has no such label; add `labels:env` to exclude it.
//! - `group = canary`: it is in that set of records. A set is named in full, and only `=`, `!=` and `:` apply.
//! - Not supported: values without a field (`prod`), functions, and groups of values
//!   (`a = (b OR c)`). Each is refused with a hint.
//!
//! # Limits
//!
//! A filter comes from outside: [`MAX_LENGTH`], [`MAX_DEPTH`] and [`MAX_COMPARISONS`] bound the
//! work and the stack that it can cost.

mod check;
mod checked;
mod convert;
mod error;
mod expression;
mod lexer;
mod mac;
mod parse;
mod pattern;
mod plan;
mod predicate;
mod record;
mod schema;
mod sets;
mod span;
mod suggest;
pub(crate) mod timestamp;

#[cfg(test)]
mod tests;

use std::fmt;

pub use checked::{CheckedFilter, Target, evaluate};
pub use error::{FilterError, Problem};
pub use expression::Comparator;
pub use plan::{Bound, Conjunct};
pub use record::{Record, Short, Value};
pub use schema::{Field, Kind, Schema};
pub use sets::{Set, Sets};

use expression::Expression;
pub(crate) use suggest::closest;

/// The longest filter, as written and in canonical form, in bytes. It travels in query strings
/// and page tokens, where proxies commonly stop at 8 KiB.
pub const MAX_LENGTH: usize = 4096;

/// How deep parentheses may nest, as written and in canonical form. Parsing takes five calls a
/// level, so this keeps the stack within a few tens of kilobytes; people use two or three.
pub const MAX_DEPTH: usize = 32;

/// How many comparisons a filter may have: what one record can cost.
pub const MAX_COMPARISONS: usize = 128;

/// A well-formed filter, not yet checked against the fields of a listing.
///
/// `Display` gives the canonical form. It parses to an equal filter, and equal filters have the
/// same one, however they were spelled, so page tokens can be bound to its hash.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// `None` matches everything.
    root: Option<Expression>,
}

impl Filter {
    /// Reads a filter; empty text is the filter that matches everything.
    ///
    /// # Errors
    /// The first place where `source` leaves the grammar or a limit.
    pub fn parse(source: &str) -> Result<Self, FilterError> {
        parse::parse(source).map(|root| Self { root })
    }

    /// Finds the fields in `schema` and converts the values to their types.
    ///
    /// # Errors
    /// The first comparison that makes no sense for this listing: an unknown field, an operator
    /// its type does not have, or a value it cannot have.
    pub fn check<F: Copy>(&self, schema: &Schema<F>) -> Result<CheckedFilter<F>, FilterError> {
        self.check_with(schema, &sets::AllListed)
    }

    /// The same, where `sets` says what the names of sets mean: of a set with a rule, the rule takes the place of the name.
    ///
    /// # Errors
    /// As [`Filter::check`]; and a set that is not there, or sets that ask more comparisons than a filter may have.
    pub fn check_with<F: Copy>(
        &self,
        schema: &Schema<F>,
        sets: &dyn Sets<F>,
    ) -> Result<CheckedFilter<F>, FilterError> {
        check::check(self.root.as_ref(), schema, sets)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.iter().try_for_each(|root| write!(f, "{root}"))
    }
}
