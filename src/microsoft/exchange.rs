//! One signed request and its answer.

use std::mem;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::AUTHORIZATION};
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use super::{
    Error, Limiter, PAGE_LIMITS, SignIn, Urgency,
    advice::{Refusal, lacks_service_principal},
    link::Link,
    oddities::{Oddities, is_odd},
    pace::Pace,
    redirect,
    sign_in::Authorization,
};
use crate::{
    Clock,
    http::{Http, Response},
};

/// The id that a client gives its request; the service repeats it in its own log.
const REQUEST_ID: &str = "client-request-id";

/// Sends signed requests to one service.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) http: Http,
    pub(super) clock: Clock,
    pub(super) sign_in: SignIn,
    /// What every request carries.
    pub(super) headers: HeaderMap,
    /// What every request waits for.
    pub(super) limiter: Option<Limiter>,
    /// How long answers take.
    pub(super) pace: Pace,
    /// Since when there are none but odd answers.
    pub(super) oddities: Oddities,
}

/// An answer, and what was sent for it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response,
    /// The address that gave it.
    pub(super) url: Url,
    pub(super) request_id: Uuid,
    /// Whether it is one of those that pass by themselves, and if so, whether they have lasted too
    /// long for that.
    odd: Option<bool>,
    authorization: Authorization,
}

impl Exchange {
    /// Asks for `url`. When a token is refused, asks once more with a new one, unless the refusal
    /// has a reason that no token cures.
    pub(super) async fn get(&self, url: &Url, urgency: Urgency) -> Result<Answer, Error> {
        let first = self
            .send(url, self.sign_in.authorize().await?, urgency)
            .await?;
        if first.response.status() != StatusCode::UNAUTHORIZED
            || lacks_service_principal(first.response.body())
        {
            return Ok(first);
        }
        match self.sign_in.renew(&first.authorization).await? {
            Some(renewed) => self.send(url, renewed, urgency).await,
            None => Ok(first),
        }
    }

    async fn send(
        &self,
        url: &Url,
        authorization: Authorization,
        urgency: Urgency,
    ) -> Result<Answer, Error> {
        if let Some(limiter) = &self.limiter {
            limiter.admit(urgency).await;
        }
        let request_id = Uuid::new_v4();
        let mut request = http::Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|error: http::uri::InvalidUri| Error::Request(error.into()))?;
        *request.headers_mut() = self.headers.clone();
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, authorization.header.clone());
        if let Ok(id) = HeaderValue::try_from(request_id.to_string()) {
            headers.insert(REQUEST_ID, id);
        }
        let asked = Instant::now();
        let (response, url) = redirect::send(&self.http, request, url.clone(), PAGE_LIMITS)
            .await
            .map_err(Error::NoAnswer)?;
        self.pace.learn(asked.elapsed());
        let is_odd = is_odd(&response);
        let lasts = self.oddities.last(url.as_str(), is_odd, Instant::now());
        Ok(Answer {
            response,
            url,
            request_id,
            odd: is_odd.then_some(lasts),
            authorization,
        })
    }

    /// What a refusal is judged by.
    pub(super) fn refusal<'a>(&self, answer: &'a Answer, link: Option<&'a Link>) -> Refusal<'a> {
        Refusal {
            response: &answer.response,
            asked: &answer.url,
            odd: answer.odd,
            permitted: answer.authorization.permitted(),
            request_id: answer.request_id,
            link,
            secrets: answer.secrets(),
            by_app: matches!(self.sign_in, SignIn::Bearer(_)),
            now: self.clock.now(),
        }
    }
}

impl Answer {
    /// Takes the body out.
    pub(super) fn take_body(&mut self) -> Bytes {
        mem::take(self.response.body_mut())
    }

    /// What must not appear in a message.
    pub(super) fn secrets(&self) -> Vec<&str> {
        self.authorization.secrets()
    }
}
