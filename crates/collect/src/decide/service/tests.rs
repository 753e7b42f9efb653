use super::*;

const OUTAGE: ErrorClass = ErrorClass::Outage;
const UNREADABLE: ErrorClass = ErrorClass::Transient { after: None };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn throttled(seconds: u64) -> ErrorClass {
    ErrorClass::Throttled {
        after: Some(Duration::from_secs(seconds)),
    }
}

/// Three readers and their time.
struct World {
    service: ServiceHealth,
    now: Instant,
}

impl World {
    /// The source has answered just now.
    fn healthy() -> Self {
        let mut world = Self::unknown();
        world.answered(0);
        world
    }

    fn unknown() -> Self {
        Self {
            service: ServiceHealth::new(3),
            now: Instant::now(),
        }
    }

    fn answered(&mut self, reader: usize) -> u32 {
        self.service.answered(reader, self.now)
    }

    /// How long a reader pauses after a failure.
    fn failed(&mut self, reader: usize, class: ErrorClass) -> Duration {
        self.service.failed(reader, class, self.now);
        self.held(reader)
    }

    /// Whether a failure so much later calls for help.
    fn calls(&mut self, minutes: u64, class: ErrorClass) -> bool {
        let now = self.now + seconds(60 * minutes);
        self.service.failed(0, class, now).call
    }

    fn pass(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
    }

    /// How long a reader still pauses.
    fn held(&self, reader: usize) -> Duration {
        let until = self.service.held_until(reader, self.now);
        until.map_or(Duration::ZERO, |until| until - self.now)
    }

    /// Waits until a reader may ask.
    fn wait(&mut self, reader: usize) -> Duration {
        let pause = self.held(reader);
        self.now += pause;
        pause
    }

    fn asking(&self) -> Asking {
        self.service.asking(self.now)
    }
}

#[test]
fn until_the_first_page_one_reader_finds_out() {
    let mut world = World::unknown();
    assert_eq!(
        (world.asking(), world.service.is_unproven()),
        (Asking::One, true)
    );
    world.answered(0);
    assert_eq!(
        (world.asking(), world.service.is_unproven()),
        (Asking::All, false)
    );
}

#[test]
fn a_failure_pauses_one_reader_for_a_moment() {
    let mut world = World::healthy();
    let pause = world.failed(1, OUTAGE);
    assert!(pause >= seconds(1) && pause <= seconds(2), "{pause:?}");
    assert_eq!(world.held(1), pause);
    assert_eq!(
        (world.held(0), world.held(2)),
        (Duration::ZERO, Duration::ZERO)
    );
    assert_eq!(world.asking(), Asking::All);
    assert!(world.service.is_failing(world.now));
    assert_eq!(world.answered(2), 1);
    assert_eq!(
        world.held(1),
        Duration::ZERO,
        "an answer to another ends it"
    );
    world.pass(60.0);
    assert!(!world.service.is_failing(world.now));
}

#[test]
fn an_outage_has_one_probe_for_all_every_ten_to_fifteen_seconds() {
    let mut world = World::healthy();
    world.pass(31.0);
    for reader in 0..3 {
        world.failed(reader, OUTAGE);
    }
    assert_eq!(world.asking(), Asking::All, "not yet");
    world.wait(1);
    world.failed(1, OUTAGE);
    let mut small = 0;
    for _ in 0..40 {
        for reader in 0..3 {
            let pause = world.held(reader);
            assert!(pause >= seconds(10) && pause <= seconds(15), "{pause:?}");
        }
        // What was under way changes nothing.
        world.pass(1.0);
        let before = world.held(0);
        world.failed(2, OUTAGE);
        assert_eq!(world.held(0), before);
        world.wait(0);
        match world.asking() {
            Asking::Probe { small: is_small } => small += u32::from(is_small),
            other => panic!("{other:?}"),
        }
        world.service.probes();
        world.failed(0, OUTAGE);
    }
    assert_eq!(small, 10, "now and then it asks for next to nothing");
    world.wait(0);
    world.service.probe_answered(0, world.now);
    assert_eq!(world.asking(), Asking::All);
    for reader in 0..3 {
        assert_eq!(world.held(reader), Duration::ZERO);
    }
}

#[test]
fn a_source_that_answers_now_and_then_is_asked_every_few_seconds() {
    let mut world = World::healthy();
    for _ in 0..4 {
        world.failed(1, OUTAGE);
        world.wait(1);
    }
    for _ in 0..3 {
        assert_eq!(world.asking(), Asking::One);
        world.failed(1, OUTAGE);
        let pause = world.wait(1);
        assert!(pause >= seconds(2) && pause <= seconds(4), "{pause:?}");
    }
    world.pass(30.0);
    assert!(
        matches!(world.asking(), Asking::Probe { .. }),
        "not any more"
    );
}

#[test]
fn throttling_is_waited_out_by_all_and_not_probed() {
    let mut world = World::healthy();
    assert_eq!(world.failed(1, throttled(0)), seconds(1), "as it wishes");
    // Of the readers that had asked before the pause, none makes it grow.
    world.failed(2, throttled(0));
    for least in [2, 4, 8, 16, 30, 30] {
        assert_eq!(world.asking(), Asking::One);
        world.wait(0);
        let pause = world.failed(0, throttled(0));
        assert!(pause >= seconds(least) && pause <= seconds(60), "{pause:?}");
        assert!((0..3).all(|reader| world.held(reader) == pause));
    }
    world.pass(100.0);
    assert_eq!(world.asking(), Asking::One, "no probe");
    world.answered(0);
    assert_eq!(world.asking(), Asking::All);
}

#[test]
fn an_answer_ends_no_pause_that_the_source_has_asked_for() {
    let mut world = World::healthy();
    world.failed(1, throttled(100));
    world.answered(2);
    assert!((0..3).all(|reader| world.held(reader) == seconds(100)));
    world.pass(100.0);
    world.failed(1, ErrorClass::Throttled { after: None });
    assert!(world.held(0) >= seconds(1));
    world.answered(2);
    assert_eq!(world.held(0), Duration::ZERO, "its own pause ends");
}

#[test]
fn what_a_person_must_mend_is_asked_slowly() {
    let mut world = World::healthy();
    for least in [30, 60, 75, 75] {
        let pause = world.failed(0, ErrorClass::Refused { heals: false });
        assert!(
            pause >= seconds(least) && pause <= seconds(150),
            "{pause:?}"
        );
        assert!((0..3).all(|reader| world.held(reader) == pause));
        world.wait(0);
        assert_eq!(world.asking(), Asking::One);
    }
    world.answered(0);
    // One window alone: the others go on.
    let pause = world.failed(1, ErrorClass::Person);
    assert!(pause >= seconds(30), "{pause:?}");
    assert_eq!(
        (world.held(0), world.asking()),
        (Duration::ZERO, Asking::All)
    );
    world.answered(0);
    assert_eq!(world.held(1), pause, "no other answer mends it");
}

#[test]
fn calls_for_help_once_after_a_quarter_of_an_hour() {
    let for_good = ErrorClass::Refused { heals: false };
    let mut world = World::healthy();
    assert!(!world.calls(0, for_good) && !world.calls(5, OUTAGE) && !world.calls(14, for_good));
    assert!(world.calls(15, for_good));
    assert!(!world.calls(60, for_good), "once");
    world.answered(0);
    assert!(!world.calls(90, for_good), "a new failure begins anew");
    assert!(world.calls(105, for_good));
    // What heals by itself, and what concerns one page, never calls, however long it takes.
    let mut world = World::healthy();
    let heals = ErrorClass::Refused { heals: true };
    assert!(
        (0..3000)
            .all(|minute| !world.calls(minute, heals) && !world.calls(minute, ErrorClass::Person))
    );
    assert!(!world.calls(3000, for_good) && !world.calls(3014, for_good));
    assert!(
        world.calls(3015, for_good),
        "it counts from its own beginning"
    );
    let mut world = World::healthy();
    for minute in 0..100 {
        let classes = [OUTAGE, throttled(5), UNREADABLE];
        assert!(classes.into_iter().all(|class| !world.calls(minute, class)));
    }
}

#[test]
fn a_page_that_fails_while_others_are_answered_keeps_its_own_pauses() {
    for class in [OUTAGE, UNREADABLE] {
        let mut world = World::healthy();
        for _ in 0..STUBBORN {
            world.failed(1, class);
            world.answered(2);
            assert_eq!(world.held(1), Duration::ZERO, "it may be chance");
        }
        let mut longest = Duration::ZERO;
        for _ in 0..8 {
            world.failed(1, class);
            world.answered(2);
            longest = longest.max(world.wait(1));
            assert_eq!(world.held(2), Duration::ZERO);
        }
        assert!(
            longest >= seconds(30) && longest <= seconds(60),
            "{longest:?}"
        );
        world.answered(1);
        world.failed(1, class);
        world.answered(2);
        assert_eq!(world.held(1), Duration::ZERO, "it has healed");
    }
}

#[test]
fn only_what_fails_while_others_are_answered_is_too_wide() {
    let mut world = World::healthy();
    for _ in 0..10 {
        assert!(!world.service.is_too_wide(1), "a plain outage");
    }
    world.answered(2);
    assert!(world.service.is_too_wide(1));
    world.service.asks_otherwise(1, world.now);
    assert!(!world.service.is_too_wide(1), "the half has failed once");
    world.answered(1);
    assert!(!world.service.is_too_wide(1), "it was answered itself");
    // A probe of the reader itself is another window.
    assert!(!world.service.is_too_wide(0));
    world.service.probe_answered(0, world.now);
    assert!(world.service.is_too_wide(0));
    assert!(!world.service.is_too_wide(2));
    world.answered(0);
    world.service.begun(2);
    assert!(!world.service.is_too_wide(2), "it is another window");
}

/// What asks for the time has no window that could be asked for in another way.
#[test]
fn every_failure_has_a_pause_that_grows() {
    for class in [
        ErrorClass::Unreadable,
        ErrorClass::Narrow,
        ErrorClass::OutOfReach { days: Some(0) },
    ] {
        let mut world = World::unknown();
        let pauses: Vec<_> = (0..6)
            .map(|_| {
                let pause = world.failed(0, class);
                world.pass(pause.as_secs_f64());
                pause
            })
            .collect();
        assert!(
            pauses.iter().all(|pause| !pause.is_zero()),
            "{class:?}: {pauses:?}"
        );
        assert!(
            pauses.iter().sum::<Duration>() > seconds(10),
            "{class:?}: {pauses:?}"
        );
    }
}

/// Else the probes of an outage would break into a pause that the source has asked for.
#[test]
fn an_outage_leaves_a_pause_of_another_kind_alone_until_it_is_over() {
    let mut world = World::healthy();
    world.pass(31.0);
    world.failed(0, throttled(20));
    world.pass(5.0);
    let left = world.held(1);
    assert!(left >= seconds(15), "{left:?}");
    assert_eq!(world.failed(1, OUTAGE), left);
    assert_eq!((world.held(0), world.held(1)), (left, left));
    world.wait(1);
    let probe = world.failed(1, OUTAGE);
    assert!(probe >= PROBING.0 && probe <= PROBING.1, "{probe:?}");
}

#[test]
fn a_window_rests_for_longer_the_more_do() {
    let mut world = World::healthy();
    for (resting, times) in [(0, 1), (3, 1), (4, 2), (8, 3)] {
        world.service.hold(1, seconds(60), world.now);
        let pause = world.service.rests(1, resting);
        let expected = RESTS.0 * times..=RESTS.1 * times;
        assert!(expected.contains(&pause), "{resting}: {pause:?}");
        assert_eq!(world.held(1), Duration::ZERO, "its reader goes on");
    }
}

#[test]
fn a_window_that_is_made_narrower_waits_longer_each_time_until_one_is_read() {
    let mut world = World::healthy();
    type Asks = fn(&mut ServiceHealth, usize, Instant) -> Duration;
    let failed = |world: &mut World, asks: Asks| {
        let pause = asks(&mut world.service, 1, world.now);
        world.answered(0);
        assert_eq!(world.held(1), pause, "also when others are answered");
        pause
    };
    let first = failed(&mut world, ServiceHealth::asks_otherwise);
    assert!(
        first >= NARROWING.0 && first <= NARROWING.0 * 2,
        "{first:?}"
    );
    let pauses: Vec<Duration> = (0..8)
        .map(|_| failed(&mut world, ServiceHealth::asks_otherwise))
        .collect();
    assert!(
        pauses.iter().any(|pause| *pause > NARROWING.0 * 2),
        "{pauses:?}"
    );
    assert!(
        pauses.iter().all(|pause| *pause <= NARROWING.1),
        "{pauses:?}"
    );
    world.service.window_read(1);
    let again = failed(&mut world, ServiceHealth::asks_otherwise);
    assert!(again <= NARROWING.0 * 2, "{again:?}");
    assert!(failed(&mut world, ServiceHealth::asks_seldom) >= SLOW.0);
    world.service.hold(2, seconds(5), world.now);
    world.answered(0);
    assert_eq!(world.held(2), seconds(5));
}

/// Such windows are answered at once, and there may be very many of them.
#[test]
fn a_reader_that_walks_pauses_between_its_windows_also_when_others_are_answered() {
    let mut world = World::healthy();
    for _ in 0..50 {
        world.service.walks(1, world.now);
        world.answered(0);
        world.answered(1);
        let (others, pause) = ([world.held(0), world.held(2)], world.wait(1));
        assert!(pause >= WALK.0 && pause <= WALK.1, "{pause:?}");
        assert_eq!(others, [Duration::ZERO; 2]);
    }
}

/// Else an alert says that requests fail while none does.
#[test]
fn a_walk_is_no_pause_after_a_failure() {
    let mut world = World::healthy();
    let after_failure = |world: &World| world.service.failure_holds(1, world.now);
    world.service.walks(1, world.now);
    assert!(world.held(1) > Duration::ZERO);
    assert_eq!(after_failure(&world), None);
    let pause = world.failed(1, UNREADABLE);
    assert_eq!(after_failure(&world), Some(world.now + pause));
    world.answered(1);
    world.service.walks(1, world.now);
    assert_eq!(after_failure(&world), None);
    // All pause, also the one that walks.
    world.failed(0, throttled(60));
    assert!(after_failure(&world).is_some());
}

#[test]
fn a_page_is_lasting_at_its_third_failure_and_stubborn_at_its_third_beside_answers() {
    for (others_are_answered, stubborn_from) in [(true, 4), (false, 5)] {
        let mut world = World::healthy();
        for failure in 1..5 {
            let verdict = world.service.failed(1, UNREADABLE, world.now);
            let told = (verdict.is_stubborn, verdict.is_lasting);
            let expected = (failure >= stubborn_from, failure >= 3);
            assert_eq!(told, expected, "{failure} {others_are_answered}");
            if others_are_answered {
                world.answered(2);
            }
        }
    }
}

#[test]
fn failures_are_general_when_several_in_a_row_are_of_any_reader_and_long_when_many_are() {
    let mut world = World::healthy();
    let told = |world: &mut World, reader| {
        let verdict = world.service.failed(reader, throttled(0), world.now);
        (verdict.is_general, verdict.is_long)
    };
    for failure in 1..=30 {
        let expected = (failure >= 4, failure >= 24);
        assert_eq!(told(&mut world, failure % 3), expected, "{failure}");
    }
    world.answered(1);
    assert_eq!(told(&mut world, 0), (false, false));
}

/// A service may wish for a pause whenever one window is too much for it, and be well otherwise.
#[test]
fn a_long_wish_is_obeyed_by_all_twice_and_then_by_the_window_that_always_meets_it() {
    let mut world = World::healthy();
    for _ in 0..STUBBORN_AT_LONG_WISHES {
        world.failed(1, throttled(300));
        assert!((0..3).all(|reader| world.held(reader) == seconds(300)));
        world.wait(0);
        world.answered(0);
    }
    assert_eq!(world.failed(1, throttled(300)), seconds(300));
    let others = [world.held(0), world.held(2)];
    assert_eq!((others, world.asking()), ([Duration::ZERO; 2], Asking::All));
    world.answered(0);
    assert_eq!(world.held(1), seconds(300), "no other answer ends it");
    // Nothing was answered since it failed last: it may be the source.
    world.wait(1);
    world.failed(1, throttled(300));
    world.wait(1);
    world.failed(1, throttled(300));
    assert!((0..3).all(|reader| world.held(reader) >= seconds(300)));
    assert_eq!(world.asking(), Asking::One);
}

#[test]
fn a_short_wish_and_a_refusal_are_the_windows_own_at_the_fourth_time() {
    let refused = ErrorClass::Refused { heals: false };
    for class in [
        throttled(60),
        ErrorClass::Throttled { after: None },
        refused,
    ] {
        let mut world = World::healthy();
        for _ in 0..STUBBORN {
            let pause = world.failed(1, class);
            assert!(!pause.is_zero());
            assert!(
                (0..3).all(|reader| world.held(reader) == pause),
                "{class:?}"
            );
            world.wait(0);
            world.answered(0);
        }
        assert!(!world.failed(1, class).is_zero(), "{class:?}");
        let others = [world.held(0), world.held(2)];
        assert_eq!(others, [Duration::ZERO; 2], "{class:?}");
    }
}

#[test]
fn what_has_rested_keeps_nobody_else_from_asking_while_others_are_answered() {
    for class in [throttled(300), ErrorClass::Refused { heals: false }] {
        let mut world = World::healthy();
        let fails = |world: &mut World| {
            let verdict = world.service.window_failed(1, class, true, world.now);
            assert!(!world.held(1).is_zero());
            (verdict.stands_until.is_some(), world.held(0).is_zero())
        };
        for _ in 0..QUICK {
            assert_eq!(fails(&mut world), (false, true), "{class:?}");
        }
        // So many in a row tell of the source.
        assert!(!fails(&mut world).1, "{class:?}");
        world.wait(0);
        world.answered(0);
        assert!(fails(&mut world).1);
        // Another one is refused, too.
        world.failed(2, class);
        assert!(!world.held(0).is_zero());
        world.wait(0);
        assert!(!fails(&mut world).1, "{class:?}");
    }
}

#[test]
fn a_long_pause_is_told_once_and_the_second_one_in_a_row_is_general() {
    let mut world = World::healthy();
    let told = |world: &mut World, wish| {
        let verdict = world.service.failed(0, throttled(wish), world.now);
        let pause = verdict.stands_until.map(|until| until - world.now);
        (pause, verdict.is_general)
    };
    assert_eq!(told(&mut world, 300), (Some(seconds(300)), false));
    assert_eq!(told(&mut world, 300), (None, true), "it is under way");
    world.wait(0);
    assert_eq!(told(&mut world, 300), (Some(seconds(300)), true));
    let mut world = World::healthy();
    assert_eq!(told(&mut world, 60), (None, false), "it is short");
}

/// Else it would be found out late whether others are answered.
#[test]
fn what_has_failed_is_known_until_it_is_answered() {
    let mut world = World::healthy();
    world.failed(2, throttled(5));
    world.pass(1.0);
    world.failed(1, throttled(5));
    let failed = |world: &World| [0, 1, 2].map(|reader| world.service.failed_at(reader));
    let [live, later, earlier] = failed(&world);
    assert!(live.is_none() && earlier.is_some() && earlier < later);
    world.service.begun(1);
    world.answered(2);
    assert_eq!(failed(&world), [None, later, None]);
}
