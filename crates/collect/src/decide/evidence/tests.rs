use super::*;
use crate::testing::{at_second as at, seconds as window};

const DAY: i64 = 86_400;

const RETENTION: TimeDelta = TimeDelta::days(30);

/// Forty days of backlog, of which a service keeps so much; all in seconds.
struct Site {
    refusals: Refusals,
    origin: Instant,
    gap: Window,
    /// Windows that begin before it are refused, once the lie is over.
    oldest: i64,
    /// How far the local clock is ahead of the service's.
    ahead: i64,
    /// Whether the service tells the time.
    told: bool,
}

const NOW: i64 = 40 * DAY;

impl Site {
    fn new(oldest: i64) -> Self {
        Self {
            refusals: Refusals::new(RETENTION),
            origin: Instant::now(),
            gap: window(0, NOW),
            oldest,
            ahead: 0,
            told: true,
        }
    }

    fn instant(&self, second: u64) -> Instant {
        self.origin + Duration::from_secs(second)
    }

    fn time(&self, second: u64) -> SourceTime {
        let now = at(NOW + second as i64);
        let ahead = TimeDelta::seconds(self.ahead);
        SourceTime {
            now,
            certain: Some(now.min(now + ahead)),
            skew: self.told.then_some(-ahead),
        }
    }

    fn refuse(&mut self, window: Window, oldest: Option<i64>, second: u64) -> Judgement {
        let gap = Window::new(window.start(), self.gap.end()).unwrap();
        let (instant, time) = (self.instant(second), self.time(second));
        self.refusals.refused(Refusal {
            window,
            gap,
            oldest: oldest.map(at),
            instant,
            time,
        })
    }

    fn answer(&mut self, window: Window, second: u64) {
        let instant = self.instant(second);
        self.refusals.answered(window, instant);
    }

    fn held(&self) -> Vec<Window> {
        self.refusals.held().collect()
    }

    fn next(&self, second: u64) -> Vec<Window> {
        self.refusals.next(self.instant(second)).collect()
    }

    /// Asks all that there is to ask within a second, as the service answers. How many questions that
    /// were, and what is lost for them.
    fn ask_all(&mut self, second: u64) -> (usize, Option<Loss>) {
        let mut asked = 0;
        while let Some(question) = self.next(second).first().copied() {
            asked += 1;
            assert!(asked < 30, "{question}");
            if question.start() < at(self.oldest) {
                if let Judgement::Lost(loss) = self.refuse(question, None, second) {
                    return (asked, Some(loss));
                }
            } else {
                self.answer(question, second);
            }
        }
        (asked, None)
    }

    /// The backlog's first window is refused, and where the reach ends is found.
    fn found(oldest: i64) -> Self {
        let mut site = Self::new(oldest);
        let begun = site.refuse(window(0, 3600), None, 0);
        assert_eq!(begun, Judgement::Begun(site.gap));
        let (asked, lost) = site.ask_all(1);
        assert!((2..=20).contains(&asked), "{asked}");
        assert_eq!(lost, None);
        site
    }
}

#[test]
fn the_end_of_the_reach_is_found_by_halves() {
    for oldest in [
        1,
        59,
        60,
        61,
        DAY,
        10 * DAY + 17,
        39 * DAY,
        NOW - 61,
        NOW - 1,
    ] {
        let site = Site::found(oldest);
        let [held] = site.held()[..] else {
            panic!("{:?}", site.held())
        };
        assert_eq!(held.start(), at(0));
        // No more than a minute of what could be had is held back.
        let more = (held.end() - at(oldest)).num_seconds();
        assert!((0..=60).contains(&more), "{oldest}: {more}");
        assert_eq!(site.next(600), [], "ten minutes after the first refusal");
        let [end] = site.next(601)[..] else {
            panic!("{:?}", site.next(601))
        };
        assert_eq!(end.end(), held.end());
        assert!(end.span() <= GRAIN && end.start() < at(oldest));
    }
}

/// A hint right after what was refused would ask the same again for ever.
#[test]
fn each_question_is_later_than_what_was_refused() {
    let held = Held {
        window: window(0, 100_000),
        refused_from: at(0),
        hint: Some(at(0) + TimeDelta::milliseconds(500)),
        first: None,
        next: Instant::now(),
        pause: Duration::ZERO,
    };
    assert_eq!(held.question().map(|window| window.start()), Some(at(1)));
}

#[test]
fn nothing_is_asked_outside_of_what_is_held() {
    let mut site = Site::new(NOW - 1);
    site.gap = window(0, 90);
    site.refuse(window(0, 60), None, 0);
    assert_eq!(site.next(0), [window(45, 90)]);
    site.refuse(window(45, 90), None, 1);
    assert_eq!(site.next(1), [window(45, 90)], "it lies wholly in it");
    site.refuse(window(45, 90), None, 2);
    assert_eq!(site.next(2), []);
}

#[test]
fn what_the_service_says_of_its_reach_chooses_the_next_question_and_no_more() {
    let mut site = Site::new(10 * DAY);
    site.refuse(window(0, 3600), Some(10 * DAY), 0);
    assert_eq!(site.next(0), [window(10 * DAY, 10 * DAY + 60)]);
    site.answer(window(10 * DAY, 10 * DAY + 60), 1);
    assert_eq!(site.held(), [window(0, 10 * DAY)]);
    // What lies outside is no hint.
    for hint in [-DAY, 0, NOW, NOW + 4_000_000_000] {
        let mut site = Site::new(10 * DAY);
        site.refuse(window(0, 3600), Some(hint), 0);
        assert_eq!(site.next(0), [window(20 * DAY, 20 * DAY + 60)], "{hint}");
    }
    // A hint that is refused itself is used once.
    site.refuse(window(NOW - 3600, NOW), Some(NOW - 1800), 0);
    assert_eq!(site.held().len(), 2);
    let mut site = Site::new(10 * DAY);
    site.refuse(window(0, 3600), Some(5 * DAY), 0);
    site.refuse(window(5 * DAY, 5 * DAY + 60), Some(0), 1);
    let middle = 5 * DAY + 35 * DAY / 2;
    assert_eq!(site.next(1), [window(middle, middle + 60)]);
}

/// The evidence that suffices; each test below takes one piece of it away.
fn evidence(site: &mut Site, second: u64) -> Option<Loss> {
    site.answer(window(NOW, NOW + 60), second - 1);
    site.ask_all(second).1
}

#[test]
fn two_refusals_apart_a_page_between_and_both_clocks_prove_a_loss() {
    let mut site = Site::found(10 * DAY);
    let [end] = site.next(601)[..] else {
        panic!("one question")
    };
    let loss = evidence(&mut site, 601).unwrap();
    assert_eq!((loss.window.start(), loss.window.end()), (at(0), end.end()));
    assert!(loss.window.end() <= at(10 * DAY + 60));
    let expected = Evidence {
        refused: end,
        refusals: [at(NOW + 1), at(NOW + 601)],
        answered: window(NOW, NOW + 60),
        local: at(NOW + 601),
        source: at(NOW + 601),
    };
    assert_eq!(loss.evidence, Some(expected));
    assert_eq!(loss.asked, at(NOW + 601));
    assert_eq!(site.held(), [], "it is not asked for here any more");
}

#[test]
fn the_evidence_tells_both_clocks() {
    let mut site = Site::found(10 * DAY);
    site.ahead = 30;
    let loss = evidence(&mut site, 601).unwrap();
    let told = loss.evidence.unwrap();
    let now = NOW + 601;
    assert_eq!((told.source, told.local), (at(now), at(now + 30)));
    assert_eq!(told.refusals[1], at(now + 30));
}

/// An answer for a part of what was refused makes all that was found out about the rest doubtful.
#[test]
fn after_an_answer_for_its_end_a_time_needs_two_new_refusals() {
    let mut site = Site::found(10 * DAY);
    let [end] = site.next(601)[..] else {
        panic!("one question")
    };
    let later = end.start() + TimeDelta::seconds(1);
    site.answer(Window::new(later, end.end()).unwrap(), 601);
    let [held] = site.held()[..] else {
        panic!("the rest is held")
    };
    assert_eq!(held.end(), later);
    assert_eq!(site.next(601).len(), 1, "it is asked for at once");
    assert_eq!(evidence(&mut site, 602), None);
    assert!(evidence(&mut site, 1203).is_some());
}

#[test]
fn two_refusals_close_to_one_another_are_one() {
    let mut site = Site::found(10 * DAY);
    site.answer(window(NOW, NOW + 60), 2);
    let end = site.next(601)[0];
    // A reader that asks for it sooner gets no second refusal.
    let held = site.held()[0];
    assert_eq!(site.refuse(end, None, 600), Judgement::Held(held));
    assert_eq!(site.next(600), []);
    assert!(matches!(site.refuse(end, None, 601), Judgement::Lost(_)));
}

#[test]
fn without_a_page_between_nothing_is_lost() {
    let mut site = Site::found(10 * DAY);
    assert_eq!(site.ask_all(601), (1, None));
    assert_eq!(site.ask_all(1200), (0, None), "pauses grow");
    assert_eq!(site.ask_all(1201), (1, None));
    assert_eq!(site.ask_all(2400), (0, None));
    // A page of the same second as the first refusal did not come after it.
    let mut site = Site::found(10 * DAY);
    site.answer(window(NOW, NOW + 60), 1);
    assert_eq!(site.ask_all(601), (1, None));
    assert!(evidence(&mut site, 1201).is_some());
}

#[test]
fn a_time_that_is_documented_to_be_kept_is_never_lost() {
    // The service keeps ten days of thirty.
    let mut site = Site::found(30 * DAY);
    let mut asked = 0;
    // Until a day before it is as old as documented.
    for hour in 1..19 * 24 {
        site.answer(window(NOW, NOW + 60), hour * 3600 - 1);
        let (more, lost) = site.ask_all(hour * 3600);
        asked += more;
        assert_eq!(lost, None, "after {hour} hours");
    }
    assert!((25..32).contains(&asked), "{asked}: at last once a day");
    let lost = (19 * 24..22 * 24).find_map(|hour| evidence(&mut site, hour * 3600));
    let window = lost.unwrap().window;
    assert!(window.end() <= at(30 * DAY + 60), "{window}");
}

#[test]
fn how_long_another_service_keeps_rows_counts_from_then_on() {
    let mut site = Site::found(10 * DAY);
    site.refusals.set_retention(TimeDelta::days(60));
    assert_eq!(evidence(&mut site, 601), None);
    site.refusals.set_retention(RETENTION);
    assert!(evidence(&mut site, 1201).is_some());
}

#[test]
fn each_clock_has_a_veto() {
    for (ahead, told, is_lost) in [
        (0, true, true),
        (DAY, true, true),
        (-DAY, true, false),
        (0, false, false),
    ] {
        // The service's clock says that it is older than thirty days by half a day.
        let mut site = Site::found(19 * DAY / 2);
        (site.ahead, site.told) = (ahead, told);
        assert_eq!(
            evidence(&mut site, 601).is_some(),
            is_lost,
            "{ahead} {told}"
        );
    }
    // A local clock that is ahead makes nothing older than the service's says.
    let mut site = Site::found(21 * DAY / 2);
    site.ahead = DAY;
    assert_eq!(evidence(&mut site, 601), None);
    // To the second.
    let site = Site::found(10 * DAY);
    let end = site.held()[0].end();
    let exact = (end - at(10 * DAY)).num_seconds() as u64;
    assert_eq!(site.time(exact).kept_since(RETENTION), Some(end));
    let mut time = site.time(exact);
    time.certain = None;
    assert_eq!(time.kept_since(RETENTION), None, "not known for certain");
    for (early, is_lost) in [(1, false), (0, true)] {
        let mut site = Site::found(10 * DAY + 1000);
        let end = site.held()[0].end();
        let exact = (end - at(10 * DAY)).num_seconds() as u64;
        let loss = evidence(&mut site, exact - early);
        assert_eq!(loss.is_some(), is_lost, "{early} s early");
    }
}

#[test]
fn a_reach_that_was_a_lie_holds_nothing_back() {
    // One refusal, then answers.
    let mut site = Site::new(0);
    site.refuse(window(0, 3600), Some(0), 0);
    let (asked, lost) = site.ask_all(1);
    assert_eq!(lost, None);
    assert!(asked <= 20, "{asked}");
    let [held] = site.held()[..] else {
        // The last question was for its very start.
        assert_eq!(site.held(), []);
        return;
    };
    assert!(held.span() <= GRAIN, "{held}");
    assert_eq!(site.ask_all(700), (1, None));
    assert_eq!(site.held(), []);
}

#[test]
fn an_answer_for_what_was_refused_takes_everything_back() {
    let mut site = Site::found(10 * DAY);
    let end = site.next(601)[0];
    site.answer(end, 601);
    assert_eq!(site.held(), []);
    let mut site = Site::found(10 * DAY);
    site.answer(window(0, 60), 20);
    assert_eq!(site.held(), []);
    // What begins later than what was refused frees only what follows it.
    let mut site = Site::new(10 * DAY);
    site.refuse(window(0, 3600), None, 0);
    site.answer(window(1, 60), 1);
    assert_eq!(site.held(), [window(0, 1)]);
    // What lies beside it tells nothing of it.
    site.answer(window(60, 120), 1);
    assert_eq!(site.held(), [window(0, 1)]);
}

#[test]
fn what_an_answer_leaves_is_asked_for_at_once_and_without_the_hint() {
    let mut site = Site::new(10 * DAY);
    site.refuse(window(0, 3600), Some(5 * DAY), 0);
    assert_eq!(site.next(1), [window(5 * DAY, 5 * DAY + 60)]);
    site.answer(window(20 * DAY, 20 * DAY + 60), 1);
    assert_eq!(site.next(1), [window(10 * DAY, 10 * DAY + 60)]);
    // The end of the reach waits for its second refusal, until a part of it is answered for.
    let mut site = Site::found(10 * DAY);
    let end = site.next(601)[0];
    assert_eq!(site.next(20), []);
    let within = Window::new(end.start() + TimeDelta::seconds(10), end.end()).unwrap();
    site.answer(within, 20);
    let left = Window::new(end.start(), within.start()).unwrap();
    assert_eq!(site.next(20), [left]);
}

#[test]
fn what_follows_what_is_refused_and_is_refused_too_is_held_with_it() {
    let mut site = Site::new(NOW);
    site.gap = window(0, 100);
    site.refuse(window(0, 100), None, 0);
    site.gap = window(0, 160);
    let both = Judgement::Held(window(0, 160));
    assert_eq!(site.refuse(window(100, 160), None, 1), both);
    assert_eq!(site.held(), [window(0, 160)]);
    // Apart from it, it is held apart.
    site.gap = window(0, 300);
    let apart = Judgement::Begun(window(200, 300));
    assert_eq!(site.refuse(window(200, 300), None, 1), apart);
    site.refusals.retain(|held| held == window(200, 300));
    assert_eq!(site.held(), [window(200, 300)]);
}

/// What is known of the time before it proves nothing of it.
#[test]
fn what_follows_needs_two_refusals_of_its_own() {
    let mut site = Site::found(10 * DAY);
    site.answer(window(NOW, NOW + 60), 600);
    let before = site.held()[0].end();
    let follows = Window::new(before, before + GRAIN).unwrap();
    site.gap = Window::new(at(0), follows.end()).unwrap();
    let held = Judgement::Held(site.gap);
    assert_eq!(site.refuse(follows, None, 602), held);
    assert_eq!(site.refuse(follows, None, 603), held);
    site.answer(window(NOW, NOW + 60), 604);
    assert_eq!(site.refuse(follows, None, 1202), held);
    let lost = site.refuse(follows, None, 1203);
    assert!(matches!(lost, Judgement::Lost(_)), "{lost:?}");
}

#[test]
fn a_moment_is_told_by_a_clock_that_was_set_right() {
    let origin = Instant::now();
    let moment = |time, second| Moment {
        time: at(time),
        instant: origin + Duration::from_secs(second),
    };
    let then = moment(7200, 10);
    assert_eq!(then.at_the_earliest(moment(40, 40)), at(10), "it was ahead");
    let then = moment(-7200, 10);
    assert_eq!(
        then.at_the_earliest(moment(40, 40)),
        at(-7200),
        "rather early"
    );
    // Eight hours of sleep, which the monotonic clock did not count.
    let then = moment(10, 10);
    assert_eq!(then.at_the_earliest(moment(28_840, 40)), at(10));
}

#[test]
fn what_lies_between_clocks_that_disagree_counts_for_the_later() {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    for (skew, held_back, ahead) in [
        (Some(7200), 0, 0),
        (Some(-300), 0, 0),
        (Some(-301), 0, 301),
        (Some(-200), 200, 400),
        (Some(0), 300, 0),
        (None, 0, 0),
        (None, 300, 0),
        (None, 301, 301),
    ] {
        let skew = skew.map(TimeDelta::seconds);
        let told = now + TimeDelta::seconds(held_back);
        let local = told - skew.unwrap_or_default();
        let certain = Some(now);
        let time = SourceTime { now, certain, skew };
        let latest = time.latest(local) - now;
        assert_eq!(latest, TimeDelta::seconds(ahead), "{skew:?} {held_back}");
        let held = time.held_back(local);
        assert_eq!(held, Some(TimeDelta::seconds(held_back)), "{skew:?}");
        let unknown = SourceTime {
            certain: None,
            skew: None,
            ..time
        };
        assert_eq!(
            (unknown.latest(local), unknown.held_back(local)),
            (now, None)
        );
    }
}

#[test]
fn what_is_read_once_is_read_when_it_has_come_by_both_clocks() {
    let now = at(0);
    for (skew, expected) in [
        (Some(240), -240),
        (Some(300), -300),
        // A person is told, and rows do not wait for the local clock.
        (Some(301), 0),
        (Some(0), 0),
        (Some(-240), 0),
        (None, 0),
    ] {
        let skew = skew.map(TimeDelta::seconds);
        let certain = Some(now - skew.unwrap_or_default().max(TimeDelta::zero()));
        let time = SourceTime { now, certain, skew };
        let expected = SourceTime {
            now: at(expected),
            ..time
        };
        assert_eq!(time.by_both(), expected, "{skew:?}");
        let ahead = skew.unwrap_or_default().max(TimeDelta::zero());
        assert_eq!(time.ahead(), ahead);
        let is_far = ahead == TimeDelta::seconds(301);
        assert_eq!(time.far_ahead(), is_far.then_some(ahead));
        let unknown = SourceTime {
            certain: None,
            ..time
        };
        assert_eq!(unknown.by_both(), unknown, "{skew:?}");
        assert_eq!(
            (unknown.ahead(), unknown.far_ahead()),
            (TimeDelta::zero(), None)
        );
    }
}
