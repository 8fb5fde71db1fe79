//! Where lines meet the boxes.
//!
//! Before the nodes have their places, ports decide how much room a box needs; afterwards they move so that lines bend
//! less: under their line where that is possible, and to the side of the box where nothing stands between.

use super::cells::{Cells, list, push};
use super::graph::{Graph, Kind, Port, Side};

/// How far the innermost way back runs behind its box, and the next ones behind it.
const LANE: i64 = 20;
const NEXT_LANE: i64 = 12;
/// How near lines may meet a box, and how near to its corner.
const STEP: i64 = 12;
const CORNER: i64 = 13;
/// How far beside a box a line must run to leave from its side.
const ASIDE: i64 = 28;

/// One end of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Upper,
    Lower,
}

/// A segment's end at a node.
#[derive(Debug, Clone, Copy)]
struct Meeting {
    segment: usize,
    port: Port,
    other: usize,
}

/// The segments at every node.
struct Meetings {
    leaving: Vec<Vec<usize>>,
    entering: Vec<Vec<usize>>,
}

impl Meetings {
    fn of(graph: &Graph) -> Self {
        let count = graph.nodes.len();
        let mut this = Self { leaving: vec![Vec::new(); count], entering: vec![Vec::new(); count] };
        for (index, segment) in graph.segments.iter().enumerate() {
            push(&mut this.leaving, segment.upper, index);
            push(&mut this.entering, segment.lower, index);
        }
        this
    }

    /// The meetings at one side of a node, sorted by where their lines come from.
    fn at(&self, graph: &Graph, node: usize, end: End, side: Side, place: impl Fn(usize) -> i64) -> Vec<Meeting> {
        let segments = if end == End::Upper { list(&self.leaving, node) } else { list(&self.entering, node) };
        let mut meetings: Vec<Meeting> = segments
            .iter()
            .map(|index| {
                let segment = graph.segments.at(*index);
                let (port, other) = match end {
                    End::Upper => (segment.upper_port, segment.lower),
                    End::Lower => (segment.lower_port, segment.upper),
                };
                Meeting { segment: *index, port, other }
            })
            .filter(|meeting| meeting.port.side == side)
            .collect();
        meetings.sort_by_key(|meeting| (place(meeting.other), meeting.segment));
        meetings
    }
}

fn set(graph: &mut Graph, segment: usize, end: End, port: Port) {
    if let Some(segment) = graph.segments.get_mut(segment) {
        match end {
            End::Upper => segment.upper_port = port,
            End::Lower => segment.lower_port = port,
        }
    }
}

fn stages(graph: &Graph) -> Vec<usize> {
    let is_stage = |node: &usize| matches!(graph.nodes.at(*node).kind, Kind::Stage(_));
    (0..graph.nodes.len()).filter(is_stage).collect()
}

/// Decides where lines meet their boxes, and gives the boxes the room behind them that ways back need.
pub(super) fn attach(graph: &mut Graph, order: &[Vec<usize>]) {
    let mut position = vec![0_i64; graph.nodes.len()];
    for layer in order {
        for (place, node) in (0_i64..).zip(layer) {
            position.put(*node, place);
        }
    }
    let meetings = Meetings::of(graph);
    for node in stages(graph) {
        let at = |graph: &Graph, end, side| meetings.at(graph, node, end, side, |other| position.at(other));
        for end in [End::Upper, End::Lower] {
            let ends = at(graph, end, Side::Facing);
            spread(graph, node, &ends, end);
        }
        let (ups, downs) = (at(graph, End::Lower, Side::Behind), at(graph, End::Upper, Side::Behind));
        hang_behind(graph, node, &ups, &downs);
    }
}

/// Spreads lines over the side of a box, which grows where it must. The main line, if there is one, gets the middle.
fn spread(graph: &mut Graph, node: usize, ends: &[Meeting], end: End) {
    let last = i64::try_from(ends.len()).unwrap_or(i64::MAX) - 1;
    let weight = |meeting: &Meeting| graph.segments.at(meeting.segment).weight;
    let main =
        (0_i64..).zip(ends).filter(|(_, meeting)| weight(meeting) > 8).max_by_key(|(_, meeting)| weight(meeting));
    // In half steps, so that an even number can lie evenly.
    let zero = main.map_or(last, |(main, _)| 2 * main);
    let farthest = zero.max(2 * last - zero).max(1);
    if let Some(this) = graph.nodes.get_mut(node) {
        let grown = (farthest * STEP / 2 + CORNER - this.half).max(0);
        this.half += grown;
        this.before += grown;
        this.after += grown;
    }
    let step = (2 * (graph.nodes.at(node).half - CORNER) / farthest).min(22);
    for (place, meeting) in (0_i64..).zip(ends) {
        set(graph, meeting.segment, end, Port { across: (2 * place - zero) * step / 2, ..meeting.port });
    }
}

/// Gives every way back its lane behind the box. Those that go up meet it above those that go down, and of each the
/// innermost lane meets it nearest to where it goes: so they never cross.
fn hang_behind(graph: &mut Graph, node: usize, ups: &[Meeting], downs: &[Meeting]) {
    let lanes = i64::try_from(ups.len() + downs.len()).unwrap_or(0);
    let deepest = i64::try_from(ups.len().max(downs.len())).unwrap_or(0);
    let Some(this) = graph.nodes.get_mut(node) else { return };
    if lanes == 0 {
        return;
    }
    let slots = Slots::new(&mut this.along, lanes);
    this.after += LANE + NEXT_LANE * (deepest - 1) + 4;
    let half = this.half;
    for (place, meeting) in (0_i64..).zip(ups) {
        let across = half + LANE + NEXT_LANE * place;
        set(graph, meeting.segment, End::Lower, Port { across, along: slots.at(place), ..meeting.port });
    }
    for (place, meeting) in (0_i64..).zip(downs) {
        let across = half + LANE + NEXT_LANE * place;
        set(graph, meeting.segment, End::Upper, Port { across, along: slots.at(lanes - 1 - place), ..meeting.port });
    }
}

/// Evenly spread places along the side of a box.
struct Slots {
    count: i64,
    along: i64,
}

impl Slots {
    /// Places for so many lines; the box grows to hold them.
    fn new(along: &mut i64, count: i64) -> Self {
        *along = (*along).max(14 * count + 12);
        Self { count, along: *along - 12 }
    }

    fn at(&self, place: i64) -> i64 {
        -self.along / 2 + self.along * (2 * place + 1) / (2 * self.count)
    }
}

/// Moves ports, now that the nodes have their places, such that fewer lines bend next to a box.
pub(super) fn straighten(graph: &mut Graph, order: &[Vec<usize>], across: &[i64]) {
    let meetings = Meetings::of(graph);
    for layer in order {
        // What the lines behind the previous box have taken.
        let mut taken = i64::MIN;
        for (place, node) in layer.iter().copied().enumerate() {
            let this = graph.nodes.at(node);
            if !matches!(this.kind, Kind::Stage(_)) {
                taken = i64::MIN;
                continue;
            }
            let next = layer.get(place + 1).copied();
            let previous = place.checked_sub(1).and_then(|place| layer.get(place)).copied();
            // A side that carries ways back or loops is left to them.
            if this.before == this.half {
                let edge = previous.map_or(i64::MIN, |previous| across.at(previous) + graph.nodes.at(previous).after);
                let room = across.at(node).saturating_sub(edge.max(taken));
                sidestep(graph, &meetings, across, node, Side::Before, (room, previous));
            }
            let edge = next.map_or(i64::MAX, |next| across.at(next) - graph.nodes.at(next).before);
            let room = edge.saturating_sub(across.at(node));
            if this.after == this.half {
                sidestep(graph, &meetings, across, node, Side::Behind, (room, next));
            } else {
                stretch(graph, &meetings, across, node, End::Upper, room);
                stretch(graph, &meetings, across, node, End::Lower, room);
            }
            taken = [End::Upper, End::Lower]
                .into_iter()
                .flat_map(|end| meetings.at(graph, node, end, Side::Behind, |_| 0))
                .map(|meeting| across.at(node) + meeting.port.across)
                .max()
                .unwrap_or(i64::MIN);
            for end in [End::Upper, End::Lower] {
                let ends = meetings.at(graph, node, end, Side::Facing, |other| across.at(other));
                spread(graph, node, &ends, end);
                align(graph, &meetings, across, node, end);
            }
        }
    }
}

/// Moves lines that run far beside the box to its side, where nothing stands between. Those that come from above meet
/// it above those that go down, the innermost nearest to where it comes from or goes to: so they never cross.
fn sidestep(
    graph: &mut Graph,
    meetings: &Meetings,
    across: &[i64],
    node: usize,
    side: Side,
    (room, neighbour): (i64, Option<usize>),
) {
    let sign = side.sign();
    let centre = across.at(node);
    let this = graph.nodes.at(node);
    let far = |meeting: &Meeting| sign * (across.at(meeting.other) - centre);
    let mut chosen = Vec::new();
    for end in [End::Lower, End::Upper] {
        let mut ends = meetings.at(graph, node, end, Side::Facing, |other| sign * across.at(other));
        ends.retain(|meeting| {
            // A trunk that passes here may be joined here.
            let joins = neighbour.is_some_and(|neighbour| {
                let (upper, lower) =
                    if end == End::Upper { (neighbour, meeting.other) } else { (meeting.other, neighbour) };
                graph.nodes.at(neighbour).kind == Kind::Bend
                    && across.at(neighbour) == across.at(meeting.other)
                    && list(&meetings.leaving, upper).iter().any(|index| graph.segments.at(*index).lower == lower)
            });
            far(meeting) >= this.half + ASIDE && (far(meeting) <= room - STEP || joins)
        });
        if end == End::Upper {
            ends.reverse();
        }
        chosen.extend(ends.into_iter().map(|meeting| (end, meeting)));
    }
    let count = i64::try_from(chosen.len()).unwrap_or(0);
    let Some(this) = graph.nodes.get_mut(node).filter(|_| count > 0) else { return };
    let slots = Slots::new(&mut this.along, count);
    for (place, (end, meeting)) in (0_i64..).zip(chosen) {
        let port = Port { side, across: across.at(meeting.other) - centre, along: slots.at(place) };
        set(graph, meeting.segment, end, port);
    }
}

/// Moves lanes behind a box out to where their line runs, where nothing stands between.
fn stretch(graph: &mut Graph, meetings: &Meetings, across: &[i64], node: usize, end: End, room: i64) {
    let mut room = room - NEXT_LANE;
    for meeting in meetings.at(graph, node, end, Side::Behind, |other| across.at(other)).into_iter().rev() {
        let wanted = across.at(meeting.other) - across.at(node);
        let mut port = meeting.port;
        if wanted > port.across && wanted <= room {
            port.across = wanted;
        }
        set(graph, meeting.segment, end, port);
        room = port.across - NEXT_LANE;
    }
}

/// Moves ports that face a layer under the line that they belong to, where that keeps them apart.
fn align(graph: &mut Graph, meetings: &Meetings, across: &[i64], node: usize, end: End) {
    let half = graph.nodes.at(node).half - CORNER;
    let ends = meetings.at(graph, node, end, Side::Facing, |other| across.at(other));
    let mut free_from = -half;
    for (place, meeting) in ends.iter().enumerate() {
        let wanted = across.at(meeting.other) - across.at(node);
        let free_to = ends.get(place + 1).map_or(half, |next| next.port.across - STEP);
        let mut port = meeting.port;
        if (free_from..=free_to).contains(&wanted) {
            port.across = wanted;
        }
        set(graph, meeting.segment, end, port);
        free_from = port.across + STEP;
    }
}
