//! `muster batch`.

use super::{list, resource};
use crate::{
    cli::{ListArgs, Session},
    failure::Failure,
    output::print_one,
    records::Batch,
};
use clap::Subcommand;
use muster_proto::v1;

/// Past imports.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List imports, newest first.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show an import.
    Get {
        /// Its id.
        #[arg(value_name = "ID")]
        batch: String,
    },
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let mut manifests = session.client().await?.manifests;
        match self {
            Self::List(arguments) => {
                let fetch = async |page_size, page_token| {
                    let page = manifests
                        .list_batches(v1::ListBatchesRequest {
                            page_size,
                            page_token,
                        })
                        .await?;
                    let page = page.into_inner();
                    Ok((page.batches, page.next_page_token))
                };
                list::<_, Batch>(session, &arguments, fetch).await
            }
            Self::Get { batch } => {
                let found = manifests
                    .get_batch(v1::GetBatchRequest {
                        name: resource("batches", &batch),
                    })
                    .await?;
                print_one(session.out, session.format, &Batch::from(found.into_inner()))
            }
        }
    }
}
