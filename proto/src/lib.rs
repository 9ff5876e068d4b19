//! The wire contract of Muster.
//!
//! **What this is.** gRPC messages (feature `grpc`), MQTT topics and payloads in postcard and JSON, and the signed
//! envelope that carries desired state. `README.md` beside this crate is enough to write a client from.
//!
//! **What it must not know.** Anything about how server or agent work: no I/O, no state, no decisions.
//!
//! **Where to start.** [`topic`] says who talks where, [`payload`] what they say, [`envelope`] how the
//! device knows that it is true, [`trust`] how it comes from the roots of its making to those of today, [`firmware`] how it
//! knows that an image is its author's.
#![warn(missing_docs)]

pub mod envelope;
pub mod firmware;
pub mod payload;
pub mod topic;
pub mod trust;

/// Messages, clients and servers generated from `muster/v1/*.proto`.
#[cfg(feature = "grpc")]
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::allow_attributes,
    clippy::large_enum_variant,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("muster.v1");

    /// Shows these fields of messages, and not their codes, keys and values.
    macro_rules! shown {
        ($($message:ident { $($field:ident),* })*) => {$(
            impl std::fmt::Debug for $message {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.debug_struct(stringify!($message))
                        $(.field(stringify!($field), &self.$field))*
                        .finish_non_exhaustive()
                }
            }
        )*};
    }

    shown! {
        PutSecretRequest { name, message }
        RowResult { row, status, refusals, device, serial, warnings, changes }
        ReissueCodeResponse { device }
        GivenCode { device, serial, time }
        ClaimRequest { serial, csr }
    }

    /// The compiled descriptors, for reflection and for tests that need every RPC's name.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/muster.bin"));
}
