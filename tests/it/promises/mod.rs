//! What the server promises whatever happens.
