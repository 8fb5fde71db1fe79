//! Features by the very `str` objects that programs name them with.
//!
//! A key that stands in a program is one object however often it is asked about. What was found for that object is found
//! again by its address, without reading the text. Other objects with the same text are looked up as texts.

use crate::arguments::Given;
use leasehold::Feature;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::OnceLock;

/// How many places there are: more than programs have keys, for few of them to meet.
const PLACES: usize = 512;

/// A feature, and the object that names it.
type Named = (Py<PyString>, Feature);

/// Keys that were seen. A place is taken once, for good: an engine keeps a few hundred short texts alive at the most.
pub(crate) struct Keys(Box<[OnceLock<Named>]>);

impl Default for Keys {
    fn default() -> Self {
        Self(std::iter::repeat_with(OnceLock::new).take(PLACES).collect())
    }
}

impl Keys {
    /// The two places where an object may be.
    #[inline]
    fn places(&self, key: Given<'_, '_>) -> [Option<&OnceLock<Named>>; 2] {
        // Objects lie 16 bytes apart at the least.
        let first = (key.as_ptr() as usize >> 4) % PLACES;
        [self.0.get(first), self.0.get(first ^ 1)]
    }

    /// The feature that an object was found to name.
    #[inline]
    pub(crate) fn find(&self, key: Given<'_, '_>) -> Option<&Feature> {
        let mut seen = self.places(key).into_iter().flatten().filter_map(OnceLock::get);
        seen.find(|(object, _)| object.as_ptr() == key.as_ptr()).map(|(_, feature)| feature)
    }

    /// Remembers what an object names, where there is room.
    #[cold]
    pub(crate) fn remember(&self, key: Given<'_, '_>, text: &str) {
        // A subclass may be anything, and is asked as the text that it is.
        let (Ok(object), Ok(named)) = (key.cast_exact::<PyString>(), text.parse()) else { return };
        let free = self.places(key).into_iter().flatten().find(|place| place.get().is_none());
        if let Some(place) = free {
            // Where another thread was quicker, this object is looked up as a text.
            let _ = place.set((object.clone().unbind(), Feature::new(named)));
        }
    }
}
