//! Whether a guard can hold or fail at all, and inputs under which it does.
//!
//! A guard of the typed subset tells the values of an input apart only by its constants: between two neighbouring
//! constants all values are alike. So a few values of each input stand for all, and trying them out decides. Where inputs
//! are compared with each other, or with something calculated, the values are a guess: good enough for examples, no
//! proof.
//!
//! A search is given up when it takes too long. Whether a guard never holds is therefore asked of its conditions first, in
//! small groups (`never`).

use super::bound::BoundGuard;
use super::constant::Constant;
use super::formula::{Formula, Value};
use super::input::{Input, MAX_STRING_BYTES};
use super::native::Slots;
use crate::model::{MAX_INTEGER, VariableType};
use crate::{SortedMap, SortedSet, VariableName};
use serde_json::Value as Json;
use std::borrow::Cow;

/// How often a search asks the guard before it gives up.
const MOST_STEPS: usize = 4_096;
/// Up to how many constants all lists of them are tried.
const ALL_LISTS: usize = 6;
/// How many constants lists are made of where there are more.
const SOME_CONSTANTS: usize = 16;

/// What can be said about a guard without knowing the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It holds for every item whose inputs are as declared.
    Always,
    /// It holds for no item.
    Never,
    /// It depends, or nothing could be proven.
    Depends,
}

impl BoundGuard {
    /// Whether it always or never holds. Either is said only where it is proven.
    pub fn truth(&self) -> Truth {
        if Self::never_hold_together(&[self]) {
            return Truth::Never;
        }
        // What Rhai runs may fail, and is not to be judged differently by builds without it.
        let decided = || self.decided(&Slots::none(&[])) == Some(true);
        let always = !self.needs_rhai() && (decided() || self.never(false, &mut { MOST_STEPS }));
        if always { Truth::Always } else { Truth::Depends }
    }

    /// Whether it is proven, in so many steps at most, that it never comes to this. Takes off what it needed.
    pub(super) fn never(&self, wanted: bool, steps_left: &mut usize) -> bool {
        let candidates = Candidates::of(self);
        if !candidates.stand_for_all {
            return false;
        }
        let (found, steps) = candidates.search(self, wanted, MOST_STEPS.min(*steps_left));
        *steps_left = steps_left.saturating_sub(steps);
        matches!(found, Found::Nothing)
    }

    /// Inputs under which it holds, or does not hold; nothing where none were found.
    pub fn example(&self, wanted: bool) -> Option<SortedMap<VariableName, Json>> {
        let candidates = Candidates::of(self);
        let (Found::Example(places), _) = candidates.search(self, wanted, MOST_STEPS) else { return None };
        let named = self.inputs().iter().zip(places);
        named.map(|((name, _), place)| Some((name.clone(), candidates.samples.get(place)?.json()))).collect()
    }
}

/// A value to try.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sample<'f> {
    Bool(bool),
    Integer(i64),
    String(Cow<'f, str>),
    Strings(Vec<&'f str>),
}

impl Sample<'_> {
    fn json(&self) -> Json {
        match self {
            Self::Bool(value) => (*value).into(),
            Self::Integer(value) => (*value).into(),
            Self::String(text) => (**text).into(),
            Self::Strings(items) => items.iter().map(|item| Json::from(*item)).collect(),
        }
    }
}

impl Formula {
    /// Whether the values of each input that its constants tell apart stand for all: it lies in the typed subset, and
    /// compares no two inputs with each other.
    pub(super) fn is_plain(&self) -> bool {
        let constants = Constants::of(self, None);
        self.is_native() && !constants.entangled
    }
}

/// The constants of a guard, each once and in order, and whether inputs meet nothing but them.
#[derive(Debug, Default)]
struct Constants<'f> {
    integers: Vec<i64>,
    strings: Vec<&'f str>,
    /// Inputs are compared with each other, or with something calculated.
    entangled: bool,
}

impl<'f> Constants<'f> {
    /// What stands around one input, or around all.
    fn of(formula: &'f Formula, about: Option<&VariableName>) -> Self {
        let mut constants = Self::default();
        constants.collect(formula, about);
        constants.integers.sort_unstable();
        constants.integers.dedup();
        constants.strings.sort_unstable();
        constants.strings.dedup();
        constants
    }

    fn collect(&mut self, formula: &'f Formula, about: Option<&VariableName>) {
        match formula {
            Formula::Constant(_) | Formula::Variable(_) => {}
            Formula::Not(inner) => self.collect(inner, about),
            Formula::And(parts) | Formula::Or(parts) => parts.iter().for_each(|part| self.collect(part, about)),
            Formula::Same(sides) | Formula::Differ(sides) => sides.iter().for_each(|side| self.collect(side, about)),
            Formula::Compare(_, left, right) | Formula::In(left, right) | Formula::Text(_, left, right) => {
                let (mut names, mut plain) = (SortedSet::new(), !matches!(formula, Formula::Text(..)));
                for side in [left, right] {
                    side.variables(&mut |variable| {
                        names.insert(&variable.name);
                    });
                    plain &= side.is_native();
                }
                if about.is_none_or(|about| names.contains(about)) {
                    self.entangled |= !plain || names.len() > 1;
                    self.take(left);
                    self.take(right);
                }
            }
        }
    }

    fn take(&mut self, value: &'f Value) {
        match value {
            Value::Constant(Constant::Integer(value)) => {
                self.integers.push(*value);
            }
            Value::Constant(Constant::String(text)) => {
                self.strings.push(text);
            }
            Value::Constant(Constant::Strings(items)) => self.strings.extend(items.iter().map(|item| &**item)),
            Value::Constant(Constant::Integers(items)) => self.integers.extend(items.iter().copied()),
            Value::Constant(Constant::Bool(_)) | Value::Variable(_) => {}
            Value::Arithmetic(_, sides) => sides.iter().for_each(|side| self.take(side)),
            Value::Negative(inner) | Value::Absolute(inner) | Value::Length(inner) => self.take(inner),
        }
    }
}

/// The values to try, of all inputs in one list.
#[derive(Debug)]
struct Candidates<'f> {
    samples: Vec<Sample<'f>>,
    /// For each input of the guard the part of `samples` that is its.
    ranges: Vec<std::ops::Range<usize>>,
    /// The order in which inputs are tried: that of the text.
    order: Vec<usize>,
    /// Whether they stand for all values that there are.
    stand_for_all: bool,
}

impl<'f> Candidates<'f> {
    fn of(guard: &'f BoundGuard) -> Self {
        let pooled = Constants::of(guard.formula(), None);
        let mut all = Self { samples: Vec::new(), ranges: Vec::new(), order: Vec::new(), stand_for_all: true };
        for (name, kind) in guard.inputs() {
            let own = Constants::of(guard.formula(), Some(name));
            let constants = if own.entangled { &pooled } else { &own };
            all.stand_for_all &= !own.entangled;
            let start = all.samples.len();
            match kind {
                VariableType::Bool => all.samples.extend([true, false].map(Sample::Bool)),
                VariableType::Integer => all.integers(constants),
                VariableType::String => all.strings(constants),
                VariableType::Strings => all.lists(constants),
            }
            all.ranges.push(start..all.samples.len());
        }
        guard.formula().variables(&mut |variable| {
            let slot = guard.inputs().binary_search_by(|(name, _)| name.cmp(&variable.name));
            if let Some(slot) = slot.ok().filter(|slot| !all.order.contains(slot)) {
                all.order.push(slot);
            }
        });
        all
    }

    /// Each constant and its neighbours; small ones first, since they look natural.
    fn integers(&mut self, constants: &Constants<'f>) {
        let mut values: SortedSet<i64> = constants.integers.iter().flat_map(|c| [*c - 1, *c, *c + 1]).collect();
        values.retain(|value| value.unsigned_abs() <= MAX_INTEGER);
        if constants.entangled || values.is_empty() {
            values.extend([0, 1, 2]);
        }
        let (negative, other): (Vec<i64>, Vec<i64>) = values.into_iter().partition(|value| *value < 0);
        self.samples.extend(other.into_iter().chain(negative.into_iter().rev()).map(Sample::Integer));
    }

    /// Each constant, and a text between it and the next one, where there is any.
    fn strings(&mut self, constants: &Constants<'f>) {
        let mut between: Vec<String> = Vec::new();
        let mut rest = constants.strings.iter().peekable();
        while let Some(text) = rest.next() {
            let next = rest.peek();
            // The last of these endings makes the very next text there is.
            let candidates = ["a", " ", "\0"].map(|ending| format!("{text}{ending}"));
            let fits = |candidate: &str| next.is_none_or(|next| *candidate < ***next);
            between.extend(candidates.into_iter().find(|candidate| fits(candidate)));
            self.stand_for_all &= text.len() < MAX_STRING_BYTES;
        }
        self.samples.extend(constants.strings.iter().map(|text| Sample::String(Cow::Borrowed(text))));
        self.samples.extend(between.into_iter().map(|text| Sample::String(Cow::Owned(text))));
        if !constants.strings.contains(&"") {
            self.samples.push(Sample::String("".into()));
        }
        if constants.entangled || constants.strings.is_empty() {
            self.samples.extend(["a", "b"].map(|text| Sample::String(text.into())));
        }
    }

    /// Lists of constants: all of them where there are few; else some of the first few.
    fn lists(&mut self, constants: &Constants<'f>) {
        let strings: Vec<&str> = constants.strings.iter().copied().take(SOME_CONSTANTS).collect();
        if constants.strings.len() <= ALL_LISTS {
            for chosen in 0_u32..1 << strings.len() {
                let items = strings.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1).map(|(_, item)| *item);
                self.samples.push(Sample::Strings(items.collect()));
            }
        } else {
            self.stand_for_all = false;
            self.samples.extend([Sample::Strings(Vec::new()), Sample::Strings(strings.clone())]);
            for left_out in 0..strings.len() {
                let others = strings.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, item)| *item);
                let others = Sample::Strings(others.collect());
                self.samples.push(Sample::Strings(strings.iter().copied().skip(left_out).take(1).collect()));
                self.samples.push(others);
            }
        }
        if constants.entangled {
            let lengths = constants.integers.iter().flat_map(|c| [*c - 1, *c, *c + 1]).chain([1, 2]);
            let lengths: SortedSet<usize> = lengths.filter_map(|it| usize::try_from(it).ok()).collect();
            let lengths = lengths.into_iter().filter(|length| *length <= 32);
            self.samples.extend(lengths.map(|length| Sample::Strings(vec!["a"; length])));
        }
    }

    /// Tries candidates until the guard comes to what is wanted. Gives how many steps that took, too.
    fn search(&self, guard: &BoundGuard, wanted: bool, most_steps: usize) -> (Found, usize) {
        let inputs: Vec<(&str, Input<'_>)> = self
            .samples
            .iter()
            .map(|sample| {
                let input = match sample {
                    Sample::Bool(value) => Input::Bool(*value),
                    Sample::Integer(value) => Input::Integer(*value),
                    Sample::String(text) => Input::String(text),
                    Sample::Strings(items) => Input::Strings(items),
                };
                ("", input)
            })
            .collect();
        if inputs.len() >= usize::from(u16::MAX) {
            return (Found::Unknown, 0);
        }
        let places = self.ranges.iter().map(|range| range.start).collect();
        let slots = Slots::none(&inputs);
        let mut search = Search { candidates: self, guard, wanted, slots, places, steps: 0, most_steps };
        let found = match search.assign(0) {
            Some(true) => Found::Example(std::mem::take(&mut search.places)),
            Some(false) => Found::Nothing,
            None => Found::Unknown,
        };
        (found, search.steps)
    }
}

/// What came of a search.
#[derive(Debug)]
enum Found {
    /// A candidate for each input.
    Example(Vec<usize>),
    /// None of the candidates come to what is wanted.
    Nothing,
    /// It was given up.
    Unknown,
}

struct Search<'s, 'c> {
    candidates: &'s Candidates<'s>,
    guard: &'s BoundGuard,
    wanted: bool,
    slots: Slots<'c>,
    /// For each input the candidate that was tried last.
    places: Vec<usize>,
    steps: usize,
    most_steps: usize,
}

impl Search<'_, '_> {
    /// Tries candidates for the inputs from this one on. Nothing where it was given up.
    fn assign(&mut self, depth: usize) -> Option<bool> {
        self.steps += 1;
        if self.steps > self.most_steps {
            return None;
        }
        let Some(slot) = self.candidates.order.get(depth).copied() else {
            return Some(self.guard.holds(&self.slots) == Ok(self.wanted));
        };
        // What is decided already does not depend on the inputs that are left.
        if let Some(holds) = self.guard.decided(&self.slots) {
            return Some(holds == self.wanted);
        }
        for place in self.candidates.ranges.get(slot)?.clone() {
            self.slots.set(slot, place);
            if let Some(entry) = self.places.get_mut(slot) {
                *entry = place;
            }
            if self.assign(depth + 1)? {
                return Some(true);
            }
        }
        self.slots.clear(slot);
        if let (Some(entry), Some(range)) = (self.places.get_mut(slot), self.candidates.ranges.get(slot)) {
            *entry = range.start;
        }
        Some(false)
    }
}
