//! The README of the repository shows the same example as the crate's, which is a doctest.

fn example(readme: &str) -> Option<&str> {
    let (_, rest) = readme.split_once("```rust\n")?;
    rest.split_once("```").map(|(example, _)| example)
}

#[test]
fn both_readmes_show_the_same_example() {
    let (own, shared) = (include_str!("../README.md"), include_str!("../../../README.md"));
    assert!(example(own).is_some_and(|example| example.lines().count() > 10));
    assert_eq!(example(own), example(shared));
}
