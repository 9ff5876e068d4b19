//! `muster certificate`.

use super::{list, resource, with_caret};
use crate::{
    cli::{ListArgs, Session},
    client::Client,
    failure::Failure,
    output::{Listing, print_one},
    records::{Certificate, Expiry, RevocationList},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Subcommand, builder::PossibleValuesParser};
use muster_domain::certificate::{RevocationReason, schema};
use muster_proto::v1;
use std::{fs, path::PathBuf};

/// What can be done with certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List certificates of devices and operators, oldest first.
    #[command(visible_alias = "ls", after_long_help = LIST_HELP)]
    List {
        /// Which ones, such as 'state = REVOKED AND reason = key-compromise'.
        #[arg(long, default_value = "", hide_default_value = true, value_name = "FILTER")]
        filter: String,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show a certificate.
    Get {
        /// 32 hexadecimal digits.
        serial: String,
        /// Print the certificate itself, PEM.
        #[arg(long)]
        pem: bool,
    },
    /// Accept a certificate no longer, at once. Its device needs a new code (`muster device reissue-code`); its operator is
    /// disabled.
    Revoke {
        /// 32 hexadecimal digits.
        serial: String,
        /// Why. A compromised key is blocked for ever.
        #[arg(long, value_parser = PossibleValuesParser::new(RevocationReason::ALL.map(RevocationReason::as_str)))]
        reason: String,
        /// More of why, for whoever looks later.
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
        comment: String,
    },
    /// Current certificates by the time that they have left.
    Expiry,
    /// List the revocation lists, or fetch all of them as PEM.
    Crl {
        /// A file for all of them, as `openssl verify -crl_check -CRLfile FILE` takes it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

const LIST_HELP: &str = "\
Filters compare fields with = != < <= > >=, joined by AND, OR, NOT and parentheses. A * at the beginning or end of a text
stands for anything; FIELD:* asks whether there is a value.
Fields: serial, device, operator, profile, state, reason, issuer, key, create_time, not_before, not_after, revoke_time.

Examples:
  muster certificate list --filter 'device = 01m8qedc00m5zjs7ab7sc0c7vq'
  muster certificate list --filter 'state = REVOKED AND reason = key-compromise' -o csv
  muster certificate list --filter 'state = CURRENT AND not_after < 2027-01-01T00:00:00Z' --columns serial,holder,not_after";

/// A file of one kind of thing, in PEM (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    /// Characters of a line.
    const LINE: usize = 64;
    let text = STANDARD.encode(der);
    let mut lines = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(LINE.min(rest.len()));
        lines.push_str(line);
        lines.push('\n');
        rest = behind;
    }
    lines + &format!("-----END {label}-----\n")
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let client = session.client().await?;
        let mut certificates = client.certificates.clone();
        let shown = match self {
            Self::List {
                filter,
                list: arguments,
            } => {
                let fetch = async |page_size, page_token| {
                    let request = v1::ListCertificatesRequest {
                        page_size,
                        page_token,
                        filter: filter.clone(),
                    };
                    let page = certificates.list_certificates(request).await?.into_inner();
                    Ok((page.certificates, page.next_page_token))
                };
                let listed = list::<_, Certificate>(session, &arguments, fetch).await;
                return listed.map_err(|failure| with_caret(failure, &filter, schema()));
            }
            Self::Get { serial, pem: as_pem } => {
                let name = resource("certificates", &serial);
                let request = v1::GetCertificateRequest { name };
                let found = certificates.get_certificate(request).await?.into_inner();
                if as_pem {
                    write!(session.out, "{}", pem("CERTIFICATE", &found.der))?;
                    return Ok(());
                }
                found
            }
            Self::Revoke {
                serial,
                reason,
                comment,
            } => {
                let name = resource("certificates", &serial);
                let request = v1::RevokeCertificateRequest {
                    name,
                    reason,
                    comment,
                };
                certificates.revoke_certificate(request).await?.into_inner()
            }
            Self::Expiry => {
                let expiry = certificates.get_expiry(v1::GetExpiryRequest {}).await?;
                return print_one(session.out, session.format, &Expiry::from(expiry.into_inner()));
            }
            Self::Crl { out } => return lists(session, client, out).await,
        };
        print_one(session.out, session.format, &Certificate::from(shown))
    }
}

async fn lists(session: &mut Session<'_>, client: Client, out: Option<PathBuf>) -> Result<(), Failure> {
    let mut certificates = client.certificates;
    let known = certificates
        .list_revocation_lists(v1::ListRevocationListsRequest {})
        .await?
        .into_inner()
        .revocation_lists;
    if known.is_empty() {
        session.note("note: there are no revocation lists; the server needs certificates.crl_url");
    }
    let Some(file) = out else {
        let mut listing = Listing::of::<RevocationList>(session.out, session.format, &[])?;
        for list in known {
            listing.push(&RevocationList::from(list))?;
        }
        return listing.finish();
    };
    let mut text = String::new();
    for list in known {
        let request = v1::GetRevocationListRequest { name: list.name };
        let list = certificates.get_revocation_list(request).await?.into_inner();
        text += &pem("X509 CRL", &list.der);
    }
    fs::write(&file, text)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_domain::filter::Filter;

    #[test]
    fn the_help_names_fields_that_exist_and_filters_that_work() {
        let (_, named) = LIST_HELP.split_once("Fields: ").unwrap();
        let (named, _) = named.split_once(".\n").unwrap();
        let known: Vec<_> = schema().names().collect();
        assert_eq!(named.split(", ").collect::<Vec<_>>(), known);
        let filters: Vec<_> = LIST_HELP.split('\'').skip(1).step_by(2).collect();
        assert_eq!(filters.len(), 3);
        for filter in filters {
            Filter::parse(filter).unwrap().check(schema()).unwrap();
        }
    }

    #[test]
    fn pem_has_lines_of_64_characters() {
        assert_eq!(
            pem("X", &[0; 49]),
            format!(
                "-----BEGIN X-----\n{}\n{}\n-----END X-----\n",
                "A".repeat(64),
                "AA=="
            )
        );
        assert_eq!(pem("X", &[]), "-----BEGIN X-----\n-----END X-----\n");
    }
}
