//! The SVG document.

use super::graph::{Kind, Node};
use super::page::{PAGE, Part, Picture};
use super::plan::{Plan, Stage};
use super::route::{Drawn, Step, Stroke};
use super::sheet::{Block, Flow, Ink, Point, label_size};
use super::text::{clean, escape_xml, is_right_to_left, width, wrap};
use super::{Diagram, Direction, Mark};
use std::fmt::Write as _;

/// The space around the whole.
const MARGIN: i64 = 28;
/// More than this is left out and counted.
const MOST_STAGES: usize = 300;
const MOST_TRANSITIONS: usize = 600;

/// Writes the document.
pub(super) fn write(diagram: &Diagram) -> String {
    let mut plan = Plan::of(diagram);
    let omitted = plan.limit(MOST_STAGES, MOST_TRANSITIONS);
    let picture = Picture::of(&plan);
    let words = Words::of(diagram.direction);
    Writer {
        plan: &plan,
        words,
        mirrored: diagram.direction == Direction::RightToLeft,
        picture: &picture,
        out: String::new(),
    }
    .document(omitted)
}

/// The few words of the picture itself.
struct Words {
    workflow: &'static str,
    stages: &'static str,
    transitions: &'static str,
    current: &'static str,
    omitted: &'static str,
    empty: &'static str,
    marks: [(Mark, &'static str); 3],
}

impl Words {
    const fn of(direction: Direction) -> Self {
        match direction {
            Direction::LeftToRight => Self {
                workflow: "Workflow",
                stages: "Stages",
                transitions: "Transitions",
                current: "Current stage",
                omitted: "Not drawn",
                empty: "No stages",
                marks: [(Mark::Added, "Added"), (Mark::Removed, "Removed"), (Mark::Changed, "Changed")],
            },
            Direction::RightToLeft => Self {
                workflow: "سير العمل",
                stages: "المراحل",
                transitions: "الانتقالات",
                current: "المرحلة الحالية",
                omitted: "لم يُرسم",
                empty: "لا مراحل",
                marks: [(Mark::Added, "مضاف"), (Mark::Removed, "محذوف"), (Mark::Changed, "معدّل")],
            },
        }
    }
}

/// The colours of a mark: of lines and borders, and of the box. All lines reach 4.5:1 on white.
const fn colours(mark: Mark) -> (&'static str, &'static str) {
    match mark {
        Mark::Same => ("#57606a", "#f6f8fa"),
        Mark::Added => ("#1a7f37", "#e6f8ea"),
        Mark::Removed => ("#cf222e", "#fff0ee"),
        Mark::Changed => ("#9a6700", "#fff8dc"),
    }
}

const PAPER: &str = "#ffffff";
const TEXT: &str = "#1f2328";
const FAINT: &str = "#57606a";
const WAY_BACK: &str = "#6639ba";
const CURRENT: &str = "#0b4f9e";
const CURRENT_BORDER: &str = "#052c5c";
const FONTS: &str = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Noto Sans Arabic', 'DejaVu Sans', sans-serif";

struct Writer<'p> {
    plan: &'p Plan<'p>,
    words: Words,
    mirrored: bool,
    picture: &'p Picture,
    out: String,
}

/// Appends formatted text; writing to a string cannot fail.
macro_rules! put {
    ($this:expr, $($arguments:tt)*) => {{ let _ = writeln!($this.out, $($arguments)*); }};
}

impl Writer<'_> {
    fn document(mut self, omitted: (usize, usize)) -> String {
        let title = wrap(&self.plan.title, 18, PAGE - 200, 1).concat();
        let marks: Vec<(Mark, &str)> =
            self.words.marks.into_iter().filter(|(mark, _)| self.plan.shows(*mark)).collect();
        let foot = format!(
            "{}: {} {}, {} {}",
            self.words.omitted, self.words.stages, omitted.0, self.words.transitions, omitted.1
        );
        let foot = if omitted == (0, 0) { String::new() } else { foot };
        let legend: i64 = marks.iter().map(|(_, word)| width(word, 12) + 44).sum();
        let inner = self.picture.width.max(width(&title, 18)).max(legend).max(width(&foot, 12)).max(120);
        let head = if title.is_empty() { 0 } else { 44 };
        let body = if self.plan.stages.is_empty() { 24 } else { self.picture.height };
        let below = if marks.is_empty() { 0 } else { 44 } + if foot.is_empty() { 0 } else { 32 };
        let (full_width, full_height) = (inner + 2 * MARGIN, head + body + below + 2 * MARGIN);
        let direction = if self.mirrored { "rtl" } else { "ltr" };
        put!(
            self,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{full_width}\" height=\"{full_height}\" \
             viewBox=\"0 0 {full_width} {full_height}\" direction=\"{direction}\" font-family=\"{FONTS}\" \
             font-size=\"12\" fill=\"{TEXT}\">"
        );
        self.describe();
        put!(self, "<rect width=\"{full_width}\" height=\"{full_height}\" fill=\"{PAPER}\"/>");
        let start = if self.mirrored { full_width - MARGIN } else { MARGIN };
        if !title.is_empty() {
            put!(
                self,
                "<text x=\"{start}\" y=\"{}\" font-size=\"18\" font-weight=\"700\">{}</text>",
                MARGIN + 18,
                escape_xml(&title)
            );
        }
        if self.plan.stages.is_empty() {
            put!(self, "<text x=\"{start}\" y=\"{}\" fill=\"{FAINT}\">{}</text>", MARGIN + head + 16, self.words.empty);
        }
        for part in &self.picture.parts {
            let sheet = Sheet {
                flow: self.picture.flow,
                x: MARGIN + part.x,
                y: MARGIN + head + part.y,
                mirror: self.mirrored.then_some(full_width),
            };
            self.part(part, sheet);
        }
        let mut y = full_height - MARGIN - 8;
        if !foot.is_empty() {
            put!(self, "<text x=\"{start}\" y=\"{y}\" fill=\"{FAINT}\">{}</text>", escape_xml(&foot));
            y -= 32;
        }
        self.legend(&marks, start, y);
        self.out.push_str("</svg>\n");
        self.out
    }

    /// What is read aloud.
    fn describe(&mut self) {
        let title = if self.plan.title.is_empty() { self.words.workflow } else { &self.plan.title };
        put!(self, "<title>{}</title>", escape_xml(title));
        let mut text = format!(
            "{}: {}. {}: {}.",
            self.words.stages,
            self.plan.stages.len(),
            self.words.transitions,
            self.plan.transitions.len()
        );
        if let Some(stage) = self.plan.stages.iter().find(|stage| stage.current) {
            let _ = write!(text, " {}: {}.", self.words.current, stage.label);
        }
        put!(self, "<desc>{}</desc>", escape_xml(&text));
    }

    fn part(&mut self, part: &Part, sheet: Sheet) {
        for drawn in part.drawn.iter().filter(|drawn| !drawn.back).chain(part.drawn.iter().filter(|drawn| drawn.back)) {
            self.lines(drawn, sheet);
        }
        for drawn in &part.drawn {
            self.label(drawn, sheet);
        }
        for (index, node) in part.graph.nodes.iter().enumerate() {
            let across = part.places.across.get(index).copied().unwrap_or(0);
            let (x, y) = sheet.xy(Point { along: part.places.along(*node), across });
            match node.kind {
                Kind::Stage(stage) => self.stage(stage, *node, (x, y)),
                Kind::Dot => put!(self, "<circle cx=\"{x}\" cy=\"{y}\" r=\"7\" fill=\"{TEXT}\"/>"),
                Kind::Bend | Kind::Label(_) => {}
            }
        }
    }

    fn lines(&mut self, drawn: &Drawn, sheet: Sheet) {
        let mark = self.mark(drawn);
        let (mut colour, _) = colours(mark);
        let mut dashes = "";
        let mut line_width = 2;
        match mark {
            Mark::Removed => dashes = " stroke-dasharray=\"7 4\"",
            Mark::Same if drawn.back => {
                (colour, dashes) = (WAY_BACK, " stroke-dasharray=\"1 5\" stroke-linecap=\"round\"");
            }
            _ => {}
        }
        if mark != Mark::Same {
            line_width = 3;
        }
        put!(self, "<g fill=\"none\" stroke=\"{colour}\" stroke-width=\"{line_width}\">");
        self.tell(drawn);
        for stroke in &drawn.strokes {
            let (path, head) = trace(stroke, sheet);
            put!(self, "<path{dashes} d=\"{path}\"/>");
            if let Some(head) = head {
                let fill = if drawn.back { PAPER } else { colour };
                put!(self, "<path d=\"{head}\" fill=\"{fill}\" stroke-width=\"1\"/>");
            }
        }
        self.out.push_str("</g>\n");
    }

    fn mark(&self, drawn: &Drawn) -> Mark {
        let first = drawn.transitions.first().and_then(|index| self.plan.transitions.get(*index));
        first.map_or(Mark::Same, |transition| transition.mark)
    }

    /// The full text of what may be cut, for readers who hover or listen.
    fn tell(&mut self, drawn: &Drawn) {
        let mut text = String::new();
        for transition in drawn.transitions.iter().filter_map(|index| self.plan.transitions.get(*index)) {
            let stage = |index: usize| self.plan.stages.get(index).map_or("", |stage| stage.label.as_str());
            let separator = if text.is_empty() { "" } else { "\n" };
            let sign = transition.mark.sign().map(|sign| format!("{sign} ")).unwrap_or_default();
            let arrow = if self.mirrored { '←' } else { '→' };
            let _ = write!(
                text,
                "{separator}{sign}{}: {} {arrow} {}",
                with_id(&transition.label, transition.id),
                stage(transition.from),
                stage(transition.to)
            );
            for guard in &transition.guards {
                let _ = write!(text, " [{guard}]");
            }
            if let Some(role) = &transition.role {
                let _ = write!(text, " ({role})");
            }
        }
        if !text.is_empty() {
            put!(self, "<title>{}</title>", escape_xml(&text));
        }
    }

    fn label(&mut self, drawn: &Drawn, sheet: Sheet) {
        let (Some(centre), Some(first)) = (drawn.label, drawn.transitions.first()) else { return };
        let (Some(transition), Some(block)) =
            (self.plan.transitions.get(*first), self.picture.texts.labels.get(*first))
        else {
            return;
        };
        let (x, y) = sheet.xy(centre);
        let marked = transition.mark != Mark::Same;
        let (box_width, box_height) = label_size(block, marked);
        let (colour, _) = colours(transition.mark);
        put!(self, "<g>");
        self.tell(drawn);
        let border = if marked { format!(" stroke=\"{colour}\"") } else { String::new() };
        let dashes = if transition.mark == Mark::Removed { " stroke-dasharray=\"5 3\"" } else { "" };
        put!(
            self,
            "<rect x=\"{}\" y=\"{}\" width=\"{box_width}\" height=\"{box_height}\" rx=\"5\" fill=\"{PAPER}\"{border}{dashes}/>",
            x - box_width / 2,
            y - box_height / 2
        );
        let towards_start = if self.mirrored { 1 } else { -1 };
        let mut text_x = x;
        if marked {
            self.badge(transition.mark, x + towards_start * (box_width / 2 - 13), y);
            text_x = x - towards_start * 9;
        }
        let ink = if drawn.back && !marked { WAY_BACK } else { TEXT };
        self.block(block, (text_x, y), ink);
        put!(self, "</g>");
    }

    /// Lines of text around a centre.
    fn block(&mut self, block: &Block, (x, y): (i64, i64), ink: &str) {
        let mut top = y - block.height / 2;
        for line in &block.lines {
            let leading = line.ink.leading();
            let size = line.ink.size();
            let base = top + leading / 2 + size * 35 / 100;
            let text = escape_xml(&line.text);
            // A text of the other direction says so, and what is its start is then at its other end. A label runs one way in
            // all its lines.
            let label = match line.ink {
                Ink::Name | Ink::Event => block.lines.iter().find(|first| first.ink == line.ink).unwrap_or(line),
                _ => line,
            };
            let (direction, anchor) = match (self.mirrored, is_right_to_left(&label.text)) {
                (true, false) => (" direction=\"ltr\"", " text-anchor=\"end\""),
                (false, true) => (" direction=\"rtl\"", " text-anchor=\"end\""),
                _ => ("", ""),
            };
            match line.ink {
                Ink::Name | Ink::Event => put!(
                    self,
                    "<text x=\"{x}\" y=\"{base}\"{direction} text-anchor=\"middle\" font-size=\"{size}\" font-weight=\"600\" fill=\"{ink}\">{text}</text>"
                ),
                Ink::Guard | Ink::Role => {
                    let path = if line.ink == Ink::Guard { SHIELD } else { HEAD };
                    let icon_x = if self.mirrored { x + line.width / 2 - 10 } else { x - line.width / 2 };
                    let text_x = if self.mirrored { icon_x - 4 } else { icon_x + 14 };
                    put!(
                        self,
                        "<path transform=\"translate({icon_x} {})\" d=\"{path}\" fill=\"{FAINT}\"/><text x=\"{text_x}\" y=\"{base}\"{direction}{anchor} font-size=\"{size}\" fill=\"{FAINT}\">{text}</text>",
                        top + leading / 2 - 6
                    );
                }
            }
            top += leading;
        }
    }

    fn stage(&mut self, index: usize, node: Node, (x, y): (i64, i64)) {
        let (Some(stage), Some(name)) = (self.plan.stages.get(index), self.picture.texts.names.get(index)) else {
            return;
        };
        let (width, height) = self.picture.flow.xy(Point { along: node.along, across: 2 * node.half });
        let (left, top) = (x - width / 2, y - height / 2);
        let look = Look::of(stage);
        put!(self, "<g>");
        put!(self, "<title>{}</title>", escape_xml(&tell_stage(stage, &self.words)));
        put!(
            self,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"9\" fill=\"{}\" stroke=\"{}\" stroke-width=\"{}\"{}/>",
            look.fill,
            look.border,
            look.border_width,
            look.dashes
        );
        if stage.is_final {
            put!(
                self,
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\" fill=\"none\" stroke=\"{}\" stroke-width=\"1\"/>",
                left + 5,
                top + 5,
                width - 10,
                height - 10,
                look.inner
            );
        }
        self.block(name, (x, y), look.text);
        if stage.mark != Mark::Same {
            let corner = if self.mirrored { left + width } else { left };
            self.badge(stage.mark, corner, top);
        }
        put!(self, "</g>");
    }

    /// The sign of a mark in a disc.
    fn badge(&mut self, mark: Mark, x: i64, y: i64) {
        let (colour, _) = colours(mark);
        let sign = match mark {
            Mark::Same => return,
            Mark::Added => "M-4 0H4M0 -4V4",
            Mark::Removed => "M-4 0H4",
            Mark::Changed => "M-5 1C-3 -4 -1 -2 0 0C1 2 3 4 5 -1",
        };
        put!(
            self,
            "<g transform=\"translate({x} {y})\"><circle r=\"8\" fill=\"{colour}\" stroke=\"{PAPER}\"/><path d=\"{sign}\" fill=\"none\" stroke=\"{PAPER}\" stroke-width=\"2\"/></g>"
        );
    }

    fn legend(&mut self, marks: &[(Mark, &str)], start: i64, y: i64) {
        let away = if self.mirrored { -1 } else { 1 };
        let mut x = start;
        for (mark, word) in marks {
            self.badge(*mark, x + away * 8, y - 4);
            put!(self, "<text x=\"{}\" y=\"{y}\">{word}</text>", x + away * 22);
            x += away * (width(word, 12) + 44);
        }
    }
}

const SHIELD: &str = "M5 0L10 2V5C10 8 8 10 5 12C2 10 0 8 0 5V2Z";
const HEAD: &str = "M5 6A3 3 0 1 1 5 0A3 3 0 1 1 5 6ZM0 12C0 8 2 7 5 7C8 7 10 8 10 12Z";

/// How a stage's box looks.
struct Look {
    fill: &'static str,
    border: &'static str,
    border_width: i64,
    dashes: &'static str,
    inner: &'static str,
    text: &'static str,
}

impl Look {
    fn of(stage: &Stage<'_>) -> Self {
        let (border, fill) = colours(stage.mark);
        let marked = stage.mark != Mark::Same;
        let mut look =
            Self { fill, border, border_width: if marked { 3 } else { 2 }, dashes: "", inner: border, text: TEXT };
        if stage.mark == Mark::Removed {
            look.dashes = " stroke-dasharray=\"7 4\"";
        }
        if stage.stub {
            (look.dashes, look.fill, look.text) = (" stroke-dasharray=\"2 4\"", PAPER, FAINT);
        }
        if stage.current {
            (look.fill, look.text, look.inner, look.border_width) = (CURRENT, PAPER, PAPER, 5);
            if !marked {
                look.border = CURRENT_BORDER;
            }
        }
        look
    }
}

fn tell_stage(stage: &Stage<'_>, words: &Words) -> String {
    let sign = stage.mark.sign().map(|sign| format!("{sign} ")).unwrap_or_default();
    let current = if stage.current { format!(" – {}", words.current) } else { String::new() };
    format!("{sign}{}{current}", with_id(&stage.label, stage.id))
}

/// A label, and behind it the id where that says more.
fn with_id(label: &str, id: &str) -> String {
    let id = clean(id);
    if id.is_empty() || id == label { label.to_owned() } else { format!("{label} ({id})") }
}

/// Where a part lies on the page.
#[derive(Debug, Clone, Copy)]
struct Sheet {
    flow: Flow,
    x: i64,
    y: i64,
    /// The width in which it is mirrored.
    mirror: Option<i64>,
}

impl Sheet {
    fn xy(self, point: Point) -> (i64, i64) {
        let (x, y) = self.flow.xy(point);
        let x = x + self.x;
        (self.mirror.map_or(x, |width| width - x), y + self.y)
    }
}

/// A stroke as a path, and its arrowhead.
fn trace(stroke: &Stroke, sheet: Sheet) -> (String, Option<String>) {
    const HEAD_LENGTH: i64 = 10;
    let mut steps = stroke.steps.clone();
    let mut head = None;
    if let (true, [.., (_, before), (_, end)]) = (stroke.arrow, steps.as_mut_slice()) {
        let (tip, (from_x, from_y)) = (sheet.xy(*end), sheet.xy(*before));
        let (dx, dy) = ((tip.0 - from_x).signum(), (tip.1 - from_y).signum());
        let (base_x, base_y) = (tip.0 - dx * HEAD_LENGTH, tip.1 - dy * HEAD_LENGTH);
        head = Some(format!(
            "M{} {}L{} {}L{} {}Z",
            tip.0,
            tip.1,
            base_x + dy * 5,
            base_y + dx * 5,
            base_x - dy * 5,
            base_y - dx * 5
        ));
        let back = |at: i64, from: i64| at - (at - from).signum() * (HEAD_LENGTH - 2).min((at - from).abs());
        *end = Point { along: back(end.along, before.along), across: back(end.across, before.across) };
    }
    let mut path = String::new();
    let mut last = Point::default();
    for (index, (step, point)) in steps.into_iter().enumerate() {
        let (x, y) = sheet.xy(point);
        let _ = match step {
            _ if index == 0 => write!(path, "M{x} {y}"),
            Step::Straight => write!(path, "L{x} {y}"),
            Step::Sway => {
                let middle = (last.along + point.along) / 2;
                let (a, b) = sheet.xy(Point { along: middle, across: last.across });
                let (c, d) = sheet.xy(Point { along: middle, across: point.across });
                write!(path, "C{a} {b} {c} {d} {x} {y}")
            }
            Step::Corner(corner) => {
                let (a, b) = sheet.xy(corner);
                write!(path, "Q{a} {b} {x} {y}")
            }
        };
        last = point;
    }
    (path, head)
}
