//! `support`: one archive for a bug report, in which nobody finds a secret, an address or a subject.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::TimeDelta;
use emulator::{Account, Endpoint, Fault, NewRow, Secret};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::world::{Said, Trigger, World, until};

const PASSWORD: &str = "planted-password-7e1f";
const TOKEN: &str = "planted-token-93ab";
const INTAKE_KEY: &str = "planted-intake-key-c04d";
const SUBJECT: &str = "Planted subject of a mail";

/// What must not leave, in whichever case.
const PLANTED: [&str; 19] = [
    PASSWORD,
    TOKEN,
    INTAKE_KEY,
    SUBJECT,
    "planted subject",
    "planted-misspelled",
    "planted-proxy",
    "svc@",
    "contoso.example",
    "planted-sender",
    "planted-recipient",
    "planted-clerk",
    "planted-one",
    "planted-three",
    "planted-four",
    "planted-two",
    "litware.example",
    "fabrikam.example",
    "planted.onmicrosoft.com",
];

/// An archive after unpacking: its files by their names.
struct Unpacked {
    files: BTreeMap<String, String>,
    /// All bytes of the tar.
    bytes: Vec<u8>,
}

impl Unpacked {
    fn of(archive: &[u8]) -> Self {
        let mut bytes = Vec::new();
        GzDecoder::new(archive).read_to_end(&mut bytes).unwrap();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let (folder, name) = path.split_once('/').unwrap();
            assert!(folder.starts_with("message-trace-support-"), "{path}");
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            files.insert(name.to_owned(), text);
        }
        let unpacked = Self { files, bytes };
        unpacked.hides_all();
        unpacked
    }

    #[track_caller]
    fn text(&self, name: &str) -> &str {
        let found = self.files.get(name);
        found.unwrap_or_else(|| panic!("{name} is not among {:?}", self.files.keys()))
    }

    #[track_caller]
    fn json(&self, name: &str) -> Value {
        serde_json::from_str(self.text(name)).unwrap()
    }

    /// Nothing that was planted is in it.
    fn hides_all(&self) {
        let planted = PLANTED.map(str::to_owned).into_iter();
        let in_base64 = [PASSWORD, SUBJECT].map(|text| BASE64_STANDARD.encode(text));
        for planted in planted.chain(in_base64) {
            for (name, text) in &self.files {
                let small = text.to_lowercase();
                let at = small.find(&planted.to_lowercase());
                assert_eq!(at, None, "{planted:?} is in {name}:\n{text}");
                assert!(
                    !name.to_lowercase().contains(&planted.to_lowercase()),
                    "{name}"
                );
            }
            let small = self.bytes.to_ascii_lowercase();
            let needle = planted.to_ascii_lowercase();
            let found = small
                .windows(needle.len())
                .any(|part| part == needle.as_bytes());
            assert!(!found, "{planted:?} is in the bytes");
        }
    }
}

/// Writes an archive in a folder of its own.
async fn archived(world: &World, arguments: &[&str]) -> (Said, PathBuf, Unpacked) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = world.command_named("support");
    command
        .args(arguments)
        .current_dir(folder.path())
        .env("HTTPS_PROXY", "http://user:planted-proxy@127.0.0.1:9");
    let said = Said::of(command).await;
    assert_eq!(said.code, Some(0), "{said}");
    let mut made = fs::read_dir(folder.path()).unwrap();
    let archive = made.next().unwrap().unwrap().path();
    assert!(made.next().is_none());
    assert_eq!(archive.metadata().unwrap().mode() & 0o777, 0o600);
    let unpacked = Unpacked::of(&fs::read(&archive).unwrap());
    assert!(
        said.stdout.starts_with(unpacked.text("manifest.txt")),
        "{said}"
    );
    (said, archive, unpacked)
}

fn plant(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A world in which what must not leave is in every place.
async fn planted() -> World {
    let world = World::of(Trigger::Account, 1, 30).await;
    world.emulator.configure(|settings| {
        settings.report.accounts = vec![Account {
            name: "svc@contoso.example".to_owned(),
            password: Secret::from(PASSWORD),
            ..Account::default()
        }];
        settings.intake.keys = vec![Secret::from(INTAKE_KEY)];
        settings.platform.token = Secret::from(TOKEN);
    });
    world.write("token", TOKEN);
    world.configure(json!({
        "account_password": PASSWORD,
        "intake_key": INTAKE_KEY,
        "account_pasword": "planted-misspelled",
        "exclude_senders": ["newsletter@planted-one.example", "*@planted-two.example"],
        "exclude_recipients": "*@planted-three.example, nobody@planted-four.example",
    }));
    let at = world.now() - TimeDelta::minutes(5);
    let long = format!("{SUBJECT}{}", " and more".repeat(30_000));
    let row = NewRow::new(at, "planted-recipient@litware.example").subject(&long);
    world.emulator.add_row(row);
    // Answers that repeat what they were sent.
    let said = format!(
        "{{\"message\": \"{SUBJECT}\",\n\"event\": {{\"Subject\": \"{SUBJECT}\", \"SenderAddress\":\
         \"planted-sender@litware.example\"}}, \"key\": \"{INTAKE_KEY}\", \"error\": \"PLANTED_CODE\"}}"
    );
    let refusal = Fault::answer(500, &[], &said).times(3);
    world.emulator.fault(Endpoint::Intake, refusal);
    let said = format!(
        "{{\"error\":{{\"message\":{{\"value\":\"svc@contoso.example and planted-clerk@contoso.example of planted.onmicrosoft.com with \
         {PASSWORD} asked for {SUBJECT}\"}}}}}}"
    );
    let refusal = Fault::answer(500, &[], &said).times(2);
    world.emulator.fault(Endpoint::Report, refusal);
    // What another tenant and other people have left.
    let other = world.data().join("tenants/fabrikam.example/graph");
    let context = json!({
        "most_recent_date_requested": "2026-11-01T00:00:00Z",
        "note": SUBJECT,
        "from": "planted-sender@litware.example",
        SUBJECT: 1,
    });
    plant(&other.join("context.json"), &context.to_string());
    plant(&other.join("coverage.json"), &format!("{{\"{SUBJECT}"));
    let letter = json!({"reason": format!("no {SUBJECT}"), "event": SUBJECT});
    plant(&other.join("dead-letters/1.jsonl"), &letter.to_string());
    let error = json!({"time": "2026-11-01T00:00:00", "text": "for planted-clerk@contoso.example"});
    plant(&other.join("last_error.json"), &error.to_string());
    let notes = world
        .data()
        .join("notes of planted-sender@litware.example.txt");
    plant(&notes, SUBJECT);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_a_running_trigger_has_what_a_report_needs_and_nothing_else() {
    let world = planted().await;
    let mut process = world.start();
    process
        .reaches("symphony_module_common_dead_letters", 1.0)
        .await;
    let forwarded = "symphony_module_common_forwarded_events_total{";
    process.reaches(forwarded, 31.0).await;
    until("the position and the lines of the log are kept", || {
        let lines = fs::read_to_string(world.data().join("last_lines.log"));
        world.data().join("context.json").exists()
            && lines.is_ok_and(|lines| lines.contains("accepts events again"))
    })
    .await;
    world.tell_ports(&mut process).await;
    let lines = world.data().join("last_lines.log");
    assert_eq!(lines.metadata().unwrap().mode() & 0o777, 0o600);

    let (said, _, archive) = archived(&world, &[]).await;
    assert!(
        said.stdout.contains("Look into it before you give it away"),
        "{said}"
    );
    let settings = archive.json("settings.json");
    let setting = |name: &str| {
        let mut all = settings["settings"].as_array().unwrap().iter();
        let found = all.find(|one| one["name"] == name).unwrap();
        (found["value"].clone(), found["origin"].clone())
    };
    assert_eq!(setting("frequency"), (json!(10), json!("file")));
    assert_eq!(setting("account_name").0, "<account>");
    assert_eq!(setting("intake_key").0, Value::Null);
    assert!(
        settings["warnings"][0]
            .as_str()
            .unwrap()
            .contains("account_pasword")
    );
    assert_eq!(archive.json("version.json")["trigger"], world.name());
    let status = archive.json("status.json");
    assert!(
        status["verdict"].is_string() && status["timeline"].is_array(),
        "{status:#}"
    );
    let metrics = archive.text("metrics.txt");
    assert!(
        metrics.contains("events_lags{intake_key=\"***\"}"),
        "{metrics}"
    );
    assert!(metrics.contains("_forwarded_events_total"), "{metrics}");
    let log = archive.text("log.txt");
    for text in [
        "Liveness server listening on port",
        "(PLANTED_CODE <",
        "characters of the answer left out>",
        "INFO - The intake accepts events again",
    ] {
        assert!(log.contains(text), "{text}: {log}");
    }
    let context = archive.json("state/context.json");
    assert!(
        context["most_recent_date_requested"].is_string(),
        "{context}"
    );
    assert!(archive.json("state/coverage.json")["coverage"].is_object());
    let other = archive.json("state/tenants/1/graph/context.json");
    assert_eq!(other["most_recent_date_requested"], "2026-11-01T00:00:00Z");
    let files = archive.text("files.txt");
    for name in [
        "last_lines.log",
        "known-rows/",
        "tenants/1/graph/dead-letters/1.jsonl",
    ] {
        assert!(files.contains(name), "{name}: {files}");
    }
    let manifest = archive.text("manifest.txt");
    for text in [
        "state/tenants/1/graph/coverage.json: its 27 bytes are not valid JSON (line 1, column 27)",
        "the content of dead letters: it is what is in mails",
        "quoted answers of servers, but for their codes and ids: ",
        "mail addresses, domains, tokens, and parts of rows: ",
    ] {
        assert!(manifest.contains(text), "{text}: {manifest}");
    }

    // Nothing is changed, and a kill costs no lines that were said a moment ago.
    process.kill().await;
    let (_, _, archive) = archived(&world, &[world.name()]).await;
    assert_eq!(archive.json("status.json")["verdict"], "not running");
    assert!(archive.text("log.txt").contains("accepts events again"));
    let manifest = archive.text("manifest.txt");
    let missing = "metrics.txt: no process that works on these files answers here";
    assert!(manifest.contains(missing), "{manifest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_made_of_all_that_is_left() {
    let world = World::graph(3).await;
    let (_, _, archive) = archived(&world, &[]).await;
    assert!(!world.data().exists(), "nothing is made");
    let manifest = archive.text("manifest.txt");
    assert!(
        manifest.contains("log.txt: there are no lines of it among these files"),
        "{manifest}"
    );

    // A state that nobody can read, and no usable configuration.
    fs::create_dir_all(world.data().join("context.json/inside")).unwrap();
    fs::create_dir(world.data().join("last_lines.log")).unwrap();
    let (_, _, archive) = archived(&world, &[]).await;
    let manifest = archive.text("manifest.txt");
    assert!(
        manifest.contains("log.txt: none of its lines could be read"),
        "{manifest}"
    );
    fs::remove_dir(world.data().join("last_lines.log")).unwrap();
    fs::write(world.data().join("coverage.json"), [0xff; 100]).unwrap();
    fs::write(world.data().join("last_lines.log"), [0xff; 100]).unwrap();
    let huge = format!("\"{}\"", "x".repeat(3 << 20));
    fs::write(world.data().join("quota.json"), huge).unwrap();
    fs::write(
        world.data().join("service.json"),
        "{\"said\": \"planted subject\"",
    )
    .unwrap();
    world.write("liveness_port", "planted-token-93ab");
    world.write("token", TOKEN);
    for settings in ["{\"intake_key\":", "[]", "{\"planted-token-93ab\": 1}"] {
        world.write("trigger_configuration", settings);
        let (_, _, archive) = archived(&world, &[]).await;
        let manifest = archive.text("manifest.txt");
        for text in [
            "the process and the place of the files: ",
            "settings.json: ",
            "state/coverage.json: its 100 bytes are not valid JSON",
            "state/quota.json: its 3145730 bytes are too many",
            "state/service.json: its 26 bytes are not valid JSON",
        ] {
            assert!(manifest.contains(text), "{text}: {manifest}");
        }
        assert_eq!(archive.text("log.txt"), "<300 bytes left out>\n");
    }
    let said = world
        .says(&["support", "nosuch", "--output", "/dev/null"])
        .await;
    assert_eq!(said.code, Some(1), "{said}");
    assert!(
        said.stderr.contains("name another file with --output"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_goes_where_it_is_led() {
    let world = World::graph(3).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.tar.gz");
    let name = file.to_str().unwrap();
    let said = world.says(&["support", "--output", name]).await;
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said}");
    let first = fs::read(&file).unwrap();
    Unpacked::of(&first);
    // What is there stays.
    let said = world.says(&["support", "--output", name]).await;
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{said}");
    assert!(said.stderr.contains("cannot write the archive"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), first);

    let led = folder.path().join("led");
    let mut command = world.command_named("support");
    command
        .args(["--output", "-"])
        .stdout(fs::File::create(&led).unwrap());
    assert!(command.status().await.unwrap().success());
    Unpacked::of(&fs::read(&led).unwrap()).text("manifest.txt");

    // Nobody, not even root, makes a file there.
    let said = world.says(&["support", "--output", "/proc/archive"]).await;
    assert_eq!(said.code, Some(1), "{said}");
}
