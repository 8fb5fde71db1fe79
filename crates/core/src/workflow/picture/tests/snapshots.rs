//! Pictures kept as files, compared byte for byte. To renew them after a wanted change, run
//! `LEASEHOLD_RENEW_PICTURES=1 cargo test -p leasehold pictures_are_as_kept` and look at every one of them.

use super::*;
use std::path::Path;

#[test]
fn pictures_are_as_kept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures");
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
        let file = folder.join(name);
        if std::env::var_os("LEASEHOLD_RENEW_PICTURES").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &picture).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(kept == picture, "{name} has changed; the head of this file says how to renew it");
    }
}
