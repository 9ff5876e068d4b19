//! Text to tokens.

use super::error::{FilterError, Problem};
use super::expression::Comparator;
use super::pattern::{InnerStar, Pattern, PatternBuilder};
use super::span::{Span, Spanned};

/// The smallest piece the parser looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A bare word or a quoted string.
    Text(Pattern),
    Comparator(Comparator),
    Dot,
    And,
    Or,
    Not,
    Minus,
    Open,
    Close,
    /// Always the last token, and only that.
    End,
}

/// Splits `source` into tokens; the last one is [`Token::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<Spanned<Token>>, FilterError> {
    let mut lexer = Lexer {
        source,
        at: 0,
        place: Place::Term,
    };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.token()?;
        let is_last = token.value == Token::End;
        tokens.push(token);
        if is_last {
            return Ok(tokens);
        }
    }
}

/// What a word may contain depends on where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `.` and `:` are operators, a leading `-` negates.
    Term,
    /// After a comparison: all three belong to the word, so that `1.4.2`, `-30` and
    /// `2026-01-31T08:00:00Z` need no quotes.
    Argument,
    /// After `:`, where a second `:` is more likely a mistake (`labels:env:prod`).
    Member,
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    place: Place,
}

impl Lexer<'_> {
    fn token(&mut self) -> Result<Spanned<Token>, FilterError> {
        while self.peek().is_some_and(char::is_whitespace) {
            self.bump();
        }
        let start = self.at;
        let place = std::mem::replace(&mut self.place, Place::Term);
        let token = match self.peek() {
            None => Token::End,
            Some('(') => self.single(Token::Open),
            Some(')') => self.single(Token::Close),
            Some('.') if place == Place::Term => self.single(Token::Dot),
            Some('-') if place == Place::Term => self.single(Token::Minus),
            Some(quote @ ('"' | '\'')) => self.string(quote)?,
            Some('=' | '!' | '<' | '>' | ':') => self.comparator()?,
            Some(c) if belongs_to_word(c, place) => self.word(place)?,
            Some(c) => return Err(self.unexpected(c)),
        };
        Ok(Spanned::new(token, Span::new(start, self.at)))
    }

    fn comparator(&mut self) -> Result<Token, FilterError> {
        let rest = &self.source[self.at..];
        let found = Comparator::ALL
            .into_iter()
            .find(|comparator| rest.starts_with(comparator.symbol()));
        let Some(comparator) = found else {
            return Err(self.unexpected('!'));
        };
        self.at += comparator.symbol().len();
        self.place = match comparator {
            Comparator::Has => Place::Member,
            Comparator::Equal
            | Comparator::NotEqual
            | Comparator::Less
            | Comparator::LessOrEqual
            | Comparator::Greater
            | Comparator::GreaterOrEqual => Place::Argument,
        };
        Ok(Token::Comparator(comparator))
    }

    fn word(&mut self, place: Place) -> Result<Token, FilterError> {
        let start = self.at;
        let mut pattern = PatternBuilder::default();
        while let Some(c) = self.peek().filter(|c| belongs_to_word(*c, place)) {
            match c {
                '*' => pattern.star(self.at),
                c => pattern.text(c).map_err(inner_wildcard)?,
            }
            self.bump();
        }
        Ok(match &self.source[start..self.at] {
            "AND" => Token::And,
            "OR" => Token::Or,
            "NOT" => Token::Not,
            _ => Token::Text(pattern.finish()),
        })
    }

    fn string(&mut self, quote: char) -> Result<Token, FilterError> {
        let start = self.at;
        self.bump();
        let mut pattern = PatternBuilder::default();
        loop {
            let at = self.at;
            match self.bump() {
                None => {
                    let span = Span::new(start, at);
                    return Err(FilterError::new(Problem::UnterminatedString, span)
                        .with_hint(format!("close it with {quote}")));
                }
                Some(c) if c == quote => return Ok(Token::Text(pattern.finish())),
                Some('*') => pattern.star(at),
                Some('\\') => {
                    let c = self.escaped(at)?;
                    pattern.text(c).map_err(inner_wildcard)?;
                }
                // No value of ours holds one, and a canonical form must be fit for a log.
                Some(c) if c.is_control() => {
                    return Err(FilterError::new(
                        Problem::UnexpectedCharacter(c),
                        Span::new(at, self.at),
                    ));
                }
                Some(c) => pattern.text(c).map_err(inner_wildcard)?,
            }
        }
    }

    /// The character after the backslash at byte `at`.
    fn escaped(&mut self, at: usize) -> Result<char, FilterError> {
        match self.bump() {
            Some(c @ ('"' | '\'' | '\\' | '*')) => Ok(c),
            Some(_) | None => Err(FilterError::new(Problem::UnknownEscape, Span::new(at, self.at))
                .with_hint(r#"there are \\, \", \' and \*"#)),
        }
    }

    fn unexpected(&self, c: char) -> FilterError {
        let span = Span::new(self.at, self.at + c.len_utf8());
        let error = FilterError::new(Problem::UnexpectedCharacter(c), span);
        match c {
            '&' => error.with_hint("write AND"),
            '|' => error.with_hint("write OR"),
            '!' => error.with_hint("write NOT or !="),
            '“' | '”' | '‘' | '’' | '`' => error.with_hint("use straight quotes"),
            ',' => error.with_hint("separate comparisons by AND or OR"),
            _ => error.with_hint("put the value in quotes"),
        }
    }

    fn single(&mut self, token: Token) -> Token {
        self.bump();
        token
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }
}

/// Typographic quotes are kept out so that a filter pasted from a document fails with a reason
/// and does not quietly look for a value that begins with one.
fn belongs_to_word(c: char, place: Place) -> bool {
    match c {
        '.' => place != Place::Term,
        ':' => place == Place::Argument,
        '(' | ')' | ',' | '"' | '\'' | '=' | '!' | '<' | '>' | '&' | '|' | '\\' | '`' | '“' | '”' | '‘'
        | '’' => false,
        c => !c.is_whitespace() && !c.is_control(),
    }
}

fn inner_wildcard(InnerStar(at): InnerStar) -> FilterError {
    FilterError::new(Problem::InnerWildcard, Span::new(at, at + 1))
        .with_hint(r#"a wildcard stands at the start or the end; for the character itself write "\*""#)
}
