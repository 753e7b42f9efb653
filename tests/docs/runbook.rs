//! `docs/runbook.md` has an entry for each alert, which the alert names.

use std::path::Path;

use crate::source::page;

/// The values of a key in the lines of the alerts, in their order.
fn values<'a>(rules: &'a str, key: &str) -> Vec<&'a str> {
    let lines = rules.lines().map(str::trim_start);
    lines.filter_map(|line| line.strip_prefix(key)).collect()
}

#[test]
fn each_alert_has_an_entry_and_names_it() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/rules.yaml");
    let rules = std::fs::read_to_string(rules).unwrap();
    let alerts = values(&rules, "- alert: ");
    let page = page("runbook.md");
    let mut entries: Vec<&str> = values(&page, "### ");
    let named: Vec<String> = alerts
        .iter()
        .map(|alert| format!("docs/runbook.md#{}", alert.to_lowercase()))
        .collect();
    assert_eq!(values(&rules, "runbook: "), named);
    for entry in page.split("\n### ").skip(1) {
        for part in ["\n- **Look:** ", "\n- **Do:** "] {
            assert_eq!(entry.matches(part).count(), 1, "{entry}");
        }
    }
    entries.sort_unstable();
    let mut alerts = alerts;
    alerts.sort_unstable();
    assert_eq!(entries, alerts);
}

/// A runbook that names what is not on the dashboard helps nobody.
#[test]
fn the_panels_that_it_names_are_on_the_dashboard() {
    let dashboard = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/message-trace.json");
    let dashboard = std::fs::read_to_string(dashboard).unwrap();
    let page = page("runbook.md");
    let mut named = 0;
    for look in values(&page, "- **Look:** ") {
        for part in look.split('*').skip(1).step_by(2) {
            if part.contains(" > ") {
                continue;
            }
            assert!(
                dashboard.contains(&format!("\"title\": \"{part}\"")),
                "{part}"
            );
            named += 1;
        }
    }
    assert!(named > 10);
}
