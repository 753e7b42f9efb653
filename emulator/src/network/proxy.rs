//! A proxy that connects clients to servers they cannot reach themselves.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::TcpStream,
};
use tokio_util::sync::DropGuard;

use super::serve;

/// A request to a [`ConnectProxy`], and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The server that was asked for, as `host:port`.
    pub server: String,
    /// The status of the answer: 200 when there was a connection.
    pub status: u16,
}

/// A proxy that knows the method `CONNECT`. It alone knows where the servers are. When it is
/// dropped, its connections are closed.
#[derive(Debug)]
pub struct ConnectProxy {
    address: SocketAddr,
    passed: Arc<Mutex<Vec<Passed>>>,
    _closing: DropGuard,
}

impl ConnectProxy {
    /// Listens on a free port of the loopback interface. `servers` are the names it knows, any
    /// other is refused with status 403; with `credentials` (`user:password`) it refuses, with
    /// status 407, clients that have no such ones.
    ///
    /// # Errors
    ///
    /// When no port can be bound.
    pub async fn start(
        servers: impl IntoIterator<Item = (&'static str, SocketAddr)>,
        credentials: Option<&str>,
    ) -> io::Result<Self> {
        let passed = Arc::<Mutex<Vec<Passed>>>::default();
        let rules = Arc::new(Rules {
            servers: servers.into_iter().collect(),
            authorization: credentials.map(|pair| format!("Basic {}", STANDARD.encode(pair))),
            passed: Arc::clone(&passed),
        });
        let (address, closing) = serve(move |client| {
            let rules = Arc::clone(&rules);
            async move { rules.pass(client).await }
        })
        .await?;
        Ok(Self {
            address,
            passed,
            _closing: closing,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far.
    pub fn passed(&self) -> Vec<Passed> {
        let passed = self.passed.lock();
        passed.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Rules {
    servers: HashMap<&'static str, SocketAddr>,
    authorization: Option<String>,
    passed: Arc<Mutex<Vec<Passed>>>,
}

impl Rules {
    async fn pass(&self, client: TcpStream) -> io::Result<()> {
        let mut client = BufReader::new(client);
        let Some((server, authorization)) = read_head(&mut client).await? else {
            return client
                .write_all(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
                .await;
        };
        let host = server.split(':').next().unwrap_or_default();
        let answer = match self.servers.get(host) {
            _ if self.authorization.is_some() && self.authorization != authorization => {
                Err((407, "Proxy Authentication Required"))
            }
            None => Err((403, "Forbidden")),
            Some(address) => Ok(*address),
        };
        let status = answer.map_or_else(|(status, _)| status, |_| 200);
        self.passed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Passed { server, status });
        match answer {
            Err((status, words)) => {
                let head = format!("HTTP/1.1 {status} {words}\r\nContent-Length: 0\r\n\r\n");
                client.write_all(head.as_bytes()).await
            }
            Ok(address) => {
                let mut server = TcpStream::connect(address).await?;
                client
                    .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    .await?;
                copy_bidirectional(&mut client, &mut server).await?;
                Ok(())
            }
        }
    }
}

/// The server that is asked for, and the credentials for the proxy. None for another method.
async fn read_head(
    client: &mut BufReader<TcpStream>,
) -> io::Result<Option<(String, Option<String>)>> {
    let mut line = String::new();
    client.read_line(&mut line).await?;
    let connect = line
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split(' ').next());
    let server = connect.map(str::to_owned);
    let mut authorization = None;
    while line.trim_end() != "" {
        line.clear();
        client.read_line(&mut line).await?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("proxy-authorization")
        {
            authorization = Some(value.trim().to_owned());
        }
    }
    Ok(server.map(|server| (server, authorization)))
}
