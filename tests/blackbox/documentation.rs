//! `docs/metrics.md` and the alerts beside it name what the process exposes, and nothing else;
//! `docs/check.md` shows what `status` says.

use std::collections::{BTreeMap, BTreeSet};

use emulator::{Discretion, NewRow, Status};
use serde_json::json;

use crate::{
    source::{page, spans},
    world::{World, repository, shape, until},
};

const NAMESPACE: &str = "symphony_module_common_";

/// A metric's type and the names of its labels.
#[derive(Debug, Default, PartialEq)]
struct Metric {
    kind: String,
    labels: BTreeSet<String>,
}

/// What a process exposes.
fn exposed(text: &str) -> BTreeMap<String, Metric> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            metrics.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some((sample, rest)) = line.split_once('{') {
            let (labels, _) = rest.rsplit_once('}').unwrap();
            let labels = labels
                .split("\",")
                .filter_map(|label| label.split_once("=\""));
            let labels = labels.map(|(name, _)| name.to_owned());
            let metric = metrics.get_mut(family(sample)).unwrap();
            metric.labels.extend(labels.filter(|name| name != "le"));
        }
    }
    metrics
}

/// The metric that a sample is of.
fn family(sample: &str) -> &str {
    let ends = ["_bucket", "_sum", "_count"];
    let stripped = ends.iter().find_map(|end| sample.strip_suffix(end));
    stripped.unwrap_or(sample)
}

/// A row of the page: the metric's full name, type and labels, and the alert.
struct Row {
    name: String,
    metric: Metric,
    alert: String,
    rule: Rule,
}

/// What an alert asks for, and for how long that must be so.
#[derive(Debug, PartialEq)]
struct Rule {
    expression: String,
    lasts: String,
}

fn rows(page: &str) -> Vec<Row> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [name, kind, _, alert, expression, lasts] = cells[..] else {
            panic!("{row}")
        };
        let name = spans(name).remove(0);
        let of_process = name.starts_with("process_");
        Row {
            name: if of_process {
                name
            } else {
                format!("{NAMESPACE}{name}")
            },
            metric: Metric {
                kind: kind.split(',').next().unwrap().to_owned(),
                labels: spans(kind).into_iter().collect(),
            },
            alert: alert.to_owned(),
            rule: Rule {
                // In a table such a line would end the cell.
                expression: spans(expression).remove(0).replace("\\|", "|"),
                lasts: lasts.to_owned(),
            },
        }
    })
    .collect()
}

/// The alerts by their names. Each has a severity that people know.
fn alerts(rules: &str) -> BTreeMap<String, Rule> {
    let rules = rules.split("- alert: ").skip(1);
    rules
        .map(|rule| {
            let (name, rest) = rule.split_once('\n').unwrap();
            let (expression, rest) = rest.split_once("for:").unwrap();
            let expression = expression.trim().strip_prefix("expr:").unwrap();
            let expression = expression.trim().trim_start_matches(">-").trim();
            let (lasts, rest) = rest.split_once('\n').unwrap();
            let (_, severity) = rest.split_once("severity: ").unwrap();
            let severity = severity.lines().next().unwrap();
            assert!(
                ["critical", "warning", "info"].contains(&severity),
                "{name}: {severity}"
            );
            let rule = Rule {
                expression: expression.to_owned(),
                lasts: lasts.trim().to_owned(),
            };
            (name.to_owned(), rule)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_metric_is_explained_and_has_an_alert() {
    let world = World::graph(30).await;
    let rules =
        json!({"exclude_recipients": ["archive@contoso.example"], "details": ["quarantined"]});
    world.configure(rules.clone());
    let discretion = Discretion::of_trigger(rules.as_object().unwrap()).unwrap();
    let emulator = &world.emulator;
    emulator.configure(|settings| settings.discretion = discretion);
    let at = world.now() - chrono::TimeDelta::minutes(1);
    emulator.add_row(NewRow::new(at, "archive@contoso.example"));
    let row = NewRow::new(at, "caught@contoso.example").status(Status::Quarantined);
    emulator.add_row(row);
    let mut process = world.start();
    world.all_delivered().await;
    let excluded = "symphony_module_common_excluded_rows_total{";
    process.reaches(excluded, 1.0).await;
    let exposed = exposed(&process.metrics().await);
    process.stop().await;

    let rows = rows(&page("metrics.md"));
    let explained: BTreeMap<_, _> = rows.iter().map(|row| (&row.name, &row.metric)).collect();
    assert_eq!(explained, exposed.iter().collect());

    let rules = repository().join("deploy/prometheus/rules.yaml");
    let mut alerts = alerts(&std::fs::read_to_string(rules).unwrap());
    let up = alerts.remove("MessageTraceDown");
    let up = up.map(|up| up.expression);
    // One that nothing scrapes is down, too.
    let down = r#"up{job="message-trace"} == 0 or absent(up{job="message-trace"})"#;
    assert_eq!(up.as_deref(), Some(down));
    let shown = rows.iter().map(|row| (&row.alert, &row.rule));
    assert_eq!(shown.collect::<BTreeMap<_, _>>(), alerts.iter().collect());
    for row in &rows {
        let words = row
            .rule
            .expression
            .split(|c: char| !c.is_alphanumeric() && c != '_');
        let names =
            words.filter(|word| word.starts_with(NAMESPACE) || word.starts_with("process_"));
        let names: BTreeSet<_> = names.map(family).collect();
        assert!(names.contains(row.name.as_str()), "{}", row.alert);
        assert!(
            names.iter().all(|name| exposed.contains_key(*name)),
            "{names:?}"
        );
    }
}

/// That the page shows these lines of a status.
async fn shows_status(world: &World, names: &[&str]) {
    let page = shape(&page("check.md"));
    let said = world.says(&["status"]).await;
    let place = world.data().display().to_string();
    for name in names {
        let line = said.stdout.lines().find(|line| line.starts_with(name));
        let line = shape(&line.unwrap().replace(&place, "symphony_data"));
        assert!(page.contains(&line), "docs/check.md lacks {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_shown_as_it_is() {
    let world = World::graph(30).await;
    let mut process = world.start();
    world.all_delivered().await;
    let kept = world.data().join("context.json.previous");
    until("a position is kept", || {
        kept.exists() && world.has_caught_up()
    })
    .await;
    world.tell_ports(&mut process).await;
    let names = [
        "process",
        "position",
        "gaps",
        "settling",
        "delivered",
        "quota",
        "errors",
    ];
    shows_status(&world, &names).await;
    process.stop().await;

    let world = World::graph(3).await;
    world.configure(json!({"intake_key": "another-key"}));
    let mut process = world.start();
    process.prints("it does not know the intake key").await;
    world.tell_ports(&mut process).await;
    shows_status(&world, &["errors"]).await;
    process.stop().await;
}
