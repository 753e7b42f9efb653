//! What all triggers have in common: the settings of a collection, and how source, fetch loop and
//! intake are put together.

use std::sync::Arc;

use chrono::TimeDelta;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    report::Report,
    sink::{Delivery, Kept},
    state::{self, Position, STATE_FILE},
};
use crate::{
    RowKeyer, Secret,
    collect::{
        Collector, Parts, Source,
        journal::{Journal, Remembered},
        schedule::{Schedule, ScheduleSettings},
        timeline::{Start, Timeline},
    },
    sdk::{Context, RunError, StateFile},
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
}

/// What is older than the source's retention but for this is gone before it can be asked for. A
/// first start does not ask for it, else its rows would count as lost.
const BRINK: TimeDelta = TimeDelta::minutes(2);

/// Collects from the source that `source` makes, until stopped.
pub(super) async fn run<S: Source>(
    settings: Collection,
    context: Context,
    source: impl AsyncFnOnce(RowKeyer) -> Result<S, RunError>,
) -> Result<(), RunError> {
    let Context {
        clock,
        log,
        storage,
        stop,
        ..
    } = &context;
    // The words of the contract (O-07), which people search for.
    log.info("Office365 MessageTrace Trigger has started.");
    let intake = context.intake(
        &settings.intake_key,
        settings.intake_server.as_deref(),
        settings.chunk_size,
    )?;
    log.info(format!("Events go to the intake at {}.", intake.host()));
    let state = StateFile::load(storage, STATE_FILE, clock, log).await?;
    let store = Kept(storage.clone());
    let seed = Uuid::new_v4().into_bytes();
    let Remembered {
        known,
        journal,
        keyer,
        damage,
    } = Journal::open(&store, seed)
        .await
        .map_err(RunError::failed)?;
    for place in damage {
        log.warning(format!(
            "The memory of delivered rows is damaged ({place}): some rows may be sent twice, none \
             is lost."
        ));
    }

    let source = source(keyer).await?;
    let limits = source.limits();
    let start_time = TimeDelta::hours(settings.start_time.into()).min(limits.retention - BRINK);
    let mark = state::begin(&state, log, clock.now(), start_time);
    let settle_time = TimeDelta::hours(settings.settle_time.into());
    let found = Timeline::load(&store).await.map_err(RunError::failed)?;
    let start = Start::new(mark, found, settle_time, clock.now());
    if let Some(remark) = &start.remark {
        log.warning(remark);
    }
    let schedule = Schedule::new(
        ScheduleSettings {
            frequency: TimeDelta::seconds(settings.frequency.into()),
            delay: TimeDelta::minutes(settings.timedelta.into()),
            settle_time,
            longest: limits.longest_window,
            retention: limits.retention,
            rows_per_window: limits.rows_per_window,
            rows_per_page: limits.rows_per_page,
            share: limits.share,
        },
        start.coverage,
        start.lateness,
    );
    let report = Report::new(
        log.clone(),
        clock.clone(),
        context.heartbeat.clone(),
        &context.metrics,
        &intake,
    );
    let parts = Parts {
        source: Arc::new(source),
        sink: Arc::new(Delivery(intake)),
        store: Arc::new(store),
        checkpoint: Position(state),
        observer: Arc::new(report),
        clock: clock.clone(),
        stop: stop.clone(),
    };
    Collector::new(parts, schedule, known, journal)
        .run()
        .await
        .map_err(RunError::failed)?;
    log.info("Stopping Office365 MessageTrace trigger");
    Ok(())
}
