//! State that an earlier version has written is taken over: what that version has delivered does not
//! come again, and what it has not is delivered.
//!
//! The files in `tests/state` are of version 0.1.0 as it stood at commit 5b0f5d3, after two hours with
//! the same rows, by the same clock. `accepted.json` names the recipients that had arrived.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use emulator::{NewRow, Scenario, Traffic};
use serde_json::Value;
use uuid::Uuid;

use super::{ALL, site::Site};

/// Sixty rows of ten hours, the same at each call. Every sixth can first be seen after the first life.
fn rows(start: DateTime<Utc>, first_life_ends: DateTime<Utc>) -> Vec<NewRow> {
    let row = |n: u32| {
        let received = start - TimeDelta::minutes(5 * 60 - i64::from(n) * 10);
        let recipient = format!("reader{n}@contoso.example");
        let mut row = NewRow::new(received, &recipient).trace_id(Uuid::from_u128(n.into()));
        row.row.message_id = Some(format!("<{n}@contoso.example>"));
        if n.is_multiple_of(6) {
            row.visible_from = row
                .visible_from
                .max(first_life_ends + TimeDelta::minutes(7));
        }
        row
    };
    (0..60).map(row).collect()
}

/// All recipients of the rows.
fn recipients(rows: &[NewRow]) -> BTreeSet<String> {
    let recipients = rows.iter().map(|row| row.row.recipient.clone());
    recipients.collect()
}

/// Puts the files of the earlier version in place. Who had been delivered to.
fn inherit(site: &Site, trigger: &str) -> BTreeSet<String> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/state/before-the-crates")
        .join(trigger);
    for folder in ["", "known-rows"] {
        let to = site.path(folder);
        fs::create_dir_all(&to).unwrap();
        for file in fs::read_dir(files.join("data").join(folder)).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                fs::copy(file.path(), to.join(file.file_name())).unwrap();
            }
        }
    }
    serde_json::from_slice(&fs::read(files.join("accepted.json")).unwrap()).unwrap()
}

#[test]
fn state_of_the_version_before_is_taken_over() {
    for trigger in ALL {
        let site = Site::new(trigger, &Scenario::new(Traffic::default()));
        site.emulator.stop_traffic();
        let start = site.time.now();
        let rows = rows(start, start + TimeDelta::hours(2));
        let all = recipients(&rows);
        for row in rows {
            site.emulator.add_row(row);
        }
        let before = inherit(&site, trigger);
        assert!(!before.is_empty() && before.len() < all.len());
        site.time.pass(Duration::from_secs(3 * 3600));
        site.live_hours(4);
        let accepted = site.emulator.accepted();
        let now: Vec<String> = accepted
            .iter()
            .map(|event| {
                let event: Value = serde_json::from_str(&event.text).unwrap();
                let recipient = event.get("RecipientAddress");
                let recipient = recipient.or_else(|| event.get("recipientAddress"));
                recipient.unwrap().as_str().unwrap().to_owned()
            })
            .collect();
        let once: BTreeSet<String> = now.iter().cloned().collect();
        assert_eq!(once.len(), now.len(), "{trigger}: twice now");
        let due: BTreeSet<String> = all.difference(&before).cloned().collect();
        assert_eq!(once, due, "{trigger}: {}", site.output());
        for trouble in ["WARNING - The timeline", "ERROR", "damaged"] {
            site.says_not(trouble);
        }
    }
}
