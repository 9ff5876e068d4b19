//! Layered values: what many devices must be is told alike by the slow way and the fast one, wherever they stand.

use crate::support::{at, claimed};
use muster_domain::{
    catalog::{
        Catalog, GroupSource, LayerSource, ParameterSource, ParameterType, ProfileSource, Revision,
        SiteSource, ValuesSource,
    },
    desired::{Digests, of_device},
    device::Device,
};
use proptest::{collection::vec, option, prelude::*, sample::subsequence};
use std::{collections::BTreeMap, sync::Arc};

const SITES: [(&str, &str); 4] = [("EU", ""), ("DE", "EU"), ("MUC-01", "DE"), ("BER-02", "DE")];
const MODELS: [&str; 2] = ["GW-200", "TS-10"];
/// Names, and the filters of the dynamic ones.
const GROUPS: [(&str, &str); 5] = [
    ("canary", ""),
    ("early", "labels.ring = early"),
    ("berlin", "site = \"BER-*\" OR model = TS-10"),
    (
        "batch",
        "batch = 00000000000000000000000005 OR create_time < 1971-01-01T00:00:00Z",
    ),
    ("lab", ""),
];

fn layer() -> impl Strategy<Value = LayerSource> {
    let value = ("[ab]", "[a-z]{0,3}");
    vec(value, 0..3).prop_map(|values| LayerSource(values.into_iter().collect()))
}

fn layers(names: Vec<&'static str>) -> impl Strategy<Value = BTreeMap<String, LayerSource>> {
    let count = names.len();
    subsequence(names, 0..=count).prop_flat_map(|names| {
        let layers = vec(layer(), names.len());
        layers.prop_map(move |layers| names.iter().map(|name| (*name).to_owned()).zip(layers).collect())
    })
}

fn values() -> impl Strategy<Value = ValuesSource> {
    let sites = SITES.map(|(code, _)| code).to_vec();
    let groups = GROUPS.map(|(name, _)| name).to_vec();
    let named = (layers(MODELS.to_vec()), layers(sites), layers(groups));
    (layer(), named).prop_map(|(organisation, (models, sites, groups))| ValuesSource {
        organisation,
        models,
        sites,
        groups,
    })
}

fn catalog(values: ValuesSource, ranks: &[i32], has_default: bool) -> Catalog {
    let mut catalog = Catalog::default();
    for (code, parent) in SITES {
        let source = SiteSource {
            code: code.into(),
            parent: parent.into(),
            ..SiteSource::default()
        };
        let site = source.check().unwrap();
        catalog.sites.insert(site.code.clone(), Arc::new(site));
    }
    for ((name, filter), rank) in GROUPS.into_iter().zip(ranks) {
        let source = GroupSource {
            name: name.into(),
            filter: filter.into(),
            rank: *rank,
            ..GroupSource::default()
        };
        let group = source.check().unwrap();
        catalog.groups.insert(group.name.clone(), Arc::new(group));
    }
    let parameter =
        |default: Option<&str>| ParameterSource::of(ParameterType::String, default.map(str::to_owned));
    let source = ProfileSource {
        name: "gateway".into(),
        parameters: [
            ("a".to_owned(), parameter(has_default.then_some("x"))),
            ("b".to_owned(), parameter(Some("y"))),
        ]
        .into(),
        values,
        files: [("f.txt".to_owned(), "{{ a }}-{{ b }}".to_owned())].into(),
        ..ProfileSource::default()
    };
    let revision = Revision {
        number: 1,
        author: "ann".parse().unwrap(),
        created: at(0),
        message: String::new(),
        content: source.check().unwrap(),
    };
    catalog
        .profiles
        .insert("gateway".parse().unwrap(), vec![Arc::new(revision)]);
    catalog
}

fn device() -> impl Strategy<Value = Device> {
    let groups = subsequence(vec!["canary", "lab"], 0..=2);
    let own = vec(("[ab]", "[a-z]{0,2}"), 0..2);
    let place = (option::of(0..SITES.len()), 0..MODELS.len());
    (place, groups, own, any::<bool>(), any::<bool>()).prop_map(
        |((site, model), groups, own, is_early, is_old)| {
            let mut device = claimed();
            device.target.profile = Some(("gateway".parse().unwrap(), 1));
            device.site = site.map(|place| SITES[place].0.parse().unwrap());
            device.model = MODELS[model].parse().unwrap();
            device.groups = groups.iter().map(|name| name.parse().unwrap()).collect();
            device.variables = own.into_iter().collect();
            device.labels = is_early
                .then(|| ("ring".to_owned(), "early".to_owned()))
                .into_iter()
                .collect();
            if !is_old {
                device.created = at(2_000_000_000);
            }
            device
        },
    )
}

proptest! {
    #[test]
    fn the_fast_digest_is_the_slow_one(
        values in values(), ranks in vec(-1..2, GROUPS.len()), has_default: bool, devices in vec(device(), 1..24),
    ) {
        let catalog = catalog(values, &ranks, has_default);
        let mut digests = Digests::new(&catalog);
        for device in devices {
            let slow = of_device(&catalog, &device).map(|content| content.digest());
            prop_assert_eq!(digests.of(&device), slow, "{:?}", device);
        }
    }
}

/// What layers cost the fast way. Not a test: run by hand, and read the numbers.
#[test]
#[ignore = "a measurement"]
#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a measurement is for whoever runs it"
)]
fn digests_a_second() {
    const DEVICES: u32 = 100_000;
    let layer = |text: &str| LayerSource([("a".to_owned(), text.to_owned())].into());
    let named = |names: &[&str]| {
        names
            .iter()
            .map(|name| ((*name).to_owned(), layer(name)))
            .collect()
    };
    let layered = ValuesSource {
        organisation: layer("all"),
        models: named(&MODELS),
        sites: named(&SITES.map(|(code, _)| code)),
        groups: named(&GROUPS.map(|(name, _)| name)),
    };
    for (what, values) in [
        ("without layers", ValuesSource::default()),
        ("with layers", layered),
    ] {
        let catalog = catalog(values, &[0; GROUPS.len()], true);
        let mut device = claimed();
        device.target.profile = Some(("gateway".parse().unwrap(), 1));
        let mut digests = Digests::new(&catalog);
        let began = std::time::Instant::now();
        for place in 0..DEVICES {
            let (code, _) = SITES[usize::try_from(place).unwrap() % SITES.len()];
            device.site = Some(code.parse().unwrap());
            digests.of(&device).unwrap();
        }
        let rate = f64::from(DEVICES) / began.elapsed().as_secs_f64();
        eprintln!("{what}: {rate:.0} digests/s");
    }
}
