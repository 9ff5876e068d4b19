//! Notes when the agent was built: no device can live before that moment.

use std::{
    env,
    time::{SystemTime, UNIX_EPOCH},
};

fn main() {
    // <https://reproducible-builds.org/specs/source-date-epoch/>: packagers pin the moment.
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=build.rs");
    let pinned = env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    };
    println!("cargo:rustc-env=MUSTER_BUILT_AT={}", pinned.unwrap_or_else(now));
}
