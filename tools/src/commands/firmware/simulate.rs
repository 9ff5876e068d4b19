//! `muster firmware simulate`.

use super::of_file;
use crate::{
    cli::Session,
    commands::{
        catalog::{self, FirmwarePolicies, Noun as _},
        device::Moment,
        with_caret,
    },
    failure::Failure,
    output::{Format, Listing, print_one, text::line},
    records::{FirmwareForecast, ForetoldAlike, ForetoldDevice},
};
use clap::Args;
use muster_domain::device::schema;
use muster_proto::v1::{self, forecast_firmware_request::Policy, forecast_firmware_response::Part};
use std::path::PathBuf;
use tonic::{Status, Streaming};

/// Show what a firmware policy would make of the fleet, and why, before anything moves.
///
/// Every device is judged as it will judge itself: by what it last said that it runs, its model, hardware, labels, and the local
/// time at its site. Nothing is changed. What a device left the factory with stands for what it runs until it has said so.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Simulate {
    /// The policy: NAME for the newest revision, NAME@N for another. With a file: the one of that name in it.
    #[arg(required_unless_present = "file", value_name = "NAME[@N]")]
    policy: Option<String>,
    /// A policy that is not on record: from this file, as `muster apply` would read it.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Of these devices; see `muster device list --help`.
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
    /// For this moment, such as 2027-01-31T02:00:00Z; without it, now.
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,
    /// Print every device instead of what they have in common.
    #[arg(long)]
    each: bool,
}

const HELP: &str = "\
Examples:
  muster firmware simulate gw-200-stable
  muster firmware simulate -f gw-200-stable.toml --at 2027-01-31T02:00:00Z
  muster firmware simulate gw-200-stable@3 --filter 'site = \"MUC-01\"' --each -o csv > devices.csv";

impl Simulate {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let request = v1::ForecastFirmwareRequest {
            policy: Some(self.policy()?),
            filter: self.filter.clone(),
            time: self.at.map(Into::into),
            each_device: self.each,
        };
        let mut fleet = session.client().await?.fleet;
        let told = async {
            let parts = fleet.forecast_firmware(request).await?.into_inner();
            if self.each {
                each(session, parts).await
            } else {
                let forecast = last(parts).await?;
                show(session, &forecast)
            }
        };
        told.await
            .map_err(|failure| with_caret(failure, &self.filter, schema()))
    }

    fn policy(&self) -> Result<Policy, Failure> {
        let name = self.policy.as_deref();
        let Some(file) = &self.file else {
            let name = catalog::revision(FirmwarePolicies::COLLECTION, name.unwrap_or_default());
            return Ok(Policy::Name(name));
        };
        match of_file(file, name)?.as_slice() {
            [policy] => Ok(Policy::SourceJson(policy.source_json.clone())),
            _ => Err(Failure::usage(
                format!("{} holds several firmware policies", file.display()),
                "Name one of them.",
            )),
        }
    }
}

/// Prints devices as they come.
async fn each(
    session: &mut Session<'_>,
    mut parts: Streaming<v1::ForecastFirmwareResponse>,
) -> Result<(), Failure> {
    let mut listing = Listing::of::<ForetoldDevice>(session.out, session.format, &[])?;
    while let Some(part) = parts.message().await? {
        if let Some(Part::Devices(told)) = part.part {
            for device in told.devices {
                listing.push(&ForetoldDevice::from(device))?;
            }
        }
    }
    listing.finish()
}

/// The forecast, which is the last part.
async fn last(mut parts: Streaming<v1::ForecastFirmwareResponse>) -> Result<FirmwareForecast, Failure> {
    while let Some(part) = parts.message().await? {
        if let Some(Part::Forecast(forecast)) = part.part {
            return Ok(forecast.into());
        }
    }
    Err(Status::unavailable("the server ended the forecast before its end").into())
}

fn show(session: &mut Session<'_>, forecast: &FirmwareForecast) -> Result<(), Failure> {
    if session.format != Format::Table {
        return print_one(session.out, session.format, forecast);
    }
    writeln!(session.out, "{}\n", line(&forecast.summary()))?;
    let mut kinds = Listing::of::<ForetoldAlike>(session.out, Format::Table, &[])?;
    for alike in &forecast.alike {
        kinds.push(alike)?;
    }
    kinds.finish()?;
    if forecast.beyond > 0 {
        writeln!(
            session.out,
            "\n{} more devices have answers of other kinds; see --each.",
            forecast.beyond
        )?;
    }
    Ok(())
}
