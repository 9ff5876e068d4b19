//! Sites before they had maintenance windows.

use super::super::record::Replaceable;
use muster_domain::catalog::SiteSource;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(in crate::store::embedded) struct SiteV1 {
    code: String,
    name: String,
    country: String,
    parent: String,
    latitude: Option<f64>,
    longitude: Option<f64>,
    time_zone: String,
}

impl From<Replaceable<SiteV1>> for Replaceable<SiteSource> {
    fn from(former: Replaceable<SiteV1>) -> Self {
        let site = former.source;
        Self {
            changes: former.changes,
            source: SiteSource {
                code: site.code,
                name: site.name,
                country: site.country,
                parent: site.parent,
                latitude: site.latitude,
                longitude: site.longitude,
                time_zone: site.time_zone,
                maintenance_windows: Vec::new(),
            },
        }
    }
}
