//! The look at a finished revocation list with somebody else's parser: what a reader will take from it must be what was
//! ordered.

use super::{
    crl::{List, Revoked},
    lint::Defect,
    lint_defect::{is_at, is_ecdsa_sha256},
};
use muster_domain::certificate::RevocationReason;
use x509_parser::{
    extensions::{DistributionPointName, GeneralName, ParsedExtension},
    prelude::{FromDer as _, X509Extension},
    revocation_list::{CertificateRevocationList, RevokedCertificate},
    x509::X509Version,
};

/// Is this the list that was ordered, and does it stand under the issuer's name and signature?
pub(super) fn check(bytes: &[u8], list: &List<'_>) -> Result<(), Defect> {
    let Ok((&[], read)) = CertificateRevocationList::from_der(bytes) else {
        return Err(Defect::Form);
    };
    let (order, signer) = (&list.order, list.issuer.signer());
    let inner = &read.tbs_cert_list;
    let ends = inner
        .next_update
        .is_some_and(|time| is_at(time, order.next_update.seconds()));
    let entries = &inner.revoked_certificates;
    let are_entries = entries.len() == order.entries.len()
        && entries
            .iter()
            .zip(&order.entries)
            .all(|(read, ordered)| is_entry(read, ordered));
    let signature = &read.signature_value;
    [
        (inner.version == Some(X509Version::V2), Defect::Version),
        (
            is_ecdsa_sha256(&inner.signature) && is_ecdsa_sha256(&read.signature_algorithm),
            Defect::Algorithm,
        ),
        (inner.issuer.as_raw() == signer.name, Defect::Issuer),
        (
            is_at(inner.this_update, order.this_update.seconds()) && ends,
            Defect::Validity,
        ),
        (are_entries, Defect::Entries),
        (are_extensions(inner.extensions(), list), Defect::Extensions),
        (
            signature.unused_bits == 0 && signer.key.has_signed(inner.as_ref(), &signature.data),
            Defect::Signature,
        ),
    ]
    .into_iter()
    .try_for_each(|(holds, defect)| if holds { Ok(()) } else { Err(defect) })
}

fn is_entry(read: &RevokedCertificate<'_>, ordered: &Revoked) -> bool {
    let is_reason = match (read.extensions(), ordered.reason) {
        ([], RevocationReason::Unspecified) => true,
        ([one], reason) => {
            !one.critical
                && matches!(one.parsed_extension(), ParsedExtension::ReasonCode(code) if code.0 == reason.code())
        }
        _ => false,
    };
    read.raw_serial() == ordered.serial.to_bytes()
        && is_at(read.revocation_date, ordered.at.seconds())
        && is_reason
}

fn are_extensions(read: &[X509Extension<'_>], list: &List<'_>) -> bool {
    let [key, number, point] = read else {
        return false;
    };
    let is_key = matches!(key.parsed_extension(), ParsedExtension::AuthorityKeyIdentifier(identifier)
        if identifier.key_identifier.as_ref().is_some_and(|id| id.0 == list.issuer.id().0)
            && identifier.authority_cert_issuer.is_none()
            && identifier.authority_cert_serial.is_none());
    let is_number = matches!(number.parsed_extension(), ParsedExtension::CRLNumber(number)
        if *number == list.order.number.into());
    let is_point = matches!(point.parsed_extension(), ParsedExtension::IssuingDistributionPoint(point)
        if point.only_contains_user_certs
            && !(point.only_contains_ca_certs || point.only_contains_attribute_certs || point.indirect_crl)
            && point.only_some_reasons.is_none()
            && matches!(&point.distribution_point, Some(DistributionPointName::FullName(names))
                if matches!(names.as_slice(), [GeneralName::URI(url)] if *url == list.url)));
    is_key && is_number && is_point && !key.critical && !number.critical && point.critical
}
