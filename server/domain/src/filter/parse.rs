//! Tokens to a tree, by recursive descent along the grammar in the module's documentation.

use super::error::{FilterError, Problem};
use super::expression::{Comparator, Comparison, Expression, Path};
use super::lexer::{self, Token};
use super::pattern::Pattern;
use super::span::{Span, Spanned};
use super::{MAX_COMPARISONS, MAX_DEPTH, MAX_LENGTH};

/// Reads a whole filter; `None` if it is empty.
pub(super) fn parse(source: &str) -> Result<Option<Expression>, FilterError> {
    let whole = Span::new(0, source.len());
    // Before anything is copied.
    if source.len() > MAX_LENGTH {
        return Err(FilterError::new(Problem::TooLong, whole));
    }
    let tokens = lexer::tokens(source)?;
    let mut parser = Parser {
        source,
        tokens: &tokens,
        depth: 0,
        comparisons: 0,
    };
    if *parser.peek() == Token::End {
        return Ok(None);
    }
    let root = parser.expression()?;
    if *parser.peek() != Token::End {
        return Err(parser.no_connection("AND, OR or the end of the filter"));
    }
    // The canonical form adds operators, quotes and parentheses. It is held to the same limits,
    // so that whatever is accepted once is accepted again after a round trip.
    if root.depth() > MAX_DEPTH {
        return Err(FilterError::new(Problem::TooDeep, whole));
    }
    if root.to_string().len() > MAX_LENGTH {
        return Err(FilterError::new(Problem::TooLong, whole));
    }
    Ok(Some(root))
}

struct Parser<'a> {
    source: &'a str,
    /// What is left; its last token is `End` and is never taken.
    tokens: &'a [Spanned<Token>],
    /// Open parentheses around the place being read, which is what bounds the recursion.
    depth: usize,
    comparisons: usize,
}

impl<'a> Parser<'a> {
    /// `factor {[AND] factor}`
    fn expression(&mut self) -> Result<Expression, FilterError> {
        let mut factors = vec![self.factor()?];
        loop {
            match self.peek() {
                Token::And => {
                    self.take();
                }
                // Standing side by side means AND.
                Token::Text(_) | Token::Not | Token::Minus | Token::Open => {}
                Token::Comparator(_) | Token::Dot | Token::Or | Token::Close | Token::End => {
                    return Ok(Expression::all(factors));
                }
            }
            factors.push(self.factor()?);
        }
    }

    /// `term {OR term}`
    fn factor(&mut self) -> Result<Expression, FilterError> {
        let mut terms = vec![self.term()?];
        while *self.peek() == Token::Or {
            self.take();
            terms.push(self.term()?);
        }
        Ok(Expression::any(terms))
    }

    /// `[NOT | "-"] simple`
    fn term(&mut self) -> Result<Expression, FilterError> {
        if matches!(self.peek(), Token::Not | Token::Minus) {
            self.take();
            return Ok(Expression::Not(Box::new(self.simple()?)));
        }
        self.simple()
    }

    /// `"(" expression ")" | comparison`
    fn simple(&mut self) -> Result<Expression, FilterError> {
        if *self.peek() == Token::Open {
            return self.composite();
        }
        self.comparison().map(Expression::Compare)
    }

    fn composite(&mut self) -> Result<Expression, FilterError> {
        let open = self.take().span;
        if self.depth == MAX_DEPTH {
            return Err(FilterError::new(Problem::TooDeep, open));
        }
        self.depth += 1;
        let inner = self.expression()?;
        self.depth -= 1;
        if *self.peek() != Token::Close {
            return Err(self.no_connection("AND, OR or `)`"));
        }
        self.take();
        Ok(inner)
    }

    /// `path comparator argument`
    fn comparison(&mut self) -> Result<Comparison, FilterError> {
        let path = self.path()?;
        self.comparisons += 1;
        if self.comparisons > MAX_COMPARISONS {
            return Err(FilterError::new(Problem::TooManyComparisons, path.span()));
        }
        let Token::Comparator(comparator) = *self.peek() else {
            return Err(self.no_comparator(&path));
        };
        let comparator = Spanned::new(comparator, self.take().span);
        let Token::Text(argument) = self.peek() else {
            return Err(self.no_argument());
        };
        Ok(Comparison {
            path,
            comparator,
            argument: Spanned::new(argument.clone(), self.take().span),
        })
    }

    /// `name {"." name}`
    fn path(&mut self) -> Result<Path, FilterError> {
        let Token::Text(pattern) = self.peek() else {
            return Err(self.expected("a field name or `(`"));
        };
        let first = self.name(pattern)?;
        let mut rest = Vec::new();
        while *self.peek() == Token::Dot {
            self.take();
            rest.push(self.member()?);
        }
        Ok(Path { first, rest })
    }

    /// A step after a dot, where keywords are names like any other.
    fn member(&mut self) -> Result<Spanned<String>, FilterError> {
        if let Token::Text(pattern) = self.peek() {
            return self.name(pattern);
        }
        if !self.at_keyword() {
            return Err(self.expected("a name after `.`"));
        }
        let span = self.take().span;
        Ok(Spanned::new(self.text(span).to_owned(), span))
    }

    /// Takes the next token, which holds `pattern`, as a name.
    fn name(&mut self, pattern: &Pattern) -> Result<Spanned<String>, FilterError> {
        let span = self.take().span;
        match pattern.exact() {
            Some(name) => Ok(Spanned::new(name.to_owned(), span)),
            None => Err(FilterError::new(Problem::WildcardNotApplicable, span)
                .with_hint("a field is written out in full")),
        }
    }

    /// The next token should be a comparator. The usual reasons why it is not have hints.
    fn no_comparator(&self, path: &Path) -> FilterError {
        let found = self.text(path.span());
        if let Some(keyword) = keyword_in_lower_case(found) {
            let problem = Problem::Expected {
                what: "a comparison",
                found: Some(found.to_owned()),
            };
            return FilterError::new(problem, path.span()).with_hint(keyword);
        }
        let error = self.expected("one of = != < <= > >= :");
        if *self.peek() == Token::Open {
            error.with_hint("there are no functions")
        } else {
            error.with_hint("a comparison is FIELD = VALUE")
        }
    }

    /// The next token should be a value.
    fn no_argument(&self) -> FilterError {
        let error = self.expected("a value");
        if *self.peek() == Token::Open {
            error.with_hint("write (FIELD = ONE OR FIELD = OTHER)")
        } else if *self.peek() == Token::Comparator(Comparator::Equal) {
            error.with_hint("equality is a single =")
        } else if self.at_keyword() {
            error.with_hint("put a keyword in quotes")
        } else {
            error
        }
    }

    /// The next token should follow a complete comparison.
    fn no_connection(&self, what: &'static str) -> FilterError {
        let error = self.expected(what);
        if matches!(self.peek(), Token::Comparator(_)) {
            error.with_hint("a value that contains an operator is written in quotes")
        } else {
            error
        }
    }

    /// The next token is not what the grammar wants.
    fn expected(&self, what: &'static str) -> FilterError {
        let span = self.next().span;
        let found = (*self.peek() != Token::End).then(|| self.text(span).to_owned());
        FilterError::new(Problem::Expected { what, found }, span)
    }

    fn at_keyword(&self) -> bool {
        matches!(self.peek(), Token::And | Token::Or | Token::Not)
    }

    fn take(&mut self) -> &'a Spanned<Token> {
        let token = self.next();
        if let [_, rest @ ..] = self.tokens
            && !rest.is_empty()
        {
            self.tokens = rest;
        }
        token
    }

    fn peek(&self) -> &'a Token {
        &self.next().value
    }

    fn next(&self) -> &'a Spanned<Token> {
        &self.tokens[0]
    }

    fn text(&self, span: Span) -> &'a str {
        &self.source[span.start..span.end]
    }
}

fn keyword_in_lower_case(word: &str) -> Option<&'static str> {
    match word {
        "and" => Some("write AND"),
        "or" => Some("write OR"),
        "not" => Some("write NOT"),
        _ => None,
    }
}
