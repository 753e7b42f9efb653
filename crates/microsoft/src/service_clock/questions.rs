//! What is asked for to learn the time.

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;

/// How many questions for the time there are.
pub(crate) const QUESTIONS: u32 = 6;

/// A window whose page tells the service's time, none for the query without a window, which any clock
/// may ask. Which of them a service answers depends on how wrong the clock is, and on how much there
/// is to look through: each is the next when the one before was refused.
pub(crate) fn question(number: u32, now: DateTime<Utc>) -> Option<Window> {
    let back = match number % QUESTIONS {
        0 => TimeDelta::minutes(1),
        1 => return None,
        2 => TimeDelta::hours(1),
        3 => TimeDelta::days(1),
        4 => TimeDelta::days(9),
        _ => TimeDelta::days(28),
    };
    let end = now.checked_sub_signed(back)?;
    Window::new(end - TimeDelta::minutes(1), end)
}
