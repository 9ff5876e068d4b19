//! A device speaks; the registry compares and decides.

use super::{Device, Facet, FacetState, Hello, Lifecycle, Report, Reported, Transition, Verification};
use crate::{Code, Refusal, Timestamp, desired::ContentDigest};

/// What to do after a hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelloAnswer {
    /// It has what it must be.
    UpToDate,
    /// Send the desired state.
    Send,
}

impl Device {
    /// Notes a hello and says whether the device needs its desired state sent.
    pub fn greet(mut self, hello: &Hello, now: Timestamp) -> (Self, HelloAnswer) {
        let current = hello.generation == self.target.generation && hello.digest == self.target.digest;
        let facets = self
            .reported
            .take()
            .map(|reported| reported.facets)
            .unwrap_or_default();
        self.reported = Some(Reported {
            at: now,
            generation: hello.generation,
            agent_version: hello.agent_version.clone(),
            firmware: hello.firmware.clone(),
            boot_id: hello.boot_id,
            facets,
        });
        // A device that says it has the current generation, but did not prove that it runs it, is sent it again: it
        // applies a repeat anew and answers with a fresh report.
        let settled = matches!(self.verification, Verification::Verified { .. });
        (
            self,
            if current && settled {
                HelloAnswer::UpToDate
            } else {
                HelloAnswer::Send
            },
        )
    }

    /// The same device, to become another content by the same revisions: what they are rendered with, such as its
    /// site, has changed. The generation grows (I7) and proof is asked for anew.
    #[must_use]
    pub fn retargeted(mut self, digest: ContentDigest, now: Timestamp) -> Self {
        self.target.generation += 1;
        self.target.digest = digest;
        self.verification = Verification::Pending;
        self.touched(now)
    }

    /// Notes a report, judges it, and activates a claimed device whose report verifies.
    pub fn hear(mut self, report: &Report, now: Timestamp) -> Result<Self, Refusal> {
        let known = report.generation <= self.target.generation;
        let same = report.generation != self.target.generation || report.digest == self.target.digest;
        if report.generation == 0 || !known || !same {
            let why = format!(
                "generation {} with that content was never issued; the newest is {}",
                report.generation, self.target.generation
            );
            return Err(Refusal::new(Code::GenerationUnknown, why));
        }
        let before = self.reported.take();
        self.reported = Some(Reported {
            at: now,
            generation: report.generation,
            agent_version: before
                .as_ref()
                .map(|r| r.agent_version.clone())
                .unwrap_or_default(),
            firmware: report.firmware.clone(),
            boot_id: before.map_or(0, |r| r.boot_id),
            facets: report.facets.clone(),
        });
        if report.generation == self.target.generation {
            self.verification = judge(report, &self.verification, now);
        }
        if let (Verification::Verified { .. }, Lifecycle::Claimed { .. }) =
            (&self.verification, &self.lifecycle)
        {
            self.lifecycle = self.lifecycle.step(Transition::Activate, now)?;
        }
        Ok(self.touched(now))
    }
}

/// The verdict on a report about the current generation. A failure outweighs a drift, a drift outweighs the
/// rest. Firmware that waits because its policy says so is as desired; config and location must be applied.
fn judge(report: &Report, before: &Verification, now: Timestamp) -> Verification {
    let state = |facet| {
        report
            .facets
            .iter()
            .rev()
            .find(|status| status.facet == facet)
            .map(|status| &status.state)
    };
    let facets = [Facet::Config, Facet::Location, Facet::Firmware];
    let failed = facets.iter().find_map(|&facet| match state(facet) {
        Some(FacetState::Failed(reason)) => Some(Verification::Failed {
            facet,
            reason: reason.clone(),
        }),
        Some(FacetState::Applied | FacetState::Drifted(_) | FacetState::Waiting(_)) | None => None,
    });
    let drifted = facets.iter().find_map(|&facet| match state(facet) {
        Some(FacetState::Drifted(reason)) => Some(Verification::Drifted {
            facet,
            reason: reason.clone(),
        }),
        Some(FacetState::Applied | FacetState::Failed(_) | FacetState::Waiting(_)) | None => None,
    });
    let applied = facets.iter().all(|&facet| match state(facet) {
        Some(FacetState::Applied) => true,
        Some(FacetState::Waiting(_)) => facet == Facet::Firmware,
        Some(FacetState::Failed(_) | FacetState::Drifted(_)) | None => false,
    });
    match (failed.or(drifted), applied, before) {
        (Some(bad), _, _) => bad,
        (None, true, Verification::Verified { at }) => Verification::Verified { at: *at },
        (None, true, _) => Verification::Verified { at: now },
        (None, false, _) => Verification::Pending,
    }
}
