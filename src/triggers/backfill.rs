//! Backfills: how far back they may go, and how they are done without a running trigger.

use std::io;

use chrono::{DateTime, TimeDelta, Utc};
use collect::{
    backfill::{ORDER_FILE, Order, Progress},
    letters,
    timeline::{Found, Timeline},
};
use microsoft::Graph;
use rows::Window;
use sekoia::{Errand, MemoryBackend, RunError, Storage, StorageError};

use super::{
    collection::{BRINK, Collection, Task},
    decision::Decision,
    formats::Later,
    message_trace, message_trace_graph, message_trace_oauth,
    source::QUOTA_FILE,
    state,
    tenant::{self, Origin, Subject},
};

/// How far back a service keeps rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// The service in words.
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
pub(crate) struct Standing {
    /// The last order.
    order: Option<Order>,
    /// The progress of the last order that was begun.
    pub(super) progress: Option<Progress>,
    /// Where a collection began: what others have delivered before is not known. None when none has
    /// begun.
    pub(crate) origin: Option<DateTime<Utc>>,
    /// What was skipped as somebody moved the position on, oldest first.
    pub(crate) skipped: Vec<Window>,
}

impl Standing {
    pub(crate) async fn in_storage(storage: &Storage) -> io::Result<Self> {
        let store = storage.clone();
        let mut skipped = Vec::new();
        let origin = match Timeline::load(&store).await? {
            Found::Timeline(timeline) => {
                let coverage = &timeline.coverage;
                skipped = coverage.skipped().to_vec();
                coverage.has_begun().then(|| coverage.origin())
            }
            // Of another module there is no more than its position.
            Found::Nothing | Found::Damaged(_) => state::mark(storage).await?,
        };
        Ok(Self {
            order: Order::load(&store).await?,
            progress: Progress::load(&store).await?,
            origin,
            skipped,
        })
    }

    /// The order that has not ended yet.
    pub(crate) fn unfinished(&self) -> Option<&Order> {
        let order = self.order.as_ref()?;
        let progress = self.progress.as_ref();
        let ended = progress.is_some_and(|one| one.id == order.id && one.has_ended());
        Some(order).filter(|_| !ended)
    }
}

/// The progress of an order; none before it is begun.
pub(crate) async fn progress(storage: &Storage, order: &Order) -> io::Result<Option<Progress>> {
    let progress = Progress::load(storage).await?;
    Ok(progress.filter(|progress| progress.id == order.id))
}

/// The settings of one of the triggers.
enum Settings {
    Account(message_trace::Settings),
    Graph(message_trace_graph::Settings),
    Oauth(message_trace_oauth::Settings),
}

impl Settings {
    fn of(errand: &Errand<'_>) -> Result<Self, RunError> {
        let settings = errand.settings();
        match errand.command() {
            "message_trace" => settings.typed().map(Self::Account),
            "message_trace_graph" => settings.typed().map(Self::Graph),
            "message_trace_oauth" => settings.typed().map(Self::Oauth),
            other => Err(RunError::failed(format!("{other} has no backfill"))),
        }
    }

    fn subject(&self) -> Subject {
        match self {
            Self::Account(settings) => settings.subject(),
            Self::Graph(settings) => settings.subject(),
            Self::Oauth(settings) => settings.subject(),
        }
    }

    fn collection(&self) -> &Collection {
        match self {
            Self::Account(settings) => &settings.collection,
            Self::Graph(settings) => &settings.collection,
            Self::Oauth(settings) => &settings.collection,
        }
    }

    fn start_time(&self) -> TimeDelta {
        match self {
            Self::Account(settings) => settings.start_time(),
            Self::Graph(settings) => settings.start_time(),
            Self::Oauth(settings) => settings.start_time(),
        }
    }
}

/// Looks for the files of the tenant that the settings are about; nothing is changed.
pub(crate) async fn enter(errand: &mut Errand<'_>) -> Result<(), RunError> {
    let subject = Settings::of(errand)?.subject();
    let all = errand.storage();
    let folder = tenant::look(&all, &subject).await?;
    for files in [&all, &all.inside(&folder)] {
        Later::ensure_none(files).await?;
    }
    errand.enter(folder);
    Ok(())
}

/// The same among all `files`, for writing.
pub(crate) async fn own_files(errand: &Errand<'_>, files: &Storage) -> Result<Storage, RunError> {
    let settings = Settings::of(errand)?;
    let first = errand.clock().now() - settings.start_time();
    let log = errand.context(files.clone()).log;
    tenant::take(files, &settings.subject(), first, &log).await
}

/// Carries out what was ordered with dead letters, in the files of a trigger that is not running.
pub(crate) async fn letters(
    errand: &Errand<'_>,
    files: Storage,
    order: letters::order::Order,
) -> Result<letters::order::Outcome, RunError> {
    let context = errand.context(files);
    let settings = Settings::of(errand)?;
    super::letters::perform(settings.collection(), &context, order).await
}

/// How far back the service keeps rows that the trigger reads at present.
pub(crate) async fn reach(errand: &Errand<'_>) -> Result<Reach, RunError> {
    let graph = |beside| Reach {
        service: "Microsoft Graph",
        kept: Graph::RETENTION,
        beside: Some(beside),
    };
    let (choice, terms, beside) = match Settings::of(errand)? {
        Settings::Graph(settings) => return Ok(graph(settings.quota_beside())),
        Settings::Account(settings) => {
            let (choice, terms) = settings.choice();
            (choice, terms, settings.quota_beside())
        }
        Settings::Oauth(settings) => {
            let (choice, terms) = settings.choice();
            (choice, terms, settings.quota_beside())
        }
    };
    let decided = Decision::kept(&errand.storage()).await?;
    Ok(match choice.current(decided.as_ref(), &terms) {
        Origin::Graph => graph(beside),
        Origin::Reporting => Reach {
            service: "Reporting Web Service",
            kept: super::source::REPORTING_RETENTION,
            beside: None,
        },
    })
}

/// Delivers what was ordered in the files of a trigger that is not running.
pub(crate) async fn deliver(
    errand: &Errand<'_>,
    files: Storage,
    range: Window,
) -> Result<(), RunError> {
    perform(errand, files, Task::Backfill(range)).await
}

/// Counts what would be delivered in a copy of the files.
pub(crate) async fn count(
    errand: &Errand<'_>,
    copy: Storage,
    range: Window,
    beside: bool,
) -> Result<(), RunError> {
    perform(errand, copy, Task::Count { range, beside }).await
}

async fn perform(errand: &Errand<'_>, storage: Storage, task: Task) -> Result<(), RunError> {
    let context = errand.context(storage);
    // A collection is large.
    match Settings::of(errand)? {
        Settings::Account(settings) => Box::pin(settings.perform(context, task)).await,
        Settings::Graph(settings) => Box::pin(settings.perform(context, task)).await,
        Settings::Oauth(settings) => Box::pin(settings.perform(context, task)).await,
    }
}

/// A copy in memory of the files of a trigger, with an order. A running trigger's use of the quota
/// is its own.
pub(crate) async fn copy(
    storage: &Storage,
    order: &Order,
    beside: bool,
) -> Result<Storage, RunError> {
    let copy = Storage::new(MemoryBackend::default());
    for name in listed(storage).await? {
        let skipped = (beside && name == QUOTA_FILE) || name.starts_with(tenant::FOLDERS);
        // A running trigger may take files away meanwhile.
        if let Some(content) = storage.read(&name).await?
            && !skipped
        {
            copy.write(&name, content).await?;
        }
    }
    let order = order.to_json().map_err(RunError::failed)?;
    copy.write(ORDER_FILE, order).await?;
    Ok(copy)
}

async fn listed(storage: &Storage) -> Result<Vec<String>, StorageError> {
    match storage.list("").await {
        Err(StorageError::Failed { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(Vec::new())
        }
        listed => listed,
    }
}
