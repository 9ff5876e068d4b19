//! Applying what was read, in as few steps as the server allows.

use super::{Resource, wire};
use crate::{client::Client, failure::Failure};
use muster_proto::v1::{self, ApplyRequest, resource::Resource as Wire};
use std::collections::{HashMap, HashSet};

/// Most resources of one call: the server takes no more.
const CALL_LIMIT: usize = 1000;
/// Most bytes of the resources of one call: below the 4 MiB that gRPC servers take by default.
const CALL_BYTES: usize = 3 << 20;

/// How resources are applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplyOptions {
    /// Check everything, change nothing.
    pub dry_run: bool,
    /// Why, for profiles, firmware policies and mappings that bring no message of their own.
    pub message: String,
}

/// Applies resources and gives the outcome of each. One call if they fit; else several, each all or none, what others
/// refer to first.
pub async fn send(
    client: &Client,
    mut resources: Vec<Resource>,
    options: &ApplyOptions,
) -> Result<Vec<v1::apply_response::Outcome>, Failure> {
    for resource in &mut resources {
        explain(&mut resource.wire, &options.message);
    }
    let calls = split(resources);
    if options.dry_run && calls.len() > 1 {
        return Err(Failure::usage(
            format!("--dry-run checks at most {CALL_LIMIT} resources (and {CALL_BYTES} bytes) at once"),
            "Split the files.",
        ));
    }
    let mut outcomes = Vec::new();
    for call in calls {
        let origins: Vec<_> = call.iter().map(|resource| resource.origin.clone()).collect();
        let request = ApplyRequest {
            resources: call.into_iter().map(|resource| resource.wire).collect(),
            validate_only: options.dry_run,
        };
        let applied = client.catalog.clone().apply(request).await;
        let applied = applied.map_err(|status| located(status.into(), &origins))?;
        outcomes.extend(applied.into_inner().outcomes);
    }
    Ok(outcomes)
}

/// Gives a revision its message, unless it brought one.
fn explain(resource: &mut v1::Resource, message: &str) {
    let revision = match &mut resource.resource {
        Some(Wire::Profile(profile)) => &mut profile.revision,
        Some(Wire::FirmwarePolicy(policy)) => &mut policy.revision,
        Some(Wire::Mapping(mapping)) => &mut mapping.revision,
        Some(Wire::Model(_) | Wire::Site(_) | Wire::Group(_) | Wire::NamingRule(_)) | None => return,
    };
    let revision = revision.get_or_insert_default();
    if revision.message.is_empty() {
        message.clone_into(&mut revision.message);
    }
}

fn split(resources: Vec<Resource>) -> Vec<Vec<Resource>> {
    let size = |resource: &Resource| prost_size(&resource.wire);
    let total: usize = resources.iter().map(size).sum();
    let resources = if resources.len() <= CALL_LIMIT && total <= CALL_BYTES {
        resources
    } else {
        ordered(resources)
    };
    let mut calls: Vec<Vec<Resource>> = Vec::new();
    let mut bytes = 0;
    for resource in resources {
        let more = size(&resource);
        match calls.last_mut() {
            Some(call) if call.len() < CALL_LIMIT && bytes + more <= CALL_BYTES => {
                bytes += more;
                call.push(resource);
            }
            _ => {
                bytes = more;
                calls.push(vec![resource]);
            }
        }
    }
    calls
}

fn prost_size(resource: &v1::Resource) -> usize {
    prost::Message::encoded_len(resource)
}

/// What others refer to first: policies and groups, sites from the root of their tree down, profiles, models.
fn ordered(mut resources: Vec<Resource>) -> Vec<Resource> {
    let parents: HashMap<String, String> = resources
        .iter()
        .filter_map(|resource| match &resource.wire.resource {
            Some(Wire::Site(site)) => Some((site.name.clone(), site.parent.clone())),
            _ => None,
        })
        .collect();
    let depth = |name: &str| {
        // A parent that is its own descendant is the server's to refuse; here it must only end.
        let mut seen = HashSet::from([name]);
        let mut place = name;
        while let Some(parent) = parents.get(place).filter(|parent| seen.insert(parent.as_str())) {
            place = parent;
        }
        seen.len()
    };
    resources.sort_by_cached_key(|resource| match &resource.wire.resource {
        Some(Wire::FirmwarePolicy(_) | Wire::Group(_)) | None => (0, 0),
        Some(Wire::Mapping(_) | Wire::NamingRule(_)) => (4, 0),
        Some(wire @ Wire::Site(_)) => (1, depth(wire::name(wire))),
        Some(Wire::Profile(_)) => (2, 0),
        Some(Wire::Model(_)) => (3, 0),
    });
    resources
}

/// `resources[3].name` -> `catalog.toml: models/GW-200: name`: the user counts in files, not in calls.
fn located(failure: Failure, origins: &[String]) -> Failure {
    let Failure::Refused(mut answer) = failure else {
        return failure;
    };
    let relocate = |text: &str| {
        let rest = text.strip_prefix("resources[")?;
        let (place, rest) = rest.split_once(']')?;
        let origin = origins.get(place.parse::<usize>().ok()?)?;
        let rest = rest
            .strip_prefix('.')
            .map_or_else(|| rest.to_owned(), |field| format!(": {field}"));
        Some(format!("{origin}{rest}"))
    };
    if let Some(message) = relocate(&answer.message) {
        answer.message = message;
    }
    for (field, _) in &mut answer.fields {
        if let Some(place) = relocate(field) {
            *field = place;
        }
    }
    Failure::Refused(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Answer;
    use tonic::Code;

    fn site(name: &str, parent: &str) -> Resource {
        let wire = v1::Site {
            name: name.into(),
            parent: parent.into(),
            ..v1::Site::default()
        };
        Resource {
            origin: name.into(),
            wire: v1::Resource {
                resource: Some(Wire::Site(wire)),
            },
        }
    }

    fn model(name: &str) -> Resource {
        let wire = v1::Model {
            name: name.into(),
            ..v1::Model::default()
        };
        Resource {
            origin: name.into(),
            wire: v1::Resource {
                resource: Some(Wire::Model(wire)),
            },
        }
    }

    #[test]
    fn what_fits_one_call_keeps_its_order() {
        let calls = split(vec![site("b", "a"), model("m"), site("a", "")]);
        let names: Vec<_> = calls
            .iter()
            .flatten()
            .map(|resource| resource.origin.as_str())
            .collect();
        assert_eq!((calls.len(), names), (1, vec!["b", "m", "a"]));
    }

    #[test]
    fn many_go_in_calls_with_what_others_need_first() {
        let mut all: Vec<_> = (0..CALL_LIMIT)
            .rev()
            .map(|i| site(&format!("s{i}"), &format!("s{}", i + 1)))
            .collect();
        all.push(model("m"));
        let calls = split(all);
        assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [CALL_LIMIT, 1]);
        assert_eq!(calls[0][0].origin, format!("s{}", CALL_LIMIT - 1));
        assert_eq!(calls[0][CALL_LIMIT - 1].origin, "s0");
        assert_eq!(calls[1][0].origin, "m");
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let circle = vec![site("a", "b"), site("b", "a"), site("c", "c")];
        assert_eq!(ordered(circle).len(), 3);
    }

    #[test]
    fn a_field_is_named_by_its_file() {
        let answer = Answer {
            status: Code::InvalidArgument,
            number: Some(3001),
            reason: String::new(),
            message: "resources[1].ouis[0]: contains 'x' (and 1 more)".into(),
            help: String::new(),
            fields: vec![
                ("resources[1].ouis[0]".into(), "contains 'x'".into()),
                ("resources[9].name".into(), "x".into()),
            ],
            retry_after: None,
            reference: None,
        };
        let located = located(
            Failure::Refused(Box::new(answer)),
            &["f: models/a".into(), "f: models/b".into()],
        );
        let answer = located.answer().unwrap();
        assert_eq!(answer.message, "f: models/b: ouis[0]: contains 'x' (and 1 more)");
        assert_eq!(answer.fields[0].0, "f: models/b: ouis[0]");
        assert_eq!(answer.fields[1].0, "resources[9].name");
    }

    #[test]
    fn a_message_fills_only_empty_ones() {
        let profile = |own: &str| {
            let revision = Some(v1::RevisionInfo {
                message: own.into(),
                ..v1::RevisionInfo::default()
            });
            let mut resource = v1::Resource {
                resource: Some(Wire::Profile(v1::Profile {
                    revision,
                    ..v1::Profile::default()
                })),
            };
            explain(&mut resource, "why");
            let Some(Wire::Profile(profile)) = resource.resource else {
                panic!()
            };
            profile.revision.unwrap().message
        };
        assert_eq!((profile(""), profile("own")), ("why".into(), "own".into()));
    }
}
