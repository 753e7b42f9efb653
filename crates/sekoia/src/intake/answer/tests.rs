use serde_json::{Value, json};

use super::*;

fn read(status: u16, body: &str, count: usize) -> Outcome {
    let status = StatusCode::from_u16(status).unwrap();
    verdict("h", status, body.as_bytes(), count, b"{}")
}

fn fates(body: &Value, count: usize) -> Fates {
    match read(200, &body.to_string(), count) {
        Outcome::Told(fates) => fates,
        other => panic!("{body}: {other:?}"),
    }
}

/// Why nothing says that an event is accepted, and the sentence for it.
#[track_caller]
fn unaccepted(outcome: Outcome) -> (Cause, String) {
    match outcome {
        Outcome::Failed(unaccepted) => (unaccepted.cause, unaccepted.sentence),
        other => panic!("{other:?}"),
    }
}

/// The sentence for a success that proves nothing.
#[track_caller]
fn uncertain(outcome: Outcome) -> String {
    let (cause, sentence) = unaccepted(outcome);
    assert_eq!(cause, Cause::Uncertain, "{sentence}");
    sentence
}

fn refused(body: &Value, count: usize) -> Vec<(usize, String)> {
    fates(body, count).refused.into_iter().collect()
}

#[test]
fn full_acceptance_is_an_identifier_for_each_event() {
    for body in [
        json!({"event_ids": ["a", "b"]}),
        json!({"event_ids": ["a", "b"], "took": 5}),
        json!({"took": ["x", "y"], "event_ids": ["a", "b"]}),
        json!({"statuses": [200, "accepted"]}),
        json!({"event_ids": ["a", "b"], "errors": [], "statuses": ["ok", "who knows"]}),
        json!([{"id": "a"}, {"id": "b", "error": null}]),
        json!({"results": [{"id": "a", "error": ""}, {"id": "b", "errors": []}]}),
        json!({"event_ids": ["a", "b"], "errors": [[], {}]}),
    ] {
        assert_eq!(fates(&body, 2), Fates::default(), "{body}");
    }
    for status in [200, 201, 202] {
        let answer = read(status, r#"{"event_ids":["a"]}"#, 1);
        assert_eq!(answer, Outcome::Told(Fates::default()), "{status}");
    }
    for marked in [
        "\u{feff}{\"event_ids\":[\"a\"]}",
        "\u{feff}[{\"id\":\"a\"}]",
    ] {
        assert_eq!(
            read(200, marked, 1),
            Outcome::Told(Fates::default()),
            "with a byte order mark"
        );
    }
    assert_eq!(fates(&json!({"event_ids": []}), 0), Fates::default());
}

#[test]
fn an_answer_that_proves_nothing_is_not_certain() {
    let page = "<html><head><TITLE> Sign in </TITLE></head></html>";
    for (status, body, shown) in [
        (200, page, "200 OK with a web page titled \"Sign in\","),
        (200, "", "200 OK with an empty body,"),
        (200, "{}", "with \"{}\","),
        (200, r#"{"event_ids":[]}"#, "event_ids"),
        (200, r#"{"error":"INTAKE_KEY_ERROR"}"#, "INTAKE_KEY_ERROR"),
        (200, r#"{"event_ids":["a","b","c"]}"#, "event_ids"),
        (200, r#"{"event_ids":["a",""#, ""),
        (
            200,
            r#"{"event_ids":[],"event_ids":["a","b"]}"#,
            "event_ids",
        ),
        (200, r#"{"event_ids":["a","b"],"event_id\u0073":[]}"#, ""),
        (200, r#"{"event_ids":["",""]}"#, "event_ids"),
        (200, r#"{"event_ids":["\t"," "]}"#, "event_ids"),
        (200, r#"[{"id":" "},{"id":""}]"#, "id"),
        // Of another number of events.
        (200, r#"[{"id":"a"}]"#, "id"),
        (200, r#"[{"id":"a"},{"id":"b"},{"id":"c"}]"#, "id"),
        (200, "[]", ""),
        (200, r#"{"event_ids":"ab"}"#, ""),
        (200, r#"{"statuses":["queued","in quarantine"]}"#, "queued"),
        (200, r#"["a","b"]"#, ""),
        (200, r#""ok""#, ""),
        (200, "null", ""),
        (202, "", "202 Accepted with an empty body"),
        (204, "", "204 No Content with an empty body"),
    ] {
        let what = uncertain(read(status, body, 2));
        assert!(what.contains(shown), "{what}");
    }
    // Not even for no event at all, which `check` asks with.
    for body in [
        "",
        "{}",
        "[]",
        page,
        r#"{"event_ids":["a"]}"#,
        r#"{"error":"x"}"#,
    ] {
        uncertain(read(200, body, 0));
    }
    let long = "x".repeat(5000);
    let what = uncertain(read(200, &long, 1));
    assert!(what.len() < 400);
}

#[test]
fn the_identifiers_of_an_answer_are_those_of_its_list() {
    for (body, ids) in [
        (r#"{"event_ids":["a","b"]}"#, Some(vec![r#""a""#, r#""b""#])),
        (
            "\u{feff}{\"took\":[\"x\"],\"event_ids\":[\"a\",null,{\"id\":\"b\"},\"\",\" \"]}",
            Some(vec![r#""a""#]),
        ),
        (r#"{"statuses":[200,"ok"]}"#, Some(vec![])),
        (r#"{"event_ids":"ab"}"#, None),
        (r#"[{"id":"a"}]"#, None),
    ] {
        assert_eq!(identifiers(body.as_bytes()), ids, "{body}");
    }
}

#[test]
fn what_a_cache_has_kept_says_nothing_of_these_events() {
    let answer = |status: u16, age: &str| {
        let answer = http::Response::builder().status(status).header("age", age);
        let body = bytes::Bytes::from_static(br#"{"event_ids":["a"]}"#);
        judge("h", &answer.body(body).unwrap(), 1, b"{}")
    };
    for age in ["0", "", "young", "-1"] {
        assert_eq!(answer(200, age), Outcome::Told(Fates::default()), "{age}");
    }
    let what = uncertain(answer(200, " 600"));
    assert!(what.contains("answers 200 OK from a cache"), "{what}");
    assert_eq!(unaccepted(answer(503, "600")).0, Cause::Outage);
}

#[test]
fn refused_events_in_every_plausible_shape() {
    let big = "too large".to_owned();
    for body in [
        json!({"event_ids": ["a", null, "c"], "errors": [{"index": 1, "error": "too large"}]}),
        json!({"event_ids": ["a", "c"], "errors": [{"index": 1, "message": "too large"}]}),
        json!({"event_ids": ["a", {"status": 413, "message": "too large"}, "c"]}),
        json!({"event_ids": ["a", null, "c"], "statuses": [200, "too large", 200]}),
        json!({"event_ids": ["a", "b", "c"], "statuses": [200, "too large", 200]}),
        json!({"event_ids": ["a", null, "c"], "errors": [null, "too large", null]}),
        json!({"statuses": [{"status": "ok"}, {"status": "rejected", "reason": "too large"}, {"status": 200}]}),
        json!({"event_ids": ["a", "c"], "results": [{"status": "accepted"}, {"status": "rejected", "error": "too large"}, {"status": "accepted"}]}),
        json!({"event_ids": ["a", "c"], "rejected": [{"position": 1, "detail": "too large"}]}),
        json!([{"id": "a"}, {"error": "too large"}, {"id": "c", "error": null}]),
    ] {
        assert_eq!(refused(&body, 3), [(1, big.clone())], "{body}");
    }
    assert_eq!(refused(&json!({"event_ids": ["a", null]}), 2).len(), 1);
    assert_eq!(refused(&json!({"event_ids": [null, null]}), 2).len(), 2);
    assert_eq!(
        refused(&json!({"event_ids": ["a"], "rejected": [0, 2]}), 3).len(),
        2
    );
    let of_each = json!({"event_ids": ["a"], "errors": [null, 413]});
    assert_eq!(refused(&of_each, 2), [(1, "413".to_owned())]);
}

#[test]
fn a_number_that_may_be_a_status_names_no_event() {
    let ids: Vec<_> = (0..999).map(|n| n.to_string()).collect();
    for failures in [
        json!({"errors": [413]}),
        json!({"failed": [7]}),
        json!({"rejected": [413]}),
        json!({"rejected": [7, 7]}),
        json!({"rejected": [1000]}),
    ] {
        let mut body = failures;
        body["event_ids"] = json!(ids);
        let answer = read(200, &body.to_string(), 1000);
        assert_eq!(answer, Outcome::Short(999), "{body}");
    }
    // Nor does one that is neither.
    let body = json!({"event_ids": ["a"], "errors": [0, 1]}).to_string();
    assert_eq!(read(200, &body, 2), Outcome::Short(1));
}

#[test]
fn an_unknown_word_is_neither_acceptance_nor_refusal() {
    for body in [
        json!({"event_ids": ["a", {"status": "in quarantine", "id": "b"}, null]}),
        json!({"statuses": ["ok", "queued", {"status": "rejected"}]}),
        json!({"results": [{"status": 200}, {"status": 102}, {"error": "no"}]}),
        json!({"results": [{"id": "a"}, {}, {"error": "no"}]}),
    ] {
        let fates = fates(&body, 3);
        assert_eq!(fates.unclear, [1].into(), "{body}");
        assert!(fates.refused.keys().eq([&2]), "{body}");
    }
    // Of the others nothing is said.
    let fates = fates(&json!({"rejected": [{"index": 1}]}), 3);
    assert_eq!((fates.unclear, fates.refused.len()), ([0, 2].into(), 1));
}

#[test]
fn too_few_identifiers_do_not_say_which() {
    for body in [
        json!({"event_ids": ["a"]}),
        json!({"event_ids": ["a"], "errors": ["two failed"]}),
        json!({"event_ids": ["a"], "errors": [{"index": 2}]}),
    ] {
        assert_eq!(read(200, &body.to_string(), 3), Outcome::Short(1), "{body}");
    }
    // There is no fourth event that has failed.
    let body = json!({"event_ids": ["a", "b"], "errors": [{"index": 3}]});
    let answer = read(200, &body.to_string(), 3);
    assert_eq!(answer, Outcome::Short(2));
}

#[test]
fn statuses_are_sorted_by_what_may_be_the_reason() {
    let ask = |status: u16, body: &str| unaccepted(read(status, body, 1));
    for (status, cause) in [
        (408, Cause::Outage),
        (425, Cause::Busy),
        (429, Cause::Busy),
        (500, Cause::Outage),
        (503, Cause::Outage),
        (400, Cause::Refused),
        (401, Cause::Barred),
        (403, Cause::Refused),
        (404, Cause::Barred),
        (406, Cause::Refused),
        (413, Cause::TooLarge),
        (302, Cause::Refused),
    ] {
        assert_eq!(ask(status, "").0, cause, "{status}");
    }
    for (status, word) in [
        (400, "maintainers"),
        (401, "intake_key"),
        (403, "intake_key"),
        (404, "intake_server"),
        (302, "intake_server"),
    ] {
        let (_, sentence) = ask(status, "");
        assert!(sentence.contains(word), "{sentence}");
    }
    let (cause, sentence) = ask(403, "\u{feff} <html><title>Blocked</title></html>");
    assert_eq!(cause, Cause::Refused);
    assert!(sentence.contains("a proxy or firewall"), "{sentence}");
    assert!(!sentence.contains("refuses the intake key"), "{sentence}");
    let (cause, sentence) = ask(422, r#"{"error":"INTAKE_KEY_ERROR"}"#);
    assert_eq!(cause, Cause::Barred);
    assert!(sentence.contains("takes some minutes"), "{sentence}");
}

/// Else who writes a mail could have it wait in hand for good.
#[test]
fn an_echo_of_an_event_is_no_word_about_the_key() {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let said = br#"{"error":"bad event","input":{"subject":"INTAKE_KEY_ERROR"}}"#;
    for (subject, cause) in [("INTAKE_KEY_ERROR", Cause::Refused), ("key", Cause::Barred)] {
        let sent = format!(r#"{{"jsons":["{{\"subject\":\"{subject}\"}}"]}}"#);
        let (found, _) = refusal("h", status, said, sent.as_bytes());
        assert_eq!(found, cause, "{subject}");
    }
}
