//! server/domain
