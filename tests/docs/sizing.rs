//! `docs/sizing.md` repeats what was measured.

use std::collections::BTreeMap;

use crate::source::page;

/// Requests a day by rows a day, of the schedule as it was measured.
fn measured(service: &str) -> BTreeMap<String, u64> {
    let page = page("settling.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix(&format!("| {service} | ")));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let number = |cell: &str| cell.parse::<u64>().unwrap();
        (cells[0].to_owned(), number(cells[1]) + number(cells[2]))
    })
    .collect()
}

#[test]
fn requests_are_those_that_were_measured() {
    let (graph, reporting) = (measured("Graph"), measured("Reporting Web Service"));
    let page = page("sizing.md");
    let (_, section) = page.split_once("\n## Requests\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| 1") || line.starts_with("| 3"));
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        assert_eq!(cells[1], graph[cells[0]].to_string(), "{row}");
        // Of the 100 requests in 5 minutes that a tenant has.
        let share = graph[cells[0]] as f64 / 288.0;
        assert_eq!(cells[2], format!("{share:.0} %"), "{row}");
        assert_eq!(cells[3], reporting[cells[0]].to_string(), "{row}");
        count += 1;
    }
    assert_eq!(count, graph.len());
}
