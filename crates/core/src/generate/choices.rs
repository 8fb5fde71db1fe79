//! Where generators take their decisions from.

/// A stream of decisions: bytes first, then, if there is a seed, numbers from a fixed sequence, else zeros.
///
/// Zero always chooses the plainest thing, so that shorter inputs make simpler definitions and shrinking works.
#[derive(Debug, Clone)]
pub struct Choices<'b> {
    bytes: &'b [u8],
    state: Option<u64>,
}

impl<'b> Choices<'b> {
    /// Decisions from bytes; when they run out, the plainest.
    #[must_use]
    pub fn from_bytes(bytes: &'b [u8]) -> Self {
        Self { bytes, state: None }
    }

    /// Endless decisions from a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self { bytes: &[], state: Some(seed) }
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        if let Some((byte, rest)) = self.bytes.split_first() {
            self.bytes = rest;
            return u64::from(*byte);
        }
        let Some(state) = &mut self.state else { return 0 };
        // SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Any number of 64 bits, which takes eight bytes: [`number`](Self::number) takes one.
    pub fn wide(&mut self) -> u64 {
        match self.state {
            Some(_) if self.bytes.is_empty() => self.number(),
            _ => (0..8).fold(0, |wide, _| wide << 8 | self.number() & 0xff),
        }
    }

    /// A number below a bound, of 256 at most where bytes choose; 0 where the bound is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % (bound.max(1) as u64)).unwrap_or(0)
    }

    /// True so many times out of a hundred; never when choices have run out.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.number() % 100 >= 100 - percent.min(100)
    }

    /// One of a list that is not empty.
    pub fn one_of<T: Copy>(&mut self, first: T, others: &[T]) -> T {
        match self.below(others.len() + 1).checked_sub(1) {
            Some(at) => others.get(at).copied().unwrap_or(first),
            None => first,
        }
    }

    /// One of a list, if there is any.
    pub fn pick<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        let at = self.below(list.len());
        list.get(at)
    }
}
