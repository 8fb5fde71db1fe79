//! The whole layout: which way it runs, and where its parts lie on the page.

use super::graph::Graph;
use super::layers::{Layers, components};
use super::order::order;
use super::place::Places;
use super::plan::Plan;
use super::route::{Drawn, route};
use super::sheet::{Flow, Point, Texts};

/// The width of a page at which everything is to stay legible.
pub(super) const PAGE: i64 = 1_560;
/// The space between parts that do not hang together.
const BETWEEN: i64 = 56;

/// A part of the picture, with its place on the page.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) graph: Graph,
    pub(super) places: Places,
    pub(super) drawn: Vec<Drawn>,
    pub(super) x: i64,
    pub(super) y: i64,
}

/// Everything placed, before it is written down or mirrored.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) flow: Flow,
    pub(super) texts: Texts,
    pub(super) parts: Vec<Part>,
    pub(super) width: i64,
    pub(super) height: i64,
}

impl Picture {
    pub(super) fn of(plan: &Plan<'_>) -> Self {
        let texts = Texts::of(plan);
        let layers = Layers::of(plan);
        let groups = components(plan);
        let graphs = |flow: Flow| -> Vec<Graph> {
            groups.iter().map(|group| Graph::of(plan, &layers, &texts, group, flow)).collect()
        };
        let (sideways, down) = (graphs(Flow::Sideways), graphs(Flow::Down));
        let longest = sideways.iter().map(Graph::least_length).max().unwrap_or(0);
        let mut picture = Self { flow: Flow::Sideways, texts, parts: Vec::new(), width: 0, height: 0 };
        if longest > PAGE {
            picture.flow = Flow::Down;
            picture.place(plan, down);
        }
        // What gets too wide either way takes the way in which it is less so.
        if longest <= PAGE || longest < picture.width {
            picture.flow = Flow::Sideways;
            picture.place(plan, sideways);
        }
        picture
    }

    fn place(&mut self, plan: &Plan<'_>, graphs: Vec<Graph>) {
        self.parts.clear();
        for mut graph in graphs {
            let order = order(&graph);
            let places = Places::of(&mut graph, &order, self.flow);
            let drawn = route(plan, &self.texts, &graph, &places, self.flow);
            self.parts.push(Part { graph, places, drawn, x: 0, y: 0 });
        }
        self.shelve();
    }

    /// Puts the parts side by side in reading direction, and below each other where the page ends.
    fn shelve(&mut self) {
        (self.width, self.height) = (0, 0);
        let (mut x, mut y, mut tallest) = (0, 0, 0);
        for part in &mut self.parts {
            let (width, height) = self.flow.xy(Point { along: part.places.length, across: part.places.width });
            if x > 0 && x + width > PAGE {
                y += tallest + BETWEEN;
                (x, tallest) = (0, 0);
            }
            (part.x, part.y) = (x, y);
            self.width = self.width.max(x + width);
            self.height = self.height.max(y + height);
            tallest = tallest.max(height);
            x += width + BETWEEN;
        }
    }
}
