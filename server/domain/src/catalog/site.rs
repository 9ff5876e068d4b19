//! Sites: places, in a tree, with coordinates, a time zone and maintenance windows.

use crate::{
    Code, Refusal,
    catalog::model::optional,
    names::SiteCode,
    windows::{WINDOW_LIMIT, Windows},
};
use core::fmt;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, SeqAccess, Visitor},
};

const NAME_LIMIT: usize = 256;
const ZONE_LIMIT: usize = 64;

/// A site as a person writes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteSource {
    /// Its code, such as `MUC-01`.
    pub code: String,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// Two letters, ISO 3166-1.
    #[serde(default)]
    pub country: String,
    /// The site it is part of.
    #[serde(default)]
    pub parent: String,
    /// Degrees north, WGS 84.
    #[serde(default)]
    pub latitude: Option<f64>,
    /// Degrees east, WGS 84.
    #[serde(default)]
    pub longitude: Option<f64>,
    /// IANA name, such as `Europe/Berlin`.
    #[serde(default)]
    pub time_zone: String,
    /// When its devices may be changed, by its clock, such as `Mon-Fri 01:00-05:00`; none: as the site above it says, or at any time.
    #[serde(default, deserialize_with = "texts")]
    pub maintenance_windows: Vec<String>,
}

/// A list of texts, or one text that has them between semicolons, as a cell of a table has.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Texts;
    impl<'de> Visitor<'de> for Texts {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of windows, such as Mon-Fri 01:00-05:00")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            let texts = text.split(';').map(str::trim).filter(|text| !text.is_empty());
            Ok(texts.map(str::to_owned).collect())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = list.next_element()? {
                texts.push(text);
            }
            Ok(texts)
        }
    }
    // Records of the store say nothing of their types.
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(Texts)
    } else {
        Vec::deserialize(deserializer)
    }
}

/// A checked site.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Its code.
    pub code: SiteCode,
    /// For people.
    pub name: String,
    /// Two upper-case letters, or empty.
    pub country: String,
    /// The site it is part of.
    pub parent: Option<SiteCode>,
    /// Degrees north and east, WGS 84.
    pub coordinates: Option<(f64, f64)>,
    /// IANA name; empty means UTC. That the zone exists is checked where the zone database is.
    pub time_zone: String,
    /// When its devices, and those of sites below it that have none of their own, may be changed; empty: see
    /// [`Catalog::maintenance_windows`](super::Catalog::maintenance_windows).
    pub maintenance_windows: Windows,
}

impl SiteSource {
    /// Checks everything and reports every mistake, each at its field.
    pub fn check(&self) -> Result<Site, Vec<Refusal>> {
        let mut problems = Vec::new();
        let mut wrong =
            |field: &str, why: String| problems.push(Refusal::new(Code::SiteInvalid, why).at(field));
        let code = self
            .code
            .parse::<SiteCode>()
            .map_err(|why| wrong("code", format!("{why}")))
            .ok();
        if self.name.len() > NAME_LIMIT {
            wrong("name", format!("is longer than {NAME_LIMIT} bytes"));
        }
        let two_letters = self.country.len() == 2 && self.country.bytes().all(|c| c.is_ascii_uppercase());
        if !self.country.is_empty() && !two_letters {
            wrong("country", "is not two upper-case letters (ISO 3166-1)".into());
        }
        let parent = optional::<SiteCode>(&self.parent)
            .map_err(|why| wrong("parent", format!("{why}")))
            .ok()
            .flatten();
        if parent.is_some() && parent == code {
            wrong("parent", "names the site itself".into());
        }
        let coordinates = match (self.latitude, self.longitude) {
            (None, None) => None,
            (Some(latitude), Some(longitude)) => {
                if !(-90.0..=90.0).contains(&latitude) {
                    wrong("latitude", "is not between -90 and 90 degrees".into());
                }
                if !(-180.0..=180.0).contains(&longitude) {
                    wrong("longitude", "is not between -180 and 180 degrees".into());
                }
                Some((latitude, longitude))
            }
            (Some(_), None) => {
                wrong("longitude", "is missing beside the latitude".into());
                None
            }
            (None, Some(_)) => {
                wrong("latitude", "is missing beside the longitude".into());
                None
            }
        };
        let zone_like = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '+' | '-');
        if self.time_zone.len() > ZONE_LIMIT || !self.time_zone.chars().all(zone_like) {
            wrong(
                "time_zone",
                "is not an IANA time zone name, such as Europe/Berlin".into(),
            );
        }
        if self.maintenance_windows.len() > WINDOW_LIMIT {
            wrong("maintenance_windows", format!("are over {WINDOW_LIMIT}"));
        }
        let windows = Windows::parse(&self.maintenance_windows).unwrap_or_else(|mistakes| {
            for (place, why) in mistakes {
                wrong(&format!("maintenance_windows[{place}]"), why);
            }
            Windows::default()
        });
        match code {
            Some(code) if problems.is_empty() => Ok(Site {
                code,
                name: self.name.clone(),
                country: self.country.clone(),
                parent,
                coordinates,
                time_zone: self.time_zone.clone(),
                maintenance_windows: windows,
            }),
            _ => Err(problems),
        }
    }
}

impl From<&Site> for SiteSource {
    fn from(site: &Site) -> Self {
        Self {
            code: site.code.to_string(),
            name: site.name.clone(),
            country: site.country.clone(),
            parent: site.parent.as_ref().map(SiteCode::to_string).unwrap_or_default(),
            latitude: site.coordinates.map(|(latitude, _)| latitude),
            longitude: site.coordinates.map(|(_, longitude)| longitude),
            time_zone: site.time_zone.clone(),
            maintenance_windows: site.maintenance_windows.texts(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_checked_field_by_field() {
        let good = SiteSource {
            code: "MUC-01".into(),
            country: "DE".into(),
            latitude: Some(48.1),
            longitude: Some(11.6),
            time_zone: "Europe/Berlin".into(),
            maintenance_windows: vec!["Mon-Fri 01:00-05:00".into(), "Sat,Sun 00:00-24:00".into()],
            ..SiteSource::default()
        };
        let site = good.check().unwrap();
        assert_eq!(SiteSource::from(&site).check(), Ok(site));
        let bad = SiteSource {
            code: "MUC-01".into(),
            country: "de".into(),
            parent: "MUC-01".into(),
            latitude: Some(f64::NAN),
            longitude: Some(181.0),
            time_zone: "Berlin!".into(),
            maintenance_windows: ["01:00-02:00", "noon", "02:00-02:00"].map(str::to_owned).into(),
            ..SiteSource::default()
        };
        let fields: Vec<_> = bad
            .check()
            .unwrap_err()
            .into_iter()
            .map(|refusal| refusal.field)
            .collect();
        assert_eq!(
            fields,
            [
                "country",
                "parent",
                "latitude",
                "longitude",
                "time_zone",
                "maintenance_windows[1]",
                "maintenance_windows[2]"
            ]
        );
    }

    #[test]
    fn windows_are_a_list_or_a_text_of_them() {
        let check = |json: &str, expected: &[&str]| {
            let site: SiteSource = serde_json::from_str(&format!(r#"{{"code": "MUC-01"{json}}}"#)).unwrap();
            assert_eq!(site.maintenance_windows, expected, "{json}");
        };
        check("", &[]);
        check(r#", "maintenance_windows": []"#, &[]);
        check(r#", "maintenance_windows": """#, &[]);
        check(
            r#", "maintenance_windows": ["Mon 01:00-02:00"]"#,
            &["Mon 01:00-02:00"],
        );
        check(
            r#", "maintenance_windows": "Mon,Tue 01:00-02:00; 04:00-05:00""#,
            &["Mon,Tue 01:00-02:00", "04:00-05:00"],
        );
        let many = SiteSource {
            code: "MUC-01".into(),
            maintenance_windows: vec!["01:00-02:00".into(); WINDOW_LIMIT + 1],
            ..SiteSource::default()
        };
        assert_eq!(many.check().unwrap_err()[0].field, "maintenance_windows");
    }
}
