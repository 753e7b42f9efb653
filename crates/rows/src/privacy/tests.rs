use proptest::prelude::*;
use serde_json::{Value, json};

use super::{memory::AT_LEAST, *};

fn exposing(name: &str) -> Exposure {
    match name {
        "id" | "size" => Exposure::Plain,
        "from" | "to" => Exposure::Address,
        "messageId" => Exposure::MessageId,
        "subject" => Exposure::Subject,
        "meta" => Exposure::Needless,
        "details" => Exposure::Events(&["event", "at"]),
        _ => Exposure::Unknown,
    }
}

fn privacy(subjects: Subjects, addresses: Addresses) -> Privacy {
    let hasher = KeyedHasher::new(b"a key that nobody knows").unwrap();
    Privacy::new(exposing, subjects, addresses, Some(hasher)).unwrap()
}

fn all() -> Privacy {
    privacy(Subjects::Hash, Addresses::Hash)
}

fn hide(privacy: &mut Privacy, row: &str) -> Result<String, Unhidden> {
    let mut text = Vec::new();
    privacy.hide(row.as_bytes(), &mut text)?;
    Ok(String::from_utf8(text).unwrap())
}

fn hidden(privacy: &mut Privacy, row: &Value) -> Value {
    serde_json::from_str(&hide(privacy, &row.to_string()).unwrap()).unwrap()
}

/// By `printf %s TEXT | openssl dgst -sha256 -hmac KEY`, its first 16 digits.
const ADA: &str = "cd191ae2eeb1bb34";
const CONTOSO: &str = "3f695494ad1af2e7";

#[test]
fn addresses_and_subjects_are_hashed_apart_from_all_else() {
    let row = r#"{ "id":"7", "from":"Ada@Contoso.test","to":"ada@contoso.TEST", "messageId":"<ADA@contoso.test>" ,"subject":"ada","size": 5 }"#;
    let expected = format!(
        r#"{{ "id":"7", "from":"{ADA}@{CONTOSO}.invalid","to":"{ADA}@{CONTOSO}.invalid", "messageId":"<{ADA}@{CONTOSO}.invalid>" ,"subject":"{ADA}","size": 5 }}"#
    );
    let mut privacy = all();
    for _ in 0..2 {
        assert_eq!(hide(&mut privacy, row).unwrap(), expected);
    }
    let other = KeyedHasher::new(b"another key").unwrap();
    let mut other = Privacy::new(exposing, Subjects::Hash, Addresses::Hash, Some(other)).unwrap();
    assert!(!hide(&mut other, row).unwrap().contains(ADA));
}

#[test]
fn what_is_kept_is_kept() {
    let row = json!({"id": "7", "from": "ada@contoso.test", "to": "Bob@Other.test",
        "messageId": "<x@contoso.test>", "subject": "s"});
    let mut dropping = privacy(Subjects::Drop, Addresses::Keep);
    let mut expected = row.clone();
    expected["subject"] = Value::Null;
    assert_eq!(hidden(&mut dropping, &row), expected);
    let own = Addresses::hash_external(&["CONTOSO.test".to_owned()]);
    let mut external = privacy(Subjects::Keep, own);
    let told = hidden(&mut external, &row);
    for name in ["from", "messageId", "subject"] {
        assert_eq!(told[name], row[name]);
    }
    assert!(told["to"].as_str().unwrap().ends_with(".invalid"));
    let below = json!({"from": "ada@mail.contoso.test"});
    assert_ne!(hidden(&mut external, &below), below, "another domain");
    assert!(Privacy::new(exposing, Subjects::Keep, Addresses::Keep, None).is_none());
    let mut keyless = Privacy::new(exposing, Subjects::Hash, Addresses::Keep, None).unwrap();
    assert_eq!(hide(&mut keyless, &row.to_string()), Err(Unhidden));
}

#[test]
fn an_external_address_within_an_own_one_is_hashed_with_it() {
    let own =
        Addresses::hash_external(&["contoso.test".to_owned(), "c.onmicrosoft.test".to_owned()]);
    let mut external = privacy(Subjects::Keep, own);
    for (name, text) in [
        ("from", "bob+SRS=44ldt=IX=fabrikam.test=alice@contoso.test"),
        ("from", "bounce+alice=fabrikam.test@contoso.test"),
        ("to", "alice_fabrikam.test#EXT#@c.onmicrosoft.test"),
        ("to", "alice_fabrikam.test#ext#@c.onmicrosoft.test"),
        ("from", "\"alice@fabrikam.test\"@contoso.test"),
        ("from", "alice%fabrikam.test@contoso.test"),
        ("from", "fabrikam.test!alice@contoso.test"),
        ("from", "IMCEASMTP-alice+40fabrikam+2Etest@contoso.test"),
        ("messageId", "<alice@fabrikam.test> <x@contoso.test>"),
        ("messageId", "<alice <x@contoso.test>"),
    ] {
        let told = hidden(&mut external, &json!({ name: text })).to_string();
        assert!(
            !told.contains("alice") && told.contains(".invalid"),
            "{told}"
        );
    }
    for text in [
        "ext@contoso.test",
        "a.b+c_d#e-imcea@contoso.test",
        "@contoso.test",
    ] {
        let row = json!({ "from": text });
        assert_eq!(hidden(&mut external, &row), row);
    }
}

#[test]
fn odd_values_are_hidden_or_say_nothing() {
    let mut privacy = all();
    let same = json!({"from": "<>", "to": "", "messageId": null, "subject": null});
    assert_eq!(hidden(&mut privacy, &same), same);
    assert_eq!(hide(&mut privacy, "{}").unwrap(), "{}");
    for (row, clear) in [
        (r#"{"from":"no address"}"#, "address"),
        (r#"{"from":"a@b@contoso.test"}"#, "contoso"),
        (r#"{"messageId":"contoso"}"#, "contoso"),
        (r#"{"messageId":"<contoso>"}"#, "contoso"),
        (r#"{"subject":1234567}"#, "1234567"),
        (r#"{"subject":true}"#, "true"),
        (r#"{"subject":"half \ud83d contoso"}"#, "contoso"),
        (r#"{"sub\u006aect":"contoso"}"#, "contoso"),
        (r#"{"subject":"a","subject":"contoso"}"#, "contoso"),
        (r#"{"from":"\u0061da@contoso.test"}"#, "contoso"),
    ] {
        let told = hide(&mut privacy, row).unwrap();
        assert!(!told.contains(clear), "{row} becomes {told}");
        serde_json::from_str::<Value>(&told).unwrap();
    }
    let escaped = hide(&mut privacy, r#"{"from":"\u0061da@contoso.test"}"#).unwrap();
    assert!(escaped.contains(ADA));
    for unhidden in [
        r#"{"subject":{"text":"s"}}"#,
        r#"{"from":["a@b.test"]}"#,
        "[]",
        "7",
        "",
        r#"{"from":"a@b.test""#,
        r#"{"id":"7"} "a@b.test""#,
    ] {
        assert_eq!(hide(&mut privacy, unhidden), Err(Unhidden), "{unhidden}");
    }
    let mut bytes = Vec::new();
    assert_eq!(
        privacy.hide(b"{\"id\":\"\xff\"}", &mut bytes),
        Err(Unhidden)
    );
}

#[test]
fn what_nobody_knows_is_left_out_and_named() {
    let mut privacy = all();
    for (row, expected) in [
        (r#"{"new":"a@b","id":"7"}"#, r#"{"id":"7"}"#),
        (r#"{"new":1 , "other":[{}] , "id":"7"}"#, r#"{ "id":"7"}"#),
        (
            r#"{"id":"7","new":{"a":1},"size":5}"#,
            r#"{"id":"7","size":5}"#,
        ),
        (r#"{"id":"7","new":1}"#, r#"{"id":"7"}"#),
        (r#"{ "new":1 }"#, r#"{ }"#),
        (
            r#"{"meta":{"id":"a@b"},"new":2,"id":"7","x":3}"#,
            r#"{"id":"7"}"#,
        ),
        (
            r#"{"id":"7","meta":{"id":"a@b","n":[1]} ,"size":5,"meta":{} }"#,
            r#"{"id":"7" ,"size":5 }"#,
        ),
        (
            r#"{"meta":{}, "id":"7","meta":{ "a" : 1 },"new":{"a":{}}}"#,
            r#"{ "id":"7"}"#,
        ),
    ] {
        // Once it is read, and once it is recognized.
        for _ in 0..2 {
            assert_eq!(hide(&mut privacy, row).unwrap(), expected, "{row}");
        }
    }
    let unknown: Vec<String> = privacy.take_unknown().into_iter().collect();
    assert_eq!(unknown, ["new", "other", "x"]);
    assert!(privacy.take_unknown().is_empty());
    for n in 0..100 {
        hide(&mut privacy, &format!("{{\"{n}{}\":1}}", "x".repeat(100))).unwrap();
    }
    let unknown = privacy.take_unknown();
    assert!(unknown.len() == 16 && unknown.iter().all(|name| name.len() == 64));
}

#[test]
fn what_is_hidden_already_stays_when_it_is_hidden_again() {
    let row = json!({"from": "ada@contoso.test", "messageId": "<a@b.test>", "subject": "s",
        "to": "nobody"});
    let mut privacy = all();
    let once = hide(&mut privacy, &row.to_string()).unwrap();
    assert_eq!(privacy.hidden_again(&once).unwrap(), once);
    assert_ne!(
        hide(&mut privacy, &once).unwrap(),
        once,
        "a sender may write such a text"
    );
    assert_eq!(privacy.hidden_again(&row.to_string()).unwrap(), once);
}

#[test]
fn a_subject_that_is_to_be_dropped_is_so_also_when_it_looks_like_a_hash() {
    let mut privacy = privacy(Subjects::Drop, Addresses::Keep);
    for subject in ["4111111111111111", ADA] {
        let row = json!({"id": "7", "subject": subject}).to_string();
        let told = privacy.hidden_again(&row).unwrap();
        assert_eq!(told, r#"{"id":"7","subject":null}"#);
        assert_eq!(privacy.hidden_again(&told).unwrap(), told);
    }
}

#[test]
fn an_address_alone_is_hidden_as_that_of_a_row() {
    let mut privacy = all();
    let hidden = format!("{ADA}@{CONTOSO}.invalid");
    for address in ["Ada@Contoso.test", hidden.as_str()] {
        assert_eq!(privacy.hidden_address(address).unwrap(), hidden);
    }
    assert_eq!(privacy.hidden_address("<>").unwrap(), "<>");
    assert_eq!(privacy.hidden_address("").unwrap(), "");
    let quoted = privacy.hidden_address("\"a b\"@contoso.test").unwrap();
    assert!(quoted.ends_with(&format!("@{CONTOSO}.invalid")), "{quoted}");
}

#[test]
fn a_key_is_told_by_its_fingerprint_alone() {
    let fingerprint = |key: &[u8]| KeyedHasher::new(key).unwrap().fingerprint();
    assert_eq!(fingerprint(b"one"), fingerprint(b"one"));
    assert_ne!(fingerprint(b"one"), fingerprint(b"two"));
    assert_eq!(fingerprint(b"one").len(), 8);
    assert_eq!(
        format!("{:?}", KeyedHasher::new(b"one").unwrap()),
        "KeyedHasher"
    );
}

#[test]
fn many_addresses_are_not_all_remembered() {
    let mut privacy = all();
    for n in 0..40_000 {
        hide(&mut privacy, &format!("{{\"from\":\"{n}@{n}.test\"}}")).unwrap();
    }
    let hasher = privacy.hiding.hasher.as_ref().unwrap();
    let enough = AT_LEAST..=2 * AT_LEAST;
    for count in hasher.remembered() {
        assert!(enough.contains(&count), "{count}");
    }
}

fn members() -> impl Strategy<Value = String> {
    let names = ["id", "from", "to", "messageId", "subject", "meta", "new"];
    let values = prop::sample::select(vec![
        "\"ada@contoso.test\"",
        "\"a \\\"text\\\"\"",
        "7",
        "null",
        "{}",
        r#"{"a":"b@c","d":[{}]}"#,
    ]);
    let space = prop::sample::select(vec!["", " ", "\n  "]);
    let member = (prop::sample::select(names.to_vec()), values, space)
        .prop_map(|(name, value, space)| format!("{space}\"{name}\"{space}:{value}{space}"));
    prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(",")))
}

proptest! {
    /// What was learned of some rows changes nothing for others.
    #[test]
    fn rows_that_are_made_in_many_ways_are_all_hidden_alike(
        rows in prop::collection::vec(members(), 1..6), turns in 1..3_usize
    ) {
        let mut privacy = all();
        for row in rows.iter().cycle().take(turns * rows.len()) {
            let told = hide(&mut privacy, row);
            prop_assert_eq!(&told, &hide(&mut all(), row), "{}", row);
            let Ok(told) = told else { continue };
            let (told, row): (Value, Value) =
                (serde_json::from_str(&told).unwrap(), serde_json::from_str(row).unwrap());
            let known = |name: &&String| !["meta", "new"].contains(&name.as_str());
            let names = |row: &Value| row.as_object().unwrap().keys().filter(known).cloned().collect::<Vec<_>>();
            prop_assert_eq!(told.as_object().unwrap().len(), names(&row).len());
            prop_assert_eq!(names(&told), names(&row));
        }
    }

    /// Nothing that is hidden stays in any row, and all else is as it was.
    #[test]
    fn nothing_of_any_row_is_left(
        from in "[a-zA-Zé@<>\\\\\" ]{8,20}",
        subject in "[^0-9a-f]{4,30}",
        id in any::<u64>(),
        first in any::<bool>(),
    ) {
        let mut row = json!({"from": from, "id": id.to_string(), "subject": subject});
        if first {
            row["a new member"] = from.clone().into();
        }
        let told = hidden(&mut all(), &row);
        prop_assert_eq!(&told["id"], &row["id"]);
        for (name, clear) in [("from", &from), ("subject", &subject)] {
            let text = told[name].as_str().unwrap();
            prop_assert!(is_hidden(text) && text != clear, "{}", text);
        }
        prop_assert_eq!(told.as_object().unwrap().len(), 3);
    }
}

#[test]
fn of_what_happened_only_the_named_stays() {
    let row = r#"{"meta":1,"details":[{"event":"Fail","who":"ada@contoso.test","at":5}],"id":"7"}"#;
    let expected = r#"{"details":[{"event":"Fail","at":5}],"id":"7"}"#;
    let mut privacy = privacy(Subjects::Drop, Addresses::Keep);
    assert_eq!(hide(&mut privacy, row).unwrap(), expected);
    assert_eq!(privacy.hidden_again(expected).unwrap(), expected);
    let odd = r#"{"id":"7","details":"ada@contoso.test"}"#;
    assert_eq!(
        hide(&mut privacy, odd).unwrap(),
        r#"{"id":"7","details":null}"#
    );
    assert!(privacy.take_unknown().is_empty());
}
