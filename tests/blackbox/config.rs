//! `config`: what counts, and where it comes from.

use serde_json::{Value, json};

use crate::world::{Said, Trigger, World};

fn line<'a>(said: &'a Said, name: &str) -> Vec<&'a str> {
    let start = format!("  {name} ");
    let line = said.stdout.lines().find(|line| line.starts_with(&start));
    let words = line
        .unwrap_or_else(|| panic!("{name}: {said}"))
        .split_whitespace();
    words.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_setting_is_told_with_its_origin() {
    let world = World::graph(0).await;
    world.configure(json!({"frequency": "30", "quota": null, "clinet_id": "hunter2"}));
    let mut command = world.command_named("config");
    command
        .arg("message_trace_graph")
        .env("LIVENESS_PORT", "8001")
        .env("SENTRY_DSN", "https://hunter2@s/1");
    std::fs::remove_file(world.config().join("liveness_port")).unwrap();
    std::fs::remove_file(world.config().join("metrics_port")).unwrap();
    let said = Said::of(command).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert_eq!(line(&said, "frequency"), ["frequency", "file", "30"]);
    assert_eq!(line(&said, "quota"), ["quota", "default", "90"]);
    assert_eq!(
        line(&said, "client_secret"),
        ["client_secret", "file", "***"]
    );
    assert_eq!(line(&said, "intake_key"), ["intake_key", "file", "***"]);
    assert_eq!(
        line(&said, "clinet_id")[2..].join(" "),
        "(not a setting of this trigger)"
    );
    assert_eq!(line(&said, "token"), ["token", "file", "***"]);
    assert_eq!(
        line(&said, "sentry_dsn"),
        ["sentry_dsn", "environment", "***"]
    );
    assert_eq!(
        line(&said, "liveness_port"),
        ["liveness_port", "environment", "8001"]
    );
    assert_eq!(
        line(&said, "metrics_port"),
        ["metrics_port", "default", "8020"]
    );
    assert_eq!(
        line(&said, "url_logs"),
        ["url_logs", "url_callback", &world.running.logs_url()]
    );
    assert!(!said.to_string().contains("hunter2"), "{said}");
    assert!(
        !said.to_string().contains("emulated~client~secret"),
        "{said}"
    );
    let warned = "clinet_id is no setting of this trigger, so it counts for nothing: did you mean client_id?";
    assert!(said.stderr.contains(warned), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_s_intake_and_wrong_settings_are_told() {
    let world = World::of(Trigger::Account, 1, 0).await;
    world.configure(json!({"intake_server": null, "chunk_size": 0}));
    world.write("intake_url", &world.running.intake_url());
    let said = world.says(&["config", "message_trace"]).await;
    assert_eq!(said.code, Some(10), "{said}");
    let server = world.running.intake_url();
    assert_eq!(
        line(&said, "intake_server"),
        ["intake_server", "intake_url", &server]
    );
    assert_eq!(
        line(&said, "account_password"),
        ["account_password", "file", "***"]
    );
    assert_eq!(line(&said, "chunk_size"), ["chunk_size", "file", "0"]);
    let problem = "message-trace: trigger_configuration: chunk_size is 0, allowed is";
    assert!(said.stderr.contains(problem), "{said}");

    std::fs::remove_file(world.config().join("module_configuration")).unwrap();
    let said = world.says(&["config", "message_trace"]).await;
    assert_eq!(said.code, Some(10), "{said}");
    assert!(
        said.stderr.contains("module_configuration is missing"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_a_secret_in_the_wrong_place_is_not_shown() {
    let world = World::graph(0).await;
    let token = format!("planted-{}", "7e1f".repeat(10));
    world.configure(json!({
        "client_id": "abc8Q~planted~secret", "tenant_id": ["planted"], "frequency": "20s", token: 1,
    }));
    let said = world.says(&["config", world.name()]).await;
    assert_eq!(said.code, Some(10), "{said}");
    assert_eq!(line(&said, "client_id"), ["client_id", "file", "***"]);
    assert_eq!(line(&said, "frequency"), ["frequency", "file", "20s"]);
    assert!(!said.to_string().contains("planted"), "{said}");
    let said = world.says(&["config", world.name(), "--json"]).await;
    assert!(!said.to_string().contains("planted"), "{said}");

    // An account signs in through an app, too.
    let world = World::with_backlog(1, 0).await;
    world.configure(json!({"client_id": "abc8Q~planted~secret"}));
    let said = world.says(&["config", world.name()]).await;
    assert_eq!(said.code, Some(10), "{said}");
    assert!(!said.to_string().contains("planted"), "{said}");
}

/// What fits the manifest setting by setting, and yet no run can begin with.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_do_not_go_together_are_told() {
    for (change, named) in [
        (json!({"addresses": "hash"}), "hash_key"),
        (
            json!({"quota": 10, "details_quota": 9, "details": ["failed"]}),
            "details_quota",
        ),
        (json!({"credential": "certificate"}), "certificate"),
    ] {
        let world = World::graph(0).await;
        world.configure(change.clone());
        let said = world.says(&["config", world.name()]).await;
        assert_eq!(said.code, Some(10), "{change}: {said}");
        assert!(said.stderr.contains(named), "{change}: {said}");
        let said = world.says(&["config", world.name(), "--json"]).await;
        let document: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_ne!(document["problems"], json!([]), "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_get_one_object() {
    let world = World::graph(0).await;
    let said = world.says(&["config", "--json"]).await;
    let document: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(document["trigger"], "message_trace_graph");
    assert_eq!(document["problems"], json!([]));
    let settings = document["settings"].as_array().unwrap();
    let of = |name: &str| settings.iter().find(|one| one["name"] == name).unwrap();
    let secret = of("client_secret");
    assert_eq!(
        (&secret["value"], &secret["hidden"]),
        (&Value::Null, &json!(true))
    );
    let frequency = of("frequency");
    assert_eq!(
        (&frequency["value"], &frequency["origin"]),
        (&json!(10), &json!("file"))
    );
    let place = world.config().join("trigger_configuration");
    assert_eq!(frequency["place"], place.to_str().unwrap());
}
