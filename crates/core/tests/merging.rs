//! Three-way merge: the properties P30 to P38 of `docs/properties.md`, over values with so few keys that the sides
//! meet. Then cases that deserve to be read. Seeds and case counts are fixed: a run that passes once passes always.

#![expect(clippy::unwrap_used, reason = "tests")]

use crate::support::{self, Held};
use leasehold::generate::Choices;
use leasehold::merge::{Conflict, Difference, Merge, Side, changes, three_way};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

const CASES: u32 = 4_000;

/// Keys that collide, that a JSON Pointer escapes, and whose paths sort otherwise as text than key by key.
const KEYS: [&str; 6] = ["", "a", "a-b", "a/b", "a~1b", "b"];

/// Checks a property over generated bases, each with what two sides made of it.
fn check(property: impl Fn(&Three, &mut Choices<'_>) -> Held) {
    support::check(CASES, 1_000, |choices| {
        let three = Three::generate(choices);
        property(&three, choices).map_err(|error| match error {
            TestCaseError::Fail(reason) => TestCaseError::fail(format!("{reason}\n{three:#?}")),
            rejected => rejected,
        })
    });
}

/// A base and what two sides made of it.
#[derive(Debug)]
struct Three {
    base: Value,
    ours: Value,
    theirs: Value,
}

impl Three {
    fn generate(choices: &mut Choices<'_>) -> Self {
        let base = if choices.percent(5) { value(choices, 0) } else { object(choices, 0) };
        // What both sides start from, so that they make some of the same changes.
        let agreed = if choices.percent(40) { edited(&base, choices, 0) } else { base.clone() };
        let [ours, theirs] = [edited(&agreed, choices, 0), edited(&agreed, choices, 0)];
        Self { base, ours, theirs }
    }

    fn merge(&self) -> Merge {
        three_way(&self.base, &self.ours, &self.theirs)
    }

    fn side(&self, side: Side) -> &Value {
        match side {
            Side::Base => &self.base,
            Side::Ours => &self.ours,
            Side::Theirs => &self.theirs,
        }
    }
}

const MOST_DEPTH: usize = 3;

fn value(choices: &mut Choices<'_>, depth: usize) -> Value {
    if depth < MOST_DEPTH && choices.percent(60) { object(choices, depth) } else { atom(choices) }
}

fn object(choices: &mut Choices<'_>, depth: usize) -> Value {
    let mut members = Map::new();
    for key in KEYS {
        if choices.percent(60) {
            members.insert(key.to_owned(), value(choices, depth + 1));
        }
    }
    Value::Object(members)
}

fn atom(choices: &mut Choices<'_>) -> Value {
    let atoms =
        [json!(null), json!(false), json!(1), json!(1.0), json!("x"), json!([]), json!([null]), json!([{ "a": 1 }])];
    choices.pick(&atoms).cloned().unwrap_or_default()
}

/// What somebody made of a value: nothing where choices have run out.
fn edited(old: &Value, choices: &mut Choices<'_>, depth: usize) -> Value {
    let Value::Object(old) = old else {
        return if choices.percent(50) { value(choices, depth) } else { old.clone() };
    };
    if choices.percent(3) {
        return value(choices, depth);
    }
    let mut new = Map::new();
    for key in KEYS {
        let member = match old.get(key) {
            None => choices.percent(12).then(|| value(choices, depth + 1)),
            // Objects are entered more often than atoms are replaced.
            Some(member) => match (choices.below(8), member.is_object()) {
                (7, _) => None,
                (3..7, true) | (4..7, false) => Some(edited(member, choices, depth + 1)),
                _ => Some(member.clone()),
            },
        };
        new.extend(member.map(|member| (key.to_owned(), member)));
    }
    Value::Object(new)
}

/// A place in a value: the keys that lead there.
type Steps = Vec<String>;

/// The steps of a JSON Pointer.
fn steps(path: &str) -> Steps {
    path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

/// What a value has at one place, its members aside.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Object,
    Atom(Value),
}

/// A value as the list of its places: the naive form in which a merge is stated a second time.
fn nodes(value: &Value) -> BTreeMap<Steps, Node> {
    fn walk(value: &Value, place: &mut Steps, nodes: &mut BTreeMap<Steps, Node>) {
        let Value::Object(members) = value else {
            nodes.insert(place.clone(), Node::Atom(value.clone()));
            return;
        };
        nodes.insert(place.clone(), Node::Object);
        for (key, member) in members {
            place.push(key.clone());
            walk(member, place, nodes);
            place.pop();
        }
    }
    let mut all = BTreeMap::new();
    walk(value, &mut Vec::new(), &mut all);
    all
}

/// Every place of any of the values.
fn places<'v>(values: impl IntoIterator<Item = &'v BTreeMap<Steps, Node>>) -> BTreeSet<&'v Steps> {
    values.into_iter().flat_map(BTreeMap::keys).collect()
}

/// The conflict at a place or above it.
fn conflict_over<'m>(merge: &'m Merge, place: &[String]) -> Option<&'m Conflict> {
    merge.conflicts.iter().find(|conflict| place.starts_with(&steps(&conflict.path)))
}

/// Asserts that places are in order, and none lies within another: it would sort right behind it, or behind others
/// within it.
fn prop_assert_apart(places: Vec<Steps>) -> Result<(), TestCaseError> {
    let apart = |pair: &[Steps]| matches!(pair, [one, next] if one < next && !next.starts_with(one));
    prop_assert!(places.windows(2).all(apart), "out of order or overlapping: {places:?}");
    Ok(())
}

/// Sets or removes what is at a place, if what it is in is an object.
fn set(root: &mut Value, place: &[String], new: Option<&Value>) {
    match place {
        [] => *root = new.unwrap().clone(),
        [key] => {
            let Some(members) = root.as_object_mut() else { return };
            match new {
                Some(new) => drop(members.insert(key.clone(), new.clone())),
                None => drop(members.remove(key)),
            }
        }
        [key, rest @ ..] => {
            if let Some(member) = root.get_mut(key) {
                set(member, rest, new);
            }
        }
    }
}

fn clean(result: &Value) -> Merge {
    Merge { result: result.clone(), conflicts: Vec::new() }
}

/// A condition that held so often.
#[derive(Debug, Default)]
struct Count(Cell<u32>);

impl Count {
    fn add(&self, held: bool) {
        self.0.set(self.0.get() + u32::from(held));
    }

    #[track_caller]
    fn assert_at_least(&self, percent: u32) {
        assert!(self.0.get() * 100 >= percent * CASES, "{} of {CASES} are less than {percent} %", self.0.get());
    }
}

#[test]
fn generated_sides_meet_in_every_way() {
    let [conflicting, several, deep, absent_in_base, removed, object_against_atom, both_merged, alike, whole] =
        [(); 9].map(|()| Count::default());
    check(|three, _| {
        let merge = three.merge();
        let any = |of: fn(&Conflict) -> bool| merge.conflicts.iter().any(of);
        conflicting.add(!merge.is_clean());
        several.add(merge.conflicts.len() > 1);
        deep.add(any(|conflict| steps(&conflict.path).len() > 1));
        absent_in_base.add(any(|conflict| conflict.base.is_none()));
        removed.add(any(|conflict| conflict.ours.is_none() || conflict.theirs.is_none()));
        object_against_atom.add(any(|conflict| {
            let [ours, theirs] = [&conflict.ours, &conflict.theirs].map(|side| side.as_ref().map(Value::is_object));
            ours.zip(theirs).is_some_and(|(ours, theirs)| ours != theirs)
        }));
        both_merged.add(merge.is_clean() && ![&three.base, &three.ours, &three.theirs].contains(&&merge.result));
        let [ours, theirs] = [&three.ours, &three.theirs].map(|side| changes(&three.base, side));
        alike.add(ours.iter().any(|change| theirs.contains(change)));
        whole.add(any(|conflict| conflict.path.is_empty()));
        Ok(())
    });
    conflicting.assert_at_least(35);
    several.assert_at_least(10);
    deep.assert_at_least(10);
    absent_in_base.assert_at_least(5);
    removed.assert_at_least(20);
    object_against_atom.assert_at_least(5);
    both_merged.assert_at_least(20);
    alike.assert_at_least(20);
    whole.assert_at_least(2);
}

#[test]
fn p30_a_side_that_changed_nothing_has_no_say() {
    check(|Three { base, ours, theirs }, _| {
        prop_assert_eq!(three_way(base, base, theirs), clean(theirs));
        prop_assert_eq!(three_way(base, ours, base), clean(ours));
        prop_assert_eq!(three_way(base, ours, ours), clean(ours));
        Ok(())
    });
}

#[test]
fn p31_swapping_the_sides_swaps_the_labels() {
    check(|three, _| {
        let mut swapped = three_way(&three.base, &three.theirs, &three.ours);
        for conflict in &mut swapped.conflicts {
            std::mem::swap(&mut conflict.ours, &mut conflict.theirs);
        }
        prop_assert_eq!(three.merge(), swapped);
        Ok(())
    });
}

#[test]
fn p32_null_is_a_value_like_any_other() {
    fn named(value: &Value) -> Value {
        match value {
            Value::Null => json!("null"),
            Value::Array(items) => items.iter().map(named).collect(),
            Value::Object(members) => members.iter().map(|(key, member)| (key.clone(), named(member))).collect(),
            other => other.clone(),
        }
    }
    check(|three, _| {
        let mut merge = three.merge();
        merge.result = named(&merge.result);
        for Conflict { base, ours, theirs, .. } in &mut merge.conflicts {
            [base, ours, theirs].into_iter().for_each(|side| *side = side.as_ref().map(named));
        }
        let [base, ours, theirs] = [&three.base, &three.ours, &three.theirs].map(named);
        prop_assert_eq!(three_way(&base, &ours, &theirs), merge);
        Ok(())
    });
}

#[test]
fn p33_no_edit_is_lost_and_none_invented() {
    check(|three, _| {
        let merge = three.merge();
        let [base, ours, theirs, result] = [&three.base, &three.ours, &three.theirs, &merge.result].map(nodes);
        for place in places([&base, &ours, &theirs, &result]) {
            let [base, ours, theirs, result] = [&base, &ours, &theirs, &result].map(|nodes| nodes.get(place));
            if conflict_over(&merge, place).is_some() {
                prop_assert_eq!(result, base, "in conflict at {:?}", place);
                continue;
            }
            let (we_edited, they_edited) = (ours != base, theirs != base);
            prop_assert!(!we_edited || result == ours, "our edit is lost at {place:?}");
            prop_assert!(!they_edited || result == theirs, "their edit is lost at {place:?}");
            prop_assert!(we_edited || they_edited || result == base, "nobody edited {place:?}");
        }
        Ok(())
    });
}

#[test]
fn p34_conflicts_are_where_both_sides_differ_from_the_base_and_from_each_other() {
    check(|three, _| {
        let merge = three.merge();
        for conflict in &merge.conflicts {
            let Conflict { path, base, ours, theirs } = conflict;
            for side in [Side::Base, Side::Ours, Side::Theirs] {
                prop_assert_eq!(three.side(side).pointer(path), conflict.side(side));
            }
            prop_assert!(base != ours && base != theirs && ours != theirs, "no conflict at {path}");
            let objects = [base, ours, theirs].map(|side| side.as_ref().is_some_and(Value::is_object));
            prop_assert!(objects.contains(&false), "members could be merged at {path}");
        }
        prop_assert_apart(merge.conflicts.iter().map(|conflict| steps(&conflict.path)).collect())
    });
}

#[test]
fn p35_a_resolved_conflict_is_as_the_chosen_side_has_it() {
    check(|three, choices| {
        let merge = three.merge();
        let mut chosen = BTreeMap::new();
        let mixed = merge.resolve(|conflict| {
            let side = choices.one_of(Side::Base, &[Side::Ours, Side::Theirs]);
            chosen.insert(conflict.path.clone(), side);
            side
        });
        prop_assert_eq!(chosen.len(), merge.conflicts.len(), "each conflict is asked about once");
        let [result, mixed] = [&merge.result, &mixed].map(nodes);
        let sides = [&three.base, &three.ours, &three.theirs].map(nodes);
        for place in places(sides.iter().chain([&result, &mixed])) {
            let side = conflict_over(&merge, place).and_then(|conflict| chosen.get(&conflict.path));
            let wanted = side.map_or_else(|| result.clone(), |side| nodes(three.side(*side)));
            prop_assert_eq!(mixed.get(place), wanted.get(place), "at {:?}", place);
        }

        let [base, ours, theirs] = sides;
        for (side, kept) in [(Side::Ours, ours), (Side::Theirs, theirs)] {
            let resolved = nodes(&merge.resolve(|_| side));
            for place in places([&base, &kept]) {
                let edited = kept.get(place) != base.get(place);
                prop_assert!(!edited || resolved.get(place) == kept.get(place), "{side:?} lost {place:?}");
            }
        }
        prop_assert_eq!(merge.resolve(|_| Side::Base), merge.result);
        Ok(())
    });
}

#[test]
fn p36_merging_again_changes_nothing() {
    check(|three @ Three { base, ours, theirs }, _| {
        let merge = three.merge();
        let result = &merge.result;
        prop_assert_eq!(three_way(base, result, result), clean(result));
        if merge.is_clean() {
            prop_assert_eq!(three_way(base, result, ours), clean(result));
            prop_assert_eq!(three_way(base, result, theirs), clean(result));
        }
        for (side, merged) in [(Side::Ours, ours), (Side::Theirs, theirs)] {
            let resolved = merge.resolve(|_| side);
            prop_assert_eq!(three_way(base, &resolved, merged), clean(&resolved));
        }
        Ok(())
    });
}

#[test]
fn p37_disjoint_edits_are_all_made() {
    type Edit = (Steps, Option<Value>);
    fn edits(base: &Value, choices: &mut Choices<'_>) -> Vec<Edit> {
        let nodes = nodes(base).into_iter();
        let objects: Vec<Steps> = nodes.filter(|(_, node)| *node == Node::Object).map(|(place, _)| place).collect();
        let mut edit = || {
            let mut place = choices.pick(&objects)?.clone();
            place.push((*choices.pick(&KEYS)?).to_owned());
            Some((place, choices.percent(70).then(|| value(choices, 0))))
        };
        (0..4).filter_map(|_| edit()).collect()
    }
    fn with(base: &Value, edits: &[Edit]) -> Value {
        let mut edited = base.clone();
        edits.iter().for_each(|(place, new)| set(&mut edited, place, new.as_ref()));
        edited
    }
    let disjoint_on_both_sides = Count::default();
    check(|Three { base, .. }, choices| {
        let (ours, mut theirs) = (edits(base, choices), edits(base, choices));
        theirs.retain(|(one, _)| ours.iter().all(|(other, _)| !one.starts_with(other) && !other.starts_with(one)));
        let both = with(&with(base, &ours), &theirs);
        prop_assert_eq!(&with(&with(base, &theirs), &ours), &both);
        let [ours, theirs] = [ours, theirs].map(|edits| with(base, &edits));
        prop_assert_eq!(three_way(base, &ours, &theirs), clean(&both));
        disjoint_on_both_sides.add(ours != *base && theirs != *base);
        Ok(())
    });
    disjoint_on_both_sides.assert_at_least(50);
}

#[test]
fn p38_changes_lead_from_the_old_to_the_new() {
    check(|Three { ours: old, theirs: new, .. }, _| {
        let changes = changes(old, new);
        let mut changed = old.clone();
        for Difference { path, old: before, new: after } in &changes {
            prop_assert_eq!((old.pointer(path), new.pointer(path)), (before.as_ref(), after.as_ref()));
            prop_assert_ne!(before, after);
            let objects = [before, after].map(|side| side.as_ref().is_some_and(Value::is_object));
            prop_assert!(objects.contains(&false), "members could be compared at {path}");
            set(&mut changed, &steps(path), after.as_ref());
        }
        prop_assert_eq!(&changed, new);
        prop_assert_apart(changes.iter().map(|change| steps(&change.path)).collect())
    });
}

/// Asserts what comes of a merge, conflicts as they are written.
#[track_caller]
fn assert_merges([base, ours, theirs]: [Value; 3], result: &Value, conflicts: &Value) {
    let merge = three_way(&base, &ours, &theirs);
    assert_eq!(serde_json::to_value(&merge).unwrap(), json!({ "result": result, "conflicts": conflicts }));
}

#[test]
fn absent_and_null_are_two_things() {
    let possible = [None, Some(json!(null)), Some(json!(1))];
    let holding = |member: &Option<Value>| Value::Object(member.iter().map(|one| ("a".into(), one.clone())).collect());
    let mut conflicts = 0;
    for base in &possible {
        for ours in &possible {
            for theirs in &possible {
                let merge = three_way(&holding(base), &holding(ours), &holding(theirs));
                let all_differ = base != ours && base != theirs && ours != theirs;
                let winner = match (all_differ, ours == base) {
                    (true, _) => base,
                    (false, true) => theirs,
                    (false, false) => ours,
                };
                assert_eq!(merge.result, holding(winner), "{base:?} {ours:?} {theirs:?}");
                assert_eq!(merge.conflicts.len(), usize::from(all_differ), "{base:?} {ours:?} {theirs:?}");
                conflicts += merge.conflicts.len();
            }
        }
    }
    assert_eq!(conflicts, 6);

    // A side that is absent is left out when it is written; null is written.
    assert_merges(
        [json!({ "a": 1 }), json!({ "a": null }), json!({})],
        &json!({ "a": 1 }),
        &json!([{ "path": "/a", "base": 1, "ours": null }]),
    );
}

#[test]
fn what_is_not_an_object_three_times_is_atomic() {
    // Lists, however little they differ.
    assert_merges(
        [json!({ "a": [1, 2] }), json!({ "a": [1, 2, 3] }), json!({ "a": [0, 1, 2] })],
        &json!({ "a": [1, 2] }),
        &json!([{ "path": "/a", "base": [1, 2], "ours": [1, 2, 3], "theirs": [0, 1, 2] }]),
    );
    // Objects that both added.
    assert_merges(
        [json!({}), json!({ "a": { "b": 1 } }), json!({ "a": { "c": 2 } })],
        &json!({}),
        &json!([{ "path": "/a", "ours": { "b": 1 }, "theirs": { "c": 2 } }]),
    );
    // An object that one side edited and the other removed.
    assert_merges(
        [json!({ "a": { "b": 1 } }), json!({ "a": { "b": 2 } }), json!({})],
        &json!({ "a": { "b": 1 } }),
        &json!([{ "path": "/a", "base": { "b": 1 }, "ours": { "b": 2 } }]),
    );
    // The whole, and numbers that are equal only in value.
    assert_merges(
        [json!(0), json!(1), json!(1.0)],
        &json!(0),
        &json!([{ "path": "", "base": 0, "ours": 1, "theirs": 1.0 }]),
    );
}

#[test]
fn conflicts_come_key_by_key_with_escaped_paths() {
    let all = |leaf: i32| json!({ "": leaf, "a": { "z": leaf }, "a-b": leaf, "a/b": leaf, "a~1b": leaf, "é": leaf });
    let [base, ours, theirs] = [0, 1, 2].map(all);
    let merge = three_way(&base, &ours, &theirs);
    let paths: Vec<&str> = merge.conflicts.iter().map(|conflict| conflict.path.as_str()).collect();
    assert_eq!(paths, ["/", "/a/z", "/a-b", "/a~1b", "/a~01b", "/é"]);
    assert_eq!(merge.resolve(|_| Side::Theirs), theirs);
}

#[test]
fn what_is_too_deep_is_atomic() {
    let nested = |depth: usize, core: Value| (0..depth).fold(core, |inner, _| json!({ "a": inner }));
    for (depth, steps) in [(127, 127), (128, 128), (129, 128), (1_000, 128)] {
        let [base, ours, theirs] = [0, 1, 2].map(|leaf| nested(depth, json!(leaf)));
        let merge = three_way(&base, &ours, &theirs);
        assert_eq!(merge.result, base);
        assert_eq!(merge.conflicts.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["/a".repeat(steps)]);
        assert_eq!(merge.resolve(|_| Side::Ours), ours);
        assert_eq!(changes(&base, &ours).iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["/a".repeat(steps)]);
    }
}
