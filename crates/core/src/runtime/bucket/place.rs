//! Where a bucket is: from a URL and options to a store.

use super::BucketError;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};
use std::sync::Arc;
use std::time::Duration;

/// For how long a request is tried again before somebody is told.
const RETRIES: Duration = Duration::from_secs(10);

/// Where contents lie, and what a store of it takes to be opened.
pub(super) enum Place {
    Memory(Arc<InMemory>),
    Directory,
    S3(Box<AmazonS3Builder>),
}

impl Place {
    /// The place that a URL names, and the path below which everything lies.
    pub(super) fn read<'o>(
        url: &str,
        options: impl IntoIterator<Item = (&'o str, &'o str)>,
    ) -> Result<(Self, Path), BucketError> {
        let invalid = |why: &str| BucketError::InvalidUrl { url: url.to_owned(), why: why.to_owned() };
        let path = |text: &str| Path::from_url_path(text).map_err(|error| invalid(&error.to_string()));
        let mut options = options.into_iter();
        let mut no_options = || match options.next() {
            None => Ok(()),
            Some((key, _)) => Err(BucketError::UnknownOption { key: key.to_owned() }),
        };
        match url.split_once("://") {
            Some(("file", rest)) if rest.starts_with('/') => {
                no_options()?;
                Ok((Self::Directory, path(rest)?))
            }
            Some(("file", _)) => Err(invalid("a path begins with a slash, as in `file:///var/lib/hq/snapshots`")),
            Some(("memory", rest)) => {
                no_options()?;
                Ok((Self::Memory(Arc::default()), path(rest)?))
            }
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(invalid("it names no bucket"));
                }
                let retries = RetryConfig { max_retries: 3, retry_timeout: RETRIES, ..RetryConfig::default() };
                let mut builder = AmazonS3Builder::from_env().with_retry(retries);
                for (key, value) in options {
                    let unknown = |_| BucketError::UnknownOption { key: key.to_owned() };
                    let key: AmazonS3ConfigKey = key.to_ascii_lowercase().parse().map_err(unknown)?;
                    builder = builder.with_config(key, value);
                }
                Ok((Self::S3(Box::new(builder.with_bucket_name(bucket))), path(prefix)?))
            }
            _ => Err(invalid("it begins with none of `file://`, `s3://` and `memory://`")),
        }
    }

    /// A store with connections of its own.
    pub(super) fn open(&self) -> Result<Arc<dyn ObjectStore>, BucketError> {
        Ok(match self {
            Self::Memory(memory) => memory.clone(),
            Self::Directory => Arc::new(LocalFileSystem::new().with_fsync(true)),
            Self::S3(builder) => {
                // The client takes what the process has chosen for TLS. Where nobody has, ring it is; whoever chooses at
                // the same time is as right.
                if rustls::crypto::CryptoProvider::get_default().is_none() {
                    let _ = rustls::crypto::ring::default_provider().install_default();
                }
                Arc::new(builder.as_ref().clone().build()?)
            }
        })
    }

    /// Whether what is written can say for how long it may be kept elsewhere.
    pub(super) fn takes_cache_control(&self) -> bool {
        matches!(self, Self::S3(_))
    }

    /// The same place.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Memory(memory) => Self::Memory(memory.clone()),
            Self::Directory => Self::Directory,
            Self::S3(builder) => Self::S3(builder.clone()),
        }
    }
}
