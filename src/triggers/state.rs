//! Where a collection stands, in the state file that the Python module of this trigger uses too.

mod position;

use std::{io, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use collect::{
    CheckpointStore,
    coverage::Stage,
    start::{Position, is_long_ago},
    timeline::{self, TIMELINE_FILE, Timeline},
};
use microsoft::TokenCache;
use sekoia::{Log, Peek, StateFile, Storage, StorageError};
use serde_json::{Map, Value, json};

pub(super) use self::position::with_checkpoint;
use self::position::{checkpoint_in, text};
use super::{
    first_start,
    formats::{STATE_VERSION, VERSION},
    tenant,
    words::{moment, span},
};

/// The state file (contract O-05).
pub(super) const STATE_FILE: &str = StateFile::NAME;

/// Its key for the checkpoint: everything received before it has been delivered.
const CHECKPOINT: &str = "most_recent_date_requested";

const SHOWN: usize = 80;

/// A position goes by the service's clock, which may be ahead of ours by so much without a word.
const AHEAD: TimeDelta = TimeDelta::minutes(1);

/// What time it is by the service, whose clock a position goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServiceNow {
    pub(super) at: DateTime<Utc>,
    /// Whether the service has told it; else it is the time of this machine, whose clock may be wrong.
    pub(super) is_told: bool,
}

/// The timeline in these files, for people. As for a run, something else in its place is damage.
pub(super) async fn timeline_in(storage: &Storage) -> Result<timeline::Found, StorageError> {
    match storage.read(TIMELINE_FILE).await {
        Err(error) if let Some(reason) = error.is_damage() => Ok(timeline::Found::Damaged(reason)),
        read => Ok(read?.map_or(timeline::Found::Nothing, |text| Timeline::parse(&text))),
    }
}

/// The timeline of what was found, when there is one that can be used.
pub(super) fn known(found: &timeline::Found) -> Option<&Timeline> {
    match found {
        timeline::Found::Timeline(timeline) => Some(timeline),
        timeline::Found::Nothing | timeline::Found::Damaged(_) => None,
    }
}

/// The position as it stands, and its copy, which only this module writes.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) position: Position,
    pub(super) copy: Option<DateTime<Utc>>,
    /// Whether this module has ever written the file.
    is_ours: bool,
}

impl Kept {
    /// What the files hold; nothing is mended.
    pub(super) async fn in_storage(storage: &Storage) -> Result<Self, StorageError> {
        let Peek { current, copy } = StateFile::peek(storage).await?;
        let has_version = |object: &Map<String, Value>| object.contains_key(STATE_VERSION);
        let is_ours = matches!(&current, Some(Ok(object)) if has_version(object));
        let without = |reason: &str| match copy {
            // The Python module keeps no copy, and writes a file without a position at first.
            None if !is_ours => Position::Absent,
            _ => Position::Unusable(format!("{STATE_FILE} {reason}")),
        };
        let position = match current {
            None => without("is missing"),
            Some(Err(reason)) => Position::Unusable(format!("{STATE_FILE} is broken: {reason}")),
            Some(Ok(object)) => match checkpoint_in(&object) {
                None => without("has none"),
                Some(Ok(checkpoint)) => Position::At(checkpoint),
                Some(Err(text)) => Position::Unusable(format!("{text} is not a date")),
            },
        };
        let copy = copy.and_then(|object| checkpoint_in(&object)?.ok());
        Ok(Self {
            position,
            copy,
            is_ours,
        })
    }

    /// The position, where it can be used.
    fn at(&self) -> Option<DateTime<Utc>> {
        match self.position {
            Position::At(at) => Some(at),
            Position::Absent | Position::Unusable(_) => None,
        }
    }

    /// Up to when a collection has delivered, as far as the position or its copy tells.
    pub(super) fn come_to(&self) -> Option<DateTime<Utc>> {
        self.at().or(self.copy)
    }

    /// Where a collection has come to, as far as that can be told before its service has told the time;
    /// none when nothing that is kept tells it.
    pub(super) fn missing_from(
        &self,
        timeline: &timeline::Found,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let is_plausible = |at: &DateTime<Utc>| is_plausible(*at, now);
        let position = self.at().filter(is_plausible);
        let begun = known(timeline).filter(|timeline| timeline.coverage.has_begun());
        let kept = begun.map(|timeline| timeline.checkpoint);
        let others = [self.copy, kept].into_iter().flatten();
        position.or_else(|| others.filter(is_plausible).min())
    }

    /// Whether the position or its copy tells where a collection has come to. One in the future may be nobody's:
    /// then it begins where the first start would have, also when this one gets no answer.
    pub(super) fn has_position(&self, now: DateTime<Utc>) -> bool {
        let mut either = [self.at(), self.copy].into_iter().flatten();
        either.any(|at| is_plausible(at, now))
    }
}

fn is_plausible(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    at <= now && !is_long_ago(at, now)
}

fn is_ahead(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - at < -AHEAD
}

/// What there is of a state, for people; nothing is mended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Checkpoint {
        checkpoint: DateTime<Utc>,
        /// Whether the Python module left it.
        by_python: bool,
        /// What the timeline tells of what is before it; none without one.
        known: Option<Delivered>,
    },
    /// No usable position, and why.
    Unusable(String),
    /// No usable position, why, and where a run goes on by what else is kept.
    Instead {
        checkpoint: DateTime<Utc>,
        reason: String,
        witness: &'static str,
    },
}

/// What is delivered, as the timeline tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivered {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    /// Whether something between is not: lost, skipped, or asked for by nobody.
    has_holes: bool,
}

impl Delivered {
    fn of(timeline: &Timeline) -> Self {
        let coverage = &timeline.coverage;
        let (from, until) = (coverage.origin(), coverage.checkpoint());
        let mut at = from;
        let mut has_holes = false;
        for (window, stage) in coverage.intervals() {
            if window.start() >= until {
                break;
            }
            has_holes |= window.start() != at || stage == Stage::Lost;
            at = window.end();
        }
        Self {
            from,
            until,
            has_holes: has_holes || at < until,
        }
    }
}

impl Found {
    pub(super) async fn in_storage(storage: &Storage) -> Result<Self, StorageError> {
        let Kept {
            position,
            copy,
            is_ours,
        } = Kept::in_storage(storage).await?;
        let found = timeline_in(storage).await?;
        let timeline = known(&found).filter(|timeline| timeline.coverage.has_begun());
        let kept = timeline.map(|timeline| timeline.checkpoint);
        let reason = match position {
            Position::At(checkpoint) => {
                return Ok(Self::Checkpoint {
                    checkpoint,
                    // This module keeps a copy, which may be damaged, and the Python module does not.
                    by_python: copy.is_none() && !is_ours,
                    known: timeline.map(Delivered::of),
                });
            }
            Position::Absent if kept.is_none() => return Ok(Self::Nothing),
            position => position.to_string(),
        };
        Ok(match (kept, copy) {
            (Some(kept), copy) => Self::Instead {
                checkpoint: copy.map_or(kept, |copy| copy.min(kept)),
                reason,
                witness: TIMELINE_FILE,
            },
            (None, Some(checkpoint)) => Self::Instead {
                checkpoint,
                reason,
                witness: "the last good copy",
            },
            (None, None) => Self::Unusable(reason),
        })
    }

    /// Whether nothing but the clock of this machine says that something is wrong with it.
    pub(super) fn is_doubted_by_us(&self, service: ServiceNow) -> bool {
        let now = service.at;
        let is_odd = matches!(
            self,
            Self::Checkpoint { checkpoint, .. }
                if is_ahead(*checkpoint, now) || is_long_ago(*checkpoint, now)
        );
        is_odd && !service.is_told
    }

    /// Whether it is as it should be, what there is to say, and the same for machines. `begins`
    /// says where a run without a position begins.
    pub(super) fn tell(&self, service: ServiceNow, begins: &str) -> (bool, String, Value) {
        let now = service.at;
        let (is_well, text, checkpoint) = match self {
            Self::Nothing => (true, format!("none yet: the first run {begins}"), None),
            Self::Checkpoint { checkpoint, .. } if is_long_ago(*checkpoint, now) => {
                let text = format!(
                    "the position {} lies further back than rows are kept anywhere: a run goes on \
                     by what else is kept, or {begins}",
                    moment(*checkpoint)
                );
                (false, text, None)
            }
            Self::Checkpoint {
                checkpoint,
                by_python,
                known,
            } => {
                let (writer, name) = if *by_python {
                    ("the Python module", "python")
                } else {
                    ("this module", "message-trace")
                };
                let is_past = !is_ahead(*checkpoint, now);
                let text = match is_past {
                    true => delivered_until(*checkpoint, writer, *known, now),
                    false => {
                        let why = if service.is_told {
                            format!(
                                " by the service's clock: a run goes on by what else is kept, or {begins}"
                            )
                        } else {
                            ", if the clock of this machine is right: check that clock".to_owned()
                        };
                        format!(
                            "the position that {writer} left is in the future, at {}{why}",
                            moment(*checkpoint)
                        )
                    }
                };
                (is_past, text, Some((checkpoint, name)))
            }
            Self::Unusable(reason) => {
                let text = format!(
                    "the position cannot be used ({reason}), so that a run goes on `settle_time` \
                     before the newest row that is remembered as delivered or, when there is none, \
                     {begins}: set the position in it to go on elsewhere"
                );
                (false, text, None)
            }
            Self::Instead {
                checkpoint,
                reason,
                witness,
            } => {
                let text = format!(
                    "the position cannot be used ({reason}): a run puts it right, and goes on at \
                     {}, as {witness} tells",
                    moment(*checkpoint)
                );
                (true, text, Some((checkpoint, "message-trace")))
            }
        };
        let from = match self {
            Self::Checkpoint { known, .. } => known.map(|known| known.from),
            _ => None,
        };
        let (until, writer) = checkpoint.unzip();
        let facts = json!({"complete_from": from, "complete_until": until, "written_by": writer});
        (is_well, text, facts)
    }
}

/// What a checkpoint of this writer says, beside what is `known` to be delivered.
fn delivered_until(
    checkpoint: DateTime<Utc>,
    writer: &str,
    known: Option<Delivered>,
    now: DateTime<Utc>,
) -> String {
    let until = format!("{} ({} ago)", moment(checkpoint), span(now - checkpoint));
    // Else it is a backup of it, or a wish: from there on it is read again.
    match known.filter(|known| checkpoint > known.from) {
        Some(known) if checkpoint > known.until => format!(
            "of {writer}: somebody has set it to {until}; what was received from {} until {} is delivered",
            moment(known.from),
            moment(known.until)
        ),
        Some(known) => {
            let holes = if known.has_holes {
                ", but for what is lost, was skipped, or nobody asked for"
            } else {
                ""
            };
            format!(
                "of {writer}: all that was received from {} until {until} is delivered{holes}",
                moment(known.from)
            )
        }
        None => format!("of {writer}: the collection goes on at {until}"),
    }
}

/// Keeps the checkpoint in the state file, and whose it is once a token has told that.
#[derive(Debug)]
pub(super) struct ContextFile {
    state: StateFile,
    /// Taken away when one of them has told.
    tokens: Vec<Arc<TokenCache>>,
    storage: Storage,
    log: Log,
    /// Whether this process has kept no position before.
    is_first: bool,
}

impl ContextFile {
    pub(super) fn new(
        state: StateFile,
        tokens: Vec<Arc<TokenCache>>,
        storage: Storage,
        log: Log,
    ) -> Self {
        Self {
            state,
            tokens,
            storage,
            log,
            is_first: true,
        }
    }
}

impl CheckpointStore for ContextFile {
    async fn save(&mut self, checkpoint: DateTime<Utc>) -> io::Result<()> {
        self.state.set(CHECKPOINT, text(checkpoint));
        self.state.set(STATE_VERSION, VERSION);
        self.state.save().await.map_err(io::Error::other)?;
        // A kill may have come before that in an earlier process.
        if self.is_first {
            first_start::is_over(&self.storage).await?;
            self.is_first = false;
        }
        let tenant_id = self.tokens.iter().find_map(|tokens| tokens.tenant());
        if let Some(tenant_id) = tenant_id
            // Else it is tried again the next time.
            && tenant::learn(&self.storage, tenant_id, &self.log).await.is_ok()
        {
            self.tokens.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use collect::{coverage::Coverage, evidence::Loss, lateness::Lateness};
    use rows::Window;

    use super::{position::parse, *};

    fn hour(hours: i64) -> DateTime<Utc> {
        parse("2026-05-04T00:00:00Z").unwrap() + TimeDelta::hours(hours)
    }

    fn by_service(at: DateTime<Utc>) -> ServiceNow {
        ServiceNow { at, is_told: true }
    }

    fn hours(start: i64, end: i64) -> Window {
        Window::new(hour(start), hour(end)).unwrap()
    }

    fn lose(coverage: &mut Coverage, window: Window) {
        coverage.lose(Loss {
            window,
            evidence: None,
            asked: hour(9),
        });
    }

    /// Else a person takes what is lost, or was skipped, for delivered.
    #[test]
    fn holes_in_what_is_delivered_are_told() {
        let told = |change: fn(&mut Coverage)| {
            let mut coverage = Coverage::new(hour(0));
            coverage.read(hours(0, 2), hour(3), 5);
            change(&mut coverage);
            let timeline = Timeline::new(hour(9), coverage, Lateness::default());
            let told = Delivered::of(&timeline);
            assert_eq!(told.from, hour(0));
            ((told.until - told.from).num_hours(), told.has_holes)
        };
        assert_eq!(told(|_| {}), (2, false));
        assert_eq!(told(|read| read.skip_by_position(hour(3))), (3, true));
        let twice = |read: &mut Coverage| {
            read.skip_by_position(hour(3));
            read.read(hours(3, 4), hour(4), 5);
            read.skip_by_position(hour(5));
            read.read(hours(5, 6), hour(6), 5);
        };
        assert_eq!(told(twice), (6, true));
        assert_eq!(told(|read| lose(read, hours(2, 3))), (3, true));
        // After what is missing nothing is called delivered.
        let later = |read: &mut Coverage| {
            read.reach(hour(3));
            lose(read, hours(3, 4));
        };
        assert_eq!(told(later), (2, false));
    }

    #[test]
    fn a_position_is_told_by_what_is_delivered() {
        let told = |checkpoint, has_holes| {
            let (from, until) = (hour(1), hour(5));
            let found = Found::Checkpoint {
                checkpoint: hour(checkpoint),
                by_python: false,
                known: Some(Delivered {
                    from,
                    until,
                    has_holes,
                }),
            };
            let (is_well, text, facts) = found.tell(by_service(hour(9)), "");
            assert!(is_well, "{text}");
            assert_eq!(facts["complete_from"], json!(from));
            assert_eq!(facts["complete_until"], json!(hour(checkpoint)));
            text
        };
        for (checkpoint, has_holes, expected) in [
            (5, false, "(4 h ago) is delivered"),
            (
                5,
                true,
                "is delivered, but for what is lost, was skipped, or nobody asked for",
            ),
            (6, true, "somebody has set it to"),
            (1, true, "of this module: the collection goes on at"),
        ] {
            let text = told(checkpoint, has_holes);
            assert!(text.contains(expected), "{text}");
            assert_eq!(text.contains("but for"), has_holes && checkpoint == 5);
        }
    }

    #[tokio::test]
    async fn without_a_position_it_is_told_where_a_run_goes_on() {
        let copy_of_it = "the last good copy";
        for (position, copy, kept, expected) in [
            (None, None, None, None),
            (None, None, Some(4), Some((4, TIMELINE_FILE))),
            (Some("{"), Some(3), Some(4), Some((3, TIMELINE_FILE))),
            (Some("{"), Some(5), Some(4), Some((4, TIMELINE_FILE))),
            (Some("{"), Some(3), None, Some((3, copy_of_it))),
        ] {
            let storage = Storage::new(sekoia::MemoryBackend::default());
            if let Some(text) = position {
                storage.write(STATE_FILE, text).await.unwrap();
            }
            if let Some(copy) = copy {
                let text = with_checkpoint(hour(copy));
                storage.write("context.json.previous", text).await.unwrap();
            }
            if let Some(kept) = kept {
                let coverage = Coverage::new(hour(kept));
                let timeline = Timeline::new(hour(9), coverage, Lateness::default());
                timeline.save(&storage).await.unwrap();
            }
            let told = match Found::in_storage(&storage).await.unwrap() {
                Found::Instead {
                    checkpoint,
                    witness,
                    ..
                } => Some((checkpoint, witness)),
                found => {
                    assert_eq!(found, Found::Nothing);
                    None
                }
            };
            let expected = expected.map(|(hours, witness)| (hour(hours), witness));
            assert_eq!(told, expected, "{position:?} {copy:?} {kept:?}");
        }
        let storage = Storage::new(sekoia::MemoryBackend::default());
        storage.write(STATE_FILE, "{").await.unwrap();
        let found = Found::in_storage(&storage).await.unwrap();
        assert!(matches!(found, Found::Unusable(_)), "{found:?}");
    }

    #[test]
    fn reads_every_way_to_write_a_date() {
        let date = parse("2026-05-04T09:03:07.123456+00:00").unwrap();
        for text in [
            "2026-05-04T09:03:07.123456Z",
            "2026-05-04T09:03:07.123456",
            "2026-05-04 09:03:07.123456",
            "2026-05-04T11:03:07.123456+02:00",
            "2026-05-04T09:03:07.123456+00:00\n",
        ] {
            assert_eq!(parse(text), Some(date), "{text}");
        }
        assert_eq!(parse("yesterday"), None);
    }

    #[tokio::test]
    async fn a_folder_in_the_place_of_the_timeline_keeps_nobody_from_looking() {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir(data.path().join(TIMELINE_FILE)).unwrap();
        let storage = Storage::new(sekoia::LocalBackend::open(data.path()).unwrap());
        let checkpoint = parse("2026-05-04T09:00:00Z").unwrap();
        let text = with_checkpoint(checkpoint);
        storage.write(STATE_FILE, text).await.unwrap();
        let found = Found::in_storage(&storage).await.unwrap();
        let expected = Found::Checkpoint {
            checkpoint,
            by_python: true,
            known: None,
        };
        assert_eq!(found, expected);
        let damaged = timeline_in(&storage).await.unwrap();
        assert!(
            matches!(damaged, timeline::Found::Damaged(_)),
            "{damaged:?}"
        );
    }

    /// Else a state that is lost long after would begin where the very first one did.
    #[tokio::test]
    async fn with_the_first_position_of_a_process_the_first_start_is_over() {
        let storage = Storage::new(sekoia::MemoryBackend::default());
        let clock = base::Clock::system();
        let log = sekoia::Log::new("x", clock.clone(), sekoia::Console::new(|_| {}));
        let left = || storage.read(first_start::FIRST_START_FILE);
        for _ in 0..2 {
            let begun = clock.now();
            first_start::first_start(&storage, begun).await.unwrap();
            let state = StateFile::load(&storage, &clock, &log).await;
            let (state, files) = (state.unwrap(), storage.clone());
            let mut file = ContextFile::new(state, Vec::new(), files, log.clone());
            assert!(left().await.unwrap().is_some());
            file.save(begun).await.unwrap();
            assert_eq!(left().await.unwrap(), None);
        }
    }

    #[test]
    fn a_position_is_not_in_the_future_as_the_service_is_seconds_ahead() {
        let checkpoint = parse("2026-05-04T09:00:00Z").unwrap();
        let found = Found::Checkpoint {
            checkpoint,
            by_python: false,
            known: None,
        };
        let at = |ahead| by_service(checkpoint - TimeDelta::seconds(ahead));
        let told = |ahead| found.tell(at(ahead), "");
        let (is_well, text, _) = told(60);
        assert!(
            is_well && text.ends_with("09:00:00 UTC (0 s ago)"),
            "{text}"
        );
        let (is_well, text, _) = told(61);
        assert!(!is_well && text.contains("is in the future, at"), "{text}");
        assert!(text.contains("by the service's clock"), "{text}");
        // A wrong clock of this machine makes nothing fail.
        let by_us = |ahead| ServiceNow {
            is_told: false,
            ..at(ahead)
        };
        let (is_well, text, _) = found.tell(by_us(61), "");
        assert!(!is_well && text.ends_with(": check that clock"), "{text}");
        assert!(found.is_doubted_by_us(by_us(61)));
        assert!(!found.is_doubted_by_us(by_us(60)));
        assert!(!found.is_doubted_by_us(at(61)));
        // No run goes by a position of the distant past.
        let told = |days: i64| found.tell(at(-86_400 * days), "begins anew");
        let (is_well, text, _) = told(3650);
        assert!(is_well && text.contains("goes on at 2026"), "{text}");
        let (is_well, text, _) = told(3651);
        assert!(!is_well && text.ends_with("or begins anew"), "{text}");
    }

    /// Else a copy that is damaged makes it the Python module's.
    #[tokio::test]
    async fn who_has_written_a_position_is_told_without_its_copy() {
        let storage = Storage::new(sekoia::MemoryBackend::default());
        for (version, expected) in [("", true), (r#","message_trace_format":1"#, false)] {
            let position = r#"{"most_recent_date_requested":"2026-05-04T09:00:00Z""#;
            let text = format!("{position}{version}}}");
            storage.write(STATE_FILE, text).await.unwrap();
            let found = Found::in_storage(&storage).await.unwrap();
            let is_expected =
                matches!(found, Found::Checkpoint { by_python, .. } if by_python == expected);
            assert!(is_expected, "{found:?}");
        }
    }

    async fn kept(current: Option<&str>, copy: Option<&str>) -> (Position, bool) {
        let storage = Storage::new(sekoia::MemoryBackend::default());
        for (name, text) in [("", current), (".previous", copy)] {
            if let Some(text) = text {
                let name = format!("{STATE_FILE}{name}");
                storage.write(&name, text.to_owned()).await.unwrap();
            }
        }
        let Kept { position, copy, .. } = Kept::in_storage(&storage).await.unwrap();
        (position, copy.is_some())
    }

    #[test]
    fn what_is_missing_is_told_before_the_time_is_known() {
        let now = parse("2026-05-04T09:00:00Z").unwrap();
        let at = |hours| now - TimeDelta::hours(hours);
        let timeline = |hours| {
            let coverage = Coverage::new(at(hours));
            let timeline = Timeline::new(at(hours), coverage, Lateness::default());
            timeline::Found::Timeline(Box::new(timeline))
        };
        let nothing = || timeline::Found::Nothing;
        let unusable = || Position::Unusable("no date".to_owned());
        let long_ago = || Position::At(at(24 * 4000));
        for (position, copy, timeline, expected) in [
            (Position::At(at(3)), Some(at(5)), timeline(4), Some(at(3))),
            (unusable(), Some(at(5)), timeline(4), Some(at(5))),
            (Position::At(at(-1)), None, timeline(4), Some(at(4))),
            (long_ago(), Some(at(-1)), nothing(), None),
            (Position::Absent, None, nothing(), None),
        ] {
            let kept = Kept {
                position,
                copy,
                is_ours: true,
            };
            let told = kept.missing_from(&timeline, now);
            assert_eq!(told, expected, "{kept:?}");
        }
    }

    /// Else the start after one that got no answer would begin later, and skip what lies between.
    #[test]
    fn a_position_that_no_start_goes_by_is_none() {
        let now = parse("2026-05-04T09:00:00Z").unwrap();
        let at = |hours| now - TimeDelta::hours(hours);
        for (position, copy, expected) in [
            (Position::At(at(0)), None, true),
            (Position::At(at(-1)), None, false),
            (Position::At(at(24 * 4000)), Some(at(-1)), false),
            (Position::At(at(-1)), Some(at(3)), true),
            (Position::Unusable("no date".to_owned()), Some(at(3)), true),
            (Position::Absent, None, false),
        ] {
            let kept = Kept {
                position,
                copy,
                is_ours: true,
            };
            assert_eq!(kept.has_position(now), expected, "{kept:?}");
        }
    }

    #[tokio::test]
    async fn a_position_is_there_was_there_or_never_was() {
        let good = r#"{"most_recent_date_requested":"2026-05-04T09:00:00Z"}"#;
        let at = Position::At(parse("2026-05-04T09:00:00Z").unwrap());
        assert_eq!(kept(Some(good), None).await, (at.clone(), false));
        assert_eq!(kept(Some(good), Some(good)).await, (at, true));
        for never in [None, Some("{}")] {
            assert_eq!(kept(never, None).await, (Position::Absent, false));
        }
        let long = format!(r#"{{"most_recent_date_requested":"{}"}}"#, "ü".repeat(99));
        for (current, copy, why) in [
            (None, Some(good), "context.json is missing"),
            (Some("{}"), Some(good), "context.json has none"),
            (Some("{}"), Some("{}"), "context.json has none"),
            (
                Some(r#"{"message_trace_format":1}"#),
                None,
                "context.json has none",
            ),
            (Some("null"), None, "context.json is broken"),
            (Some("{"), Some(good), "context.json is broken"),
            (
                Some(r#"{"most_recent_date_requested":7}"#),
                None,
                "7 is not",
            ),
            (Some(&long), None, "is not a date"),
        ] {
            let (position, has_copy) = kept(current, copy).await;
            let Position::Unusable(reason) = position else {
                panic!("{current:?}: {position:?}");
            };
            assert!(reason.contains(why) && reason.len() < 100, "{reason}");
            assert_eq!(has_copy, copy == Some(good));
        }
    }
}
