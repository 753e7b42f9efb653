//! Whether a trigger could collect: each step of a run is tried once, by the same code.

mod network;
mod sample;
mod service;

use std::sync::Arc;

use base::http::chain;
use chrono::{DateTime, Utc};
use microsoft::{EventFormat, Graph, Limiter, Quota, ReportingService, Share, SignIn, TokenCache};
use rows::RowKeyer;
use sekoia::{Context, Findings, Intake, Probed, RunError, Topic};
use serde_json::{Map, json};
use url::Url;

use self::network::Reached;
use super::{
    backfill::BackfillStanding,
    collection::Collection,
    expiry::{self, Notice},
    formats::Later,
    gaps::Gaps,
    graph_settings::GraphSettings,
    service_choice::{Choice, DecidedUnder, Decision, without_client},
    source::GraphSource,
    state::{Found, ServiceNow},
    tenant::{self, Origin},
    words::span,
};

const SETTINGS: Topic = Topic::SETTINGS;
const NETWORK: Topic = Topic {
    name: "network",
    exit_code: 12,
    about: "each server answers, through the proxy if there is one",
};
const CLOCK: Topic = Topic {
    name: "clock",
    // 13 was its own, and is not given to another one.
    exit_code: 0,
    about: "the clock of this machine agrees with the server's",
};
const SIGN_IN: Topic = Topic {
    name: "sign-in",
    exit_code: 14,
    about: "Microsoft accepts the account or app",
};
const PERMISSION: Topic = Topic {
    name: "permission",
    exit_code: 15,
    about: "it may read the message trace",
};
const SERVICE_PRINCIPAL: Topic = Topic {
    name: "service principal",
    exit_code: 16,
    about: "the tenant has the one of Microsoft's message trace",
};
const QUERY: Topic = Topic {
    name: "query",
    exit_code: 17,
    about: "the message trace of the last hour can be read",
};
const INTAKE: Topic = Topic {
    name: "intake",
    exit_code: 18,
    about: "the intake is reached and takes the key; no event is sent",
};
const STATE: Topic = Topic {
    name: "state",
    exit_code: 19,
    about: "where a collection would go on",
};

/// What a check goes through, in this order.
pub(super) const TOPICS: &[Topic] = &[
    NETWORK,
    CLOCK,
    SIGN_IN,
    PERMISSION,
    SERVICE_PRINCIPAL,
    QUERY,
    INTAKE,
    STATE,
];

/// Rows that are only looked at have any keys.
const KEYER: RowKeyer = RowKeyer::new([0; 16]);

pub(super) struct Subject {
    /// What a run would read at first.
    service: Service,
    /// What it would go on with when that has ended.
    successor: Option<Service>,
}

pub(super) struct Service {
    servers: Vec<Url>,
    /// Signs in; none for an account that signs in with each query.
    tokens: Option<Arc<TokenCache>>,
    reader: Asked,
}

enum Asked {
    Graph(Box<Graph>),
    Reporting(Box<ReportingService>),
}

impl Subject {
    pub(super) fn of(service: Service) -> Self {
        Self {
            service,
            successor: None,
        }
    }

    /// Of two, of which the settings, or a run before under the same settings, have chosen one.
    pub(super) async fn of_both(
        choice: Choice,
        terms: &DecidedUnder,
        reporting: Service,
        graph: Option<Service>,
        (context, whose): (&Context, &tenant::Subject),
    ) -> Result<Self, RunError> {
        let folder = tenant::look(&context.storage, whose).await;
        let storage = context.storage.inside(&folder.unwrap_or_default());
        // What cannot be read now is told elsewhere.
        let decided = Decision::kept(&storage).await.ok().flatten();
        let current = choice.current(decided.as_ref(), terms);
        match (current, graph) {
            (Origin::Graph, Some(graph)) => Ok(Self::of(graph)),
            (Origin::Graph, None) if choice == Choice::Graph => Err(without_client()),
            (Origin::Graph, None) => Ok(Self::of(reporting)),
            (Origin::Reporting, graph) => Ok(Self {
                service: reporting,
                successor: graph.filter(|_| choice == Choice::Auto),
            }),
        }
    }
}

impl Service {
    pub(super) async fn graph(
        (context, whose): (&Context, &tenant::Subject),
        settings: &GraphSettings,
        share: Share,
        tokens: Arc<TokenCache>,
        login: Option<Url>,
    ) -> Self {
        // What a run has used counts; what cannot be read now is told elsewhere.
        let folder = tenant::look(&context.storage, whose).await;
        let storage = context.storage.inside(&folder.unwrap_or_default());
        let quota = GraphSource::remembered_quota(&storage, share).await;
        let quota = quota.unwrap_or_else(|_| Quota::restored(share, []));
        let limiter = Limiter::new(quota, context.clock.clone());
        let graph = Graph::new(
            context.http.clone(),
            context.clock.clone(),
            settings.graph_url.clone(),
            Arc::clone(&tokens),
            KEYER,
            EventFormat::Graph,
            limiter,
        );
        let mut servers = Vec::from_iter(login);
        servers.push(settings.graph_url.clone());
        Self {
            servers,
            tokens: Some(tokens),
            reader: Asked::Graph(Box::new(graph)),
        }
    }

    pub(super) fn reporting(
        context: &Context,
        url: Url,
        sign_in: SignIn,
        tokens: Option<Arc<TokenCache>>,
        login: Option<Url>,
    ) -> Self {
        let mut servers = Vec::from_iter(login);
        servers.push(url.clone());
        let (http, clock) = (context.http.clone(), context.clock.clone());
        let service = ReportingService::new(http, clock, url, sign_in, KEYER);
        Self {
            servers,
            tokens,
            reader: Asked::Reporting(Box::new(service)),
        }
    }
}

pub(super) async fn run(
    subject: Result<Subject, RunError>,
    collection: &Collection,
    whose: &tenant::Subject,
    context: &Context,
    findings: &mut Findings<'_>,
) {
    let ready = subject.and_then(|subject| {
        collection.hiding.privacy()?;
        Ok((subject, collection.intake(context)?))
    });
    let (subject, intake) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            findings.settings(Err(error));
            findings.surroundings();
            for topic in TOPICS {
                findings.skip(*topic, "the settings must be right first");
            }
            return;
        }
    };
    findings.settings(Ok(()));
    let told = [
        collection.unwanted.told(),
        collection.hiding.told(),
        collection.inquiry.told(),
    ];
    for (text, facts) in told.into_iter().flatten() {
        findings.pass(SETTINGS, text, facts);
    }
    findings.surroundings();
    let servers = subject.service.servers.iter().map(Url::as_str);
    let reached = Reached::servers(servers, context, findings).await;
    let intake_reached = network::reach(&intake.address().to_string(), context, findings).await;
    reached.compare_clocks(findings);
    let service_now = reached.time(context.clock.now());
    tell_of_certificate(&subject, service_now.at, findings);
    if reached.all() {
        service::read(&subject, collection, findings).await;
    } else {
        for topic in [SIGN_IN, PERMISSION, SERVICE_PRINCIPAL, QUERY] {
            findings.skip(topic, "the servers of Microsoft must be reached first");
        }
    }
    if intake_reached.is_some() {
        try_intake(&intake, findings).await;
    } else {
        findings.skip(INTAKE, "the intake must be reached first");
    }
    find_position(collection, whose, (context, service_now), findings).await;
}

fn tell_of_certificate(subject: &Subject, now: DateTime<Utc>, findings: &mut Findings<'_>) {
    let services = [Some(&subject.service), subject.successor.as_ref()];
    let tokens = services
        .into_iter()
        .flatten()
        .filter_map(|service| service.tokens.as_ref());
    let Some(end) = expiry::first_end(tokens) else {
        return;
    };
    let facts = json!({"certificate_end": end.to_rfc3339()});
    match Notice::of(end, now) {
        None => findings.pass(SETTINGS, expiry::sentence(end, now), facts),
        Some(_) => findings.warn(SETTINGS, expiry::sentence(end, now), facts),
    }
}

async fn try_intake(intake: &Intake, findings: &mut Findings<'_>) {
    let host = intake.host();
    let facts = |key: Option<bool>| json!({"host": host, "key_accepted": key});
    match intake.probe().await {
        Probed::Accepted => {
            let text = format!("{host} accepts the key (asked with an empty batch)");
            findings.pass(INTAKE, text, facts(Some(true)));
        }
        Probed::Untold { status } => {
            let text = format!(
                "{host} is reached; whether it accepts the key is not known, as it answers an \
                 empty batch with {status}, and no event was to be added"
            );
            findings.pass(INTAKE, text, facts(None));
        }
        Probed::Refused {
            sentence,
            is_of_the_key,
        } => {
            // Of an intake that is down, say, nobody knows whether it takes the key.
            let key = is_of_the_key.then_some(false);
            findings.fail(INTAKE, sentence, facts(key));
        }
    }
}

/// Looks at the state that a run would begin with.
async fn find_position(
    collection: &Collection,
    whose: &tenant::Subject,
    (context, service_now): (&Context, ServiceNow),
    findings: &mut Findings<'_>,
) {
    let (all, now) = (&context.storage, context.clock.now());
    let folder = match tenant::look(all, whose).await {
        Ok(folder) => folder,
        Err(error) => return findings.skip(STATE, chain(&error)),
    };
    let storage = all.inside(&folder);
    match Later::in_use(all, &folder).await {
        Ok(None) => {}
        Ok(Some(later)) => {
            return findings.fail(STATE, chain(&later), json!({"folder": folder}));
        }
        Err(error) => return findings.skip(STATE, chain(&error)),
    }
    let found = match Found::in_storage(&storage).await {
        Ok(found) => found,
        Err(error) => return findings.skip(STATE, chain(&error)),
    };
    let taken_over = tenant::would_begin(all, whose).await;
    let begins = taken_over.ok().flatten();
    let begins = begins.unwrap_or_else(|| format!("begins {} ago", span(collection.start_time())));
    let (is_well, mut text, mut facts) = found.tell(service_now, &begins);
    let mut more = Map::new();
    more.insert("folder".to_owned(), folder.clone().into());
    let letters = collect::letters::stock(&storage).await;
    if let Ok((stock, _)) = &letters
        && let Some(told) = super::letters::told(stock, now)
    {
        text += &format!("; {told}");
        more.insert("dead_letters".to_owned(), stock.letters.into());
    }
    if let Ok(gaps) = Gaps::in_storage(&storage).await {
        // Of a process that may run, nothing is known here.
        let missing = gaps.missing(None);
        text.extend(missing.map(|missing| format!("; missing: {missing}")));
        more.insert("gaps".to_owned(), gaps.facts());
    }
    if let Ok(standing) = BackfillStanding::in_storage(&storage).await
        && let Some((told, unfinished, _)) = standing.tell(None, now)
    {
        text += &format!("; a backfill is not finished: {told}");
        more.insert("backfill".to_owned(), unfinished);
    }
    if let Some(facts) = facts.as_object_mut() {
        facts.extend(more);
    }
    if !folder.is_empty() {
        text += &format!("; in the folder {folder}");
    }
    match is_well {
        true => findings.pass(STATE, text, facts),
        // A clock that is off is a warning alone.
        false if found.is_doubted_by_us(service_now) => findings.warn(STATE, text, facts),
        false => findings.fail(STATE, text, facts),
    }
    match letters {
        Ok((_, unusable)) => {
            for name in unusable {
                let facts = json!({"file": name});
                findings.warn(STATE, super::letters::unreadable(&name), facts);
            }
        }
        Err(error) => findings.warn(STATE, chain(&error), json!({})),
    }
}
