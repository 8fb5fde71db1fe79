//! Lines: from a box through the bends of its transition to the other box.

use super::cells::Cells;
use super::graph::{Graph, Kind, LOOP_ARM, Side, loop_slot};
use super::place::{ARROW_ROOM, Places};
use super::plan::Plan;
use super::sheet::{Flow, Point, Texts};

/// How a line gets to a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Straight.
    Straight,
    /// Leaving and arriving along the layers.
    Sway,
    /// Round a corner.
    Corner(Point),
}

/// A line on the sheet. The first step only says where it begins.
#[derive(Debug, Clone, Default)]
pub(super) struct Stroke {
    pub(super) steps: Vec<(Step, Point)>,
    /// Whether it ends at its stage, with an arrowhead, or joins another line.
    pub(super) arrow: bool,
}

/// What is drawn for one bundle, loop or entry.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    /// The transitions that it stands for; none for an entry.
    pub(super) transitions: Vec<usize>,
    pub(super) back: bool,
    pub(super) strokes: Vec<Stroke>,
    /// The centre of its label.
    pub(super) label: Option<Point>,
}

impl Stroke {
    fn begin(at: Point) -> Self {
        Self { steps: vec![(Step::Straight, at)], arrow: false }
    }

    fn go(&mut self, step: Step, to: Point) {
        let Some((_, from)) = self.steps.last().copied() else { return };
        let step = if step == Step::Sway && from.across == to.across { Step::Straight } else { step };
        if from == to {
            return;
        }
        // Two straight pieces in one direction are one.
        if let [.., (_, before), (Step::Straight, last)] = self.steps.as_mut_slice() {
            let in_line = (before.across == last.across && last.across == to.across)
                || (before.along == last.along && last.along == to.along);
            if step == Step::Straight && in_line {
                *last = to;
                return;
            }
        }
        self.steps.push((step, to));
    }

    fn reversed(self) -> Self {
        let mut steps = Vec::with_capacity(self.steps.len());
        let mut arriving = Step::Straight;
        for (step, point) in self.steps.into_iter().rev() {
            steps.push((arriving, point));
            arriving = step;
        }
        Self { steps, arrow: self.arrow }
    }
}

/// All lines of a component.
pub(super) fn route(plan: &Plan<'_>, texts: &Texts, graph: &Graph, places: &Places, flow: Flow) -> Vec<Drawn> {
    let mut drawn = Vec::new();
    for entry in &graph.entries {
        let mut stroke = line(graph, places, &[*entry]);
        stroke.arrow = true;
        drawn.push(Drawn { strokes: vec![stroke], ..Drawn::default() });
    }
    for bundle in &graph.bundles {
        let mut this = Drawn { back: bundle.back, ..Drawn::default() };
        for (rank, (transition, way)) in bundle.members.iter().enumerate() {
            this.transitions.push(*transition);
            // The first runs all the way; the others end where they join it.
            let own = match (rank, bundle.back) {
                (0, _) => way.as_slice(),
                (_, false) => way.get(..1).unwrap_or_default(),
                (_, true) => way.get(way.len().saturating_sub(1)..).unwrap_or_default(),
            };
            let mut stroke = line(graph, places, own);
            stroke.arrow = rank == 0;
            this.strokes.push(if bundle.back { stroke.reversed() } else { stroke });
        }
        let node = graph.nodes.at(bundle.label);
        this.label = Some(Point { along: places.along(node), across: places.across.at(bundle.label) });
        drawn.push(this);
    }
    loops(plan, texts, graph, places, flow, &mut drawn);
    drawn
}

/// The line through some segments, from the upper layer to the lower.
fn line(graph: &Graph, places: &Places, way: &[usize]) -> Stroke {
    let mut stroke = Stroke::default();
    for index in way {
        let segment = graph.segments.at(*index);
        let (upper, lower) = (graph.nodes.at(segment.upper), graph.nodes.at(segment.lower));
        let (_, leaves) = places.layers.at(upper.layer);
        let (arrives, arrives_end) = places.layers.at(lower.layer);
        let x = places.across.at(segment.upper) + segment.upper_port.across;
        let to_x = places.across.at(segment.lower) + segment.lower_port.across;
        let out = Point { along: leaves, across: x };
        match upper.kind {
            Kind::Stage(_) | Kind::Dot => {
                let port = segment.upper_port;
                let centre = Point { along: places.along(upper), across: places.across.at(segment.upper) };
                stroke = match port.side {
                    Side::Facing => Stroke::begin(Point { along: centre.along + upper.along / 2, across: x }),
                    side => {
                        let at = centre.along + port.along;
                        let mut stroke =
                            Stroke::begin(Point { along: at, across: centre.across + side.sign() * upper.half });
                        stroke.go(Step::Straight, Point { along: at, across: x - side.sign() * RADIUS });
                        let corner = Point { along: at, across: x };
                        stroke.go(Step::Corner(corner), Point { along: at + RADIUS, across: x });
                        stroke
                    }
                };
            }
            _ if stroke.steps.is_empty() => stroke = Stroke::begin(out),
            _ => {}
        }
        stroke.go(Step::Straight, out);
        let is_stage = matches!(lower.kind, Kind::Stage(_));
        let room = if is_stage { ARROW_ROOM } else { 0 };
        stroke.go(Step::Sway, Point { along: arrives - room, across: to_x });
        match lower.kind {
            Kind::Stage(_) => {
                let port = segment.lower_port;
                let centre = Point { along: places.along(lower), across: places.across.at(segment.lower) };
                if port.side == Side::Facing {
                    stroke.go(Step::Straight, Point { along: centre.along - lower.along / 2, across: to_x });
                } else {
                    let (at, sign) = (centre.along + port.along, port.side.sign());
                    stroke.go(Step::Straight, Point { along: at - RADIUS, across: to_x });
                    let corner = Point { along: at, across: to_x };
                    stroke.go(Step::Corner(corner), Point { along: at, across: to_x - sign * RADIUS });
                    stroke.go(Step::Straight, Point { along: at, across: centre.across + sign * lower.half });
                }
            }
            // A branch ends where its trunk begins; a line goes on.
            _ if way.len() == 1 => {}
            _ => stroke.go(Step::Straight, Point { along: arrives_end, across: to_x }),
        }
    }
    stroke
}

/// How round corners are.
const RADIUS: i64 = 9;

/// Lines from a stage to itself, before its box.
fn loops(plan: &Plan<'_>, texts: &Texts, graph: &Graph, places: &Places, flow: Flow, drawn: &mut Vec<Drawn>) {
    let mut used = vec![0_i64; graph.nodes.len()];
    let mut total = vec![0_i64; graph.nodes.len()];
    for (index, node) in &graph.loops {
        total.put(*node, total.at(*node) + loop_slot(plan, texts, flow, *index).along);
    }
    for (index, node) in graph.loops.iter().copied() {
        let this = graph.nodes.at(node);
        let slot = loop_slot(plan, texts, flow, index);
        let middle = places.along(this) - total.at(node) / 2 + used.at(node) + slot.along / 2;
        used.put(node, used.at(node) + slot.along);
        let side = places.across.at(node) - this.half;
        let far = side - LOOP_ARM + 4;
        let (from, to) = (middle - 9, middle + 9);
        let mut stroke = Stroke::begin(Point { along: from, across: side });
        stroke.go(Step::Straight, Point { along: from, across: far + RADIUS });
        stroke.go(Step::Corner(Point { along: from, across: far }), Point { along: from + RADIUS, across: far });
        stroke.go(Step::Corner(Point { along: to, across: far }), Point { along: to, across: far + RADIUS });
        stroke.go(Step::Straight, Point { along: to, across: side });
        stroke.arrow = true;
        let label = Point { along: middle, across: side - LOOP_ARM - (slot.across - 2) / 2 };
        drawn.push(Drawn { transitions: vec![index], back: false, strokes: vec![stroke], label: Some(label) });
    }
}
