//! Commands of `musterd` that have commands of their own.

pub(crate) mod authority;
