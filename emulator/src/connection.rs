//! Connections that can be reset from the inside.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use futures_util::future::FutureExt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Stands in an in-memory response's extensions for a connection that was dropped: over a socket
/// there would have been no response at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionDropped;

/// Stands in an in-memory request's extensions for the connection on which it comes: requests with
/// the same number have the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionNumber(pub u64);

/// Connections that were accepted, of all emulators of this process.
static ACCEPTED: AtomicU64 = AtomicU64::new(0);

/// The connection that a request came on.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    number: ConnectionNumber,
    reset: CancellationToken,
}

impl Peer {
    pub(crate) fn number(&self) -> ConnectionNumber {
        self.number
    }

    pub(crate) fn reset(&self) {
        self.reset.cancel();
    }
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        let connection = stream.io();
        Self {
            number: connection.number,
            reset: connection.reset.clone(),
        }
    }
}

/// Accepts connections until it is dropped; resets them all when `closing` is cancelled.
pub(crate) struct Listener {
    pub(crate) inner: TcpListener,
    pub(crate) closing: CancellationToken,
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.inner).await;
        (Connection::new(stream, self.closing.child_token()), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

/// A connection that fails once its token is cancelled.
pub(crate) struct Connection {
    number: ConnectionNumber,
    stream: TcpStream,
    reset: CancellationToken,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    dead: bool,
}

impl Connection {
    fn new(stream: TcpStream, reset: CancellationToken) -> Self {
        // Answers of many small writes shall not wait for one another.
        stream.set_nodelay(true).ok();
        Self {
            number: ConnectionNumber(ACCEPTED.fetch_add(1, Ordering::Relaxed)),
            stream,
            cancelled: Box::pin(reset.clone().cancelled_owned()),
            reset,
            dead: false,
        }
    }

    /// Fails when the connection shall be reset.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.dead && self.cancelled.poll_unpin(context).is_ready() {
            self.dead = true;
            // The peer shall see a reset, not an orderly end.
            self.stream.set_zero_linger().ok();
        }
        if self.dead {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
