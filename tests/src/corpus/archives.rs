//! Archives of certificates, and archives that lie about themselves.

use super::{Answer, Bench};
use muster_domain::Code;
use std::io::{Cursor, Write as _};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

pub(super) const fn packed() -> SimpleFileOptions {
    SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Deflated)
}

/// Writes what a file holds.
pub(super) type Fill<'f> = &'f dyn Fn(&mut dyn std::io::Write) -> std::io::Result<()>;
/// A file of an archive: its name, and what it holds.
pub(super) type Part<'p> = (&'p str, Fill<'p>);

/// An archive of files; each is written by a function, so that it may be larger than memory.
pub(super) fn archive(files: &[Part<'_>]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, write) in files {
        archive.start_file(*name, packed()).expect("an entry");
        write(&mut archive).expect("an entry");
    }
    archive.finish().expect("an archive").into_inner()
}

const OPTIONS: &[&str] = &[
    "--format",
    "certificates",
    "--model",
    "CAM-IR",
    "--credential",
    "pinned",
];

fn certificate(name: &str) -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.self_signed(&key).expect("a certificate").pem()
}

pub(super) fn make(bench: &mut Bench<'_>) {
    let one = certificate("HOS-0000001");
    let pem = |out: &mut dyn std::io::Write| out.write_all(one.as_bytes());
    bench.put_with(
        "traversal.zip",
        archive(&[
            ("../../../../tmp/HOS-0000001.pem", &pem),
            ("/etc/HOS-0000002.pem", &pem),
            ("C:\\HOS.pem", &pem),
        ]),
        OPTIONS,
        Answer::Rows(vec![
            (1, None),
            (2, Some(Code::CredentialRepeated.number())),
            (3, Some(Code::CredentialRepeated.number())),
        ]),
    );
    let inner = archive(&[("a.pem", &pem)]);
    bench.put_with(
        "nested.zip",
        archive(&[("inner.zip", &|out| out.write_all(&inner))]),
        OPTIONS,
        Answer::Not(""),
    );
    let marker = "-----BEGIN CERTIFICATE-----\n";
    bench.put_with(
        "pem-bomb.zip",
        archive(&[("a.pem", &|out| {
            (0..4_000_000).try_for_each(|_| out.write_all(marker.as_bytes()))
        })]),
        OPTIONS,
        Answer::Rows(vec![(1, Some(Code::CredentialMalformed.number()))]),
    );
    bench.put_with(
        "pem-markers.zip",
        archive(&[("a.pem", &|out| out.write_all(marker.repeat(2000).as_bytes()))]),
        OPTIONS,
        Answer::Rows(vec![(1, Some(Code::CredentialMalformed.number()))]),
    );
    bench.put_with(
        "entries-90k.zip",
        many(90_000),
        OPTIONS,
        Answer::Many {
            first: vec![(1, Some(Code::CredentialMalformed.number()))],
            count: 90_000,
        },
    );
    bench.put_with("entries-300k.zip", many(300_000), OPTIONS, Answer::Not(""));
    bench.put_with(
        "long-name.zip",
        archive(&[(&format!("{}.pem", "n".repeat(60_000)), &pem)]),
        OPTIONS,
        Answer::Not("broken directory"),
    );
    bench.put_with(
        "no-certificate.zip",
        archive(&[("a.txt", &|out| out.write_all(b"x"))]),
        OPTIONS,
        Answer::Not(""),
    );
    bench.put_with(
        "only-an-end.zip",
        b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        OPTIONS,
        Answer::Not(""),
    );
    let mut end = b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec();
    end.truncate(22);
    bench.put_with("directory-nowhere.zip", end, OPTIONS, Answer::Not(""));
}

fn many(count: u32) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Stored);
    for number in 0..count {
        archive
            .start_file(format!("{number}.pem"), stored)
            .expect("an entry");
        archive.write_all(b"x").expect("an entry");
    }
    archive.finish().expect("an archive").into_inner()
}
