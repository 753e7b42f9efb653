//! What a collection is doing at the moment, as `/health` tells it to `status`.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use base::{Clock, lock};
use chrono::{DateTime, TimeDelta, Utc};
use collect::{Activity, Busy, DetailsFate, Lane, QuotaUse, Source, SourceTime, WaitsFor};
use rows::exclude::Rule;
use sekoia::Heartbeat;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{task, time::Instant};

use super::{
    details::Detailed,
    exclusions::{Taken, TakenOut, taken_out},
    privacy::Hidden,
    words::counted,
};

/// What a process does, as it is told.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Doing {
    pub(super) lanes: Vec<AtWork>,
    pub(super) next_query: Option<DateTime<Utc>>,
    pub(super) caught_up: Option<DateTime<Utc>>,
    /// How many events are in hand, where all that is missing was read and waits for its rows; none else.
    pub(super) only_waits: Option<usize>,
    batches_on_their_way: usize,
    /// None of a service without a known quota.
    pub(super) allowance: Option<QuotaUse>,
    pub(super) excluded: Vec<TakenOut>,
    pub(super) details: Detailed,
    pub(super) mass_mail: MassMail,
    pub(super) hidden: Option<Hidden>,
    /// None of a process that does not tell.
    pub(super) windows_go_by: Option<WindowsGoBy>,
}

/// Which clock windows go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WindowsGoBy {
    pub(super) clock: WhichClock,
    /// They end so many seconds before it shows.
    pub(super) held_back_seconds: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WhichClock {
    /// The service's, which its answers tell.
    Service,
    /// That of this machine, as no answer tells the time.
    Machine,
    /// Nobody knows yet, or any more, which is right.
    Unknown,
}

impl WindowsGoBy {
    fn of(time: SourceTime, local: DateTime<Utc>) -> Self {
        let held_back = time.held_back(local);
        Self {
            clock: match held_back {
                None => WhichClock::Unknown,
                Some(_) if time.is_untold() => WhichClock::Machine,
                Some(_) => WhichClock::Service,
            },
            held_back_seconds: held_back.unwrap_or_default().num_seconds(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AtWork {
    pub(super) lane: String,
    pub(super) window: FromTo,
    pub(super) waits_for: String,
    pub(super) until: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FromTo {
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
}

/// What asking for messages with many recipients has come to since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MassMail {
    pub(super) messages: u64,
    /// Rows that no window had shown before.
    pub(super) rows_only_by_id: u64,
    pub(super) given_up: u64,
    pub(super) windows_waiting: usize,
}

/// Keeps what the fetch loop has said last, and what a run has come to so far; clones share it. The next
/// run, e.g. with other settings in the same process, begins with another one.
#[derive(Clone, Debug)]
pub(super) struct Working(Arc<Mutex<Now>>);

#[derive(Clone, Debug, Default)]
struct Now {
    activity: Activity,
    /// When nothing is missing any more, at the pace of late.
    caught_up: Option<DateTime<Utc>>,
    eta: Eta,
    hidden: Hidden,
    /// Rows that each rule took out since the run began.
    excluded: Taken,
    /// Since the run began.
    details: Detailed,
    mass_mail: MassMail,
}

impl Working {
    /// Of a run that hides so much of rows, and wants details of those with these statuses.
    pub(super) fn new(hidden: Hidden, statuses: &[String]) -> Self {
        let now = Now {
            hidden,
            details: Detailed::new(statuses),
            ..Now::default()
        };
        Self(Arc::new(Mutex::new(now)))
    }

    /// `/health` tells it from now on, with what `source` knows of its quota.
    pub(super) fn told_by<S: Source>(&self, heartbeat: &Heartbeat, source: &Arc<S>, clock: &Clock) {
        let (this, source, clock) = (self.clone(), Arc::clone(source), clock.clone());
        heartbeat.works(move || {
            let leave = |task| source.leave_in(task);
            let state = this.lock().clone();
            let time = source.time(clock.now());
            let now = clock.now();
            let doing = Doing {
                windows_go_by: Some(WindowsGoBy::of(time, now)),
                ..told(&state, leave, source.quota_use(), now)
            };
            json!(doing)
        });
    }

    pub(super) fn does(&self, activity: &Activity) {
        self.lock().activity.clone_from(activity);
    }

    /// So much is missing. What becomes of it, as far as that can be told.
    pub(super) fn lacks(&self, missing: TimeDelta, now: DateTime<Utc>) -> Option<Outlook> {
        let mut state = self.lock();
        state.caught_up = state.eta.observe(missing, now);
        match state.activity.only_waits {
            Some(in_hand) => Some(Outlook::Waits { in_hand }),
            None => state.caught_up.map(|at| Outlook::Done(at - now)),
        }
    }

    pub(super) fn excludes(&self, rule: Rule, rows: u64) {
        *self.lock().excluded.entry(rule).or_default() += rows;
    }

    /// So many rows more have gone like this.
    pub(super) fn details(&self, fate: DetailsFate, rows: u64) {
        let fate = fate.word().to_owned();
        *self.lock().details.rows.entry(fate).or_default() += rows;
    }

    /// A message was asked for by its id, which has shown so many rows that were not known.
    pub(super) fn completes(&self, rows: u64) {
        let counts = &mut self.lock().mass_mail;
        counts.messages += 1;
        counts.rows_only_by_id += rows;
    }

    /// The same was no use.
    pub(super) fn gives_up(&self) {
        let counts = &mut self.lock().mass_mail;
        counts.messages += 1;
        counts.given_up += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        lock(&self.0)
    }
}

/// What becomes of what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// It is done in about so long.
    Done(TimeDelta),
    /// It was read, and waits for its rows, with so many events in hand.
    Waits { in_hand: usize },
}

/// That what is missing has no more to be read, with so many events in hand.
pub(super) fn waits(in_hand: usize) -> String {
    let held = match in_hand {
        0 => String::new(),
        events => format!(" ({} in hand)", counted(events as u64, "event")),
    };
    format!("waits until all that was read of it is accepted{held}")
}

/// The word of a lane for people; metrics have a shorter one.
pub(super) const fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Live => "live",
        Lane::Settle => "settling",
        Lane::Backlog => "backlog",
        Lane::Backfill => "backfill",
        Lane::Verify => "verification",
    }
}

fn told(
    state: &Now,
    leave: impl Fn(task::Id) -> Option<Duration>,
    allowance: Option<QuotaUse>,
    now: DateTime<Utc>,
) -> Doing {
    let at_work = |busy: &Busy| {
        let (waits_for, left) = match busy.waits_for {
            WaitsFor::Source(task) => match leave(task) {
                Some(left) => ("quota", Some(left)),
                None => ("answer", None),
            },
            WaitsFor::Receiver => ("intake", None),
            WaitsFor::Store => ("data directory", None),
            WaitsFor::Pause(until) => (
                "pause",
                Some(until.saturating_duration_since(Instant::now())),
            ),
            WaitsFor::Turn => ("turn", None),
        };
        AtWork {
            lane: lane(busy.lane).to_owned(),
            window: FromTo {
                from: busy.window.start(),
                to: busy.window.end(),
            },
            waits_for: waits_for.to_owned(),
            until: left.and_then(|left| Some(now + TimeDelta::from_std(left).ok()?)),
        }
    };
    Doing {
        lanes: state.activity.busy.iter().map(at_work).collect(),
        next_query: state.activity.next,
        // How fast gaps were read tells nothing of when their rows are accepted.
        caught_up: state
            .caught_up
            .filter(|_| state.activity.only_waits.is_none()),
        only_waits: state.activity.only_waits,
        batches_on_their_way: state.activity.batches,
        allowance,
        excluded: taken_out(&state.excluded),
        details: state.details.clone(),
        mass_mail: MassMail {
            windows_waiting: state.activity.completing,
            ..state.mass_mail
        },
        hidden: Some(state.hidden),
        windows_go_by: None,
    }
}

/// The pace is that of so much time.
const LATELY: TimeDelta = TimeDelta::minutes(10);

/// Less than that says nothing about a pace.
const LEAST: TimeDelta = TimeDelta::seconds(30);

/// When nothing was read for as long, as while all requests are held back, there is no pace.
const RESTS: TimeDelta = TimeDelta::minutes(5);

/// Remembers how much was missing of late.
#[derive(Clone, Debug, Default)]
struct Eta(Vec<(DateTime<Utc>, TimeDelta)>);

impl Eta {
    /// So much is missing now. When that will be none; none when the pace does not tell.
    fn observe(&mut self, missing: TimeDelta, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // A clock that was set back makes what was observed one of the future.
        self.0.retain(|(at, _)| *at <= now && now - *at <= LATELY);
        self.0.push((now, missing));
        let (since, before) = *self.0.first()?;
        let (took, read) = (now - since, before - missing);
        let mut latest_first = self.0.iter().rev();
        let was_more = latest_first.find(|(_, before)| *before > missing);
        let rests = was_more.is_none_or(|(at, _)| now - *at > RESTS);
        let tells =
            missing > TimeDelta::zero() && took >= LEAST && read > TimeDelta::zero() && !rests;
        if !tells {
            return None;
        }
        let left = missing.as_seconds_f64() * took.as_seconds_f64() / read.as_seconds_f64();
        // More than a year is no answer.
        let left = Some(left).filter(|left| *left < 31_536_000.0)?;
        #[allow(clippy::cast_possible_truncation, reason = "less than a year")]
        now.checked_add_signed(TimeDelta::seconds(left as i64))
    }
}

#[cfg(test)]
mod tests {
    use rows::Window;
    use serde_json::Value;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_lane_tells_what_it_waits_for() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let window = Window::new(now - TimeDelta::minutes(1), now).unwrap();
        let asks = tokio::spawn(std::future::pending::<()>()).id();
        let queues = tokio::spawn(std::future::pending::<()>()).id();
        let busy = |lane, waits_for| Busy {
            lane,
            window,
            waits_for,
        };
        let until = Instant::now() + Duration::from_secs(7);
        let activity = Activity {
            busy: vec![
                busy(Lane::Live, WaitsFor::Source(asks)),
                busy(Lane::Settle, WaitsFor::Source(queues)),
                busy(Lane::Backlog, WaitsFor::Pause(until)),
                busy(Lane::Backfill, WaitsFor::Receiver),
            ],
            next: None,
            batches: 4,
            completing: 2,
            only_waits: None,
        };
        let allowance = QuotaUse {
            share: 90,
            allowed: 68,
            used: 68,
            restored: Some(now),
        };
        let leave = |task| (task == queues).then_some(Duration::from_secs(21));
        let state = Now {
            activity,
            ..Now::default()
        };
        let told = json!(told(&state, leave, Some(allowance), now));
        let lanes: Vec<_> = (0..4)
            .map(|lane| {
                let lane = &told["lanes"][lane];
                (&lane["lane"], &lane["waits_for"], &lane["until"])
            })
            .map(|(lane, waits, until)| {
                let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
                [word(lane), word(waits), word(until)]
            })
            .collect();
        let expected = [
            ["live", "answer", "-"],
            ["settling", "quota", "2026-11-18T11:07:01Z"],
            ["backlog", "pause", "2026-11-18T11:06:47Z"],
            ["backfill", "intake", "-"],
        ];
        assert_eq!(lanes, expected);
        assert_eq!(told["lanes"][0]["window"]["from"], "2026-11-18T11:05:40Z");
        assert_eq!(told["allowance"]["allowed_in_5_minutes"], 68);
        assert_eq!(told["batches_on_their_way"], 4);
        assert_eq!(told["mass_mail"]["windows_waiting"], 2);
    }

    /// Else nobody learns that windows end early, nor why.
    #[test]
    fn which_clock_windows_go_by_is_told() {
        let local = at(1000);
        let told = |now, certain, skew: Option<i64>| {
            let time = SourceTime {
                now: at(now),
                certain,
                skew: skew.map(TimeDelta::seconds),
            };
            let WindowsGoBy {
                clock,
                held_back_seconds,
            } = WindowsGoBy::of(time, local);
            (clock, held_back_seconds)
        };
        assert_eq!(told(900, None, None), (WhichClock::Unknown, 0));
        let machine = |seconds| (WhichClock::Machine, seconds);
        assert_eq!(told(1000, Some(at(1000)), None), machine(0));
        assert_eq!(told(872, Some(at(872)), None), machine(128));
        let service = |seconds| (WhichClock::Service, seconds);
        assert_eq!(told(1060, Some(at(1000)), Some(60)), service(0));
        assert_eq!(told(400, Some(at(400)), Some(-600)), service(0));
        assert_eq!(told(1000, Some(at(1000)), Some(900)), service(900));
    }

    #[test]
    fn a_message_that_is_given_up_was_asked_for_too() {
        let working = Working::new(Hidden::default(), &[]);
        working.completes(3);
        working.gives_up();
        let counts = working.lock().mass_mail;
        assert_eq!((counts.messages, counts.given_up), (2, 1));
    }

    /// Else an event in hand is said to take hours, or days.
    #[test]
    fn what_was_read_and_waits_for_the_intake_has_no_pace() {
        let working = Working::new(Hidden::default(), &[]);
        let lacks = |minutes, second| working.lacks(TimeDelta::minutes(minutes), at(second));
        let told = || {
            let state = working.lock().clone();
            let told = told(&state, |_| None, None, at(60));
            (told.caught_up, told.only_waits)
        };
        assert_eq!(lacks(1000, 0), None);
        let left = TimeDelta::minutes(9);
        assert_eq!(lacks(900, 60), Some(Outlook::Done(left)));
        assert_eq!(told(), (Some(at(60) + left), None));
        working.does(&Activity {
            only_waits: Some(1),
            ..Activity::default()
        });
        assert_eq!(told(), (None, Some(1)));
        assert_eq!(lacks(900, 120), Some(Outlook::Waits { in_hand: 1 }));
        assert!(waits(1).ends_with("is accepted (1 event in hand)"));
        assert!(waits(0).ends_with("is accepted"));
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn the_pace_of_late_tells() {
        let mut eta = Eta::default();
        let mut observe = |minutes, seconds| {
            let done = eta.observe(TimeDelta::minutes(minutes), at(seconds));
            done.map(|done| (done - at(seconds)).num_seconds())
        };
        assert_eq!(observe(1000, 0), None);
        assert_eq!(observe(990, 20), None, "too soon");
        assert_eq!(observe(900, 60), Some(540));
        assert_eq!(observe(900, 120), Some(1080), "a rest");
        assert_eq!(observe(1200, 180), None, "more than before");
        assert_eq!(
            observe(1200, 1000),
            None,
            "what was long ago does not count"
        );
        assert_eq!(observe(600, 1060), Some(60));
        assert_eq!(observe(0, 1120), None, "nothing is missing");
        assert_eq!(observe(10, 500), None, "the clock was set");
    }

    #[test]
    fn when_nothing_was_read_for_long_there_is_no_pace() {
        let mut eta = Eta::default();
        let mut tells = |minutes, seconds| {
            let done = eta.observe(TimeDelta::minutes(minutes), at(seconds));
            done.is_some()
        };
        assert!(!tells(1000, 0));
        assert!(tells(900, 60) && tells(900, 300));
        assert!(!tells(900, 301));
        assert!(tells(890, 302), "it goes on");
    }
}
