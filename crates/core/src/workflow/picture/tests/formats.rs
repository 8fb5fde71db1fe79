//! What is written stays one document, whatever the texts hold, and does not depend on the order of vectors.

use super::super::mermaid::name;
use super::super::text::{clean, escape_xml, is_right_to_left, width, wrap};
use super::super::{dot, mermaid};
use super::*;

#[test]
fn the_order_of_vectors_does_not_matter() {
    for (seed, diagram) in (0..60).map(|seed| (seed, random(seed, 30))).chain([(60, hostile())]) {
        let other = shuffled(&diagram, seed);
        assert_eq!(diagram.svg(), other.svg(), "seed {seed}");
        assert_eq!(diagram.mermaid(), other.mermaid(), "seed {seed}");
        assert_eq!(diagram.dot(), other.dot(), "seed {seed}");
    }
}

#[test]
fn svg_is_well_formed() {
    let mut diagrams = vec![Diagram::default(), hostile(), laundry_difference(), laundry(Direction::RightToLeft)];
    diagrams.extend((0..100).map(|seed| random(seed, 40)));
    diagrams.push(Diagram { direction: Direction::RightToLeft, ..hostile() });
    for diagram in diagrams {
        let svg = diagram.svg();
        if let Err(wrong) = well_formed(&svg) {
            panic!("{wrong} in {svg}");
        }
        assert!(!svg.contains("<script") && !svg.contains("-->") && !svg.contains("]]>"));
    }
}

/// Checks what an XML parser would refuse, as far as these documents use XML.
fn well_formed(text: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut roots = 0;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        characters(before)?;
        if open.is_empty() && !before.trim().is_empty() {
            return Err(format!("text outside the root: `{before}`"));
        }
        let end = tag.find('>').ok_or("an open tag")?;
        let (inner, after) = (tag.get(1..end).unwrap(), tag.get(end + 1..).unwrap());
        rest = after;
        if let Some(name) = inner.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("`{name}` closes what is not open"));
            }
            continue;
        }
        let (inner, is_empty) = inner.strip_suffix('/').map_or((inner, false), |inner| (inner, true));
        let (name, mut attributes) = inner.split_once(' ').unwrap_or((inner, ""));
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase()) {
            return Err(format!("a tag named `{name}`"));
        }
        let mut seen: Vec<&str> = Vec::new();
        while !attributes.trim_start().is_empty() {
            let (key, value) = attributes.trim_start().split_once("=\"").ok_or(format!("attributes `{attributes}`"))?;
            let (value, after) = value.split_once('"').ok_or("an open quote")?;
            if seen.contains(&key) || !key.chars().all(|c| c.is_ascii_alphabetic() || c == '-') {
                return Err(format!("the attribute `{key}`"));
            }
            characters(value)?;
            seen.push(key);
            attributes = after;
        }
        roots += usize::from(open.is_empty());
        if !is_empty {
            open.push(name);
        }
    }
    characters(rest)?;
    if roots == 1 && open.is_empty() && rest.trim().is_empty() { Ok(()) } else { Err(format!("{roots} roots")) }
}

fn characters(text: &str) -> Result<(), String> {
    if let Some(wrong) =
        text.chars().find(|c| (c.is_control() && *c != '\n') || matches!(c, '\u{FFFE}' | '\u{FFFF}' | '>'))
    {
        return Err(format!("the character {wrong:?}"));
    }
    for reference in text.split('&').skip(1) {
        let name = reference.split(';').next().unwrap_or_default();
        if !["amp", "lt", "gt", "quot", "#39"].contains(&name) {
            return Err(format!("the reference `{name}`"));
        }
    }
    Ok(())
}

#[test]
fn the_checker_itself_refuses() {
    for wrong in
        ["<a>", "<a></b>", "<a/><a/>", "<a b=\"1\" b=\"2\"/>", "<a>&x;</a>", "<a>\u{0}</a>", "<a b=1/>", "x<a/>"]
    {
        assert!(well_formed(wrong).is_err(), "{wrong}");
    }
    assert_eq!(well_formed("<a b=\"1\"><c/>&amp;</a>\n"), Ok(()));
}

#[test]
fn escaping() {
    let cases = [
        ("plain words", "plain words", "plain words", "plain words"),
        ("a & b", "a &amp; b", "a &amp; b", "a #38; b"),
        ("<b>", "&lt;b&gt;", "&lt;b&gt;", "#60;b#62;"),
        ("\"q\" 'r'", "&quot;q&quot; &#39;r&#39;", "\\\"q\\\" 'r'", "#34;q#34; #39;r#39;"),
        ("\\N", "\\N", "\\\\N", "#92;N"),
        ("pre-pack", "pre-pack", "pre-pack", "pre-pack"),
        ("a-->b", "a--&gt;b", "a--&gt;b", "a#45;#45;#62;b"),
        ("x: y; #34;", "x: y; #34;", "x: y; #34;", "x#58; y#59; #35;34#59;"),
        ("استلام", "استلام", "استلام", "استلام"),
    ];
    for (text, xml, graphviz, in_mermaid) in cases {
        assert_eq!(escape_xml(text), xml);
        assert_eq!(dot::escape(text), graphviz);
        assert_eq!(mermaid::escape(text), in_mermaid);
    }
    assert_eq!(mermaid::escape_yaml("a \"b\" \\ <c>"), "a \\x22b\\x22 \\x5c \\x3cc\\x3e");
}

#[test]
fn cleaning() {
    let cases = [
        ("  a \n\t b\0c ", "a b c"),
        ("\u{202E}evil", "evil"),
        ("می\u{200C}خواهم", "می\u{200C}خواهم"),
        ("\u{FFFE}\u{202E} \u{2066}x", "x"),
        ("\u{7f}\u{85}", ""),
    ];
    for (text, cleaned) in cases {
        assert_eq!(clean(text), cleaned);
    }
    assert_eq!(clean(&"y".repeat(5_000)).chars().count(), 1_001);
}

#[test]
fn names_in_mermaid_differ_where_ids_do() {
    let ids = ["a-b", "a_b", "a.b", "a:b", "a b", "ab", "AB", "a__b", "a_x2d_b", "_x2d_", "", "end", "é", "e\u{301}"];
    let mut names: Vec<String> = ids.iter().map(|id| name(id)).collect();
    assert!(
        names.iter().all(|name| name.starts_with("s_") && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    );
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ids.len());
    assert_eq!((&*name("a_b"), &*name("a-b")), ("s_a__b", "s_a_x2d_b"));
}

#[test]
fn every_line_of_mermaid_is_one_statement() {
    for diagram in [hostile(), laundry_difference()] {
        let text = diagram.mermaid();
        let lines = text.lines().skip_while(|line| *line != "stateDiagram-v2").skip(1);
        for line in lines {
            let line = line.trim_start();
            let is_stage = line.strip_prefix("state \"").is_some_and(|rest| rest.matches('"').count() == 1);
            let is_transition = line.starts_with("s_") && line.matches("-->").count() == 1;
            let known =
                ["direction ", "[*] --> s_", "classDef ", "class s_"].iter().any(|start| line.starts_with(start));
            assert!(is_stage || is_transition || known, "{line}");
            assert!(!line.contains("%%") && !line.contains('<'), "{line}");
        }
    }
}

#[test]
fn every_line_of_dot_closes_its_quotes() {
    for diagram in [hostile(), laundry_difference()] {
        let text = diagram.dot();
        for line in text.lines() {
            let mut quoted = false;
            let mut characters = line.chars();
            while let Some(character) = characters.next() {
                match character {
                    '"' => quoted = !quoted,
                    '\\' if quoted => assert!(matches!(characters.next(), Some('"' | '\\' | 'n')), "{line}"),
                    _ => assert!(quoted || !matches!(character, '<' | '#' | '/'), "{line}"),
                }
            }
            assert!(!quoted, "{line}");
        }
    }
}

#[test]
fn wrapping() {
    let cases: [(&str, usize, &[&str]); 6] = [
        ("short", 2, &["short"]),
        ("two short words", 2, &["two short", "words"]),
        ("three lines of words here", 2, &["three lines", "of words…"]),
        ("requires_manager_approval", 3, &["requires_", "manager_", "approval"]),
        ("xxxxxxxxxxxxxxxxxxxxxxxx", 1, &["xxxxxxxxx…"]),
        ("", 1, &[""]),
    ];
    for (text, lines, wrapped) in cases {
        assert_eq!(wrap(text, 12, 80, lines), wrapped);
    }
    for text in HOSTILE.map(clean) {
        for line in wrap(&text, 12, 60, 2) {
            assert!(width(&line, 12) <= 60 + 14, "{line}");
        }
    }
}

/// A word that fits to the pixel is not broken, and marks stay with what they sit on.
#[test]
fn words_are_broken_only_where_they_must_be() {
    let exact = width("abcdef", 12);
    assert_eq!(wrap("abcdef", 12, exact, 2), ["abcdef"]);
    assert_eq!(wrap("abcdef", 12, exact - 1, 2), ["abcde", "f"]);
    let both: i64 = ["abc", " ", "def"].map(|part| width(part, 12)).iter().sum();
    assert_eq!(wrap("abc def", 12, both, 2), ["abc def"]);
    assert_eq!(wrap("abc def", 12, both - 1, 2), ["abc", "def"]);
    let marked = "e\u{301}".repeat(6);
    assert_eq!(wrap(&marked, 12, width("eee", 12), 2), ["e\u{301}".repeat(3), "e\u{301}".repeat(3)]);
}

/// How wide a character is taken to be, in hundredths of the size: what is narrow, wide, square, or sits on another.
#[test]
fn widths_of_characters() {
    for (text, hundredths) in [
        ("i", 32),
        (" ", 30),
        ("t", 42),
        ("W", 92),
        ("e", 59),
        ("7", 59),
        ("E", 70),
        ("é", 68),
        ("e\u{301}", 59),
        ("س", 58),
        ("سَ", 58),
        ("ש\u{5B8}", 58),
        ("洗", 102),
        ("한", 102),
        ("。", 102),
        ("☎", 135),
        ("👩", 135),
        ("👩\u{1F3FD}", 135),
    ] {
        assert_eq!(width(text, 100), hundredths, "{text}");
    }
    assert_eq!(width("e", 1), 1, "rounded up");
}

#[test]
fn direction_of_texts() {
    for (text, from_the_right) in
        [("12 استلام", true), ("intake استلام", false), ("שלום", true), ("洗濯", false), ("", false)]
    {
        assert_eq!(is_right_to_left(text), from_the_right, "{text}");
    }
}

#[test]
fn large_diagrams_say_what_they_leave_out() {
    assert!(large().svg().contains("Not drawn: Stages 20, Transitions 21"));
    assert!(!laundry(Direction::LeftToRight).svg().contains("Not drawn"));
}

#[test]
fn zero_stages() {
    let empty = Diagram::default();
    assert!(empty.svg().contains("No stages"));
    assert_eq!(empty.mermaid(), "stateDiagram-v2\n    direction LR\n");
    assert!(empty.dot().starts_with("digraph workflow {\n") && empty.dot().ends_with("}\n"));
}
