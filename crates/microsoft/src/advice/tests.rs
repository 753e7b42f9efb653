use std::time::Duration;

use base::retry::retry_after;
use chrono::DateTime;
use uuid::Uuid;

use super::*;
use crate::{Error, oddities::is_odd};

mod graph;
mod reporting;

/// An answer and what was asked, judged by `judge`.
struct Case<'a> {
    judge: fn(&Refusal<'_>) -> Error,
    by_app: bool,
    status: u16,
    headers: &'a [(&'static str, &'a str)],
    body: &'a str,
    link: Option<&'a str>,
    /// Whether answers like this have lasted.
    lasts: bool,
    permitted: Option<&'static str>,
}

impl Case<'_> {
    fn judged(&self) -> (ErrorClass, String) {
        let error = self.error();
        (error.class(), error.to_string())
    }

    fn error(&self) -> Error {
        let mut response = Response::new(self.body.to_owned().into());
        *response.status_mut() = self.status.try_into().unwrap();
        for (name, value) in self.headers {
            response.headers_mut().append(*name, value.parse().unwrap());
        }
        let link = self
            .link
            .map(|text| Link::resolve(&text.parse().unwrap(), text).unwrap());
        (self.judge)(&Refusal {
            asked: &"https://service.test/page".parse().unwrap(),
            odd: is_odd(&response).then_some(self.lasts),
            permitted: self.permitted,
            response: &response,
            request_id: Uuid::nil(),
            link: link.as_ref(),
            secrets: vec![],
            by_app: self.by_app,
            retry_after: retry_after(response.headers(), DateTime::UNIX_EPOCH),
        })
    }
}

/// Asserts a class and parts of the sentence.
#[track_caller]
fn says((found, sentence): &(ErrorClass, String), class: ErrorClass, parts: &[&str]) {
    assert_eq!(*found, class, "{sentence}");
    assert!(!sentence.ends_with('.'), "{sentence}");
    for part in parts {
        assert!(
            sentence.contains(part),
            "`{part}` is missing in: {sentence}"
        );
    }
}

fn after(seconds: u64) -> ErrorClass {
    ErrorClass::Throttled {
        after: Some(Duration::from_secs(seconds)),
    }
}

const TRANSIENT: ErrorClass = ErrorClass::Transient { after: None };
