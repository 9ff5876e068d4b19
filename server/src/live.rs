//! What is replaced whole while others use it.

use std::sync::{Arc, PoisonError, RwLock};

/// A value that is replaced whole: who took it keeps what it took, and who asks next gets the new one. Cheap to clone; every
/// clone is the same.
#[derive(Debug)]
pub struct Live<T>(Arc<RwLock<Arc<T>>>);

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Live<T> {
    /// With its first value.
    pub fn new(first: impl Into<Arc<T>>) -> Self {
        Self(Arc::new(RwLock::new(first.into())))
    }

    /// Puts another value in its place, and gives back the one before.
    pub fn replace(&self, by: impl Into<Arc<T>>) -> Arc<T> {
        // A panic elsewhere cannot leave it half replaced: the pointer is all there is.
        std::mem::replace(
            &mut *self.0.write().unwrap_or_else(PoisonError::into_inner),
            by.into(),
        )
    }

    /// As it is now.
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_took_it_keeps_it_and_who_asks_next_gets_the_new_one() {
        let live = Live::new(1);
        let (other, taken) = (live.clone(), live.current());
        assert_eq!(*live.replace(2), 1);
        assert_eq!((*taken, *other.current()), (1, 2));
    }
}
