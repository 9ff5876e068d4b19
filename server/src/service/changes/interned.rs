//! What a million targets have in common, kept once.

use std::{collections::HashMap, hash::Hash};

/// Equal values, each kept once.
pub(super) struct Interned<T> {
    places: HashMap<T, u32>,
    pub(super) values: Vec<T>,
}

impl<T: Clone + Eq + Hash> Interned<T> {
    pub(super) fn new() -> Self {
        Self {
            places: HashMap::new(),
            values: Vec::new(),
        }
    }

    pub(super) fn place(&mut self, value: T) -> u32 {
        if let Some(known) = self.places.get(&value) {
            return *known;
        }
        let place = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.places.insert(value, place);
        place
    }

    pub(super) fn value(&self, place: u32) -> Option<&T> {
        self.values.get(usize::try_from(place).ok()?)
    }
}
