#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| muster_server::mqtt::fuzz::read_v5(bytes));
