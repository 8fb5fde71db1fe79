//! Rows as a picture: how long a question takes, ours beside the peers', as bars on a logarithmic scale.
//!
//! The picture is made of rows alone, so that the same rows give the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::rows::{Row, amount};

/// The questions that are drawn: how the ids of their rows begin, and what they are called.
const QUESTIONS: [(&str, &str); 2] =
    [("check.strings.", "may a tenant use a switch"), ("limit.check.", "is there room in a limit")];

/// What is asked of a peer, by how the id ends; other rows compare something else.
const ASKED: [(&str, &str); 4] = [
    ("tenant", ""),
    ("entitled", "with its entitlements"),
    ("expression", "the rule alone"),
    ("static", "the same for all"),
];

/// Runtimes as people call them; others keep the name that their rows have.
const RUNTIMES: [(&str, &str); 5] = [
    ("rust", "Rust"),
    ("node", "Node"),
    ("python", "Python"),
    ("node (wasm)", "WebAssembly in Node"),
    ("chromium", "WebAssembly in Chromium"),
];

const MARGIN: f64 = 24.0;
/// The area of the bars.
const SCALE: f64 = 420.0;
/// Room beside the longest bar, for its figure.
const FIGURE: f64 = 120.0;
const LINE: f64 = 22.0;
const HEADING: f64 = 40.0;
/// What a character takes, about: nobody measures text here.
const CHARACTER: f64 = 6.4;

/// Dark where the reader prefers that. It brings its own background, so that it can be read on any.
const STYLE: &str = "
text { font: 12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.group { font-size: 13px; font-weight: 600; }
.muted { fill: #59636e; }
.ours { font-weight: 600; }
.figure { paint-order: stroke; stroke: #ffffff; stroke-width: 4px; stroke-linejoin: round; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.page { fill: #ffffff; stroke: #d1d9e0; }
.grid { stroke: #d1d9e0; }
.bar { fill: #9aa4b0; }
.bar.ours { fill: #0969da; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .muted { fill: #9198a1; }
  .figure { stroke: #0d1117; }
  .page { fill: #0d1117; stroke: #3d444d; }
  .grid { stroke: #3d444d; }
  .bar { fill: #656c76; }
  .bar.ours { fill: #4493f8; }
}
";

/// A bar: whose it is, and how long a question takes.
#[derive(Debug, Clone, PartialEq)]
struct Bar {
    name: String,
    note: &'static str,
    ns: f64,
    /// How many times ours it is; nothing for ours.
    ratio: Option<f64>,
}

/// The bars of one question in one runtime, the quickest first.
#[derive(Debug)]
struct Group {
    heading: String,
    bars: Vec<Bar>,
}

/// The picture of what can be drawn of these rows; nothing where that is nothing.
pub(crate) fn draw(rows: &[Row]) -> Option<String> {
    let groups = groups(rows);
    let figures = || groups.iter().flat_map(|group| &group.bars).map(|bar| bar.ns);
    let least = figures().min_by(f64::total_cmp)?.log10().floor();
    let most = figures().max_by(f64::total_cmp)?.log10().ceil().max(least + 1.0);

    let characters =
        |bar: &Bar| bar.name.chars().count() + if bar.note.is_empty() { 0 } else { bar.note.chars().count() + 2 };
    let longest = groups.iter().flat_map(|group| &group.bars).map(characters).max()?;
    let left = (MARGIN + longest as f64 * CHARACTER + 8.0).round();
    let at = |ns: f64| left + SCALE * (ns.log10() - least) / (most - least);

    let top = 84.0;
    let lines: f64 = groups.iter().map(|group| HEADING + LINE * group.bars.len() as f64).sum();
    let (width, bottom) = (left + SCALE + FIGURE + MARGIN, top + lines + 4.0);
    let height = bottom + 40.0;

    let mut svg = Svg::default();
    svg.push(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">"#
    ));
    svg.push(format_args!("<title>How long a question takes</title>"));
    svg.push(format_args!("<style>{STYLE}</style>"));
    let (page_width, page_height) = (width - 1.0, height - 1.0);
    svg.push(format_args!(
        r#"<rect class="page" x="0.5" y="0.5" width="{page_width}" height="{page_height}" rx="8"/>"#
    ));
    svg.text("title", MARGIN, 34.0, "How long a question takes");
    svg.text(
        "muted",
        MARGIN,
        54.0,
        "Medians of groups that were measured together; shorter is quicker. Each line is ten times the one before it. × is how many times ours.",
    );

    for power in least as i32..=most as i32 {
        let value = 10_f64.powi(power);
        let x = at(value);
        svg.push(format_args!(r#"<line class="grid" x1="{x:.1}" y1="{top}" x2="{x:.1}" y2="{bottom}"/>"#));
        svg.text("muted middle", x, top - 6.0, &whole(value));
        svg.text("muted middle", x, bottom + 16.0, &whole(value));
    }
    let mut y = top;
    for group in &groups {
        y += HEADING;
        svg.text("group", MARGIN, y - 12.0, &group.heading);
        for bar in &group.bars {
            svg.bar(bar, left, y, at(bar.ns));
            y += LINE;
        }
    }
    svg.push(format_args!("</svg>"));
    Some(svg.0)
}

/// Figures by runtime and question, in the order in which they come.
fn groups(rows: &[Row]) -> Vec<Group> {
    let mut runtimes: Vec<&str> = Vec::new();
    for row in rows {
        if !runtimes.contains(&row.runtime.as_str()) {
            runtimes.push(&row.runtime);
        }
    }
    let of = |runtime: &str, (prefix, question): (&str, &str)| {
        let mut ours = None;
        let mut peers: BTreeMap<(&str, &str), Bar> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.runtime == runtime && row.unit == "ns") {
            let Some(asked) = row.id.strip_prefix(prefix) else { continue };
            let Some((_, note)) = ASKED.into_iter().find(|(name, _)| *name == asked) else { continue };
            let (Some(peer), Some(ns)) = (row.peer.as_deref(), row.theirs) else { continue };
            let name = [Some(peer), row.peer_version.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
            peers.insert((peer, note), Bar { name, note, ns, ratio: Some(ns / row.ours) });
            ours.get_or_insert(Bar { name: "leasehold".to_owned(), note: "", ns: row.ours, ratio: None });
        }
        let mut bars: Vec<_> = ours.into_iter().chain(peers.into_values()).collect();
        bars.sort_by(|one, other| one.ns.total_cmp(&other.ns));
        let name = RUNTIMES.into_iter().find(|(name, _)| *name == runtime).map_or(runtime, |(_, name)| name);
        Group { heading: format!("{name}: {question}"), bars }
    };
    let all = runtimes.into_iter().flat_map(|runtime| QUESTIONS.map(|question| of(runtime, question)));
    all.filter(|group| !group.bars.is_empty()).collect()
}

/// A power of ten, without decimals where it has none.
fn whole(ns: f64) -> String {
    amount(ns, "ns").replace(".00", "").replace(".0 ", " ")
}

/// A document that grows.
#[derive(Debug, Default)]
struct Svg(String);

impl Svg {
    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{element}");
    }

    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        self.push(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{}</text>"#, escaped(text)));
    }

    /// The bar in the line that begins at `y`, its name before it, its figure behind.
    fn bar(&mut self, bar: &Bar, left: f64, y: f64, right: f64) {
        let ours = if bar.ratio.is_none() { " ours" } else { "" };
        let base = y + 13.0;
        let note = match bar.note {
            "" => String::new(),
            note => format!(r#"<tspan class="muted">, {}</tspan>"#, escaped(note)),
        };
        let before = left - 8.0;
        self.push(format_args!(
            r#"<text class="end{ours}" x="{before:.1}" y="{base:.1}">{}{note}</text>"#,
            escaped(&bar.name)
        ));
        // On a logarithmic scale nothing is as long as nothing: the quickest is seen, too.
        let (width, top) = ((right - left).max(2.0), y + 1.0);
        self.push(format_args!(
            r#"<rect class="bar{ours}" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="16" rx="2"/>"#
        ));
        let ratio = bar.ratio.map_or_else(String::new, |ratio| {
            let ratio = amount(ratio, "times").replace(" times", "");
            format!(r#"<tspan class="muted"> × {ratio}</tspan>"#)
        });
        let behind = left + width + 6.0;
        let figure = amount(bar.ns, "ns");
        self.push(format_args!(r#"<text class="figure{ours}" x="{behind:.1}" y="{base:.1}">{figure}{ratio}</text>"#));
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(runtime: &str, id: &str, peer: &str, ours: f64, theirs: Option<f64>) -> Row {
        Row {
            id: id.to_owned(),
            runtime: runtime.to_owned(),
            what: String::new(),
            ours,
            peer: Some(peer.to_owned()),
            peer_version: Some("1.2".to_owned()),
            theirs,
            ratio: theirs.map(|theirs| theirs / ours),
            unit: "ns".to_owned(),
        }
    }

    fn rows() -> Vec<Row> {
        vec![
            row("rust", "check.strings.tenant", "slow", 40.0, Some(4_000.0)),
            row("rust", "check.strings.static", "quick <&>", 40.0, Some(10.0)),
            row("rust", "limit.check.tenant", "slow", 50.0, Some(5_000.0)),
            row("deno", "check.strings.tenant", "slow", 100.0, Some(100_000.0)),
        ]
    }

    /// The attribute of each element with a class, in order.
    fn attributes<'a>(svg: &'a str, class: &str, name: &str) -> Vec<&'a str> {
        let (class, name) = (format!(r#"class="{class}""#), format!(r#" {name}=""#));
        let of = |line: &'a str| line.split_once(&name)?.1.split_once('"').map(|(value, _)| value);
        svg.lines().filter(|line| line.contains(&class)).filter_map(of).collect()
    }

    #[test]
    fn bars_are_in_order_and_a_peer_that_is_quicker_comes_first() {
        let groups = groups(&rows());
        let drawn: Vec<_> = groups
            .iter()
            .map(|group| {
                let bars = group.bars.iter().map(|bar| (bar.name.as_str(), bar.note, bar.ns, bar.ratio));
                (group.heading.as_str(), bars.collect::<Vec<_>>())
            })
            .collect();
        let expected = [
            (
                "Rust: may a tenant use a switch",
                vec![
                    ("quick <&> 1.2", "the same for all", 10.0, Some(0.25)),
                    ("leasehold", "", 40.0, None),
                    ("slow 1.2", "", 4_000.0, Some(100.0)),
                ],
            ),
            (
                "Rust: is there room in a limit",
                vec![("leasehold", "", 50.0, None), ("slow 1.2", "", 5_000.0, Some(100.0))],
            ),
            (
                "deno: may a tenant use a switch",
                vec![("leasehold", "", 100.0, None), ("slow 1.2", "", 100_000.0, Some(1_000.0))],
            ),
        ];
        assert_eq!(drawn, expected);
    }

    #[test]
    fn ten_times_as_long_is_as_much_longer_everywhere() {
        let svg = draw(&rows()).unwrap();
        // From 10 ns to 100 µs: four lines, of which 100 ns is one on and 4 µs is 2.6 on.
        let lines = attributes(&svg, "grid", "x1");
        assert_eq!(lines.len(), 5);
        let widths: Vec<f64> =
            attributes(&svg, "bar ours", "width").iter().map(|width| width.parse().unwrap()).collect();
        assert_eq!(widths, [63.2, 73.4, 105.0]);
        let widths: Vec<f64> = attributes(&svg, "bar", "width").iter().map(|width| width.parse().unwrap()).collect();
        assert_eq!(widths, [2.0, 273.2, 283.4, 420.0]);
    }

    #[test]
    fn what_is_drawn_is_text_and_figures() {
        let svg = draw(&rows()).unwrap();
        assert_eq!(svg, draw(&rows()).unwrap());
        assert!(svg.contains(r#"quick &lt;&amp;&gt; 1.2<tspan class="muted">, the same for all</tspan>"#), "{svg}");
        assert!(svg.contains(r#">4.00 µs<tspan class="muted"> × 100</tspan>"#), "{svg}");
        assert!(svg.contains(r#">10.0 ns<tspan class="muted"> × 0.25</tspan>"#), "{svg}");
        // Above the bars and below them.
        let powers =
            svg.lines().filter(|line| line.contains("muted middle")).filter_map(|line| line.split(['>', '<']).nth(2));
        let expected = ["10 ns", "100 ns", "1 µs", "10 µs", "100 µs"];
        assert_eq!(powers.collect::<Vec<_>>(), expected.map(|power| [power; 2]).concat());
    }

    #[test]
    fn rows_that_compare_something_else_are_left_out() {
        let bytes = Row { unit: "bytes".to_owned(), ..row("rust", "check.strings.tenant", "a", 1.0, Some(2.0)) };
        let left_out = [
            row("rust", "check.strings.random", "HashMap", 40.0, Some(10.0)),
            row("node", "limit.check", "empty napi call", 40.0, Some(10.0)),
            row("rust", "check.strings.tenant", "was not measured", 40.0, None),
            bytes,
        ];
        assert_eq!(draw(&left_out), None);
        assert_eq!(draw(&[]), None);
    }
}
