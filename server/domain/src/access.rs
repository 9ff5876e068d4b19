//! Who may call what, and who may hear what: two tables in data, deny by default.

use crate::{
    Code, Refusal,
    certificate::{CertificateSerial, SpkiDigest},
    names::OperatorName,
};
use core::fmt;
use serde::{Deserialize, Serialize};

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Everything, operators included.
    Admin,
    /// Runs the fleet: catalog, manifests, devices.
    Operator,
    /// Reads everything and approves changes of others.
    Approver,
    /// Reads.
    Viewer,
    /// A program beside the registry: hears its feeds over MQTT, and reads what it needs to make sense of them.
    Integrator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Admin,
        Self::Operator,
        Self::Approver,
        Self::Viewer,
        Self::Integrator,
    ];

    /// The written name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Viewer => "viewer",
            Self::Integrator => "integrator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A person or machine with an operator certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Unique, never reused.
    pub name: OperatorName,
    /// What they may do.
    pub role: Role,
    /// The key of their certificate.
    pub key: SpkiDigest,
    /// False once disabled.
    pub enabled: bool,
    /// Their certificate; `None` in records of older programs, which kept none.
    pub certificate: Option<CertificateSerial>,
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// No client certificate.
    Nobody,
    /// A registered, enabled operator.
    Operator(Operator),
    /// A certificate of the operator CA that is not, or no longer, registered.
    Stranger,
}

/// Who may call an RPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Anybody who can open a TLS connection: the call proves its right by itself, or gives away nothing.
    Anyone,
    /// Operators of these roles.
    Roles(&'static [Role]),
}

const READ: Rule = Rule::Roles(&[Role::Admin, Role::Operator, Role::Approver, Role::Viewer]);
/// What makes sense of a feed: which device that is, and the entries of the audit log that were missed.
const FOLLOW: Rule = Rule::Roles(&Role::ALL);
const WRITE: Rule = Rule::Roles(&[Role::Admin, Role::Operator]);
const APPROVE: Rule = Rule::Roles(&[Role::Admin, Role::Approver]);
const ADMIN: Rule = Rule::Roles(&[Role::Admin]);

/// Every RPC by its full method name. One that is missing here is denied to all, and fails a test.
pub const TABLE: &[(&str, Rule)] = &[
    ("muster.v1.Manifests/CreateBatch", WRITE),
    ("muster.v1.Manifests/UploadManifest", WRITE),
    ("muster.v1.Manifests/ImportRows", WRITE),
    ("muster.v1.Manifests/WatchBatch", WRITE),
    ("muster.v1.Manifests/AcknowledgeResults", WRITE),
    ("muster.v1.Manifests/ApplyBatch", WRITE),
    ("muster.v1.Manifests/CancelBatch", WRITE),
    ("muster.v1.Manifests/UndoBatch", WRITE),
    ("muster.v1.Manifests/GetBatch", READ),
    ("muster.v1.Manifests/ListBatches", READ),
    ("muster.v1.Devices/GetDevice", FOLLOW),
    ("muster.v1.Devices/ListDevices", FOLLOW),
    ("muster.v1.Devices/ExplainDevice", READ),
    ("muster.v1.Devices/WatchDevices", READ),
    ("muster.v1.Devices/SuspendDevice", WRITE),
    ("muster.v1.Devices/ResumeDevice", WRITE),
    ("muster.v1.Devices/RetireDevice", WRITE),
    ("muster.v1.Devices/ReissueCode", WRITE),
    ("muster.v1.Devices/OrderRenewals", WRITE),
    ("muster.v1.Devices/ArmDevice", WRITE),
    ("muster.v1.Devices/ClearCloneAlarm", WRITE),
    ("muster.v1.Devices/UpdateGroupMembers", WRITE),
    ("muster.v1.Certificates/GetCertificate", READ),
    ("muster.v1.Certificates/ListCertificates", READ),
    ("muster.v1.Certificates/GetExpiry", READ),
    ("muster.v1.Certificates/RevokeCertificate", WRITE),
    ("muster.v1.Certificates/ListRevocationLists", Rule::Anyone),
    ("muster.v1.Certificates/GetRevocationList", Rule::Anyone),
    ("muster.v1.Catalog/Apply", WRITE),
    ("muster.v1.Catalog/GetModel", READ),
    ("muster.v1.Catalog/ListModels", READ),
    ("muster.v1.Catalog/GetSite", READ),
    ("muster.v1.Catalog/ListSites", READ),
    ("muster.v1.Catalog/GetGroup", READ),
    ("muster.v1.Catalog/ListGroups", READ),
    ("muster.v1.Catalog/GetProfile", READ),
    ("muster.v1.Catalog/ListProfiles", READ),
    ("muster.v1.Catalog/ListProfileRevisions", READ),
    ("muster.v1.Catalog/GetFirmwarePolicy", READ),
    ("muster.v1.Catalog/ListFirmwarePolicies", READ),
    ("muster.v1.Catalog/GetMapping", READ),
    ("muster.v1.Catalog/ListMappings", READ),
    ("muster.v1.Catalog/GetNamingRule", READ),
    ("muster.v1.Catalog/ListNamingRules", READ),
    ("muster.v1.Secrets/PutSecret", WRITE),
    ("muster.v1.Secrets/ListSecrets", READ),
    ("muster.v1.Secrets/ListSecretRevisions", READ),
    ("muster.v1.Secrets/RetireSecret", ADMIN),
    ("muster.v1.Changes/CreateChange", WRITE),
    ("muster.v1.Changes/AddTargets", WRITE),
    ("muster.v1.Changes/PlanChange", WRITE),
    ("muster.v1.Changes/GetChange", READ),
    ("muster.v1.Changes/ListChanges", READ),
    ("muster.v1.Changes/ListTargets", READ),
    ("muster.v1.Changes/ListTargetRows", READ),
    ("muster.v1.Changes/ApproveChange", APPROVE),
    ("muster.v1.Changes/StartChange", WRITE),
    ("muster.v1.Changes/PauseChange", WRITE),
    ("muster.v1.Changes/ResumeChange", WRITE),
    ("muster.v1.Changes/AbortChange", WRITE),
    ("muster.v1.Changes/RollBackChange", WRITE),
    ("muster.v1.Changes/RetryChange", WRITE),
    ("muster.v1.Changes/WatchChange", READ),
    ("muster.v1.Changes/ListCodes", WRITE),
    ("muster.v1.Changes/AcknowledgeCodes", WRITE),
    ("muster.v1.Changes/GetApprovalRules", READ),
    ("muster.v1.Changes/UpdateApprovalRules", ADMIN),
    ("muster.v1.Enrollment/Claim", Rule::Anyone),
    ("muster.v1.Enrollment/Renew", Rule::Anyone),
    ("muster.v1.Enrollment/GetTrustBundle", Rule::Anyone),
    ("muster.v1.Access/CreateOperator", ADMIN),
    ("muster.v1.Access/ListOperators", READ),
    ("muster.v1.Access/DisableOperator", ADMIN),
    ("muster.v1.Access/WhoAmI", FOLLOW),
    ("muster.v1.Audit/ListEntries", FOLLOW),
    ("muster.v1.Fleet/GetCounts", READ),
    ("muster.v1.Fleet/ForecastFirmware", READ),
];

/// What there is to hear over MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feed {
    /// What devices say when they connect.
    Hello,
    /// What devices say of what they applied.
    Report,
    /// Which devices come and go.
    Presence,
    /// The audit log, as it grows.
    Events,
}

impl Feed {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hello, Self::Report, Self::Presence, Self::Events];
}

/// Who may hear which feed: every role that may read the same over gRPC. A feed that is missing here is denied to all, and
/// fails a test.
pub const FEEDS: &[(Feed, &[Role])] = &[
    (Feed::Hello, &Role::ALL),
    (Feed::Report, &Role::ALL),
    (Feed::Presence, &Role::ALL),
    (Feed::Events, &Role::ALL),
];

/// May an operator of this role hear this feed?
pub fn may_hear(role: Role, feed: Feed) -> bool {
    FEEDS
        .iter()
        .any(|(known, roles)| *known == feed && roles.contains(&role))
}

/// May the holder of an operator certificate connect to hear feeds? Which ones, [`may_hear`] says.
pub fn may_listen(holder: Option<Operator>) -> Result<Operator, Refusal> {
    let why = match holder {
        Some(operator) if operator.enabled => return Ok(operator),
        Some(operator) => disabled(&operator.name),
        None => "the certificate belongs to no enabled operator".to_owned(),
    };
    Err(Refusal::new(Code::OperatorDisabled, why))
}

fn disabled(name: &OperatorName) -> String {
    format!("operator {name} is disabled")
}

/// Proof that a call was checked; service functions that change anything demand one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    operator: Option<Operator>,
}

impl Permit {
    /// The operator who asks; `None` for calls open to anyone.
    pub const fn operator(&self) -> Option<&Operator> {
        self.operator.as_ref()
    }
}

/// May `principal` call `method` (such as `muster.v1.Fleet/GetCounts`)?
pub fn authorize(method: &str, principal: &Principal) -> Result<Permit, Refusal> {
    let rule = TABLE
        .iter()
        .find(|(known, _)| *known == method)
        .map(|(_, rule)| *rule);
    let roles = match rule {
        Some(Rule::Anyone) => {
            let operator = match principal {
                Principal::Operator(operator) => Some(operator.clone()),
                Principal::Nobody | Principal::Stranger => None,
            };
            return Ok(Permit { operator });
        }
        Some(Rule::Roles(roles)) => roles,
        None => &[],
    };
    match principal {
        Principal::Nobody => Err(Refusal::new(
            Code::NotAuthenticated,
            "the connection has no operator certificate",
        )),
        Principal::Stranger => Err(Refusal::new(
            Code::OperatorDisabled,
            "the certificate belongs to no enabled operator",
        )),
        Principal::Operator(operator) if !operator.enabled => {
            Err(Refusal::new(Code::OperatorDisabled, disabled(&operator.name)))
        }
        Principal::Operator(operator) if roles.contains(&operator.role) => Ok(Permit {
            operator: Some(operator.clone()),
        }),
        Principal::Operator(operator) => {
            let allowed: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
            let allowed = if allowed.is_empty() {
                "none".to_owned()
            } else {
                allowed.join(", ")
            };
            Err(Refusal::new(
                Code::NotPermitted,
                format!("{method} needs role {allowed}; yours is {}", operator.role),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(role: Role, enabled: bool) -> Principal {
        let name = "alice".parse().unwrap();
        Principal::Operator(Operator {
            name,
            role,
            key: SpkiDigest([0; 32]),
            enabled,
            certificate: None,
        })
    }

    #[test]
    fn every_cell_of_the_table_is_decided_by_its_row() {
        for &(method, rule) in TABLE {
            for role in Role::ALL {
                let allowed = match rule {
                    Rule::Anyone => true,
                    Rule::Roles(roles) => roles.contains(&role),
                };
                assert_eq!(
                    authorize(method, &operator(role, true)).is_ok(),
                    allowed,
                    "{method} {role}"
                );
            }
            let open = rule == Rule::Anyone;
            for nobody in [
                Principal::Nobody,
                Principal::Stranger,
                operator(Role::Admin, false),
            ] {
                assert_eq!(authorize(method, &nobody).is_ok(), open, "{method} {nobody:?}");
            }
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_denied_to_all() {
        let refusal = authorize("muster.v1.Fleet/Destroy", &operator(Role::Admin, true)).unwrap_err();
        assert_eq!(refusal.code, Code::NotPermitted);
    }

    #[test]
    fn an_integrator_may_read_what_makes_sense_of_a_feed_and_no_more() {
        let integrator = operator(Role::Integrator, true);
        let allowed: Vec<_> = TABLE
            .iter()
            .filter(|(method, rule)| *rule != Rule::Anyone && authorize(method, &integrator).is_ok())
            .map(|(method, _)| *method)
            .collect();
        assert_eq!(
            allowed,
            [
                "muster.v1.Devices/GetDevice",
                "muster.v1.Devices/ListDevices",
                "muster.v1.Access/WhoAmI",
                "muster.v1.Audit/ListEntries",
            ]
        );
    }

    #[test]
    fn every_feed_has_one_row_and_whoever_hears_it_may_read_the_same() {
        for feed in Feed::ALL {
            let rows = FEEDS.iter().filter(|(known, _)| *known == feed);
            assert_eq!(rows.count(), 1, "{feed:?}");
            let same = match feed {
                Feed::Hello | Feed::Report | Feed::Presence => "muster.v1.Devices/GetDevice",
                Feed::Events => "muster.v1.Audit/ListEntries",
            };
            for role in Role::ALL {
                let reads = authorize(same, &operator(role, true)).is_ok();
                assert_eq!(may_hear(role, feed), reads, "{feed:?} {role}");
            }
        }
    }

    #[test]
    fn no_row_stands_twice() {
        for (place, (method, _)) in TABLE.iter().enumerate() {
            assert!(
                TABLE[place + 1..].iter().all(|(other, _)| other != method),
                "{method}"
            );
        }
    }
}
