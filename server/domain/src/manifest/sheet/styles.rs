//! Which of the styles of an XLSX workbook make dates of numbers.

use super::date::{is_built_in, is_format};
use crate::manifest::{
    ReadError,
    carried::too_large,
    markup::{Markup, Tag, Token},
};
use std::{collections::BTreeSet, io::BufRead};

/// Most cell styles; Excel has 65490.
const STYLE_LIMIT: usize = 1 << 16;

/// For each cell style: does it show a date?
#[derive(Debug, Default)]
pub(super) struct Styles(Vec<bool>);

impl Styles {
    /// Reads `styles.xml`.
    pub(super) fn read(source: impl BufRead) -> Result<Self, ReadError> {
        let mut markup = Markup::new(source);
        let mut dates = BTreeSet::new();
        let mut styles = Vec::new();
        let mut is_cell = false;
        loop {
            match markup.next()? {
                Token::Open(tag) => match tag.name() {
                    "numFmt" if tag.attribute("formatCode")?.is_some_and(|code| is_format(&code)) => {
                        dates.extend(number(&tag)?);
                    }
                    "cellXfs" => is_cell = true,
                    "xf" if is_cell => {
                        let number = number(&tag)?.unwrap_or_default();
                        styles.push(is_built_in(number) || dates.contains(&number));
                    }
                    _ => {}
                },
                Token::Close(tag) => is_cell &= tag.name() != "cellXfs",
                Token::Text(_) => {}
                Token::End => return Ok(Self(styles)),
            }
            if styles.len() > STYLE_LIMIT || dates.len() > STYLE_LIMIT {
                return Err(too_large(format!("has more than {STYLE_LIMIT} styles")).into());
            }
        }
    }

    /// Does the style of this number show a date?
    pub(super) fn is_date(&self, style: usize) -> bool {
        self.0.get(style).copied().unwrap_or_default()
    }
}

fn number(tag: &Tag<'_>) -> Result<Option<u32>, ReadError> {
    Ok(tag.attribute("numFmtId")?.and_then(|number| number.parse().ok()))
}
