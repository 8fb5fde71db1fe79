//! The order of the nodes on each layer, such that few lines cross: sweeps down and up with medians, and swaps of
//! neighbours, a fixed number of times; the best order seen wins (Gansner et al. 1993).

use super::cells::{Cells, list, push};
use super::graph::{Graph, Port, Side};

/// How often all layers are swept.
const SWEEPS: usize = 24;

/// The nodes of every layer, in order.
pub(super) fn order(graph: &Graph) -> Vec<Vec<usize>> {
    let mut best: Option<(i64, Vec<Vec<usize>>)> = None;
    for start in [Start::Forward, Start::Reverse] {
        let mut this = Ordering::new(graph, start);
        for sweep in 0..SWEEPS {
            let crossings = this.crossings();
            if best.as_ref().is_none_or(|(least, _)| crossings < *least) {
                best = Some((crossings, this.layers.clone()));
            }
            if crossings == 0 {
                break;
            }
            this.sweep(sweep);
            this.swap_neighbours();
        }
    }
    best.map(|(_, layers)| layers).unwrap_or_default()
}

/// In which order the walk that makes the first order takes the lines of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Forward,
    Reverse,
}

/// A line from a node to one on a neighbouring layer.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    to: usize,
    /// Where it leaves, and where it arrives: behind a node comes after the node's other lines.
    leaves: i64,
    arrives: i64,
    weight: i64,
}

struct Ordering {
    layers: Vec<Vec<usize>>,
    position: Vec<i64>,
    up: Vec<Vec<Line>>,
    down: Vec<Vec<Line>>,
}

/// Sub-positions of one node; the centre is 1, behind is 3.
const PARTS: i64 = 4;

fn part(port: Port) -> i64 {
    if port.side == Side::Behind { 3 } else { 1 }
}

impl Ordering {
    fn new(graph: &Graph, start: Start) -> Self {
        let count = graph.nodes.len();
        let mut this = Self {
            layers: vec![Vec::new(); graph.layers],
            position: vec![0; count],
            up: vec![Vec::new(); count],
            down: vec![Vec::new(); count],
        };
        for segment in &graph.segments {
            let (leaves, arrives) = (part(segment.upper_port), part(segment.lower_port));
            let weight = if segment.weight > 8 { 3 } else { 1 };
            push(&mut this.down, segment.upper, Line { to: segment.lower, leaves, arrives, weight });
            push(&mut this.up, segment.lower, Line { to: segment.upper, leaves: arrives, arrives: leaves, weight });
        }
        // A depth-first walk from the top keeps together what follows each other.
        let mut roots: Vec<(usize, usize)> =
            graph.nodes.iter().enumerate().map(|(index, node)| (node.layer, index)).collect();
        roots.sort_unstable();
        let mut seen = vec![false; count];
        for (_, root) in roots {
            let mut open = vec![root];
            while let Some(node) = open.pop() {
                if seen.at(node) {
                    continue;
                }
                seen.put(node, true);
                push(&mut this.layers, graph.nodes.at(node).layer, node);
                let mut next: Vec<usize> = list(&this.down, node).iter().map(|line| line.to).collect();
                if start == Start::Forward {
                    next.reverse();
                }
                open.extend(next);
            }
        }
        for layer in 0..this.layers.len() {
            this.number(layer);
        }
        this
    }

    fn number(&mut self, layer: usize) {
        for (position, node) in (0_i64..).zip(list(&self.layers, layer).to_vec()) {
            self.position.put(node, position);
        }
    }

    fn sweep(&mut self, sweep: usize) {
        let count = self.layers.len();
        for step in 1..count {
            if sweep.is_multiple_of(2) {
                self.sort(step, Look::Up, sweep);
            } else {
                self.sort(count - 1 - step, Look::Down, sweep);
            }
        }
    }

    /// Sorts a layer by where the lines of its nodes come from. A node without any keeps its place.
    fn sort(&mut self, layer: usize, look: Look, sweep: usize) {
        let nodes = list(&self.layers, layer).to_vec();
        let mut wanted: Vec<(i64, usize)> = nodes
            .iter()
            .filter_map(|node| {
                let lines = if look == Look::Up { list(&self.up, *node) } else { list(&self.down, *node) };
                let mut places: Vec<i64> = lines
                    .iter()
                    .map(|line| (self.position.at(line.to) * PARTS + line.arrives) * 1_000 - line.leaves)
                    .collect();
                places.sort_unstable();
                Some((if (sweep / 2).is_multiple_of(2) { median(&places)? } else { mean(&places)? }, *node))
            })
            .collect();
        // Every other round turns equals round, so that the swaps start from somewhere else.
        if (sweep / 2) % 4 == 3 {
            wanted.reverse();
        }
        wanted.sort_by_key(|(place, _)| *place);
        let movable: Vec<usize> = wanted.iter().map(|(_, node)| *node).collect();
        let mut sorted = movable.iter().copied();
        let placed: Vec<usize> =
            nodes.iter().filter_map(|node| if movable.contains(node) { sorted.next() } else { Some(*node) }).collect();
        if let Some(slot) = self.layers.get_mut(layer) {
            *slot = placed;
        }
        self.number(layer);
    }

    /// Swaps neighbours as long as that removes crossings.
    fn swap_neighbours(&mut self) {
        for _ in 0..4 {
            let mut improved = false;
            for layer in 0..self.layers.len() {
                for position in 1..list(&self.layers, layer).len() {
                    let nodes = list(&self.layers, layer);
                    let (left, right) = (nodes.at(position - 1), nodes.at(position));
                    if self.pair(right, left) < self.pair(left, right) {
                        if let Some(nodes) = self.layers.get_mut(layer) {
                            nodes.swap(position - 1, position);
                        }
                        self.position.put(left, self.position.at(left) + 1);
                        self.position.put(right, self.position.at(right) - 1);
                        improved = true;
                    }
                }
            }
            if !improved {
                return;
            }
        }
    }

    /// The crossings between the lines of two nodes when the one stands before the other.
    fn pair(&self, left: usize, right: usize) -> i64 {
        let mut crossings = 0;
        for lines in [&self.up, &self.down] {
            for a in list(lines, left) {
                let a_at = self.position.at(a.to) * PARTS + a.arrives;
                for b in list(lines, right) {
                    if a_at > self.position.at(b.to) * PARTS + b.arrives {
                        crossings += a.weight * b.weight;
                    }
                }
            }
        }
        crossings
    }

    /// All crossings, weighted.
    fn crossings(&self) -> i64 {
        self.layers.iter().zip(self.layers.iter().skip(1)).map(|(upper, lower)| self.between(upper, lower)).sum()
    }

    /// The crossings between two layers, counted with a Fenwick tree over the places of the lower one.
    fn between(&self, upper: &[usize], lower: &[usize]) -> i64 {
        let mut lines: Vec<(i64, i64, i64)> = Vec::new();
        for node in upper {
            for line in list(&self.down, *node) {
                lines.push((
                    self.position.at(*node) * PARTS + line.leaves,
                    self.position.at(line.to) * PARTS + line.arrives,
                    line.weight,
                ));
            }
        }
        lines.sort_unstable();
        let size = lower.len() * 4 + 1;
        let mut tree = vec![0_i64; size + 1];
        let mut total = 0;
        let mut crossings = 0;
        for same in lines.chunk_by(|a, b| a.0 == b.0) {
            for (_, to, weight) in same {
                let mut before = 0;
                let mut index = usize::try_from(*to + 1).unwrap_or(0);
                while index > 0 {
                    before += tree.at(index);
                    index &= index - 1;
                }
                crossings += weight * (total - before);
            }
            for (_, to, weight) in same {
                total += weight;
                let mut index = usize::try_from(*to + 1).unwrap_or(0).max(1);
                while index <= size {
                    tree.put(index, tree.at(index) + weight);
                    index += index & index.wrapping_neg();
                }
            }
        }
        crossings
    }
}

/// To which neighbouring layer a node looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Up,
    Down,
}

fn median(places: &[i64]) -> Option<i64> {
    let middle = places.len().checked_sub(1)? / 2;
    if places.len().is_multiple_of(2) {
        Some((places.at(middle) + places.at(middle + 1)) / 2)
    } else {
        Some(places.at(middle))
    }
}

fn mean(places: &[i64]) -> Option<i64> {
    let count = i64::try_from(places.len()).ok().filter(|count| *count > 0)?;
    Some(places.iter().sum::<i64>() / count)
}
