//! As much of S3 as a bucket needs: objects that are put, asked for and looked at. Nobody's signature is verified.

use super::web::{Web, reply};
use leasehold::Hash;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// An object: what it holds, and for how long it may be kept elsewhere.
type Object = (Vec<u8>, String);

pub(crate) struct FakeS3 {
    pub(crate) web: Web,
    objects: Arc<Mutex<BTreeMap<String, Object>>>,
}

impl FakeS3 {
    pub(crate) fn start() -> Self {
        let objects: Arc<Mutex<BTreeMap<String, Object>>> = Arc::default();
        let theirs = objects.clone();
        let web = Web::start(move |request, stream| {
            let mut objects = theirs.lock().unwrap();
            let (key, cache) = (request.path.clone(), request.header("cache-control").unwrap_or_default().to_owned());
            match (request.method.as_str(), objects.get(&key)) {
                ("PUT", _) => {
                    let etag = format!("\"{}\"", Hash::of(&request.body));
                    objects.insert(key, (request.body.clone(), cache));
                    reply(stream, 200, &[("etag", &etag)], b"");
                }
                (_, None) => reply(stream, 404, &[], b""),
                (method, Some((body, _))) => {
                    let etag = format!("\"{}\"", Hash::of(body));
                    let headers = [("etag", etag.as_str()), ("last-modified", "Wed, 21 Oct 2026 07:28:00 GMT")];
                    if method == "HEAD" {
                        // The length is that of the body, which stays away.
                        use std::io::Write;
                        let length = body.len();
                        let head = format!(
                            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\netag: {etag}\r\nlast-modified: {}\r\n\r\n",
                            headers[1].1
                        );
                        let _ = stream.write_all(head.as_bytes());
                    } else {
                        reply(stream, 200, &headers, body);
                    }
                }
            }
            true
        });
        Self { web, objects }
    }

    /// What opens a bucket here.
    pub(crate) fn options(&self) -> Vec<(&'static str, String)> {
        vec![
            ("endpoint", format!("http://{}", self.web.address)),
            ("allow_http", "true".to_owned()),
            ("region", "us-east-1".to_owned()),
            ("access_key_id", "somebody".to_owned()),
            ("secret_access_key", "something-secret".to_owned()),
        ]
    }

    /// The objects by their paths, with what may be kept for how long.
    pub(crate) fn cache_controls(&self) -> Vec<(String, String)> {
        self.objects.lock().unwrap().iter().map(|(key, (_, cache))| (key.clone(), cache.clone())).collect()
    }
}
