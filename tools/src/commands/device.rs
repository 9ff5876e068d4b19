//! `muster device`.

use super::{list, resource, watch::Watch, with_caret};
use crate::{
    cli::{ListArgs, Session},
    commands::import::Ttl,
    failure::Failure,
    output::{Format, Listing, print_one},
    records::{Device, Explanation, OrderedRenewals, ReissuedCode, Step},
};
use clap::{Args, Subcommand};
use muster_domain::{certificate::SpkiDigest, device::schema};
use muster_proto::v1;
use std::str::FromStr;

/// What can be done with devices.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List devices, oldest first.
    #[command(visible_alias = "ls", after_long_help = LIST_HELP)]
    List {
        /// Which ones, such as 'model = "GW-200" AND state = ACTIVE'.
        #[arg(long, default_value = "", hide_default_value = true, value_name = "FILTER")]
        filter: String,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show a device.
    Get(Named),
    Watch(Watch),
    /// The step a device is at, why, and what to do next.
    Explain(Named),
    /// Shut a device out at once: its session is closed, its certificate refused.
    Suspend(Change),
    /// Let a suspended device in again.
    Resume {
        #[command(flatten)]
        device: Named,
        /// Only if the device still has this etag.
        #[arg(long, default_value = "", hide_default_value = true)]
        etag: String,
    },
    /// End a device's life for ever; its certificate is revoked.
    Retire(Change),
    /// Give a device a new activation code, with which it claims anew. The old code is void, and so is a certificate that it had.
    ///
    /// A key that an unused code was bound to is the new code's, too. A device that had claimed may come with any key, unless
    /// --key-sha256 says otherwise.
    ReissueCode {
        #[command(flatten)]
        device: Named,
        /// How long the code lasts, such as 30d or 12h; without it, until used.
        #[arg(long, value_name = "TIME")]
        code_ttl: Option<Ttl>,
        #[command(flatten)]
        key: KeyArgs,
        /// Only if the device still has this etag.
        #[arg(long, default_value = "", hide_default_value = true)]
        etag: String,
    },
    /// Ask devices for new certificates, such as before an authority ends.
    #[command(after_help = RENEW_HELP)]
    Renew {
        /// One device: its id, or its serial.
        #[arg(
            value_name = "ID|serial:SERIAL",
            conflicts_with = "filter",
            required_unless_present = "filter"
        )]
        device: Option<String>,
        /// Which ones, such as 'model = "GW-200"'.
        #[arg(long, value_name = "FILTER")]
        filter: Option<String>,
        /// Spread them over so much time, such as 6h; without it, all at once. At most 30d.
        #[arg(long, value_name = "TIME", requires = "filter")]
        over: Option<Ttl>,
    },
    /// Say when a device may claim that has not begun to, and with which key.
    ///
    /// Without any option, it may claim at any time. Options for the key alone leave the times as they are, and times the key.
    #[command(after_help = ARM_HELP)]
    Arm {
        #[command(flatten)]
        device: Named,
        /// Not before, such as 2027-01-31 or 2027-01-31T08:00:00Z.
        #[arg(long, value_name = "TIME")]
        from: Option<Moment>,
        /// Not from then on.
        #[arg(long, value_name = "TIME")]
        until: Option<Moment>,
        #[command(flatten)]
        key: KeyArgs,
        /// Only if the device still has this etag.
        #[arg(long, default_value = "", hide_default_value = true)]
        etag: String,
    },
    /// Say that a possible clone was looked into, and what was found.
    ClearAlarm(Change),
}

/// With which key a device may claim.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// With this key alone: SHA-256 of its public key (SubjectPublicKeyInfo in DER), in hexadecimal or base64.
    #[arg(long, visible_alias = "spki-sha256", value_name = "HEX")]
    key_sha256: Option<SpkiDigest>,
    /// With any key.
    #[arg(long, conflicts_with = "key_sha256")]
    any_key: bool,
}

impl KeyArgs {
    /// As requests say it: absent, as it is; empty, any.
    fn wire(&self) -> Option<Vec<u8>> {
        match self.key_sha256 {
            Some(key) => Some(key.0.to_vec()),
            None => self.any_key.then(Vec::new),
        }
    }
}

/// A moment: RFC 3339, or a day, which begins at midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(jiff::Timestamp);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let day = || format!("{text}T00:00:00Z").parse();
        let read = text.parse().or_else(|_| day());
        read.map(Self)
            .map_err(|_| format!("{text:?} is not a time such as 2027-01-31 or 2027-01-31T08:00:00Z"))
    }
}

impl From<Moment> for prost_types::Timestamp {
    fn from(Moment(at): Moment) -> Self {
        Self {
            seconds: at.as_second(),
            nanos: at.subsec_nanosecond(),
        }
    }
}

const RENEW_HELP: &str = "\
Each device makes a new key and gets a new certificate for it; the old one is good until it was seen with the new one.
Connected devices hear of it at once, others when they next connect.

Examples:
  muster device renew GW2-7000001
  muster device renew --filter 'model = \"GW-200\"' --over 6h";

const ARM_HELP: &str = "\
The digest of a key, from its request: openssl req -in d.csr -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum

Examples:
  muster device arm GW2-7000001 --from 2027-01-31 --until 2027-03-01
  muster device arm GW2-7000001 --key-sha256 8d3ca9b74f1d35d25f4c4c2b1f7f9b6d4a1b6f0e3b9d2c5a7e8f90123456789a";

const LIST_HELP: &str = "\
Filters compare fields with = != < <= > >=, joined by AND, OR, NOT and parentheses. A * at the beginning or end of a text
stands for anything; FIELD:* asks whether there is a value.
Fields: id, serial, mac, model, hardware, firmware, factory_firmware, site, position, state, verification, batch, row,
generation, create_time, update_time, clone_suspected, certificate_not_after, trust_version, online, presence_time,
group, labels.KEY, variables.KEY.

Examples:
  muster device list --filter 'model = \"GW-200\" AND state = ACTIVE'
  muster device list --filter 'site = MUC-01 AND firmware < 2.4.0' -o csv
  muster device list --filter 'serial = \"GW2-70*\" AND NOT verification = VERIFIED' --columns serial,state,labels.rack";

/// A device by name.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its id, or serial:SERIAL; a text that cannot be an id is taken for a serial.
    #[arg(value_name = "ID|serial:SERIAL")]
    device: String,
}

/// A change with a reason.
#[derive(Debug, Args)]
pub(crate) struct Change {
    #[command(flatten)]
    device: Named,
    /// Why, for whoever looks later.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Only if the device still has this etag.
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
}

impl Named {
    /// The same, from another command's option.
    pub(crate) const fn of(device: String) -> Self {
        Self { device }
    }

    /// As a filter that matches it alone.
    fn filter(&self) -> String {
        let resource = self.resource();
        let text = resource.trim_start_matches("devices/");
        match text.strip_prefix("serial:") {
            Some(serial) => format!("serial = {serial:?}"),
            None => format!("id = {text:?}"),
        }
    }

    /// `devices/{id}` or `devices/serial:{serial}`.
    pub(crate) fn resource(&self) -> String {
        let text = self.device.strip_prefix("devices/").unwrap_or(&self.device);
        let is_id = text.len() == muster_proto::topic::ID_LENGTH
            && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        if is_id || text.starts_with("serial:") {
            resource("devices", text)
        } else {
            format!("devices/serial:{text}")
        }
    }
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let client = session.client().await?;
        let mut devices = client.devices.clone();
        let changed = match self {
            Self::Watch(watch) => return watch.run(session, client).await,
            Self::List {
                filter,
                list: arguments,
            } => {
                let fetch = async |page_size, page_token| {
                    let request = v1::ListDevicesRequest {
                        page_size,
                        page_token,
                        filter: filter.clone(),
                    };
                    let page = devices.list_devices(request).await?.into_inner();
                    Ok((page.devices, page.next_page_token))
                };
                let listed = list::<_, Device>(session, &arguments, fetch).await;
                return listed.map_err(|failure| with_caret(failure, &filter, schema()));
            }
            Self::Get(device) => {
                devices
                    .get_device(v1::GetDeviceRequest {
                        name: device.resource(),
                    })
                    .await?
            }
            Self::Explain(device) => {
                let request = v1::ExplainDeviceRequest {
                    name: device.resource(),
                };
                let explained = devices.explain_device(request).await?.into_inner();
                return explain(session, &Explanation::from(explained));
            }
            Self::Suspend(Change { device, reason, etag }) => {
                devices
                    .suspend_device(v1::SuspendDeviceRequest {
                        name: device.resource(),
                        reason,
                        etag,
                    })
                    .await?
            }
            Self::Resume { device, etag } => {
                devices
                    .resume_device(v1::ResumeDeviceRequest {
                        name: device.resource(),
                        etag,
                    })
                    .await?
            }
            Self::Retire(Change { device, reason, etag }) => {
                devices
                    .retire_device(v1::RetireDeviceRequest {
                        name: device.resource(),
                        reason,
                        etag,
                    })
                    .await?
            }
            Self::Arm {
                device,
                from,
                until,
                key,
                etag,
            } => {
                let spki_sha256 = key.wire();
                let speaks_of_times = from.is_some() || until.is_some() || spki_sha256.is_none();
                let window = speaks_of_times.then(|| v1::ClaimWindow {
                    opens: from.map(Into::into),
                    closes: until.map(Into::into),
                });
                devices
                    .arm_device(v1::ArmDeviceRequest {
                        name: device.resource(),
                        window,
                        etag,
                        spki_sha256,
                    })
                    .await?
            }
            Self::ClearAlarm(Change { device, reason, etag }) => {
                devices
                    .clear_clone_alarm(v1::ClearCloneAlarmRequest {
                        name: device.resource(),
                        reason,
                        etag,
                    })
                    .await?
            }
            Self::ReissueCode {
                device,
                code_ttl,
                key,
                etag,
            } => {
                let code_ttl_seconds = code_ttl.map_or(0, |ttl| ttl.0.as_secs());
                let request = v1::ReissueCodeRequest {
                    name: device.resource(),
                    etag,
                    code_ttl_seconds,
                    spki_sha256: key.wire(),
                };
                let answer = devices.reissue_code(request).await?.into_inner();
                let device = answer.device.unwrap_or_default();
                let activation_code = answer.activation_code;
                let reissued = ReissuedCode {
                    device: device.name,
                    serial: device.serial,
                    activation_code,
                };
                return print_one(session.out, session.format, &reissued);
            }
            Self::Renew { device, filter, over } => {
                let filter = match (device, filter) {
                    (Some(device), _) => Named::of(device).filter(),
                    (None, filter) => filter.unwrap_or_default(),
                };
                let request = v1::OrderRenewalsRequest {
                    filter: filter.clone(),
                    spread_seconds: over.map_or(0, |over| over.0.as_secs()),
                };
                let answer = devices.order_renewals(request).await;
                let answer = answer.map_err(|status| with_caret(Failure::from(status), &filter, schema()))?;
                let ordered = answer.into_inner().ordered;
                return print_one(session.out, session.format, &OrderedRenewals { ordered });
            }
        };
        print_one(session.out, session.format, &Device::from(changed.into_inner()))
    }
}

fn explain(session: &mut Session<'_>, explanation: &Explanation) -> Result<(), Failure> {
    if session.format != Format::Table {
        return print_one(session.out, session.format, explanation);
    }
    writeln!(
        session.out,
        "{}\n",
        crate::output::text::line(&explanation.summary)
    )?;
    let mut steps = Listing::of::<Step>(session.out, Format::Table, &[])?;
    for step in &explanation.steps {
        steps.push(step)?;
    }
    steps.finish()?;
    for change in &explanation.changes {
        writeln!(session.out, "\nIn {}", crate::output::text::line(change))?;
    }
    for warning in &explanation.warnings {
        writeln!(session.out, "\nWarning: {}", crate::output::text::line(warning))?;
    }
    if !explanation.next.is_empty() {
        writeln!(session.out, "\nNext:")?;
        for next in &explanation.next {
            writeln!(session.out, "  {}", crate::output::text::line(next))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Answer;
    use muster_domain::filter::Filter;

    #[test]
    fn a_device_is_named_by_id_or_serial() {
        let check =
            |text: &str, expected: &str| assert_eq!(Named { device: text.into() }.resource(), expected);
        check("01hzxk3v9q4t5y6w7e8r9t0a1b", "devices/01hzxk3v9q4t5y6w7e8r9t0a1b");
        check(
            "devices/01hzxk3v9q4t5y6w7e8r9t0a1b",
            "devices/01hzxk3v9q4t5y6w7e8r9t0a1b",
        );
        check(
            "serial:01hzxk3v9q4t5y6w7e8r9t0a1b",
            "devices/serial:01hzxk3v9q4t5y6w7e8r9t0a1b",
        );
        check("GW2-7000001", "devices/serial:GW2-7000001");
    }

    #[test]
    fn a_moment_is_a_time_or_a_day() {
        let check = |text: &str, expected: Option<i64>| {
            let moment = text.parse::<Moment>().ok();
            assert_eq!(moment.map(|moment| moment.0.as_second()), expected, "{text}");
        };
        check("1970-01-02", Some(86_400));
        check("1970-01-01T00:00:07Z", Some(7));
        check("1970-01-01T01:00:07+01:00", Some(7));
        for wrong in ["", "tomorrow", "1970-13-01", "1970-01-01T00:00:07"] {
            check(wrong, None);
        }
    }

    #[test]
    fn the_help_names_fields_that_exist_and_filters_that_work() {
        let named = LIST_HELP
            .split_once("Fields: ")
            .unwrap()
            .1
            .split_once(".\n")
            .unwrap()
            .0;
        let known: Vec<_> = schema().names().collect();
        let named: Vec<_> = named
            .split([',', '\n', ' '])
            .filter(|name| !name.is_empty())
            .map(|name| name.trim_end_matches(".KEY"))
            .collect();
        assert_eq!(named, known);
        let filters: Vec<_> = LIST_HELP.split('\'').skip(1).step_by(2).collect();
        assert_eq!(filters.len(), 3);
        for filter in filters {
            Filter::parse(filter).unwrap().check(schema()).unwrap();
        }
    }

    #[test]
    fn a_wrong_filter_is_marked() {
        let answer = Answer {
            status: tonic::Code::InvalidArgument,
            number: Some(1002),
            reason: "FILTER_INVALID".into(),
            message: "filter: unknown field".into(),
            help: String::new(),
            fields: vec![],
            retry_after: None,
            reference: None,
        };
        let failure = with_caret(
            Failure::Refused(Box::new(answer)),
            " modle = \"GW-200\"",
            schema(),
        );
        let text = failure.to_string();
        assert!(text.ends_with("\n  modle = \"GW-200\"\n  ^^^^^"), "{text}");
    }
}
