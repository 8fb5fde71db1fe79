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
    /// The first of the two places where an object may be; the other is its neighbour. Objects lie 16 bytes apart at the
    /// least.
    #[inline]
    fn place(key: Given<'_, '_>) -> usize {
        (key.as_ptr() as usize >> 4) % PLACES
    }

    /// The feature that an object was found to name.
    #[inline]
    pub(crate) fn find(&self, key: Given<'_, '_>) -> Option<&Feature> {
        let at = |place: usize| {
            let (object, feature) = self.0.get(place)?.get()?;
            (object.as_ptr() == key.as_ptr()).then_some(feature)
        };
        let place = Self::place(key);
        at(place).or_else(|| at(place ^ 1))
    }

    /// Remembers what an object names, where there is room.
    #[cold]
    pub(crate) fn remember(&self, key: Given<'_, '_>, text: &str) {
        // A subclass may be anything, and is asked as the text that it is.
        let (Ok(object), Ok(named)) = (key.cast_exact::<PyString>(), text.parse()) else { return };
        let place = Self::place(key);
        let mut places = [place, place ^ 1].into_iter().filter_map(|place| self.0.get(place));
        if let Some(place) = places.find(|place| place.get().is_none()) {
            // Where another thread was quicker, this object is looked up as a text.
            let _ = place.set((object.clone().unbind(), Feature::new(named)));
        }
    }
}
