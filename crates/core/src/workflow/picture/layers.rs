//! Cycles broken, and every stage on a layer.

use super::cells::{Cells, list, push};
use super::plan::Plan;
use super::simplex::{Distance, Slack, solve};
use std::cmp::Reverse;

/// Stages on layers.
#[derive(Debug)]
pub(super) struct Layers {
    /// By stage: how many layers are above it.
    pub(super) rank: Vec<usize>,
    /// By transition: whether it leads back up.
    pub(super) back: Vec<bool>,
    /// By transition: whether it belongs to the main line of its component.
    pub(super) main: Vec<bool>,
}

impl Layers {
    pub(super) fn of(plan: &Plan<'_>) -> Self {
        let back = ways_back(plan);
        let mut distances = Vec::new();
        for (index, transition) in plan.transitions.iter().enumerate() {
            let (tail, head, weight) = match back.at(index) {
                _ if transition.from == transition.to => continue,
                true => (transition.to, transition.from, 1),
                false => (transition.from, transition.to, 2),
            };
            distances.push(Distance { tail, head, least: 1, weight });
        }
        let values = solve(plan.stages.len(), &distances, Slack::Leave);
        let rank = values.into_iter().map(|value| usize::try_from(value).unwrap_or(0)).collect();
        let main = main_line(plan, &back);
        Self { rank, back, main }
    }
}

/// The transitions that close a cycle, found by a depth-first walk from the initial stages, in declared order.
fn ways_back(plan: &Plan<'_>) -> Vec<bool> {
    #[derive(Clone, Copy, PartialEq, Default)]
    enum Seen {
        #[default]
        No,
        Open,
        Done,
    }
    let mut leaving: Vec<Vec<usize>> = vec![Vec::new(); plan.stages.len()];
    let mut entered = vec![false; plan.stages.len()];
    for (index, transition) in plan.transitions.iter().enumerate() {
        if transition.from != transition.to {
            push(&mut leaving, transition.from, index);
            entered.put(transition.to, true);
        }
    }
    let target = |index: usize| plan.transitions.get(index).map_or(0, |transition| transition.to);
    for list in &mut leaving {
        list.sort_by_key(|index| (target(*index), *index));
    }
    let mut roots: Vec<(bool, bool, usize)> =
        plan.stages.iter().enumerate().map(|(stage, this)| (!this.initial, entered.at(stage), stage)).collect();
    roots.sort_unstable();

    let mut back = vec![false; plan.transitions.len()];
    let mut seen = vec![Seen::No; plan.stages.len()];
    for (_, _, root) in roots {
        if seen.at(root) != Seen::No {
            continue;
        }
        seen.put(root, Seen::Open);
        let mut way = vec![(root, 0_usize)];
        while let Some((stage, next)) = way.last_mut() {
            let Some(index) = list(&leaving, *stage).get(*next).copied() else {
                seen.put(*stage, Seen::Done);
                way.pop();
                continue;
            };
            *next += 1;
            let target = target(index);
            match seen.at(target) {
                Seen::Open => back.put(index, true),
                Seen::Done => {}
                Seen::No => {
                    seen.put(target, Seen::Open);
                    way.push((target, 0));
                }
            }
        }
    }
    back
}

/// In every component the longest way from its first initial stage, or the longest of all where there is none; of
/// equally long ones the first in declared order.
fn main_line(plan: &Plan<'_>, back: &[bool]) -> Vec<bool> {
    let count = plan.stages.len();
    let mut leaving: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut waits = vec![0_usize; count];
    for (index, transition) in plan.transitions.iter().enumerate() {
        if !back.at(index) && transition.from != transition.to {
            push(&mut leaving, transition.from, index);
            waits.put(transition.to, waits.at(transition.to) + 1);
        }
    }
    let mut ready: Vec<usize> = (0..count).filter(|stage| waits.at(*stage) == 0).collect();
    let mut sorted = Vec::with_capacity(count);
    let target = |index: usize| plan.transitions.get(index).map_or(0, |transition| transition.to);
    while let Some(stage) = ready.pop() {
        sorted.push(stage);
        for index in list(&leaving, stage) {
            waits.put(target(*index), waits.at(target(*index)).saturating_sub(1));
            if waits.at(target(*index)) == 0 {
                ready.push(target(*index));
            }
        }
    }
    let mut length = vec![0_usize; count];
    let mut next: Vec<Option<usize>> = vec![None; count];
    for stage in sorted.into_iter().rev() {
        let best = list(&leaving, stage)
            .iter()
            .map(|index| (Reverse(length.at(target(*index))), target(*index), *index))
            .min();
        if let Some((Reverse(below), _, index)) = best {
            length.put(stage, below + 1);
            next.put(stage, Some(index));
        }
    }
    let mut main = vec![false; plan.transitions.len()];
    for component in components(plan) {
        let is_initial = |stage: &usize| plan.stages.get(*stage).is_some_and(|stage| stage.initial);
        let initial = component.iter().copied().find(is_initial);
        let longest = component.iter().copied().min_by_key(|stage| Reverse(length.at(*stage)));
        let mut stage = initial.or(longest).unwrap_or(0);
        while let Some(index) = next.at(stage) {
            main.put(index, true);
            stage = target(index);
        }
    }
    main
}

/// The stages that hang together, each group in declared order; the one with the initial stage first, then by size.
pub(super) fn components(plan: &Plan<'_>) -> Vec<Vec<usize>> {
    let mut neighbours: Vec<Vec<usize>> = vec![Vec::new(); plan.stages.len()];
    for transition in &plan.transitions {
        push(&mut neighbours, transition.from, transition.to);
        push(&mut neighbours, transition.to, transition.from);
    }
    let mut seen = vec![false; plan.stages.len()];
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for start in 0..plan.stages.len() {
        if seen.at(start) {
            continue;
        }
        seen.put(start, true);
        let mut group = vec![start];
        let mut open = vec![start];
        while let Some(stage) = open.pop() {
            for other in list(&neighbours, stage) {
                if !seen.at(*other) {
                    seen.put(*other, true);
                    group.push(*other);
                    open.push(*other);
                }
            }
        }
        group.sort_unstable();
        groups.push(group);
    }
    let has_initial =
        |group: &[usize]| group.iter().any(|stage| plan.stages.get(*stage).is_some_and(|stage| stage.initial));
    groups.sort_by_key(|group| (!has_initial(group), Reverse(group.len()), group.first().copied()));
    groups
}
