//! The commands, one file a noun: each reads its arguments, asks the server, prints.

pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod batch;
pub(crate) mod catalog;
pub(crate) mod certificate;
pub(crate) mod change;
pub(crate) mod context;
pub(crate) mod device;
pub(crate) mod firmware;
pub(crate) mod fleet;
pub(crate) mod group;
pub(crate) mod import;
pub(crate) mod manifest;
pub(crate) mod mqtt;
pub(crate) mod operator;
pub(crate) mod profile;
pub(crate) mod refusal;
pub(crate) mod secret;
mod watch;

use crate::{
    cli::{ListArgs, Session},
    client::{Listed, pages},
    failure::Failure,
    output::{Listing, Record},
};
use muster_domain::filter::{Filter, Schema};
use tonic::Status;

/// `collection/name` for what a user may have typed with or without its collection.
fn resource(collection: &str, name: &str) -> String {
    if name.starts_with(collection) && name[collection.len()..].starts_with('/') {
        name.to_owned()
    } else {
        format!("{collection}/{name}")
    }
}

/// Lists page by page, printing as it goes; says so when the limit cut the listing.
async fn list<T, R: Record + From<T>>(
    session: &mut Session<'_>,
    arguments: &ListArgs,
    fetch: impl AsyncFnMut(i32, String) -> Result<(Vec<T>, String), Status>,
) -> Result<(), Failure> {
    let limit = arguments.limit(session.format);
    let mut listing = Listing::of::<R>(session.out, session.format, &arguments.columns)?;
    let listed = pages(limit, fetch, |item| listing.push(&R::from(item))).await?;
    listing.finish()?;
    cut(session, listed, limit);
    Ok(())
}

/// Says so when a limit cut a listing.
fn cut(session: &mut Session<'_>, listed: Listed, limit: Option<u64>) {
    if let (Listed::Cut, Some(limit)) = (listed, limit) {
        session.note(&format!("note: there are more than {limit}; --limit 0 lists all"));
    }
}

/// Marks the place in a filter that the server could not read. The text is here, so it is read here once more.
fn with_caret<F: Copy>(failure: Failure, filter: &str, schema: &'static Schema<F>) -> Failure {
    let is_filter = failure.answer().and_then(|answer| answer.number)
        == Some(muster_domain::Code::FilterInvalid.number());
    let wrong = || {
        Filter::parse(filter.trim())
            .and_then(|filter| filter.check(schema))
            .err()
    };
    match (failure, is_filter.then(wrong).flatten()) {
        (Failure::Refused(mut answer), Some(error)) => {
            let marked: Vec<_> = error
                .caret(filter.trim())
                .lines()
                .map(|line| format!("\n  {line}"))
                .collect();
            answer.message.push_str(&marked.concat());
            Failure::Refused(answer)
        }
        (failure, _) => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_is_added_once() {
        assert_eq!(resource("models", "GW-200"), "models/GW-200");
        assert_eq!(resource("models", "models/GW-200"), "models/GW-200");
        assert_eq!(resource("models", "modelsX"), "models/modelsX");
    }
}
