//! Operator: who may call what (D1, G16), asked over the wire for every RPC that the server says it has.

use muster_domain::{Code, access::Role};
use muster_proto::v1;
use muster_tests::{ForeignCa, Key, Pair, World, grpc};
use muster_tools::import::ImportOptions;
use tonic::{Status, transport::Channel};

/// Who may call an RPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    Anyone,
    Follow,
    Read,
    Write,
    Approve,
    Admin,
}

/// Written down again, apart from the server's own table: a new RPC without a row here fails.
const TABLE: &[(&str, May)] = &[
    ("grpc.health.v1.Health/Check", May::Anyone),
    ("grpc.health.v1.Health/Watch", May::Anyone),
    (
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        May::Anyone,
    ),
    (
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        May::Anyone,
    ),
    ("muster.v1.Access/CreateOperator", May::Admin),
    ("muster.v1.Access/DisableOperator", May::Admin),
    ("muster.v1.Access/ListOperators", May::Read),
    ("muster.v1.Access/WhoAmI", May::Follow),
    ("muster.v1.Audit/ListEntries", May::Follow),
    ("muster.v1.Catalog/Apply", May::Write),
    ("muster.v1.Catalog/GetFirmwarePolicy", May::Read),
    ("muster.v1.Catalog/GetGroup", May::Read),
    ("muster.v1.Catalog/GetMapping", May::Read),
    ("muster.v1.Catalog/GetModel", May::Read),
    ("muster.v1.Catalog/GetNamingRule", May::Read),
    ("muster.v1.Catalog/GetProfile", May::Read),
    ("muster.v1.Catalog/GetSite", May::Read),
    ("muster.v1.Catalog/ListFirmwarePolicies", May::Read),
    ("muster.v1.Catalog/ListGroups", May::Read),
    ("muster.v1.Catalog/ListMappings", May::Read),
    ("muster.v1.Catalog/ListModels", May::Read),
    ("muster.v1.Catalog/ListNamingRules", May::Read),
    ("muster.v1.Catalog/ListProfileRevisions", May::Read),
    ("muster.v1.Catalog/ListProfiles", May::Read),
    ("muster.v1.Catalog/ListSites", May::Read),
    ("muster.v1.Certificates/GetCertificate", May::Read),
    ("muster.v1.Certificates/GetExpiry", May::Read),
    ("muster.v1.Certificates/GetRevocationList", May::Anyone),
    ("muster.v1.Certificates/ListCertificates", May::Read),
    ("muster.v1.Certificates/ListRevocationLists", May::Anyone),
    ("muster.v1.Certificates/RevokeCertificate", May::Write),
    ("muster.v1.Changes/AbortChange", May::Write),
    ("muster.v1.Changes/AcknowledgeCodes", May::Write),
    ("muster.v1.Changes/AddTargets", May::Write),
    ("muster.v1.Changes/ApproveChange", May::Approve),
    ("muster.v1.Changes/CreateChange", May::Write),
    ("muster.v1.Changes/GetApprovalRules", May::Read),
    ("muster.v1.Changes/GetChange", May::Read),
    ("muster.v1.Changes/ListChanges", May::Read),
    ("muster.v1.Changes/ListCodes", May::Write),
    ("muster.v1.Changes/ListTargetRows", May::Read),
    ("muster.v1.Changes/ListTargets", May::Read),
    ("muster.v1.Changes/PauseChange", May::Write),
    ("muster.v1.Changes/PlanChange", May::Write),
    ("muster.v1.Changes/ResumeChange", May::Write),
    ("muster.v1.Changes/RetryChange", May::Write),
    ("muster.v1.Changes/RollBackChange", May::Write),
    ("muster.v1.Changes/StartChange", May::Write),
    ("muster.v1.Changes/UpdateApprovalRules", May::Admin),
    ("muster.v1.Changes/WatchChange", May::Read),
    ("muster.v1.Devices/ArmDevice", May::Write),
    ("muster.v1.Devices/ClearCloneAlarm", May::Write),
    ("muster.v1.Devices/ExplainDevice", May::Read),
    ("muster.v1.Devices/GetDevice", May::Follow),
    ("muster.v1.Devices/ListDevices", May::Follow),
    ("muster.v1.Devices/OrderRenewals", May::Write),
    ("muster.v1.Devices/ReissueCode", May::Write),
    ("muster.v1.Devices/ResumeDevice", May::Write),
    ("muster.v1.Devices/RetireDevice", May::Write),
    ("muster.v1.Devices/SuspendDevice", May::Write),
    ("muster.v1.Devices/UpdateGroupMembers", May::Write),
    ("muster.v1.Devices/WatchDevices", May::Read),
    ("muster.v1.Enrollment/Claim", May::Anyone),
    ("muster.v1.Enrollment/GetTrustBundle", May::Anyone),
    ("muster.v1.Enrollment/Renew", May::Anyone),
    ("muster.v1.Fleet/ForecastFirmware", May::Read),
    ("muster.v1.Fleet/GetCounts", May::Read),
    ("muster.v1.Manifests/AcknowledgeResults", May::Write),
    ("muster.v1.Manifests/ApplyBatch", May::Write),
    ("muster.v1.Manifests/CancelBatch", May::Write),
    ("muster.v1.Manifests/CreateBatch", May::Write),
    ("muster.v1.Manifests/GetBatch", May::Read),
    ("muster.v1.Manifests/ImportRows", May::Write),
    ("muster.v1.Manifests/ListBatches", May::Read),
    ("muster.v1.Manifests/UndoBatch", May::Write),
    ("muster.v1.Manifests/UploadManifest", May::Write),
    ("muster.v1.Manifests/WatchBatch", May::Write),
    ("muster.v1.Secrets/ListSecretRevisions", May::Read),
    ("muster.v1.Secrets/ListSecrets", May::Read),
    ("muster.v1.Secrets/PutSecret", May::Write),
    ("muster.v1.Secrets/RetireSecret", May::Admin),
];

const fn allows(may: May, role: Role) -> bool {
    match may {
        May::Anyone | May::Follow => true,
        May::Read => !matches!(role, Role::Integrator),
        May::Write => matches!(role, Role::Admin | Role::Operator),
        May::Approve => matches!(role, Role::Admin | Role::Approver),
        May::Admin => matches!(role, Role::Admin),
    }
}

/// The refusal with which a call was stopped at the door; `None` when it got in, whatever became of it then.
async fn turned_away(channel: &Channel, method: &str) -> Option<Code> {
    // An empty message is one of every type. It names nothing, so even a call that gets in changes nothing.
    let answer = grpc::call(channel, method, &v1::GetCountsRequest {}).await;
    let code = answer.err().as_ref().and_then(grpc::refusal);
    code.filter(|code| [Code::NotAuthenticated, Code::NotPermitted, Code::OperatorDisabled].contains(code))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_every_rpc_has_a_row_in_the_table() {
    let world = World::builder().without_catalog().start().await;
    let served = grpc::methods(&world.channel(None)).await;
    // Reflection describes itself in the version that is asked.
    let described = TABLE.iter().filter(|(method, _)| !method.contains("v1alpha"));
    let known: Vec<_> = described.map(|(method, _)| (*method).to_owned()).collect();
    assert_eq!(
        served, known,
        "methods that the server describes, and those that are in the table"
    );
    // The server's own table has a row for each as well, and no more.
    let mut own: Vec<_> = muster_domain::access::TABLE
        .iter()
        .map(|(method, _)| *method)
        .collect();
    own.sort_unstable();
    let ours: Vec<_> = known
        .iter()
        .filter(|method| method.starts_with("muster."))
        .map(String::as_str)
        .collect();
    assert_eq!(own, ours);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_every_role_may_call_what_the_table_says() {
    let world = World::start().await;
    for (name, role) in [
        ("ada", Role::Admin),
        ("olga", Role::Operator),
        ("april", Role::Approver),
        ("vera", Role::Viewer),
        ("ines", Role::Integrator),
    ] {
        let pair = world.operator(name, role).await;
        let channel = world.channel(Some(&pair));
        for &(method, may) in TABLE {
            let expected = (!allows(may, role)).then_some(Code::NotPermitted);
            assert_eq!(
                turned_away(&channel, method).await,
                expected,
                "{method} as {role}"
            );
        }
    }
    // What does not exist is nobody's.
    let admin = world.channel(Some(&world.admin()));
    assert_eq!(
        turned_away(&admin, "muster.v1.Fleet/Destroy").await,
        Some(Code::NotPermitted)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_nobody_gets_in_without_a_live_operator_certificate() {
    let world = World::start().await;
    let former = world.operator("former", Role::Admin).await;
    let standing = world.channel(Some(&former));
    assert_eq!(turned_away(&standing, "muster.v1.Fleet/GetCounts").await, None);
    let request = v1::DisableOperatorRequest {
        name: "operators/former".into(),
    };
    world
        .client
        .access
        .clone()
        .disable_operator(request)
        .await
        .unwrap();
    let fresh = world.channel(Some(&former));
    let nobody = world.channel(None);
    for &(method, may) in TABLE {
        let refused = |code| (may != May::Anyone).then_some(code);
        assert_eq!(
            turned_away(&nobody, method).await,
            refused(Code::NotAuthenticated),
            "{method} without certificate"
        );
        // Also on the connection that was open when it happened.
        for (channel, which) in [(&standing, "standing"), (&fresh, "fresh")] {
            assert_eq!(
                turned_away(channel, method).await,
                refused(Code::OperatorDisabled),
                "{method}, {which} connection"
            );
        }
    }
}

/// TLS itself refuses: no call is answered, not even one that is open to anyone.
async fn no_handshake(world: &World, pair: &Pair, whose: &str) {
    let channel = world.channel(Some(pair));
    for &(method, _) in TABLE {
        let refused: Status = grpc::call(&channel, method, &v1::GetCountsRequest {})
            .await
            .unwrap_err();
        assert_eq!(
            grpc::refusal(&refused),
            None,
            "{method} with {whose} certificate was answered: {refused}"
        );
        assert!(
            std::error::Error::source(&refused).is_some(),
            "{method} with {whose} certificate was answered: {refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_certificates_of_others_open_no_connection() {
    let world = World::start().await;
    let foreign = ForeignCa::new().client("admin");
    no_handshake(&world, &foreign, "a foreign").await;
    // Nor on the port of MQTT. TLS 1.3 lets the client finish first; then the refusal comes with the first answer.
    let Ok(mut mqtt) = world.dial(Some(&foreign)).await else {
        return;
    };
    assert_eq!(mqtt.connect("", None).await, None);
}

/// A device's certificate over a key that it shares with an operator.
async fn certified_as_device(world: &World, serial: &str, code: &str, pair: &Pair) -> Pair {
    let key = Key::of_pair(pair);
    let request = v1::ClaimRequest {
        serial: serial.to_owned(),
        activation_code: code.to_owned(),
        csr: key.csr(),
    };
    let claimed = world.client.enrollment.clone().claim(request).await.unwrap();
    key.pair(&claimed.into_inner().chain)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_a_device_certificate_gives_no_right_on_any_call() {
    let world = World::start().await;
    let codes = world.gateways(3).await;
    let device = world.claim(&codes[0].0, &codes[0].1).await;
    // Whoever has an operator's key must have their certificate, too: what ends with the one does not live on in another.
    let twin = certified_as_device(&world, &codes[1].0, &codes[1].1, &world.admin()).await;
    let maker = ForeignCa::new().client("admin");
    let text = format!(
        "serial,mac,model,firmware,site,position,extension,credential\n\
         GW2-6200001,00:1B:C5:62:00:01,GW-200,2.3.1,MUC-01,Hall 1,1,\"{}\"\n",
        maker.chain
    );
    let file = world.path("makers.csv");
    std::fs::write(&file, text).unwrap();
    let import = ImportOptions {
        credential: v1::CredentialKind::Pinned,
        ..ImportOptions::of(file)
    };
    assert_eq!(world.import_with(import).await.summary.created, 1);
    for (pair, whose) in [
        (&device, "a device's"),
        (&twin, "a device's over an admin's key"),
        (&maker, "a pinned"),
    ] {
        let channel = world.channel(Some(pair));
        for &(method, may) in TABLE {
            let expected = (may != May::Anyone).then_some(Code::OperatorDisabled);
            assert_eq!(
                turned_away(&channel, method).await,
                expected,
                "{method} with {whose} certificate"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_answers_anyone() {
    use tonic_health::pb::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    };
    let world = World::builder().without_catalog().start().await;
    let mut health = HealthClient::new(world.channel(None));
    // The empty name is the server as a whole.
    let answer = health
        .check(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_operators_do_stands_in_the_audit_log_without_gaps() {
    let world = World::start().await;
    let codes = world.gateways(3).await;
    world.operator("olga", Role::Operator).await;
    let name = format!("devices/serial:{}", codes[0].0);
    let request = v1::SuspendDeviceRequest {
        name,
        reason: "audit".into(),
        etag: String::new(),
    };
    world
        .client
        .devices
        .clone()
        .suspend_device(request)
        .await
        .unwrap();
    let entries = world.audit().await;
    for (place, entry) in entries.iter().enumerate() {
        assert_eq!(entry["index"], place, "contiguous");
    }
    for action in [
        "registry_created",
        "catalog_applied",
        "batch_started",
        "batch_finished",
        "operator_created",
        "device_suspended",
    ] {
        assert!(entries.iter().any(|entry| entry["action"] == action), "{action}");
    }
    assert_eq!(entries.last().unwrap()["actor"]["operator"], "admin");
}
