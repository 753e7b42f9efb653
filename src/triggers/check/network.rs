//! Whether the servers answer, and what time they have.

use std::time::Duration;

use base::http::{Limits, chain};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::Uri;
use microsoft::written_at;
use sekoia::{Context, Findings};
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use super::{CLOCK, NETWORK};
use crate::triggers::{state::ServiceNow, words::span};

/// Any answer will do, and it has no body.
const LIMITS: Limits = Limits {
    first_byte: Duration::from_secs(20),
    total: Duration::from_secs(20),
    max_body: 1 << 20,
};

/// More than that makes tokens and queries of the present be refused.
const TOLERANCE: TimeDelta = TimeDelta::seconds(60);

pub(super) struct Reached(Vec<Option<Answered>>);

pub(super) struct Answered {
    host: String,
    /// How far this machine's clock is ahead of the server's, at least; none when its answer does not tell.
    ahead: Option<TimeDelta>,
    took: Duration,
}

impl Reached {
    /// Asks servers for any answer, each once.
    pub(super) async fn servers(
        addresses: impl Iterator<Item = &str>,
        context: &Context,
        findings: &mut Findings<'_>,
    ) -> Self {
        let mut roots: Vec<String> = addresses.filter_map(root).collect();
        roots.dedup();
        let mut answers = Vec::new();
        for root in &roots {
            answers.push(reach(root, context, findings).await);
        }
        Self(answers)
    }

    pub(super) fn all(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }

    /// What time it is by the servers when it is `now` here.
    pub(super) fn time(&self, now: DateTime<Utc>) -> ServiceNow {
        let ahead = self.0.iter().flatten().find_map(|answer| answer.ahead);
        ServiceNow {
            at: now - ahead.unwrap_or_default(),
            is_told: ahead.is_some(),
        }
    }

    pub(super) fn compare_clocks(&self, findings: &mut Findings<'_>) {
        let told = self.0.iter().flatten();
        let mut told = told.filter_map(|answer| Some((answer, answer.ahead?)));
        let Some((Answered { host, took, .. }, ahead)) = told.next() else {
            findings.skip(CLOCK, "no server of Microsoft tells its time");
            return;
        };
        #[allow(clippy::cast_precision_loss, reason = "a figure")]
        let facts = json!({"seconds_ahead": ahead.num_milliseconds() as f64 / 1000.0});
        if ahead.abs() <= TOLERANCE {
            let text = format!("within {} s of {host}", apart(ahead, *took));
            findings.pass(CLOCK, text, facts);
        } else {
            let side = if ahead > TimeDelta::zero() {
                "ahead of"
            } else {
                "behind"
            };
            let text = format!(
                "this machine's clock is {} {side} that of {host}: set it right, and keep it so \
                 with NTP. Rows are asked for by the service's clock meanwhile; the sign-in with a \
                 certificate may be refused",
                span(ahead.abs())
            );
            // Whether anything fails for it, the lines below tell.
            findings.warn(CLOCK, text, facts);
        }
    }
}

/// Asks the server of an address for any answer; none when there is none.
pub(super) async fn reach(
    address: &str,
    context: &Context,
    findings: &mut Findings<'_>,
) -> Option<Answered> {
    let root: Uri = root(address)?.parse().ok()?;
    let host = root.authority().map_or("", |host| host.as_str()).to_owned();
    let request = http::Request::head(root.clone());
    let request = request.body(Bytes::new()).ok()?;
    let (asked, began) = (context.clock.now(), Instant::now());
    let answer = match context.http.send(request, LIMITS).await {
        Ok(answer) => answer,
        Err(error) => {
            findings.fail(NETWORK, chain(&error), json!({"host": host}));
            return None;
        }
    };
    let took = began.elapsed();
    let secure = root.scheme_str() == Some("https");
    let protocol = if secure { "over TLS" } else { "without TLS" };
    let via = context.http.via(&root);
    let through = via.as_ref().map_or_else(String::new, |via| {
        format!(" through the proxy {via} ({})", via.variable)
    });
    let text = format!(
        "{host} answers in {} ms {protocol}{through}",
        took.as_millis()
    );
    let proxy = via.map(|via| via.to_string());
    let facts = json!({"host": host, "milliseconds": took.as_millis(), "proxy": proxy});
    findings.pass(NETWORK, text, facts);
    let date = written_at(answer.headers());
    Some(Answered {
        host,
        ahead: date.map(|date| ahead(date, asked, context.clock.now())),
        took,
    })
}

/// Scheme, host and port of an address.
fn root(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    Some(format!("{}/", url.origin().ascii_serialization()))
}

/// How far our clock is ahead of the server's, at least; zero when they may agree. The server wrote
/// its date, cut to seconds, between the two instants of ours.
fn ahead(date: DateTime<Utc>, asked: DateTime<Utc>, answered: DateTime<Utc>) -> TimeDelta {
    let latest = date + TimeDelta::seconds(1);
    if asked > latest {
        asked - latest
    } else if answered < date {
        answered - date
    } else {
        TimeDelta::zero()
    }
}

/// How many seconds two clocks are apart at most, to the second. The server's date is cut to one, and may be of
/// any moment of the answer.
fn apart(ahead: TimeDelta, took: Duration) -> u64 {
    let took = took + Duration::from_millis(500);
    ahead.num_seconds().unsigned_abs() + 1 + took.as_secs()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_795_000_000_000 + millis).unwrap()
    }

    #[test]
    fn clocks_that_may_agree_do() {
        let ahead = |asked, answered| ahead(at(5000), at(asked), at(answered)).num_milliseconds();
        assert_eq!(ahead(4000, 9000), 0);
        assert_eq!(ahead(5900, 6100), 0);
        assert_eq!(ahead(66_500, 66_600), 60_500);
        assert_eq!(ahead(-56_000, -55_000), -60_000);
    }

    #[test]
    fn the_first_server_that_tells_its_time_counts() {
        let answered = |ahead| {
            let (host, took) = (String::new(), Duration::ZERO);
            Some(Answered { host, ahead, took })
        };
        let time = |answers| {
            let ServiceNow { at, is_told } = Reached(answers).time(at(0));
            (at, is_told)
        };
        assert_eq!(time(vec![None, answered(None)]), (at(0), false));
        let ahead = |seconds| answered(Some(TimeDelta::seconds(seconds)));
        let answers = vec![answered(None), ahead(-3600), ahead(5)];
        assert_eq!(time(answers), (at(3_600_000), true));
    }

    #[test]
    fn an_answer_that_takes_long_tells_the_time_less_well() {
        let within = |ahead, took| apart(TimeDelta::seconds(ahead), Duration::from_millis(took));
        assert_eq!(within(0, 40), 1);
        assert_eq!(within(-3, 40), 4);
        assert_eq!(within(0, 5900), 7);
    }

    #[test]
    fn a_date_is_read_in_each_form_and_out_of_no_cache() {
        let headers = |pairs: &[(&'static str, &str)]| {
            let pairs = pairs.iter();
            let pairs = pairs.map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, value.parse::<http::HeaderValue>().unwrap())
            });
            pairs.collect::<HeaderMap>()
        };
        let now = DateTime::from_timestamp(1_795_348_800, 0).unwrap();
        let behind = |headers: &HeaderMap| {
            let date = written_at(headers)?;
            Some(ahead(date, now, now).num_seconds())
        };
        for date in [
            "Sun, 22 Nov 2026 12:10:00 GMT",
            "Sunday, 22-Nov-26 12:10:00 GMT",
            "Sun Nov 22 12:10:00 2026",
            "Sun, 22 Nov 2026 13:10:00 +0100",
        ] {
            assert_eq!(behind(&headers(&[("date", date)])), Some(-600), "{date}");
        }
        let old = ("date", "Sun, 22 Nov 2026 06:00:00 GMT");
        assert_eq!(behind(&headers(&[old, ("age", "21600")])), None);
        assert_eq!(behind(&headers(&[])), None);
    }

    #[test]
    fn only_the_root_of_a_server_is_asked() {
        assert_eq!(
            root("https://h:8443/a/b?c").as_deref(),
            Some("https://h:8443/")
        );
        assert_eq!(root("no address"), None);
    }
}
