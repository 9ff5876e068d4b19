//! Expression + schema = checked filter.

use super::MAX_COMPARISONS;
use super::checked::{CheckedFilter, Node, Target};
use super::convert;
use super::error::{FilterError, Problem};
use super::expression::{Comparator, Comparison, Expression, Path};
use super::mac;
use super::pattern::Pattern;
use super::predicate::{Predicate, Relation};
use super::schema::{Field, Kind, Schema};
use super::sets::{Set, Sets};
use super::span::Spanned;
use super::suggest::closest;

/// What names mean in one filter.
struct Scope<'s, F: 'static> {
    schema: &'s Schema<F>,
    sets: &'s dyn Sets<F>,
    /// Comparisons that the rules of its sets may still ask: what one record can cost.
    left: usize,
}

pub(super) fn check<F: Copy>(
    root: Option<&Expression>,
    schema: &Schema<F>,
    sets: &dyn Sets<F>,
) -> Result<CheckedFilter<F>, FilterError> {
    let mut scope = Scope {
        schema,
        sets,
        left: MAX_COMPARISONS,
    };
    Ok(CheckedFilter {
        root: root.map(|root| node(root, &mut scope)).transpose()?,
    })
}

fn node<F: Copy>(expression: &Expression, scope: &mut Scope<'_, F>) -> Result<Node<F>, FilterError> {
    Ok(match expression {
        Expression::All(parts) => Node::All(nodes(parts, scope)?),
        Expression::Any(parts) => Node::Any(nodes(parts, scope)?),
        Expression::Not(inner) => Node::Not(Box::new(node(inner, scope)?)),
        Expression::Compare(comparison) => test(comparison, scope)?,
    })
}

fn nodes<F: Copy>(parts: &[Expression], scope: &mut Scope<'_, F>) -> Result<Vec<Node<F>>, FilterError> {
    parts.iter().map(|part| node(part, scope)).collect()
}

fn test<F: Copy>(comparison: &Comparison, scope: &mut Scope<'_, F>) -> Result<Node<F>, FilterError> {
    let test = match resolve(&comparison.path, scope.schema)? {
        Place::Scalar(field) if matches!(field.kind, Kind::Set(_)) => set(comparison, field, scope)?,
        Place::Scalar(field) => Node::Test(Target::Field(field.id), predicate(comparison, field.kind)?),
        Place::Label(field, key) => Node::Test(
            Target::Label(field.id, key.to_owned()),
            predicate(comparison, Kind::Text)?,
        ),
        Place::Map(field) => Node::Test(
            Target::Label(field.id, key(comparison, field.name)?),
            Predicate::Present,
        ),
    };
    Ok(match comparison.comparator.value {
        Comparator::NotEqual => Node::Not(Box::new(test)),
        Comparator::Equal
        | Comparator::Less
        | Comparator::LessOrEqual
        | Comparator::Greater
        | Comparator::GreaterOrEqual
        | Comparator::Has => test,
    })
}

/// Being in a set: the name on the record, or the rule of the set.
fn set<F: Copy>(
    comparison: &Comparison,
    field: &'static Field<F>,
    scope: &mut Scope<'_, F>,
) -> Result<Node<F>, FilterError> {
    equality_only(comparison, field.kind)?;
    let argument = &comparison.argument;
    let name = argument.value.exact().ok_or_else(|| {
        FilterError::new(Problem::WildcardNotApplicable, argument.span)
            .with_hint(format!("{} is named in full", field.kind.noun()))
    })?;
    let listed = || {
        let target = Target::Label(field.id, name.to_owned());
        Node::Test(target, Predicate::Matches(argument.value.clone()))
    };
    match scope.sets.find(field.id, name) {
        Some(Set::Listed) => Ok(listed()),
        Some(Set::Ruled(rule)) => {
            let problem = || {
                FilterError::new(Problem::TooManyComparisons, argument.span)
                    .with_hint("those of its sets are counted, too")
            };
            scope.left = scope.left.checked_sub(rule.comparisons()).ok_or_else(problem)?;
            Ok(rule.root.clone().unwrap_or_else(|| Node::All(Vec::new())))
        }
        None => {
            let error = convert::invalid(argument, field.kind);
            Err(match closest(name, scope.sets.names(field.id).into_iter()) {
                Some(closest) => error.with_hint(format!("did you mean {closest}?")),
                None => error,
            })
        }
    }
}

/// What a path leads to.
enum Place<'a, F: 'static> {
    Scalar(&'static Field<F>),
    /// A label map as a whole.
    Map(&'static Field<F>),
    /// One key in a label map.
    Label(&'static Field<F>, &'a str),
}

fn resolve<'a, F>(path: &'a Path, schema: &Schema<F>) -> Result<Place<'a, F>, FilterError> {
    // The longest field that the path begins with, and the steps behind it.
    let longest = schema
        .fields()
        .iter()
        .filter_map(|field| Some((field, steps_behind(path, field.name)?)))
        .min_by_key(|(_, behind)| behind.len());
    let name = || path.segments().collect::<Vec<_>>().join(".");
    let Some((field, behind)) = longest else {
        let hint = schema.suggestion(&name(), &path.first.value);
        return Err(FilterError::new(Problem::UnknownField(name()), path.span()).with_hint(hint));
    };
    let is_map = field.kind == Kind::Labels;
    match behind {
        [] if is_map => Ok(Place::Map(field)),
        [] => Ok(Place::Scalar(field)),
        [key] if is_map => Ok(Place::Label(field, &key.value)),
        [..] => {
            let hint = if is_map {
                "a key that contains dots is written in quotes".to_owned()
            } else {
                format!("{} is {}", field.name, field.kind.noun())
            };
            Err(FilterError::new(Problem::NoSuchMember(name()), path.span()).with_hint(hint))
        }
    }
}

/// The steps of `path` behind the field `name`; `None` if it does not begin with that.
fn steps_behind<'a>(path: &'a Path, name: &str) -> Option<&'a [Spanned<String>]> {
    let steps = name.split('.').count();
    let begins = path.segments().take(steps).eq(name.split('.'));
    begins.then(|| &path.rest[steps - 1..])
}

/// The key in `labels:key`.
fn key(comparison: &Comparison, field: &'static str) -> Result<String, FilterError> {
    let Comparison {
        path,
        comparator,
        argument,
    } = comparison;
    if comparator.value != Comparator::Has {
        return Err(FilterError::new(Problem::KeyRequired(field), path.span())
            .with_hint(format!("write {field}.KEY {} VALUE", comparator.value)));
    }
    match argument.value.exact() {
        Some(key) => Ok(key.to_owned()),
        None => Err(FilterError::new(Problem::WildcardNotApplicable, argument.span)
            .with_hint("a key is written out in full")),
    }
}

fn predicate(comparison: &Comparison, kind: Kind) -> Result<Predicate, FilterError> {
    let argument = &comparison.argument;
    if comparison.comparator.value == Comparator::Has && argument.value == Pattern::Any {
        return Ok(Predicate::Present);
    }
    let relation = relation(comparison.comparator.value);
    Ok(match kind {
        Kind::Text | Kind::Labels | Kind::Set(_) if relation == Relation::Equal => {
            Predicate::Matches(argument.value.clone())
        }
        Kind::Text | Kind::Labels | Kind::Set(_) => {
            Predicate::Text(relation, convert::exact(argument)?.to_owned())
        }
        Kind::Mac if relation == Relation::Equal => Predicate::Matches(mac::pattern(argument)?),
        Kind::Mac => Predicate::Text(relation, mac::exact(argument)?),
        Kind::Enum(names) => {
            equality_only(comparison, kind)?;
            Predicate::Enum(convert::name(argument, names)?)
        }
        Kind::Bool => {
            equality_only(comparison, kind)?;
            Predicate::Bool(convert::bool(argument)?)
        }
        Kind::Int => Predicate::Int(relation, convert::int(argument)?),
        Kind::Timestamp => Predicate::Timestamp(relation, convert::timestamp(argument)?),
        Kind::Version => Predicate::Version(relation, convert::version(argument)?),
    })
}

/// What is tested; `!=` tests for equality and [`test`] negates it. On a single value, "has" is
/// equality.
fn relation(comparator: Comparator) -> Relation {
    match comparator {
        Comparator::Equal | Comparator::NotEqual | Comparator::Has => Relation::Equal,
        Comparator::Less => Relation::Less,
        Comparator::LessOrEqual => Relation::LessOrEqual,
        Comparator::Greater => Relation::Greater,
        Comparator::GreaterOrEqual => Relation::GreaterOrEqual,
    }
}

/// Names and truth values have no order (AIP-160).
fn equality_only(comparison: &Comparison, kind: Kind) -> Result<(), FilterError> {
    let Spanned { value, span } = comparison.comparator;
    if relation(value) == Relation::Equal {
        return Ok(());
    }
    let problem = Problem::OperatorNotApplicable {
        operator: value,
        kind: kind.noun(),
    };
    Err(FilterError::new(problem, span).with_hint("it has no order, only = and !="))
}
