//! Compiles `muster/v1/*.proto` with protox: no `protoc` is needed. Without the feature `grpc` there is nothing to do.

use std::error::Error;

#[cfg(not(feature = "grpc"))]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}

#[cfg(feature = "grpc")]
fn main() -> Result<(), Box<dyn Error>> {
    use prost::Message as _;

    const FILES: [&str; 11] = [
        "common",
        "manifests",
        "devices",
        "certificates",
        "catalog",
        "secrets",
        "changes",
        "enrollment",
        "access",
        "audit",
        "fleet",
    ];
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=muster");
    let files = FILES.map(|name| format!("muster/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["."])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("muster.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".muster.v1.UploadManifestRequest.chunk")
        // A device among small events.
        .boxed(".muster.v1.WatchDevicesResponse.event.change")
        // Codes, keys and values must not be shown.
        .skip_debug([
            ".muster.v1.PutSecretRequest",
            ".muster.v1.RowResult",
            ".muster.v1.ReissueCodeResponse",
            ".muster.v1.GivenCode",
            ".muster.v1.ClaimRequest",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}
