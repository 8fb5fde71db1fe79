use leasehold_benches::*;
use std::time::Instant;
fn main() {
    let sources = files(&spec(100_000));
    let bytes: usize = sources.iter().map(|s| s.bytes.len()).sum();
    eprintln!("{} MB", bytes / 1_000_000);
    for _ in 0..8 {
        if std::env::args().len() < 2 {
            let t = Instant::now();
            let v: Vec<serde_json::Value> = sources.iter().map(|f| serde_json::from_slice(&f.bytes).unwrap()).collect();
            eprintln!("value {:?}", t.elapsed());
            drop(v);
        }
        let t = Instant::now();
        let s = leasehold::Snapshot::from_sources(&sources, stamp()).unwrap();
        eprintln!("all {:?} {}", t.elapsed(), s.profile_count());
    }
}
