//! Network simplex: integers with least distances between some of them, such that the weighted sum of all distances is
//! least. Layers and coordinates are both found this way (Gansner, Koutsofios, North and Vo, "A Technique for Drawing
//! Directed Graphs", 1993).

use super::cells::{Cells, list, push};

/// `value(head) − value(tail) ≥ least`; every unit of that distance costs `weight`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Distance {
    pub(super) tail: usize,
    pub(super) head: usize,
    pub(super) least: i64,
    pub(super) weight: i64,
}

/// What to do with values that could move without changing the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slack {
    /// Leave them.
    Leave,
    /// Move them to the middle of their room.
    Centre,
}

/// Upper bound of elementary steps spent on improving; a larger graph gets a valid, less compact answer.
const EFFORT: usize = 50_000_000;

/// The values, the smallest of them 0. The distances must not form a cycle.
pub(super) fn solve(count: usize, distances: &[Distance], slack: Slack) -> Vec<i64> {
    let mut simplex = Simplex::new(count, distances);
    simplex.span();
    simplex.improve();
    if slack == Slack::Centre {
        simplex.centre();
    }
    let least = simplex.values.iter().copied().min().unwrap_or(0);
    simplex.values.iter().map(|value| value - least).collect()
}

struct Simplex {
    distances: Vec<Distance>,
    values: Vec<i64>,
    /// The distances at each value.
    incident: Vec<Vec<usize>>,
    /// Whether a distance belongs to the spanning tree.
    in_tree: Vec<bool>,
    /// The tree rooted at value 0, children after parents.
    preorder: Vec<usize>,
    /// The distance to the parent in the tree.
    to_parent: Vec<Option<usize>>,
    /// When the walk over the tree entered a value, and the last entry below it.
    entered: Vec<usize>,
    last_below: Vec<usize>,
    /// What the sum would change by if a value and all below it moved up by one.
    pull: Vec<i64>,
}

impl Simplex {
    fn new(count: usize, distances: &[Distance]) -> Self {
        let mut this = Self {
            distances: distances.to_vec(),
            values: vec![0; count],
            incident: vec![Vec::new(); count],
            in_tree: vec![false; distances.len()],
            preorder: Vec::with_capacity(count),
            to_parent: vec![None; count],
            entered: vec![0; count],
            last_below: vec![0; count],
            pull: vec![0; count],
        };
        for (index, distance) in distances.iter().enumerate() {
            push(&mut this.incident, distance.tail, index);
            push(&mut this.incident, distance.head, index);
        }
        this.start();
        this
    }

    /// The least values that keep all distances.
    fn start(&mut self) {
        let count = self.values.len();
        let mut waits = vec![0_usize; count];
        for distance in &self.distances {
            waits.put(distance.head, waits.at(distance.head) + 1);
        }
        let mut ready: Vec<usize> = (0..count).filter(|value| waits.at(*value) == 0).collect();
        while let Some(value) = ready.pop() {
            for index in list(&self.incident, value) {
                let distance = self.distances.at(*index);
                if distance.tail != value {
                    continue;
                }
                let reached = self.values.at(value) + distance.least;
                self.values.put(distance.head, self.values.at(distance.head).max(reached));
                waits.put(distance.head, waits.at(distance.head).saturating_sub(1));
                if waits.at(distance.head) == 0 {
                    ready.push(distance.head);
                }
            }
        }
    }

    fn slack(&self, index: usize) -> i64 {
        let distance = self.distances.at(index);
        self.values.at(distance.head) - self.values.at(distance.tail) - distance.least
    }

    /// Makes a spanning tree of distances without slack, moving values where there is none.
    fn span(&mut self) {
        let count = self.values.len();
        let mut reached = vec![false; count];
        let mut tree: Vec<usize> = Vec::with_capacity(count);
        let mut next = (count > 0).then_some(0);
        while let Some(root) = next {
            reached.put(root, true);
            tree.push(root);
            let mut open = vec![root];
            while let Some(value) = open.pop() {
                for index in list(&self.incident, value) {
                    let distance = self.distances.at(*index);
                    let other = if distance.tail == value { distance.head } else { distance.tail };
                    if !reached.at(other) && self.slack(*index) == 0 {
                        self.in_tree.put(*index, true);
                        reached.put(other, true);
                        tree.push(other);
                        open.push(other);
                    }
                }
            }
            next = self.bridge(&reached).map(|(index, outside)| {
                let slack = self.slack(index);
                let delta = if self.distances.at(index).head == outside { slack } else { -slack };
                for value in &tree {
                    self.values.put(*value, self.values.at(*value) + delta);
                }
                self.in_tree.put(index, true);
                outside
            });
            if next.is_none() && tree.len() < count {
                // Another component: tie it on without weight, so that there is one tree.
                let outside = (0..count).find(|value| !reached.at(*value)).unwrap_or(0);
                let least = self.values.at(outside) - self.values.at(0);
                let index = self.distances.len();
                self.distances.push(Distance { tail: 0, head: outside, least, weight: 0 });
                self.in_tree.push(true);
                push(&mut self.incident, 0, index);
                push(&mut self.incident, outside, index);
                next = Some(outside);
            }
        }
        self.walk();
    }

    /// The distance with the least slack that leads out of the tree, with its end outside.
    fn bridge(&self, reached: &[bool]) -> Option<(usize, usize)> {
        let mut best: Option<(i64, usize, usize)> = None;
        for (index, distance) in self.distances.iter().enumerate() {
            let outside = match (reached.at(distance.tail), reached.at(distance.head)) {
                (true, false) => distance.head,
                (false, true) => distance.tail,
                _ => continue,
            };
            let slack = self.slack(index);
            if best.is_none_or(|(least, ..)| slack < least) {
                best = Some((slack, index, outside));
            }
        }
        best.map(|(_, index, outside)| (index, outside))
    }

    /// Walks the tree from value 0 and sums up the pull on each part of it.
    fn walk(&mut self) {
        self.preorder.clear();
        let mut open = vec![(0_usize, None)];
        while let Some((value, to_parent)) = open.pop() {
            self.entered.put(value, self.preorder.len());
            self.to_parent.put(value, to_parent);
            self.preorder.push(value);
            for index in list(&self.incident, value) {
                if self.in_tree.at(*index) && Some(*index) != to_parent {
                    let distance = self.distances.at(*index);
                    open.push((if distance.tail == value { distance.head } else { distance.tail }, Some(*index)));
                }
            }
        }
        self.pull.fill(0);
        for distance in &self.distances {
            self.pull.put(distance.head, self.pull.at(distance.head) + distance.weight);
            self.pull.put(distance.tail, self.pull.at(distance.tail) - distance.weight);
        }
        for value in self.preorder.iter().copied() {
            self.last_below.put(value, self.entered.at(value));
        }
        for value in self.preorder.iter().rev().copied() {
            if let Some(parent) = self.parent(value) {
                self.pull.put(parent, self.pull.at(parent) + self.pull.at(value));
                self.last_below.put(parent, self.last_below.at(parent).max(self.last_below.at(value)));
            }
        }
    }

    fn parent(&self, value: usize) -> Option<usize> {
        let distance = self.distances.at(self.to_parent.at(value)?);
        Some(if distance.tail == value { distance.head } else { distance.tail })
    }

    /// What the sum changes by if the distance from a value to its parent grows by one and all below moves along.
    fn gain(&self, value: usize) -> Option<i64> {
        let distance = self.distances.at(self.to_parent.at(value)?);
        Some(if distance.head == value { self.pull.at(value) } else { -self.pull.at(value) })
    }

    fn is_below(&self, value: usize, top: usize) -> bool {
        (self.entered.at(top)..=self.last_below.at(top)).contains(&self.entered.at(value))
    }

    /// The distance that stops the part below `top` from moving away from its parent, with its slack.
    fn stop(&self, top: usize) -> Option<(usize, i64)> {
        let away_is_up = self.distances.at(self.to_parent.at(top)?).head == top;
        let mut best: Option<(usize, i64)> = None;
        for (index, distance) in self.distances.iter().enumerate() {
            let (tail, head) = (self.is_below(distance.tail, top), self.is_below(distance.head, top));
            if tail == head || tail != away_is_up {
                continue;
            }
            let slack = self.slack(index);
            if best.is_none_or(|(_, least)| slack < least) {
                best = Some((index, slack));
            }
        }
        best
    }

    /// Moves the part below `top` away from its parent.
    fn shift(&mut self, top: usize, delta: i64) {
        let away_is_up = self.to_parent.at(top).is_some_and(|index| self.distances.at(index).head == top);
        let part = self.entered.at(top)..=self.last_below.at(top);
        for value in self.preorder.get(part).unwrap_or_default() {
            self.values.put(*value, self.values.at(*value) + if away_is_up { delta } else { -delta });
        }
    }

    fn improve(&mut self) {
        let pivots = EFFORT / (4 * self.distances.len() + 8 * self.values.len()).max(1);
        for _ in 0..pivots {
            let worst = (0..self.values.len())
                .filter_map(|value| self.gain(value).map(|gain| (gain, value)))
                .filter(|(gain, _)| *gain < 0)
                .min();
            let Some((_, top)) = worst else { return };
            let (Some(leaving), Some((entering, slack))) = (self.to_parent.at(top), self.stop(top)) else { return };
            self.shift(top, slack);
            self.in_tree.put(leaving, false);
            self.in_tree.put(entering, true);
            self.walk();
        }
    }

    /// Moves parts on which no pull acts to the middle of their room.
    fn centre(&mut self) {
        for top in self.preorder.clone() {
            if self.gain(top) == Some(0)
                && let Some((_, slack)) = self.stop(top)
            {
                self.shift(top, slack / 2);
            }
        }
    }
}
