//! The `Catalog` service.

use super::{
    Api, convert,
    convert::catalog,
    page,
    peer::{broken, permit},
    status::{failed, refused, refused_all},
};
use crate::service::APPLY_LIMIT;
use muster_domain::{
    Code, Refusal,
    catalog::{Resource, Revision, RevisionNumber},
    names::{GroupName, MappingName, ModelName, NamingRuleName, PolicyName, ProfileName, SiteCode},
};
use muster_proto::v1::{self, catalog_server::Catalog};
use std::{collections::BTreeMap, ops::Bound, str::FromStr, sync::Arc};
use tonic::{Request, Response, Status};

fn missing(name: &str) -> Status {
    refused(&Refusal::new(Code::NotFound, format!("there is no {name}")).at("name"))
}

/// `profiles/x` or `profiles/x/revisions/3`.
pub(super) fn revisioned<N: FromStr>(
    text: &str,
    collection: &str,
) -> Result<(N, Option<RevisionNumber>), Refusal>
where
    N::Err: std::fmt::Display,
{
    let (base, number) = match text.split_once("/revisions/") {
        Some((base, number)) => {
            let wrong = |_| {
                Refusal::new(
                    Code::RequestInvalid,
                    format!("{number:?} is not a revision number"),
                )
                .at("name")
            };
            (base, Some(number.parse().map_err(wrong)?))
        }
        None => (text, None),
    };
    Ok((convert::id(base, collection, "name")?, number))
}

/// Entries of a map, and the token of the next page.
pub(super) type Page<'a, K, V> = (Vec<(&'a K, &'a V)>, String);

impl Api {
    /// One page of an ordered map, and the token of the next.
    pub(super) fn page_of<'a, K: Ord + FromStr + AsRef<str>, V>(
        &self,
        map: &'a BTreeMap<K, V>,
        listing: &str,
        size: i32,
        token: &str,
    ) -> Result<Page<'a, K, V>, Refusal> {
        let size = page::size(size)?;
        let cursor = self.pages.cursor(token, listing)?;
        let after = cursor
            .and_then(|cursor| String::from_utf8(cursor).ok())
            .and_then(|name| K::from_str(&name).ok());
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = map.range((from, Bound::Unbounded));
        let page: Vec<_> = rest.by_ref().take(size).collect();
        let more = rest.next().is_some();
        let token = match page.last() {
            Some((last, _)) if more => self.pages.token(last.as_ref().as_bytes(), listing),
            _ => String::new(),
        };
        Ok((page, token))
    }

    /// One page of revisions from the newest down, and the token of the next. Only newer ones are ever added, so pages
    /// stay as they are.
    fn newest_first<T>(
        &self,
        revisions: &[Arc<Revision<T>>],
        name: &str,
        size: i32,
        token: &str,
    ) -> Result<(Vec<v1::RevisionInfo>, String), Refusal> {
        let size = page::size(size)?;
        let listing = format!("{name}/revisions");
        let below = self.pages.number(token, &listing)?;
        let mut rest = revisions
            .iter()
            .rev()
            .skip_while(|revision| below.is_some_and(|below| u128::from(revision.number) >= below));
        let page: Vec<_> = rest.by_ref().take(size).collect();
        let more = rest.next().is_some();
        let token = match page.last() {
            Some(last) if more => self.pages.token(&u128::from(last.number).to_be_bytes(), &listing),
            _ => String::new(),
        };
        let infos = page.into_iter().map(|revision| catalog::revision_info(revision));
        Ok((infos.collect(), token))
    }

    fn parsed(request: &v1::ApplyRequest) -> Result<Vec<(Resource, String)>, Vec<Refusal>> {
        if request.resources.len() > APPLY_LIMIT {
            let why = format!(
                "holds {} resources; at most {APPLY_LIMIT} fit one call",
                request.resources.len()
            );
            return Err(vec![Refusal::new(Code::TooLarge, why).at("resources")]);
        }
        let mut problems = Vec::new();
        let mut resources = Vec::with_capacity(request.resources.len());
        for (place, wire) in request.resources.iter().enumerate() {
            match catalog::resource(wire) {
                Ok(resource) => resources.push(resource),
                Err(found) => problems.extend(found.into_iter().map(|refusal| {
                    let field = format!("resources[{place}].{}", refusal.field);
                    refusal.at(field.trim_end_matches('.'))
                })),
            }
        }
        if problems.is_empty() {
            Ok(resources)
        } else {
            Err(problems)
        }
    }
}

#[tonic::async_trait]
impl Catalog for Api {
    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Result<Response<v1::ApplyResponse>, Status> {
        let permit = permit(&request)?;
        let resources = Self::parsed(request.get_ref()).map_err(|refusals| refused_all(&refusals))?;
        let names: Vec<_> = resources.iter().map(|(resource, _)| resource.name()).collect();
        let applied = self
            .service
            .apply(&permit, resources, request.get_ref().validate_only)
            .await;
        let applied = applied
            .map_err(|failure| failed(&failure))?
            .map_err(|refusals| refused_all(&refusals))?;
        let outcomes = names
            .into_iter()
            .zip(applied)
            .map(|(name, applied)| catalog::outcome(name, applied))
            .collect();
        Ok(Response::new(v1::ApplyResponse { outcomes }))
    }

    async fn get_model(&self, request: Request<v1::GetModelRequest>) -> Result<Response<v1::Model>, Status> {
        permit(&request)?;
        let name: ModelName =
            convert::id(&request.get_ref().name, "models", "name").map_err(|refusal| refused(&refusal))?;
        let known = self.service.store().catalog();
        let model = known
            .models
            .get(&name)
            .ok_or_else(|| missing(&request.get_ref().name))?;
        Ok(Response::new(catalog::model(model)))
    }

    async fn list_models(
        &self,
        request: Request<v1::ListModelsRequest>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        permit(&request)?;
        let known = self.service.store().catalog();
        let asked = request.get_ref();
        let (page, next_page_token) = self
            .page_of(&known.models, "models", asked.page_size, &asked.page_token)
            .map_err(|refusal| refused(&refusal))?;
        let models = page.into_iter().map(|(_, model)| catalog::model(model)).collect();
        Ok(Response::new(v1::ListModelsResponse {
            models,
            next_page_token,
        }))
    }

    async fn get_site(&self, request: Request<v1::GetSiteRequest>) -> Result<Response<v1::Site>, Status> {
        permit(&request)?;
        let code: SiteCode =
            convert::id(&request.get_ref().name, "sites", "name").map_err(|refusal| refused(&refusal))?;
        let known = self.service.store().catalog();
        let site = known
            .sites
            .get(&code)
            .ok_or_else(|| missing(&request.get_ref().name))?;
        Ok(Response::new(catalog::site(site)))
    }

    async fn list_sites(
        &self,
        request: Request<v1::ListSitesRequest>,
    ) -> Result<Response<v1::ListSitesResponse>, Status> {
        permit(&request)?;
        let known = self.service.store().catalog();
        let asked = request.get_ref();
        let (page, next_page_token) = self
            .page_of(&known.sites, "sites", asked.page_size, &asked.page_token)
            .map_err(|refusal| refused(&refusal))?;
        let sites = page.into_iter().map(|(_, site)| catalog::site(site)).collect();
        Ok(Response::new(v1::ListSitesResponse {
            sites,
            next_page_token,
        }))
    }

    async fn get_group(&self, request: Request<v1::GetGroupRequest>) -> Result<Response<v1::Group>, Status> {
        permit(&request)?;
        let name: GroupName =
            convert::id(&request.get_ref().name, "groups", "name").map_err(|refusal| refused(&refusal))?;
        let known = self.service.store().catalog();
        let group = known
            .groups
            .get(&name)
            .ok_or_else(|| missing(&request.get_ref().name))?;
        Ok(Response::new(catalog::group(group)))
    }

    async fn list_groups(
        &self,
        request: Request<v1::ListGroupsRequest>,
    ) -> Result<Response<v1::ListGroupsResponse>, Status> {
        permit(&request)?;
        let known = self.service.store().catalog();
        let asked = request.get_ref();
        let (page, next_page_token) = self
            .page_of(&known.groups, "groups", asked.page_size, &asked.page_token)
            .map_err(|refusal| refused(&refusal))?;
        let groups = page.into_iter().map(|(_, group)| catalog::group(group)).collect();
        Ok(Response::new(v1::ListGroupsResponse {
            groups,
            next_page_token,
        }))
    }

    async fn get_profile(
        &self,
        request: Request<v1::GetProfileRequest>,
    ) -> Result<Response<v1::Profile>, Status> {
        permit(&request)?;
        let (name, number) = revisioned::<ProfileName>(&request.get_ref().name, "profiles")
            .map_err(|refusal| refused(&refusal))?;
        let known = self.service.store().catalog();
        let revision = match number {
            Some(number) => known.profile_at(&name, number),
            None => known.profile(&name),
        };
        let revision = revision.ok_or_else(|| missing(&request.get_ref().name))?;
        Ok(Response::new(catalog::profile(revision)))
    }

    async fn list_profiles(
        &self,
        request: Request<v1::ListProfilesRequest>,
    ) -> Result<Response<v1::ListProfilesResponse>, Status> {
        permit(&request)?;
        let known = self.service.store().catalog();
        let asked = request.get_ref();
        let (page, next_page_token) = self
            .page_of(&known.profiles, "profiles", asked.page_size, &asked.page_token)
            .map_err(|refusal| refused(&refusal))?;
        let profiles = page
            .into_iter()
            .filter_map(|(_, revisions)| revisions.last())
            .map(|last| catalog::profile(last))
            .collect();
        Ok(Response::new(v1::ListProfilesResponse {
            profiles,
            next_page_token,
        }))
    }

    async fn list_profile_revisions(
        &self,
        request: Request<v1::ListProfileRevisionsRequest>,
    ) -> Result<Response<v1::ListProfileRevisionsResponse>, Status> {
        permit(&request)?;
        let asked = request.get_ref();
        let name: ProfileName =
            convert::id(&asked.name, "profiles", "name").map_err(|refusal| refused(&refusal))?;
        let known = self.service.store().catalog();
        let revisions = known.profiles.get(&name).ok_or_else(|| missing(&asked.name))?;
        let (revisions, next_page_token) = self
            .newest_first(revisions, &asked.name, asked.page_size, &asked.page_token)
            .map_err(|refusal| refused(&refusal))?;
        Ok(Response::new(v1::ListProfileRevisionsResponse {
            revisions,
            next_page_token,
        }))
    }

    async fn get_firmware_policy(
        &self,
        request: Request<v1::GetFirmwarePolicyRequest>,
    ) -> Result<Response<v1::FirmwarePolicy>, Status> {
        permit(&request)?;
        let (name, number) = revisioned::<PolicyName>(&request.get_ref().name, "firmwarePolicies")
            .map_err(|refusal| refused(&refusal))?;
        let known = self.service.store().catalog();
        let revision = match number {
            Some(number) => known.policy_at(&name, number),
            None => known.policy(&name),
        };
        let revision = revision.ok_or_else(|| missing(&request.get_ref().name))?;
        let shown = catalog::firmware_policy(&name, revision)
            .map_err(|error| broken("show a firmware policy", &error))?;
        Ok(Response::new(shown))
    }

    async fn list_firmware_policies(
        &self,
        request: Request<v1::ListFirmwarePoliciesRequest>,
    ) -> Result<Response<v1::ListFirmwarePoliciesResponse>, Status> {
        permit(&request)?;
        let known = self.service.store().catalog();
        let asked = request.get_ref();
        let (page, next_page_token) = self
            .page_of(
                &known.policies,
                "firmwarePolicies",
                asked.page_size,
                &asked.page_token,
            )
            .map_err(|refusal| refused(&refusal))?;
        let newest = page
            .into_iter()
            .filter_map(|(name, revisions)| Some((name, revisions.last()?)));
        let shown = newest
            .map(|(name, revision)| catalog::firmware_policy(name, revision))
            .collect::<Result<_, _>>();
        let firmware_policies = shown.map_err(|error| broken("show a firmware policy", &error))?;
        Ok(Response::new(v1::ListFirmwarePoliciesResponse {
            firmware_policies,
            next_page_token,
        }))
    }

    async fn get_mapping(
        &self,
        request: Request<v1::GetMappingRequest>,
    ) -> Result<Response<v1::Mapping>, Status> {
        permit(&request)?;
        let (name, number) = revisioned::<MappingName>(&request.get_ref().name, "mappings")
            .map_err(|refusal| refused(&refusal))?;
        let known = self.service.store().catalog();
        let revision = match number {
            Some(number) => known.mapping_at(&name, number),
            None => known.mapping(&name),
        };
        let revision = revision.ok_or_else(|| missing(&request.get_ref().name))?;
        let shown = catalog::mapping(revision).map_err(|error| broken("show a mapping", &error))?;
        Ok(Response::new(shown))
    }

    async fn list_mappings(
        &self,
        request: Request<v1::ListMappingsRequest>,
    ) -> Result<Response<v1::ListMappingsResponse>, Status> {
        permit(&request)?;
        let known = self.service.store().catalog();
        let asked = request.get_ref();
        let (page, next_page_token) = self
            .page_of(&known.mappings, "mappings", asked.page_size, &asked.page_token)
            .map_err(|refusal| refused(&refusal))?;
        let newest = page.into_iter().filter_map(|(_, revisions)| revisions.last());
        let shown = newest
            .map(|last| catalog::mapping(last))
            .collect::<Result<_, _>>();
        let mappings = shown.map_err(|error| broken("show a mapping", &error))?;
        Ok(Response::new(v1::ListMappingsResponse {
            mappings,
            next_page_token,
        }))
    }

    async fn get_naming_rule(
        &self,
        request: Request<v1::GetNamingRuleRequest>,
    ) -> Result<Response<v1::NamingRule>, Status> {
        permit(&request)?;
        let name: NamingRuleName = convert::id(&request.get_ref().name, "namingRules", "name")
            .map_err(|refusal| refused(&refusal))?;
        let known = self.service.store().catalog();
        let rule = known
            .naming_rules
            .get(&name)
            .ok_or_else(|| missing(&request.get_ref().name))?;
        Ok(Response::new(catalog::naming_rule(rule)))
    }

    async fn list_naming_rules(
        &self,
        request: Request<v1::ListNamingRulesRequest>,
    ) -> Result<Response<v1::ListNamingRulesResponse>, Status> {
        permit(&request)?;
        let known = self.service.store().catalog();
        let asked = request.get_ref();
        let (page, next_page_token) = self
            .page_of(
                &known.naming_rules,
                "namingRules",
                asked.page_size,
                &asked.page_token,
            )
            .map_err(|refusal| refused(&refusal))?;
        let naming_rules = page
            .into_iter()
            .map(|(_, rule)| catalog::naming_rule(rule))
            .collect();
        Ok(Response::new(v1::ListNamingRulesResponse {
            naming_rules,
            next_page_token,
        }))
    }
}
