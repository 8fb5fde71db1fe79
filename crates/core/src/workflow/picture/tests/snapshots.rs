//! Pictures kept as files, compared byte for byte. To renew them after a wanted change, run
//! `LEASEHOLD_RENEW_PICTURES=1 cargo test -p leasehold are_as_kept` and look at every one of them.

use super::super::page::Picture;
use super::super::plan::Plan;
use super::*;
use crate::Hash;
use std::path::Path;

#[test]
fn pictures_are_as_kept() {
    let laundry = laundry(Direction::LeftToRight);
    let difference = laundry_difference();
    let arabic = super::laundry(Direction::RightToLeft);
    let pictures = [
        ("laundry.svg", laundry.svg()),
        ("laundry.mmd", laundry.mermaid()),
        ("laundry.dot", laundry.dot()),
        ("laundry_arabic.svg", arabic.svg()),
        ("laundry_arabic.mmd", arabic.mermaid()),
        ("laundry_difference.svg", difference.svg()),
        ("laundry_difference.mmd", difference.mermaid()),
        ("laundry_difference.dot", difference.dot()),
    ];
    for (name, picture) in pictures {
        is_as_kept(name, &picture);
    }
}

/// Layouts of many shapes, by what makes them good or bad: how large they are, how many pieces their lines have and how
/// long these are. The hashes say whether anything at all is different.
#[test]
fn layouts_are_as_kept() {
    let shapes = (0..SHAPES).map(|seed| {
        let most_stages = if seed % 6 == 0 { 48 } else { 14 };
        (format!("seed {seed}"), random(seed, most_stages))
    });
    let mirrored = Diagram { direction: Direction::RightToLeft, ..hostile() };
    let others = [("hostile", hostile()), ("hostile, mirrored", mirrored), ("large", large())];
    let others = others.map(|(name, diagram)| (name.to_owned(), diagram));
    let lines: String =
        shapes.chain(others).map(|(name, diagram)| format!("{name}: {}\n", measured(&diagram))).collect();
    is_as_kept("layouts.txt", &lines);
}

/// How many random shapes are kept.
const SHAPES: u64 = 60;

fn measured(diagram: &Diagram) -> String {
    let plan = Plan::of(diagram);
    let picture = Picture::of(&plan);
    let strokes = picture.parts.iter().flat_map(|part| &part.drawn).flat_map(|drawn| &drawn.strokes);
    let (mut pieces, mut length) = (0, 0);
    for pair in strokes.flat_map(|stroke| stroke.steps.windows(2)) {
        let [(_, from), (_, to)] = pair else { continue };
        pieces += 1;
        length += (from.along - to.along).abs() + (from.across - to.across).abs();
    }
    let hash = |picture: &str| Hash::of(picture.as_bytes()).short();
    format!(
        "{} stages, {} transitions, {:?}, {} × {}, {pieces} pieces of {length}, svg {}, dot {}, mermaid {}",
        plan.stages.len(),
        plan.transitions.len(),
        picture.flow,
        picture.width,
        picture.height,
        hash(&diagram.svg()),
        hash(&diagram.dot()),
        hash(&diagram.mermaid())
    )
}

fn is_as_kept(name: &str, found: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures");
    let file = folder.join(name);
    if std::env::var_os("LEASEHOLD_RENEW_PICTURES").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&file, found).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = kept.lines().zip(found.lines()).find(|(kept, found)| kept != found);
    assert!(kept == found, "{name} has changed, first {differs:?}; the head of this file says how to renew it");
}
