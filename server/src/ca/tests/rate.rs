//! How fast certificates are issued. `cargo test --release -p muster-server issuance_rate -- --ignored --nocapture`

use super::{request::Draft, *};
use std::time::Instant;

#[test]
#[ignore = "a measurement"]
fn issuance_rate() {
    const COUNT: u32 = 5000;
    let requests: Vec<_> = (0..COUNT).map(|_| Draft::good().build()).collect();
    let start = Instant::now();
    let parsed: Vec<_> = requests
        .iter()
        .map(|bytes| CertificationRequest::parse(bytes).unwrap())
        .collect();
    let parsing = start.elapsed();
    let jobs: Vec<_> = parsed
        .iter()
        .zip(0..)
        .map(|(request, number)| {
            let device = device(number);
            (permit(&device, request, NOW), device, request)
        })
        .collect();
    let start = Instant::now();
    for (permit, device, request) in jobs {
        ca().issue_device(permit, &device, request).unwrap();
    }
    let issuing = start.elapsed();
    let start = Instant::now();
    for _ in 0..COUNT {
        ca().seal_desired(vec![0; 2048], NOW).unwrap();
    }
    let sealing = start.elapsed();
    let start = Instant::now();
    Ca::open(FIXTURE.directory.path(), &passphrase()).unwrap();
    let opening = start.elapsed();
    let rate = |time: std::time::Duration| f64::from(COUNT) / time.as_secs_f64();
    println!(
        "{{\"requests_parsed_per_s\": {:.0}, \"certificates_per_s\": {:.0}, \"envelopes_per_s\": {:.0}, \"open_ms\": {:.1}}}",
        rate(parsing),
        rate(issuing),
        rate(sealing),
        opening.as_secs_f64() * 1e3
    );
}
