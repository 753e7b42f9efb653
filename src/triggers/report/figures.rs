//! The metrics of the fetch loop, beside those of the intake.

use std::sync::atomic::AtomicU64;

use collect::{Lane, letters::Stock, verify::Finding};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use sekoia::Metrics;

use super::{
    super::privacy::{Hidden, HiddenLabels},
    number,
};

/// Rows a window holds, for the histogram.
const WINDOW_ROWS: [f64; 9] = [
    0.0, 1.0, 10.0, 100.0, 1_000.0, 5_000.0, 20_000.0, 100_000.0, 500_000.0,
];

/// How late rows are, for the histogram: seconds, from one to three days.
const LATENESS: [f64; 14] = [
    1.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 43_200.0,
    86_400.0, 259_200.0,
];

/// Names each figure once, with its type and how it is registered.
macro_rules! figures {
    ($($figure:ident: $kind:ty = $call:ident($($argument:expr),+);)+) => {
        /// The metrics of the fetch loop, beside those of the intake.
        #[derive(Clone, Debug)]
        pub(super) struct Figures {
            $(pub(super) $figure: $kind,)+
        }

        impl Figures {
            fn registered(metrics: &Metrics) -> Self {
                Self {
                    $($figure: metrics.$call($($argument),+),)+
                }
            }
        }
    };
}

figures! {
    requests: Family<Label, Counter> = figure(
        "source_requests",
        "Requests to the message trace, by status of the answer or kind of failure");
    retries: Counter = figure(
        "source_retries",
        "Requests to the message trace that failed and were made again");
    waited: Counter<f64, AtomicU64> = figure(
        "source_wait_seconds",
        "Time in which nothing was asked for, as there was a pause after a failed request to the message \
         trace");
    rows: Family<Label, Counter> = figure(
        "source_rows",
        "Rows read from the message trace: new, late, with a changed status, known already, or excluded");
    window_rows: Histogram = register(
        "window_rows", "Rows in one window of time", Histogram::new(WINDOW_ROWS));
    lost: Counter<f64, AtomicU64> = figure(
        "lost_seconds",
        "Time whose rows Microsoft no longer kept when they were asked for");
    refused: Gauge = figure(
        "refused_seconds",
        "Time that Microsoft refuses as too old, and that is asked for again");
    unsettled: Counter<f64, AtomicU64> = figure(
        "unsettled_seconds",
        "Time that was not read again until settle_time, as neither the quota nor the answers allowed for it");
    skew: Gauge<f64, AtomicU64> = figure(
        "clock_skew_seconds",
        "How far the service's clock is ahead of this machine's; where it tells no time, how far windows end \
         before this machine's, as a negative number; 0 while that is not known");
    steps: Counter = figure(
        "clock_steps",
        "How often the clock of this machine was set, or the machine has slept");
    checkpoint: Gauge = figure(
        "complete_until_timestamp_seconds",
        "Everything received before this instant has been read, and is accepted, a dead letter, lost or skipped");
    lanes: Family<Label, Counter> = figure(
        "lane_requests",
        "Pages of the message trace that were read, by what for: live, settle, backlog, backfill or verify");
    lateness: Histogram = register(
        "lateness_seconds",
        "Time from the reception of a message to the first query that showed its row",
        Histogram::new(LATENESS));
    oldest_missing: Gauge = figure(
        "oldest_missing_age_seconds",
        "Age of the oldest instant that has never been read; 0 when there is none");
    missing: Gauge = figure("missing_seconds", "Time before the live edge that has never been read");
    gaps: Gauge = figure("missing_intervals", "Intervals before the live edge that have never been read");
    known: Gauge = figure("known_rows", "Delivered rows that are remembered");
    excluded: Family<ByRule, Counter> = figure(
        "excluded_rows",
        "Rows that a rule took out, each once in a run, by setting and place in it");
    details: Family<Label, Counter> = figure(
        "details",
        "Rows of which details are wanted: added, or why they went without");
    in_hand: Gauge = figure(
        "events_in_hand",
        "Events that the intake does not accept while it accepts others, or that others go before");
    behind: Gauge = figure(
        "behind",
        "1 when something is missing for longer than `timedelta`, `frequency` and five minutes, else 0");
    behind_from: Gauge = figure(
        "behind_from_seconds",
        "From which age of what is complete on the collection is behind; 0 while that is not known");
    mended: Counter = figure("mended_rows", "Rows that came as no strict JSON and were mended");
    outside: Counter = figure(
        "outside_window_rows",
        "Rows that Microsoft showed for a window of time in which they were not received");
    mass_messages: Family<Label, Counter> = figure(
        "mass_messages",
        "Messages with 1000 recipients or more in a window that were asked for by their ids: shown by the \
         window, hidden in part, or given up");
    mass_waiting: Gauge = figure(
        "mass_messages_waiting_windows",
        "Windows that wait until such a message was asked for by its id");
    verified: Family<Label, Gauge> = figure(
        "verified_hours",
        "Hours that the last daily verification looked at, by what they were found to be");
    letters: Gauge = figure("dead_letters", "What cannot be delivered and is kept for a person");
    letters_bytes: Gauge = figure("dead_letters_bytes", "Size of the files with dead letters");
    oldest_letter: Gauge = figure(
        "dead_letters_oldest_timestamp_seconds",
        "When the oldest dead letter was kept; 0 when there is none");
}

/// One label and its value.
pub(super) type Label = [(&'static str, &'static str); 1];

/// The label of what an hour was found to be.
pub(super) fn found(finding: Finding) -> Label {
    [("finding", finding.word())]
}

/// A rule, of which a setting has a hundred at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByRule {
    pub(super) setting: &'static str,
    pub(super) rule: u16,
}

impl Figures {
    /// Of a run that begins. Metrics outlive it: what they say of the settings or of the work of a run
    /// before, which may have been about another tenant, does not hold any more.
    pub(super) fn new(metrics: &Metrics, hidden: Hidden) -> Self {
        let privacy: Family<HiddenLabels, Gauge> = metrics.figure(
            "privacy_info",
            "1; what becomes of subjects and of addresses before rows are sent",
        );
        privacy.clear();
        privacy.get_or_create(&hidden.labels()).set(1);
        let figures = Self::registered(metrics);
        // An increase is seen of what was 0 before.
        for outcome in ["shown", "hidden", "given_up"] {
            _ = figures.mass_messages.get_or_create(&[("outcome", outcome)]);
        }
        for lane in Lane::ALL {
            _ = figures.lanes.get_or_create(&[("lane", lane.word())]);
        }
        for finding in Finding::ALL {
            figures.verified.get_or_create(&found(finding)).set(0);
        }
        figures.in_hand.set(0);
        figures
    }

    /// How far a run before has come does not hold any more.
    pub(super) fn forget_progress(&self) {
        self.skew.set(0.0);
        for figure in [
            &self.checkpoint,
            &self.oldest_missing,
            &self.missing,
            &self.gaps,
            &self.behind,
            &self.behind_from,
            &self.known,
            &self.refused,
            &self.mass_waiting,
        ] {
            figure.set(0);
        }
    }

    pub(super) fn letters(&self, stock: Stock) {
        let bytes = i64::try_from(stock.bytes).unwrap_or(i64::MAX);
        self.letters.set(number(stock.letters));
        self.letters_bytes.set(bytes);
        let oldest = stock.oldest.map_or(0, |oldest| oldest.timestamp());
        self.oldest_letter.set(oldest);
    }
}

#[cfg(test)]
mod tests {
    use base::Clock;

    use super::*;

    /// As when the settings are changed while the process runs.
    #[test]
    fn a_run_says_nothing_of_the_one_before() {
        let metrics = Metrics::new(Clock::system());
        let keep = Hidden::default();
        let hash = serde_json::json!({"subject": "hash", "addresses": "keep"});
        let hash: Hidden = serde_json::from_value(hash).unwrap();
        let found = found(Finding::Many);
        let before = Figures::new(&metrics, keep);
        before.in_hand.set(3);
        before.verified.get_or_create(&found).set(2);
        before.steps.inc();
        before.behind.set(1);
        before.skew.set(400.0);
        let figures = Figures::new(&metrics, hash);
        let privacy: Family<HiddenLabels, Gauge> = metrics.figure("privacy_info", "");
        let hides = [keep, hash].map(|hidden| privacy.get_or_create(&hidden.labels()).get());
        assert_eq!(hides, [0, 1]);
        assert_eq!(figures.in_hand.get(), 0);
        assert_eq!(figures.verified.get_or_create(&found).get(), 0);
        assert_eq!(figures.steps.get(), 1, "a counter goes on");
        assert_eq!(figures.behind.get(), 1, "the tenant is the same");
        figures.forget_progress();
        assert_eq!((figures.behind.get(), figures.skew.get()), (0, 0.0));
    }
}
