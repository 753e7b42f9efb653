use super::*;
use crate::page::Envelope;

fn keyer() -> RowKeyer {
    RowKeyer::new([3; 16])
}

fn window() -> Window {
    let at = |text: &str| text.parse().unwrap();
    Window::new(at("2026-01-21T14:00:00Z"), at("2026-01-21T15:00:00Z")).unwrap()
}

/// A row of Graph with this in its subject.
fn row(id: &str, subject: &[u8]) -> Vec<u8> {
    let (before, behind) = (
        format!(
            r#"{{"id":"{id}","senderAddress":"a@x.test","recipientAddress":"b@y.test","messageId":"<{id}@x>","receivedDateTime":"2026-01-21T14:12:34Z","subject":""#
        ),
        r#"","size":1,"fromIP":"203.0.113.25","toIP":"","status":"delivered"}"#,
    );
    [before.as_bytes(), subject, behind.as_bytes()].concat()
}

/// The same of the Reporting Web Service, as the answer to its `nth` query.
fn legacy(id: &str, subject: &[u8], nth: u32) -> Vec<u8> {
    let before = format!(
        r#"{{"__metadata":{{"id":"x({nth})","type":"T"}},"Organization":null,"MessageTraceId":"{id}","MessageId":"m","Received":"\/Date(1769004754109)\/","SenderAddress":"a@x","RecipientAddress":"b@y","Subject":""#
    );
    let behind = format!(
        r#"","Status":"Delivered","ToIP":null,"FromIP":null,"Size":3,"StartDate":"\/Date(16585792976{nth})\/","EndDate":"\/Date(17585792976{nth})\/","Index":{nth}}}"#
    );
    [before.as_bytes(), subject, behind.as_bytes()].concat()
}

fn page(rows: &[Vec<u8>]) -> Vec<u8> {
    let tail = br#"],"@odata.nextLink":"x?y"}"#;
    [
        &br#"{"@odata.context":"c","value":["#[..],
        &rows.join(&b','),
        tail,
    ]
    .concat()
}

/// The rows of a page as text, with how many of them were mended, and what is broken.
fn read(body: &[u8]) -> (Vec<String>, Vec<RowKey>, Vec<Broken>) {
    let (text, envelope, damage) =
        Envelope::read_or_mend(body.to_vec().into(), Some(window()), &keyer(), &[]).unwrap();
    let rows = envelope.rows.spans.iter().map(|span| {
        let text = text.get(span.range()).unwrap();
        serde_json::from_slice::<serde_json::Value>(text).unwrap();
        String::from_utf8(text.to_vec()).unwrap()
    });
    let damage = damage.unwrap();
    for key in &damage.mended {
        assert!(envelope.rows.spans.iter().any(|row| row.key == *key));
    }
    (rows.collect(), damage.mended, damage.broken)
}

fn ids(rows: &[String]) -> Vec<String> {
    let id = |row: &String| {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let id = row.get("id").or(row.get("MessageTraceId")).unwrap();
        id.as_str().unwrap().to_owned()
    };
    rows.iter().map(id).collect()
}

/// The rows that are found beside this one, and whether it was mended.
#[track_caller]
fn beside(damaged: &[u8]) -> (Vec<String>, usize, Vec<String>) {
    let body = page(&[row("1", b"before"), damaged.to_vec(), row("3", b"behind")]);
    let (rows, mended, broken) = read(&body);
    let broken = broken
        .iter()
        .map(|one| String::from_utf8_lossy(&one.bytes).into_owned());
    (ids(&rows), mended.len(), broken.collect())
}

#[test]
fn control_characters_and_bytes_that_are_no_text_are_forgiven_in_strings() {
    for (subject, expected) in [
        (&b"a\nb"[..], "a\\u000ab"),
        (b"\0\x1f\t\\\"", "\\u0000\\u001f\\u0009\\\""),
        (b"caf\xe9", "caf\u{fffd}"),
        (b"\xe9\" ,\"", ""),
        (b"\xf0\x9f\x8e \xc3\xa9", "\u{fffd} é"),
    ] {
        let body = page(&[row("1", b"before"), row("2", subject), row("3", b"behind")]);
        let (rows, mended, broken) = read(&body);
        if expected.is_empty() {
            assert_eq!(
                (ids(&rows), broken.len()),
                (vec!["1".into(), "3".into()], 1)
            );
            continue;
        }
        assert_eq!(ids(&rows), ["1", "2", "3"]);
        assert_eq!((mended.len(), broken.len()), (1, 0));
        let strict = String::from_utf8(row("2", b"SUBJECT")).unwrap();
        assert_eq!(rows[1], strict.replace("SUBJECT", expected));
    }
}

#[test]
fn nothing_else_is_forgiven() {
    let whole = row("2", b"s");
    let changed = |from: &str, to: &[u8]| {
        let text = String::from_utf8(whole.clone()).unwrap();
        let (before, behind) = text.split_once(from).unwrap();
        [before.as_bytes(), to, behind.as_bytes()].concat()
    };
    let cases: Vec<Vec<u8>> = vec![
        b"null".to_vec(),
        b"7".to_vec(),
        b"\"a, {\"".to_vec(),
        b"[]".to_vec(),
        b"<html>an error, {sorry}</html>".to_vec(),
        // Behind a backslash.
        row("2", b"a\\\nb"),
        row("2", b"a\\\xe9b"),
        // Outside of a string.
        changed("\"size\":1", b"\"size\":\x01"),
        changed("\"size\":1", b"\"size\":1\xe9"),
        // Not once each, or not known, or not of this window.
        changed("\"size\":1,", b"\"new\":\"\n\","),
        changed("\"size\":1", b"\"size\":1,\"new\":\"\n\""),
        changed("\"size\":1", b"\"size\":1,\"size\":2,\"toIP\":\"\n\""),
        changed("\"a@x.test\"", b"\"\n\",\"id\":\"5\""),
        [changed(
            "14:12:34Z\",\"subject\":\"s",
            b"16:12:34Z\",\"subject\":\"\n",
        )]
        .concat(),
        changed(
            "\"2026-01-21T14:12:34Z\",\"subject\":\"s",
            b"null,\"subject\":\"\n",
        ),
        // Cut, and nested without end.
        whole[..whole.len() - 20].to_vec(),
        b"{\"a\":".repeat(1000),
    ];
    for damaged in cases {
        let shown = String::from_utf8_lossy(&damaged).into_owned();
        let (rows, mended, broken) = beside(&damaged);
        assert_eq!(
            (rows, mended),
            (vec!["1".to_owned(), "3".to_owned()], 0),
            "{shown}"
        );
        assert_eq!(broken, [shown]);
    }
}

#[test]
fn a_subject_makes_no_second_row() {
    for subject in [
        &b"x\n\"},{\"id\":\"y"[..],
        b"x\"},{\"id\":\"\ny",
        b"\xe9\"},{\"id\":\"",
        // All that it could add by itself.
        b"\n\",\"size\":1,\"fromIP\":\"\",\"toIP\":\"\",\"status\":\"failed\"},{\"id\":\"f",
        b"x\"},{\"id\":\"f\",\"senderAddress\":\"\n\",\"recipientAddress\":\"r\",\"messageId\":\"m\",\"receivedDateTime\":\"2026-01-21T14:12:34Z\",\"subject\":\"",
        // The end of the list.
        b"\n\"}],\"@odata.nextLink\":\"evil\"}",
        b"\n\"}]}",
        b"x]\n",
    ] {
        let (rows, _, broken) = beside(&row("2", subject));
        let shown = String::from_utf8_lossy(subject);
        let is_row = |id: &String| ["1", "2", "3"].contains(&id.as_str());
        assert!(rows.iter().all(is_row), "{shown}: {rows:?}");
        assert!(rows.contains(&"1".to_owned()) && rows.contains(&"3".to_owned()), "{shown}");
        assert_eq!(rows.len() + broken.len(), 3, "{shown}: {rows:?} {broken:?}");
    }
    // Escaped, as it should be, it stays what it is.
    let whole = row("9", b"z");
    let forged = String::from_utf8([&b"\n\"},"[..], &whole, b",{\"id\":\""].concat()).unwrap();
    let forged = forged.replace('"', "\\\"");
    let (rows, mended, broken) = beside(&row("2", forged.as_bytes()));
    assert_eq!((rows.len(), mended, broken.len()), (3, 1, 0));
}

#[test]
fn keys_are_of_the_bytes_and_the_same_in_each_answer() {
    let key = |body: &[u8]| {
        let (_, mended, broken) = read(body);
        mended.first().copied().unwrap_or_else(|| broken[0].key)
    };
    let of_graph = |subject: &[u8]| key(&page(&[row("1", b""), row("2", subject)]));
    assert_eq!(of_graph(b"\n"), of_graph(b"\n"));
    assert_ne!(of_graph(b"\n"), of_graph(b"\r"));
    // Two bytes that become the same text.
    assert_ne!(of_graph(b"\xe9"), of_graph(b"\xe8"));
    let fields = keyer().key(&["2", "b@y.test"], "delivered");
    assert_ne!(of_graph(b"\n"), fields, "never of its fields");
    for subject in [&b"\n"[..], b"\"", b"\\\n"] {
        let of_legacy = |nth| {
            let rows = [legacy("1", b"", nth), legacy("2", subject, nth)].join(&b',');
            key(&[&br#"{"d":{"results":["#[..], &rows, b"]}}"].concat())
        };
        assert_eq!(of_legacy(7), of_legacy(8));
        let spaced = |nth| {
            let row = String::from_utf8(legacy("2", subject, nth)).unwrap();
            let row = row.replace("\":", "\" :\r\n ").replace("{\"", "{ \"");
            let rows = [legacy("1", b"", nth), row.into_bytes()].join(&b',');
            key(&[&br#"{"d":{"results":["#[..], &rows, b"]}}"].concat())
        };
        assert_eq!(spaced(7), spaced(8), "with spaces around colons");
    }
}

#[test]
fn what_is_broken_is_named_with_its_place() {
    let body = page(&[
        b"null".to_vec(),
        row("1", b""),
        b"null".to_vec(),
        b"null".to_vec(),
        row("2", b"\n"),
        b"7".to_vec(),
    ]);
    let (rows, mended, broken) = read(&body);
    assert_eq!((ids(&rows).len(), mended.len()), (2, 1));
    let places: Vec<_> = broken.iter().map(|one| one.position).collect();
    assert_eq!(places, [1, 3, 4, 6]);
    let sides: Vec<_> = broken
        .iter()
        .map(|one| (one.newer.is_some(), one.older.is_some()))
        .collect();
    assert_eq!(
        sides,
        [(false, true), (true, true), (true, true), (true, false)]
    );
    let keys: Vec<_> = broken.iter().map(|one| one.key).collect();
    assert_eq!((keys[0], keys[0]), (keys[1], keys[2]), "it is the same");
    assert_ne!(keys[0], keys[3]);
}

#[test]
fn every_dialect_is_mended() {
    for (head, tail) in [
        (
            r#"{"odata.metadata":"m","value":[ "#,
            r#" ],"odata.nextLink":"x"}"#,
        ),
        (r#"{"d":{"results":["#, r#"],"__next":"x"}}"#),
        (r#"{"d":["#, r#"]}"#),
        (
            "\u{feff}{\"odata.nextLink\":\"[]\",\"value\":[\n",
            "\n]\n}\n",
        ),
    ] {
        let rows =
            [legacy("1", b"", 1), legacy("2", b"\n", 2), b"null".to_vec()].join(&b" ,\n"[..]);
        let (rows, mended, broken) = read(&[head.as_bytes(), &rows, tail.as_bytes()].concat());
        assert_eq!(
            (ids(&rows), mended.len(), broken.len()),
            (vec!["1".into(), "2".into()], 1, 1)
        );
    }
}

#[test]
fn what_has_no_certain_list_is_no_page() {
    let rows = row("1", b"\n");
    let whole = page(&[rows]);
    for body in [
        &whole[..whole.len() - 1],
        &whole[..whole.len() - 40],
        b"{\"value\":7}",
        b"\xff{\"value\":[]}",
        b"{\"a\":\x01,\"value\":[null]}",
        b"{\"@odata.nextLink\":\"x\n\",\"value\":[null]}",
        b"{\"d\":{\"__next\":\"x\xe9\",\"results\":[null]}}",
        b"{\"value\":[]},\"@odata.nextLink\":\"x\"}",
        b"{\"value\":[null],\"error\":{}}",
        b"",
    ] {
        let read = Envelope::read_or_mend(body.to_vec().into(), Some(window()), &keyer(), &[]);
        assert!(read.is_err(), "{}", String::from_utf8_lossy(body));
    }
}

/// Else none of the rows would ever come.
#[test]
fn damage_around_the_list_costs_no_row() {
    let rows = [row("1", b"before"), row("2", b"\n"), row("3", b"behind")].join(&b',');
    let page = |head: &[u8], behind: &[u8]| {
        let tail = br#"],"@odata.nextLink":"x?y"}"#;
        let body = [head, &rows, tail, behind].concat();
        let (_, envelope, _) =
            Envelope::read_or_mend(body.clone().into(), Some(window()), &keyer(), &[]).unwrap();
        assert_eq!(envelope.next.as_deref(), Some("x?y"));
        let (rows, mended, broken) = read(&body);
        assert_eq!(
            (ids(&rows), mended.len()),
            (vec!["1".into(), "2".into(), "3".into()], 1)
        );
        broken
    };
    let whole = br#"{"@odata.context":"[c]","value":["#;
    for head in [
        &b"{\"@odata.context\":\"[\xe9]\",\"value\":["[..],
        b"{\"@odata.context\":\"[\0]\", \"value\": [",
        b"\xef\xbb\xbf{\"a\n\":[1],\"value\":[",
    ] {
        let broken = page(head, b"\n");
        assert_eq!(broken.len(), 1);
        assert_eq!((&broken[0].bytes[..], broken[0].position), (head, 0));
        assert!(broken[0].newer.is_none() && broken[0].older.is_some());
        assert_eq!(page(head, b"")[0].key, broken[0].key, "it is known again");
    }
    for behind in [&b"\0\0"[..], b"\n<!-- a proxy: so it says -->\n", b","] {
        let broken = page(whole, behind);
        assert_eq!(broken.len(), 1);
        let last = behind.trim_ascii();
        assert_eq!((&broken[0].bytes[..], broken[0].position), (last, 4));
        assert!(broken[0].newer.is_some() && broken[0].older.is_none());
    }
    assert_eq!(page(b"{\"a\":\"\xe9\",\"value\":[", b"x").len(), 2);
}

#[test]
fn rows_that_are_cut_off_cost_only_themselves() {
    // A cut in a name, in a string, and between them; of every fourth row.
    let whole = row("0", b"s");
    for length in (1..whole.len()).step_by(7) {
        let rows: Vec<_> = (0..1200)
            .map(|number| {
                let mut row = row(&number.to_string(), b"s");
                if number % 4 == 1 {
                    row.truncate(length);
                }
                row
            })
            .collect();
        let (rows, mended, broken) = read(&page(&rows));
        assert_eq!((rows.len(), mended.len()), (900, 0), "{length}");
        assert_eq!(broken.len(), 300, "{length}");
    }
}

/// Each raw control character takes six bytes when it is escaped.
#[test]
fn a_page_grows_by_little() {
    let swells = || vec![b'\n'; 900 << 10];
    let (rows, mended, broken) = read(&page(&[
        row("1", &swells()),
        row("2", b"between"),
        row("3", &swells()),
        row("4", b"behind"),
    ]));
    assert_eq!(ids(&rows), ["1", "2", "4"]);
    assert_eq!((mended.len(), broken.len()), (1, 1));
    // It is the same when there is room for it.
    let (_, mended, _) = read(&page(&[row("3", &swells())]));
    assert_eq!(mended, [broken[0].key]);
}

/// Else who writes such a subject would keep the rows of all its recipients back, and those between them.
#[test]
fn a_full_page_of_one_odd_subject_is_mended() {
    let rows: Vec<_> = (0..5000)
        .map(|number| row(&number.to_string(), &[b'\n'; 255]))
        .collect();
    let (rows, mended, broken) = read(&page(&rows));
    assert_eq!((rows.len(), mended.len(), broken.len()), (5000, 5000, 0));
}

#[test]
fn hostile_answers_end_the_search() {
    for item in [&b",{\"a\":\""[..], b",{", b"\",{\"", b",{\"id\":{"] {
        let body = page(&[item.repeat(300_000 / item.len())]);
        // A search without bound would take hours.
        _ = Envelope::read_or_mend(body.into(), Some(window()), &keyer(), &[]);
    }
}
