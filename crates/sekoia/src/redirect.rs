//! Following where an answer points, within narrow bounds.

use base::http::{Http, HttpError, Limits, Request, Response};
use http::{HeaderMap, StatusCode, Uri, header::LOCATION};
use url::Url;

/// An answer is followed so many times at most.
const HOPS: usize = 3;

/// Hosts of Sekoia.io may point to one another.
const SEKOIA: &str = "sekoia.io";

#[derive(Debug)]
pub(super) struct Sent {
    /// The last answer.
    pub(super) answer: Response,
    /// Where it points and why that is not followed, as the end of a sentence; none when it points
    /// nowhere.
    pub(super) astray: Option<String>,
}

/// Sends a request. Answers with 307 or 308 are followed at most three times, with the same request:
/// to `https`, to the same host or from one host of Sekoia.io to another. It is never remembered: the
/// next request goes to its own address.
pub(super) async fn send(http: &Http, request: Request, limits: Limits) -> Result<Sent, HttpError> {
    let mut to = request.uri().clone();
    let mut hops = 0;
    loop {
        let mut next = request.clone();
        *next.uri_mut() = to.clone();
        let answer = http.send(next, limits).await?;
        let mut astray = None;
        if answer.status().is_redirection() {
            match target(&to, &answer, hops) {
                Ok(target) => {
                    (to, hops) = (target, hops + 1);
                    continue;
                }
                Err(why) => astray = Some(why),
            }
        }
        return Ok(Sent { answer, astray });
    }
}

/// Where an answer points, or why that is not followed.
fn target(from: &Uri, answer: &Response, hops: usize) -> Result<Uri, String> {
    let Some(to) = location(from, answer.headers()) else {
        return Err("; it points elsewhere and does not say where".to_owned());
    };
    let astray = |why: &str| {
        Err(format!(
            "; it points to {}, which is not followed: {why}",
            shown(&to)
        ))
    };
    let follows = [
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let host = to.host_str().unwrap_or_default();
    let own = from.host().unwrap_or_default();
    if !follows.contains(&answer.status()) {
        astray("only 307 and 308 keep the request as it is")
    } else if to.scheme() != "https" {
        astray("it is not https")
    } else if !(own.eq_ignore_ascii_case(host) || is_sekoia(own) && is_sekoia(host)) {
        astray("it is another host")
    } else if hops >= HOPS {
        astray("it is the fourth such answer")
    } else {
        let uri = to.as_str().parse();
        uri.or_else(|_| astray("it is not an address"))
    }
}

fn location(from: &Uri, headers: &HeaderMap) -> Option<Url> {
    let text = headers.get(LOCATION)?.to_str().ok()?.trim();
    Url::parse(&from.to_string()).ok()?.join(text).ok()
}

fn is_sekoia(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == SEKOIA
        || host
            .strip_suffix(SEKOIA)
            .is_some_and(|rest| rest.ends_with('.'))
}

/// An address without what may be secret in it.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}"));
    format!(
        "{}://{}{}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        port.unwrap_or_default(),
        url.path()
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{platform::LIMITS, testing::Fake};

    /// From one address, with this status, to another.
    type Point = (&'static str, u16, &'static str);

    /// Asks the first address, where answers point like this; what was asked, and the last answer.
    async fn ask(points: &'static [Point]) -> (Vec<String>, Sent) {
        let fake = Fake::answering(move |request| {
            let asked = request.uri().to_string();
            let next = points.iter().find(|(from, ..)| *from == asked);
            next.map_or((200, String::new()), |(_, status, to)| {
                (*status, format!("header: location={to}\n\n"))
            })
        });
        let mut request = http::Request::new(Bytes::from_static(b"body"));
        *request.uri_mut() = points[0].0.parse().unwrap();
        *request.method_mut() = http::Method::POST;
        let token = http::HeaderValue::from_static("Bearer t0ken");
        request.headers_mut().insert("authorization", token);
        let sent = send(&fake.http(), request, LIMITS).await.unwrap();
        let requests = fake.requests();
        for one in &requests {
            assert!(one.body() == "body" && one.method() == "POST");
            assert_eq!(one.headers()["authorization"], "Bearer t0ken");
        }
        let asked = requests.iter().map(|one| one.uri().to_string());
        (asked.collect(), sent)
    }

    static ROUND: [Point; 4] = [
        ("https://h/1", 307, "2"),
        ("https://h/2", 307, "3"),
        ("https://h/3", 307, "4"),
        ("https://h/4", 307, "5"),
    ];

    #[tokio::test]
    async fn the_same_host_and_hosts_of_sekoia_are_followed() {
        for (points, last) in [
            (&[("https://h/b", 307, "/v2/b")][..], "https://h/v2/b"),
            (&[("https://h/b", 308, "https://H:1/x")], "https://h:1/x"),
            (&[("http://h/b", 307, "https://h/b")], "https://h/b"),
            (
                &[("https://a.sekoia.io/b", 307, "https://b.fra2.sekoia.io/b")],
                "https://b.fra2.sekoia.io/b",
            ),
            (&ROUND[..3], "https://h/4"),
        ] {
            let (asked, sent) = ask(points).await;
            assert_eq!(asked.last().unwrap(), last);
            assert!(
                sent.astray.is_none() && sent.answer.status() == 200,
                "{sent:?}"
            );
        }
    }

    #[tokio::test]
    async fn anything_else_is_not_followed_and_said_with_the_address() {
        for (points, requests, said) in [
            (
                &[("https://h/b", 307, "http://h/c?d=e")][..],
                1,
                "http://h/c, which is not followed: it is not https",
            ),
            (
                &[("https://h/b", 302, "https://h/c")],
                1,
                "https://h/c, which is not followed: only 307",
            ),
            (
                &[("https://h/b", 307, "https://i/c")],
                1,
                "https://i/c, which is not followed: it is another host",
            ),
            (
                &[("https://a.sekoia.io/b", 308, "https://evilsekoia.io/c")],
                1,
                "another host",
            ),
            (
                &[("https://a.sekoia.io/b", 308, "https://sekoia.io.evil.test/")],
                1,
                "another host",
            ),
            (
                &[("https://h/b", 307, "https://a.sekoia.io/c")],
                1,
                "another host",
            ),
            (&[("https://h/b", 307, "")], 4, "the fourth"),
            (&ROUND, 4, "the fourth"),
        ] {
            let (asked, sent) = ask(points).await;
            assert_eq!(asked.len(), requests, "{asked:?}");
            let astray = sent.astray.unwrap();
            assert!(astray.contains(said), "{astray}");
            assert!(!astray.contains("d=e"), "{astray}");
        }
    }
}
