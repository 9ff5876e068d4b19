//! Images that a device may not trust: what would have it install them is taken back.

use alloc::vec::Vec;

use crate::artifact::Artifact;
use crate::decision::{Decision, Evaluation, Reason};
use crate::policy::FirmwarePolicy;

impl Evaluation {
    /// The same, on a device that installs only what its author signed. `is_genuine` says of an image with a signature
    /// whether it is by one of the author's keys.
    ///
    /// If there is something to install, now or later, every image of the policy must be genuine, also those that this
    /// device would not pass through: nobody sets out on a way that might end half way, and what one device refuses
    /// no other takes. Otherwise the device is stuck, and there is nothing left in the decision that an installer could
    /// follow. A device that has nothing to install is judged as before.
    #[must_use]
    pub fn trusting(mut self, policy: &FirmwarePolicy, is_genuine: impl Fn(&Artifact) -> bool) -> Self {
        match &self.decision {
            Decision::Install(_) | Decision::Wait(_) => {}
            Decision::NotApplicable | Decision::Compliant | Decision::Stuck => return self,
        }
        let mut objections = Vec::new();
        for (_, image) in policy.images() {
            // Several stepping stones may lead through one image.
            objections.extend(objection(image, &is_genuine).filter(|reason| !objections.contains(reason)));
        }
        if !objections.is_empty() {
            self.decision = Decision::Stuck;
            self.reasons.extend(objections);
        }
        self
    }
}

fn objection(image: &Artifact, is_genuine: &impl Fn(&Artifact) -> bool) -> Option<Reason> {
    let version = image.version.clone();
    match image.signature {
        None => Some(Reason::ImageUnsigned { version }),
        Some(_) if !is_genuine(image) => Some(Reason::SignatureWrong { version }),
        Some(_) => None,
    }
}
