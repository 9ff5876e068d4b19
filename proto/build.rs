//! Compiles `muster/v1/*.proto` with protox: no `protoc` is needed.

use prost::Message as _;
use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 8] = [
    "common",
    "manifests",
    "devices",
    "catalog",
    "enrollment",
    "access",
    "audit",
    "fleet",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=muster");
    if env::var_os("CARGO_FEATURE_GRPC").is_none() {
        return Ok(());
    }
    let files = FILES.map(|name| format!("muster/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("muster.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".muster.v1.ImportManifestRequest.chunk")
        .compile_fds(descriptors)?;
    Ok(())
}
