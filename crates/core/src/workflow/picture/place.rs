//! A place for every node: across the layers as straight as possible, along them as close as the lines allow.

use super::cells::{Cells, list};
use super::graph::{Bundle, Graph, Kind, Node};
use super::ports;
use super::sheet::Flow;
use super::simplex::{Distance, Slack, solve};

/// Where everything of one component is. The first box starts at 0 in both directions.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// By node: its centre across.
    pub(super) across: Vec<i64>,
    /// By layer: where it starts and ends along.
    pub(super) layers: Vec<(i64, i64)>,
    pub(super) width: i64,
    pub(super) length: i64,
}

/// The room for an arrowhead before a stage.
pub(super) const ARROW_ROOM: i64 = 14;

impl Places {
    pub(super) fn of(graph: &mut Graph, order: &[Vec<usize>], flow: Flow) -> Self {
        ports::attach(graph, order);
        let mut across = across(graph, order);
        unbend(graph, order, &mut across);
        ports::straighten(graph, order, &across);
        let mut places = Self { across, ..Self::default() };
        places.width = graph.nodes.iter().zip(&places.across).map(|(node, at)| at + node.after).max().unwrap_or(0);
        let mut at = 0;
        let gaps = places.gaps(graph, flow);
        for (layer, gap) in gaps.into_iter().enumerate() {
            let size = list(order, layer).iter().map(|node| graph.nodes.at(*node).along).max().unwrap_or(0);
            if layer > 0 && at > 0 {
                at += gap;
            }
            places.layers.push((at, at + size));
            at += size;
        }
        places.length = at;
        places
    }

    /// The centre of a node along the layers.
    pub(super) fn along(&self, node: Node) -> i64 {
        self.layers.get(node.layer).map_or(0, |(start, end)| (start + end) / 2)
    }

    /// The room before each layer: more where lines swing far, so that they do not get flat.
    fn gaps(&self, graph: &Graph, flow: Flow) -> Vec<i64> {
        let mut swing = vec![0_i64; graph.layers];
        let mut used = vec![false; graph.layers];
        for segment in &graph.segments {
            let (upper, lower) = (graph.nodes.at(segment.upper), graph.nodes.at(segment.lower));
            let far = self.across.at(segment.upper) + segment.upper_port.across
                - self.across.at(segment.lower)
                - segment.lower_port.across;
            swing.put(lower.layer, swing.at(lower.layer).max(far.abs()));
            used.put(lower.layer, true);
            used.put(upper.layer + 1, true);
        }
        let (least, most) = match flow {
            Flow::Down => (14, 30),
            Flow::Sideways => (16, 36),
        };
        (0..graph.layers)
            .map(|layer| {
                let arrow = if layer % 2 == 1 { ARROW_ROOM } else { 0 };
                if used.at(layer) { least + arrow + (swing.at(layer) / 8).min(most) } else { 0 }
            })
            .collect()
    }
}

/// Centres across: every segment pulls its ends in line, and neighbours keep their distance.
fn across(graph: &Graph, order: &[Vec<usize>]) -> Vec<i64> {
    let count = graph.nodes.len();
    let mut distances = Vec::new();
    for layer in order {
        for (left, right) in layer.iter().copied().zip(layer.iter().copied().skip(1)) {
            let (a, b) = (graph.nodes.at(left), graph.nodes.at(right));
            let least = a.after + b.before + apart(a.kind, b.kind);
            distances.push(Distance { tail: left, head: right, least, weight: 0 });
        }
    }
    for (extra, segment) in (count..).zip(&graph.segments) {
        for (end, port) in [(segment.upper, segment.upper_port), (segment.lower, segment.lower_port)] {
            distances.push(Distance { tail: extra, head: end, least: -port.across, weight: segment.weight });
        }
    }
    let values = solve(count + graph.segments.len(), &distances, Slack::Centre);
    let start = graph.nodes.iter().zip(&values).map(|(node, value)| value - node.before).min().unwrap_or(0);
    values.into_iter().take(count).map(|value| value - start).collect()
}

/// Straightens long lines. The simplex counts how far lines swing, not how often: this moves each line, between the
/// neighbours that it has, such that it bends as seldom as it can.
fn unbend(graph: &Graph, order: &[Vec<usize>], across: &mut [i64]) {
    let mut neighbours = vec![(None, None); graph.nodes.len()];
    for layer in order {
        for (place, node) in layer.iter().enumerate() {
            let previous = place.checked_sub(1).and_then(|place| layer.get(place)).copied();
            neighbours.put(*node, (previous, layer.get(place + 1).copied()));
        }
    }
    // A line that moved may have made way for one before it.
    for bundle in graph.bundles.iter().chain(graph.bundles.iter().rev()).chain(&graph.bundles) {
        // Where each node may lie, joined as long as one place serves several in a row.
        let mut pieces: Vec<(i64, i64, Vec<usize>)> = Vec::new();
        for node in bundle.trunk.iter().copied() {
            let this = graph.nodes.at(node);
            let (previous, next) = neighbours.at(node);
            let from = previous.map_or(this.before, |previous| {
                let its = graph.nodes.at(previous);
                across.at(previous) + its.after + apart(its.kind, this.kind) + this.before
            });
            let to = next.map_or(i64::MAX, |next| {
                let its = graph.nodes.at(next);
                across.at(next) - its.before - apart(this.kind, its.kind) - this.after
            });
            match pieces.last_mut() {
                Some((start, end, nodes)) if from.max(*start) <= to.min(*end) => {
                    (*start, *end) = (from.max(*start), to.min(*end));
                    nodes.push(node);
                }
                _ => pieces.push((from, to, vec![node])),
            }
        }
        let bends = bundle.trunk.iter().zip(bundle.trunk.iter().skip(1));
        if !bundle.back && bends.filter(|(a, b)| across.at(**a) != across.at(**b)).count() < pieces.len() {
            continue;
        }
        let lanes = lanes(graph, bundle, across);
        let last = pieces.len().saturating_sub(1);
        for (index, (from, to, nodes)) in pieces.into_iter().enumerate() {
            let mut now: Vec<i64> = nodes.iter().map(|node| across.at(*node)).collect();
            now.sort_unstable();
            let [upper, lower] = lanes;
            let lane = (if index == 0 { upper } else { 0 }).max(if index == last { lower } else { 0 });
            let at = now.at(now.len() / 2).max(lane).min(to).max(from);
            for node in nodes {
                across.put(node, at);
            }
        }
    }
}

/// How far out a way back runs at least where it enters its upper stage, and where it leaves its lower one.
fn lanes(graph: &Graph, bundle: &Bundle, across: &[i64]) -> [i64; 2] {
    let Some((_, way)) = bundle.members.first().filter(|_| bundle.back) else { return [0, 0] };
    let end = |index: Option<&usize>| index.map(|index| graph.segments.at(*index)).unwrap_or_default();
    let (upper, lower) = (end(way.first()), end(way.last()));
    [across.at(upper.upper) + upper.upper_port.across, across.at(lower.lower) + lower.lower_port.across]
}

/// The space between two neighbours.
fn apart(left: Kind, right: Kind) -> i64 {
    match (left, right) {
        (Kind::Stage(_), Kind::Stage(_)) => 36,
        (Kind::Stage(_), _) | (_, Kind::Stage(_)) => 14,
        (Kind::Label(_), Kind::Label(_)) => 12,
        _ => 6,
    }
}
