//! `musterd authority`: what is done with the certificates of the authority itself.

use crate::{Directory, passphrase, say};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use muster_domain::{Timestamp, certificate::AuthorityId};
use muster_server::{
    ca::{self, AuthorityKind, AuthorityState, CaError, Installed, Listed, Offline, Removed},
    clock::Clock,
    config::Settings,
    store::Store,
};
use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Said after each change: a server that runs has opened its keys.
const RELOAD: &str = "next         let the server open its keys again: `systemctl reload musterd`, or SIGHUP; until then it works as before";

#[derive(Subcommand)]
pub(crate) enum Authority {
    /// Show every certificate of the authority: what it is for, how it stands, when it ends.
    ///
    /// Kinds: devices, operators and servers are the CAs of their certificates, config signs desired state, checkpoint signs
    /// checkpoints of the audit log. States: issuing works, trusted is believed, pending waits for its certificate. Behind them, the
    /// versions of trust: which roots devices are told to trust. Warns when less than a third of a life is left.
    List(List),
    /// First step, on the server: make a new key of a kind, and write the request to certify it.
    ///
    /// Nothing changes for the server until the certificate is installed. Carry the request to the machine with the root key and
    /// go on there with `musterd authority sign`. As long as a key of this kind waits for its certificate, the same request is
    /// written again; `musterd authority remove ID` withdraws it.
    ///
    /// The kind `trust` makes no key: it draws up the next version of what devices are to trust, which is every root that is
    /// installed here, and no other. Devices take it from the server when they next connect, if a root that they trust has
    /// signed it.
    Request(Request),
    /// Second step, on the machine with the root key: sign a request.
    ///
    /// Of the request its key and kind are taken; names, validity and usage come from the profile of the kind. Each certificate
    /// is put down in `issued.log` beside the root key before it is written. Carry it back to the server and go on there with
    /// `musterd authority install`. A version of trust is shown with the roots that it names: compare them.
    Sign(Sign),
    /// Last step, on the server: install the certificate or version of trust that was signed, or a new root.
    ///
    /// It is held against the key that waits for it, the root and the profile of its kind; what does not fit changes nothing.
    /// The server works with it from its next start or SIGHUP on. What worked before stays trusted until it ends, or until `musterd
    /// authority remove`.
    Install(Install),
    /// Stop trusting an old generation, or withdraw a request.
    ///
    /// Refused while it is the only one of its kind, and while certificates that it signed are valid still. An id of a key that
    /// waits for its certificate withdraws the request. A root can be removed when nothing stands under it any more. At its next
    /// SIGHUP the server ends the sessions of devices whose certificates it signed, and answers its operators no more.
    Remove(Remove),
    /// All three steps at once, where the root key can be mounted on the server.
    ///
    /// One passphrase opens the keys of the directory and the root key. Unmount the root key afterwards.
    Rotate(Rotate),
    /// Make a root to follow this one, on the machine with the root key.
    ///
    /// Do it before the old root ends, or when its key may be known to others:
    ///
    /// 1. Install NEW/root-and-link.pem on the server.
    /// 2. `rotate trust --offline OLD`: devices that trust the old root trust both from then on, as they connect. See who has not
    ///    yet: `muster device list --filter 'trust_version < 1'` (or whatever number the version has).
    /// 3. `rotate` servers, devices, operators, config and checkpoint with `--offline NEW`, and renew the devices' certificates
    ///    with `muster device renew`. Who did not hear of the new root comes to it by the link, which the server sends along.
    /// 4. Make operators new credentials, with `muster operator create`: theirs end with the authority that signed them.
    /// 5. When every device has the version and a new certificate: `remove` what stands under the old root, and the root; then
    ///    `rotate trust --offline NEW`, so that devices stop trusting it. The link is sent on, for latecomers.
    ///
    /// Programs on devices that take no versions of trust believe desired state under a root that they pinned only: rotate config
    /// under the old root until they have the new one.
    Root(Root),
}

#[derive(Args)]
pub(crate) struct List {
    /// The directory that `init` made.
    #[arg(long)]
    dir: PathBuf,
}

#[derive(Args)]
pub(crate) struct Request {
    /// What is to be renewed: devices, operators, servers, config or checkpoint; or trust.
    kind: Wanted,
    #[command(flatten)]
    at: Directory,
    /// Where to write the request (PKCS#10, PEM; of trust, JSON); must not exist.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Args)]
pub(crate) struct Sign {
    /// The request that `musterd authority request` wrote.
    request: PathBuf,
    /// The directory with root.key and root.pem.
    #[arg(long)]
    offline: PathBuf,
    /// File whose first line opens the root key. Without it: the systemd credential `muster-passphrase`.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// What you mean to sign: devices, operators, servers, config, checkpoint or trust. Another request is refused.
    #[arg(long)]
    kind: Wanted,
    /// Where to write the certificate (PEM; of trust, JSON); must not exist.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Args)]
pub(crate) struct Install {
    /// What `musterd authority sign` or `musterd authority root` wrote.
    file: PathBuf,
    #[command(flatten)]
    at: Directory,
}

#[derive(Args)]
pub(crate) struct Remove {
    /// The id that `musterd authority list` shows, or its first eight digits or more.
    id: String,
    /// The directory that `init` made.
    #[arg(long)]
    dir: PathBuf,
    /// Though certificates that it signed are valid still: after a theft of its key. Their devices must be claimed anew.
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
pub(crate) struct Rotate {
    /// What is to be renewed: devices, operators, servers, config or checkpoint; or trust.
    kind: Wanted,
    #[command(flatten)]
    at: Directory,
    /// The directory with root.key and root.pem.
    #[arg(long)]
    offline: PathBuf,
}

#[derive(Args)]
pub(crate) struct Root {
    /// The directory with the root.key and root.pem of today.
    #[arg(long)]
    offline: PathBuf,
    /// File whose first line opens the root key, and seals the new one. Without it: the systemd credential `muster-passphrase`.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// The new directory; made here, must not exist or be empty.
    #[arg(long)]
    out: PathBuf,
}

/// What a ceremony is about.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    /// A key of a kind.
    Key(AuthorityKind),
    /// What devices are to trust.
    Trust,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "trust" {
            return Ok(Self::Trust);
        }
        let kind = text.parse().map(Self::Key);
        kind.map_err(|error: String| format!("{error}, trust"))
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(kind) => kind.fmt(f),
            Self::Trust => f.write_str("trust"),
        }
    }
}

impl Wanted {
    fn request(self, at: &Directory) -> anyhow::Result<String> {
        Ok(match self {
            Self::Key(kind) => ca::request(&at.dir, kind, &at.passphrase()?)?,
            Self::Trust => ca::draft_trust(&at.dir)?,
        })
    }

    fn sign(self, offline: &Offline, request: &str) -> anyhow::Result<String> {
        Ok(match self {
            Self::Key(kind) => offline.sign(request, kind, now())?,
            Self::Trust => {
                let (signed, version, roots) = offline.vouch(request, now())?;
                say(&format!("trust        version {version}"));
                for root in roots {
                    say(&format!("trusted      root {root}"));
                }
                signed
            }
        })
    }
}

fn now() -> Timestamp {
    Clock::System.now()
}

/// Refuses to overwrite; asked before anything is made for it.
fn is_free(path: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!path.exists(), "{} exists; name another file", path.display());
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

impl Authority {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(arguments) => arguments.run(),
            Self::Request(arguments) => arguments.run(),
            Self::Sign(arguments) => arguments.run(),
            Self::Install(arguments) => arguments.run(),
            Self::Remove(arguments) => arguments.run(),
            Self::Rotate(arguments) => arguments.run(),
            Self::Root(arguments) => arguments.run(),
        }
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let now = now();
        say(&format!(
            "{:<10}  {:<7}  {:<40}  {:<32}  {:<20}  {:<20}  {:>5}  subject",
            "kind", "state", "id", "serial", "from", "until", "days"
        ));
        for one in ca::list(&self.dir, now)? {
            say(&line(&one, now));
        }
        for one in ca::list_trust(&self.dir)? {
            let roots: Vec<_> = one.roots.iter().map(AuthorityId::to_string).collect();
            say(&format!(
                "trust        version {} names {}, signed by {}",
                one.version,
                roots.join(" and "),
                one.signer
            ));
        }
        for warning in ca::warnings(&self.dir, now)? {
            say(&format!("warning      {warning}"));
        }
        Ok(())
    }
}

fn line(one: &Listed, now: Timestamp) -> String {
    let start = format!("{:<10}  {:<7}  {}", one.kind, one.state.as_str(), one.id);
    let Some(certificate) = &one.certificate else {
        return format!("{start}  waits for its certificate");
    };
    let left = certificate.not_after.seconds().saturating_sub(now.seconds()) / (24 * 3600);
    let [from, until] = [certificate.not_before, certificate.not_after].map(ca::utc);
    format!(
        "{start}  {}  {from}  {until}  {left:>5}  {}",
        certificate.serial, certificate.subject
    )
}

impl Request {
    fn run(self) -> anyhow::Result<()> {
        is_free(&self.out)?;
        let request = self.kind.request(&self.at)?;
        write(&self.out, &request)?;
        let (out, kind) = (self.out.display(), self.kind);
        let signed = match kind {
            Wanted::Key(kind) => format!("{kind}.pem"),
            Wanted::Trust => "trust.json".to_owned(),
        };
        say(&format!("request      {out}"));
        say(&format!(
            "next         on the machine with the root key: musterd authority sign {out} --offline DIR --kind {kind} --out {signed}"
        ));
        Ok(())
    }
}

impl Sign {
    fn run(self) -> anyhow::Result<()> {
        is_free(&self.out)?;
        let request = read(&self.request)?;
        let offline = Offline::open(&self.offline, &passphrase(self.passphrase_file.as_deref())?)?;
        write(&self.out, &self.kind.sign(&offline, &request)?)?;
        let out = self.out.display();
        say(&format!("signed       {out}"));
        say(&format!(
            "next         on the server: musterd authority install {out} --dir DIR"
        ));
        Ok(())
    }
}

impl Install {
    fn run(self) -> anyhow::Result<()> {
        let text = read(&self.file)?;
        installed(&self.at, &text)
    }
}

fn installed(at: &Directory, text: &str) -> anyhow::Result<()> {
    match ca::install(&at.dir, text, &at.passphrase()?, now())? {
        Installed::Authority(kind, id) => {
            say(&format!("installed    {kind} {id}"));
            let all = ca::list(&at.dir, now())?;
            if !all
                .iter()
                .any(|one| one.id == id && one.state == AuthorityState::Issuing)
            {
                say(
                    "note         it waits: devices do not trust its root yet; see `musterd authority request trust`",
                );
            }
        }
        Installed::Before(id) => say(&format!("installed    {id}, before this already")),
        Installed::Root(id) => {
            say(&format!("installed    root {id}"));
            say(
                "next         `musterd authority rotate trust` with the old root key; then rotate the others with the new one",
            );
        }
        Installed::Trust(version) => {
            say(&format!("installed    version {version} of trust"));
            say(&format!(
                "note         who has not taken it: muster device list --filter 'trust_version < {version}'"
            ));
        }
    }
    pins(&at.dir)?;
    say(RELOAD);
    Ok(())
}

/// The file that clients and devices pin holds every root.
fn pins(directory: &Path) -> anyhow::Result<()> {
    let file = directory.join("operator/root.pem");
    let roots: String = ca::list(directory, now())?
        .iter()
        .filter(|one| one.kind == "root")
        .filter_map(|one| Some(ca::certificate_pem(&one.certificate.as_ref()?.der)))
        .collect();
    if file.exists() && read(&file)? != roots {
        let fresh = file.with_extension("new");
        fs::write(&fresh, &roots)
            .and_then(|()| fs::rename(&fresh, &file))
            .with_context(|| format!("cannot write {}", file.display()))?;
        say(&format!(
            "pins         {}  (for new devices and operators)",
            file.display()
        ));
    }
    Ok(())
}

impl Remove {
    fn run(self) -> anyhow::Result<()> {
        let directory = &self.dir;
        let removed = ca::remove(directory, &self.id, now(), |kind, id| {
            if self.force {
                Ok(0)
            } else {
                valid(directory, kind, id)
            }
        })?;
        match removed {
            Removed::Authority(kind, id) => say(&format!("removed      {kind} {id}")),
            Removed::Pending(kind, id) => say(&format!("withdrawn    {kind} {id}")),
            Removed::Root(id) => say(&format!("removed      root {id}")),
        }
        pins(directory)?;
        say(RELOAD);
        Ok(())
    }
}

/// Certificates of an authority that are valid still, as the store has them.
fn valid(directory: &Path, kind: AuthorityKind, id: AuthorityId) -> Result<u64, CaError> {
    match kind {
        AuthorityKind::Devices | AuthorityKind::Operators => {}
        // The server's own are made at its start and at each SIGHUP. What is signed otherwise is signed anew.
        AuthorityKind::Servers | AuthorityKind::Config | AuthorityKind::Checkpoint => return Ok(0),
    }
    let count = || -> anyhow::Result<u64> {
        let settings = Settings::load(directory)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async {
            let store = Store::open(&settings.database())?;
            let count = store.valid_certificates(id, ca::issuer, now()).await?;
            store.close().await?;
            Ok(count)
        })
    };
    count().map_err(|error| {
        CaError::Ceremony(format!(
            "cannot count the valid certificates of {id}: {error:#}; stop the server first; or ask it with `muster certificate list --filter 'issuer = \"{id}\" AND state = current'`, then say --force; nothing was changed"
        ))
    })
}

impl Rotate {
    fn run(self) -> anyhow::Result<()> {
        let passphrase = self.at.passphrase()?;
        // The root key is opened first: nothing is begun that cannot be ended.
        let offline = Offline::open(&self.offline, &passphrase)?;
        let request = self.kind.request(&self.at)?;
        let signed = self.kind.sign(&offline, &request)?;
        installed(&self.at, &signed)
    }
}

impl Root {
    fn run(self) -> anyhow::Result<()> {
        let passphrase = passphrase(self.passphrase_file.as_deref())?;
        let file = Offline::open(&self.offline, &passphrase)?.succeed(&self.out, &passphrase, now())?;
        say(&format!(
            "root key     {}  (keep it as you keep the old one: not connected to a network)",
            self.out.display()
        ));
        say(&format!(
            "next         on the server: musterd authority install {} --dir DIR",
            file.display()
        ));
        Ok(())
    }
}
