//! Forecasts.

use super::timestamp;
use crate::service::ForecastPart;
use muster_domain::{
    Timestamp,
    forecast::{Alike, Forecast, Foretold, Kind, Outcome},
};
use muster_firmware_policy as policy;
use muster_proto::v1::{self, forecast_firmware_response as response};

const fn outcome(outcome: Outcome) -> v1::foretold_device::Outcome {
    use v1::foretold_device::Outcome as Wire;
    match outcome {
        Outcome::InstallForbidden => Wire::InstallForbidden,
        Outcome::InstallOverdue => Wire::InstallOverdue,
        Outcome::Install => Wire::Install,
        Outcome::Wait => Wire::Wait,
        Outcome::Stuck => Wire::Stuck,
        Outcome::Compliant => Wire::Compliant,
        Outcome::NotApplicable => Wire::NotApplicable,
    }
}

fn moment(at: policy::Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.unix_seconds(),
        nanos: 0,
    }
}

fn device(foretold: Foretold) -> v1::ForetoldDevice {
    v1::ForetoldDevice {
        device: format!("devices/{}", foretold.device),
        serial: foretold.serial.to_string(),
        channel: foretold.channel.map(String::from).unwrap_or_default(),
        outcome: outcome(foretold.outcome).into(),
        running: foretold
            .running
            .map(|version| version.to_string())
            .unwrap_or_default(),
        assumed: foretold.is_assumed,
        versions: foretold.versions.iter().map(ToString::to_string).collect(),
        until: foretold.until.map(moment),
        reasons: foretold
            .reasons
            .iter()
            .map(|reason| reason.code().to_owned())
            .collect(),
        explanation: foretold.explanation,
    }
}

fn alike(kind: Kind, alike: Alike) -> v1::firmware_forecast::Alike {
    v1::firmware_forecast::Alike {
        channel: kind.channel.map(String::from).unwrap_or_default(),
        outcome: outcome(kind.outcome).into(),
        running: kind.running,
        versions: kind.versions,
        why: kind.why,
        count: alike.count,
        assumed: alike.assumed,
        examples: alike.examples.iter().map(ToString::to_string).collect(),
    }
}

fn forecast(forecast: Forecast, at: Timestamp) -> v1::FirmwareForecast {
    let devices = forecast.devices();
    let outcomes = forecast.outcomes.iter();
    let named = |(of, count): (&Outcome, &u64)| (outcome(*of).as_str_name().to_owned(), *count);
    let mut kinds: Vec<_> = forecast.kinds.into_iter().collect();
    kinds.sort_by_key(|(kind, alike)| (kind.outcome, std::cmp::Reverse(alike.count)));
    v1::FirmwareForecast {
        devices,
        outcomes: outcomes.map(named).collect(),
        alike: kinds
            .into_iter()
            .map(|(kind, those)| alike(kind, those))
            .collect(),
        beyond: forecast.beyond,
        time: Some(timestamp(at)),
    }
}

pub(crate) fn part(part: ForecastPart) -> v1::ForecastFirmwareResponse {
    let part = match part {
        ForecastPart::LookedAt(count) => response::Part::LookedAt(count),
        ForecastPart::Devices(told) => response::Part::Devices(response::Devices {
            devices: told.into_iter().map(device).collect(),
        }),
        ForecastPart::Done(told, at) => response::Part::Forecast(forecast(told, at)),
    };
    v1::ForecastFirmwareResponse { part: Some(part) }
}
