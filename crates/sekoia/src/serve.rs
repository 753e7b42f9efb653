//! The two small servers of a trigger: liveness and metrics.
//!
//! Anybody on the network may connect to them, and the collection needs its files and sockets: so each
//! server has few connections, and none for long.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use base::retry::Backoff;
use bytes::Bytes;
use http::{
    Method, Response, StatusCode,
    header::CONTENT_TYPE,
    request::{Parts, Request},
};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

/// Connections of one server at a time. Where one more comes, the oldest ends: the one that asks
/// now is answered, however many others hold a connection open.
const CONNECTIONS: usize = 64;

/// Until the head of a request must be whole.
const HEAD: Duration = Duration::from_secs(5);

/// Until a connection ends in any case. An answer takes milliseconds.
const LIFE: Duration = Duration::from_secs(15);

/// Headers of one request.
const HEADERS: usize = 64;

/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 << 10;

/// A listening server; it and its connections close when it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) port: u16,
    _task: AbortOnDropHandle<()>,
}

/// Answers GET and HEAD requests on all IPv4 interfaces, one for each connection (H-02); other methods
/// get 501 (H-03, I-01). Port 0 takes any free one.
pub(super) async fn serve(
    port: u16,
    answer: impl Fn(&Parts) -> Response<String> + Send + Sync + 'static,
) -> io::Result<Server> {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let listener = TcpListener::bind(address).await?;
    let port = listener.local_addr()?.port();
    let task = tokio::spawn(accept(listener, Arc::new(answer)));
    Ok(Server {
        port,
        _task: AbortOnDropHandle::new(task),
    })
}

type Answer = dyn Fn(&Parts) -> Response<String> + Send + Sync;

async fn accept(listener: TcpListener, answer: Arc<Answer>) {
    // Those that may still be open, the oldest first.
    let mut connections: VecDeque<AbortOnDropHandle<()>> = VecDeque::new();
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                backoff.reset();
                connections.retain(|open| !open.is_finished());
                if connections.len() >= CONNECTIONS {
                    drop(connections.pop_front());
                }
                let connection = tokio::spawn(talk(socket, Arc::clone(&answer)));
                connections.push_back(AbortOnDropHandle::new(connection));
            }
            // Most often the process has no file left to open.
            Err(_) => sleep(backoff.next_pause(None)).await,
        }
    }
}

/// Answers the one request of a connection.
async fn talk(socket: TcpStream, answer: Arc<Answer>) {
    let service = service_fn(|request: Request<Incoming>| {
        let (parts, _) = request.into_parts();
        let response = match parts.method {
            // The body of an answer to HEAD is not sent.
            Method::GET | Method::HEAD => answer(&parts),
            _ => text(
                StatusCode::NOT_IMPLEMENTED,
                "text/plain",
                "only GET is supported\n".to_owned(),
            ),
        };
        let response = response.map(|body| Full::new(Bytes::from(body)));
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .header_read_timeout(HEAD)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(socket), service);
    // A client that breaks off, or is too slow, has itself to thank.
    _ = timeout(LIFE, connection).await;
}

pub(super) fn text(
    status: StatusCode,
    content_type: &'static str,
    body: String,
) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// The answer to a request, over a real socket.
    async fn exchange(port: u16, request: &str) -> String {
        let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .unwrap();
        let request = format!("{request} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn echo(request: &Parts) -> Response<String> {
        text(StatusCode::OK, "text/plain", request.uri.path().to_owned())
    }

    #[tokio::test]
    async fn many_idle_connections_take_few_sockets_and_nobody_s_turn() {
        let server = serve(0, echo).await.unwrap();
        let mut idle = Vec::new();
        for _ in 0..3 * CONNECTIONS {
            let socket = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await;
            idle.push(socket.unwrap());
            // The server takes them one after the other.
            assert!(exchange(server.port, "GET /x").await.ends_with("/x"));
        }
        let mut ended = 0;
        for socket in &mut idle {
            let ends = timeout(Duration::from_millis(20), socket.read_u8());
            ended += usize::from(ends.await.is_ok());
        }
        assert!(ended >= 2 * CONNECTIONS, "{ended}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_not_waited_for() {
        let server = serve(0, echo).await.unwrap();
        for sent in ["", "GET /", "GET / HTTP/1.1\r\nhost: h\r\nx: "] {
            let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", server.port))
                .await
                .unwrap();
            socket.write_all(sent.as_bytes()).await.unwrap();
            let begun = tokio::time::Instant::now();
            let mut answer = Vec::new();
            _ = socket.read_to_end(&mut answer).await;
            assert!(begun.elapsed() <= LIFE, "{sent:?}: {:?}", begun.elapsed());
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{sent:?}");
        }
    }

    #[tokio::test]
    async fn a_head_is_bounded() {
        let server = serve(0, echo).await.unwrap();
        let long = format!("GET /{}", "x".repeat(2 * HEAD_BYTES));
        let answer = exchange(server.port, &long).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
        let many: String = (0..=HEADERS).map(|n| format!("x-{n}: 1\r\n")).collect();
        let request = format!("GET / HTTP/1.1\r\n{many}x: ");
        let answer = exchange(server.port, request.trim_end()).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn answers_get_only_until_dropped() {
        let server = serve(0, |request| {
            text(StatusCode::OK, "text/plain", request.uri.path().to_owned())
        })
        .await
        .unwrap();
        let port = server.port;
        let answer = exchange(port, "GET /any/path").await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n/any/path"),
            "{answer}"
        );
        let answer = exchange(port, "HEAD /any/path").await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"),
            "{answer}"
        );
        for method in ["POST", "DELETE"] {
            let answer = exchange(port, &format!("{method} /any")).await;
            assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
        }
        drop(server);
        tokio::task::yield_now().await;
        assert!(
            serve(port, |_| Response::new(String::new())).await.is_ok(),
            "the port is free"
        );
    }
}
