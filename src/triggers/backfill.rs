//! Backfills: how far back they may go, and how they are done without a running trigger.

use std::io;

use chrono::{DateTime, TimeDelta, Utc};
use collect::{
    backfill::{BackfillOrder, BackfillProgress},
    letters,
    order::OrderFile as _,
    proof,
    timeline::{Found, Timeline},
};
use microsoft::Graph;
use rows::Window;
use sekoia::{MemoryBackend, OfflineSession, RunError, Storage};
use serde_json::{Value, json};

pub(crate) use super::collection::Task;
use super::{
    collection::{BRINK, Collection},
    formats::Later,
    message_trace::AccountSettings,
    message_trace_graph::AppSettings,
    message_trace_oauth::OauthSettings,
    service_choice::Decision,
    source::QUOTA_FILE,
    state::Kept,
    tenant::{self, First, Origin, Subject},
    words::span,
};

/// How far back a service keeps rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) service: &'static str,
    /// For so long.
    pub(crate) kept: TimeDelta,
    /// Requests in five minutes that are made beside a running trigger; none without a quota.
    pub(crate) beside: Option<u32>,
}

impl Reach {
    /// The oldest instant that may still be asked for a moment later.
    pub(crate) fn oldest(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - self.kept + BRINK
    }
}

/// What is known of backfills and of the collection beside them.
#[derive(Debug)]
pub(crate) struct BackfillStanding {
    /// The order that has not ended yet.
    pub(crate) unfinished: Option<BackfillOrder>,
    /// Its progress; none before it is begun.
    pub(super) progress: Option<BackfillProgress>,
    /// Where a collection began: what others have delivered before is not known. None when none has
    /// begun.
    pub(crate) origin: Option<DateTime<Utc>>,
    /// What was skipped as somebody moved the position on, oldest first.
    pub(crate) skipped: Vec<Window>,
}

impl BackfillStanding {
    pub(crate) async fn in_storage(storage: &Storage) -> io::Result<Self> {
        let mut skipped = Vec::new();
        let origin = match Timeline::load(storage).await? {
            Found::Timeline(timeline) => {
                let coverage = &timeline.coverage;
                skipped = coverage.skipped().to_vec();
                coverage.has_begun().then(|| coverage.origin())
            }
            // Of another module there is no more than its position.
            Found::Nothing | Found::Damaged(_) => {
                let kept = Kept::in_storage(storage).await;
                kept.map_err(io::Error::other)?.come_to()
            }
        };
        let order = BackfillOrder::load(storage).await?;
        let progress = match &order {
            Some(order) => order.progress(storage).await?,
            None => None,
        };
        Ok(Self {
            unfinished: order.filter(|order| !order.has_ended(progress.as_ref())),
            progress,
            origin,
            skipped,
        })
    }

    /// What has not ended yet: what there is to say, the same for machines, and whether it needs
    /// somebody. None when that is nothing. `in_use` when a process works on these files; none when
    /// that is not known.
    pub(super) fn tell(
        &self,
        in_use: Option<bool>,
        now: DateTime<Utc>,
    ) -> Option<(String, Value, bool)> {
        let order = self.unfinished.as_ref()?;
        let progress = self.progress.as_ref();
        let progress = progress.filter(|progress| progress.counts.asked > 0);
        let mut text = match progress {
            Some(progress) => format!(
                "of the rows received from {}, {} % are read",
                order.range,
                progress.percent()
            ),
            None => format!("the rows received from {} are asked for", order.range),
        };
        let eta = progress
            .and_then(BackfillProgress::seconds_left)
            .filter(|_| in_use == Some(true));
        text.push_str(match (order.cancelled, in_use, progress) {
            (true, _, _) => "; it is being given up",
            (false, None, _) => "",
            (false, Some(true), Some(_)) => ", beside the collection",
            (false, Some(true), None) => "; it is not taken up yet",
            (false, Some(false), _) => {
                ", and nothing works on it: the trigger, once started, goes on with it, and so \
                 does `message-trace backfill`"
            }
        });
        let left = eta.map(|seconds| span(TimeDelta::seconds(seconds)));
        text.extend(left.map(|left| format!(", done in about {left}")));
        let waits = progress.and_then(|progress| progress.next_request);
        let waits = waits.filter(|at| in_use == Some(true) && *at > now);
        text.extend(waits.map(|at| format!("; quota: next request in {}", span(at - now))));
        let trouble = progress.and_then(|progress| progress.trouble.as_ref());
        text.extend(trouble.map(|trouble| format!("; it cannot go on: {}", trouble.sentence)));
        let facts = json!({
            "from": order.range.start(),
            "to": order.range.end(),
            "cancelled": order.cancelled,
            "begun": progress.map(|progress| progress.begun),
            "percent": progress.map(BackfillProgress::percent),
            "seconds_to_go": eta,
            "next_request": waits,
            "trouble": trouble.map(|trouble| &trouble.sentence),
        });
        Some((text, facts, trouble.is_some()))
    }
}

enum TriggerSettings {
    Account(AccountSettings),
    Graph(AppSettings),
    Oauth(OauthSettings),
}

impl TriggerSettings {
    fn of(session: &OfflineSession<'_>) -> Result<Self, RunError> {
        let settings = session.settings.clone();
        match session.command() {
            "message_trace" => settings.typed().map(Self::Account),
            "message_trace_graph" => settings.typed().map(Self::Graph),
            "message_trace_oauth" => settings.typed().map(Self::Oauth),
            other => Err(RunError::failed(format!("{other} has no backfill"))),
        }
    }

    /// Whose mail is collected, and the settings that every trigger has.
    fn common(&self) -> (Subject, &Collection) {
        match self {
            Self::Account(settings) => (settings.subject(), &settings.collection),
            Self::Graph(settings) => (settings.subject(), &settings.collection),
            Self::Oauth(settings) => (settings.subject(), &settings.collection),
        }
    }
}

/// Looks for the files of the tenant that the settings are about; nothing is changed.
pub(crate) async fn enter(session: &mut OfflineSession<'_>) -> Result<(), RunError> {
    let settings = TriggerSettings::of(session)?;
    let (subject, _) = settings.common();
    let all = &session.context.storage;
    let folder = tenant::look(all, &subject).await?;
    for files in [all, &all.inside(&folder)] {
        Later::ensure_none(files).await?;
    }
    session.enter(folder);
    Ok(())
}

/// The same among all `files`, for writing.
pub(crate) async fn own_files(
    session: &OfflineSession<'_>,
    files: &Storage,
) -> Result<Storage, RunError> {
    let settings = TriggerSettings::of(session)?;
    let (subject, collection) = settings.common();
    let first = First {
        now: session.context.clock.now(),
        start_time: collection.start_time(),
    };
    let log = &session.context.log;
    let folder = tenant::take(files, &subject, first, log).await?;
    Ok(files.inside(&folder))
}

/// Carries out what was ordered with dead letters, in the files of a trigger that is not running.
pub(crate) async fn letters(
    session: &OfflineSession<'_>,
    files: Storage,
    order: letters::order::LettersOrder,
) -> Result<letters::order::LettersOutcome, RunError> {
    let mut context = session.context.clone();
    context.storage = files;
    let settings = TriggerSettings::of(session)?;
    let (_, collection) = settings.common();
    super::letters::perform(collection, &context, order).await
}

/// How far back the service keeps rows that the trigger reads at present.
pub(crate) async fn reach(session: &OfflineSession<'_>) -> Result<Reach, RunError> {
    let graph = |beside| Reach {
        service: "Microsoft Graph",
        kept: Graph::RETENTION,
        beside: Some(beside),
    };
    let (choice, terms, beside) = match TriggerSettings::of(session)? {
        TriggerSettings::Graph(settings) => return Ok(graph(settings.graph.quota_beside())),
        TriggerSettings::Account(of) => (of.service, of.terms(), of.graph.quota_beside()),
        TriggerSettings::Oauth(of) => (of.service, of.terms(), of.graph.quota_beside()),
    };
    let decided = Decision::kept(&session.context.storage).await?;
    Ok(match choice.current(decided.as_ref(), &terms) {
        Origin::Graph => graph(beside),
        Origin::Reporting => Reach {
            service: "Reporting Web Service",
            kept: super::source::REPORTING_RETENTION,
            beside: None,
        },
    })
}

/// Does a task in the files of a trigger that is not running, or in a copy of them.
pub(crate) async fn perform(
    session: &OfflineSession<'_>,
    storage: Storage,
    task: Task,
) -> Result<(), RunError> {
    let mut context = session.context.clone();
    context.storage = storage;
    // A collection is large.
    match TriggerSettings::of(session)? {
        TriggerSettings::Account(settings) => Box::pin(settings.perform(context, task)).await,
        TriggerSettings::Graph(settings) => Box::pin(settings.perform(context, task)).await,
        TriggerSettings::Oauth(settings) => Box::pin(settings.perform(context, task)).await,
    }
}

/// A copy in memory of the files of a trigger, with an order. A running trigger's use of the quota
/// is its own. Nobody counts dead letters, of which there may be a gigabyte, nor carries out what is to be done with
/// them.
pub(crate) async fn copy(
    storage: &Storage,
    order: &BackfillOrder,
    beside: bool,
) -> Result<Storage, RunError> {
    let copy = Storage::new(MemoryBackend::default());
    for name in storage.list("").await? {
        let skipped = (beside && name == QUOTA_FILE)
            || name.starts_with(tenant::FOLDERS)
            || name.starts_with(proof::FOLDER)
            || name.starts_with(letters::FOLDER)
            || name == letters::order::LettersOrder::NAME;
        // A running trigger may take files away meanwhile.
        if !skipped && let Some(content) = storage.read(&name).await? {
            copy.write(&name, content).await?;
        }
    }
    order.save(&copy).await?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use collect::backfill::BackfillWork;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn only_what_is_counted_by_is_copied() {
        let files = Storage::new(MemoryBackend::default());
        for name in [
            "context.json",
            "dead-letters/0000000001.jsonl",
            "dead-letters-order.json",
            "known-rows/0000000000.keys",
            "proof/2026-11-29.v1",
            "quota.json",
            "tenants/b/graph/context.json",
        ] {
            files.write(name, "{}").await.unwrap();
        }
        let now = DateTime::UNIX_EPOCH;
        let range = Window::new(now, now + TimeDelta::hours(1)).unwrap();
        let words = ("then".to_owned(), "now".to_owned());
        let work = BackfillWork { again: false };
        let order = BackfillOrder::new(Uuid::nil(), range, words, work);
        for (beside, quota) in [(true, &[][..]), (false, &["quota.json"][..])] {
            let copied = copy(&files, &order, beside).await.unwrap();
            let mut expected = vec![
                BackfillOrder::NAME,
                "context.json",
                "known-rows/0000000000.keys",
            ];
            expected.extend(quota);
            assert_eq!(copied.list("").await.unwrap(), expected);
        }
    }
}
