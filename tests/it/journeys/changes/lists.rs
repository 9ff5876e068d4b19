//! Changes of devices that somebody listed.

use super::{Desk, asked, counts, publish, revise, strategy};
use muster_domain::Code;
use muster_proto::v1::{
    self, AddTargetsRequest, TargetRow,
    change::State,
    change_target::State::{self as Row, Done, Excluded, Repeated, Unknown, Unspecified, Waiting},
};
use muster_tests::{World, grpc};
use tonic_types::StatusExt as _;

fn rows(named: &[(u32, &str)]) -> Vec<TargetRow> {
    let row = |(row, device): &(u32, &str)| TargetRow {
        row: *row,
        device: (*device).to_owned(),
    };
    named.iter().map(row).collect()
}

async fn told(desk: &mut Desk, name: &str) -> Vec<(u32, Row, String)> {
    let request = v1::ListTargetRowsRequest {
        name: name.to_owned(),
        ..v1::ListTargetRowsRequest::default()
    };
    let page = desk.changes.list_target_rows(request).await.unwrap().into_inner();
    let told = page.rows.into_iter().map(|row| {
        let target = row.target.unwrap();
        (row.row, target.state(), target.reason)
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_a_list_has_its_answer() {
    let world = World::start().await;
    let gateways = world.gateways(4).await;
    revise(&world, "two = true").await;
    let mut desk = Desk::of(&world);
    let listed = v1::CreateChangeRequest {
        listed: 6,
        filter: format!("serial != \"{}\"", gateways[3].0),
        ..asked(publish(2), strategy(0))
    };
    let made = desk.changes.create_change(listed).await.unwrap().into_inner();
    let second = world.device(&gateways[1].0).await.name;
    let add = |named: &[(u32, &str)]| AddTargetsRequest {
        name: made.name.clone(),
        rows: rows(named),
    };
    // What can name nothing is refused, each at its row, and nothing of the part is taken.
    let wrong = add(&[(2, &gateways[0].0), (3, ""), (4, "a\u{7}b"), (4, "again")]);
    let refused = desk.changes.add_targets(wrong).await.unwrap_err();
    assert_eq!(grpc::refusal(&refused), Some(Code::ChangeInvalid));
    let details = refused.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["rows[1].device", "rows[2].device", "rows[3].row"]);
    let part = add(&[(2, &gateways[0].0), (3, &second), (5, "GW2-404")]);
    let added = desk.changes.add_targets(part).await.unwrap().into_inner();
    assert_eq!(added.unknown, [5]);
    let change = added.change.unwrap();
    assert_eq!(change.summary, "3 of the 6 rows of its list are there");
    let plan = v1::PlanChangeRequest {
        name: made.name.clone(),
        etag: String::new(),
    };
    let early = desk.changes.plan_change(plan.clone()).await.unwrap_err();
    assert_eq!(grpc::refusal(&early), Some(Code::ChangeState));
    let part = add(&[(6, &gateways[0].0), (7, &gateways[3].0), (8, "GW2-9000001")]);
    let added = desk.changes.add_targets(part).await.unwrap().into_inner();
    assert_eq!(added.unknown, [8]);
    assert_eq!(told(&mut desk, &made.name).await[0].1, Unspecified);
    // The last one is registered before it is planned, so it is found then.
    world
        .import_text("more.csv", "serial,model\nGW2-9000001,GW-200\n")
        .await;
    let planned = desk.changes.plan_change(plan.clone()).await.unwrap().into_inner();
    let list = planned.list.unwrap();
    assert_eq!((list.rows, list.unknown, list.repeated), (6, 1, 1));
    assert_eq!((counts(&planned).total, planned.excluded.len()), (2, 2));
    let expected = |state: Row| {
        [
            (2, state, String::new()),
            (3, state, String::new()),
            (5, Unknown, "no device has the serial GW2-404".to_owned()),
            (6, Repeated, "duplicate of row 2".to_owned()),
            (7, Excluded, "it does not match the filter".to_owned()),
            // It came with the newest revision.
            (8, Excluded, "it is so already".to_owned()),
        ]
    };
    assert_eq!(told(&mut desk, &made.name).await, expected(Waiting));
    // Again, it is the same plan.
    let again = desk.changes.plan_change(plan).await.unwrap().into_inner();
    assert_eq!(again.plan_hash, planned.plan_hash);
    desk.start(&again).await;
    // None of them has claimed: it is done when it is on record.
    desk.when(&made.name, "it is done", |change| change.state() == State::Done)
        .await;
    assert_eq!(told(&mut desk, &made.name).await, expected(Done));
}
