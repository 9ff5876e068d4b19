//! Muster from outside: house rules, and journeys over real sockets.

mod tidy;
