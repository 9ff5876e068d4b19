//! `muster manifest`: templates.

use super::{
    catalog::{Models, NamingRules, Noun, Sites},
    resource,
};
use crate::{
    cli::Session,
    client::{Client, Listed, pages},
    failure::Failure,
    import::Sink,
    output::{Format, text},
    template::{Sources, Template as Table, TemplateFormat},
};
use clap::{Args, Subcommand};
use muster_proto::v1;
use std::{collections::BTreeSet, io::Write as _, path::PathBuf};

/// Choices of a list: what a spreadsheet shows at most in one (32,767, rounded). Beyond, any value may be typed.
const CHOICE_LIMIT: u64 = 30_000;
/// Devices that are looked at for the labels that a model uses.
const DEVICE_LIMIT: i32 = 1000;

/// What can be done with manifests, beside importing them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Template(Template),
}

/// Make an empty manifest for a model, to be filled in and imported.
///
/// Its columns are what devices of the model need: serial, hardware address, model, revision, firmware, site and
/// position, the labels that are in use, and each parameter of the model's profile. A workbook has lists to choose
/// from, cells that keep leading zeros, and a sheet that explains each column and rule; CSV has the columns.
///
/// Above the header stands an example that the registry would take. Nothing above the header is imported, so it can stay.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  muster manifest template --model GW-200 -o gateways.xlsx
  muster manifest template --model GW-200 -o gateways.csv
  muster manifest template --model GW-200 -o csv | head -4
  muster import gateways.xlsx --dry-run              after filling it in

Without -o, the file is called after the model: GW-200.xlsx.")]
pub(crate) struct Template {
    /// The model that the devices are of.
    #[arg(long, value_name = "NAME")]
    model: String,
    /// Replace a file that is there already.
    #[arg(long)]
    replace: bool,
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::Template(template) => template.run(session).await,
        }
    }
}

impl Template {
    async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let target = target(session.file.take(), session.format, &self.model)?;
        let mut client = session.client().await?;
        let table = Table::of(&sources(&mut client, &self.model).await?);
        let Some((path, format)) = target else {
            session.out.write_all(&table.write(TemplateFormat::Csv)?)?;
            return Ok(());
        };
        if !self.replace && path.exists() {
            return Err(Failure::usage(
                format!("{} is there already", path.display()),
                "Choose another name, or give --replace.",
            ));
        }
        let mut sink = Sink::begin(&path, self.replace, None)?;
        let failed = |error| Failure::file("write", &path, &error);
        sink.write_all(&table.write(format)?).map_err(failed)?;
        let path = sink.finish().map_err(failed)?;
        let name = path.display().to_string();
        let columns = table.columns.len();
        writeln!(session.out, "template: {} ({columns} columns)", text::line(&name))?;
        Ok(())
    }
}

/// Where the template goes; `None`: printed as CSV.
fn target(
    file: Option<PathBuf>,
    format: Format,
    model: &str,
) -> Result<Option<(PathBuf, TemplateFormat)>, Failure> {
    let path = match (file, format) {
        (Some(path), _) => path,
        (None, Format::Csv) => return Ok(None),
        (None, Format::Table) => {
            // Names of models are made of letters, digits and a few signs; a path is none of them.
            let name = model.rsplit(['/', '\\']).next().unwrap_or(model);
            PathBuf::from(format!("{name}.xlsx"))
        }
        (None, Format::Json | Format::Jsonl) => {
            return Err(Failure::usage(
                "templates are .xlsx or .csv".to_owned(),
                "Name the file: -o m.xlsx",
            ));
        }
    };
    let format = TemplateFormat::of(&path)?;
    Ok(Some((path, format)))
}

/// What the registry knows that a template shows.
async fn sources(client: &mut Client, model: &str) -> Result<Sources, Failure> {
    let model = Models::get(client, resource("models", model)).await?;
    let profile = match model.profile.as_str() {
        "" => None,
        name => {
            let request = v1::GetProfileRequest {
                name: name.to_owned(),
            };
            Some(client.catalog.get_profile(request).await?.into_inner())
        }
    };
    let mut rules = Vec::new();
    let fetch = async |size, token| NamingRules::page(client, size, token).await;
    pages(None, fetch, |rule| {
        rules.push(rule);
        Ok(())
    })
    .await?;
    let labels = labels(client, &model.name).await?;
    Ok(Sources {
        models: names::<Models>(client, |model| &model.name).await?,
        sites: names::<Sites>(client, |site| &site.name).await?,
        model,
        profile,
        rules,
        labels,
    })
}

/// The names of all resources of a kind; none where there are too many to choose from.
async fn names<N: Noun>(
    client: &mut Client,
    name: impl Fn(&N::Wire) -> &String,
) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    let fetch = async |size, token| N::page(client, size, token).await;
    let listed = pages(Some(CHOICE_LIMIT), fetch, |one| {
        let name = name(&one);
        names.push(name.rsplit('/').next().unwrap_or(name).to_owned());
        Ok(())
    })
    .await?;
    Ok(match listed {
        Listed::Whole => names,
        Listed::Cut => Vec::new(),
    })
}

/// The labels that devices of a model have. Who may not see devices gets a template without them.
async fn labels(client: &mut Client, model: &str) -> Result<Vec<String>, Failure> {
    let name = model.trim_start_matches("models/");
    let request = v1::ListDevicesRequest {
        page_size: DEVICE_LIMIT,
        page_token: String::new(),
        filter: format!("model = {name:?}"),
    };
    let devices = match client.devices.list_devices(request).await {
        Ok(answer) => answer.into_inner().devices,
        Err(status) if status.code() == tonic::Code::PermissionDenied => Vec::new(),
        Err(status) => return Err(status.into()),
    };
    let keys: BTreeSet<_> = devices
        .into_iter()
        .flat_map(|device| device.labels.into_keys())
        .collect();
    Ok(keys.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_goes_where_it_is_sent() {
        let check = |file: Option<&str>, format, expected: Option<Option<&str>>| {
            let found = target(file.map(PathBuf::from), format, "models/GW-200").ok();
            let found = found.map(|target| target.map(|(path, _)| path));
            assert_eq!(found, expected.map(|path| path.map(PathBuf::from)));
        };
        check(Some("a/m.csv"), Format::Table, Some(Some("a/m.csv")));
        check(None, Format::Table, Some(Some("GW-200.xlsx")));
        check(None, Format::Csv, Some(None));
        check(None, Format::Json, None);
        check(Some("m.pdf"), Format::Table, None);
    }
}
