//! The layered graph of one component: stages, labels and bends as nodes, and segments between neighbouring layers.
//!
//! Stages lie on odd layers, labels on even ones, so there is room for a label between any two stages. Transitions with
//! the same target that say the same (`cancel` from everywhere) share one trunk with one label.

use super::Mark;
use super::cells::{Cells, push};
use super::layers::Layers;
use super::plan::Plan;
use super::sheet::{Flow, Texts, box_size, label_size};
use std::collections::BTreeMap;

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    /// A point that a line passes.
    #[default]
    Bend,
    /// A stage's box.
    Stage(usize),
    /// The dot from which an initial stage is entered.
    Dot,
    /// The label of a bundle.
    Label(usize),
}

/// A node of the layout.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) layer: usize,
    /// Half of its own size across.
    pub(super) half: i64,
    /// The room that it needs before and after its centre, with all that hangs on its sides.
    pub(super) before: i64,
    pub(super) after: i64,
    /// Its size along.
    pub(super) along: i64,
}

/// Where a segment meets a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Side {
    /// The side that faces the other layer.
    #[default]
    Facing,
    /// The side behind the node: ways back keep to it.
    Behind,
    /// The side before the node.
    Before,
}

impl Side {
    /// Which way the side lies.
    pub(super) const fn sign(self) -> i64 {
        match self {
            Self::Facing => 0,
            Self::Behind => 1,
            Self::Before => -1,
        }
    }
}

/// One end of a segment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Port {
    pub(super) side: Side,
    /// How far from the node's centre the line runs.
    pub(super) across: i64,
    /// Where a line from behind meets the box, from its centre.
    pub(super) along: i64,
}

/// A piece of a line, from one layer to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Segment {
    pub(super) upper: usize,
    pub(super) lower: usize,
    pub(super) upper_port: Port,
    pub(super) lower_port: Port,
    /// How much it wants to be straight.
    pub(super) weight: i64,
}

/// Transitions that are drawn as one line with branches.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) back: bool,
    pub(super) label: usize,
    /// Its nodes, from layer to layer.
    pub(super) trunk: Vec<usize>,
    /// A transition, and its segments from the upper layer to the lower. The longest comes first.
    pub(super) members: Vec<(usize, Vec<usize>)>,
}

/// The layered graph of one component.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) segments: Vec<Segment>,
    pub(super) bundles: Vec<Bundle>,
    /// The segment from each dot to its stage.
    pub(super) entries: Vec<usize>,
    /// Transitions from a stage to itself, with the stage's node.
    pub(super) loops: Vec<(usize, usize)>,
    pub(super) layers: usize,
    /// By layer: how much of it labels take.
    labelled: Vec<i64>,
}

/// How much of a layer labels may take before they move on.
const CROWDED: i64 = 1_000;

/// The length of a loop's arm.
pub(super) const LOOP_ARM: i64 = 30;

impl Graph {
    /// The graph of some stages, with all transitions between them.
    pub(super) fn of(plan: &Plan<'_>, layers: &Layers, texts: &Texts, component: &[usize], flow: Flow) -> Self {
        let mut graph = Self::default();
        let top = component.iter().map(|stage| layers.rank.at(*stage)).min().unwrap_or(0);
        let mut node_of: BTreeMap<usize, usize> = BTreeMap::new();
        for stage in component.iter().copied() {
            let (Some(this), Some(name)) = (plan.stages.get(stage), texts.names.get(stage)) else { continue };
            let (width, height) = box_size(name, this.is_final);
            let size = flow.size(width, height);
            let layer = 2 * (layers.rank.at(stage) - top) + 1;
            let half = size.across / 2;
            let node =
                graph.add(Node { kind: Kind::Stage(stage), layer, half, before: half, after: half, along: size.along });
            node_of.insert(stage, node);
            if this.initial {
                let dot =
                    graph.add(Node { kind: Kind::Dot, layer: layer - 1, half: 7, before: 9, after: 9, along: 14 });
                let entry = graph.join(dot, node, Side::Facing, Side::Facing, 12);
                graph.entries.push(entry);
            }
        }
        graph.labelled = vec![0; graph.layers];
        for bundle in bundles(plan, layers) {
            let Some(first) = bundle.first().and_then(|index| plan.transitions.get(*index)) else { continue };
            let Some(target) = node_of.get(&first.to).copied() else { continue };
            if first.from == first.to {
                graph.loops.extend(bundle.iter().map(|index| (*index, target)));
                continue;
            }
            let members: Vec<(usize, usize)> = bundle
                .iter()
                .filter_map(|index| Some((*index, *node_of.get(&plan.transitions.get(*index)?.from)?)))
                .collect();
            graph.route(plan, layers, texts, flow, target, &members);
        }
        graph.make_room_for_loops(plan, texts, flow);
        graph
    }

    /// How long it gets at least along its layers.
    pub(super) fn least_length(&self) -> i64 {
        let mut sizes = vec![0_i64; self.layers];
        for node in &self.nodes {
            sizes.put(node.layer, sizes.at(node.layer).max(node.along));
        }
        let gaps: i64 = sizes.iter().map(|size| if *size > 0 { 26 } else { 0 }).sum();
        sizes.iter().sum::<i64>() + gaps
    }

    fn add(&mut self, node: Node) -> usize {
        self.layers = self.layers.max(node.layer + 1);
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn join(&mut self, upper: usize, lower: usize, upper_side: Side, lower_side: Side, weight: i64) -> usize {
        let port = |side| Port { side, ..Port::default() };
        self.segments.push(Segment {
            upper,
            lower,
            upper_port: port(upper_side),
            lower_port: port(lower_side),
            weight,
        });
        self.segments.len() - 1
    }

    /// Lays a trunk through all layers between the target and its farthest source, and joins every source to it.
    fn route(
        &mut self,
        plan: &Plan<'_>,
        layers: &Layers,
        texts: &Texts,
        flow: Flow,
        target: usize,
        members: &[(usize, usize)],
    ) {
        let Some((first, _)) = members.first().copied() else { return };
        let (Some(transition), Some(text)) = (plan.transitions.get(first), texts.labels.get(first)) else { return };
        let back = layers.back.at(first);
        let target_layer = self.nodes.at(target).layer;
        let source_layers: Vec<usize> = members.iter().map(|(_, source)| self.nodes.at(*source).layer).collect();
        let (from, to) = if back {
            (target_layer + 1, source_layers.iter().copied().max().unwrap_or(0) - 1)
        } else {
            (source_layers.iter().copied().min().unwrap_or(0) + 1, target_layer - 1)
        };
        let (width, height) = label_size(text, transition.mark != Mark::Same);
        let size = flow.size(width, height);
        let half = size.across / 2;
        // A single line is named where it begins, or further on where that layer is full; a trunk where all have joined.
        let label_layer = match (members.len(), back) {
            (1, true) => self.free_layer((from..=to).rev().step_by(2), size.across),
            (1, false) => self.free_layer((from..=to).step_by(2), size.across),
            (_, true) => target_layer + 1,
            (_, false) => target_layer - 1,
        };
        self.labelled.put(label_layer, self.labelled.at(label_layer) + size.across);
        let bundle = self.bundles.len();
        let trunk: Vec<usize> = (from..=to)
            .map(|layer| {
                self.add(if layer == label_layer {
                    Node { kind: Kind::Label(bundle), layer, half, before: half, after: half, along: size.along }
                } else {
                    Node { kind: Kind::Bend, layer, half: 0, before: 4, after: 4, along: 0 }
                })
            })
            .collect();
        let side = if back { Side::Behind } else { Side::Facing };
        let main = members.iter().any(|(index, _)| layers.main.at(*index));
        let (outer, inner) = match (main, back, members.len()) {
            (true, ..) => (24, 24),
            (false, true, 1) => (2, 6),
            (false, false, 1) => (2, 8),
            // A trunk stays straight against the pull of all its branches.
            _ => (1, 2 * i64::try_from(members.len()).unwrap_or(8) + 8),
        };
        let between: Vec<usize> = trunk
            .iter()
            .zip(trunk.iter().skip(1))
            .map(|(upper, lower)| self.join(*upper, *lower, Side::Facing, Side::Facing, inner))
            .collect();
        let (nearest, farthest) = (trunk.first().copied().unwrap_or(0), trunk.last().copied().unwrap_or(0));
        let at_target = if back {
            self.join(target, nearest, side, Side::Facing, outer)
        } else {
            self.join(farthest, target, Side::Facing, side, outer)
        };
        let mut routed = Vec::with_capacity(members.len());
        for (index, source) in members.iter().copied() {
            let layer = self.nodes.at(source).layer;
            let joins = if back { layer - 1 - from } else { layer + 1 - from };
            let trunk_node = trunk.at(joins);
            let mut way = Vec::new();
            if back {
                way.push(at_target);
                way.extend(between.iter().take(joins));
                way.push(self.join(trunk_node, source, Side::Facing, side, outer));
            } else {
                way.push(self.join(source, trunk_node, side, Side::Facing, outer));
                way.extend(between.iter().skip(joins));
                way.push(at_target);
            }
            routed.push((index, way));
        }
        routed.sort_by_key(|(index, way)| (std::cmp::Reverse(way.len()), *index));
        let label = trunk.at(label_layer - from);
        self.bundles.push(Bundle { back, label, trunk, members: routed });
    }

    /// The first layer that has room for another label, or the one with the most.
    fn free_layer(&self, layers: impl Iterator<Item = usize> + Clone, size: i64) -> usize {
        let fitting = layers.clone().find(|layer| self.labelled.at(*layer) + size <= CROWDED);
        let least = layers.min_by_key(|layer| self.labelled.at(*layer));
        fitting.or(least).unwrap_or(0)
    }

    /// Loops hang before their box, one behind the other along it; the box grows to hold them.
    fn make_room_for_loops(&mut self, plan: &Plan<'_>, texts: &Texts, flow: Flow) {
        let mut slots = vec![0_i64; self.nodes.len()];
        let mut arms = vec![0_i64; self.nodes.len()];
        for (index, node) in self.loops.iter().copied() {
            let slot = loop_slot(plan, texts, flow, index);
            slots.put(node, slots.at(node) + slot.along);
            arms.put(node, arms.at(node).max(slot.across));
        }
        for (node, (slot, arm)) in self.nodes.iter_mut().zip(slots.into_iter().zip(arms)) {
            if slot > 0 {
                node.along = node.along.max(slot);
                node.before += LOOP_ARM + arm;
            }
        }
    }
}

/// The room that a loop takes along its box and, with its label, beyond its arm.
pub(super) fn loop_slot(plan: &Plan<'_>, texts: &Texts, flow: Flow, index: usize) -> super::sheet::Point {
    let marked = plan.transitions.get(index).is_some_and(|transition| transition.mark != Mark::Same);
    let (width, height) = texts.labels.get(index).map_or((0, 0), |label| label_size(label, marked));
    let size = flow.size(width, height);
    super::sheet::Point { along: size.along.max(26) + 6, across: size.across + 2 }
}

/// Transitions by what is drawn as one line: the same target, text and mark, from different stages, in one direction.
fn bundles(plan: &Plan<'_>, layers: &Layers) -> Vec<Vec<usize>> {
    let mut bundles: Vec<Vec<usize>> = Vec::new();
    let mut open: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, this) in plan.transitions.iter().enumerate() {
        let alone = this.from == this.to || layers.main.at(index);
        let words = (this.to, layers.back.at(index), &this.label, &this.guards, &this.role, this.mark, alone);
        let candidates = open.entry(words).or_default();
        let fitting = candidates.iter().copied().find(|bundle| {
            !alone
                && bundles.get(*bundle).is_some_and(|members| {
                    members.iter().all(|other| plan.transitions.get(*other).is_some_and(|it| it.from != this.from))
                })
        });
        match fitting {
            Some(bundle) => push(&mut bundles, bundle, index),
            None => {
                candidates.push(bundles.len());
                bundles.push(vec![index]);
            }
        }
    }
    bundles
}
