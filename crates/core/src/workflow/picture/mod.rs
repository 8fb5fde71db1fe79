//! Pictures of a workflow: Mermaid, DOT and SVG, each a pure function of a [`Diagram`].
//!
//! A diagram is brought into one order first, so that the same diagram gives the same bytes whatever the order of its
//! vectors. Mermaid and DOT leave the layout to their own tools. The SVG has its layout from here, in the steps of
//! Sugiyama, with integers only:
//!
//! | step | file |
//! |---|---|
//! | put in order, drop what cannot be shown | `plan` |
//! | break cycles, put every stage on a layer | `layers` |
//! | cut long transitions at every layer they pass, join those that say the same | `graph` |
//! | order each layer so that few lines cross | `order` |
//! | give every stage, label and bend a place | `place` |
//! | decide where lines meet the boxes | `ports` |
//! | draw lines through the bends | `route` |
//! | choose the way it runs, and set its parts side by side | `page` |
//! | write it down | `svg` |
//!
//! Labels are nodes of the layout like stages, so that nothing ever covers them.

mod cells;
mod dot;
mod graph;
mod layers;
mod mermaid;
mod order;
mod page;
mod place;
mod plan;
mod ports;
mod route;
mod sheet;
mod simplex;
mod svg;
mod text;

/// A workflow to draw. Every text may be anything: it is cleaned, cut to a sensible length and escaped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagram {
    /// Its heading; none when empty.
    pub title: String,
    /// Its stages. Of several with the same id one is drawn.
    pub stages: Vec<DrawnStage>,
    /// Its transitions. One that names a stage which is not there is drawn to a stub of that name.
    pub transitions: Vec<DrawnTransition>,
    /// The id of the stage to highlight.
    pub current: Option<String>,
    /// Where reading starts.
    pub direction: Direction,
}

/// A stage to draw.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct DrawnStage {
    /// Its place in the declared order, then by id. It decides which transition of a cycle counts as the way back.
    pub order: i64,
    /// Its id, by which transitions name it.
    pub id: String,
    /// What is written in the box; the id when empty.
    pub label: String,
    /// Whether items start here: a dot with an arrow.
    pub initial: bool,
    /// Whether items end here: a double border.
    pub is_final: bool,
    /// What became of it between two versions.
    pub mark: Mark,
}

/// A transition to draw.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct DrawnTransition {
    /// Its id.
    pub id: String,
    /// The id of the stage it leaves.
    pub from: String,
    /// The id of the stage it leads to.
    pub to: String,
    /// What is written at the line: its event or its name; the id when empty.
    pub label: String,
    /// What must hold, a line each, in this order.
    pub guards: Vec<String>,
    /// The role that it needs.
    pub role: Option<String>,
    /// What became of it between two versions.
    pub mark: Mark,
}

/// What became of a stage or transition between two versions. It is shown by colour and by a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Mark {
    /// Nothing, or there is only one version.
    #[default]
    Same,
    /// Only the newer version has it: green, `+`.
    Added,
    /// Only the older version has it: red and dashed, `−`.
    Removed,
    /// Both have it and it differs: amber, `~`.
    Changed,
}

/// Where reading starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// From the left, as in English.
    #[default]
    LeftToRight,
    /// From the right, as in Arabic. The layout is mirrored, and the few words of the picture itself are Arabic.
    RightToLeft,
}

impl Diagram {
    /// The diagram in Mermaid's language: a `stateDiagram-v2`.
    #[must_use]
    pub fn mermaid(&self) -> String {
        mermaid::write(self)
    }

    /// The diagram in the language of Graphviz: a `digraph`.
    #[must_use]
    pub fn dot(&self) -> String {
        dot::write(self)
    }

    /// The diagram as an SVG document that stands by itself: no script, no style sheet, no font, nothing to load.
    ///
    /// It runs in the reading direction where that fits on a page, and from top to bottom where it would get too wide.
    /// Stages beyond 300 and transitions beyond 600 are left out; a line at the foot says how many.
    #[must_use]
    pub fn svg(&self) -> String {
        svg::write(self)
    }
}

impl Mark {
    /// The sign that says it without colour.
    const fn sign(self) -> Option<&'static str> {
        match self {
            Self::Same => None,
            Self::Added => Some("+"),
            Self::Removed => Some("−"),
            Self::Changed => Some("~"),
        }
    }
}

#[cfg(test)]
mod tests;
