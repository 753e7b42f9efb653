//! What hostile answers cost: at most three times their length beyond it, and they are at most 64
//! MiB. What is noted of rows has a bound of its own, as no more rows are read than no page has.
//!
//! All memory that this process takes is counted, the client's and that of the page, but for the few
//! kilobytes of the server beside it. As the count is one for the process, there is one test.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use base::{
    Clock, Secret,
    http::{ClientOptions, Http},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use microsoft::{
    Credential, EventFormat, Graph, Identity, Limiter, PasswordGuard, Quota, ReportingService,
    Resource, Share, SignIn, TokenCache, Urgency,
};
use peak_alloc::PeakAlloc;
use rows::{RowKeyer, Window};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The longest answer that is read.
const LONGEST: usize = 64 << 20;

/// How long the answers are: without optimization all of them would take half an hour.
const LENGTH: usize = if cfg!(debug_assertions) {
    4 << 20
} else {
    LONGEST - 1024
};

/// What does not depend on the answer: connections, errors, a few kilobytes of the server.
const REST: usize = 1 << 20;

/// What is noted of the most rows and dates that are read of an answer of any length.
const NOTES: usize = 24 << 20;

/// An answer: a head, a part that comes again and again, a tail.
#[derive(Clone, Copy, Debug)]
struct Shape {
    status: u16,
    head: &'static [u8],
    part: &'static [u8],
    tail: &'static [u8],
    /// Its length, about.
    bytes: usize,
    /// What it may cost at any length.
    rest: usize,
}

impl Shape {
    /// As long as an answer may be.
    const fn new(head: &'static str, part: &'static str, tail: &'static str) -> Self {
        Self {
            status: 200,
            head: head.as_bytes(),
            part: part.as_bytes(),
            tail: tail.as_bytes(),
            bytes: LENGTH,
            rest: REST,
        }
    }

    /// The same of an answer with very many rows or dates.
    const fn noted(self) -> Self {
        Self {
            rest: REST + NOTES,
            ..self
        }
    }

    fn parts(&self) -> usize {
        self.bytes / self.part.len()
    }

    fn length(&self) -> usize {
        self.head.len() + self.parts() * self.part.len() + self.tail.len()
    }

    fn name(&self) -> String {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let (head, part, tail) = (text(self.head), text(self.part), text(self.tail));
        format!("{} {head} {part}... {tail}", self.status)
    }
}

/// What is answered, which takes no memory of its own.
#[derive(Clone, Debug)]
enum Body {
    Shaped(Shape),
    /// The same without saying how long it is.
    Endless(Shape),
    Packed(Arc<Vec<u8>>),
}

#[derive(Clone, Debug)]
struct Server {
    address: String,
    body: Arc<Mutex<Body>>,
}

impl Server {
    fn start(body: Body) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            body: Arc::new(Mutex::new(body)),
        };
        let theirs = server.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let theirs = theirs.clone();
                std::thread::spawn(move || theirs.serve(connection.unwrap()));
            }
        });
        server
    }

    /// Answers one request; the client may have left before the end.
    fn serve(&self, mut connection: TcpStream) -> Option<()> {
        let mut asked = Vec::new();
        let mut buffer = [0; 4096];
        while !asked.windows(4).any(|four| four == b"\r\n\r\n") {
            let length = connection.read(&mut buffer).ok().filter(|n| *n > 0)?;
            asked.extend_from_slice(&buffer[..length]);
        }
        if asked.starts_with(b"POST") {
            let token = token();
            let text = format!("{{\"expires_in\":3599,\"access_token\":\"{token}\"}}");
            let head = head(200, &format!("content-length: {}\r\n", text.len()));
            return write!(connection, "{head}{text}").ok();
        }
        let body = self.body.lock().unwrap().clone();
        let (shape, length) = match &body {
            Body::Packed(bytes) => {
                let length = format!("content-length: {}\r\n", bytes.len());
                let head = head(200, &format!("content-encoding: gzip\r\n{length}"));
                connection.write_all(head.as_bytes()).ok()?;
                return connection.write_all(bytes).ok();
            }
            Body::Shaped(shape) => (shape, format!("content-length: {}\r\n", shape.length())),
            Body::Endless(shape) => (shape, String::new()),
        };
        connection
            .write_all(head(shape.status, &length).as_bytes())
            .ok()?;
        connection.write_all(shape.head).ok()?;
        let at_once = (64 << 10) / shape.part.len();
        let many = shape.part.repeat(at_once);
        for _ in 0..shape.parts() / at_once {
            connection.write_all(&many).ok()?;
        }
        let rest = shape.parts() % at_once * shape.part.len();
        connection.write_all(&many[..rest]).ok()?;
        connection.write_all(shape.tail).ok()
    }
}

fn head(status: u16, headers: &str) -> String {
    format!("HTTP/1.1 {status} Status\r\nconnection: close\r\n{headers}\r\n")
}

fn token() -> String {
    let claims =
        r#"{"aud":"https://graph.microsoft.com","roles":["ExchangeMessageTrace.Read.All"]}"#;
    let encode = |part: &str| BASE64_URL_SAFE_NO_PAD.encode(part);
    format!("{}.{}.c2ln", encode("{}"), encode(claims))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Graph,
    Renamed,
    Reporting,
}

/// Reads a page; how many rows it has, or what was wrong, and how much memory that took at most.
async fn read(format: Format, body: Body) -> (Result<usize, String>, usize) {
    let server = Server::start(body);
    let http = Http::client(&ClientOptions::read(None, |_| None).unwrap()).unwrap();
    let clock = Clock::system();
    let url = |path: &str| format!("{}{path}", server.address).parse().unwrap();
    let keyer = RowKeyer::new([1; 16]);
    let now = clock.now();
    let window = Window::new(now - TimeDelta::hours(2), now - TimeDelta::hours(1)).unwrap();
    if format == Format::Reporting {
        let sign_in = SignIn::Basic {
            account: "a@b.test".to_owned(),
            password: Secret::new("secret"),
            guard: Arc::new(PasswordGuard::new(clock.clone())),
        };
        let service = ReportingService::new(http, clock, url("/reporting.svc"), sign_in, keyer);
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let page = service.page(window, None).await;
        let peak = MEMORY.peak_usage() - before;
        let page = page.map(|page| page.len());
        return (page.map_err(|error| error.to_string()), peak);
    }
    let identity = Identity::App {
        login: url(""),
        tenant: "tenant".to_owned(),
        client: "client".to_owned(),
        credential: Credential::ClientSecret(Secret::new("secret")),
    };
    let base = url("/v1.0");
    let resource = Resource::graph(&base);
    let tokens = TokenCache::new(http.clone(), clock.clone(), identity, resource);
    let form = match format {
        Format::Renamed => EventFormat::Reporting,
        _ => EventFormat::Graph,
    };
    let limiter = Limiter::new(Quota::new(Share::default()), clock.clone());
    let graph = Graph::new(http, clock, base, Arc::new(tokens), keyer, form, limiter);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let page = graph.page(window, None, Urgency::Now).await;
    let peak = MEMORY.peak_usage() - before;
    let page = page.map(|page| page.len());
    (page.map_err(|error| error.to_string()), peak)
}

/// Answers that want more than they are.
fn shapes() -> Vec<Shape> {
    let member = r#","":0"#;
    let mut shapes = vec![
        // Members: of the answer, of an error, of a row, of something in a row.
        Shape::new(r#"{"":0"#, member, "}"),
        Shape::new(r#"{"error":{"":0"#, member, "}}"),
        Shape::new(r#"{"value":[{"":0"#, member, "}]}"),
        Shape::new(r#"{"value":[{"id":0"#, r#","id":0"#, "}]}"),
        Shape::new(r#"{"value":[{"__metadata":{"":0"#, member, "}}]}"),
        Shape::new(r#"{"value":[],"a":[0"#, ",0", "]}"),
        // Rows.
        Shape::new(r#"{"value":[0"#, ",0", "]}"),
        Shape::new(r#"{"value":[{}"#, ",{}", "]}").noted(),
        Shape::new(r#"{"value":[{"id":"1"}"#, r#",{"id":"1"}"#, "]}").noted(),
        Shape::new(r#"{"value":[null,{"":0"#, member, "}]}"),
        // Depth.
        Shape::new(r#"{"value":[{"a":"#, "[", ""),
        Shape::new(r#"{"value":[{"a":"#, r#"{"a":"#, ""),
        // One long text: a link, a status, an id, a subject, a page of a proxy.
        Shape::new(r#"{"value":[],"@odata.nextLink":""#, "a", r#""}"#),
        Shape::new(r#"{"value":[],"@odata.nextLink":""#, r"\u00e9", r#""}"#),
        Shape::new(r#"{"value":[{"status":""#, "İ", r#""}]}"#),
        Shape::new(r#"{"value":[{"status":""#, r"\n", r#""}]}"#),
        Shape::new(
            r#"{"value":[{"recipientAddress":"a","id":""#,
            "İ",
            r#""}]}"#,
        ),
        Shape::new(r#"{"value":[{"subject":""#, r"\u0130", r#""}]}"#),
        Shape::new(r#"{"value":[{"subject":""#, "\n", r#""}]}"#),
        Shape::new("<html><title>", "a", "</title>"),
        // Dates, which may be written anew.
        Shape::new(
            r#"{"value":[{"a":0"#,
            r#","Received":"2026-01-01T00:00:00Z""#,
            "}]}",
        )
        .noted(),
        Shape::new(
            r#"{"value":[{}"#,
            r#",{"EndDate":"2026-01-01T00:00:00Z"}"#,
            "]}",
        )
        .noted(),
        Shape {
            part: b"\xe9",
            ..Shape::new(r#"{"value":[{"subject":""#, " ", r#""}]}"#)
        },
    ];
    for status in [400, 401, 403, 429, 500] {
        shapes.push(Shape {
            status,
            ..Shape::new(r#"{"error":{"":0"#, member, "}}")
        });
    }
    shapes
}

#[tokio::test]
async fn hostile_answers_cost_at_most_three_times_their_length_beyond_it() {
    let mut too_much = Vec::new();
    for shape in shapes() {
        // Both services are read alike but for dates.
        let has_dates = shape
            .part
            .windows(4)
            .any(|four| four == b"Date" || four == b"Rece");
        let formats = match shape.status {
            200 if has_dates => &[Format::Graph, Format::Renamed, Format::Reporting][..],
            200 => &[Format::Graph, Format::Renamed],
            _ => &[Format::Graph],
        };
        for format in formats {
            let (page, peak) = read(*format, Body::Shaped(shape)).await;
            let beyond = peak.saturating_sub(shape.length());
            let times = beyond as f64 / shape.length() as f64;
            let line = format!("{times:.2} {format:?} {} {page:?}", shape.name());
            // An answer that nobody has asked for, as no token was had, costs nothing.
            let was_read = shape.status != 200 || peak >= shape.length();
            assert!(was_read, "only {peak} bytes: {line}");
            if beyond > 3 * shape.length() + shape.rest {
                too_much.push(line);
            }
        }
    }
    assert!(too_much.is_empty(), "{}", too_much.join("\n"));

    // Longer ones are not read to their end, however they come.
    let long = Shape {
        bytes: LONGEST + 1024,
        ..Shape::new(r#"{"":0"#, r#","":0"#, "}")
    };
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..2048 {
        packed.write_all(&[b' '; 64 << 10]).unwrap();
    }
    let packed = Arc::new(packed.finish().unwrap());
    for (body, most) in [
        (Body::Shaped(long), REST),
        (Body::Endless(long), 2 * LONGEST + REST),
        (Body::Packed(packed), 2 * LONGEST + REST),
    ] {
        let (page, peak) = read(Format::Graph, body).await;
        page.unwrap_err();
        assert!(peak <= most, "{peak}");
    }
}
