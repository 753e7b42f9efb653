//! What companies put between a program and the internet: private certificate authorities, and
//! proxies.

mod authority;
mod front;
mod proxy;

use std::{future::Future, io, net::SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use authority::{Authority, ServerCertificate};
pub use front::TlsFront;
pub use proxy::{ConnectProxy, Passed};

/// Serves each connection to a free port of the loopback interface, until the guard is dropped.
async fn serve<F>(
    answer: impl Fn(TcpStream) -> F + Send + 'static,
) -> io::Result<(SocketAddr, DropGuard)>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let closing = CancellationToken::new();
    let closed = closing.clone();
    tokio::spawn(closing.clone().run_until_cancelled_owned(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(closed.clone().run_until_cancelled_owned(answer(stream)));
        }
    }));
    Ok((address, closing.drop_guard()))
}
