//! The sheet: which way the layers run on it, and how much room texts take.

use super::plan::{Plan, Stage, Transition};
use super::text::{width, wrap};

/// Which way layers follow each other. The layout knows only *along* this way and *across* it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// In reading direction.
    Sideways,
    /// From top to bottom.
    Down,
}

/// A point of the layout, or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Point {
    pub(super) along: i64,
    pub(super) across: i64,
}

impl Flow {
    /// A width and a height as a size along and across.
    pub(super) fn size(self, width: i64, height: i64) -> Point {
        match self {
            Self::Sideways => Point { along: width, across: height },
            Self::Down => Point { along: height, across: width },
        }
    }

    /// A point as x and y.
    pub(super) fn xy(self, point: Point) -> (i64, i64) {
        match self {
            Self::Sideways => (point.along, point.across),
            Self::Down => (point.across, point.along),
        }
    }
}

/// How a line of text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// The name of a stage.
    Name,
    /// An event.
    Event,
    /// A guard, behind a shield.
    Guard,
    /// A role, behind a head.
    Role,
}

impl Ink {
    /// Its font size in pixels.
    pub(super) const fn size(self) -> i64 {
        match self {
            Self::Name => 14,
            Self::Event => 12,
            Self::Guard | Self::Role => 11,
        }
    }

    /// From one line to the next.
    pub(super) const fn leading(self) -> i64 {
        match self {
            Self::Name => 18,
            Self::Event => 15,
            Self::Guard | Self::Role => 15,
        }
    }

    /// The room that its icon takes.
    pub(super) const fn icon(self) -> i64 {
        match self {
            Self::Name | Self::Event => 0,
            Self::Guard | Self::Role => 13,
        }
    }
}

/// A line of text.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) ink: Ink,
    pub(super) width: i64,
}

/// Lines below each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Block {
    pub(super) lines: Vec<Line>,
    pub(super) width: i64,
    pub(super) height: i64,
}

impl Block {
    fn add(&mut self, text: String, ink: Ink) {
        let width = width(&text, ink.size()) + ink.icon();
        self.width = self.width.max(width);
        self.height += ink.leading();
        self.lines.push(Line { text, ink, width });
    }
}

/// Beyond this width texts are wrapped.
const WIDEST_NAME: i64 = 150;
const WIDEST_LABEL: i64 = 160;
const WIDEST_GUARD: i64 = 180;
/// More guards than this are counted, not listed.
const MOST_GUARDS: usize = 4;

/// All texts of a plan, measured.
#[derive(Debug)]
pub(super) struct Texts {
    /// By stage.
    pub(super) names: Vec<Block>,
    /// By transition.
    pub(super) labels: Vec<Block>,
}

impl Texts {
    pub(super) fn of(plan: &Plan<'_>) -> Self {
        Self { names: plan.stages.iter().map(name).collect(), labels: plan.transitions.iter().map(label).collect() }
    }
}

fn name(stage: &Stage<'_>) -> Block {
    let mut block = Block::default();
    for line in wrap(&stage.label, Ink::Name.size(), WIDEST_NAME, 3) {
        block.add(line, Ink::Name);
    }
    block
}

fn label(transition: &Transition<'_>) -> Block {
    let mut block = Block::default();
    for line in wrap(&transition.label, Ink::Event.size(), WIDEST_LABEL, 2) {
        block.add(line, Ink::Event);
    }
    let shown = if transition.guards.len() > MOST_GUARDS { MOST_GUARDS - 1 } else { MOST_GUARDS };
    for guard in transition.guards.iter().take(shown) {
        for line in wrap(guard, Ink::Guard.size(), WIDEST_GUARD, 1) {
            block.add(line, Ink::Guard);
        }
    }
    if transition.guards.len() > shown {
        block.add(format!("+{}", transition.guards.len() - shown), Ink::Guard);
    }
    if let Some(role) = &transition.role {
        for line in wrap(role, Ink::Role.size(), WIDEST_GUARD, 1) {
            block.add(line, Ink::Role);
        }
    }
    block
}

/// The width and height of a stage's box around its name.
pub(super) fn box_size(name: &Block, is_final: bool) -> (i64, i64) {
    let border = if is_final { 8 } else { 0 };
    (even((name.width + 32 + border).max(88)), even(name.height + 24 + border))
}

/// The width and height of a label with the space around it; a mark's sign stands before the text.
pub(super) fn label_size(label: &Block, marked: bool) -> (i64, i64) {
    (even(label.width + if marked { 32 } else { 12 }), even(label.height + 6))
}

/// All sizes are even, so that halves are whole.
const fn even(size: i64) -> i64 {
    size + size % 2
}
