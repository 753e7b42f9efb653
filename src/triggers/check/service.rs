//! Sign-in, permission, service principal, and one real query.

use std::{sync::Arc, time::Duration};

use base::{SourceTime, http::chain};
use chrono::{SubsecRound as _, TimeDelta};
use microsoft::{Concern, Error, Grant, Link, SignInError, Urgency};
use rows::{Page, Window};
use sekoia::{Findings, Topic};
use serde_json::json;

use super::{
    Asked, PERMISSION, QUERY, SERVICE_PRINCIPAL, SIGN_IN, Service, Subject, sample::Sample,
};
use crate::triggers::{collection::Collection, words::moment};

/// How long a query may take, and wait for the quota.
const TIMEOUT: Duration = Duration::from_secs(60);

/// So many answers tell the service's time when the clock is wrong; a few of them may lie.
const MOST_QUESTIONS: usize = 8;

/// The steps up to the rows, in this order.
const STEPS: [(Concern, Topic); 4] = [
    (Concern::SignIn, SIGN_IN),
    (Concern::Permission, PERMISSION),
    (Concern::ServicePrincipal, SERVICE_PRINCIPAL),
    (Concern::Query, QUERY),
];

struct Ending {
    result: Result<Sample, (Concern, String)>,
    /// Whether the answer shows how the steps before it are.
    shows_them: bool,
    /// Whether it may have ended for the organization.
    seems_ended: bool,
}

/// Tries the steps up to the rows of the last hour.
pub(super) async fn read(subject: &Subject, collection: &Collection, findings: &mut Findings<'_>) {
    let Subject { service, successor } = subject;
    let attempt = Tried::of(service, collection).await;
    let Some((successor, said)) = successor.as_ref().zip(attempt.ended()) else {
        return attempt.tell("", findings);
    };
    let note = format!(
        "; the Reporting Web Service seems to have ended: a run that is told so twice, minutes \
         apart, goes on with Microsoft Graph (it says: {said})"
    );
    let attempt = Tried::of(successor, collection).await;
    attempt.tell(&note, findings);
}

struct Tried<'a> {
    service: &'a Service,
    /// None for one without tokens.
    grant: Option<Result<Grant, Arc<SignInError>>>,
    /// None when there is no token to ask with.
    ending: Option<Ending>,
}

impl<'a> Tried<'a> {
    async fn of(service: &'a Service, collection: &Collection) -> Self {
        let grant = match &service.tokens {
            Some(tokens) => Some(tokens.grant().await),
            None => None,
        };
        let ending = match grant {
            Some(Err(_)) => None,
            _ => Some(Ending::of(service, collection).await),
        };
        Self {
            service,
            grant,
            ending,
        }
    }

    /// What it said when it seems to have ended.
    fn ended(&self) -> Option<String> {
        let ending = self.ending.as_ref().filter(|ending| ending.seems_ended)?;
        let (_, said) = ending.result.as_ref().err()?;
        Some(said.clone())
    }

    fn tell(&self, note: &str, findings: &mut Findings<'_>) {
        let tokens = self.service.tokens.as_ref();
        let who = match tokens {
            Some(tokens) if !tokens.is_of_an_account() => "app",
            _ => "account",
        };
        if let Some(grant) = &self.grant {
            let ending = self.ending.as_ref();
            let refused = ending.and_then(|ending| ending.result.as_ref().err());
            // What the query contradicts is told by it alone.
            tell_grant(who, grant, refused.map(|(concern, _)| *concern), findings);
        }
        let Some(ending) = &self.ending else {
            for topic in [SERVICE_PRINCIPAL, QUERY] {
                findings.skip(topic, "sign-in and permission must be right first");
            }
            return;
        };
        for step in STEPS {
            ending.tell(
                step,
                self.grant.is_some(),
                &self.service.reader,
                note,
                findings,
            );
        }
    }
}

fn tell_grant(
    who: &str,
    grant: &Result<Grant, Arc<SignInError>>,
    refused: Option<Concern>,
    findings: &mut Findings<'_>,
) {
    let advice = if who == "account" {
        "; Microsoft advises against sign-in with a password where an app can sign in by itself \
         (message_trace_graph)"
    } else {
        ""
    };
    match grant {
        Ok(grant) => {
            let until = moment(grant.expires);
            if refused != Some(Concern::SignIn) {
                findings.pass(
                    SIGN_IN,
                    format!("the {who} has a token until {until}{advice}"),
                    json!({"expires": grant.expires}),
                );
            }
            let text = if grant.permissions.is_empty() {
                format!("the token does not tell what the {who} is granted")
            } else {
                format!("the {who} is granted {}", grant.permissions.join(", "))
            };
            if refused != Some(Concern::Permission) {
                findings.pass(PERMISSION, text, json!({"permissions": grant.permissions}));
            }
        }
        Err(error) if error.concern() == Concern::Permission => {
            findings.pass(SIGN_IN, format!("the {who} has a token{advice}"), json!({}));
            findings.fail(PERMISSION, chain(&**error), json!({}));
        }
        Err(error) => {
            findings.fail(SIGN_IN, chain(&**error), json!({}));
            findings.skip(PERMISSION, format!("the {who} must be signed in first"));
        }
    }
}

impl Ending {
    async fn of(service: &Service, collection: &Collection) -> Self {
        match tokio::time::timeout(TIMEOUT, service.last_hour()).await {
            Ok(Ok((page, hour))) => Self {
                result: Ok(Sample::of(
                    &page,
                    hour,
                    collection.unwanted.rules(),
                    // That it can be used was found out before.
                    collection.hiding.privacy().ok().flatten(),
                )),
                shows_them: true,
                seems_ended: false,
            },
            Ok(Err(error)) => Self {
                // Anything on the way may fail, forbid or point elsewhere; only the service has looked at who asks
                // when it misses something of them.
                shows_them: error.concern() != Concern::Query,
                seems_ended: service.seems_ended(&error),
                result: Err((error.concern(), chain(&error))),
            },
            Err(_) => {
                let text = "no rows within a minute: the quota is used up, perhaps by the trigger \
                            that is running, or the service is slow; try again in 5 minutes";
                Self {
                    result: Err((Concern::Query, text.to_owned())),
                    shows_them: false,
                    seems_ended: false,
                }
            }
        }
    }

    /// Tells what the end of the query means for a step. With a token, the first two were told
    /// before it, unless they turn out to be wrong now.
    fn tell(
        &self,
        (step, topic): (Concern, Topic),
        by_token: bool,
        reader: &Asked,
        note: &str,
        findings: &mut Findings<'_>,
    ) {
        let failed = self.result.as_ref().err().map(|(concern, _)| *concern);
        match (&self.result, step) {
            (Err((concern, text)), _) if *concern == step => {
                findings.fail(topic, format!("{text}{note}"), json!({}));
            }
            (_, Concern::ServicePrincipal) if matches!(reader, Asked::Reporting(_)) => {
                findings.skip(topic, "this trigger does not need it");
            }
            (_, Concern::SignIn | Concern::Permission) if by_token => {}
            (Err(_), _) if failed.is_some_and(|failed| step > failed) => {
                findings.skip(topic, "what comes before it must be right first");
            }
            (Err(_), _) if !self.shows_them => findings.skip(topic, "only a page of rows tells"),
            (Ok(sample), Concern::Query) => {
                let may_have_ended = match reader {
                    Asked::Reporting(_) if sample.is_empty() => {
                        "; the Reporting Web Service may answer like this, too, once it has ended: if mail was \
                         received, set `service` to `graph`"
                    }
                    _ => "",
                };
                let text = format!("{sample}{note}{may_have_ended}");
                match sample.greedy().is_some() {
                    true => findings.warn(topic, text, sample.facts()),
                    false => findings.pass(topic, text, sample.facts()),
                }
            }
            (_, Concern::SignIn) => findings.pass(topic, "the account is signed in", json!({})),
            (_, Concern::Permission) => {
                findings.pass(topic, "the account may read the message trace", json!({}));
            }
            (_, _) => findings.pass(topic, "it is there and active", json!({})),
        }
    }
}

impl Service {
    /// The first page of the last hour, by the service's clock.
    async fn last_hour(&self) -> Result<(Page<Link>, Window), Error> {
        for _ in 0..MOST_QUESTIONS {
            if self.time().certain.is_some() {
                break;
            }
            match &self.reader {
                Asked::Graph(graph) => graph.ask_time().await?,
                Asked::Reporting(service) => service.ask_time().await?,
            }
        }
        let time = self.time();
        let end = time.certain.unwrap_or(time.now).trunc_subsecs(0);
        let hour = Window::new(end - TimeDelta::hours(1), end);
        let hour = hour.ok_or(Error::Ahead { by: Duration::ZERO })?;
        let page = match &self.reader {
            Asked::Graph(graph) => graph.page(hour, None, Urgency::Now).await,
            Asked::Reporting(service) => service.page(hour, None).await,
        };
        page.map(|page| (page, hour))
    }

    fn time(&self) -> SourceTime {
        match &self.reader {
            Asked::Graph(graph) => graph.exchange.time(),
            Asked::Reporting(service) => service.exchange.time(),
        }
    }

    fn seems_ended(&self, error: &Error) -> bool {
        match &self.reader {
            Asked::Graph(_) => false,
            Asked::Reporting(service) => service.seems_ended(error),
        }
    }
}
