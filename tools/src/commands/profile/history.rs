//! `muster profile history`.

use crate::{
    cli::{ListArgs, Session},
    commands::{list, resource},
    failure::Failure,
    records::Revision,
};
use clap::Args;
use muster_proto::v1;

/// List the revisions of a profile, newest first: number, author, time and message.
///
/// `muster profile get NAME@N` shows one, `muster profile diff NAME@A @B` what changed between two.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// Its name.
    name: String,
    #[command(flatten)]
    list: ListArgs,
}

impl History {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let mut catalog = session.client().await?.catalog;
        list::<_, Revision>(session, &self.list, async |page_size, page_token| {
            let request = v1::ListProfileRevisionsRequest {
                name: resource("profiles", &self.name),
                page_size,
                page_token,
            };
            let page = catalog.list_profile_revisions(request).await?.into_inner();
            Ok((page.revisions, page.next_page_token))
        })
        .await
    }
}
