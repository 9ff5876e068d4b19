//! Revocation lists (RFC 5280, 5), as bytes. Each issuing authority has [`CRL_SHARDS`] of them; a certificate names the
//! one that it would stand on. What stands on them, when they are made and who serves them is the service's.

use super::{
    Ca, CaError,
    authority::Issuing,
    crl_lint,
    der::tag,
    key::PrivateKey,
    lint::{self, Defect},
    lint_bytes::Writer,
    oid,
    profile::since_epoch,
};
use muster_domain::{
    Timestamp,
    certificate::{AuthorityId, CRL_SHARDS, CertificateSerial, RevocationReason},
};
use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope,
    KeyIdMethod, RevokedCertParams,
};
use std::time::Duration;

/// A list lives less than this: whoever keeps an old one from being replaced hides no revocation for longer.
const LIFE_LIMIT: Duration = Duration::from_secs(10 * 24 * 3600);
/// `[1]` onlyContainsUserCerts of IssuingDistributionPoint.
const ONLY_USER_CERTIFICATES: u8 = 0x81;

/// One revoked certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Which.
    pub serial: CertificateSerial,
    /// Since when; whole seconds count.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// A list to be made.
#[derive(Debug, Clone)]
pub struct ListOrder {
    /// Below [`CRL_SHARDS`].
    pub shard: u8,
    /// Greater than that of any list that this one replaces.
    pub number: u64,
    /// When it is made; whole seconds count.
    pub this_update: Timestamp,
    /// When the next will be there at the latest: less than ten days later.
    pub next_update: Timestamp,
    /// Those of this authority and shard that are revoked and have not ended, in any order.
    pub entries: Vec<Revoked>,
}

/// A list that can be made, with all that it says.
#[derive(Debug)]
pub(super) struct List<'a> {
    pub(super) order: ListOrder,
    pub(super) url: String,
    pub(super) issuer: &'a Issuing,
}

impl Ca {
    /// Makes, signs and checks a revocation list of one of our authorities, DER.
    ///
    /// # Errors
    ///
    /// [`CaError::Foreign`] when it is no authority of ours, [`CaError::List`] when the order cannot be filled, also when the
    /// settings do not say where lists are; otherwise a fault.
    pub fn revocation_list(&self, authority: AuthorityId, order: ListOrder) -> Result<Vec<u8>, CaError> {
        let issuer = self.authority(authority)?;
        let order = checked(order)?;
        let url = self
            .issuance()
            .crl_url()
            .ok_or(CaError::List("needs an address: set certificates.crl_url"))?;
        let list = List {
            url: url.list(authority, order.shard),
            order,
            issuer,
        };
        list.make(&issuer.key)
    }
}

/// The order with its entries sorted, if a list can be made of it.
fn checked(mut order: ListOrder) -> Result<ListOrder, CaError> {
    order.entries.sort_unstable_by_key(|entry| entry.serial);
    let is_mixed = order
        .entries
        .iter()
        .any(|entry| entry.serial.shard() != order.shard);
    let is_doubled = order.entries.windows(2).any(|two| two[0].serial == two[1].serial);
    let [start, end] = [order.this_update, order.next_update].map(|at| Timestamp::from_seconds(at.seconds()));
    for (wrong, why) in [
        (order.shard >= CRL_SHARDS, "has a shard beyond the last"),
        (is_mixed, "has an entry of another shard"),
        (is_doubled, "has an entry twice"),
        (end <= start, "ends before it begins"),
        (end >= start.plus(LIFE_LIMIT), "lives ten days or longer"),
    ] {
        if wrong {
            return Err(CaError::List(why));
        }
    }
    Ok(order)
}

const fn reason(reason: RevocationReason) -> Option<rcgen::RevocationReason> {
    Some(match reason {
        // An entry without a reason says the same in fewer bytes, and should (RFC 5280, 5.3.1).
        RevocationReason::Unspecified => return None,
        RevocationReason::KeyCompromise => rcgen::RevocationReason::KeyCompromise,
        RevocationReason::AffiliationChanged => rcgen::RevocationReason::AffiliationChanged,
        RevocationReason::Superseded => rcgen::RevocationReason::Superseded,
        RevocationReason::CessationOfOperation => rcgen::RevocationReason::CessationOfOperation,
        RevocationReason::PrivilegeWithdrawn => rcgen::RevocationReason::PrivilegeWithdrawn,
    })
}

impl List<'_> {
    /// Builds it twice, as certificates are, signs it, and lets another parser read it.
    pub(super) fn make(&self, key: &PrivateKey) -> Result<Vec<u8>, CaError> {
        let params = self.params()?;
        let made = lint::signed(
            key,
            &self.to_be_signed(),
            Some(&self.issuer.certificate.key),
            |bound| Ok(params.signed_by(&self.issuer.issuer(bound))?.der().to_vec()),
            |_| Defect::Form,
        )?;
        crl_lint::check(&made, self)?;
        Ok(made)
    }

    /// The order for rcgen.
    pub(super) fn params(&self) -> Result<CertificateRevocationListParams, CaError> {
        let (order, epoch) = (&self.order, rcgen::date_time_ymd(1970, 1, 1));
        let entry = |revoked: &Revoked| -> Result<_, CaError> {
            Ok(RevokedCertParams {
                serial_number: revoked.serial.to_bytes().to_vec().into(),
                revocation_time: epoch + since_epoch(revoked.at)?,
                reason_code: reason(revoked.reason),
                invalidity_date: None,
            })
        };
        Ok(CertificateRevocationListParams {
            this_update: epoch + since_epoch(order.this_update)?,
            next_update: epoch + since_epoch(order.next_update)?,
            crl_number: order.number.into(),
            issuing_distribution_point: Some(CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint {
                    uris: vec![self.url.clone()],
                },
                scope: Some(CrlScope::UserCertsOnly),
            }),
            revoked_certs: order.entries.iter().map(entry).collect::<Result<_, _>>()?,
            key_identifier_method: KeyIdMethod::PreSpecified(self.issuer.certificate.key.identifier()),
        })
    }

    /// The same, put together without rcgen.
    pub(super) fn to_be_signed(&self) -> Vec<u8> {
        let (order, signer) = (&self.order, self.issuer.signer());
        let mut w = Writer::new();
        w.sequence(|w| {
            // Version 2.
            w.value(tag::INTEGER, &[1]);
            w.algorithm();
            w.raw(signer.name);
            w.time(order.this_update);
            w.time(order.next_update);
            // An empty list is left out (RFC 5280, 5.1.2.6).
            if !order.entries.is_empty() {
                w.sequence(|w| order.entries.iter().for_each(|revoked| entry(w, revoked)));
            }
            w.put(tag::CONTEXT_0, |w| {
                w.sequence(|w| {
                    w.authority_key(signer);
                    w.extension(oid::CRL_NUMBER, false, |w| w.number(&order.number.to_be_bytes()));
                    w.extension(oid::ISSUING_DISTRIBUTION_POINT, true, |w| {
                        w.sequence(|w| {
                            w.distribution_point(&self.url);
                            w.value(ONLY_USER_CERTIFICATES, &[0xff]);
                        });
                    });
                });
            });
        });
        w.finish()
    }
}

fn entry(w: &mut Writer, revoked: &Revoked) {
    const ENUMERATED: u8 = 0x0a;
    w.sequence(|w| {
        w.number(&revoked.serial.to_bytes());
        w.time(revoked.at);
        if revoked.reason != RevocationReason::Unspecified {
            w.sequence(|w| {
                w.extension(oid::REASON_CODE, false, |w| {
                    w.value(ENUMERATED, &[revoked.reason.code()])
                });
            });
        }
    });
}
