//! One signed request and its answer.

use std::{
    mem,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use base::{
    Clock, ErrorClass, PendingRequest, SourceTime,
    clock::Reading,
    http::{Http, Limits, Response},
    lock,
    retry::retry_after,
};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{
    HeaderMap, StatusCode,
    header::{AGE, AUTHORIZATION, CACHE_CONTROL, DATE},
};
use rows::{Page, RowKeyer, Window};
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use super::{
    Error, Limiter, PAGE_LIMITS, SignIn, TOKEN_LIMITS, Urgency,
    advice::{Refusal, lacks_service_principal},
    link::Link,
    oddities::{Oddities, is_odd},
    pace::Pace,
    page::Envelope,
    redirect,
    service_clock::{QUESTIONS, ServiceClock, Sighting, question},
    sign_in::Authorization,
    under_way::Requests,
};

/// The id that a client gives its request; the service repeats it in its own log.
const REQUEST_ID: &str = "client-request-id";

/// Each service keeps rows for longer.
const KEPT: TimeDelta = TimeDelta::days(1);

/// Sends signed requests to one service.
#[derive(Debug)]
pub struct Exchange {
    pub(super) http: Http,
    pub(super) clock: Clock,
    pub(super) sign_in: SignIn,
    pub(super) keyer: RowKeyer,
    pub(super) headers: HeaderMap,
    pub(super) limiter: Option<Limiter>,
    pub(super) pace: Pace,
    /// Since when there are none but odd answers.
    pub(super) oddities: Oddities,
    /// What answers tell of the service's time.
    pub(super) service_clock: Mutex<ServiceClock>,
    /// The next question for it.
    pub(super) question: AtomicU32,
    /// What is being answered.
    pub(super) requests: Requests,
    pub(super) limits: Limits,
    /// Whether it asks beside pages, for what the service may not know: a 404 may be its answer then. No such
    /// answer says that a password is right, and one that is refused is only doubted.
    pub(super) is_beside: bool,
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
    sent: Instant,
    received: Reading,
}

impl Exchange {
    /// Asks for pages, without a quota.
    pub(super) fn new(http: Http, clock: Clock, sign_in: SignIn, keyer: RowKeyer) -> Self {
        Self {
            http,
            clock,
            sign_in,
            keyer,
            headers: HeaderMap::new(),
            limiter: None,
            pace: Pace::default(),
            oddities: Oddities::default(),
            service_clock: Mutex::new(ServiceClock::new(Instant::now())),
            question: AtomicU32::new(0),
            requests: Requests::default(),
            limits: PAGE_LIMITS,
            is_beside: false,
        }
    }

    /// Asks for `url`. When a token is refused, asks once more with a new one, unless the refusal
    /// has a reason that no token cures.
    pub(super) async fn get(&self, url: &Url, urgency: Urgency) -> Result<Answer, Error> {
        let first = self.send(url, self.admitted(urgency).await?).await?;
        if first.response.status() != StatusCode::UNAUTHORIZED
            || lacks_service_principal(first.response.body())
            || !self.sign_in.renew(&first.authorization).await?
        {
            return Ok(first);
        }
        // The renewed token, unless it expires during the wait.
        self.send(url, self.admitted(urgency).await?).await
    }

    /// Waits for leave, then signs in: a token that was fetched before could expire during the wait.
    async fn admitted(&self, urgency: Urgency) -> Result<Authorization, Error> {
        let Some(limiter) = &self.limiter else {
            return self.authorize().await;
        };
        limiter.admit(urgency).await;
        let authorization = self.authorize().await;
        if authorization.is_err() {
            limiter.unsent();
        }
        authorization
    }

    async fn authorize(&self) -> Result<Authorization, Error> {
        let _under_way = self.requests.begin(TOKEN_LIMITS.total);
        self.sign_in.authorize().await
    }

    /// Reads an answer of `url`. Only one that can be read shows that who asks was accepted. One that
    /// cannot may be that of a machine which is ill.
    pub(super) fn read<T>(
        &self,
        url: &Url,
        answer: &mut Answer,
        read: impl FnOnce(&mut Answer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let what = match read(answer) {
            Ok(told) => {
                if !self.is_beside {
                    answer.authorization.accepted();
                }
                return Ok(told);
            }
            Err(Error::Unreadable(what)) => what,
            Err(error) => return Err(error),
        };
        self.leave_connection(url);
        let after = retry_after(answer.response.headers(), self.time().now);
        // What may be wrong with this page alone is not cured by pauses of all.
        Err(match after.filter(|_| !what.may_be_the_pages()) {
            Some(after) => Error::Overloaded { what, after },
            None => Error::Unreadable(what),
        })
    }

    /// The next request goes over a new connection: behind one name stand many machines, and an ill one answers
    /// as it does for as long as it is asked over this one.
    pub(super) fn leave_connection(&self, url: &Url) {
        if let Ok(server) = url.as_str().parse() {
            self.http.renew(&server);
        }
    }

    async fn send(&self, url: &Url, mut authorization: Authorization) -> Result<Answer, Error> {
        let request_id = Uuid::new_v4();
        let mut request = http::Request::get(url.as_str())
            .header(AUTHORIZATION, authorization.header.clone())
            // What a cache on the way has kept lacks what has come since.
            .header(CACHE_CONTROL, "no-cache")
            .header(REQUEST_ID, request_id.to_string())
            .body(Bytes::new())
            .map_err(Error::Request)?;
        request.headers_mut().extend(self.headers.clone());
        let asked = Instant::now();
        let _under_way = self.requests.begin(self.limits.total);
        let (response, url) = redirect::send(&self.http, request, url.clone(), self.limits)
            .await
            .map_err(Error::NoAnswer)?;
        let stays = match response.status() {
            // Who has too many requests is not to get new connections besides.
            StatusCode::OK | StatusCode::TOO_MANY_REQUESTS => true,
            // Whether the service has written it is not known yet.
            StatusCode::NOT_FOUND => self.is_beside,
            _ => false,
        };
        if !stays {
            self.leave_connection(&url);
        }
        authorization.answered(&response, self.is_beside);
        self.pace.learn(asked.elapsed());
        let is_odd = is_odd(&response);
        let lasts = self.oddities.last(url.as_str(), is_odd, Instant::now());
        Ok(Answer {
            response,
            url,
            request_id,
            odd: is_odd.then_some(lasts),
            authorization,
            sent: asked,
            received: self.clock.reading(),
        })
    }

    /// What is known of the service's time. No window should end later.
    pub fn time(&self) -> SourceTime {
        lock(&self.service_clock).time(self.clock.reading())
    }

    /// How long an answer takes at present, without waiting for a quota; zero before the first.
    pub fn latency(&self) -> Duration {
        self.pace.get()
    }

    /// The oldest request that is being answered.
    pub fn oldest_request(&self) -> Option<PendingRequest> {
        self.requests.oldest()
    }

    /// This time has surely passed, as an earlier process has kept: no answer that tells an earlier one is
    /// believed.
    pub fn has_passed(&self, at: DateTime<Utc>) {
        lock(&self.service_clock).has_passed(at);
    }

    /// That a window does not end in the service's future: Graph refuses such a window, and the Reporting
    /// Web Service answers as if it were past.
    pub(super) fn check_end(&self, window: Window) -> Result<(), Error> {
        match (window.end() - self.time().now).to_std() {
            Ok(by) if !by.is_zero() => Err(Error::Ahead { by }),
            _ => Ok(()),
        }
    }

    /// The service has refused a window as older than what it keeps. Of one that ended lately that says nothing
    /// of its reach: the time is later than it seems, and is learnt anew. Else nothing would be answered any
    /// more that tells it.
    pub(super) fn refused_as_old(&self, window: Window) {
        if self.time().now - window.end() < KEPT {
            lock(&self.service_clock).doubt(Instant::now());
        }
    }

    /// The page that `url` is answered with, asked for of a window. `refused` says what an answer without one
    /// means, and `form` makes the page of what was read at an address.
    pub(super) async fn page(
        &self,
        url: &Url,
        window: Window,
        urgency: Urgency,
        refused: impl FnOnce(&Answer) -> Error,
        form: impl FnOnce(&Url, Bytes, Envelope) -> Result<Page<Link>, Error>,
    ) -> Result<Page<Link>, Error> {
        let mut answer = self.get(url, urgency).await?;
        if answer.response.status() != StatusCode::OK {
            return Err(refused(&answer));
        }
        let page = self.read(url, &mut answer, |answer| {
            let body = mem::take(answer.response.body_mut());
            let (body, envelope, damage) =
                Envelope::read_or_mend(body, Some(window), &self.keyer, &answer.secrets())?;
            Ok(form(&answer.url, body, envelope)?.damaged(damage))
        })?;
        let received = page.rows().filter_map(|row| row.received);
        let shown = received.filter(|at| window.contains(*at)).max();
        // Only a whole page tells the service's time.
        lock(&self.service_clock).see(Sighting {
            shown,
            ..answer.sighting()
        });
        Ok(page)
    }

    /// Asks for the time with a page of one row, whose address `address` makes: of a window, or of
    /// none.
    ///
    /// # Errors
    /// When no question is answered that can be asked now; the next call asks another one. When no answer tells
    /// the time, and the local clock cannot be right.
    pub(super) async fn ask_time(
        &self,
        address: impl Fn(Option<Window>) -> Url,
        refused: impl Fn(&Answer) -> Error,
    ) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            let number = self.question.load(Ordering::Relaxed);
            let window = question(number, self.time().now);
            let url = address(window);
            let answer = self.get(&url, Urgency::Now).await;
            let error = match answer {
                Ok(mut answer) if answer.response.status() == StatusCode::OK => {
                    let page = self.read(&url, &mut answer, |answer| {
                        // Rows that cannot be read say nothing of who has written it.
                        let body = answer.response.body().clone();
                        Ok(Envelope::read_or_mend(
                            body,
                            window,
                            &self.keyer,
                            &answer.secrets(),
                        )?)
                    });
                    page.map(|_| lock(&self.service_clock).see(answer.sighting()))
                }
                Ok(answer) => Err(refused(&answer)),
                Err(error) => Err(error),
            };
            let Err(error) = error else {
                let passed = lock(&self.service_clock).contradiction(Instant::now());
                return passed.map_or(Ok(()), |passed| Err(Error::Behind { passed }));
            };
            self.question
                .store((number + 1) % QUESTIONS, Ordering::Relaxed);
            // A clock that is wrong makes a question one that is refused: another may be answered.
            tries += 1;
            let is_of_the_question =
                error.label() == "400" && !matches!(error.class(), ErrorClass::Throttled { .. });
            if !is_of_the_question || tries == QUESTIONS {
                return Err(error);
            }
        }
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
            by_app: self.sign_in.is_by_app(),
            retry_after: retry_after(answer.response.headers(), self.time().now),
        }
    }
}

/// When an answer with these headers was written, by its own account; none when it does not say, or comes out
/// of a cache, and was written at some time before.
pub fn written_at(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let date = date_of(headers.get(DATE)?.to_str().ok()?)?;
    (!headers.contains_key(AGE)).then_some(date)
}

/// A `Date` in one of the three forms of HTTP, or as mails have it.
fn date_of(text: &str) -> Option<DateTime<Utc>> {
    let date = httpdate::parse_http_date(text.trim())
        .ok()
        .map(DateTime::from);
    date.or_else(|| Some(DateTime::parse_from_rfc2822(text).ok()?.to_utc()))
}

impl Answer {
    /// When it was written, by its own account.
    pub(super) fn sighting(&self) -> Sighting {
        Sighting {
            date: written_at(self.response.headers()),
            sent: self.sent,
            received: self.received,
            shown: None,
        }
    }

    /// What must not appear in a message.
    pub(super) fn secrets(&self) -> Vec<&str> {
        self.authorization.secrets()
    }
}
