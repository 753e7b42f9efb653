//! Rows that a person does not want at the intake.

use std::collections::BTreeMap;

use microsoft::field;
use rows::exclude::{Exclusions, List, Rule};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a person fills in; bounds are in the manifests.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Unwanted {
    exclude_senders: Vec<String>,
    exclude_recipients: Vec<String>,
    exclude_statuses: Vec<String>,
}

impl Unwanted {
    /// The rules; none when nothing is excluded.
    pub(super) fn rules(&self) -> Option<Exclusions> {
        Exclusions::new(
            field,
            &self.exclude_senders,
            &self.exclude_recipients,
            &self.exclude_statuses,
        )
    }

    /// How many rules there are, for people and for machines; none when there are none.
    pub(super) fn told(&self) -> Option<(String, Value)> {
        let lists = [
            (List::Senders, &self.exclude_senders),
            (List::Recipients, &self.exclude_recipients),
            (List::Statuses, &self.exclude_statuses),
        ];
        let lists = lists.map(|(list, rules)| (setting(list), rules.len()));
        let told: Vec<String> = lists
            .iter()
            .filter(|(_, rules)| *rules > 0)
            .map(|(setting, rules)| format!("{rules} of {setting}"))
            .collect();
        let facts = lists.map(|(setting, rules)| (setting.to_owned(), rules.into()));
        (!told.is_empty()).then(|| {
            let text = format!(
                "rows that these rules fit are not sent: {}",
                told.join(", ")
            );
            (text, Value::Object(facts.into_iter().collect()))
        })
    }
}

pub(super) const fn setting(list: List) -> &'static str {
    match list {
        List::Senders => "exclude_senders",
        List::Recipients => "exclude_recipients",
        List::Statuses => "exclude_statuses",
    }
}

/// How many rows each rule took out.
pub(super) type Taken = BTreeMap<Rule, u64>;

/// What a rule took out, for machines.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TakenOut {
    pub(super) setting: String,
    pub(super) rule: u16,
    pub(super) rows: u64,
}

pub(super) fn taken_out(taken: &Taken) -> Vec<TakenOut> {
    let rules = taken.iter().map(|(rule, rows)| TakenOut {
        setting: setting(rule.list).to_owned(),
        rule: rule.number,
        rows: *rows,
    });
    rules.collect()
}

/// The rules that took more than half of so many rows, in words; none when there are too few rows to tell. What a
/// rule says is not told: it may be the address of a person.
pub(super) fn greedy(taken: &Taken, rows: u64) -> Option<String> {
    /// Of fewer rows half may be chance.
    const TELLING: u64 = 50;
    let greedy = taken.iter().filter(|(_, taken)| **taken * 2 > rows);
    let greedy = greedy.map(|(Rule { list, number }, taken)| {
        let setting = setting(*list);
        format!("the rule {setting} {number} takes out {taken} of {rows} rows")
    });
    let greedy: Vec<String> = greedy.collect();
    (rows >= TELLING && !greedy.is_empty()).then(|| greedy.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_is_greedy_that_takes_more_than_half() {
        let rule = |number| Rule {
            list: List::Senders,
            number,
        };
        let taken = |one, other| Taken::from([(rule(1), one), (rule(2), other)]);
        assert_eq!(
            greedy(&taken(51, 3), 100).unwrap(),
            "the rule exclude_senders 1 takes out 51 of 100 rows"
        );
        assert_eq!(greedy(&taken(50, 50), 100), None);
        assert_eq!(greedy(&taken(49, 0), 49), None, "too few");
        assert_eq!(
            json!(taken_out(&taken(1, 2)))[1],
            json!({"setting": "exclude_senders", "rule": 2, "rows": 2})
        );
    }

    #[test]
    fn rules_are_counted_and_not_shown() {
        let unwanted: Unwanted = serde_json::from_value(json!({
            "exclude_senders": ["*@news.test", "a@b.test"],
            "exclude_recipients": [],
            "exclude_statuses": ["failed"],
        }))
        .unwrap();
        let (text, facts) = unwanted.told().unwrap();
        assert_eq!(
            text,
            "rows that these rules fit are not sent: 2 of exclude_senders, 1 of exclude_statuses"
        );
        assert_eq!(facts["exclude_recipients"], 0);
        assert!(unwanted.rules().is_some());
    }
}
