//! A place for every node: across the layers as straight as possible, along them as close as the lines allow.

use super::cells::{Cells, list, push};
use super::graph::{Graph, Kind, Node, Side};
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
/// How far the innermost way back runs behind its box, and the next ones behind it.
const LANE: i64 = 20;
const NEXT_LANE: i64 = 12;

impl Places {
    pub(super) fn of(graph: &mut Graph, order: &[Vec<usize>], flow: Flow) -> Self {
        attach(graph, order);
        let across = across(graph, order);
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
            Flow::Down => (16, 30),
            Flow::Sideways => (18, 36),
        };
        (0..graph.layers)
            .map(|layer| {
                let arrow = if layer % 2 == 1 { ARROW_ROOM } else { 0 };
                if used.at(layer) { least + arrow + (swing.at(layer) / 8).min(most) } else { 0 }
            })
            .collect()
    }
}

/// Decides where lines meet their boxes, and gives the boxes the room behind them that ways back need.
fn attach(graph: &mut Graph, order: &[Vec<usize>]) {
    let mut position = vec![0_usize; graph.nodes.len()];
    for layer in order {
        for (place, node) in layer.iter().enumerate() {
            position.put(*node, place);
        }
    }
    let count = graph.nodes.len();
    let mut leaving: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut entering: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (index, segment) in graph.segments.iter().enumerate() {
        push(&mut leaving, segment.upper, index);
        push(&mut entering, segment.lower, index);
    }
    for node in 0..count {
        if !matches!(graph.nodes.at(node).kind, Kind::Stage(_)) {
            continue;
        }
        let sorted = |ends: &[usize], side: Side, upper: bool| {
            let mut found: Vec<(usize, usize)> = ends
                .iter()
                .filter_map(|index| {
                    let segment = graph.segments.get(*index)?;
                    let (port, other) =
                        if upper { (segment.upper_port, segment.lower) } else { (segment.lower_port, segment.upper) };
                    (port.side == side).then(|| (position.at(other), *index))
                })
                .collect();
            found.sort_unstable();
            found.into_iter().map(|(_, index)| index).collect::<Vec<usize>>()
        };
        let (ups, downs) = (list(&entering, node), list(&leaving, node));
        let facing_up = sorted(ups, Side::Facing, false);
        let facing_down = sorted(downs, Side::Facing, true);
        let behind_up = sorted(ups, Side::Behind, false);
        let behind_down = sorted(downs, Side::Behind, true);
        face(graph, node, &facing_up, false);
        face(graph, node, &facing_down, true);
        hang_behind(graph, node, &behind_up, &behind_down);
    }
}

/// Spreads lines over the side of a box. The main one, if there is one, gets the middle.
fn face(graph: &mut Graph, node: usize, ends: &[usize], upper: bool) {
    let half = (graph.nodes.at(node).half - 14).max(4);
    let last = i64::try_from(ends.len()).unwrap_or(i64::MAX) - 1;
    let weight = |index: &usize| graph.segments.at(*index).weight;
    let heaviest = ends.iter().map(weight).max().unwrap_or(0);
    let main = (0_i64..).zip(ends).find(|(_, index)| weight(index) == heaviest && heaviest > 8).map(|(place, _)| place);
    // In half steps, so that an even number can lie evenly.
    let zero = main.map_or(last, |main| 2 * main);
    let farthest = zero.max(2 * last - zero).max(1);
    let step = (2 * half / farthest).min(22);
    for (place, index) in (0_i64..).zip(ends) {
        if let Some(segment) = graph.segments.get_mut(*index) {
            let port = if upper { &mut segment.upper_port } else { &mut segment.lower_port };
            port.across = (2 * place - zero) * step / 2;
        }
    }
}

/// Gives every way back its lane behind the box. Those that go up meet it above those that go down, and of each the
/// innermost lane meets it nearest to where it goes: so they never cross.
fn hang_behind(graph: &mut Graph, node: usize, ups: &[usize], downs: &[usize]) {
    let lanes = i64::try_from(ups.len() + downs.len()).unwrap_or(0);
    let Some(this) = graph.nodes.get_mut(node) else { return };
    if lanes == 0 {
        return;
    }
    this.along = this.along.max(14 * lanes + 12);
    let deepest = i64::try_from(ups.len().max(downs.len())).unwrap_or(0);
    this.after += LANE + NEXT_LANE * (deepest - 1) + 4;
    let (half, along) = (this.half, this.along - 12);
    let slot = |place: i64| -along / 2 + along * (2 * place + 1) / (2 * lanes);
    for (place, index) in (0_i64..).zip(ups) {
        if let Some(segment) = graph.segments.get_mut(*index) {
            segment.lower_port.across = half + LANE + NEXT_LANE * place;
            segment.lower_port.along = slot(place);
        }
    }
    for (place, index) in (0_i64..).zip(downs) {
        if let Some(segment) = graph.segments.get_mut(*index) {
            segment.upper_port.across = half + LANE + NEXT_LANE * place;
            segment.upper_port.along = slot(lanes - 1 - place);
        }
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

/// The space between two neighbours.
fn apart(left: Kind, right: Kind) -> i64 {
    match (left, right) {
        (Kind::Stage(_), Kind::Stage(_)) => 36,
        (Kind::Stage(_), _) | (_, Kind::Stage(_)) => 14,
        (Kind::Label(_), Kind::Label(_)) => 12,
        _ => 6,
    }
}
