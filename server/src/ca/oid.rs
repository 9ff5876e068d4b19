//! The object identifiers that certificates of ours are made of, as DER content.

use muster_proto::envelope::CONFIG_SIGNING_EKU_DER;

pub(super) const COMMON_NAME: &[u8] = &[0x55, 4, 3];
pub(super) const ORGANISATION: &[u8] = &[0x55, 4, 10];
pub(super) const UNIT: &[u8] = &[0x55, 4, 11];

pub(super) const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 14];
pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
pub(super) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
pub(super) const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 20];
pub(super) const REASON_CODE: &[u8] = &[0x55, 0x1d, 21];
pub(super) const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 28];
pub(super) const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
pub(super) const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 31];
pub(super) const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 35];
pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
/// `SUBJECT_ALT_NAME` in arcs, as rcgen takes it.
pub(super) const SUBJECT_ALT_NAME_ARCS: &[u64] = &[2, 5, 29, 17];
/// authorityInfoAccess and its access method for the issuer's certificate (RFC 5280, 4.2.2.1).
pub(super) const AUTHORITY_INFORMATION: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
pub(super) const CA_ISSUERS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 2];
/// `AUTHORITY_INFORMATION` in arcs, as rcgen takes it.
pub(super) const AUTHORITY_INFORMATION_ARCS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];

pub(super) const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
pub(super) const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
/// The private usage of config-signing certificates.
pub(super) const CONFIG_SIGNING: &[u8] = CONFIG_SIGNING_EKU_DER;

/// id-on-hardwareModuleName (RFC 4108, 5).
pub(super) const HARDWARE_MODULE_NAME: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 8, 4];
/// The hardware type of every device in a registry of ours: 2.25.3112437019.2, next to the usage of config-signing
/// certificates.
pub(super) const HARDWARE_TYPE: &[u8] = &[0x69, 0x8b, 0xcc, 0x90, 0x8a, 0x1b, 0x02];

/// ecdsa-with-SHA256 (RFC 5758, 3.2).
pub(super) const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// challengePassword and extensionRequest (RFC 2985, 5.4).
pub(super) const CHALLENGE_PASSWORD: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 7];
pub(super) const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];

/// id-ecPublicKey and its curve prime256v1 (RFC 5480, 2.1).
pub(super) const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
pub(super) const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// id-data and id-signedData (RFC 5652, 4 and 5.1).
pub(super) const PKCS7_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
pub(super) const PKCS7_SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
