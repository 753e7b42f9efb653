use collect::{coverage::Coverage, lateness::Lateness, timeline::Timeline};

use super::*;

const ONE: &str = "11111111-aaaa-4aaa-8aaa-111111111111";
const TWO: &str = "22222222-aaaa-4aaa-8aaa-222222222222";

fn graph(tenant: &str) -> Subject {
    Subject::new(tenant, Origin::Graph)
}

fn reporting(tenant: &str) -> Subject {
    Subject::new(tenant, Origin::Reporting)
}

fn bound(folder: &str, subject: &Subject, tenant_id: Option<&str>) -> Bound {
    Bound {
        folder: folder.to_owned(),
        binding: Binding {
            tenant_id: tenant_id.map(|id| Uuid::parse_str(id).unwrap()),
            ..Binding::new(subject)
        },
        witness: Witness::Both,
        is_blank: false,
        checkpoint: None,
    }
}

fn here(folder: &str) -> Place {
    Place::Here {
        folder: folder.to_owned(),
    }
}

fn begun(folder: &str, from: Option<(Taken, &Bound)>) -> Place {
    Place::New {
        folder: folder.to_owned(),
        from: from.map(|(taken, bound)| (taken, bound.clone())),
    }
}

#[test]
fn a_name_is_the_same_however_it_is_written() {
    assert_eq!(graph(&format!(" {}\n", ONE.to_uppercase())), graph(ONE));
    assert_eq!(graph(&ONE.replace('-', "")), graph(ONE));
    assert_eq!(
        graph("Contoso.OnMicrosoft.com"),
        graph("contoso.onmicrosoft.com")
    );
    assert_eq!(
        Subject::of_account("Svc@Contoso.example"),
        reporting("contoso.example")
    );
    assert_eq!(Subject::of_account("svc"), reporting("svc"));
}

#[test]
fn settings_name_a_tenant_as_their_trigger_does() {
    let set = |object, name: &str, value: &str| sekoia::Effective {
        object,
        name: name.to_owned(),
        value: Some(value.into()),
        doubtful: false,
        origin: sekoia::Origin::Default,
        known: true,
    };
    let own = Some("module_configuration");
    let values = [
        set(None, "tenant_id", TWO),
        set(own, "client_id", TWO),
        set(own, "tenant_id", ONE),
        set(own, "account_name", "svc@a.example"),
    ];
    for (command, expected) in [
        ("message_trace_graph", graph(ONE)),
        ("message_trace_oauth", reporting(ONE)),
        ("message_trace", reporting("a.example")),
    ] {
        let subject = Subject::of_settings(command, &values);
        assert_eq!(subject, Some(expected), "{command}");
        let nobody = ["tenant_id", "account_name"].map(|name| set(own, name, ""));
        assert_eq!(Subject::of_settings(command, &nobody), None, "{command}");
    }
}

#[test]
fn folders_are_plain_and_apart() {
    assert_eq!(graph(ONE).folder(), format!("tenants/{ONE}/graph"));
    assert_eq!(
        reporting("a.example").folder(),
        "tenants/a.example/reporting"
    );
    let names = ["", ".", "../../etc", "a/b", "ab", "ü.example", "é.example"];
    let mut folders: Vec<String> = names.map(|name| graph(name).folder()).to_vec();
    folders.push(graph(&"x".repeat(101)).folder());
    folders.push(graph(&"x".repeat(102)).folder());
    for folder in &folders {
        let parts: Vec<&str> = folder.split('/').collect();
        assert_eq!(parts.len(), 3, "{folder}");
        assert!(
            !parts[1].starts_with('.') && !parts[1].is_empty(),
            "{folder}"
        );
    }
    folders.sort();
    folders.dedup();
    assert_eq!(folders.len(), names.len() + 2);
}

#[test]
fn a_state_without_a_name_is_adopted() {
    assert_eq!(place(&[], "", &graph(ONE)), Place::Adopted);
    // Also when the first state's file is lost, but for whom has a folder.
    let other = bound("tenants/x/graph", &graph(TWO), None);
    let bound = [other];
    assert_eq!(place(&bound, "", &graph(ONE)), Place::Adopted);
    assert_eq!(place(&bound, "", &graph(TWO)), here("tenants/x/graph"));
}

#[test]
fn the_same_tenant_finds_its_state_by_name_or_by_guid() {
    let first = bound("", &graph("a.example"), Some(ONE));
    for name in ["a.example", ONE] {
        assert_eq!(
            place(std::slice::from_ref(&first), "", &graph(name)),
            here("")
        );
    }
    // By name before by GUID, and the one in use last, when both are about the same mail.
    let second = bound("tenants/b", &graph("b.example"), Some(ONE));
    let both = [first.clone(), second];
    assert_eq!(place(&both, "x", &graph("b.example")), here("tenants/b"));
    for in_use in ["", "tenants/b"] {
        for name in ["a.example", "b.example", ONE] {
            assert_eq!(place(&both, in_use, &graph(name)), here(in_use));
        }
    }
    // With another tenant in between the one that has come further.
    let further = |one: &Bound, hours: i64| Bound {
        checkpoint: DateTime::from_timestamp(hours * 3600, 0),
        ..one.clone()
    };
    let other = bound("tenants/c", &graph(TWO), None);
    for (hours, folder) in [([2, 1], ""), ([1, 2], "tenants/b")] {
        let [one, two] = &both;
        let all = [
            further(one, hours[0]),
            further(two, hours[1]),
            other.clone(),
        ];
        for name in ["a.example", "b.example", ONE] {
            assert_eq!(place(&all, "tenants/c", &graph(name)), here(folder));
        }
    }
    // That is not known of these.
    let second = bound("tenants/b", &graph("b.example"), None);
    let both = [first, second];
    assert_eq!(place(&both, "tenants/b", &graph("a.example")), here(""));
}

#[test]
fn a_state_of_nobody_s_mail_is_taken_over_by_whom_the_settings_name() {
    let blank = |folder: &str| Bound {
        is_blank: true,
        ..bound(folder, &graph("b.example"), None)
    };
    assert_eq!(place(&[blank("")], "", &graph(TWO)), Place::Adopted);
    // A folder has the name of its tenant, who may find it again.
    let folder = "tenants/b/graph";
    let (of_two, first) = (format!("tenants/{TWO}/graph"), bound("", &graph(ONE), None));
    let both = [first, blank(folder)];
    for in_use in ["", folder] {
        assert_eq!(place(&both, in_use, &graph(TWO)), begun(&of_two, None));
    }
    assert_eq!(place(&both, folder, &graph(ONE)), here(""));
    // What has something is looked at instead.
    let first = bound("", &graph("a.example"), None);
    let both = [first.clone(), blank(folder)];
    let from = Some((Taken::Rows, &first));
    assert_eq!(place(&both, folder, &graph(TWO)), begun(&of_two, from));
}

#[test]
fn another_tenant_begins_anew_in_a_folder_of_its_own() {
    let folder = format!("tenants/{TWO}/graph");
    let of_guid = bound("", &graph(ONE), None);
    let of_name = bound("", &graph("a.example"), Some(ONE));
    for first in [of_guid, of_name] {
        let place = place(&[first], "", &graph(TWO));
        assert_eq!(place, begun(&folder, None));
    }
}

#[test]
fn the_same_tenant_by_another_service_goes_on_with_the_same_state() {
    let first = bound("", &reporting("a.example"), Some(ONE));
    let found = place(std::slice::from_ref(&first), "", &graph(ONE));
    assert_eq!(found, here(""));
    // An earlier version made two states of it: of these the one that was in use last.
    let second = bound("tenants/c", &graph("a.example"), Some(ONE));
    let both = [first, second];
    for in_use in ["", "tenants/c"] {
        for subject in [graph(ONE), reporting(ONE), reporting("a.example")] {
            assert_eq!(place(&both, in_use, &subject), here(in_use));
        }
    }
    assert_eq!(place(&both, "elsewhere", &graph(ONE)), here("tenants/c"));
    assert_eq!(place(&both, "elsewhere", &reporting(ONE)), here(""));
}

#[test]
fn where_it_cannot_be_told_neither_rows_are_skipped_nor_sent_twice() {
    let first = bound("", &reporting("a.example"), None);
    let taken = place(std::slice::from_ref(&first), "", &graph(ONE));
    let expected = Some((Taken::Position, &first));
    assert_eq!(taken, begun(&format!("tenants/{ONE}/graph"), expected));
    let taken = place(std::slice::from_ref(&first), "", &reporting("b.example"));
    let expected = Some((Taken::Rows, &first));
    assert_eq!(taken, begun("tenants/b.example/reporting", expected));
    // Only what was in use last may be it.
    let taken = place(&[first], "elsewhere", &reporting("b.example"));
    assert_eq!(taken, begun("tenants/b.example/reporting", None));
}

/// What tells whose a state is.
const FILES: [&str; 2] = [TENANT_FILE, TENANT_COPY];

fn storage() -> Storage {
    Storage::new(sekoia::MemoryBackend::default())
}

/// A first collection begins at 8:00, two hours before now.
fn beginning() -> First {
    let start_time = chrono::TimeDelta::hours(2);
    let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    First {
        now: at + start_time,
        start_time,
    }
}

/// A log, and what is said in it.
fn listened() -> (Log, impl Fn() -> String) {
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let printed = std::sync::Arc::clone(&lines);
    let console = sekoia::Console::new(move |line| printed.lock().unwrap().push(line.to_owned()));
    let log = Log::new("x", base::Clock::system(), console);
    (log, move || lines.lock().unwrap().join("\n"))
}

async fn takes(storage: &Storage, subject: &Subject) -> (Storage, String) {
    let (log, said) = listened();
    let folder = take(storage, subject, beginning(), &log).await.unwrap();
    (storage.inside(&folder), said())
}

/// A token tells the GUID of the tenant.
async fn learns(files: &Storage, tenant_id: &str) -> String {
    let (log, said) = listened();
    let tenant_id = Uuid::parse_str(tenant_id).unwrap();
    learn(files, tenant_id, &log).await.unwrap();
    said()
}

/// Else the next start takes the state for nobody's.
#[tokio::test]
async fn what_tells_whose_a_state_is_is_written_again_when_it_is_taken_away() {
    let storage = storage();
    let contents = async |files: &Storage| {
        let mut contents = Vec::new();
        for name in FILES {
            contents.push(files.read(name).await.unwrap());
        }
        contents
    };
    for (subject, is_learned) in [(graph("a.example"), true), (graph(TWO), false)] {
        // A start that finds both writes neither.
        for _ in 0..2 {
            storage.keep_no_more();
            let (files, _) = takes(&storage, &subject).await;
            if is_learned {
                learns(&files, ONE).await;
            }
            let before = [contents(&storage).await, contents(&files).await];
            assert!(before.iter().flatten().all(Option::is_some));
            for name in FILES {
                storage.delete(name).await.unwrap();
                files.delete(name).await.unwrap();
            }
            let (log, said) = listened();
            storage.put_back(&log).await;
            let after = [contents(&storage).await, contents(&files).await];
            assert_eq!(after, before, "{}", said());
            assert!(
                said().contains("tenant.json.copy was missing"),
                "{}",
                said()
            );
        }
    }
}

#[tokio::test]
async fn each_finds_its_own_again_and_the_change_is_said() {
    let all = storage();
    let (first, said) = takes(&all, &graph(ONE)).await;
    assert_eq!(said, "");
    let (text, _) = told(&all, "").await.unwrap().unwrap();
    assert_eq!(text, format!("{ONE} (Microsoft Graph)"));
    first.write("context.json", "of one").await.unwrap();
    assert!(
        all.read("context.json").await.unwrap().is_some(),
        "as it is"
    );

    let folder = format!("tenants/{TWO}/graph");
    assert_eq!(look(&all, &graph(TWO)).await.unwrap(), folder);
    let (second, said) = takes(&all, &graph(TWO)).await;
    for text in [ONE, TWO, &folder, "begins as a first collection does"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    assert_eq!(second.list("").await.unwrap(), FILES);
    let folder = folder_in_use(&all).await.unwrap();
    let (text, known) = told(&all, &folder).await.unwrap().unwrap();
    let own = format!("{TWO} (Microsoft Graph), in the folder {folder}; ");
    let beside = format!("the states of {ONE} (Microsoft Graph) are kept beside it");
    assert_eq!(text, own + &beside);
    assert_eq!(known["folder"], *folder);
    assert_eq!(known["others"][0], format!("{ONE} (Microsoft Graph)"));
    let used = all.inside(&folder_in_use(&all).await.unwrap());
    assert_eq!(used.list("").await.unwrap(), FILES);
    assert_eq!(learns(&second, TWO).await, "");

    let (again, said) = takes(&all, &graph(ONE)).await;
    assert!(!said.contains("The settings ask"), "{said}");
    let text = again.read("context.json").await.unwrap().unwrap();
    assert_eq!(text, "of one");
    let folder = folder_in_use(&all).await.unwrap();
    let (_, known) = told(&all, &folder).await.unwrap().unwrap();
    assert_eq!(known["folder"], "");
    let (_, said) = takes(&all, &graph(TWO)).await;
    assert!(
        said.contains(&folder) && !said.contains("The settings ask"),
        "{said}"
    );
}

/// Else its first collection begins too late.
#[tokio::test]
async fn a_tenant_beside_another_begins_by_the_earlier_of_two_clocks() {
    let all = storage();
    let (first, _) = takes(&all, &reporting("a.example")).await;
    let First { now, start_time } = beginning();
    let service = now - chrono::TimeDelta::days(2);
    let context = state::with_checkpoint(service);
    first.write("context.json", context).await.unwrap();
    let mut timeline = Timeline::new(service, Coverage::new(service), Lateness::default());
    let leaps = serde_json::json!({"ahead": [], "seen": service, "seen_at": now});
    timeline.leaps = Some(serde_json::from_value(leaps).unwrap());
    let text = serde_json::to_vec(&timeline).unwrap();
    first.write("coverage.json", text).await.unwrap();

    let (second, _) = takes(&all, &reporting("b.example")).await;
    let kept = state::Kept::in_storage(&second).await.unwrap();
    assert_eq!(kept.come_to(), Some(service - start_time));
}

#[tokio::test]
async fn a_doubtful_tenant_takes_over_what_is_safe() {
    let all = storage();
    let (first, _) = takes(&all, &reporting("a.example")).await;
    let checkpoint = "2027-01-15T07:00:00.000000+00:00";
    let context = format!("{{\"most_recent_date_requested\":\"{checkpoint}\"}}");
    first.write("context.json", context.clone()).await.unwrap();
    first.write("coverage.json", "{}").await.unwrap();
    first.write("known-rows/seed-v2", "seed").await.unwrap();
    first
        .write("known-rows/0000000000.keys", "keys")
        .await
        .unwrap();

    // What a run would do is told before it.
    let begins = would_begin(&all, &graph(ONE)).await.unwrap().unwrap();
    assert!(
        begins.contains("the state of a.example (Reporting") && begins.ends_with("at its position"),
        "{begins}"
    );
    let begins = would_begin(&all, &reporting("b.example")).await.unwrap();
    assert!(begins.unwrap().ends_with("when that is earlier"));
    let own = would_begin(&all, &reporting("a.example")).await.unwrap();
    assert_eq!(own, None);
    let (doubtful, said) = takes(&all, &graph(ONE)).await;
    assert!(
        said.contains("cannot be told") && said.contains("07:00:00"),
        "{said}"
    );
    let names = doubtful.list("").await.unwrap();
    let rows = ["known-rows/0000000000.keys", "known-rows/seed-v2"];
    let [file, copy] = FILES;
    assert_eq!(names, ["context.json", rows[0], rows[1], file, copy]);
    let text = doubtful.read("context.json").await.unwrap().unwrap();
    assert_eq!(text, context);

    // What it delivers is known to the other, once.
    let more = "known-rows/0000000001.keys";
    doubtful.write(more, "more").await.unwrap();
    for is_news in [true, false] {
        let (other, said) = takes(&all, &reporting("a.example")).await;
        assert!(!said.contains("The settings ask"), "{said}");
        assert_eq!(said.contains("may be about the same mail"), is_news);
        let text = other.read(more).await.unwrap().unwrap();
        assert_eq!(text, "more");
        assert_eq!(other.list("known-rows/").await.unwrap().len(), 3);
        takes(&all, &graph(ONE)).await;
    }

    // The same service: as far back as a first collection, when that is earlier.
    takes(&all, &reporting("a.example")).await;
    let later = context.replace("07:00", "09:00");
    all.write("context.json", later).await.unwrap();
    let (doubtful, said) = takes(&all, &reporting("b.example")).await;
    let text = doubtful.read("context.json").await.unwrap().unwrap();
    assert!(
        text.starts_with(b"{\"most_recent_date_requested\":\"2027-01-15T08:00:00"),
        "{said}"
    );
}

/// A name may mean any tenant, until a token has told which.
#[tokio::test]
async fn of_the_rows_of_another_tenant_nothing_is_taken_over() {
    let all = storage();
    let (seed, rows) = ("known-rows/seed-v2", "known-rows/0000000000.keys");
    let (first, _) = takes(&all, &graph("a.example")).await;
    first.write(seed, "seed").await.unwrap();
    assert_eq!(learns(&first, ONE).await, "");
    let (second, _) = takes(&all, &graph(TWO)).await;
    second.write(seed, "seed").await.unwrap();
    second.write(rows, "keys").await.unwrap();
    let (first, said) = takes(&all, &graph("a.example")).await;
    assert_eq!(said, "");
    assert_eq!(first.list("known-rows/").await.unwrap(), [seed]);
}

/// That the copy of its position tells, too.
#[tokio::test]
async fn of_two_states_of_one_mail_the_one_that_has_come_further_is_found() {
    let position = "{\"most_recent_date_requested\":\"2027-01-15T07:00:00Z\"}";
    let (second, third) = ("tenants/b/graph", "tenants/c/graph");
    for name in ["context.json", "context.json.previous"] {
        let all = storage();
        for (folder, tenant) in [("", "a.example"), (second, "b.example"), (third, TWO)] {
            let tenant_id = Some(ONE).filter(|_| tenant != TWO);
            let state = bound(folder, &graph(tenant), tenant_id);
            let files = all.inside(folder);
            write(&files, &state.binding).await.unwrap();
        }
        note_use(&all, third).await.unwrap();
        let subject = graph("a.example");
        assert_eq!(look(&all, &subject).await.unwrap(), "");
        let files = all.inside(second);
        files.write(name, position).await.unwrap();
        assert_eq!(look(&all, &subject).await.unwrap(), second, "{name}");
    }
}

/// A kill came before the copy was written.
#[tokio::test]
async fn of_a_file_and_a_copy_that_are_of_one_tenant_the_file_counts() {
    let all = storage();
    takes(&all, &graph("a.example")).await;
    let before = all.read(TENANT_COPY).await.unwrap().unwrap();
    assert_eq!(learns(&all, ONE).await, "");
    let learned = all.read(TENANT_FILE).await.unwrap();
    all.write(TENANT_COPY, before).await.unwrap();
    let (_, said) = takes(&all, &graph("a.example")).await;
    assert_eq!(said, "");
    for file in FILES {
        assert_eq!(all.read(file).await.unwrap(), learned, "{file}");
    }
}

#[tokio::test]
async fn what_a_later_version_has_written_in_a_folder_is_not_touched() {
    let all = storage();
    takes(&all, &graph(ONE)).await;
    collected(&all).await;
    let (second, _) = takes(&all, &graph(TWO)).await;
    let later = format!("{{\"version\":2,\"tenant\":\"{TWO}\",\"service\":\"graph\"}}");
    second.write(TENANT_FILE, later.clone()).await.unwrap();
    let (log, _) = listened();
    let taken = take(&all, &graph(TWO), beginning(), &log).await;
    assert!(taken.is_err(), "{taken:?}");
    let left = second.read(TENANT_FILE).await.unwrap().unwrap();
    assert_eq!(left, later);
}

/// Else it is written to the other file, too, and ends each run from then on.
#[tokio::test]
async fn a_version_that_damage_makes_later_is_put_right() {
    let all = storage();
    takes(&all, &graph(ONE)).await;
    let text = async |name: &str| {
        let text = all.read(name).await.unwrap().unwrap();
        String::from_utf8(text.to_vec()).unwrap()
    };
    let whole = text(TENANT_FILE).await;
    let flipped = whole.replace("\"version\":1", "\"version\":3");
    assert_ne!(flipped, whole);
    for damaged in FILES {
        all.write(damaged, flipped.clone()).await.unwrap();
        takes(&all, &graph(ONE)).await;
        for name in FILES {
            assert_eq!(text(name).await, whole, "{damaged}");
        }
    }
}

#[tokio::test]
async fn a_state_that_is_gone_is_told() {
    let all = storage();
    takes(&all, &graph(ONE)).await;
    collected(&all).await;
    for subject in [graph(TWO), graph("a.example")] {
        takes(&all, &graph(TWO)).await;
        let gone = graph(TWO).folder();
        for name in all.list(&format!("{gone}/")).await.unwrap() {
            all.delete(&name).await.unwrap();
        }
        let (_, said) = takes(&all, &subject).await;
        let told = format!("in use last, in the folder {gone}, is not there any more");
        assert!(said.contains(&told), "{said}");
        assert!(!said.contains("The settings ask"), "{said}");
        assert_eq!(folder_in_use(&all).await.unwrap(), subject.folder());
    }
}

/// Else rows are skipped that the other state still has to read, or come twice that it has filed as seen.
#[tokio::test]
async fn a_doubtful_tenant_goes_on_where_the_other_state_would() {
    let at = |hour: u32| format!("2027-01-15T{hour:02}:00:00.000000+00:00");
    let context = |hour: u32| format!("{{\"most_recent_date_requested\":\"{}\"}}", at(hour));
    let timeline = |hour: u32| {
        let at = DateTime::parse_from_rfc3339(&at(hour)).unwrap().to_utc();
        let coverage = collect::coverage::Coverage::new(at);
        let timeline = timeline::Timeline::new(at, coverage, Default::default());
        serde_json::to_vec(&timeline).unwrap()
    };
    // The position, its copy, the timeline; where the new state begins, and what it was moved on from.
    for (position, copy, kept, begins, moved_from) in [
        (7, 7, 7, 7, None),
        // The timeline was put back from a backup.
        (7, 7, 4, 4, None),
        // Somebody has moved the position.
        (7, 5, 5, 7, Some(5)),
        (3, 5, 5, 3, None),
        // The copy was put back from a backup.
        (7, 4, 7, 7, None),
    ] {
        let all = storage();
        let (first, _) = takes(&all, &reporting("a.example")).await;
        first
            .write("context.json", context(position))
            .await
            .unwrap();
        let copied = first.write("context.json.previous", context(copy));
        copied.await.unwrap();
        first.write("coverage.json", timeline(kept)).await.unwrap();
        first.write("outside.json", "seen").await.unwrap();
        let (doubtful, said) = takes(&all, &graph(ONE)).await;
        let text = async |name: &str| {
            let text = doubtful.read(name).await.unwrap();
            text.map(|text| String::from_utf8(text.to_vec()).unwrap())
        };
        assert_eq!(text("context.json").await, Some(context(begins)), "{said}");
        let copied = text("context.json.previous").await;
        assert_eq!(copied, moved_from.map(context), "{said}");
        assert_eq!(text("outside.json").await.unwrap(), "seen");
    }
}

/// What was delivered and forgotten since would come twice.
#[tokio::test]
async fn a_clock_that_is_behind_what_was_delivered_leads_back_no_further_than_a_right_one() {
    let all = storage();
    let (before, _) = takes(&all, &reporting("a.example")).await;
    let context = "{\"most_recent_date_requested\":\"2027-04-25T09:00:00.000000+00:00\"}";
    before.write("context.json", context).await.unwrap();
    let (renamed, said) = takes(&all, &reporting("b.example")).await;
    let text = renamed.read("context.json").await.unwrap().unwrap();
    assert!(
        text.starts_with(b"{\"most_recent_date_requested\":\"2027-04-25T07:00:00"),
        "{said}"
    );
}

/// There and back: what was delivered by one service is not sent again by the other.
#[tokio::test]
async fn the_same_mail_has_one_state_by_either_service() {
    let all = storage();
    let (first, _) = takes(&all, &reporting("a.example")).await;
    first.write("context.json", "of day 10").await.unwrap();
    assert_eq!(learns(&first, ONE).await, "");
    for (subject, day) in [(graph(ONE), "of day 20"), (reporting(ONE), "of day 30")] {
        let before = all.read("context.json").await.unwrap().unwrap();
        assert_eq!(look(&all, &subject).await.unwrap(), "");
        let (files, said) = takes(&all, &subject).await;
        assert!(said.contains("it is the same mail"), "{said}");
        let text = files.read("context.json").await.unwrap().unwrap();
        assert_eq!(text, before);
        files.write("context.json", day).await.unwrap();
        let (_, said) = takes(&all, &subject).await;
        assert_eq!(said, "", "it is said once");
    }
    let text = all.read("context.json").await.unwrap().unwrap();
    assert_eq!(text, "of day 30");
    assert_eq!(all.list("tenants/").await.unwrap(), [""; 0]);
}

/// A domain may be moved to another organization.
#[tokio::test]
async fn a_name_that_means_another_tenant_than_before_is_said() {
    let all = storage();
    takes(&all, &graph("a.example")).await;
    for _ in 0..2 {
        assert_eq!(learns(&all, ONE).await, "");
    }
    for _ in 0..2 {
        let said = learns(&all, TWO).await;
        assert!(said.contains("a.example means the tenant 2222"), "{said}");
        assert!(said.contains("the state is of the tenant 1111"), "{said}");
    }
    // As the sentence says.
    let folder = format!("tenants/{TWO}/graph");
    assert_eq!(look(&all, &graph(TWO)).await.unwrap(), folder);
    assert_eq!(look(&all, &graph(ONE)).await.unwrap(), "");
}

#[tokio::test]
async fn a_slip_of_the_pen_at_the_first_start_costs_nothing() {
    let begun = async || {
        let all = storage();
        let (first, _) = takes(&all, &graph(ONE)).await;
        first.write("first_start.json", "then").await.unwrap();
        for seed in ["known-rows/seed-v2", "known-rows/seed-v2.copy"] {
            first.write(seed, "seed").await.unwrap();
        }
        all
    };
    let all = begun().await;
    assert_eq!(look(&all, &graph(TWO)).await.unwrap(), "");
    let (files, said) = takes(&all, &graph(TWO)).await;
    assert_eq!(said, "");
    assert!(files.read("first_start.json").await.unwrap().is_some());
    assert_eq!(look(&all, &graph(TWO)).await.unwrap(), "");
    // What has mail of somebody is left to that one.
    let position = "{\"most_recent_date_requested\":\"2027-01-15T07:00:00Z\"}";
    for (name, text) in [
        ("context.json", position),
        ("context.json.previous", position),
        ("coverage.json", "{"),
        ("known-rows/0000000000.keys", "keys"),
        ("dead-letters/0000000001.jsonl", "{}"),
    ] {
        let all = begun().await;
        all.write(name, text).await.unwrap();
        let folder = format!("tenants/{TWO}/graph");
        assert_eq!(look(&all, &graph(TWO)).await.unwrap(), folder, "{name}");
    }
    let all = begun().await;
    assert_eq!(learns(&all, ONE).await, "");
    assert_ne!(look(&all, &graph(TWO)).await.unwrap(), "");
}

/// Files of which one cannot be read until it is mended.
#[derive(Debug, Default)]
struct Failing {
    files: sekoia::MemoryBackend,
    error: std::sync::Arc<std::sync::Mutex<Option<std::io::ErrorKind>>>,
}

#[async_trait::async_trait]
impl base::Store for Failing {
    async fn read(&self, name: &str) -> std::io::Result<Option<bytes::Bytes>> {
        let error = *self.error.lock().unwrap();
        match error {
            Some(error) if name == "known-rows/0000000000.keys" => Err(error.into()),
            _ => self.files.read(name).await,
        }
    }
    async fn write(&self, name: &str, content: bytes::Bytes) -> std::io::Result<()> {
        self.files.write(name, content).await
    }
    async fn append(&self, name: &str, content: bytes::Bytes) -> std::io::Result<()> {
        self.files.append(name, content).await
    }
    async fn list(&self, prefix: &str) -> std::io::Result<Vec<String>> {
        self.files.list(prefix).await
    }
    async fn delete(&self, name: &str) -> std::io::Result<()> {
        self.files.delete(name).await
    }
}

#[tokio::test]
async fn what_cannot_be_read_now_is_taken_over_later_and_damage_is_said() {
    use std::io::ErrorKind::{InvalidData, TimedOut};
    let store = Failing::default();
    let error = std::sync::Arc::clone(&store.error);
    let all = Storage::new(store);
    let (first, _) = takes(&all, &reporting("a.example")).await;
    first.write("known-rows/seed-v2", "seed").await.unwrap();
    let rows = "known-rows/0000000000.keys";
    first.write(rows, "keys").await.unwrap();

    *error.lock().unwrap() = Some(TimedOut);
    let log = Log::new("x", base::Clock::system(), sekoia::Console::new(|_| {}));
    let failed = take(&all, &graph(ONE), beginning(), &log).await;
    assert!(failed.is_err(), "it is not begun without them");

    *error.lock().unwrap() = Some(InvalidData);
    let (_, said) = takes(&all, &graph(TWO)).await;
    assert!(
        said.contains(&format!("{rows} is not taken over: ")),
        "{said}"
    );

    *error.lock().unwrap() = None;
    takes(&all, &reporting("a.example")).await;
    let (second, said) = takes(&all, &graph(ONE)).await;
    assert!(said.contains("The settings ask"), "{said}");
    assert!(second.read(rows).await.unwrap().is_some());
}

#[tokio::test]
async fn a_damaged_name_of_nobody_s_mail_is_none() {
    let all = storage();
    takes(&all, &graph(ONE)).await;
    for file in FILES {
        all.write(file, "{").await.unwrap();
    }
    let (files, said) = takes(&all, &graph(TWO)).await;
    assert_eq!(files.list("").await.unwrap(), FILES);
    assert_eq!(said, "");
    assert_eq!(look(&all, &graph(TWO)).await.unwrap(), "");
}

/// The state of a tenant, with rows, up to an hour before a first collection would begin.
async fn collected(files: &Storage) {
    for (name, text) in [
        (
            "context.json",
            "{\"most_recent_date_requested\":\"2027-01-15T05:00:00.000000+00:00\"}",
        ),
        ("coverage.json", "{}"),
        ("known-rows/seed-v2", "seed"),
        ("known-rows/0000000000.keys", "keys"),
    ] {
        files.write(name, text).await.unwrap();
    }
}

/// Another tenant's rows would be skipped up to where this one has come.
#[tokio::test]
async fn a_damaged_name_makes_no_state_another_tenant_s() {
    let other = format!("{{\"version\":1,\"tenant\":\"{TWO}\",\"service\":\"graph\"}}");
    for damage in [None, Some(""), Some("{"), Some("null"), Some(&*other)] {
        let all = storage();
        takes(&all, &graph(ONE)).await;
        collected(&all).await;
        match damage {
            Some(text) => all.write(TENANT_FILE, text.to_owned()).await.unwrap(),
            None => all.delete(TENANT_FILE).await.unwrap(),
        }
        let (_, said) = takes(&all, &graph(ONE)).await;
        assert!(
            said.contains("taken back from its copy"),
            "{damage:?}: {said}"
        );
        assert_eq!(look(&all, &graph(ONE)).await.unwrap(), "");
        let (_, said) = takes(&all, &graph(ONE)).await;
        assert_eq!(said, "", "it is whole again");
        if damage != Some(&*other) {
            all.write(TENANT_FILE, "{").await.unwrap();
            let (second, _) = takes(&all, &graph(TWO)).await;
            assert_eq!(second.list("").await.unwrap(), FILES, "{damage:?}");
        }
        let position = all.read("context.json").await.unwrap().unwrap();
        assert!(position.ends_with(b"05:00:00.000000+00:00\"}"));
    }
}

/// Neither rows are skipped, as if they were another tenant's that are known, nor is what is known sent again.
#[tokio::test]
async fn a_state_of_which_nothing_tells_whose_it_is_may_be_anybody_s() {
    for (tenant, checkpoint) in [(ONE, "05:00:00"), (TWO, "05:00:00"), (ONE, "09:00:00")] {
        let all = storage();
        takes(&all, &graph(ONE)).await;
        collected(&all).await;
        let position = all.read("context.json").await.unwrap().unwrap();
        let position = String::from_utf8(position.to_vec()).unwrap();
        let position = position.replace("05:00:00", checkpoint);
        all.write("context.json", position.clone()).await.unwrap();
        for file in FILES {
            all.write(file, "{").await.unwrap();
        }
        let (files, said) = takes(&all, &reporting(tenant)).await;
        assert!(
            said.contains("nothing else tells whose mail") && said.contains("cannot be told"),
            "{said}"
        );
        assert!(!said.contains("settings are set back"), "{said}");
        let folder = format!("tenants/{tenant}/reporting");
        assert_eq!(look(&all, &reporting(tenant)).await.unwrap(), folder);
        assert_eq!(folder_in_use(&all).await.unwrap(), folder);
        let rows = files.read("known-rows/0000000000.keys").await.unwrap();
        assert_eq!(rows.unwrap(), "keys");
        let begins = files.read("context.json").await.unwrap().unwrap();
        let begins = String::from_utf8(begins.to_vec()).unwrap();
        // A first collection would begin at 8:00.
        let expected = checkpoint.min("08:00:00");
        assert!(begins.contains(expected), "{begins}");
        let (_, said) = takes(&all, &reporting(tenant)).await;
        assert!(!said.contains("ERROR") && !said.contains("WARN"), "{said}");
        let left = all.read("context.json").await.unwrap().unwrap();
        assert_eq!(left, position);
    }
}

/// Somebody has moved it to another disk. It is not begun anew.
#[tokio::test]
async fn a_state_behind_a_symbolic_link_is_found() {
    let (data, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let all = Storage::new(sekoia::LocalBackend::open(data.path()).unwrap());
    takes(&all, &graph("a.example")).await;
    collected(&all).await;
    let (second, _) = takes(&all, &graph(TWO)).await;
    let own = "{\"most_recent_date_requested\":\"2027-01-15T03:00:00Z\"}";
    second.write("context.json", own).await.unwrap();
    let (folder, moved) = (data.path().join(FOLDERS).join(TWO), disk.path().join("two"));
    std::fs::rename(&folder, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &folder).unwrap();
    takes(&all, &graph("a.example")).await;
    let (again, said) = takes(&all, &graph(TWO)).await;
    assert!(!said.contains("The settings ask"), "{said}");
    assert_eq!(again.read("context.json").await.unwrap().unwrap(), own);
    // Also when the settings do not name it: it is there, and what it knows of the same mail is taken over.
    let (third, said) = takes(&all, &graph("b.example")).await;
    assert!(said.contains("cannot be told whether"), "{said}");
    assert!(!said.contains("is not there any more"), "{said}");
    let begins = third.read("context.json").await.unwrap().unwrap();
    assert!(begins.starts_with(b"{\"most_recent_date_requested\":\"2027-01-15T03:00:00"));
}

#[test]
fn each_new_tenant_may_be_that_of_a_state_of_which_nothing_tells_whose_it_is() {
    let nobody_s = bound("", &graph(""), None);
    let one = bound("tenants/one", &graph(ONE), Some(ONE));
    let both = [nobody_s.clone(), one];
    let from = Some((Taken::Rows, &nobody_s));
    let folder = format!("tenants/{TWO}/graph");
    for in_use in ["", "tenants/one"] {
        assert_eq!(place(&both, in_use, &graph(TWO)), begun(&folder, from));
        assert_eq!(place(&both, in_use, &graph(ONE)), here("tenants/one"));
    }
}

#[tokio::test]
async fn the_name_of_a_folder_tells_whose_the_state_in_it_is() {
    for tenant in [TWO, "b.example", "odd/b"] {
        let all = storage();
        takes(&all, &graph("a.example")).await;
        collected(&all).await;
        let (second, _) = takes(&all, &graph(tenant)).await;
        let own = "{\"most_recent_date_requested\":\"2027-01-15T03:00:00Z\"}";
        for damage in [Some("{"), None] {
            second.write("context.json", own).await.unwrap();
            for file in FILES {
                match damage {
                    Some(text) => second.write(file, text).await.unwrap(),
                    None => second.delete(file).await.unwrap(),
                }
            }
            takes(&all, &graph("a.example")).await;
            let (again, said) = takes(&all, &graph(tenant)).await;
            assert!(said.contains("the name of the folder tells"), "{said}");
            assert_eq!(again.read("context.json").await.unwrap().unwrap(), own);
            let (_, said) = takes(&all, &graph(tenant)).await;
            assert!(!said.contains("WARN"), "{said}");
        }
    }
}
