//! Pages that are not as they should be: what cannot be read, what was not asked for, and links that lead
//! nowhere. Nothing is lost, nothing comes twice, and the live edge goes on.

use emulator::{
    Ending, Endpoint, Fault, FreshLink, FreshLinks, Outside, OutsideWindow, Scenario, Unreadable,
    UnreadableRow,
};
use serde_json::json;

use super::{
    ACCOUNT, GRAPH, OAUTH,
    site::{Site, life},
};

/// The triggers, in all formats of events.
const ALL: [(&str, Option<&str>); 4] = [
    (GRAPH, None),
    (GRAPH, Some("reporting")),
    (OAUTH, None),
    (ACCOUNT, None),
];

/// Mail for half a day, and time until all of it has settled.
fn scenario(format: Option<&str>) -> Scenario {
    let text = json!({
        "version": 1,
        "traffic": {
            "seed": 11, "rate": 0.02, "backlog": { "span": 10800, "rows": 400 },
            "lateness": [[0.0, 0], [0.6, 30], [1.0, 1800]], "changing": 0.1, "changes_within": 3600
        },
        "settings": { "graph": { "page_rows": 60 }, "report": { "page_rows": 60 } },
        "trigger": { "start_time": 3, "settle_time": 2 },
        "timeline": [{ "at": 7200, "do": "stop_traffic" }]
    });
    let mut scenario: Scenario = text.to_string().parse().unwrap();
    if let Some(format) = format {
        scenario
            .trigger
            .insert("event_format".to_owned(), json!(format));
    }
    scenario
}

fn endpoint(trigger: &str) -> Endpoint {
    if trigger == GRAPH {
        Endpoint::Graph
    } else {
        Endpoint::Report
    }
}

/// Leads each trigger through six hours with a fault, and a restart among them. What is left is said to
/// `check`.
fn all(fault: &Fault, check: impl Fn(&str, &Site)) {
    for (trigger, format) in ALL {
        let site = Site::new(trigger, &scenario(format));
        site.emulator.fault(endpoint(trigger), fault.clone());
        site.live(life(2 * 3600, Ending::Stop, 60));
        site.live_hours(4);
        let verdict = site.verdict();
        let name = format!("{trigger} {format:?} {fault:?}");
        assert!(verdict.is_clean(), "{name}: {verdict}\n{}", site.output());
        check(&name, &site);
    }
}

fn letters(site: &Site) -> String {
    let folder = site.data.path().join("data").join("dead-letters");
    let files = std::fs::read_dir(folder).into_iter().flatten();
    let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    texts.collect()
}

fn some_rows(form: Unreadable, reads: Option<u32>) -> Fault {
    Fault::UnreadableRow(UnreadableRow {
        share: 0.02,
        form,
        reads,
        ..UnreadableRow::default()
    })
}

#[test]
fn rows_that_can_be_mended_are_delivered() {
    for form in [Unreadable::RawNewline, Unreadable::Byte, Unreadable::Forged] {
        all(&some_rows(form, None), |name, site| {
            assert_eq!(site.verdict().unreadable.count, 0, "{name}");
            assert!(
                site.output()
                    .contains("are no JSON as Microsoft sends them"),
                "{name}"
            );
            assert_eq!(letters(site), "", "{name}");
        });
    }
}

#[test]
fn what_cannot_be_read_is_put_aside_and_nothing_else() {
    for form in [
        Unreadable::Null,
        Unreadable::Html,
        Unreadable::Cut,
        Unreadable::Quote,
    ] {
        all(&some_rows(form, None), |name, site| {
            assert!(site.verdict().unreadable.count > 0, "{name}");
            let letters = letters(site);
            assert!(
                letters.contains("it cannot be read as a row"),
                "{name}: {letters}"
            );
        });
    }
}

#[test]
fn a_page_that_comes_whole_soon_leaves_nothing_behind() {
    for form in [Unreadable::RawNewline, Unreadable::Null] {
        all(&some_rows(form, Some(2)), |name, site| {
            assert_eq!(site.verdict().unreadable.count, 0, "{name}");
            assert!(!site.output().contains("are no JSON"), "{name}");
            assert_eq!(letters(site), "", "{name}");
        });
    }
}

#[test]
fn rows_outside_of_the_window_come_once() {
    for form in [
        Outside::Earlier,
        Outside::YearOne,
        Outside::Null,
        Outside::Unfiltered,
    ] {
        let fault = Fault::OutsideWindow(OutsideWindow {
            form,
            seconds: 7200,
            ..OutsideWindow::default()
        });
        all(&fault, |name, site| {
            let said = "Microsoft does not keep to the window";
            assert_eq!(
                site.output().matches(said).count(),
                2,
                "{name}: once in each life"
            );
        });
    }
}

#[test]
fn links_that_lead_nowhere_cost_few_requests() {
    for form in [
        FreshLink::SameRows,
        FreshLink::Failing,
        FreshLink::Long,
        FreshLink::Empty,
    ] {
        let fault = Fault::FreshLinks(FreshLinks::from(form));
        all(&fault, |_, _| {});
    }
}
