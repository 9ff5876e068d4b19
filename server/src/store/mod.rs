//! The store: what the registry remembers.
