//! The gate over real TLS sockets, and its sessions over pipes with a clock that the test moves.

mod bus;
mod claim;
mod client;
mod codec;
mod conformance;
mod cut;
mod device;
mod door;
mod fuzz;
mod integrator;
mod isolation;
mod memory;
mod presence;
mod registry;
mod renew;
mod stall;
mod timing;
mod trust;
mod world;

/// Random enough for tests, and the same each time (xorshift64*).
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below the bound.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}
