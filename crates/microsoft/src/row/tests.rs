use proptest::prelude::*;
use serde_json::{Map, Value, json};

use rows::{RowKey, RowKeyer, json::Scanner, reader::RowReader};

use super::*;

const SEED_ROW: &str = r#"{"__metadata":{"id":"https://x/MessageTrace(0)"},"Organization":"corp.onmicrosoft.com","MessageId":"<123@sender.foo>","Received":"\/Date(1659020996164)\/","SenderAddress":"sender@mail.sender.foo","RecipientAddress":"user@corp.net","Subject":"Subject","Status":"Delivered","ToIP":null,"FromIP":"1.1.1.1","Size":33435,"MessageTraceId":"579cd25c-9b30-4ce4-d5eb-08da70ab3b38","StartDate":"\/Date(1658851300604)\/","EndDate":"\/Date(1659024100604)\/","Index":0}"#;

fn keyer() -> RowKeyer {
    RowKeyer::new([3; 16])
}

fn reader(text: &str) -> RowReader<'_> {
    RowReader::new(text, keyer(), field)
}

fn page(rows: &[&str]) -> Page<()> {
    let text = format!("[{}]", rows.join(" , "));
    let mut reader = reader(&text);
    let passed = Scanner::new(&text).array(|scanner| {
        scanner.peek()?;
        let end = reader.read(scanner.position())?;
        scanner.go_to(end);
        Some(())
    });
    passed.unwrap();
    let found = reader.into_rows();
    super::page(text.into(), found, None, Form::VerboseDates).unwrap()
}

fn one(row: &str) -> (String, RowKey, Option<i64>) {
    let page = page(&[row]);
    let row = page.rows().next().unwrap();
    let received = row.received.map(|at| at.timestamp_millis());
    (row.text().into_owned(), row.key, received)
}

#[test]
fn verbose_rows_pass_byte_for_byte() {
    let (json, key, received) = one(SEED_ROW);
    assert_eq!(json, SEED_ROW);
    assert_eq!(received, Some(1_659_020_996_164));
    let identity = ["579CD25C-9B30-4CE4-D5EB-08DA70AB3B38", "USER@corp.net"];
    assert_eq!(key, keyer().key(&identity, "delivered"));
}

#[test]
fn light_rows_differ_in_their_dates_alone() {
    let row = r#"{ "Received" : "2022-09-05T18:10:13.4907658", "Subject":"a \"2022-09-05T18:10:13\" \u00e9","StartDate":"2022-09-04T11:01:46+02:00","Size":1.0,"EndDate":"2022-09-06T09:01:46.0369423Z","Note":"2022-09-05T18:10:13Z","Index":0}"#;
    let (json, _, received) = one(row);
    assert_eq!(
        json,
        r#"{ "Received" : "/Date(1662401413490)/", "Subject":"a \"2022-09-05T18:10:13\" \u00e9","StartDate":"/Date(1662282106000)/","Size":1.0,"EndDate":"/Date(1662454906036)/","Note":"2022-09-05T18:10:13Z","Index":0}"#
    );
    assert_eq!(received, Some(1_662_401_413_490));
}

#[test]
fn pages_may_mix_both() {
    let page = page(&[SEED_ROW, r#"{"Received":"1970-01-01T00:00:01"}"#, "{}"]);
    let rows: Vec<_> = page.rows().map(|row| row.text()).collect();
    assert_eq!(rows, [SEED_ROW, r#"{"Received":"/Date(1000)/"}"#, "{}"]);
}

#[test]
fn unreadable_dates_stay_as_they_are() {
    for row in [
        r#"{"Received":"soon"}"#,
        r#"{"Received":null,"StartDate":5}"#,
        r#"{"EndDate":{"a":"2022-09-05T18:10:13Z"}}"#,
    ] {
        let (json, _, received) = one(row);
        assert_eq!((json.as_str(), received), (row, None));
    }
}

#[test]
fn keys_see_through_escapes_and_take_the_last_of_a_doubled_field() {
    let plain = one(r#"{"MessageTraceId":"1","RecipientAddress":"a@b","Status":"Failed"}"#).1;
    for row in [
        r#"{"\u004dessageTraceId":"1","RecipientAddress":"\u0061@b","Status":"FAILED"}"#,
        r#"{"Status":"Pending","MessageTraceId":"1","RecipientAddress":"a@b","Status":"Failed"}"#,
        r#"{"id":"1","recipientAddress":"A@B","status":"failed","Index":7}"#,
    ] {
        assert_eq!(one(row).1, plain, "{row}");
    }
    let other = one(r#"{"MessageTraceId":"1","RecipientAddress":"a@b","Status":"Pending"}"#).1;
    assert!(other != plain && other.same_message(plain));
    let without = one(r#"{"MessageTraceId":"1","RecipientAddress":"a@b","Status":null}"#).1;
    assert!(without != plain && without.same_message(plain));
}

#[test]
fn rows_without_a_key_field_are_kept_and_told_apart() {
    let row = |id: &str, index: u32, start: &str| {
        format!(
            r#"{{"MessageTraceId":{id},"RecipientAddress":"a@b","Status":"Failed","MessageId":"m","Received":"1970-01-01T00:00:01","Index":{index},"StartDate":"{start}","__metadata":{{"id":{index}}}}}"#
        )
    };
    let first = one(&row("null", 0, "1970-01-01T00:00:01")).1;
    assert_eq!(one(&row("\"\"", 9, "1970-01-02T00:00:01")).1, first);
    assert_eq!(
        one(&row("null", 0, "x").replace("1970-01-01T00:00:01", "/Date(1000)/")).1,
        first,
        "the same in each dialect"
    );
    assert_ne!(one(&row("\"1\"", 0, "x")).1, first);
    assert_ne!(one(&row("null", 0, "x").replace("\"m\"", "\"n\"")).1, first);
    let pending = one(&row("null", 0, "x").replace("Failed", "Pending")).1;
    assert!(pending != first && pending.same_message(first));
    assert_ne!(one("{}").1, first);
}

#[test]
fn half_a_surrogate_pair_breaks_nothing() {
    let row = r#"{"MessageTraceId":"1","RecipientAddress":"\ud83d","Status":"Failed","Subject":"\ud83d"}"#;
    let (json, key, _) = one(row);
    assert_eq!(json, row);
    assert_ne!(
        key,
        one(&row.replace(r#":"\ud83d","St"#, r#":"\ud83e","St"#)).1
    );
}

#[test]
fn what_is_no_object_is_refused() {
    for row in ["1", "null", "[]", "\"x\""] {
        let mut reader = reader(row);
        let read = reader.read(0);
        assert_eq!(read, None, "{row}");
        assert_eq!(reader.into_rows(), Rows::default(), "{row}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("2022-09-05T18:10:13.4907658")),
        Just(json!("/Date(5)/")),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_row() -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![
        any::<String>(),
        Just("Received".to_owned()),
        Just("StartDate".to_owned()),
        Just("EndDate".to_owned()),
        Just("MessageTraceId".to_owned()),
        Just("Status".to_owned()),
    ];
    prop::collection::btree_map(name, any_value(), 0..8).prop_map(|map| map.into_iter().collect())
}

/// Rows as services write them: of few shapes, with now and then a space or a damaged place.
fn similar_rows() -> impl Strategy<Value = Vec<String>> {
    let value = prop::sample::select(vec![
        "1",
        "-0.5",
        "null",
        "\"a\"",
        "\"\\\"\"",
        "{}",
        "{\"Status\":[1]}",
        "\"/Date(5)/\"",
        "\"2022-09-05T18:10:13Z\"",
        "",
        "\"",
        "}",
        "1,\"Status\":2",
    ]);
    let values = prop::collection::vec(value, 4);
    let shape = prop::sample::select(vec![
        [
            r#"{"MessageTraceId":"#,
            r#","RecipientAddress":"#,
            r#","Status":"#,
            r#","Received":"#,
            "}",
        ],
        [
            r#"{ "MessageTraceId": "#,
            r#", "RecipientAddress": "#,
            r#", "Status": "#,
            r#", "Received": "#,
            " }",
        ],
        [
            r#"{"MessageTraceId":"#,
            r#","RecipientAddress":"#,
            r#","Status":"#,
            r#","EndDate":"#,
            r#","é":1}"#,
        ],
        [
            r#"{"MessageTraceId":"#,
            r#","RecipientAddress":"#,
            "",
            "",
            "}",
        ],
    ]);
    let row = (shape, values).prop_map(|(shape, values)| {
        let values = values.into_iter().chain([""]);
        let parts = shape.into_iter().zip(values);
        parts
            .map(|(before, value)| [before, value].concat())
            .collect()
    });
    prop::collection::vec(row, 1..6)
}

proptest! {
    #[test]
    fn what_came_before_does_not_change_what_is_read(rows in similar_rows()) {
        let text = rows.concat();
        let mut reader = reader(&text);
        let mut place = 0;
        for row in &rows {
            let mut expected = super::tests::reader(&text);
            let before = reader.rows().spans.len();
            prop_assert_eq!(reader.read(place), expected.read(place), "{}", row);
            place += row.len();
            let (read, expected) = (reader.rows(), expected.rows());
            prop_assert_eq!(&read.spans[before..], &expected.spans[..], "{}", row);
            prop_assert!(read.iso_dates.ends_with(&expected.iso_dates), "{}", row);
        }
    }

    #[test]
    fn every_other_field_survives(rows in prop::collection::vec(any_row(), 1..4), pretty: bool) {
        let texts: Vec<String> = rows
            .iter()
            .map(|row| if pretty { serde_json::to_string_pretty(row) } else { serde_json::to_string(row) })
            .map(Result::unwrap)
            .collect();
        let page = page(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(page.len(), rows.len());
        for (row, before) in page.rows().zip(&rows) {
            let after: Map<String, Value> = serde_json::from_slice(row.json).unwrap();
            prop_assert_eq!(after.len(), before.len());
            for (name, value) in before {
                let expected = match (name.as_str(), value.as_str().and_then(|text| date::iso(text.as_bytes()))) {
                    ("Received" | "StartDate" | "EndDate", Some(at)) => {
                        json!(format!("/Date({})/", at.timestamp_millis()))
                    }
                    _ => value.clone(),
                };
                prop_assert_eq!(&after[name], &expected);
            }
        }
    }
}
