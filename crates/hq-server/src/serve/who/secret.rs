//! Secrets of tokens and sessions: what they look like, and how they are compared.

use leasehold::Hash;
use std::fmt;

/// What a secret stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretKind {
    /// A program.
    Token,
    /// Somebody of HQ's staff, for as long as they are signed in.
    Session,
}

impl SecretKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Token => "lht",
            Self::Session => "lhs",
        }
    }
}

/// A secret, as whoever holds it sends it: `lht_`, a public id of 16 hexadecimal digits, `_`, and 64 digits of 256 random
/// bits. Prefixes let scanners of leaked secrets find them. It is never printed by accident.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) kind: SecretKind,
    /// The part that is no secret.
    pub(crate) id: String,
    bits: [u8; 32],
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_…", self.kind.prefix(), self.id)
    }
}

impl Secret {
    /// A new one, that nobody can foresee.
    pub(crate) fn new(kind: SecretKind) -> Result<Self, getrandom::Error> {
        let (mut id, mut bits) = ([0; 8], [0; 32]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut bits)?;
        Ok(Self { kind, id: hex(&id), bits })
    }

    /// The one that a text is; nothing where it is none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let kind = [SecretKind::Token, SecretKind::Session].into_iter().find(|kind| text.starts_with(kind.prefix()))?;
        let (id, bits) = text.strip_prefix(kind.prefix())?.strip_prefix('_')?.split_once('_')?;
        if id.len() != 16 || !id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        // A hash has as many bits, and reads hexadecimal digits.
        let bits: Hash = bits.parse().ok()?;
        Some(Self { kind, id: id.to_owned(), bits: *bits.as_bytes() })
    }

    /// The whole of it, for whom it is for.
    pub(crate) fn reveal(&self) -> String {
        format!("{}_{}_{}", self.kind.prefix(), self.id, hex(&self.bits))
    }

    /// What is kept of it.
    pub(crate) fn hash(&self) -> [u8; 32] {
        *Hash::of(&self.bits).as_bytes()
    }

    /// Whether it is the one of which this was kept; without telling by the time it takes how far it fits.
    pub(crate) fn is(&self, kept: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        self.hash().as_slice().ct_eq(kept).into()
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_it_was_revealed() {
        for kind in [SecretKind::Token, SecretKind::Session] {
            let secret = Secret::new(kind).unwrap();
            let text = secret.reveal();
            let read = Secret::read(&text).unwrap();
            assert_eq!((read.kind, &read.id, read.bits), (kind, &secret.id, secret.bits));
            assert!(read.is(&secret.hash()));
            assert!(!Secret::new(kind).unwrap().is(&secret.hash()));
            let shown = format!("{secret:?}");
            assert!(!shown.contains(&hex(&secret.bits)), "{shown}");
            for broken in
                ["", "lht", "lht_", &text[1..], &text[..text.len() - 1], &format!("{text}0"), &text.replace('_', "-")]
            {
                assert!(Secret::read(broken).is_none(), "{broken}");
            }
        }
    }
    /// Where somebody may compare secrets otherwise than by `is`, which does not tell by its time how far they fit, this
    /// does not compile: the function is there twice then.
    #[test]
    fn timing_of_token_comparison() {
        trait Compared<By> {
            fn one_way() {}
        }
        // The types only tell them apart.
        impl<T: ?Sized> Compared<()> for T {}
        impl<T: ?Sized + PartialEq> Compared<u8> for T {}
        impl<T: ?Sized + PartialOrd> Compared<u16> for T {}
        impl<T: ?Sized + AsRef<[u8]>> Compared<u32> for T {}
        <Secret as Compared<_>>::one_way();

        // And `is` itself compares by what takes as long for every byte: a copy of it by `==` would pass all of the rest.
        let own = include_str!("secret.rs");
        let is = own.split_once("fn is(").and_then(|(_, rest)| rest.split_once("\n    }\n")).unwrap().0;
        assert!(is.contains(".ct_eq(kept)") && !is.contains("==") && !is.contains("!="), "{is}");

        // Neither the first byte nor the last decides, nor a part that fits.
        let secret = Secret::new(SecretKind::Token).unwrap();
        let kept = secret.hash();
        assert!(secret.is(&kept));
        for at in 0..kept.len() {
            let mut other = kept;
            other[at] ^= 1;
            assert!(!secret.is(&other) && !secret.is(&kept[..at]), "{at}");
        }
        assert!(!secret.is(&[kept.as_slice(), &[0]].concat()));
        // What is looked up is the part that is no secret: another secret under the same id is found, and refused.
        let guess = Secret { bits: [7; 32], ..secret.clone() };
        assert_eq!(guess.id, secret.id);
        assert!(!guess.is(&kept));
    }
}
