//! The real client, against servers and proxies on real sockets.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ::http::{StatusCode, Uri};
use bytes::Bytes;
use emulator::{Authority, ConnectProxy, TlsFront};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
};

use super::{
    ClientOptions, HttpError, HttpErrorKind, HttpService, Limits, Reason, Request, Response, chain,
    client::ReqwestService,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Nothing in these tests takes long, apart from what shall.
const PATIENT: Limits = Limits {
    first_byte: Duration::from_secs(60),
    total: Duration::from_secs(60),
    max_body: 8,
};

const SHORT: Duration = Duration::from_millis(60);

/// A server that says this once a client has said something, and keeps the connection.
async fn server(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut seen = [0; 1024];
                while client.read(&mut seen).await.is_ok_and(|count| count > 0) {
                    client.write_all(answer).await.unwrap();
                }
            });
        }
    });
    address
}

/// A server whose first connection always gives this answer, and all others a good one. How many there
/// were.
async fn with_an_ill_connection(answer: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let is_ill = count.fetch_add(1, Ordering::SeqCst) == 0;
            tokio::spawn(async move {
                let mut seen = [0; 1024];
                while client.read(&mut seen).await.is_ok_and(|count| count > 0) {
                    let answer = if is_ill { answer } else { OK };
                    client.write_all(answer).await.unwrap();
                    if is_ill && !answer.ends_with(b"\r\n\r\n") {
                        return;
                    }
                }
            });
        }
    });
    (address, connections)
}

async fn status(service: &ReqwestService, url: &str) -> Option<u16> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = url.parse::<Uri>().unwrap();
    let answer = service.call(request, PATIENT).await;
    answer.map(|answer| answer.status().as_u16()).ok()
}

#[tokio::test]
async fn after_an_answer_of_an_ill_connection_the_next_try_is_on_a_new_one() {
    let service =
        || ReqwestService::with_connect_timeout(&ClientOptions::default(), PATIENT.total).unwrap();
    for (ill, first, new) in [
        (
            &b"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n"[..],
            Some(421),
            true,
        ),
        (
            b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n",
            Some(503),
            true,
        ),
        (
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
            Some(502),
            true,
        ),
        (
            b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n",
            Some(504),
            true,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
            None,
            true,
        ),
        (
            b"HTTP/1.1 500 Failed\r\nContent-Length: 0\r\n\r\n",
            Some(500),
            true,
        ),
        (
            b"HTTP/1.1 520 Unknown Error\r\nContent-Length: 0\r\n\r\n",
            Some(520),
            true,
        ),
        (
            b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
            Some(408),
            true,
        ),
        // Another connection makes it no better.
        (
            b"HTTP/1.1 429 Busy\r\nContent-Length: 0\r\n\r\n",
            Some(429),
            false,
        ),
    ] {
        let (address, connections) = with_an_ill_connection(ill).await;
        let url = format!("http://{address}/");
        let service = service();
        assert_eq!(status(&service, &url).await, first);
        for _ in 0..3 {
            let expected = if new { Some(200) } else { first };
            assert_eq!(status(&service, &url).await, expected, "{first:?}");
        }
        let count = connections.load(Ordering::SeqCst);
        assert_eq!(
            count,
            if new { 2 } else { 1 },
            "{first:?}: the new one is kept"
        );
        // Its answer has turned out to be broken off.
        service.renew(&url.parse().unwrap());
        status(&service, &url).await;
        assert_eq!(connections.load(Ordering::SeqCst), count + 1);
    }
}

/// Load balancers close what was not used for a minute, and a collection asks once a minute.
#[tokio::test]
async fn a_connection_is_used_again_only_before_a_load_balancer_may_close_it() {
    for (unused, connections) in [(45, 1), (55, 2)] {
        let (address, count) =
            with_an_ill_connection(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let url = format!("http://{address}/");
        let service =
            ReqwestService::with_connect_timeout(&ClientOptions::default(), PATIENT.total).unwrap();
        assert_eq!(status(&service, &url).await, Some(200));
        pass(unused).await;
        assert_eq!(status(&service, &url).await, Some(200));
        assert_eq!(count.load(Ordering::SeqCst), connections, "{unused} s");
    }
}

/// So many seconds pass, in which a client takes its connection back into its pool.
async fn pass(seconds: u64) {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

/// Else the rows would be missed that the machine at its end does not have yet.
#[tokio::test]
async fn a_connection_that_is_never_idle_is_left_every_two_minutes_where_that_is_wished_for() {
    for (leaves_old, connections) in [(false, 1), (true, 6)] {
        let (address, count) =
            with_an_ill_connection(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let url = format!("http://{address}/");
        let service =
            ReqwestService::with_connect_timeout(&ClientOptions::default(), PATIENT.total).unwrap();
        // Ten minutes.
        for _ in 0..=15 {
            if leaves_old {
                service.leave_old(&url.parse().unwrap());
            }
            assert_eq!(status(&service, &url).await, Some(200));
            pass(40).await;
        }
        assert_eq!(count.load(Ordering::SeqCst), connections);
    }
}

/// An address where nobody listens, and what keeps others from doing it.
fn nobody() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    (socket.local_addr().unwrap(), socket)
}

fn options(ca_cert: Option<&str>, variables: &[(&str, &str)]) -> ClientOptions {
    ClientOptions::read(ca_cert.map(str::to_owned), |name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| *value)
    })
    .unwrap()
}

async fn get(
    options: &ClientOptions,
    url: &str,
    limits: Limits,
    connect_timeout: Duration,
) -> Result<Response, HttpError> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = url.parse::<Uri>().unwrap();
    ReqwestService::with_connect_timeout(options, connect_timeout)
        .unwrap()
        .call(request, limits)
        .await
}

/// The error of a request that shall fail to connect, in one line.
async fn refusal(options: &ClientOptions, url: &str, reason: Reason) -> String {
    let error = get(options, url, PATIENT, PATIENT.total).await.unwrap_err();
    let text = chain(&error);
    assert_eq!(error.reason, Some(reason), "{text}");
    assert_eq!(error.kind, HttpErrorKind::Connect, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    text
}

#[track_caller]
fn has(text: &str, part: &str) {
    assert!(text.contains(part), "no {part:?} in: {text}");
}

#[tokio::test]
async fn an_answer_is_whole_or_an_error() {
    let url = format!("http://{}/", server(OK).await);
    let answer = get(&ClientOptions::default(), &url, PATIENT, PATIENT.total)
        .await
        .unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.body().as_ref()),
        (200, &b"ok"[..])
    );
    let short = Limits {
        max_body: 1,
        ..PATIENT
    };
    let error = get(&ClientOptions::default(), &url, short, PATIENT.total)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.status),
        (HttpErrorKind::TooLarge, Some(StatusCode::OK))
    );
}

/// Python and browsers read them, too.
#[tokio::test]
async fn odd_lines_in_the_head_of_an_answer_cost_no_answer() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nVia: 1.1 proxy\r\n (folded)\r\nContent-Length: 2\r\n\r\nok"[..],
        b"HTTP/1.1 200 OK\r\nX-Scanned : yes\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX Scanned: yes\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nscanned\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let url = format!("http://{}/", server(answer).await);
        let told = get(&ClientOptions::default(), &url, PATIENT, PATIENT.total).await;
        let head = String::from_utf8_lossy(answer);
        assert_eq!(told.unwrap().body().as_ref(), b"ok", "{head}");
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_as_ca_cert_only() {
    let authority = Authority::new();
    let certificate = authority.certificate(&["localhost"]);
    let front = TlsFront::start(server(OK).await, certificate)
        .await
        .unwrap();
    let url = format!("https://localhost:{}/", front.address().port());
    let trusting = options(Some(authority.pem()), &[]);
    let answer = get(&trusting, &url, PATIENT, PATIENT.total).await.unwrap();
    assert_eq!(answer.body().as_ref(), b"ok");

    let other = options(Some(Authority::new().pem()), &[]);
    for options in [ClientOptions::default(), other] {
        let text = refusal(&options, &url, Reason::UnknownAuthority).await;
        has(
            &text,
            "cannot connect to host: localhost: its certificate is from an authority",
        );
        has(&text, "add the authority's certificate as ca_cert");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let certificate = authority.expired_certificate(&["localhost"]);
    let front = TlsFront::start(server(OK).await, certificate)
        .await
        .unwrap();
    let url = format!("https://localhost:{}/", front.address().port());
    let text = refusal(&options(Some(authority.pem()), &[]), &url, Reason::Expired).await;
    has(
        &text,
        "localhost: its certificate has expired: have it renewed",
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let certificate = authority.certificate(&["other.example"]);
    let front = TlsFront::start(server(OK).await, certificate)
        .await
        .unwrap();
    let url = format!("https://localhost:{}/", front.address().port());
    let text = refusal(
        &options(Some(authority.pem()), &[]),
        &url,
        Reason::OtherName,
    )
    .await;
    has(
        &text,
        "its certificate is for another name: check the address",
    );
    has(&text, "other.example");
}

#[tokio::test]
async fn tls_1_1_is_refused() {
    // The greeting of a server that knows no better, and the alert of one that could.
    const GREETING: &[u8] = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02\
        0123456789abcdef0123456789abcdef\x00\x00\x2f\x00";
    const ALERT: &[u8] = b"\x15\x03\x02\x00\x02\x02\x46";
    for hello in [GREETING, ALERT] {
        let url = format!("https://{}/", server(hello).await);
        let text = refusal(&ClientOptions::default(), &url, Reason::OldTls).await;
        has(&text, "127.0.0.1: it offers nothing better than TLS 1.1");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told_apart() {
    let url = format!("https://{}/", server(OK).await);
    let text = refusal(&ClientOptions::default(), &url, Reason::NoTls).await;
    has(&text, "it speaks no TLS there: check the port");
}

#[tokio::test]
async fn a_host_that_is_not_there_is_told() {
    let (address, _taken) = nobody();
    let url = format!("http://{address}/");
    let text = refusal(&ClientOptions::default(), &url, Reason::Refused).await;
    has(
        &text,
        "cannot connect to host: 127.0.0.1: the connection is refused",
    );
    let url = "https://no-such-host.invalid/";
    let text = refusal(&ClientOptions::default(), url, Reason::UnknownName).await;
    has(
        &text,
        "no-such-host.invalid: its name cannot be resolved: check the spelling",
    );
}

#[tokio::test]
async fn a_proxy_connects_to_what_only_it_knows() {
    let authority = Authority::new();
    let certificate = authority.certificate(&["login.test"]);
    let front = TlsFront::start(server(OK).await, certificate)
        .await
        .unwrap();
    let known = [("login.test", front.address())];
    let proxy = ConnectProxy::start(known, Some("user:hunter2 @"))
        .await
        .unwrap();
    let address = format!("http://user:hunter2%20%40@{}", proxy.address());
    let options = options(Some(authority.pem()), &[("HTTPS_PROXY", &address)]);
    let answer = get(&options, "https://login.test/", PATIENT, PATIENT.total).await;
    assert_eq!(answer.unwrap().body().as_ref(), b"ok");
    let text = refusal(&options, "https://other.test/", Reason::ProxyRefused).await;
    has(
        &text,
        &format!(
            "cannot connect to host: other.test through the proxy {}: the proxy refuses",
            proxy.address()
        ),
    );
    has(&text, "add the host to NO_PROXY");
    let passed: Vec<_> = proxy
        .passed()
        .into_iter()
        .map(|passed| passed.status)
        .collect();
    assert_eq!(passed, [200, 403]);
}

#[tokio::test]
async fn a_proxy_wants_credentials() {
    let proxy = ConnectProxy::start([], Some("user:secret")).await.unwrap();
    let address = proxy.address();
    let reason = Reason::ProxyCredentials;
    let without = options(None, &[("https_proxy", &format!("http://{address}"))]);
    let text = refusal(&without, "https://login.test/", reason).await;
    has(
        &text,
        "add them to https_proxy as http://user:password@host:port",
    );
    let wrong = format!("http://user:hunter2@{address}");
    let wrong = options(None, &[("HTTPS_PROXY", &wrong), ("HTTP_PROXY", &wrong)]);
    let text = refusal(&wrong, "https://login.test/", reason).await;
    has(
        &text,
        "the proxy does not accept the user and the password in HTTPS_PROXY",
    );

    // Without TLS there is no tunnel: the proxy's answer comes in the server's place.
    let refusing = server(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n").await;
    let plain = options(
        None,
        &[("HTTP_PROXY", &format!("http://user:hunter2@{refusing}"))],
    );
    let text = refusal(&plain, "http://login.test/", reason).await;
    has(
        &text,
        "the proxy does not accept the user and the password in HTTP_PROXY",
    );
}

#[tokio::test]
async fn a_proxy_out_of_reach_is_named() {
    let (address, _taken) = nobody();
    let proxied = |proxy: &str| options(None, &[("HTTPS_PROXY", proxy)]);
    let gone = proxied(&address.to_string());
    let text = refusal(&gone, "https://login.test/", Reason::ProxyUnreachable).await;
    has(
        &text,
        &format!("through the proxy {address}: the proxy accepts no connection"),
    );
    let unknown = proxied("http://no-such-proxy.invalid:3128");
    let text = refusal(&unknown, "https://login.test/", Reason::UnknownName).await;
    has(
        &text,
        "the proxy's name cannot be resolved: check it in HTTPS_PROXY",
    );
    let plain = proxied(&format!("https://{}", server(OK).await));
    let text = refusal(&plain, "https://login.test/", Reason::ProxyNoTls).await;
    has(&text, "write http:// before its address in HTTPS_PROXY");
}

#[tokio::test]
async fn a_stalled_connection_ends() {
    let silent = server(b"").await;
    let url = format!("https://{silent}/");
    let late = Reason::ConnectTimeout(SHORT);
    let error = get(&ClientOptions::default(), &url, PATIENT, SHORT)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.reason),
        (HttpErrorKind::Connect, Some(late))
    );
    has(
        &chain(&error),
        "no connection within 60ms: let the firewall pass it",
    );

    let proxied = options(None, &[("HTTPS_PROXY", &silent.to_string())]);
    let error = get(&proxied, "https://login.test/", PATIENT, SHORT)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.reason),
        (HttpErrorKind::Connect, Some(late))
    );
    has(&chain(&error), "whether the proxy can reach the host");
}

#[tokio::test]
async fn a_stalled_answer_ends() {
    let options = ClientOptions::default();
    let url = format!("http://{}/", server(b"").await);
    let limits = Limits {
        first_byte: SHORT,
        ..PATIENT
    };
    let error = get(&options, &url, limits, PATIENT.total)
        .await
        .unwrap_err();
    let late = Reason::FirstByte(SHORT);
    assert_eq!(
        (error.kind, error.reason),
        (HttpErrorKind::Timeout, Some(late))
    );
    has(
        &chain(&error),
        "no answer in time from host: 127.0.0.1: nothing came within 60ms",
    );
    assert_eq!(error.status, None);

    let url = format!(
        "http://{}/",
        server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no").await
    );
    let limits = Limits {
        total: SHORT,
        ..PATIENT
    };
    let error = get(&options, &url, limits, PATIENT.total)
        .await
        .unwrap_err();
    let late = Reason::Total(SHORT);
    assert_eq!(
        (error.kind, error.reason),
        (HttpErrorKind::Timeout, Some(late))
    );
    has(&chain(&error), "the answer was not whole within 60ms");
    assert_eq!(error.status, Some(StatusCode::OK), "its head came");
}

/// What `docs/network.md` quotes is what errors say.
#[test]
fn the_documentation_quotes_real_texts() {
    let page = include_str!("../../../../docs/network.md");
    let (_, table) = page.split_once("| It says | Do |").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let quotes: Vec<_> = rows
        .flat_map(|row| {
            let (quoted, _) = row.split_once("` | ").unwrap();
            quoted.split("`, `")
        })
        .collect();
    assert!(quotes.len() > 12, "{quotes:?}");
    let source = include_str!("reason.rs").replace("{limit:?}", "10s");
    let texts = source.split_whitespace().filter(|word| *word != "\\");
    let texts = texts.collect::<Vec<_>>().join(" ");
    for quote in quotes {
        assert!(texts.contains(quote), "no error says {quote:?}");
    }
}
