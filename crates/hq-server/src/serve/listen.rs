//! Connections: so many at once, none for ever, and an end that lets what is under way finish.

use super::api::Interface;
use super::state::{Peer, Shared, ends};
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

/// Serves until the server is to end, and then for as long as what is under way may take.
pub(super) async fn serve(listener: TcpListener, interface: Interface, shared: Shared) {
    let interface = Arc::new(interface);
    let places = Arc::new(Semaphore::new(shared.config().limits.connections.get()));
    let mut connections = JoinSet::new();
    let mut stopping = shared.stopping();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ends(&mut stopping) => break,
        };
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, most likely: others have to go first.
                tracing::warn!(error = %error, "a connection could not be taken");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            shared.metrics().overloaded();
            drop(stream);
            continue;
        };
        let (interface, shared) = (interface.clone(), shared.clone());
        connections.spawn(async move {
            connection(stream, Peer(peer.ip()), interface, &shared).await;
            drop(place);
        });
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(shared.config().limits.shutdown.std(), finished).await.is_err() {
        tracing::warn!("some requests were cut off");
    }
}

async fn connection(stream: TcpStream, peer: Peer, interface: Arc<Interface>, shared: &Shared) {
    // Answers are small, and each is waited for.
    let _ = stream.set_nodelay(true);
    // Whoever does not read what is sent is not sent it for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(shared.config().limits.request.std()));
    let stream = Box::pin(stream);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let interface = interface.clone();
        async move { Ok::<_, Infallible>(interface.answer(request.map(Body::new)).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.config().limits.headers.std())
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let mut stopping = shared.stopping();
    // What is wrong with a connection is for its other end to mend.
    tokio::select! {
        done = served.as_mut() => drop(done),
        () = ends(&mut stopping) => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
}
