//! What a reader refuses: whatever is cut, longer, of another version, over the limit, or says more than it should.

use crate::messages::{Message, Visit, claim, hello, visit};
use muster_proto::{
    payload::{
        self, Claim, ClaimResult, Desired, Digest, FacetState, Firmware, Hello, LIMIT, PayloadError, Report,
        VERSION,
    },
    topic::Encoding,
};
use serde_json::{Value, json};

const ENCODINGS: [Encoding; 2] = [Encoding::Postcard, Encoding::Json];

/// Does `each` with every vector.
fn with_vectors(each: impl FnMut(&str, Encoding, &[u8], &dyn Fn(&[u8]) -> Option<PayloadError>)) {
    struct Each<F>(F);
    impl<F: FnMut(&str, Encoding, &[u8], &dyn Fn(&[u8]) -> Option<PayloadError>)> Visit for Each<F> {
        fn message<T: Message>(&mut self, name: &str, postcard: &T, json: &T) {
            for (encoding, message) in [(Encoding::Postcard, postcard), (Encoding::Json, json)] {
                let bytes = payload::encode(message, encoding).unwrap();
                (self.0)(name, encoding, &bytes, &|bytes| {
                    payload::decode::<T>(bytes, encoding).err()
                });
            }
        }
    }
    visit(&mut Each(each));
}

#[test]
fn no_part_of_a_message_is_a_message() {
    with_vectors(|name, encoding, bytes, refusal| {
        for end in 0..bytes.len() {
            assert!(
                refusal(&bytes[..end]).is_some(),
                "{name} {encoding:?} to byte {end}"
            );
        }
    });
}

#[test]
fn nothing_follows_a_message() {
    with_vectors(|name, encoding, bytes, refusal| {
        for more in [&[0][..], b"}", b"\xff", bytes] {
            assert!(refusal(&[bytes, more].concat()).is_some(), "{name} {encoding:?}");
        }
        // White space is nothing in JSON (RFC 8259, 2).
        let spaced = [b" \n", bytes, b"\r\n\t"].concat();
        assert_eq!(refusal(&spaced).is_none(), encoding == Encoding::Json, "{name}");
    });
}

#[test]
fn other_versions_are_refused_by_number() {
    with_vectors(|name, encoding, bytes, refusal| {
        if encoding == Encoding::Postcard {
            for version in (0..=u8::MAX).filter(|&version| version != VERSION) {
                let other = [&[version], &bytes[1..]].concat();
                assert_eq!(refusal(&other), Some(PayloadError::Version(version)), "{name}");
            }
        }
    });
}

/// Every object in a value, as JSON pointers (RFC 6901).
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.push(at.to_owned());
            for (name, member) in members {
                objects(member, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                objects(item, &format!("{at}/{place}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn no_object_in_json_has_a_member_that_is_not_in_the_book() {
    with_vectors(|name, encoding, bytes, refusal| {
        if encoding == Encoding::Postcard {
            return;
        }
        let value: Value = serde_json::from_slice(bytes).unwrap();
        let mut places = Vec::new();
        objects(&value, "", &mut places);
        // Keys of labels are the policy's own.
        places.retain(|place| !place.ends_with("/labels"));
        for place in places {
            let mut more = value.clone();
            more.pointer_mut(&place).unwrap()["extra"] = json!(1);
            assert!(refusal(more.to_string().as_bytes()).is_some(), "{name}{place}");
        }
    });
}

#[test]
fn what_is_optional_may_be_left_out_in_json_and_what_is_not_may_not() {
    let json = |message: &Hello| serde_json::to_value(message).unwrap();
    for (member, optional) in [
        ("generation", false),
        ("digest", false),
        ("agent_version", false),
        ("firmware", true),
        ("boot_id", false),
    ] {
        for leave in [true, false] {
            let mut value = json(&hello());
            if leave {
                value.as_object_mut().unwrap().remove(member);
            } else {
                value[member] = Value::Null;
            }
            let read = payload::decode::<Hello>(value.to_string().as_bytes(), Encoding::Json);
            assert_eq!(read.is_ok(), optional, "{member} left out: {leave}");
        }
    }
}

/// Texts that are nearly a message.
#[test]
fn near_misses_are_refused() {
    fn check<T: Message>(text: &str) {
        let read = payload::decode::<T>(text.as_bytes(), Encoding::Json);
        assert!(read.is_err(), "{text}");
    }
    let good = serde_json::to_string(&hello()).unwrap();
    let digest = hello().digest.to_string();
    let digest = digest.as_str();
    for (part, replaced) in [
        (digest, digest.to_uppercase()),
        (digest, digest[1..].to_owned()),
        (digest, format!("{digest}00")),
        (digest, format!("é{}", &digest[2..])),
        ("300", "-1".into()),
        ("300", "300.0".into()),
        ("300", "\"300\"".into()),
        ("300", "18446744073709551616".into()),
        (
            "\"generation\":300",
            "\"generation\":300,\"generation\":300".into(),
        ),
    ] {
        let text = good.replacen(part, &replaced, 1);
        assert_ne!(text, good);
        check::<Hello>(&text);
    }
    // Base64 with its padding, of the alphabet with + and /, and with nothing in the bits that are left over.
    for csr in ["MA", "MA=", "MB==", "M A=", "-_8=", "MAA=\\n"] {
        check::<Claim>(&format!(r#"{{"csr":"{csr}"}}"#));
    }
    check::<ClaimResult>(r#"{"accepted":{"device_id":"x","chain":[],"roots":[]},"refused":null}"#);
    check::<ClaimResult>(r#"{"Accepted":{"device_id":"x","chain":[],"roots":[]}}"#);
    check::<FacetState>(r#"{"applied":{}}"#);
    check::<FacetState>(r#""failed""#);
    check::<FacetState>(r#"{"failed":{}}"#);
    // A policy is checked wherever it is read: here its target is not permitted.
    check::<Firmware>(
        r#"{"name":"p","revision":1,"model":"M","hardware":null,"policy":{"name":"p","applies_to":{"models":["*"]},
            "permit":{"range":"<2.0.0"},"update":{"target":{"version":"2.0.0","url":"https://a.example/x",
            "sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","size":1}}}}"#,
    );
}

#[test]
fn the_limit_holds_for_both_sides() {
    for encoding in ENCODINGS {
        // With a text of that length a hello is exactly as long as allowed.
        let mut message = Hello {
            agent_version: "x".repeat(LIMIT / 2),
            ..hello()
        };
        let rest = LIMIT - payload::encode(&message, encoding).unwrap().len();
        message.agent_version += &"x".repeat(rest);
        let longest = payload::encode(&message, encoding).unwrap();
        assert_eq!(longest.len(), LIMIT);
        assert_eq!(
            payload::decode::<Hello>(&longest, encoding).as_ref(),
            Ok(&message)
        );

        message.agent_version.push('x');
        let too_large = Err(PayloadError::TooLarge(LIMIT + 1));
        assert_eq!(payload::encode(&message, encoding), too_large);
        let longer = [longest, b" ".to_vec()].concat();
        assert_eq!(
            payload::decode::<Hello>(&longer, encoding),
            Err(PayloadError::TooLarge(LIMIT + 1))
        );
    }
}

#[test]
fn nothing_is_no_message() {
    assert_eq!(
        payload::decode::<Claim>(&[], Encoding::Postcard),
        Err(PayloadError::Empty)
    );
    assert!(matches!(
        payload::decode::<Claim>(&[], Encoding::Json),
        Err(PayloadError::Json(_))
    ));
}

/// A length that no bytes follow must not be believed, neither for memory nor for arithmetic.
#[test]
fn announced_lengths_cost_nothing() {
    let longest = [0xff; 9].into_iter().chain([1]).collect::<Vec<u8>>();
    let long = [0xff, 0xff, 0xff, 0xff, 0x0f].to_vec();
    for length in [longest, long] {
        // Version, then the first length of each message.
        let claim = [vec![VERSION], length.clone()].concat();
        assert_eq!(
            payload::decode::<Claim>(&claim, Encoding::Postcard),
            Err(PayloadError::Postcard)
        );
        assert!(payload::decode::<Report>(&claim, Encoding::Postcard).is_err());
        // Device id "", three numbers, digest, no profile, then so many files.
        let head = [vec![VERSION, 0, 1, 0], vec![0; 32], vec![0]].concat();
        let files = [head, length].concat();
        assert!(payload::decode::<Desired>(&files, Encoding::Postcard).is_err());
    }
}

#[test]
fn deep_json_ends_with_an_error() {
    for opening in ["[", r#"{"csr":"#, r#"{"accepted":"#] {
        let text = opening.repeat(LIMIT / opening.len());
        assert!(payload::decode::<Claim>(text.as_bytes(), Encoding::Json).is_err());
        assert!(payload::decode::<ClaimResult>(text.as_bytes(), Encoding::Json).is_err());
        assert!(payload::decode::<Desired>(text.as_bytes(), Encoding::Json).is_err());
    }
}

/// README: integers may be longer than they need be, for a reader; a writer makes them as short as can be.
#[test]
fn long_varints_are_read_and_never_written() {
    let bytes = payload::encode(&hello(), Encoding::Postcard).unwrap();
    // Generation 300 is ac 02.
    assert_eq!(bytes[1..3], [0xac, 0x02]);
    let long = [&bytes[..1], &[0xac, 0x82, 0x00], &bytes[3..]].concat();
    assert_eq!(payload::decode(&long, Encoding::Postcard), Ok(hello()));
}

/// What is logged of a secret: nothing of its content.
#[test]
fn debug_output_holds_no_bytes() {
    assert_eq!(
        format!("{:?}", claim().csr),
        format!("Binary({} bytes)", claim().csr.0.len())
    );
    let digest = Digest([0xab; 32]);
    assert_eq!(format!("{digest:?}"), format!("Digest({})", "ab".repeat(32)));
}
