//! Takes the time of several contestants in turns, so that what disturbs the machine disturbs all of them.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::world::QUESTIONS;

/// Somebody who answers questions.
pub trait Ask {
    /// The answer to the n-th question; nothing when asking failed.
    fn answer(&mut self, n: usize) -> Option<bool>;

    /// How long so many questions take.
    fn turn(&mut self, times: usize) -> Duration;
}

/// A loop of its own for each contestant: no call through a pointer lies between.
impl<F: FnMut(usize) -> Option<bool>> Ask for F {
    fn answer(&mut self, n: usize) -> Option<bool> {
        self(n)
    }

    fn turn(&mut self, times: usize) -> Duration {
        let begin = Instant::now();
        for n in 0..times {
            black_box(self(black_box(n) & (QUESTIONS - 1)));
        }
        begin.elapsed()
    }
}

/// How long and how often contestants are asked.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    rounds: usize,
    warm_up: usize,
    /// A turn takes as long as this, and no less than all questions take.
    turn: Duration,
}

impl Effort {
    /// Good enough to see that it works, too little to quote.
    pub const QUICK: Self = Self { rounds: 5, warm_up: 1, turn: Duration::from_millis(5) };
    pub const FULL: Self = Self { rounds: 21, warm_up: 3, turn: Duration::from_millis(25) };
}

/// Nanoseconds per question, of all rounds.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    pub median: f64,
    pub least: f64,
}

pub fn measure<'a>(contestants: &'a mut [(String, Box<dyn Ask>)], effort: Effort) -> HashMap<&'a str, Figures> {
    let mut running: Vec<_> = contestants
        .iter_mut()
        .map(|(name, ask)| {
            // Whole walks through all questions, so that all are asked the same, of memory too.
            let mut times = QUESTIONS;
            while ask.turn(times) < effort.turn {
                times *= 2;
            }
            (name.as_str(), ask, times, Vec::new())
        })
        .collect();
    for round in 0..effort.warm_up + effort.rounds {
        for (_, ask, times, taken) in &mut running {
            let figure = ask.turn(*times).as_nanos() as f64 / *times as f64;
            if round >= effort.warm_up {
                taken.push(figure);
            }
        }
        // Nobody always follows the same one.
        running.rotate_left(1);
    }
    let figures = |mut taken: Vec<f64>| {
        taken.sort_by(f64::total_cmp);
        Figures { median: taken[taken.len() / 2], least: taken[0] }
    };
    running.into_iter().map(|(name, _, _, taken)| (name, figures(taken))).collect()
}
