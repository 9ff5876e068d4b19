//! `muster model|site|group|profile|firmware|naming|mapping`: apply, list, get.

use super::{apply::Apply, list, resource};
use crate::{
    apply::Kind,
    cli::{ListArgs, Session},
    client::Client,
    failure::Failure,
    output::{Record, print_one},
    records,
};
use clap::Subcommand;
use muster_proto::v1;
use std::marker::PhantomData;
use tonic::Status;

/// What can be done with resources of one kind.
#[derive(Debug, Subcommand)]
pub(crate) enum Command<K: Noun + 'static> {
    Apply(Apply),
    /// List all, the newest revision of each.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one; NAME@N shows an older revision, where there are some.
    #[command(visible_alias = "show")]
    Get {
        /// Its name.
        name: String,
        #[arg(skip)]
        kind: PhantomData<K>,
    },
}

/// The resource name of `NAME`, `NAME@N` or `NAME/revisions/N`.
pub(super) fn revision(collection: &str, name: &str) -> String {
    match name.rsplit_once('@') {
        Some((base, number)) => resource(collection, &format!("{base}/revisions/{number}")),
        None => resource(collection, name),
    }
}

/// A kind of resource: how it is called, fetched and printed.
pub(crate) trait Noun: std::fmt::Debug + Clone + Send + Sync {
    const KIND: Kind;
    const COLLECTION: &'static str;
    type Wire;
    type Shown: Record + From<Self::Wire>;

    async fn get(client: &mut Client, name: String) -> Result<Self::Wire, Status>;
    async fn page(
        client: &mut Client,
        page_size: i32,
        page_token: String,
    ) -> Result<(Vec<Self::Wire>, String), Status>;
}

impl<K: Noun> Command<K> {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::Apply(apply) => apply.run_for(K::KIND, session).await,
            Self::List(arguments) => {
                let mut client = session.client().await?;
                list::<_, K::Shown>(session, &arguments, async |size, token| {
                    K::page(&mut client, size, token).await
                })
                .await
            }
            Self::Get { name, .. } => {
                let found = K::get(&mut session.client().await?, revision(K::COLLECTION, &name)).await?;
                print_one(session.out, session.format, &K::Shown::from(found))
            }
        }
    }
}

macro_rules! nouns {
    ($($noun:ident $kind:ident $collection:literal $shown:ident $get:ident($get_request:ident) $list:ident($list_request:ident) $field:ident)*) => {$(
        #[derive(Debug, Clone)]
        pub(crate) enum $noun {}

        impl Noun for $noun {
            const KIND: Kind = Kind::$kind;
            const COLLECTION: &'static str = $collection;
            type Wire = v1::$shown;
            type Shown = records::$shown;

            async fn get(client: &mut Client, name: String) -> Result<Self::Wire, Status> {
                Ok(client.catalog.$get(v1::$get_request { name }).await?.into_inner())
            }

            async fn page(client: &mut Client, page_size: i32, page_token: String) -> Result<(Vec<Self::Wire>, String), Status> {
                let page = client.catalog.$list(v1::$list_request { page_size, page_token }).await?.into_inner();
                Ok((page.$field, page.next_page_token))
            }
        }
    )*};
}

nouns! {
    Models Models "models" Model get_model(GetModelRequest) list_models(ListModelsRequest) models
    Sites Sites "sites" Site get_site(GetSiteRequest) list_sites(ListSitesRequest) sites
    Groups Groups "groups" Group get_group(GetGroupRequest) list_groups(ListGroupsRequest) groups
    Profiles Profiles "profiles" Profile get_profile(GetProfileRequest) list_profiles(ListProfilesRequest) profiles
    FirmwarePolicies FirmwarePolicies "firmwarePolicies" FirmwarePolicy get_firmware_policy(GetFirmwarePolicyRequest) list_firmware_policies(ListFirmwarePoliciesRequest) firmware_policies
    Mappings Mappings "mappings" Mapping get_mapping(GetMappingRequest) list_mappings(ListMappingsRequest) mappings
    NamingRules NamingRules "namingRules" NamingRule get_naming_rule(GetNamingRuleRequest) list_naming_rules(ListNamingRulesRequest) naming_rules
}
