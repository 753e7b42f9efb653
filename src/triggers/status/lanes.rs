//! What a process does at the moment, as its `/health` tells it.

use chrono::{DateTime, TimeDelta, Utc};
use sekoia::Answers;
use serde::Deserialize as _;
use serde_json::json;

use super::{
    super::{
        details::{Detailed, reason},
        state::ServiceNow,
        words::{counted, moment, span},
        working::{AtWork, Doing, FromTo, MassMail},
    },
    Line, line,
};

impl Doing {
    /// What the process has told; nothing when it tells nothing that is understood.
    pub(super) fn of(process: &Answers) -> Self {
        Self::deserialize(&process.errors.work).unwrap_or_default()
    }

    /// What became of messages with many recipients; none when there were none.
    pub(super) fn mass_mail(&self) -> Option<Line> {
        let MassMail {
            messages,
            rows_only_by_id,
            given_up,
            windows_waiting,
        } = self.mass_mail;
        let mut text = format!(
            "{} asked for by id since the run began, which has shown {}",
            counted(messages, "message"),
            counted(rows_only_by_id, "more row")
        );
        if windows_waiting > 0 {
            let windows = counted(windows_waiting as u64, "window");
            text.push_str(&format!("; windows that wait for that: {windows}"));
        }
        if given_up > 0 {
            text.push_str(&format!(
                "; of {given_up} nobody knows whether Microsoft shows all recipients"
            ));
        }
        let is_any = self.mass_mail != MassMail::default();
        is_any.then(|| line("mass mail", text, json!(self.mass_mail), given_up > 0))
    }

    /// How long it will take to fill the gaps, as far as that is known.
    pub(super) fn eta(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        Some(self.caught_up? - now)
    }

    pub(super) fn hidden(&self) -> Option<Line> {
        let hidden = self.hidden.filter(|hidden| !hidden.keeps_all())?;
        Some(line("hidden", hidden.sentence(), json!(hidden), false))
    }

    pub(super) fn details(&self) -> Option<Line> {
        let Detailed { statuses, rows } = &self.details;
        let added = rows.get("added").copied().unwrap_or(0);
        let without = rows
            .iter()
            .filter(|(fate, rows)| *fate != "added" && **rows > 0);
        let reasons = without
            .clone()
            .map(|(fate, rows)| format!("{rows} {}", reason(fate)));
        let reasons: Vec<String> = reasons.collect();
        let mut text = format!(
            "of rows with the status {}: since the run began {added} with details, {} without",
            statuses.join(", "),
            without.map(|(_, rows)| rows).sum::<u64>(),
        );
        if !reasons.is_empty() {
            text.push_str(&format!(" ({})", reasons.join(", ")));
        }
        (!statuses.is_empty()).then(|| line("details", text, json!(self.details), false))
    }

    pub(super) fn excluded(&self) -> Option<Line> {
        let rules = self.excluded.iter();
        let told =
            rules.map(|one| format!("{} {}: {}", one.setting, one.rule, counted(one.rows, "row")));
        let told: Vec<String> = told.collect();
        let text = format!("since the run began, by {}", told.join(", "));
        (!told.is_empty()).then(|| line("excluded", text, json!(self.excluded), false))
    }

    /// The lanes at work, and for machines what Microsoft lets be asked, too. When the newest rows are asked for
    /// goes by the clock of the service, and all else by that of this machine.
    pub(super) fn lines(&self, now: DateTime<Utc>, service: ServiceNow) -> [Line; 2] {
        let told: Vec<String> = self.lanes.iter().map(|lane| lane.told(now)).collect();
        let text = match self.next_query {
            _ if !told.is_empty() => told.join("; "),
            Some(next) if service.is_told => format!(
                "none at work; the newest rows are asked for in {}",
                span(next - service.at)
            ),
            Some(next) => format!(
                "none at work; the newest rows are asked for at {} of the service's clock",
                moment(next)
            ),
            None => "none at work".to_owned(),
        };
        let allowance = self.allowance.as_ref();
        let allowance = allowance.map_or_else(|| json!({}), |allowance| json!(allowance));
        [
            line("lanes", text, json!(self.lanes), false),
            line("allowance", String::new(), allowance, false),
        ]
    }
}

impl AtWork {
    /// Until when it waits goes by the clock of this machine.
    fn told(&self, now: DateTime<Utc>) -> String {
        let Self {
            lane,
            window: FromTo { from, to },
            waits_for,
            until,
        } = self;
        let waits = match (waits_for.as_str(), until) {
            ("quota", Some(until)) => {
                let left = span(*until - now);
                format!("waits for the quota: next request in {left}")
            }
            ("pause", Some(until)) => {
                let left = span(*until - now);
                format!("pauses after a failure: next request in {left}")
            }
            ("answer", _) => "waits for the answer".to_owned(),
            ("turn", _) => "waits for its turn".to_owned(),
            (other, _) => format!("waits for the {other}"),
        };
        format!(
            "{lane} reads {} to {} and {waits}",
            moment(*from),
            moment(*to)
        )
    }
}
