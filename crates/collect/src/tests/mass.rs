//! Mass mail: what a window does not show of a message is delivered all the same, and what holds it up
//! holds up nothing else.

use super::{paging::*, *};

/// A window shows so many rows of a message.
const MOST: usize = 50;

/// How old the mass mail is; it is the newest mail but for some that comes later.
const AGE: TimeDelta = TimeDelta::seconds(30);

/// A message to 80, one row two minutes before it, and one a minute for half an hour after it.
fn mail() -> impl Iterator<Item = TimeDelta> {
    let later = (0..30).map(|n| TimeDelta::seconds(-10 - 60 * n));
    let mass = std::iter::repeat_n(AGE, 80);
    later.chain(mass).chain([TimeDelta::minutes(2)])
}

/// Answers for windows with no more than so many rows of the message.
fn shown(ask: &Ask<'_>) -> Answer {
    let (mass, others): (Vec<usize>, Vec<usize>) =
        ask.rows.iter().partition(|n| (30..110).contains(*n));
    (
        others
            .into_iter()
            .chain(mass.into_iter().take(MOST))
            .collect(),
        None,
    )
}

/// What becomes of it when questions for a message are answered like this.
fn run_with(
    settle_time: TimeDelta,
    by_id: impl Fn(&Ask<'_>) -> Result<Answer, ErrorClass> + Send + Sync + 'static,
) -> (Seen, TimeDelta) {
    run_of(play(settle_time), by_id)
}

fn play(settle_time: TimeDelta) -> Play {
    Play {
        back: TimeDelta::minutes(5),
        settle_time,
        life: Duration::from_secs(2700),
        recipients_shown: MOST as u32,
        ..Play::default()
    }
}

fn run_of(
    play: Play,
    by_id: impl Fn(&Ask<'_>) -> Result<Answer, ErrorClass> + Send + Sync + 'static,
) -> (Seen, TimeDelta) {
    play.run(mail(), move |ask| match ask.of_message {
        true => by_id(&ask),
        false => Ok(shown(&ask)),
    })
}

fn whole(ask: &Ask<'_>) -> Answer {
    (ask.rows.to_vec(), None)
}

/// An answer that lacks rows which the window has shown, as that of a replica which lags behind.
fn fewer(ask: &Ask<'_>) -> Answer {
    (ask.rows.iter().copied().take(MOST - 20).collect(), None)
}

/// All rows were delivered once, those that came meanwhile within two minutes.
fn all_once(seen: &Seen, hidden_until: Duration) {
    assert_eq!(seen.sent.len(), 111, "{seen:?}");
    for (n, (sent, times)) in &seen.sent {
        assert_eq!(*times, 1, "{n}");
        let received = match n {
            0..30 => Duration::from_secs(10 + 60 * *n as u64),
            _ => Duration::ZERO,
        };
        let most = match n {
            30..110 => hidden_until,
            _ => received + Duration::from_secs(120),
        };
        assert!(*sent <= most, "{n} was sent after {sent:?}");
    }
}

#[test]
fn what_a_window_hides_is_asked_for_at_once() {
    for settle_time in [SETTLE, TimeDelta::zero()] {
        let (seen, missing) = run_with(settle_time, |ask| Ok(whole(ask)));
        all_once(&seen, Duration::from_secs(60));
        assert!(missing < TimeDelta::minutes(3), "{missing}");
        assert_eq!(seen.given_up, 0);
    }
}

/// Else the others would never come where nothing is read again, and late where it is.
#[test]
fn an_answer_with_fewer_rows_than_the_window_has_shown_is_asked_for_again() {
    for settle_time in [SETTLE, TimeDelta::zero()] {
        let (seen, missing) = run_with(settle_time, |ask| match ask.elapsed.as_secs() {
            0..300 => Ok(fewer(ask)),
            _ => Ok(whole(ask)),
        });
        all_once(&seen, Duration::from_secs(720));
        assert!(missing < TimeDelta::minutes(3), "{missing}");
        assert!(seen.completed > 0, "{seen:?}");
        assert_eq!(seen.given_up, 0);
    }
}

#[test]
fn a_question_that_fails_is_asked_again_while_all_else_goes_on() {
    for class in [ErrorClass::Outage, ErrorClass::Transient { after: None }] {
        let (seen, missing) = run_with(SETTLE, move |ask| match ask.elapsed.as_secs() {
            0..1200 => Err(class),
            _ => Ok(whole(ask)),
        });
        all_once(&seen, Duration::from_secs(1700));
        assert!(missing < TimeDelta::minutes(3), "{missing}");
        assert_eq!(seen.given_up, 0);
        assert!(seen.requests < 250, "{}", seen.requests);
    }
}

/// While it is in doubt, the window is not done: a restart would ask again.
#[test]
fn the_window_waits_for_its_message() {
    let (seen, missing) = run_with(SETTLE, |_| Err(ErrorClass::Outage));
    assert_eq!(seen.sent.len(), 81);
    assert!(missing > TimeDelta::minutes(45), "{missing}");
}

#[test]
fn an_answer_that_is_no_use_is_believed_after_the_second_time() {
    type Useless = fn(&Ask<'_>) -> Result<Answer, ErrorClass>;
    let useless: [Useless; 6] = [
        |_| Err(ErrorClass::Person),
        |_| Err(ErrorClass::Narrow),
        // Another message, no row, too few, and a link that repeats itself.
        |_| Ok(((0..110).collect(), None)),
        |_| Ok((Vec::new(), None)),
        |ask| Ok(fewer(ask)),
        |ask| Ok((ask.rows.iter().copied().take(MOST).collect(), Some(1))),
    ];
    for by_id in useless {
        let (seen, missing) = run_with(SETTLE, by_id);
        assert!(seen.sent.len() >= 81 && seen.given_up > 0, "{seen:?}");
        assert!(missing < TimeDelta::minutes(3), "{missing}");
        assert!(seen.requests < 250, "{}", seen.requests);
    }
}

/// There may be more recipients than that, of which nobody would ever hear.
#[test]
fn a_full_answer_without_a_link_does_not_show_a_message_as_a_whole() {
    let play = Play {
        full_page: 80,
        ..play(TimeDelta::zero())
    };
    let (seen, missing) = run_of(play, |ask| Ok(whole(ask)));
    assert_eq!(seen.completed, 0, "{seen:?}");
    assert!(seen.given_up > 0, "{seen:?}");
    all_once(&seen, Duration::from_secs(60));
    assert!(missing < TimeDelta::minutes(3), "{missing}");
}

/// Else four of them would hold up all that was never read.
#[test]
fn windows_whose_messages_are_never_answered_for_make_way() {
    let messages = 1..117_i32;
    let rows = messages.len() * MOST;
    let ages = messages.flat_map(|n| std::iter::repeat_n(TimeDelta::hours(6) * n, MOST));
    let play = Play {
        back: TimeDelta::hours(6) * 116,
        life: Duration::from_secs(6 * 3600),
        recipients_shown: MOST as u32,
        ..Play::default()
    };
    let (seen, missing) = play.run(ages, |ask| match ask.of_message {
        true => Err(ErrorClass::Outage),
        false => Ok(whole(&ask)),
    });
    assert_eq!(seen.sent.len(), rows);
    assert!(seen.sent.values().all(|(_, times)| *times == 1));
    assert_eq!((seen.completed, seen.given_up), (0, 0));
    assert!(
        missing > TimeDelta::days(28),
        "all of it is asked for: {missing}"
    );
}
