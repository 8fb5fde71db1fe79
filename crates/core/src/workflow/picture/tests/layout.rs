//! What must hold of every layout, over seeded random diagrams.

use super::super::graph::Kind;
use super::super::page::{Part, Picture};
use super::super::plan::Plan;
use super::super::route::{Step, Stroke};
use super::super::sheet::{Flow, Point, label_size};
use super::*;
use std::collections::BTreeMap;

/// A rectangle, in the directions of the layout.
#[derive(Debug, Clone, Copy)]
struct Area {
    from: Point,
    to: Point,
}

impl Area {
    fn around(centre: Point, size: Point) -> Self {
        let from = Point { along: centre.along - size.along / 2, across: centre.across - size.across / 2 };
        Self { from, to: Point { along: from.along + size.along, across: from.across + size.across } }
    }

    fn overlaps(self, other: Self) -> bool {
        self.from.along < other.to.along
            && other.from.along < self.to.along
            && self.from.across < other.to.across
            && other.from.across < self.to.across
    }

    fn holds(self, point: Point) -> bool {
        (self.from.along + 1..self.to.along).contains(&point.along)
            && (self.from.across + 1..self.to.across).contains(&point.across)
    }

    fn has_on_border(self, point: Point) -> bool {
        let wider = Self {
            from: Point { along: self.from.along - 2, across: self.from.across - 2 },
            to: Point { along: self.to.along + 2, across: self.to.across + 2 },
        };
        let narrower = Self {
            from: Point { along: self.from.along + 1, across: self.from.across + 1 },
            to: Point { along: self.to.along - 1, across: self.to.across - 1 },
        };
        wider.holds(point) && !narrower.holds(point)
    }
}

/// Points on a stroke, close enough to each other to notice what it runs through.
fn trace(stroke: &Stroke) -> Vec<Point> {
    const PARTS: i64 = 16;
    let mut points = Vec::new();
    for pair in stroke.steps.windows(2) {
        let [(_, a), (step, b)] = pair else { continue };
        let controls = match step {
            Step::Straight => [*a, *b],
            Step::Corner(corner) => [*corner, *corner],
            Step::Sway => {
                let middle = (a.along + b.along) / 2;
                [Point { along: middle, ..*a }, Point { along: middle, ..*b }]
            }
        };
        for t in 0..=PARTS {
            let u = PARTS - t;
            let at = |a: i64, b: i64, c: i64, d: i64| {
                (a * u * u * u + 3 * b * u * u * t + 3 * c * u * t * t + d * t * t * t) / (PARTS * PARTS * PARTS)
            };
            points.push(Point {
                along: at(a.along, controls[0].along, controls[1].along, b.along),
                across: at(a.across, controls[0].across, controls[1].across, b.across),
            });
        }
    }
    points
}

fn boxes(part: &Part) -> BTreeMap<usize, Area> {
    let mut boxes = BTreeMap::new();
    for (index, node) in part.graph.nodes.iter().enumerate() {
        if let Kind::Stage(stage) = node.kind {
            let centre = Point { along: part.places.along(*node), across: part.places.across[index] };
            boxes.insert(stage, Area::around(centre, Point { along: node.along, across: 2 * node.half }));
        }
    }
    boxes
}

/// Checks one diagram; says what is wrong.
fn check(diagram: &Diagram) -> Result<(), String> {
    let plan = Plan::of(diagram);
    let picture = Picture::of(&plan);
    let mut drawn_stages = 0;
    let mut drawn_transitions = Vec::new();
    let mut rectangles = Vec::new();
    for part in &picture.parts {
        let boxes = boxes(part);
        drawn_stages += boxes.len();
        let mut areas: Vec<(String, Area)> =
            boxes.iter().map(|(stage, area)| (format!("stage {stage}"), *area)).collect();
        let mut labels = Vec::new();
        for drawn in &part.drawn {
            drawn_transitions.extend(drawn.transitions.iter().copied());
            if let (Some(first), Some(centre)) = (drawn.transitions.first(), drawn.label) {
                let marked = plan.transitions[*first].mark != Mark::Same;
                let (width, height) = label_size(&picture.texts.labels[*first], marked);
                let area = Area::around(centre, picture.flow.size(width, height));
                areas.push((format!("label {first}"), area));
                labels.push((*first, area));
            }
        }
        for (index, (name, area)) in areas.iter().enumerate() {
            for (other, it) in &areas[..index] {
                if area.overlaps(*it) {
                    return Err(format!("{name} overlaps {other}"));
                }
            }
            let inside = area.from.along >= 0
                && area.from.across >= 0
                && area.to.along <= part.places.length + 1
                && area.to.across <= part.places.width + 1;
            if !inside {
                return Err(format!("{name} is outside: {area:?}"));
            }
        }
        for drawn in &part.drawn {
            let main = drawn.strokes.first().map(trace).unwrap_or_default();
            for (stroke, transition) in drawn.strokes.iter().zip(&drawn.transitions) {
                let transition_of = &plan.transitions[*transition];
                let (first, last) = (stroke.steps.first().unwrap().1, stroke.steps.last().unwrap().1);
                if !boxes[&transition_of.from].has_on_border(first) {
                    return Err(format!("transition {transition} does not begin at its stage: {first:?}"));
                }
                if stroke.arrow && !boxes[&transition_of.to].has_on_border(last) {
                    return Err(format!("transition {transition} does not end at its stage: {last:?}"));
                }
                let joins = || on_straight_piece(&drawn.strokes[0], last) || main.contains(&last);
                if !stroke.arrow && !joins() {
                    return Err(format!("transition {transition} does not join its trunk: {last:?}"));
                }
            }
            for point in drawn.strokes.iter().flat_map(trace) {
                if let Some((stage, _)) = boxes.iter().find(|(_, area)| area.holds(point)) {
                    return Err(format!("a line of {:?} runs through stage {stage} at {point:?}", drawn.transitions));
                }
                let foreign =
                    labels.iter().find(|(first, area)| !drawn.transitions.contains(first) && area.holds(point));
                if let Some((label, _)) = foreign {
                    return Err(format!("a line of {:?} runs through label {label} at {point:?}", drawn.transitions));
                }
                let (along, across) = (part.places.length + 1, part.places.width + 1);
                if !(-1..=along).contains(&point.along) || !(-1..=across).contains(&point.across) {
                    return Err(format!("a line of {:?} leaves the picture at {point:?}", drawn.transitions));
                }
            }
        }
        let (width, height) = picture.flow.xy(Point { along: part.places.length, across: part.places.width });
        if part.x < 0 || part.y < 0 || part.x + width > picture.width || part.y + height > picture.height {
            return Err("a part is outside the picture".to_owned());
        }
        rectangles.push(Area {
            from: Point { along: part.y, across: part.x },
            to: Point { along: part.y + height, across: part.x + width },
        });
    }
    for (index, area) in rectangles.iter().enumerate() {
        if rectangles[..index].iter().any(|other| area.overlaps(*other)) {
            return Err("two parts overlap".to_owned());
        }
    }
    drawn_transitions.sort_unstable();
    if drawn_stages != plan.stages.len() || !drawn_transitions.into_iter().eq(0..plan.transitions.len()) {
        return Err("not everything is drawn exactly once".to_owned());
    }
    Ok(())
}

fn on_straight_piece(stroke: &Stroke, point: Point) -> bool {
    stroke.steps.windows(2).any(|pair| {
        let [(_, a), (Step::Straight, b)] = pair else { return false };
        let between = |a: i64, b: i64, it: i64| (a.min(b)..=a.max(b)).contains(&it);
        between(a.along, b.along, point.along) && between(a.across, b.across, point.across)
    })
}

#[test]
fn layouts_hold() {
    let failures: Vec<String> = (0..400)
        .filter_map(|seed| {
            let diagram = random(seed, if seed % 4 == 0 { 60 } else { 18 });
            check(&diagram).err().map(|wrong| format!("seed {seed}: {wrong}"))
        })
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
    for diagram in [hostile(), laundry(Direction::LeftToRight), laundry_difference(), Diagram::default()] {
        assert_eq!(check(&diagram), Ok(()));
    }
}

#[test]
fn the_main_line_of_the_laundry_is_straight() {
    let diagram = laundry(Direction::LeftToRight);
    let plan = Plan::of(&diagram);
    let picture = Picture::of(&plan);
    assert_eq!(picture.flow, Flow::Down);
    let part = picture.parts.first().unwrap();
    let boxes = boxes(part);
    let centre = |id: &str| {
        let stage = plan.stages.iter().position(|stage| stage.id == id).unwrap();
        i64::midpoint(boxes[&stage].from.across, boxes[&stage].to.across)
    };
    for id in ["preparation", "processing", "assembly", "quality", "packing", "ready", "delivery", "closed"] {
        assert!((centre(id) - centre("intake")).abs() <= 1, "{id}");
    }
}

#[test]
fn only_rework_and_failed_delivery_are_ways_back() {
    let diagram = laundry(Direction::LeftToRight);
    let plan = Plan::of(&diagram);
    let picture = Picture::of(&plan);
    let back: Vec<&str> = picture
        .parts
        .iter()
        .flat_map(|part| &part.drawn)
        .filter(|drawn| drawn.back)
        .flat_map(|drawn| &drawn.transitions)
        .map(|index| plan.transitions[*index].id)
        .collect();
    assert_eq!(back, ["failed", "rework"]);
}

#[test]
fn small_workflows_run_in_reading_direction() {
    let mut diagram = Diagram::default();
    for (order, id) in (0..).zip(["open", "work", "done"]) {
        diagram.stages.push(stage(order, id, id));
    }
    diagram.transitions = vec![transition("a", "open", "work", "start"), transition("b", "work", "done", "finish")];
    let plan = Plan::of(&diagram);
    assert_eq!(Picture::of(&plan).flow, Flow::Sideways);
    assert_eq!(diagram.svg().matches("<path").count(), 4);
}
