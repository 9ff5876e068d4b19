//! Operators.

use super::{
    Store, certificates, changes, devices,
    record::{Record as _, load_named},
    tables::{OPERATOR_KEYS, OPERATORS},
    txn::Txn,
};
use crate::store::{NewOperator, StoreError};
use muster_domain::{
    Code, Refusal, Timestamp,
    access::{Operator, Role},
    audit::Event,
    certificate::{RevocationReason, SpkiDigest},
    names::OperatorName,
};
use redb::ReadableTable as _;
use std::ops::Bound;

impl Store {
    /// Registers an operator; names are never reused, and a key belongs to one operator.
    pub async fn create_operator(
        &self,
        fresh: NewOperator,
        event: Event,
    ) -> Result<Result<(), Refusal>, StoreError> {
        self.write(move |txn| match insert(txn, &fresh)? {
            Ok(()) => txn.audit(&event).map(|_| Ok(())),
            Err(refusal) => Ok(Err(refusal)),
        })
        .await
    }

    /// Shuts an operator out for good, revokes their certificate, and voids their approvals of what is not started; doing so again
    /// changes nothing. The last admin stays.
    pub async fn disable_operator(
        &self,
        name: OperatorName,
        event: Event,
    ) -> Result<Result<Operator, Refusal>, StoreError> {
        let reason = RevocationReason::PrivilegeWithdrawn;
        self.write(move |txn| {
            let disabled = disable(txn, &name, reason, event.at)?;
            if let Ok((_, true)) = disabled {
                txn.audit(&event)?;
            }
            Ok(disabled.map(|(operator, _)| operator))
        })
        .await
    }

    /// The operator who holds a key, disabled ones included.
    pub async fn operator_by_key(&self, key: SpkiDigest) -> Result<Option<Operator>, StoreError> {
        let txn = self.read()?;
        let Some(name) = txn.open_table(OPERATOR_KEYS)?.get(&key.0)? else {
            return Ok(None);
        };
        let operator = load_named(&txn.open_table(OPERATORS)?, name.value())?;
        operator
            .ok_or_else(|| StoreError::missing("operators", name.value()))
            .map(Some)
    }

    /// Operators by name, behind `after`.
    pub async fn list_operators(
        &self,
        after: Option<OperatorName>,
        limit: usize,
    ) -> Result<Vec<Operator>, StoreError> {
        self.blocking(move |txn| {
            let from = after
                .as_ref()
                .map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
            let table = txn.open_table(OPERATORS)?;
            let page = table.range::<&str>((from, Bound::Unbounded))?.take(limit);
            page.map(|entry| Operator::from_guard(entry?.1)).collect()
        })
        .await
    }
}

pub(super) fn insert(txn: &mut Txn<'_>, fresh: &NewOperator) -> Result<Result<(), Refusal>, StoreError> {
    let NewOperator {
        operator,
        certificate,
    } = fresh;
    let (name, tables) = (operator.name.as_str(), txn.tables());
    if tables.operators.get(name)?.is_some() {
        let why = format!("there is an operator {name}");
        return Ok(Err(Refusal::new(Code::OperatorExists, why).at("name")));
    }
    if tables.operator_keys.get(&operator.key.0)?.is_some() {
        return Ok(Err(Refusal::new(
            Code::KeyInUse,
            "another operator holds this key",
        )
        .at("csr")));
    }
    if let Err(refusal) = certificates::is_open(&tables.blocked_keys, operator.key)? {
        return Ok(Err(refusal.at("csr")));
    }
    certificates::create(txn, certificate)?;
    let tables = txn.write();
    tables.operators.insert(name, operator.encode()?.as_slice())?;
    tables.operator_keys.insert(&operator.key.0, name)?;
    Ok(Ok(()))
}

/// Shuts an operator out, and says whether they were in before.
pub(super) fn disable(
    txn: &mut Txn<'_>,
    name: &OperatorName,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<Result<(Operator, bool), Refusal>, StoreError> {
    let Some(operator) = load_named::<Operator>(&txn.tables().operators, name.as_str())? else {
        return Ok(Err(Refusal::new(
            Code::NotFound,
            format!("there is no operator {name}"),
        )
        .at("name")));
    };
    if !operator.enabled {
        return Ok(Ok((operator, false)));
    }
    if operator.role == Role::Admin && admins(txn)? <= 1 {
        return Ok(Err(Refusal::new(
            Code::LastAdmin,
            format!("{name} is the last admin"),
        )));
    }
    if let Some(serial) = operator.certificate {
        devices::revoke(txn, serial, reason, now)?;
    }
    let operator = Operator {
        enabled: false,
        ..operator
    };
    txn.write()
        .operators
        .insert(name.as_str(), operator.encode()?.as_slice())?;
    changes::void_approvals(txn, name, now)?;
    Ok(Ok((operator, true)))
}

/// Enabled admins. Operators are few, so they are counted where it matters.
fn admins(txn: &Txn<'_>) -> Result<usize, StoreError> {
    let mut admins = 0;
    for entry in txn.tables().operators.iter()? {
        let operator = Operator::from_guard(entry?.1)?;
        admins += usize::from(operator.enabled && operator.role == Role::Admin);
    }
    Ok(admins)
}
