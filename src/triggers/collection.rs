//! What all triggers have in common: the settings of a collection, and how source, fetch loop and
//! intake are put together.

use std::sync::Arc;

use base::Secret;
use chrono::TimeDelta;
use collect::{
    Collector, Excluded, Opening, Parts, Source,
    journal::{Inventory, JournalFiles, Remembered},
    known::KnownRows,
    letters::{Letters, Owner, Room, fingerprint},
    schedule::ScheduleSettings,
    timeline::Timeline,
};
use microsoft::TokenCache;
use rows::{RowKeyer, Window};
use sekoia::{Context, Intake, Log, RunError, StateFile, Storage};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    beginning::Beginning,
    details::Inquiry,
    exclusions::Unwanted,
    expiry,
    first_start::first_start,
    formats::Later,
    privacy::Hiding,
    report::Report,
    row_text,
    sink::Delivery,
    source::QuotaFigures,
    state::{self, ContextFile},
    tenant::{self, First, Subject},
    working::Working,
};

/// The settings that every trigger has; bounds and defaults are in the manifests.
#[derive(Debug, Deserialize)]
pub(super) struct Collection {
    intake_key: Secret,
    intake_server: Option<String>,
    /// Seconds.
    frequency: u32,
    /// Minutes.
    timedelta: u32,
    /// Hours.
    settle_time: u32,
    /// Hours.
    start_time: u32,
    /// Events.
    chunk_size: usize,
    /// What is not sent.
    #[serde(flatten)]
    pub(super) unwanted: Unwanted,
    /// What of the rest is hidden.
    #[serde(flatten)]
    pub(super) hiding: Hiding,
    /// Of which rows it is asked what happened.
    #[serde(flatten)]
    pub(super) inquiry: Inquiry,
}

impl Collection {
    pub(super) fn intake(&self, context: &Context) -> Result<Intake, RunError> {
        context.intake(
            &self.intake_key,
            self.intake_server.as_deref(),
            self.chunk_size,
        )
    }

    /// Whose dead letters are kept, and sent again.
    pub(super) fn owner(&self) -> Owner {
        Owner {
            intake: fingerprint(self.intake_key.expose()),
            identify: row_text::message_id,
        }
    }

    /// How far back the very first collection begins.
    pub(super) fn start_time(&self) -> TimeDelta {
        TimeDelta::hours(self.start_time.into())
    }
}

/// What is older than the source's retention but for this is gone before it can be asked for. A
/// first start does not ask for it, else its rows would count as lost.
pub(super) const BRINK: TimeDelta = TimeDelta::minutes(2);

/// What is to be done with a source.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    /// Collect until stopped.
    Collect,
    /// Deliver what a person has ordered, and end.
    Backfill(Window),
    /// Verify what a person has ordered, deliver what is missing, and end.
    Verify(Window),
    /// As if it were delivered, but no row leaves.
    Count {
        range: Window,
        /// Whether the trigger is running meanwhile, and needs its quota itself.
        beside: bool,
    },
}

impl Task {
    /// What alone is read; none for a collection.
    pub(super) fn range(self) -> Option<Window> {
        match self {
            Self::Collect => None,
            Self::Backfill(range) | Self::Verify(range) | Self::Count { range, .. } => Some(range),
        }
    }
}

#[derive(Debug)]
pub(super) struct Whose {
    pub(super) subject: Subject,
    /// What a token of one of these says; none for an account without tokens.
    pub(super) tokens: Vec<Arc<TokenCache>>,
}

/// Does it with the source that `source` makes.
pub(super) async fn run<S: Source>(
    settings: Collection,
    context: Context,
    task: Task,
    whose: Whose,
    source: impl AsyncFnOnce(RowKeyer, Storage) -> Result<S, RunError>,
) -> Result<(), RunError> {
    let Context {
        clock, log, stop, ..
    } = &context;
    let collects = matches!(task, Task::Collect);
    if collects {
        // The words of the contract (O-07), which people search for.
        log.info("Office365 MessageTrace Trigger has started.");
    }
    // It is told as long as the run goes on.
    let watched = collects.then(|| expiry::watch(&context, &whose.tokens));
    let _expiry = watched.flatten();
    let intake = settings.intake(&context)?;
    let privacy = settings.hiding.privacy()?;
    let hidden = settings.hiding.hidden;
    // What is only counted needs none.
    let details = match task {
        Task::Count { .. } => None,
        _ => settings.inquiry.wish(settings.frequency),
    };
    let working = Working::new(hidden, &settings.inquiry.details);
    log.info(format!("Events go to the intake at {}.", intake.host()));
    // For a task of another kind they were looked for before.
    let folder = match collects {
        true => own_folder(&settings, &context, &whose.subject).await?,
        false => String::new(),
    };
    let storage = &context.storage.inside(&folder);
    Later::ensure_none(storage).await?;
    let kept = state::Kept::in_storage(storage).await?;
    let state = StateFile::load(storage, clock, log).await?;
    let seed = Uuid::new_v4().into_bytes();
    let found = Timeline::load(storage).await?;
    let timeline = state::known(&found);
    let expected = timeline.map_or_else(Inventory::new, |timeline| timeline.segments.clone());
    let mark = timeline.and_then(|timeline| timeline.seed_mark);
    let journal = JournalFiles::find(storage, seed, &expected, mark).await?;
    let keyer = journal.keyer();
    let letters = open_letters(storage, settings.owner(), log).await?;
    let excluded = Excluded::open(storage, settings.unwanted.rules(), &keyer).await?;
    QuotaFigures::new(&context.metrics).forget();
    let source = Box::pin(source(keyer, storage.clone())).await?;
    let leaps = timeline.and_then(|timeline| timeline.leaps.clone());
    if let Some(passed) = timeline.and_then(|timeline| timeline.coverage.passed()) {
        source.has_passed(passed);
    }
    let limits = source.limits();
    let reach = limits.retention - BRINK;
    let start_time = settings.start_time().min(reach);
    // When this process was started, the service's clock tells.
    let begun = match collects && !kept.has_position(clock.now()) {
        true => first_start(storage, clock.now()).await?,
        false => None,
    };
    let settings = ScheduleSettings {
        frequency: TimeDelta::seconds(settings.frequency.into()),
        delay: TimeDelta::minutes(settings.timedelta.into()),
        settle_time: TimeDelta::hours(settings.settle_time.into()),
        limits,
    };
    let now = clock.now();
    let beginning = Beginning {
        task,
        kept,
        found,
        begun,
        start_time,
        reach,
        settings,
        log: log.clone(),
    };
    let (missing, unknown) = (beginning.missing(now), beginning.unknown(now));
    let begin = move |opening: Opening, known: &KnownRows| beginning.judged(opening, known);
    let source = Arc::new(source);
    working.told_by(&context.heartbeat, &source, clock);
    let report = Report::new(&context, &intake, working, hidden);
    let parts = Parts {
        source,
        sink: Arc::new(Delivery {
            intake,
            pretended: matches!(task, Task::Count { .. }),
        }),
        store: Arc::new(storage.clone()),
        checkpoints: ContextFile::new(state, whose.tokens, storage.clone(), log.clone()),
        letters,
        excluded,
        privacy,
        details,
        observer: Arc::new(report),
        clock: clock.clone(),
        stop: stop.clone(),
    };
    let recall = recall(journal, storage, log);
    let collector = Box::pin(Collector::recalling(parts, unknown, recall)).await?;
    let collector = collector.beginning(Some(missing), leaps, begin);
    Box::pin(collector.run()).await?;
    if collects {
        log.info("Stopping Office365 MessageTrace trigger");
    }
    Ok(())
}

/// The folder with the state of the organization that is collected.
async fn own_folder(
    settings: &Collection,
    context: &Context,
    subject: &Subject,
) -> Result<String, RunError> {
    Later::ensure_none(&context.storage).await?;
    context.storage.keep_no_more();
    let (now, start_time) = (context.clock.now(), settings.start_time());
    let first = First { now, start_time };
    let folder = tenant::take(&context.storage, subject, first, &context.log).await?;
    if context.heartbeat.turns_to(&folder) {
        Report::turns_to_another(&context.metrics, settings.hiding.hidden);
    }
    Ok(folder)
}

async fn open_letters(store: &Storage, owner: Owner, log: &Log) -> Result<Letters, RunError> {
    let letters = Letters::open(store, owner, Room::WIDE).await?;
    for name in letters.unusable() {
        log.error(format!(
            "{name} is no file of dead letters that can be read: it is left as it is, and what lies \
             there is neither sent nor thrown away."
        ));
    }
    Ok(letters)
}

/// Reads the delivered rows from the files of the journal. Damaged files are logged as warnings.
async fn recall(journal: JournalFiles, store: &Storage, log: &Log) -> Result<Remembered, RunError> {
    let remembered = journal.read(store).await?;
    if let Some(place) = remembered.seed_taken_back {
        log.warning(format!(
            "The key of the row hashes was missing, damaged or another one in known-rows/, and is taken back \
             from {place}: rows that are known stay known."
        ));
    }
    for place in &remembered.damage {
        log.warning(format!(
            "The memory of delivered rows is damaged ({place}): some rows may be sent twice, none \
             is lost."
        ));
    }
    Ok(remembered)
}
