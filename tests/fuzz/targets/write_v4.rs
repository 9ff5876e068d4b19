#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| muster_server::mqtt::fuzz::write_v4(bytes));
