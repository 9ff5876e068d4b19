//! The `Devices` service.

use super::{
    Api, convert, page,
    peer::permit,
    status::{failed, refused},
};
use crate::{
    fault::Failure,
    service::{Told, Watched, Witness},
    store::{DeviceName, DeviceQuery},
    tls::{Peer, Shown},
};
use muster_domain::{
    Code, Refusal,
    certificate::SpkiDigest,
    device::{ClaimWindow, Device, KeyChoice, Membership, Transition},
    filter::evaluate,
    ids::DeviceId,
    names::GroupName,
};
use muster_proto::v1::{self, devices_server::Devices};
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

/// Devices looked at for one page: a filter that matches almost nothing answers with an empty page and a token
/// rather than with a long silence.
const SCAN_LIMIT: usize = 20_000;

/// Longest time over which an order of renewals is spread: a tenth of a certificate's life.
const SPREAD_LIMIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Most devices of one change of a group's members.
const MEMBER_LIMIT: usize = 1000;

/// Changes made and not yet sent: a slow watcher does not grow our memory.
const CHANGES_AHEAD: usize = 16;

fn device_name(text: &str) -> Result<DeviceName, Refusal> {
    let rest = convert::name(text, "devices", "name")?;
    match rest.strip_prefix("serial:") {
        Some(serial) => Ok(DeviceName::Serial(serial.to_owned())),
        None => convert::id(text, "devices", "name").map(DeviceName::Id),
    }
}

/// The revision behind an etag; empty means any.
fn revision(etag: &str) -> Result<Option<u64>, Refusal> {
    if etag.is_empty() {
        return Ok(None);
    }
    let number = etag.strip_prefix('r').and_then(|number| number.parse().ok());
    number.map(Some).ok_or_else(|| {
        Refusal::new(Code::EtagMismatch, format!("{etag:?} is no etag of a device")).at("etag")
    })
}

/// When a device may claim, if it can be read and is open at some time.
fn claim_window(wire: &v1::ClaimWindow) -> Result<ClaimWindow, Refusal> {
    let wrong =
        |why: &str, field: &str| Refusal::new(Code::RequestInvalid, why).at(format!("window.{field}"));
    let read = |at: &Option<prost_types::Timestamp>, field| {
        at.as_ref()
            .map(|at| convert::instant(at).ok_or_else(|| wrong("is no time since 1970", field)))
            .transpose()
    };
    let window = ClaimWindow {
        opens: read(&wire.opens, "opens")?,
        closes: read(&wire.closes, "closes")?,
    };
    if window.is_real() {
        Ok(window)
    } else {
        Err(wrong("is not after it opens", "closes"))
    }
}

/// With which key a device may claim: absent, as it is; empty, with any.
fn key_choice(wire: Option<&[u8]>) -> Result<KeyChoice, Refusal> {
    match wire {
        None => Ok(KeyChoice::Kept),
        Some([]) => Ok(KeyChoice::Any),
        Some(digest) => {
            let key = digest
                .try_into()
                .map(|digest| KeyChoice::Only(SpkiDigest(digest)));
            key.map_err(|_| {
                let why = format!("has {} bytes; a SHA-256 has 32", digest.len());
                Refusal::new(Code::RequestInvalid, why).at("spki_sha256")
            })
        }
    }
}

/// Devices by name, and what becomes of them in a group.
fn members(
    asked: &v1::UpdateGroupMembersRequest,
) -> Result<(GroupName, Membership, Vec<DeviceName>), Refusal> {
    use v1::update_group_members_request::Step;
    let group = convert::id(&asked.group, "groups", "group")?;
    let membership = match asked.step() {
        Step::Add => Membership::Joined,
        Step::Remove => Membership::Left,
        Step::Unspecified => return Err(Refusal::new(Code::RequestInvalid, "names no step").at("step")),
    };
    if asked.devices.len() > MEMBER_LIMIT {
        let why = format!(
            "holds {} devices; at most {MEMBER_LIMIT} fit one call",
            asked.devices.len()
        );
        return Err(Refusal::new(Code::TooLarge, why).at("devices"));
    }
    let named = asked.devices.iter().enumerate();
    let named = named
        .map(|(place, text)| device_name(text).map_err(|refusal| refusal.at(format!("devices[{place}]"))));
    Ok((group, membership, named.collect::<Result<_, _>>()?))
}

impl Api {
    fn shown(&self, device: &Device) -> v1::Device {
        let catalog = self.service.store().catalog();
        let rules = catalog
            .groups
            .values()
            .filter_map(|group| Some((group, group.rule.as_ref()?)));
        let matching = rules.filter(|(_, rule)| evaluate(rule.filter(), device));
        v1::Device {
            kept: device.kept.clone().into_iter().collect(),
            matching_groups: matching
                .map(|(group, _)| format!("groups/{}", group.name))
                .collect(),
            ..convert::device::device(device)
        }
    }

    async fn change<T>(
        &self,
        request: &Request<T>,
        name: &str,
        etag: &str,
        transition: Transition,
    ) -> Result<Response<v1::Device>, Status> {
        let permit = permit(request)?;
        let name = device_name(name).map_err(|refusal| refused(&refusal))?;
        let revision = revision(etag).map_err(|refusal| refused(&refusal))?;
        let device = self
            .service
            .change_device(&permit, &name, transition, revision)
            .await;
        let device = device.map_err(|failure| failed(&failure))?;
        Ok(Response::new(self.shown(&device)))
    }

    async fn page_of_devices(
        &self,
        request: &v1::ListDevicesRequest,
    ) -> Result<v1::ListDevicesResponse, Failure> {
        let size = page::size(request.page_size)?;
        let filter = page::device_filter(&request.filter, &self.service.store().catalog())?;
        let arguments = format!("devices|{}", request.filter.trim());
        let after = self
            .pages
            .number(&request.page_token, &arguments)?
            .map(DeviceId::from_u128);
        let query = DeviceQuery {
            filter,
            after,
            limit: size,
            scan_limit: SCAN_LIMIT,
        };
        let found = self.service.store().list_devices(query).await;
        let found = found.map_err(|error| crate::fault::Fault::log("list devices", &error))?;
        let token = found
            .next
            .map(|next| self.pages.token(&next.as_u128().to_be_bytes(), &arguments));
        Ok(v1::ListDevicesResponse {
            devices: found.devices.iter().map(convert::device::device).collect(),
            next_page_token: token.unwrap_or_default(),
        })
    }
}

/// The certificate by which the call was let in: a call that lasts is looked at again.
fn witness<T>(request: &Request<T>) -> Result<Witness, Status> {
    match request.extensions().get::<Peer>().map(|peer| &peer.shown) {
        Some(Shown::Operator(leaf)) => Ok(Witness {
            leaf: Arc::clone(leaf),
        }),
        Some(Shown::Device(_) | Shown::Nothing) | None => Err(Status::internal("request was not authorised")),
    }
}

#[tonic::async_trait]
impl Devices for Api {
    type WatchDevicesStream = Pin<Box<dyn Stream<Item = Result<v1::WatchDevicesResponse, Status>> + Send>>;

    async fn watch_devices(
        &self,
        request: Request<v1::WatchDevicesRequest>,
    ) -> Result<Response<Self::WatchDevicesStream>, Status> {
        let (permit, witness) = (permit(&request)?, witness(&request)?);
        let asked = request.into_inner();
        let filter = page::device_filter(&asked.filter, &self.service.store().catalog())
            .map_err(|refusal| refused(&refusal))?;
        let watched = Watched {
            filter,
            text: asked.filter,
            resume_token: asked.resume_token,
            include_current: asked.include_current,
        };
        let (telling, told) = mpsc::channel(CHANGES_AHEAD);
        let watching = self.service.watch_devices(&permit, witness, watched, telling);
        watching.map_err(|failure| failed(&failure))?;
        let rendered = |told: Result<Told, _>| {
            told.map(convert::device::told)
                .map_err(|failure| failed(&failure))
        };
        Ok(Response::new(Box::pin(ReceiverStream::new(told).map(rendered))))
    }

    async fn get_device(
        &self,
        request: Request<v1::GetDeviceRequest>,
    ) -> Result<Response<v1::Device>, Status> {
        permit(&request)?;
        let name = device_name(&request.get_ref().name).map_err(|refusal| refused(&refusal))?;
        let device = self
            .service
            .device(&name)
            .await
            .map_err(|failure| failed(&failure))?;
        Ok(Response::new(self.shown(&device)))
    }

    async fn list_devices(
        &self,
        request: Request<v1::ListDevicesRequest>,
    ) -> Result<Response<v1::ListDevicesResponse>, Status> {
        permit(&request)?;
        self.page_of_devices(request.get_ref())
            .await
            .map(Response::new)
            .map_err(|failure| failed(&failure))
    }

    async fn explain_device(
        &self,
        request: Request<v1::ExplainDeviceRequest>,
    ) -> Result<Response<v1::ExplainDeviceResponse>, Status> {
        permit(&request)?;
        let name = device_name(&request.get_ref().name).map_err(|refusal| refused(&refusal))?;
        let device = self
            .service
            .device(&name)
            .await
            .map_err(|failure| failed(&failure))?;
        let explained = self.service.explain(&device).await;
        let explained = explained.map_err(|failure| failed(&failure))?;
        Ok(Response::new(convert::device::explanation(explained)))
    }

    async fn suspend_device(
        &self,
        request: Request<v1::SuspendDeviceRequest>,
    ) -> Result<Response<v1::Device>, Status> {
        let v1::SuspendDeviceRequest { name, reason, etag } = request.get_ref().clone();
        self.change(&request, &name, &etag, Transition::Suspend(reason))
            .await
    }

    async fn resume_device(
        &self,
        request: Request<v1::ResumeDeviceRequest>,
    ) -> Result<Response<v1::Device>, Status> {
        let v1::ResumeDeviceRequest { name, etag } = request.get_ref().clone();
        self.change(&request, &name, &etag, Transition::Resume).await
    }

    async fn retire_device(
        &self,
        request: Request<v1::RetireDeviceRequest>,
    ) -> Result<Response<v1::Device>, Status> {
        let v1::RetireDeviceRequest { name, reason, etag } = request.get_ref().clone();
        self.change(&request, &name, &etag, Transition::Retire(reason))
            .await
    }

    async fn reissue_code(
        &self,
        request: Request<v1::ReissueCodeRequest>,
    ) -> Result<Response<v1::ReissueCodeResponse>, Status> {
        let permit = permit(&request)?;
        let asked = request.get_ref();
        let name = device_name(&asked.name).map_err(|refusal| refused(&refusal))?;
        let revision = revision(&asked.etag).map_err(|refusal| refused(&refusal))?;
        let ttl = Duration::from_secs(asked.code_ttl_seconds);
        let key = key_choice(asked.spki_sha256.as_deref()).map_err(|refusal| refused(&refusal))?;
        let issued = self.service.reissue_code(&permit, &name, revision, ttl, key);
        let (device, code) = issued.await.map_err(|failure| failed(&failure))?;
        let device = Some(self.shown(&device));
        Ok(Response::new(v1::ReissueCodeResponse {
            device,
            activation_code: code.reveal(),
        }))
    }

    async fn order_renewals(
        &self,
        request: Request<v1::OrderRenewalsRequest>,
    ) -> Result<Response<v1::OrderRenewalsResponse>, Status> {
        let permit = permit(&request)?;
        let asked = request.into_inner();
        let filter = page::device_filter(&asked.filter, &self.service.store().catalog())
            .map_err(|refusal| refused(&refusal))?;
        let over = Duration::from_secs(asked.spread_seconds);
        if over > SPREAD_LIMIT {
            let refusal = Refusal::new(Code::RequestInvalid, "is over 30 days").at("spread_seconds");
            return Err(refused(&refusal));
        }
        let ordered = self.service.order_renewals(&permit, filter, over).await;
        let ordered = ordered.map_err(|failure| failed(&failure))?;
        Ok(Response::new(v1::OrderRenewalsResponse { ordered }))
    }

    async fn arm_device(
        &self,
        request: Request<v1::ArmDeviceRequest>,
    ) -> Result<Response<v1::Device>, Status> {
        let v1::ArmDeviceRequest {
            name,
            window,
            etag,
            spki_sha256,
        } = request.get_ref().clone();
        let key = key_choice(spki_sha256.as_deref()).map_err(|refusal| refused(&refusal))?;
        // Whoever speaks of the key alone does not mean the window.
        let window = match (window, key) {
            (None, KeyChoice::Any | KeyChoice::Only(_)) => None,
            (window, _) => {
                Some(claim_window(&window.unwrap_or_default()).map_err(|refusal| refused(&refusal))?)
            }
        };
        self.change(&request, &name, &etag, Transition::Arm { window, key })
            .await
    }

    async fn clear_clone_alarm(
        &self,
        request: Request<v1::ClearCloneAlarmRequest>,
    ) -> Result<Response<v1::Device>, Status> {
        let permit = permit(&request)?;
        let asked = request.into_inner();
        let name = device_name(&asked.name).map_err(|refusal| refused(&refusal))?;
        let revision = revision(&asked.etag).map_err(|refusal| refused(&refusal))?;
        let cleared = self
            .service
            .clear_clone_alarm(&permit, &name, revision, asked.reason)
            .await;
        let device = cleared.map_err(|failure| failed(&failure))?;
        Ok(Response::new(self.shown(&device)))
    }

    async fn update_group_members(
        &self,
        request: Request<v1::UpdateGroupMembersRequest>,
    ) -> Result<Response<v1::UpdateGroupMembersResponse>, Status> {
        let permit = permit(&request)?;
        let asked = request.into_inner();
        let (group, membership, devices) = members(&asked).map_err(|refusal| refused(&refusal))?;
        let updated = self
            .service
            .update_group(&permit, group, membership, devices)
            .await;
        let updated = updated.map_err(|failure| failed(&failure))?;
        let outcomes = asked.devices.into_iter().zip(updated);
        Ok(Response::new(v1::UpdateGroupMembersResponse {
            outcomes: outcomes
                .map(|(device, outcome)| convert::device::membership(device, &outcome))
                .collect(),
        }))
    }
}
