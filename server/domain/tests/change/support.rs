//! A change of a profile, and what devices say of it.

use core::time::Duration;
use muster_domain::{
    Timestamp,
    batch::PlanHash,
    change::{Action, Change, ChangeState, ChangeStep, Demands, OnHalt, Priority, Share, Stage, Strategy},
    device::{Facet, FacetState, FacetStatus, Report},
    ids::ChangeId,
};

pub(crate) const PLAN: PlanHash = PlanHash([7; 32]);
pub(crate) const OTHER_PLAN: PlanHash = PlanHash([8; 32]);

pub(crate) const fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

pub(crate) fn stage(size: Option<Share>, soak: u64) -> Stage {
    Stage {
        size,
        soak: Duration::from_secs(soak),
        failures: Share::PerMille(200),
        silent: Share::PerMille(400),
    }
}

pub(crate) fn strategy() -> Strategy {
    Strategy {
        stages: vec![stage(Some(Share::Count(2)), 10), stage(None, 10)],
        in_flight: 3,
        in_flight_per_site: None,
        per_minute: None,
        deadline: Duration::from_secs(100),
        watch: Duration::from_secs(1000),
        on_halt: OnHalt::Wait,
        away_limit: None,
        start_at: None,
        windows: Default::default(),
        canary: None,
        repairs: 0,
        dynamic: None,
    }
}

pub(crate) fn publish(revision: u32) -> Action {
    Action::Profile("gateway".parse().unwrap(), revision)
}

pub(crate) fn draft() -> Change {
    Change {
        id: ChangeId::from_u128(1),
        title: "faster reports".into(),
        author: "ann".parse().unwrap(),
        created: at(0),
        action: publish(2),
        filter: "model = \"GW-200\"".into(),
        list: None,
        strategy: strategy(),
        priority: Priority::Normal,
        approvals_needed: 0,
        demands: Demands::default(),
        approvals: Vec::new(),
        accepted: Vec::new(),
        state: ChangeState::Draft,
        revision: 1,
    }
}

/// Planned, and no rule asks for approvals.
pub(crate) fn plan(hash: PlanHash) -> ChangeStep {
    ChangeStep::Plan(hash, Demands::default())
}

/// Started, and no rule asks for approvals.
pub(crate) fn start(hash: PlanHash) -> ChangeStep {
    ChangeStep::Start(hash, Demands::default())
}

/// After these steps, which must all be allowed.
pub(crate) fn after(change: Change, steps: impl IntoIterator<Item = ChangeStep>) -> Change {
    steps
        .into_iter()
        .fold(change, |change, step| change.step(step, at(5)).unwrap())
}

pub(crate) fn report(generation: u64, state: FacetState) -> Report {
    let other = |facet| FacetStatus {
        facet,
        state: FacetState::Failed("another matter".into()),
    };
    Report {
        generation,
        digest: [1; 32],
        facets: vec![
            other(Facet::Location),
            FacetStatus {
                facet: Facet::Config,
                state,
            },
        ],
        firmware: None,
    }
}
