//! The store: what the registry remembers.
//!
//! **What this is.** Whole atomic operations, each one step of a journey: it is durable and visible when it
//! returns, or has left no trace. No transaction and no closure leaves this module, because a PostgreSQL store with
//! the same operations follows. Refusals come back as values; [`StoreError`] is our breakage.
//!
//! **What it must not know.** Protobuf, MQTT, the certificate authority. Decisions are the domain's; the store
//! loads, asks it, and writes, inside one transaction.
//!
//! **Where to start.** `ask.rs` lists what operations take and give. `embedded` is the store on redb: `tables.rs` declares
//! its tables, `writer.rs` is the one thread that writes, and each noun has a file with its operations.

mod ask;
mod embedded;
mod error;
#[cfg(test)]
mod tests;
mod watch;

pub use ask::{
    Advance, AlarmChange, Began, CertificatePage, CertificateQuery, ChangeOrder, ClaimBegun, ClaimStart,
    CommittedPart, Counts, DeviceChange, DeviceName, DevicePage, DeviceQuery, FinishedClaim, GroupOutcome,
    GroupUpdate, Holder, ImportPart, IssuedCode, Joining, KeptRules, KnownCertificate, ListDraft, ListEntry,
    ListInfo, ListedRow, ListedTarget, NewOperator, NewSecret, PartRow, PlanPart, PlanTotals, PreviewedPart,
    PublishedList, RecordedPart, RegistryInfo, RenewalStart, Retry, Revocation, RevokedCertificate,
    SecretRetirement, SecretUse, TargetCursor, TargetPage, TargetQuery, UNDO_BLOCK_LIMIT, UnconfirmedPage,
    UndoAnswer, Work,
};
pub use embedded::{FORMAT, RETRY_PART, Seen, Store, Turn};
pub use error::StoreError;
pub use watch::{Changed, WATCHER_LIMIT, Watcher};
