//! Devices as they change, for as long as somebody watches.
//!
//! A watcher is woken by what is committed, and told how each device that changed stands then: what lies between is not told, and
//! nothing is told in vain for long. Every device is told at least once after its last change; a token goes on where a watch ended, even
//! in another process.

mod token;

use super::{OrFault as _, Service, stopping};
use crate::{
    fault::Failure,
    store::{Changed, DevicePage, DeviceQuery, WATCHER_LIMIT, Watcher},
};
use muster_domain::{
    Code, Refusal, Timestamp,
    access::{Operator, Permit},
    catalog::Catalog,
    device::{Device, DeviceField, check_filter},
    filter::{self, CheckedFilter, Filter},
    ids::DeviceId,
    watch::{Change, Known, Sight},
};
use std::{sync::Arc, time::Duration};
use token::Token;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

/// How often a watcher hears of a token that goes on, and is looked at, whatever happens.
const CHECKPOINT: Duration = Duration::from_secs(10);
/// Devices looked up at once.
const LOOK_UP: usize = 512;
/// Devices looked at for one page of what is there at the beginning.
const SCAN: usize = 20_000;
/// Devices that are remembered as told, of a watcher with a filter: about 2 MB.
const KNOWN_LIMIT: usize = 1 << 16;
/// How long the last words to a watcher may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// What is watched.
#[derive(Debug)]
pub struct Watched {
    /// `None`: every device.
    pub filter: Option<CheckedFilter<DeviceField>>,
    /// The filter as it was written: tokens are for it alone.
    pub text: String,
    /// From where on; empty: from now on.
    pub resume_token: String,
    /// First of all, what matches now.
    pub include_current: bool,
}

/// Who watches: looked up again and again, for a permit says only who may begin.
#[derive(Debug)]
pub struct Witness {
    /// The certificate of the connection, DER.
    pub leaf: Arc<[u8]>,
}

/// What a watcher hears.
#[derive(Debug)]
pub enum Told {
    /// A device, and what became of it.
    Device {
        /// Which.
        id: DeviceId,
        /// What.
        change: Change,
        /// As it is, unless it is gone.
        device: Option<Box<Device>>,
    },
    /// Everything before this was told; the token goes on here.
    Checkpoint {
        /// Of this watch.
        token: String,
        /// What matched at the beginning was told; said once, if it was asked for.
        is_current: bool,
    },
    /// More changed than is remembered, while the watcher was slow, or a group that its filter names is another: what it has
    /// is to be listed anew.
    Resync,
}

/// Where a watcher is told.
pub type Telling = mpsc::Sender<Result<Told, Failure>>;

/// Why a watcher hears no more.
enum Stop {
    /// It went away, so it needs no reason.
    Gone,
    /// The server stops: the last word is a token.
    Stopping,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(failure: E) -> Self {
        Self::Failed(failure.into())
    }
}

struct Watch {
    service: Service,
    filter: Option<CheckedFilter<DeviceField>>,
    text: String,
    operator: Operator,
    witness: Witness,
    watcher: Watcher,
    known: Known,
    /// What changed before is told; `None` while what is there at the beginning is not.
    told_until: Option<Timestamp>,
    telling: Telling,
    /// The groups that the filter was read with.
    catalog: Arc<Catalog>,
}

impl Service {
    /// Tells of devices that change, until the watcher goes or may not watch any more, or the server stops. A slow watcher holds
    /// nothing up.
    ///
    /// # Errors
    /// [`Code::PageTokenInvalid`], [`Code::RequestInvalid`], [`Code::Busy`] when as many watch as may.
    pub fn watch_devices(
        &self,
        permit: &Permit,
        witness: Witness,
        watched: Watched,
        telling: Telling,
    ) -> Result<(), Failure> {
        let Watched {
            filter,
            text,
            resume_token,
            include_current,
        } = watched;
        let operator = super::operator(permit)?.clone();
        let since = Token::read(&resume_token, &text)?;
        if since.is_some() && include_current {
            let why = "is not for a watch that goes on: what it tells is what changed since";
            return Err(Refusal::new(Code::RequestInvalid, why)
                .at("include_current")
                .into());
        }
        let watcher = self.store.watch_devices().ok_or_else(|| {
            let why = format!("{WATCHER_LIMIT} watchers are here, as many as may be");
            Refusal::new(Code::Busy, why)
        })?;
        let known = if include_current && filter.is_some() {
            Known::nothing(KNOWN_LIMIT)
        } else {
            Known::anything()
        };
        let watch = Watch {
            service: self.clone(),
            filter,
            text,
            operator,
            witness,
            watcher,
            known,
            told_until: since,
            telling,
            catalog: self.store.catalog(),
        };
        tokio::spawn(watch.run(since, include_current));
        Ok(())
    }
}

impl Watch {
    async fn run(mut self, since: Option<Timestamp>, include_current: bool) {
        let stop = match self.follow(since, include_current).await {
            Err(stop) => stop,
            Ok(never) => match never {},
        };
        // Nobody may be there to hear it any more.
        let farewell = async {
            match stop {
                Stop::Gone => {}
                Stop::Stopping => {
                    if let Some(told_until) = self.told_until {
                        let checkpoint = self.checkpoint(told_until, false);
                        drop(self.telling.send(Ok(checkpoint)).await);
                    }
                    drop(self.telling.send(Err(stopping().into())).await);
                }
                Stop::Failed(failure) => drop(self.telling.send(Err(failure)).await),
            }
        };
        drop(timeout(FAREWELL, farewell).await);
    }

    async fn follow(
        &mut self,
        since: Option<Timestamp>,
        include_current: bool,
    ) -> Result<std::convert::Infallible, Stop> {
        let begin = self.service.clock.now();
        match since {
            Some(since) => self.tell_changed(since).await?,
            None if include_current => self.tell_current().await?,
            None => {}
        }
        self.told_until = Some(begin);
        self.tell(self.checkpoint(begin, include_current)).await?;
        let mut checkpoint = Instant::now() + CHECKPOINT;
        loop {
            self.wait(checkpoint).await?;
            self.may_watch().await?;
            self.read_again().await?;
            // What is committed before the look is marked before it: what is told then is all until now.
            let now = self.service.clock.now();
            self.look().await?;
            self.told_until = Some(now);
            if checkpoint <= Instant::now() {
                self.tell(self.checkpoint(now, false)).await?;
                checkpoint = Instant::now() + CHECKPOINT;
            }
        }
    }

    /// Until there is something to look at, or `until`.
    async fn wait(&self, until: Instant) -> Result<(), Stop> {
        tokio::select! {
            biased;
            () = self.service.stopping.cancelled() => Err(Stop::Stopping),
            () = self.telling.closed() => Err(Stop::Gone),
            () = self.watcher.woken() => Ok(()),
            () = sleep_until(until) => Ok(()),
        }
    }

    /// Is its operator still one who may? A permit is for one call, and this one lasts.
    async fn may_watch(&self) -> Result<(), Stop> {
        let operator = self.service.operator_of(&self.witness.leaf).await?;
        let is_same = operator.is_some_and(|now| now.enabled && now.name == self.operator.name);
        if is_same {
            return Ok(());
        }
        let why = "the operator who watches may not any more";
        Err(Refusal::new(Code::OperatorDisabled, why).into())
    }

    /// Reads the filter again when the catalog is another: a group of it may have other members now, of whom nothing changed
    /// but that.
    async fn read_again(&mut self) -> Result<(), Stop> {
        let catalog = self.service.store.catalog();
        if Arc::ptr_eq(&catalog, &self.catalog) {
            return Ok(());
        }
        self.catalog = catalog;
        let text = self.text.trim();
        if text.is_empty() {
            return Ok(());
        }
        let read = Filter::parse(text).and_then(|filter| check_filter(&filter, &self.catalog));
        let read = read.map_err(|why| Refusal::new(Code::FilterInvalid, why.to_string()).at("filter"))?;
        if self.filter.as_ref() == Some(&read) {
            return Ok(());
        }
        self.filter = Some(read);
        self.known = Known::anything();
        self.tell(Told::Resync).await
    }

    async fn look(&mut self) -> Result<(), Stop> {
        let ids = match self.watcher.take() {
            Changed::Devices(ids) => ids,
            Changed::TooMany => {
                // It lists anew, so that nobody knows what it knows.
                self.known = Known::anything();
                return self.tell(Told::Resync).await;
            }
        };
        for ids in ids.chunks(LOOK_UP) {
            let devices = self.service.store.devices_of(ids.to_vec()).await;
            for (id, device) in devices.or_fault("look up devices")? {
                self.tell_of(id, device).await?;
            }
        }
        Ok(())
    }

    /// Everything that matches now.
    async fn tell_current(&mut self) -> Result<(), Stop> {
        let mut after = None;
        loop {
            let query = query(self.filter.clone(), after);
            let page = self.service.store.list_devices(query).await;
            after = self.tell_page(page.or_fault("list devices")?).await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Everything that changed since.
    async fn tell_changed(&mut self, since: Timestamp) -> Result<(), Stop> {
        let mut after = None;
        loop {
            let page = self.service.store.devices_since(since, query(None, after)).await;
            after = self
                .tell_page(page.or_fault("list devices that changed")?)
                .await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Where the next page begins.
    async fn tell_page(&mut self, page: DevicePage) -> Result<Option<DeviceId>, Stop> {
        for device in page.devices {
            self.tell_of(device.id, Some(device)).await?;
        }
        Ok(page.next)
    }

    async fn tell_of(&mut self, id: DeviceId, device: Option<Device>) -> Result<(), Stop> {
        let matches = |device: &Device| {
            self.filter
                .as_ref()
                .is_none_or(|filter| filter::evaluate(filter, device))
        };
        let sight = match &device {
            Some(device) if matches(device) => Sight::Matching,
            Some(_) => Sight::Other,
            None => Sight::Nothing,
        };
        let Some(change) = self.known.step(id, sight) else {
            return Ok(());
        };
        let device = device.map(Box::new);
        self.tell(Told::Device { id, change, device }).await
    }

    fn checkpoint(&self, told_until: Timestamp, is_current: bool) -> Told {
        let token = Token::write(told_until, &self.text);
        Told::Checkpoint { token, is_current }
    }

    /// Waits for a slow watcher, unless the server stops.
    async fn tell(&self, told: Told) -> Result<(), Stop> {
        tokio::select! {
            biased;
            () = self.service.stopping.cancelled() => Err(Stop::Stopping),
            sent = self.telling.send(Ok(told)) => sent.map_err(|_| Stop::Gone),
        }
    }
}

const fn query(filter: Option<CheckedFilter<DeviceField>>, after: Option<DeviceId>) -> DeviceQuery {
    DeviceQuery {
        filter,
        after,
        limit: LOOK_UP,
        scan_limit: SCAN,
    }
}
