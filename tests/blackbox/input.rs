//! Bad input gets a sentence: which setting, what was found, what is allowed.

use serde_json::json;

use crate::world::{Process, World};

/// The process cannot start, and says why.
async fn ends_with(mut process: Process, said: &[&str]) {
    let status = process.ends().await;
    assert_eq!(status.code(), Some(1), "{}", process.output());
    // The last lines may still be on their way through the pipe.
    crate::world::until(said[0], || process.output().contains(said[0])).await;
    for text in said {
        assert!(
            process.output().contains(text),
            "{text:?} is not in:\n{}",
            process.output()
        );
    }
    assert!(
        !process.output().contains("panicked"),
        "{}",
        process.output()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_named_with_what_is_allowed() {
    for (change, said) in [
        (json!({"account_name": null}), "account_name is missing"),
        (
            json!({"account_password": null}),
            "account_password is missing",
        ),
        (json!({"intake_key": ""}), "intake_key"),
        (
            json!({"frequency": 9}),
            "frequency is 9, allowed is a whole number from 10 to 86400",
        ),
        (
            json!({"frequency": "soon"}),
            "frequency is a text of 4 characters, allowed is a whole number from 10 to 86400",
        ),
        (json!({"timedelta": 1441}), "timedelta is 1441"),
        (
            json!({"start_time": 721}),
            "start_time is 721, allowed is a whole number from 0 to 720",
        ),
        (json!({"chunk_size": 0}), "chunk_size is 0"),
        (
            json!({"reporting_url": "http://reports.office365.com/x"}),
            "reporting_url",
        ),
        (json!({"intake_key": 5}), "intake_key"),
    ] {
        let world = World::with_backlog(1, 0).await;
        world.configure(change.clone());
        let mut process = world.start();
        process.prints(said).await;
        process.prints("Configuration error").await;
        world.platform_log("error", said).await;
        world.platform_log("critical", "Configuration error").await;
        let (code, health) = process.health().await;
        assert_eq!(code, 200, "it waits for a person");
        assert!(health["error_count"].as_u64() >= Some(1), "{health:#}");
        world.tell_ports(&mut process).await;
        let said = world.says(&["status"]).await;
        assert_eq!(said.code, Some(5), "it collects nothing: {said}");
        process.stop().await;
        assert_eq!(world.count(emulator::Endpoint::Report), 0, "{change}");
    }
}

/// In words, with what was found; no regular expression, and no secret.
#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_is_answered_in_words() {
    let guid = "7f1d5a3c-2b8e-4c60-9d14-0a6be35c8f21";
    for (change, said) in [
        (
            json!({"tenant_id": "contoso .example"}),
            "tenant_id is \"contoso .example\", allowed is a text of letters, digits, hyphens and dots, such as \
             a GUID; there is a blank in it",
        ),
        (
            json!({"client_id": "{7f1d5a3c-2b8e-4c60-9d14-0a6be35c8f21}"}),
            "client_id is \"{7f1d5a3c-2b8e-4c60-9d14-0a6be35c8f21}\", allowed is a text of letters",
        ),
        (json!({"client_id": "my app"}), "there is a blank in it"),
        (
            json!({"tenant_id": "“contoso.example”"}),
            "there are typographic quotation marks in it",
        ),
        (
            json!({"tenant_id": "contoso\n.example"}),
            "there is a line end in it",
        ),
        (
            json!({"intake_server": "intake.sekoia.io"}),
            "intake_server is \"intake.sekoia.io\", allowed is an address that begins with https:// (or with \
             http:// on this machine itself), without a blank, `@`, `?` and `#`; it lacks https:// at its \
             beginning",
        ),
        (
            json!({"intake_server": "http://intake.sekoia.io"}),
            "http:// is not encrypted: write https://",
        ),
        (
            json!({"graph_url": "https://u:p4ss@h/v1.0"}),
            "no user and no password belong into an address",
        ),
        (
            json!({"frequency": "60s"}),
            "frequency is \"60s\", allowed is a whole number from 10 to 86400; write the number alone",
        ),
        (json!({"event_format": "Graph"}), "did you mean \"graph\"?"),
        (
            json!({"intake_key": {"hunter2": 1}}),
            "intake_key has a value that is not shown",
        ),
        (
            json!({"client_secret": null, "clientsecret": "hunter2"}),
            "did you mean client_secret?",
        ),
    ] {
        let world = World::graph(0).await;
        world.configure(change.clone());
        let screen = world.says(&["check", world.name()]).await;
        let shown = screen.stdout.lines().find(|line| line.contains(said));
        assert!(shown.is_some(), "{said}: {screen}");
        for hidden in ["(?", "[^", "\\s", "p4ss", "hunter2"] {
            assert!(!screen.to_string().contains(hidden), "{hidden}: {screen}");
        }
        let mut process = world.start();
        process.prints(said).await;
        // With those of `walkthrough::mistakes` these are the commonest: the fix is on the screen
        // and in the platform's log.
        world.platform_log("error", said).await;
        world.platform_log("critical", "Configuration error").await;
        process.stop().await;
    }
    // What can be told only as a suspicion, since it fits.
    let world = World::graph(0).await;
    world.configure(json!({"client_secret": guid}));
    let screen = world.says(&["check"]).await;
    let warned = screen.stdout.lines().find(|line| line.starts_with("warn "));
    assert!(
        warned.is_some_and(|line| line.contains("client_secret is a GUID")),
        "{screen}"
    );
    assert!(!screen.to_string().contains(guid), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_setting_is_a_warning_with_the_nearest_name() {
    let world = World::graph(10).await;
    world.configure(json!({"event_fromat": "reporting", "setle_time": 1, "account_name": "a"}));
    let mut process = world.start();
    world.all_delivered().await;
    let misspelt = "event_fromat is no setting of this trigger, so it counts for nothing: did you mean event_format?";
    for said in [
        misspelt,
        "did you mean settle_time?",
        "account_name is no setting of this trigger",
    ] {
        world.platform_log("warning", said).await;
    }
    process.stop().await;
    // It does not take the trigger's name to find that out.
    let screen = world.says(&["check"]).await;
    let mut warned = screen
        .stdout
        .lines()
        .filter(|line| line.starts_with("warn "));
    assert!(warned.any(|line| line.contains(misspelt)), "{screen}");
    assert_eq!(screen.code, Some(0), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_s_intake_need_not_be_https_and_a_person_s_must() {
    let world = World::graph(0).await;
    let address = "http://intake.symphony.internal:8080";
    world.configure(json!({"intake_server": null}));
    world.write("intake_url", address);
    let screen = world.says(&["check", "message_trace_graph"]).await;
    assert!(
        screen.stdout.contains("fit message_trace_graph"),
        "{screen}"
    );
    world.configure(json!({"intake_server": address}));
    let screen = world.says(&["check", "message_trace_graph"]).await;
    assert_eq!(screen.code, Some(10), "{screen}");
    assert!(
        screen.stdout.contains("http:// is not encrypted"),
        "{screen}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_there_is_said_as_that() {
    let world = World::graph(0).await;
    let nowhere = world.data().join("nowhere");
    let said = format!(
        "the configuration directory {} does not exist",
        nowhere.display()
    );
    let mut command = crate::world::program();
    command.args([world.name(), "--config-dir"]).arg(&nowhere);
    command.arg("--data-dir").arg(world.data());
    command.env("LIVENESS_PORT", "0").env("METRICS_PORT", "0");
    ends_with(
        Process::start(command),
        &[
            "module_configuration is missing: write `{}` to the file",
            &said,
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_may_come_as_text_and_more_settings_than_known() {
    let world = World::with_backlog(1, 10).await;
    world.configure(json!({"frequency": "10", "start_time": "2", "unknown": true}));
    let mut process = world.start();
    world.all_delivered().await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connector_s_configuration_counts_first() {
    let world = World::with_backlog(1, 10).await;
    let settings = std::fs::read_to_string(world.config().join("trigger_configuration")).unwrap();
    world.write("connector_configuration", &settings);
    world.write("trigger_configuration", "{}");
    let mut process = world.start();
    world.all_delivered().await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_intake_server_the_platform_s_intake_counts() {
    let world = World::with_backlog(1, 10).await;
    world.configure(json!({"intake_server": null}));
    world.write("intake_url", &format!("{}\n", world.running.intake_url()));
    let mut process = world.start();
    world.all_delivered().await;
    process
        .prints("Events go to the intake at 127.0.0.1.")
        .await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_may_come_from_the_environment() {
    let world = World::with_backlog(1, 10).await;
    let mut command = world.command();
    for entry in std::fs::read_dir(world.config()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_uppercase();
        command.env(name, std::fs::read_to_string(&path).unwrap() + "\n");
        std::fs::remove_file(path).unwrap();
    }
    let mut process = Process::start(command);
    world.all_delivered().await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_is_none_is_shown_with_its_place() {
    let world = World::with_backlog(1, 0).await;
    world.write(
        "trigger_configuration",
        "{\n  \"frequency\": 60,\n  oops\n}",
    );
    let mut process = world.start();
    process
        .prints("trigger_configuration is not valid JSON")
        .await;
    process.prints("line 3 column 3").await;
    process.stop().await;

    world.write("module_configuration", "[]");
    ends_with(
        world.start(),
        &["module_configuration must hold a JSON object"],
    )
    .await;
    world.write("module_configuration", "{");
    ends_with(
        world.start(),
        &["module_configuration is not valid JSON", "line 1 column 1"],
    )
    .await;
    std::fs::remove_file(world.config().join("module_configuration")).unwrap();
    ends_with(
        world.start(),
        &["module_configuration is missing: write `{}` to the file"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_in_use_are_named() {
    let world = World::with_backlog(1, 0).await;
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    world.write("liveness_port", &port.to_string());
    let said = format!("cannot listen on port {port}");
    ends_with(world.start(), &[&said, "liveness_port", "in use"]).await;
    world.write("liveness_port", "eighty");
    ends_with(
        world.start(),
        &["liveness_port with \"eighty\" is not a port"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_cannot_be_used_is_named() {
    let world = World::with_backlog(1, 0).await;
    std::fs::write(world.data(), "a file").unwrap();
    ends_with(world.start(), &["cannot use the data directory"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_store_needs_all_its_keys() {
    let world = World::with_backlog(1, 0).await;
    world.write("file_backend", "s3\n");
    ends_with(world.start(), &["aws_bucket_name is missing"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_gets_the_triggers_in_one_line_for_a_missing_or_unknown_command() {
    let binary = env!("CARGO_BIN_EXE_message-trace");
    for arguments in [
        &[][..],
        &["messagetrace"],
        &["Message_Trace", "--config-dir", "/nowhere"],
    ] {
        let output = tokio::process::Command::new(binary)
            .args(arguments)
            .env("URL_CALLBACK", "http://127.0.0.1:9/callback")
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("the commands are: message_trace"), "{text}");
        assert!(output.stdout.is_empty());
    }
}
