//! Sign-in, permission, service principal, and one real query.

use std::time::Duration;

use base::http::chain;
use chrono::{SubsecRound as _, TimeDelta};
use microsoft::{Concern, Error, Link, ServiceTime, TokenCache, Urgency};
use rows::{Page, Window};
use sekoia::{Findings, Topic};
use serde_json::json;

use super::{PERMISSION, QUERY, SERVICE_PRINCIPAL, SIGN_IN, Service, Subject, sample::Sample};
use crate::triggers::words::moment;

/// How long a query may take, and wait for the quota.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many answers tell the service's time when the clock is wrong; a few of them may lie.
const MOST_QUESTIONS: usize = 8;

/// The steps up to the rows, in this order.
const STEPS: [Concern; 4] = [
    Concern::SignIn,
    Concern::Permission,
    Concern::ServicePrincipal,
    Concern::Query,
];

/// How the query ended.
struct Ending {
    result: Result<Sample, (Concern, String)>,
    /// Whether the service answered at all.
    answered: bool,
}

/// Tries the steps up to the rows of the last hour.
pub(super) async fn read(subject: &Subject, findings: &mut Findings<'_>) {
    let as_app = match &subject.tokens {
        Some(tokens) if !is_granted(tokens, findings).await => {
            for topic in [SERVICE_PRINCIPAL, QUERY] {
                findings.skip(topic, "sign-in and permission must be right first");
            }
            return;
        }
        tokens => tokens.is_some(),
    };
    let ending = Ending::of(&subject.service).await;
    for step in STEPS {
        ending.tell(step, as_app, &subject.service, findings);
    }
}

/// Signs in as an app, and looks at what it is allowed.
async fn is_granted(tokens: &TokenCache, findings: &mut Findings<'_>) -> bool {
    match tokens.grant().await {
        Ok(grant) => {
            findings.pass(
                SIGN_IN,
                format!("the app has a token until {}", moment(grant.expires)),
                json!({"expires": grant.expires}),
            );
            let text = if grant.permissions.is_empty() {
                "the token does not tell what the app is granted".to_owned()
            } else {
                format!("the app is granted {}", grant.permissions.join(", "))
            };
            findings.pass(PERMISSION, text, json!({"permissions": grant.permissions}));
            true
        }
        Err(error) if error.concern() == Concern::Permission => {
            findings.pass(SIGN_IN, "the app has a token", json!({}));
            findings.fail(PERMISSION, chain(&*error), json!({}));
            false
        }
        Err(error) => {
            findings.fail(SIGN_IN, chain(&*error), json!({}));
            findings.skip(PERMISSION, "the app must be signed in first");
            false
        }
    }
}

impl Ending {
    async fn of(service: &Service) -> Self {
        match tokio::time::timeout(PATIENCE, service.last_hour()).await {
            Ok(Ok((page, hour))) => Self {
                result: Ok(Sample::of(&page, hour)),
                answered: true,
            },
            Ok(Err(error)) => Self {
                answered: matches!(error, Error::Status { .. }),
                result: Err((error.concern(), chain(&error))),
            },
            Err(_) => {
                let text = "no rows within a minute: the quota is used up, perhaps by the trigger \
                            that is running, or the service is slow; try again in 5 minutes";
                Self {
                    result: Err((Concern::Query, text.to_owned())),
                    answered: false,
                }
            }
        }
    }

    /// Tells what the end of the query means for a step. For an app, the first two were told
    /// before it, unless they turn out to be wrong now.
    fn tell(&self, step: Concern, as_app: bool, service: &Service, findings: &mut Findings<'_>) {
        let topic = topic(step);
        let failed = self.result.as_ref().err().map(|(concern, _)| *concern);
        match (&self.result, step) {
            (Err((concern, text)), _) if *concern == step => findings.fail(topic, text, json!({})),
            (_, Concern::ServicePrincipal) if matches!(service, Service::Reporting(_)) => {
                findings.skip(topic, "this trigger does not need it");
            }
            (_, Concern::SignIn | Concern::Permission) if as_app => {}
            (Err(_), _) if failed.is_some_and(|failed| step > failed) => {
                findings.skip(topic, "what comes before it must be right first");
            }
            (Err(_), _) if !self.answered => findings.skip(topic, "only an answer tells"),
            (Ok(sample), Concern::Query) => {
                findings.pass(topic, sample.to_string(), sample.facts());
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
            match self {
                Self::Graph(graph) => graph.ask_time().await?,
                Self::Reporting(service) => service.ask_time().await?,
            }
        }
        let time = self.time();
        let end = time.certain.unwrap_or(time.now).trunc_subsecs(0);
        let hour = Window::new(end - TimeDelta::hours(1), end);
        let hour = hour.ok_or(Error::Ahead { by: Duration::ZERO })?;
        let page = match self {
            Self::Graph(graph) => graph.page(hour, None, Urgency::Now).await,
            Self::Reporting(service) => service.page(hour, None).await,
        };
        page.map(|page| (page, hour))
    }

    fn time(&self) -> ServiceTime {
        match self {
            Self::Graph(graph) => graph.time(),
            Self::Reporting(service) => service.time(),
        }
    }
}

fn topic(concern: Concern) -> Topic {
    match concern {
        Concern::SignIn => SIGN_IN,
        Concern::Permission => PERMISSION,
        Concern::ServicePrincipal => SERVICE_PRINCIPAL,
        Concern::Query => QUERY,
    }
}
