//! A web server of threads and blocking sockets, for the other end of what carries snapshots.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long anything may take in these tests before they give up. Nothing waits that long unless it is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The next one on a connection, if another comes.
    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, path) = (words.next()?, words.next()?);
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self { method, path, headers, body: Vec::new() };
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        request.body.resize(length, 0);
        reader.read_exact(&mut request.body).ok()?;
        Some(request)
    }
}

/// Writes an answer as a whole.
pub(crate) fn reply(to: &mut TcpStream, status: u16, headers: &[(&str, &str)], body: &[u8]) {
    let mut answer = format!("HTTP/1.1 {status} Whatever\r\n");
    if !matches!(status, 204 | 304) {
        answer.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    headers.iter().for_each(|(name, value)| answer.push_str(&format!("{name}: {value}\r\n")));
    // Whoever asked may have gone.
    let _ = to.write_all(&[answer.as_bytes(), b"\r\n", body].concat());
}

/// A server on a port of its own, until it is dropped.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Inner {
    stop: AtomicBool,
    down: AtomicBool,
    log: Mutex<Vec<Request>>,
    logged: Condvar,
    connections: Mutex<Vec<TcpStream>>,
}

impl Web {
    /// Answers each request by `handle`; a connection ends with one for which that is false.
    pub(crate) fn start(handle: impl Fn(&Request, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner::default());
        let (ours, handle) = (inner.clone(), Arc::new(handle));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ours.stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if ours.down.load(Ordering::SeqCst) {
                    continue;
                }
                ours.connections.lock().unwrap().push(stream.try_clone().unwrap());
                let (inner, handle) = (ours.clone(), handle.clone());
                std::thread::spawn(move || inner.serve(stream, &*handle));
            }
        });
        Self { address, inner, thread: Some(thread) }
    }

    /// The requests so far.
    pub(crate) fn log(&self) -> Vec<Request> {
        self.inner.log.lock().unwrap().clone()
    }

    /// Waits until the requests are such.
    pub(crate) fn wait_until(&self, such: impl Fn(&[Request]) -> bool) {
        let log = self.inner.log.lock().unwrap();
        let (log, waited) = self.inner.logged.wait_timeout_while(log, DEADLINE, |log| !such(log)).unwrap();
        assert!(!waited.timed_out(), "there were only {log:?}");
    }

    /// Closes every connection, those to come too, until it is up again. The port stays: somebody else could take it.
    pub(crate) fn go_down(&self) {
        self.inner.down.store(true, Ordering::SeqCst);
        self.cut();
    }

    pub(crate) fn come_up(&self) {
        self.inner.down.store(false, Ordering::SeqCst);
    }

    /// Ends all connections that are open.
    pub(crate) fn cut(&self) {
        for connection in self.inner.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.inner.stop.store(true, Ordering::SeqCst);
        // The thread waits for a connection.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
        self.cut();
    }
}

impl Inner {
    fn serve(&self, mut stream: TcpStream, handle: &dyn Fn(&Request, &mut TcpStream) -> bool) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(request) = Request::read(&mut reader) {
            self.log.lock().unwrap().push(request.clone());
            self.logged.notify_all();
            if !handle(&request, &mut stream) {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}
