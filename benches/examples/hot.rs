use leasehold::generate::fleet;
use leasehold_benches::*;
use std::hint::black_box;
fn main() {
    let d = fleet(&spec(100_000));
    let engine = engine(&d);
    let (t, f) = names(&d);
    let q = Questions::about(&t, &f);
    let now = now();
    let map = two_level_map(&t[..10_000], &f);
    let qm = Questions::about(&t[..10_000], &f);
    let run = |name: &str, g: &mut dyn FnMut(usize)| {
        let n = 4_000_000usize;
        for i in 0..200_000 {
            g(i);
        }
        let s = std::time::Instant::now();
        for i in 0..n {
            g(i);
        }
        eprintln!("{name}: {:?}", s.elapsed() / n as u32);
    };
    for _ in 0..2 {
        run("strings only", &mut |i| {
            let (a, b) = q.get(i);
            black_box(a.as_bytes()[3] ^ b.as_bytes()[2]);
        });
        run("ours", &mut |i| {
            let (a, b) = q.get(i);
            let _ = black_box(engine.is_enabled(black_box(a), black_box(b), now));
        });
        run("ours 10k", &mut |i| {
            let (a, b) = qm.get(i);
            let _ = black_box(engine.is_enabled(black_box(a), black_box(b), now));
        });
        run("map 10k", &mut |i| {
            let (a, b) = qm.get(i);
            let _ = black_box(map.get(black_box(a)).and_then(|m| m.get(black_box(b))));
        });
        let mut x = 0usize;
        run("ours dependent", &mut |i| {
            let (a, b) = q.get(i + x);
            x = black_box(engine.is_enabled(black_box(a), black_box(b), now)).map_or(0, usize::from);
        });
        run("map dependent", &mut |i| {
            let (a, b) = qm.get(i + x);
            x = black_box(map.get(black_box(a)).and_then(|m| m.get(black_box(b)))).map_or(0, |b| usize::from(*b));
        });
    }
}
