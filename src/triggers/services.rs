//! Two services of one tenant as one source: the Reporting Web Service, and Microsoft Graph in its
//! place once that has ended.
//!
//! A row has the same key by either service, and position, timeline and delivered rows are
//! about the mail, not about the service: the collection goes on where it is. When the change is made,
//! [`service_change`](super::service_change) decides.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base::{Clock, http::chain, lock};
use chrono::{DateTime, Utc};
use collect::{
    ErrorClass, Lane, PendingRequest, QuotaUse, Source, SourceError, SourceLimits, SourceTime,
    verify::RowName,
};
use rows::{Page, Question};
use sekoia::{Context, Log, RunError, Storage};
use tokio::task;

use super::{
    details,
    row_text::TraceText,
    service_change::{Change, Silence, silent},
    service_choice::{Choice, DecidedUnder, Decision, Passwords, SERVICE_FILE},
    source::{GraphSource, Reporting, source_error},
    tenant::Origin,
    words::moment,
};

/// What is added to the words of a Reporting Web Service that has ended, where there is no app for Microsoft
/// Graph: only the settings of an account may lack one.
const WITHOUT_CLIENT: &str = "; with one more setting this trigger goes on with Microsoft Graph by \
    itself: `client_id`, the id of an app registration that allows public client flows and has the \
    delegated permission `ExchangeMessageTrace.Read.All` with an administrator's consent \
    (docs/setup.md#the-app-of-a-service-account)";

pub(super) struct TwoServices {
    pub(super) choice: Choice,
    pub(super) terms: DecidedUnder,
    pub(super) reporting: Reporting,
    /// None when an account has no app to sign in through.
    pub(super) graph: Option<GraphSource>,
    /// Of an account.
    pub(super) passwords: Option<Passwords>,
}

pub(super) struct Services {
    parts: TwoServices,
    is_graph: AtomicBool,
    change: Mutex<Change>,
    silence: Mutex<Silence>,
    /// One at a time changes over.
    changing: tokio::sync::Mutex<()>,
    storage: Storage,
    log: Log,
    clock: Clock,
}

/// A link to the next page, which only the service that gave it can follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ServiceLink {
    by_graph: bool,
    link: microsoft::Link,
}

impl fmt::Display for ServiceLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.link.fmt(f)
    }
}

impl Services {
    /// Goes on with the service that was read last under these settings.
    pub(super) async fn new(
        parts: TwoServices,
        storage: Storage,
        context: &Context,
    ) -> Result<Self, RunError> {
        let log = context.log.clone();
        let decided = Decision::kept(&storage).await?;
        let origin = parts.choice.current(decided.as_ref(), &parts.terms);
        let is_graph = origin == Origin::Graph && parts.graph.is_some();
        match decided {
            Some(decision) if is_graph && parts.choice == Choice::Auto => log.info(format!(
                "Microsoft Graph is read since {}, as the Reporting Web Service has ended for this \
                 organization.",
                moment(decision.since)
            )),
            Some(_) => {
                // It is not to come back when the settings do.
                storage.delete(SERVICE_FILE).await?;
                if parts.choice == Choice::Auto {
                    log.info("The settings have changed: which service is read is found out anew.");
                }
            }
            None => {}
        }
        let may_change = parts.choice == Choice::Auto && parts.graph.is_some() && !is_graph;
        let before = parts.passwords.as_ref().and_then(|one| one.before);
        let change = match before {
            Some(before) if may_change => Change::restored(before, context.clock.reading()),
            _ => Change::default(),
        };
        Ok(Self {
            parts,
            is_graph: AtomicBool::new(is_graph),
            change: Mutex::new(change),
            silence: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            storage,
            log,
            clock: context.clock.clone(),
        })
    }

    /// Microsoft Graph, when it is the one that is read.
    fn graph(&self) -> Option<&GraphSource> {
        let graph = self.parts.graph.as_ref();
        graph.filter(|_| self.is_graph.load(Ordering::Acquire))
    }

    fn change(&self) -> MutexGuard<'_, Change> {
        lock(&self.change)
    }

    /// Microsoft Graph when it is the one that is read: since before, or from now on, as all that
    /// speaks for it is there.
    async fn successor(&self) -> Result<Option<&GraphSource>, SourceError> {
        if self.graph().is_none() && self.change().wants_graph() {
            let changed = self.change_over().await;
            self.remember().await;
            changed?;
        }
        Ok(self.graph())
    }

    /// Changes over if Microsoft Graph answers.
    async fn change_over(&self) -> Result<(), SourceError> {
        let Some(graph) = &self.parts.graph else {
            return Ok(());
        };
        let _one = self.changing.lock().await;
        // Another reader may have done it, or have had an answer.
        let Some(evidence) = self.change().evidence().filter(|_| self.graph().is_none()) else {
            return Ok(());
        };
        let failed = |mut error: SourceError| {
            // It was asked for one row.
            error.may_be_too_wide = false;
            error.sentence = format!(
                "{}; Microsoft Graph cannot take its place yet: {}",
                evidence.said, error.sentence
            );
            error
        };
        let answer = graph.ask().await;
        let now = self.clock.reading();
        if let Err(error) = answer {
            // What is held back was no try: it has its turn before the other service is asked again.
            if !error.is_held() {
                self.change().tried(now.instant);
            }
            return Err(failed(source_error(&error, &self.log)));
        }
        // The Reporting Web Service may have answered meanwhile.
        let Some(evidence) = self.change().evidence() else {
            return Ok(());
        };
        let decision = Decision::new(&self.parts.terms, evidence, now.wall);
        if let Err(error) = decision.keep(&self.storage).await {
            self.change().tried(now.instant);
            return Err(failed(SourceError {
                class: ErrorClass::Transient { after: None },
                sentence: format!(
                    "it answers, but that it is read from now on cannot be kept: {}",
                    chain(&error)
                ),
                label: "state",
                may_be_too_wide: false,
            }));
        }
        self.is_graph.store(true, Ordering::Release);
        self.log.warning(format!(
            "The Reporting Web Service has ended for this organization, and Microsoft Graph answers: the \
             collection goes on with Microsoft Graph from the same position, and no row is lost or sent \
             twice by that. The Reporting Web Service is tried anew when the settings change. It said {}",
            decision.reason()
        ));
        Ok(())
    }

    /// What an answer of the Reporting Web Service says of its end. Unless what was asked `shows_the_end`,
    /// only a refused password says anything of it: that is refused wherever it is shown.
    fn judge<T>(
        &self,
        result: Result<T, microsoft::Error>,
        shows_the_end: bool,
    ) -> Result<T, SourceError> {
        // One that is behind has answered, and only the time is not known by that.
        if matches!(result, Ok(_) | Err(microsoft::Error::Behind { .. })) {
            self.change().answered();
        }
        let error = match result {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let service = &self.parts.reporting.service;
        let seems_ended =
            service.refuses_passwords(&error) || shows_the_end && service.seems_ended(&error);
        let ends = self.parts.choice == Choice::Auto && seems_ended;
        let now = self.clock.reading();
        let long = match shows_the_end && was_asked(&error) {
            true => self.change().failed(now),
            false => None,
        };
        let mut error = source_error(&error, &self.log);
        if ends && self.parts.graph.is_some() {
            self.change().refused(now, &error.sentence);
            error.sentence.push_str(
                "; when that is said again minutes later, and Microsoft Graph answers, the collection \
                 goes on with Microsoft Graph by itself",
            );
        } else if ends {
            error.sentence.push_str(WITHOUT_CLIENT);
        } else if let Some(since) = long.filter(|_| self.parts.graph.is_some()) {
            error.sentence.push_str(&format!(
                "; it has answered with no page since {}: where it may have ended, set `service` to `graph`, \
                 and the collection goes on with Microsoft Graph",
                moment(since)
            ));
        }
        Err(error)
    }

    async fn page_of_reporting(
        &self,
        question: Question,
        link: Option<&ServiceLink>,
    ) -> Result<Page<ServiceLink>, SourceError> {
        let link = link.filter(|link| !link.by_graph).map(|link| &link.link);
        // A link, or the id of a message, may be refused for its own sake.
        let shows_the_end = link.is_none() && question.message.is_none();
        let page = self.parts.reporting.service.page(question, link).await;
        let page = self.judge(page, shows_the_end);
        if let Ok(page) = &page {
            self.listen(!page.is_empty());
        }
        self.remember().await;
        Ok(page?.map_next(|link| ServiceLink {
            by_graph: false,
            link,
        }))
    }

    /// The Reporting Web Service has answered with a page, with rows or without.
    fn listen(&self, has_rows: bool) {
        let now = self.clock.reading();
        if let Some(since) = lock(&self.silence).page(has_rows, now) {
            self.log.warning(silent(since));
        }
    }

    /// Keeps that a password was refused or accepted, and what there is of evidence.
    async fn remember(&self) {
        if let Some(passwords) = &self.parts.passwords {
            let end = self.change().kept().filter(|_| self.graph().is_none());
            passwords.keep(end).await;
        }
    }
}

/// Whether a request was made of the service itself.
fn was_asked(error: &microsoft::Error) -> bool {
    matches!(
        error,
        microsoft::Error::NoAnswer(_)
            | microsoft::Error::Status { .. }
            | microsoft::Error::Unreadable(_)
            | microsoft::Error::Overloaded { .. }
    )
}

impl Source for Services {
    type Link = ServiceLink;
    type Text = TraceText;

    fn text(&self) -> &TraceText {
        &TraceText
    }

    async fn page(
        &self,
        lane: Lane,
        question: Question,
        link: Option<ServiceLink>,
    ) -> Result<Page<ServiceLink>, SourceError> {
        let graph = match self.successor().await? {
            Some(graph) => graph,
            None => match self
                .page_of_reporting(question.clone(), link.as_ref())
                .await
            {
                Ok(page) => return Ok(page),
                Err(error) => self.successor().await?.ok_or(error)?,
            },
        };
        // A link of the other service leads nowhere here: the window is read from its first page on.
        let link = link.filter(|link| link.by_graph).map(|link| link.link);
        let page = graph.page(lane, question, link).await;
        self.remember().await;
        Ok(page?.map_next(|link| ServiceLink {
            by_graph: true,
            link,
        }))
    }

    fn limits(&self) -> SourceLimits {
        match self.graph() {
            Some(graph) => graph.limits(),
            None => self.parts.reporting.limits(),
        }
    }

    fn oldest_request(&self) -> Option<PendingRequest> {
        let graph = self.parts.graph.as_ref();
        let of_graph = graph.and_then(Source::oldest_request);
        let of_reporting = self.parts.reporting.service.exchange.oldest_request();
        let both = [of_graph, of_reporting].into_iter().flatten();
        both.min_by_key(|request| request.since)
    }

    fn time(&self, local: DateTime<Utc>) -> SourceTime {
        match self.graph() {
            Some(graph) => graph.time(local),
            None => self.parts.reporting.service.exchange.time(),
        }
    }

    fn has_passed(&self, at: DateTime<Utc>) {
        self.parts.reporting.service.exchange.has_passed(at);
        if let Some(graph) = &self.parts.graph {
            graph.has_passed(at);
        }
    }

    async fn ask_time(&self) -> Result<(), SourceError> {
        let graph = match self.successor().await? {
            Some(graph) => graph,
            None => {
                let told = self.judge(self.parts.reporting.service.ask_time().await, true);
                self.remember().await;
                match told {
                    Ok(()) => return Ok(()),
                    Err(error) => self.successor().await?.ok_or(error)?,
                }
            }
        };
        let told = graph.ask_time().await;
        self.remember().await;
        told
    }

    fn leave_in(&self, task: task::Id) -> Option<Duration> {
        // Its quota is waited for already when it is asked whether it answers.
        self.parts.graph.as_ref()?.leave_in(task)
    }

    fn quota_use(&self) -> Option<QuotaUse> {
        self.graph()?.quota_use()
    }

    async fn close(&self) {
        if let Some(graph) = self.graph() {
            graph.close().await;
        }
        self.remember().await;
    }

    async fn details(
        &self,
        name: RowName,
        received: Option<DateTime<Utc>>,
    ) -> Result<Option<String>, SourceError> {
        match self.graph() {
            Some(graph) => graph.details(name, received).await,
            None => {
                let details = &self.parts.reporting.details;
                details::ask(details, name, received, &self.log).await
            }
        }
    }
}
