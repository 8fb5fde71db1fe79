//! Chunks: contents as they are kept and carried, compressed or not.

use super::{ChunkRef, Fault, FaultCode, Stage};
use crate::Hash;
use std::{borrow::Cow, sync::Arc};

/// How the bytes of a chunk are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// As they are.
    Raw,
    /// One zstd frame (RFC 8878). Only builds with feature `runtime` can open it.
    Zstd,
}

impl Encoding {
    /// The word that stands for it in packs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Zstd => "zstd",
        }
    }
}

/// A content as it is kept. What it holds is known only once it has been opened by the reference that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    encoding: Encoding,
    bytes: Arc<[u8]>,
}

impl Chunk {
    /// A content as it is.
    #[must_use]
    pub fn raw(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { encoding: Encoding::Raw, bytes: bytes.into() }
    }

    /// A content in a zstd frame.
    #[must_use]
    pub fn zstd(frame: impl Into<Arc<[u8]>>) -> Self {
        Self { encoding: Encoding::Zstd, bytes: frame.into() }
    }

    /// A content, compressed where that makes it smaller.
    #[cfg(feature = "runtime")]
    #[must_use]
    pub fn compressed(content: &[u8]) -> Self {
        /// The level beyond which chunks of this size hardly get smaller.
        const LEVEL: i32 = 3;
        match zstd::bulk::compress(content, LEVEL) {
            Ok(frame) if frame.len() < content.len() => Self::zstd(frame),
            _ => Self::raw(content),
        }
    }

    /// How the bytes are to be read.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The bytes as they are kept.
    #[must_use]
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// The content, verified to be the one that is named.
    ///
    /// # Errors
    /// `truncated`, `too_long`, `compression_bomb`, `invalid_compression`, `hash_mismatch`.
    pub fn open(&self, reference: ChunkRef) -> Result<Vec<u8>, Fault> {
        Opener::default().open(self, reference).map(Cow::into_owned)
    }
}

/// Opens chunks one after another, with one set of buffers.
#[derive(Default)]
pub(crate) struct Opener {
    #[cfg(feature = "runtime")]
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl Opener {
    pub(crate) fn open<'c>(&mut self, chunk: &'c Chunk, reference: ChunkRef) -> Result<Cow<'c, [u8]>, Fault> {
        let content = match chunk.encoding {
            Encoding::Raw => Cow::Borrowed(&*chunk.bytes),
            Encoding::Zstd => Cow::Owned(self.decompress(&chunk.bytes, reference)?),
        };
        let fault = |code, message: String| Err(Fault::new(Stage::Hash, code, reference.hash.to_string(), message));
        let length = content.len() as u64;
        if length < reference.length {
            let message = format!("it has {length} bytes, and {} are announced", reference.length);
            return fault(FaultCode::Truncated, message);
        }
        if length > reference.length {
            let message = format!("it has {length} bytes, and only {} are announced", reference.length);
            return fault(FaultCode::TooLong, message);
        }
        if Hash::of(&content) != reference.hash {
            return fault(FaultCode::HashMismatch, "its bytes have another hash".to_owned());
        }
        Ok(content)
    }

    #[cfg(feature = "runtime")]
    fn decompress(&mut self, frame: &[u8], reference: ChunkRef) -> Result<Vec<u8>, Fault> {
        let fault = |code, message: String| Fault::new(Stage::Hash, code, reference.hash.to_string(), message);
        let invalid =
            |error: std::io::Error| fault(FaultCode::InvalidCompression, format!("it is no zstd frame: {error}"));
        let most = usize::try_from(reference.length.min(super::MAX_CHUNK_BYTES)).unwrap_or(usize::MAX);
        // Exactly one frame: no second one behind it, and none to be skipped.
        const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
        let whole = zstd::zstd_safe::find_frame_compressed_size(frame).is_ok_and(|length| length == frame.len());
        if !frame.starts_with(&MAGIC) || !whole {
            return Err(fault(FaultCode::InvalidCompression, "it is not one whole zstd frame".to_owned()));
        }
        // A frame says how much it holds: one that says too much is not opened at all.
        if let Ok(Some(size)) = zstd::zstd_safe::get_frame_content_size(frame)
            && size > most as u64
        {
            let message = format!("it says to hold {size} bytes, and {most} are announced");
            return Err(fault(FaultCode::CompressionBomb, message));
        }
        if self.zstd.is_none() {
            self.zstd = Some(zstd::bulk::Decompressor::new().map_err(invalid)?);
        }
        let Some(decompressor) = &mut self.zstd else {
            return Err(fault(FaultCode::InvalidCompression, "there is no decompressor".to_owned()));
        };
        let mut content = Vec::with_capacity(most);
        match decompressor.decompress_to_buffer(frame, &mut content) {
            Ok(_) => Ok(content),
            // What zstd says when there is no room for what comes out.
            Err(error) if error.to_string().contains("too small") => {
                let message = format!("it holds more than the {most} bytes that are announced");
                Err(fault(FaultCode::CompressionBomb, message))
            }
            Err(error) => Err(invalid(error)),
        }
    }

    #[cfg(not(feature = "runtime"))]
    #[expect(clippy::unused_self, reason = "the same signature as where it can")]
    fn decompress(&mut self, _: &[u8], reference: ChunkRef) -> Result<Vec<u8>, Fault> {
        let message = "this build opens no compressed contents";
        Err(Fault::new(Stage::Hash, FaultCode::InvalidCompression, reference.hash.to_string(), message))
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener")
    }
}
