//! The two small servers of a trigger: liveness and metrics.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{Router, body::Body, extract::Request};
use http::{Method, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use tokio::{net::TcpListener, task::JoinHandle};

/// A listening server; it closes when dropped.
#[derive(Debug)]
pub(super) struct Server {
    /// The port it listens on.
    pub(super) port: u16,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers GET requests on all IPv4 interfaces; other methods get 501 (H-03, I-01). Port 0 takes
/// any free one.
pub(super) async fn serve(
    port: u16,
    answer: impl Fn(&Parts) -> Response<String> + Send + Sync + 'static,
) -> io::Result<Server> {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let listener = TcpListener::bind(address).await?;
    let port = listener.local_addr()?.port();
    let answer = Arc::new(answer);
    let router = Router::new().fallback(move |request: Request<Body>| {
        let (parts, _) = request.into_parts();
        let response = if parts.method == Method::GET {
            answer(&parts)
        } else {
            text(
                StatusCode::NOT_IMPLEMENTED,
                "text/plain",
                "only GET is supported\n".to_owned(),
            )
        };
        std::future::ready(response)
    });
    let task = tokio::spawn(async move {
        // axum's accept loop goes on after errors; it ends when this task is aborted.
        _ = axum::serve(listener, router).await;
    });
    Ok(Server { port, task })
}

/// A response with a text.
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
        for method in ["POST", "HEAD", "DELETE"] {
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
