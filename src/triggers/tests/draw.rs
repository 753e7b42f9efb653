//! Draws scenarios. A strategy that holds others by value is as large as all of them, and a thread's stack
//! is small: each stands on the heap.

use std::fmt;

use chrono::{DateTime, TimeDelta};
use emulator::{
    Action, Backlog, Canned, Damage, Ending, Event, Harm, Lateness, ModuleLife, Resolution,
    Scenario, StatePart, Traffic,
};
use proptest::{
    prelude::*,
    sample::{Index, Select},
};
use serde_json::{Map, Value, json};

use super::{
    site::{life, members},
    troubles::trouble,
};

pub(super) const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// The last life is troubled for so long; then all is well.
const TROUBLED: u64 = HOUR;
/// So long after that, nothing is late any more: no longer has what surfaced last to be seen.
const RECOVERED: u64 = 5400;

/// One of these, each as likely.
pub(super) fn one_of<T: Clone + fmt::Debug + 'static, const N: usize>(values: [T; N]) -> Select<T> {
    prop::sample::select(Vec::from(values))
}

/// When something goes wrong: in which life of the module, and after which part of it, in thousandths. What
/// goes wrong while it is away harms nobody.
type When = (Index, u64);

fn moment() -> impl Strategy<Value = When> {
    (
        any::<Index>(),
        prop_oneof![1 => Just(0_u64), 4 => 0_u64..1000],
    )
}

/// How many seconds after the start of the scenario that is.
fn second_of((life, part): When, lives: &[ModuleLife]) -> u64 {
    let number = life.index(lives.len());
    let lived = lives.iter().take(number);
    let before: u64 = lived.map(|life| life.seconds + life.away).sum();
    let length = match lives.get(number) {
        Some(life) if number + 1 < lives.len() => life.seconds,
        _ => TROUBLED,
    };
    before + length * part / 1000
}

/// A scenario that says how it is replayed when a test fails with it.
#[derive(Clone)]
pub(super) struct Drawn(pub(super) Scenario);

impl fmt::Debug for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the scenario in the next line, which this command replays with all triggers:\n\
             SCENARIO='{}' cargo test --lib a_scenario_is_replayed\n",
            self.0.to_json()
        )
    }
}

/// Any scenario at whose end everything must have been delivered: no row surfaces or changes later
/// than `settle_time` after its reception, and the last life is long enough to see it.
///
/// Messages are recalled and resolved on Graph only, as in reality. Where they are not, the
/// Reporting Web Service may end at any moment.
pub(super) fn scenario(recalls: bool) -> BoxedStrategy<Drawn> {
    // A short one makes a short scenario, and what happens is much the same; the longest is the default.
    prop_oneof![4 => Just(2_u64), 1 => Just(8), 1 => Just(24)]
        .prop_flat_map(move |settle_time| (settling(settle_time, recalls), ending()))
        .prop_map(move |(Drawn(mut scenario), ending)| {
            if let Some((moment, how)) = ending.filter(|_| !recalls) {
                let at = second_of(moment, &scenario.lives);
                let action = Action::Settings(how.try_into().unwrap());
                scenario.timeline.push(Event { at, action });
                scenario.timeline.sort_by_key(|event| event.at);
            }
            Drawn(scenario)
        })
        .boxed()
}

/// How the Reporting Web Service ends for good, and when. The second way is no end for apps.
fn ending() -> BoxedStrategy<Option<(When, Value)>> {
    let retired = |canned: Canned| json!({ "report": { "retired": canned } });
    let how = one_of([
        retired(Canned::gone()),
        json!({ "report": { "basic_sign_in": false } }),
        retired(Canned::missing_page()),
        retired(Canned::moved("https://learn.example/retired")),
        retired(Canned::page("Retired")),
        retired(Canned::superseded()),
    ]);
    prop_oneof![1 => Just(None), 1 => (moment(), how).prop_map(Some)].boxed()
}

fn settling(settle_time: u64, recalls: bool) -> BoxedStrategy<Drawn> {
    let lives = prop::collection::vec(a_life(), 0..4);
    let troubles = prop::collection::vec((moment(), trouble(recalls)), 0..9);
    let traffic = traffic(settle_time * HOUR, recalls);
    let wishes = (wishes(), restarts());
    (traffic, switches(), lives, troubles, wishes)
        .prop_map(move |(traffic, switches, lives, troubles, wishes)| {
            let (wishes, restarts) = wishes;
            let mut scenario = Scenario::new(traffic);
            // The beginning of a day, when nobody writes, and with it rows in the last hour.
            scenario.start = DateTime::from_timestamp(1_795_000_000, 0);
            scenario.settings = switches.try_into().unwrap();
            scenario.trigger = wishes;
            let hours = scenario.traffic.backlog.span.num_hours() + 1;
            let times = json!({ "start_time": hours, "settle_time": settle_time });
            scenario.trigger.extend(members(times));
            let before: u64 = lives.iter().map(|life| life.seconds + life.away).sum();
            scenario.lives = lives;
            let last = TROUBLED + settle_time * HOUR + RECOVERED;
            scenario.lives.push(life(last, Ending::Stop, 0));
            let (well, recovered) = (before + TROUBLED, before + TROUBLED + RECOVERED);
            let end = [
                (well, Action::ClearAll),
                (well, Action::ModuleClock(0)),
                (well, Action::StopTraffic),
                (recovered, Action::BeginFreshness),
                // Some rows that are new then.
                (recovered + 600, Action::MassMail(7)),
            ];
            let troubles = troubles.into_iter();
            let troubles =
                troubles.map(|(moment, action)| (second_of(moment, &scenario.lives), action));
            let events = troubles.chain(end);
            let mut events: Vec<Event> = events.map(|(at, action)| Event { at, action }).collect();
            events.sort_by_key(|event| event.at);
            scenario.timeline = events;
            let later = scenario.lives.len() - 1;
            scenario.restarts = (1..=later)
                .zip(restarts)
                .map(|(number, (frequency, longer))| {
                    // The last one settles as long as rows may be late.
                    let longer = if number < later { longer } else { 0 };
                    members(json!({ "frequency": frequency, "settle_time": settle_time + longer }))
                })
                .collect();
            Drawn(scenario)
        })
        .boxed()
}

/// Settings of the trigger that differ from the default.
fn wishes() -> BoxedStrategy<Map<String, Value>> {
    let frequency = prop_oneof![3 => Just(300), 3 => Just(900), 1 => Just(60)];
    let frequency = frequency.prop_map(|seconds| members(json!({ "frequency": seconds })));
    let quota = prop_oneof![3 => Just(90_u32), 1 => Just(60)];
    let delay = prop_oneof![4 => Just(0_u32), 1 => Just(2)];
    (frequency, (quota, delay), unwanted(), hidden())
        .prop_flat_map(|(frequency, (quota, delay), unwanted, hidden)| {
            let limits = members(json!({ "quota": quota, "timedelta": delay }));
            let rest = [frequency, limits, unwanted, hidden];
            details(quota).prop_map(move |details| {
                let all = rest.clone().into_iter().chain([details]);
                all.flatten().collect::<Map<_, _>>()
            })
        })
        .boxed()
}

/// The frequency of later lives, and how many hours longer than the last one they settle: mostly as in the
/// first.
fn restarts() -> BoxedStrategy<Vec<(u32, u64)>> {
    let other = (one_of([300_u32, 900, 60]), 0_u64..3);
    prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(other, 3)].boxed()
}

/// Which rows are not to be sent: mostly none.
fn unwanted() -> BoxedStrategy<Map<String, Value>> {
    let addresses = || {
        let address = one_of([
            "*@contoso.example",
            "*@FABRIKAM.example",
            "*@northwind.example",
            "nobody@contoso.example",
        ]);
        prop::collection::hash_set(address, 0..3)
    };
    let status = one_of([
        "delivered",
        "gettingStatus",
        "pending",
        "failed",
        "filteredAsSpam",
    ]);
    let statuses = prop::collection::hash_set(status, 0..3);
    let rules = (addresses(), addresses(), statuses);
    let rules = rules.prop_map(|(senders, recipients, statuses)| {
        members(json!({
            "exclude_senders": senders,
            "exclude_recipients": recipients,
            "exclude_statuses": statuses,
        }))
    });
    prop_oneof![2 => Just(Map::new()), 1 => rules].boxed()
}

/// What of rows must not leave: mostly nothing.
fn hidden() -> BoxedStrategy<Map<String, Value>> {
    let subject = one_of(["keep", "drop", "hash"]);
    let addresses = one_of(["keep", "hash_external", "hash"]);
    let hidden = (subject, addresses).prop_map(|(subject, addresses)| {
        members(json!({
            "subject": subject,
            "addresses": addresses,
            "own_domains": ["contoso.example", "EU.contoso.example"],
            "hash_key": "a key that nobody else knows",
        }))
    });
    prop_oneof![2 => Just(Map::new()), 1 => hidden].boxed()
}

/// Of which rows details are wanted: mostly of none.
fn details(quota: u32) -> BoxedStrategy<Map<String, Value>> {
    let status = one_of(["failed", "quarantined", "filteredAsSpam", "delivered"]);
    let statuses = prop::collection::hash_set(status, 1..4);
    let details = (statuses, 1..=quota / 2).prop_map(|(statuses, quota)| {
        members(json!({"details": statuses, "details_quota": quota}))
    });
    prop_oneof![1 => Just(Map::new()), 1 => details].boxed()
}

fn traffic(longest: u64, recalls: bool) -> BoxedStrategy<Traffic> {
    let backlog = (0_u64..60, 0_u64..600);
    let recalled = if recalls { 0_u32..40 } else { 0..1 };
    let changes = (0_u32..50, recalled, 0_u32..100, 60..=longest);
    let resolution = one_of([
        Resolution::Millisecond,
        Resolution::Second,
        Resolution::Tick,
    ]);
    let numbers = (0_u64..1_000, 0_u32..10, 1_u32..300, any::<bool>());
    (numbers, backlog, lateness(longest), changes, resolution)
        .prop_map(
            |(
                (seed, rate, max_recipients, daily_shape),
                backlog,
                lateness,
                changes,
                resolution,
            )| {
                let (changing, recalled, released, changes_within) = changes;
                Traffic {
                    seed,
                    rate: f64::from(rate) / 1000.0,
                    backlog: Backlog::rows(hours(backlog.0), backlog.1),
                    daily_shape,
                    lateness,
                    changing: f64::from(changing) / 100.0,
                    recalled: f64::from(recalled) / 100.0,
                    resolved: f64::from(recalled) / 200.0,
                    released: f64::from(released) / 100.0,
                    changes_within: seconds(changes_within),
                    resolution,
                    max_recipients,
                }
            },
        )
        .boxed()
}

/// From rows that are visible at once to some that are as late as this.
fn lateness(longest: u64) -> impl Strategy<Value = Lateness> {
    let lengths = prop::collection::vec(0..=longest, 0..4);
    let small = prop::collection::vec(0..600_u64, 0..3);
    (small, lengths).prop_map(|(small, lengths)| {
        let mut lengths: Vec<u64> = small.into_iter().chain(lengths).collect();
        lengths.sort_unstable();
        let last = lengths.len().saturating_sub(1).max(1);
        let share = |index: usize| (index * 1000 / last) as f64 / 1000.0;
        let points = lengths.into_iter().enumerate();
        let points = points.map(|(index, length)| (share(index), seconds(length)));
        Lateness::quantiles(points.collect::<Vec<_>>())
    })
}

/// A page on which all recipients of a message are.
const MASS: u32 = 1_500;

/// Switches of the emulator; answers take time, so that kills fall into their midst.
fn switches() -> BoxedStrategy<Value> {
    let pages = (one_of([100_u32, 250, 37, MASS]), 20_u64..3_000);
    let links = (0_u32..30, 0_u32..30, 0_u32..30, any::<bool>());
    (pages, 5_u64..1_500, links, quota(), report(), graph())
        .prop_map(
            |((page_rows, latency), intake, links, quota, report, graph)| {
                let (poisoned, refused, empty, repeated) = links;
                // What lies after a link that is refused for good within one second is shown to nobody.
                let refused = if page_rows == MASS { refused } else { 0 };
                let both = members(json!({
                    "page_rows": page_rows, "latency_ms": latency, "shown_recipients": 1000
                }));
                let links = members(json!({
                    "poisoned_tokens": f64::from(poisoned) / 100.0,
                    "refused_tokens": f64::from(refused) / 200.0,
                    "empty_pages": f64::from(empty) / 100.0,
                    "boundary_repeated": repeated,
                    "quota": quota,
                }));
                let report = [both.clone(), members(report)].into_iter().flatten();
                let mut graph = members(graph);
                // The next page of a second may wait for the quota for longer than a link lasts, each time.
                if page_rows != MASS && graph["token_seconds"].is_number() {
                    graph["token_seconds"] = json!(200);
                }
                let graph = [both, links, graph].into_iter().flatten();
                json!({
                    "report": Map::from_iter(report),
                    "graph": Map::from_iter(graph),
                    "intake": { "latency_ms": intake },
                })
            },
        )
        .boxed()
}

/// What the tenant allows, and what others use of it. Enough is left for the module.
fn quota() -> impl Strategy<Value = Value> {
    let others = one_of([0.0_f64, 0.0, 4.0, 10.0]);
    let wish = one_of(["seconds", "date", "past", "absent"]);
    (others, wish).prop_map(|(others, wish)| json!({"other_consumer": others, "retry_after": wish}))
}

/// Forms of the Reporting Web Service's answers, each of which has been seen.
fn report() -> impl Strategy<Value = Value> {
    let dialect = one_of([None, None, Some("light"), Some("verbose")]);
    let number = one_of(["last_index", "offset"]);
    let [ascending, slashes, end] = [any::<bool>(), any::<bool>(), any::<bool>()];
    (dialect, number, ascending, slashes, end).prop_map(
        |(dialect, number, ascending, slashes, end)| {
            json!({
                "always": dialect,
                "skip_token": number,
                "ascending": ascending,
                "escaped_slashes": slashes,
                "end_included": end,
            })
        },
    )
}

/// Forms of Graph's answers.
fn graph() -> impl Strategy<Value = Value> {
    let lasting = one_of([None, None, Some(20_u32)]);
    let digits = one_of([3_u8, 7]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (lasting, digits, flags).prop_map(|(lasting, digits, (as_null, typed, repeating))| {
        json!({
            "token_seconds": lasting,
            "fraction_digits": digits,
            "unknown_as_null": as_null,
            "odata_type": typed,
            "link_keeps_options": repeating,
        })
    })
}

/// Seconds, in which a backlog flows, minutes or hours; a stop or a kill, and up to four days away.
fn a_life() -> BoxedStrategy<ModuleLife> {
    let seconds = prop_oneof![3 => 1_u64..20, 3 => 1_u64..2_000, 1 => 1..6 * HOUR];
    let away = prop_oneof![4 => 0_u64..600, 2 => 0..=DAY, 1 => 0..=4 * DAY];
    let end = one_of([Ending::Stop, Ending::Kill]);
    let damage = prop_oneof![3 => Just(None), 1 => damage().prop_map(Some)];
    (seconds, end, away, damage)
        .prop_map(|(seconds, end, away, damage)| ModuleLife {
            damage,
            ..life(seconds, end, away)
        })
        .boxed()
}

/// Harm done to one part of the state.
fn damage() -> impl Strategy<Value = Damage> {
    let to = one_of([
        StatePart::Position,
        StatePart::PositionCopy,
        StatePart::Positions,
        StatePart::Timeline,
        StatePart::KnownRows,
        StatePart::Quota,
        StatePart::Service,
    ]);
    let harm = one_of([
        Harm::Removed,
        Harm::Emptied,
        Harm::Halved,
        Harm::Zeroed,
        Harm::Flipped,
        Harm::Replaced,
    ]);
    // A position with another date is a person's wish.
    let redated = Damage {
        to: StatePart::Timeline,
        harm: Harm::Redated,
    };
    let any = (to, harm).prop_map(|(to, harm)| Damage { to, harm });
    prop_oneof![6 => any, 1 => Just(redated)]
}

fn seconds(count: u64) -> TimeDelta {
    TimeDelta::seconds(count.cast_signed())
}

fn hours(count: u64) -> TimeDelta {
    TimeDelta::hours(count.cast_signed())
}
