//! The Reporting Web Service ends, and Microsoft Graph takes its place: nothing is lost, nothing comes
//! twice, and no account is locked.

use base::http::{Http, HttpError, HttpService, Limits, Request, Response};
use chrono::{DateTime, TimeDelta, Utc};
use emulator::{
    Action, Backlog, Canned, Ending, Endpoint, Event, Scenario, Secret, Settings, Traffic,
};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{
    ACCOUNT, OAUTH,
    living::living,
    site::{Site, at, life, members, scenario, unharmed},
};
use crate::triggers::service_choice::bits;

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// What is said once.
const CHANGED: &str = "The Reporting Web Service has ended for this organization";

fn retired(canned: Canned) -> Value {
    json!({ "report": { "retired": canned } })
}

/// All ways in which the service ends.
fn endings(trigger: &str) -> Vec<Value> {
    let mut endings = vec![
        retired(Canned::gone()),
        retired(Canned::missing_page()),
        retired(Canned::moved("https://learn.example/retired")),
        retired(Canned::page("Retired")),
        retired(Canned::superseded()),
        retired(Canned {
            status: 200,
            ..Canned::superseded()
        }),
    ];
    if trigger == ACCOUNT {
        endings.push(json!({ "report": { "basic_sign_in": false } }));
    }
    endings
}

fn turn(seconds: u64, changes: Value) -> Event {
    at(seconds, Action::Settings(changes.try_into().unwrap()))
}

fn mail_ends(seconds: u64) -> Event {
    at(seconds, Action::StopTraffic)
}

/// Pages that are small, and slow on the service that ends.
fn small_pages() -> Value {
    json!({
        "report": { "page_rows": 50, "latency_ms": 4_000 },
        "graph": { "page_rows": 50, "latency_ms": 700 },
        "intake": { "latency_ms": 150 },
    })
}

/// A backlog of a day with late rows and changing statuses, which takes some minutes to read.
fn backlog() -> Scenario {
    let mut scenario = living();
    scenario.traffic.backlog = Backlog::rows(TimeDelta::hours(24), 3_000);
    scenario.settings = small_pages().try_into().unwrap();
    scenario.trigger = members(json!({ "start_time": 25, "frequency": 240 }));
    scenario
}

fn asked(site: &Site, endpoint: Endpoint) -> usize {
    site.emulator.requests(endpoint).len()
}

/// What is true of every end: it is said once, kept, and found again at each restart.
#[track_caller]
fn ends_well(trigger: &'static str, ending: &Value, scenario: &Scenario, rows: u64) {
    let site = unharmed(trigger, scenario, &ending.to_string());
    let verdict = site.verdict();
    assert!(verdict.expected > rows, "{verdict}");
    assert_eq!(site.said(CHANGED), 1, "{trigger} {ending}");
    let restarts = site.said("Microsoft Graph is read since");
    assert_eq!(
        restarts,
        scenario.lives.len() - 1,
        "{trigger} {ending}\n{}",
        site.output()
    );
    let decision = site.file("service.json").unwrap();
    assert!(decision["said"].as_str().unwrap().len() > 20, "{decision}");
    assert!(asked(&site, Endpoint::Graph) > 0);
    let since: DateTime<Utc> = decision["since"].as_str().unwrap().parse().unwrap();
    let asked_of_it = site.emulator.requests(Endpoint::Report);
    let took = since - asked_of_it[0].at;
    assert!(took < TimeDelta::minutes(25), "{trigger} {ending}: {took}");
    // Nothing is asked of the other one any more, not even by the links that it gave.
    let last = asked_of_it.last().unwrap().at;
    assert!(last <= since + TimeDelta::seconds(5), "{last} {since}");
}

#[test]
fn an_end_in_the_midst_of_a_backlog_of_a_day_loses_and_doubles_nothing() {
    for (trigger, ending) in [
        (ACCOUNT, retired(Canned::gone())),
        (
            OAUTH,
            retired(Canned::moved("https://learn.example/retired")),
        ),
    ] {
        let mut scenario = backlog();
        scenario.timeline = vec![turn(40, ending.clone()), mail_ends(6 * HOUR)];
        scenario.lives = vec![
            life(2 * HOUR, Ending::Kill, MINUTE),
            life(3 * HOUR, Ending::Stop, 5 * MINUTE),
            life(26 * HOUR, Ending::Stop, 0),
        ];
        ends_well(trigger, &ending, &scenario, 3_000);
    }
}

#[test]
fn the_service_may_end_in_any_way() {
    for trigger in [ACCOUNT, OAUTH] {
        for ending in endings(trigger) {
            let traffic = Traffic {
                rate: 0.02,
                backlog: Backlog::rows(TimeDelta::hours(2), 800),
                ..Traffic::default()
            };
            let settings = json!({ "start_time": 3, "settle_time": 2 });
            let mut scenario = scenario(traffic, small_pages(), settings);
            scenario.timeline = vec![turn(20, ending.clone()), mail_ends(HOUR)];
            scenario.lives = vec![
                life(HOUR, Ending::Kill, MINUTE),
                life(3 * HOUR, Ending::Stop, 0),
            ];
            ends_well(trigger, &ending, &scenario, 800);
        }
    }
}

#[test]
fn a_restart_after_the_change_asks_the_other_service_no_more() {
    let mut scenario = backlog();
    scenario.timeline = vec![turn(0, retired(Canned::gone()))];
    let site = Site::new(ACCOUNT, &scenario);
    site.live(life(HOUR, Ending::Stop, 0));
    assert_eq!(site.said(CHANGED), 1, "{}", site.output());
    let before = asked(&site, Endpoint::Report);
    assert!(before < 12, "{before} requests to a service that has ended");
    site.live(life(HOUR, Ending::Stop, 0));
    assert_eq!(asked(&site, Endpoint::Report), before);
}

#[test]
fn with_graph_chosen_an_account_reads_nothing_else() {
    let mut scenario = backlog();
    let graph = json!({ "service": "graph", "tenant_id": null, "client_secret": null });
    scenario.trigger.extend(members(graph));
    scenario.timeline = vec![mail_ends(HOUR)];
    scenario.lives = vec![life(27 * HOUR, Ending::Stop, 0)];
    let site = unharmed(ACCOUNT, &scenario, "with graph chosen");
    assert_eq!(asked(&site, Endpoint::Report), 0);
    let signed_in = asked(&site, Endpoint::Token);
    assert!(
        (27..40).contains(&signed_in),
        "once an hour, not {signed_in} times"
    );
    let event = &site.emulator.accepted()[0];
    assert!(event.text.contains("MessageTraceId"), "{}", event.text);
}

/// One refusal, or many within two minutes, prove nothing.
#[test]
fn what_passes_by_itself_changes_nothing() {
    for seconds in [30, 110] {
        let mut scenario = backlog();
        scenario.trigger.insert("frequency".to_owned(), json!(10));
        scenario.timeline = vec![
            turn(300, retired(Canned::missing_page())),
            turn(300 + seconds, json!({ "report": { "retired": null } })),
        ];
        let site = Site::new(ACCOUNT, &scenario);
        site.live(life(HOUR, Ending::Stop, 0));
        let refused = site.said("when that is said again minutes later");
        assert!(refused > 0, "{}", site.output());
        assert_eq!(site.said(CHANGED), 0, "{}", site.output());
        assert_eq!(site.file("service.json"), None);
        assert_eq!(asked(&site, Endpoint::Graph), 0);
        assert!(site.verdict().doubled.count == 0);
    }
}

/// Refuses all links to a next page, and hands all else on.
#[derive(Debug)]
struct WithoutLinks(Http);

impl HttpService for WithoutLinks {
    fn call(&self, request: Request, limits: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        let query = request.uri().query().unwrap_or_default();
        let is_link = query.contains("skiptoken");
        Box::pin(async move {
            if !is_link {
                return self.0.send(request, limits).await;
            }
            let mut refusal = Response::default();
            *refusal.status_mut() = http::StatusCode::NOT_FOUND;
            Ok(refusal)
        })
    }
}

#[test]
fn a_link_that_is_refused_says_nothing_of_the_end() {
    let mut scenario = backlog();
    scenario.timeline = vec![mail_ends(HOUR)];
    let mut site = Site::new(ACCOUNT, &scenario);
    site.http = Http::new(WithoutLinks(site.http.clone()));
    site.live(life(6 * HOUR, Ending::Stop, 0));
    site.says("does not accept its own link");
    assert_eq!(site.said("when that is said again minutes later"), 0);
    assert_eq!(site.said(CHANGED), 0);
    assert_eq!(asked(&site, Endpoint::Graph), 0);
    let verdict = site.verdict();
    assert!(verdict.delivered > 2_000, "{verdict}");
}

/// It may have ended in a way that nobody knows: a person can tell.
#[test]
fn what_fails_for_long_names_what_else_can_be_read() {
    for (choice, status) in [("auto", 503), ("auto", 403), ("reporting", 410)] {
        let mut scenario = backlog();
        scenario.trigger.insert("service".to_owned(), json!(choice));
        let broken = Canned {
            status,
            ..Canned::gone()
        };
        scenario.timeline = vec![turn(60, retired(broken))];
        let site = Site::new(OAUTH, &scenario);
        site.live(life(2 * HOUR, Ending::Stop, 0));
        site.says("it has answered with no page since");
        site.says("set `service` to `graph`");
        assert_eq!(site.said(CHANGED), 0);
        assert_eq!(asked(&site, Endpoint::Graph), 0);
    }
}

/// Nothing tells it from one without mail: nothing is changed, and a person can tell.
#[test]
fn a_service_that_shows_no_row_any_more_is_told_and_stays() {
    let mut scenario = backlog();
    let empty = Canned {
        status: 200,
        content_type: "application/json".to_owned(),
        body: r#"{"d":{"results":[]}}"#.to_owned(),
        location: None,
    };
    scenario.timeline = vec![turn(HOUR, retired(empty))];
    let site = Site::new(OAUTH, &scenario);
    site.live(life(20 * HOUR, Ending::Stop, 0));
    site.says_not("has shown no row since");
    site.live(life(27 * HOUR, Ending::Stop, 0));
    assert_eq!(site.said("has shown no row since"), 1, "{}", site.output());
    site.says("set `service` to `graph`");
    assert_eq!(site.said(CHANGED), 0);
    assert_eq!(asked(&site, Endpoint::Graph), 0);
}

/// Without an answer of Graph nothing is changed: the service may be back, and what is missing is
/// said.
#[test]
fn without_an_answer_of_graph_the_service_stays() {
    type Change = fn(&mut Settings);
    let missing: [(Change, &str); 4] = [
        (
            |settings| settings.identity.apps[0].scopes = vec!["User.Read".to_owned()],
            "lacks the delegated permission `ExchangeMessageTrace.Read.All`",
        ),
        (
            |settings| settings.report.accounts[0].exchange_role = false,
            "it is the account that may not read message traces",
        ),
        (
            |settings| settings.report.accounts[0].refused_with = Some(50_076),
            "a second factor is asked for",
        ),
        (
            |settings| {
                settings.graph.service_principal = emulator::ServicePrincipal::Missing;
            },
            "the tenant lacks the service principal",
        ),
    ];
    for (miss, words) in missing {
        let mut scenario = backlog();
        scenario.timeline = vec![
            turn(60, retired(Canned::gone())),
            turn(HOUR, json!({ "report": { "retired": null } })),
        ];
        let site = Site::new(ACCOUNT, &scenario);
        site.emulator.configure(miss);
        site.live(life(2 * HOUR, Ending::Stop, 0));
        site.says("Microsoft Graph cannot take its place yet");
        site.says(words);
        assert_eq!(site.said(CHANGED), 0);
        let verdict = site.verdict();
        assert!(
            verdict.doubled.count == 0 && verdict.delivered > 2_000,
            "{verdict}\n{}",
            site.output()
        );
    }
}

#[test]
fn without_a_client_the_missing_setting_is_named_and_with_it_the_change_is_made() {
    let mut scenario = backlog();
    scenario.timeline = vec![turn(60, retired(Canned::gone()))];
    let without = json!({ "client_id": null, "client_secret": null });
    scenario.trigger.extend(members(without));
    let mut site = Site::new(ACCOUNT, &scenario);
    site.live(life(HOUR, Ending::Stop, 0));
    site.says("with one more setting");
    site.says("docs/setup.md#the-app-of-a-service-account");
    assert_eq!(
        asked(&site, Endpoint::Graph) + asked(&site, Endpoint::Token),
        0
    );
    let client = site.emulator.settings().identity.apps[0].client_id.clone();
    site.set("client_id", json!(client));
    site.emulator.stop_traffic();
    site.live(life(30 * HOUR, Ending::Stop, 0));
    assert_eq!(site.said(CHANGED), 1, "{}", site.output());
    site.is_clean();
}

/// What was found out holds for the settings under which it was found out.
#[test]
fn other_settings_try_the_service_anew() {
    let scenario = backlog();
    let mut site = Site::new(ACCOUNT, &scenario);
    let gone = |settings: &mut Settings| settings.report.retired = Some(Canned::gone());
    site.emulator.configure(gone);
    site.live(life(HOUR, Ending::Stop, 0));
    assert_eq!(site.said(CHANGED), 1);
    site.emulator
        .configure(|settings| settings.report.retired = None);
    // What is not about the source changes nothing.
    site.set("frequency", json!(300));
    let before = asked(&site, Endpoint::Report);
    site.live(life(HOUR, Ending::Stop, 0));
    assert_eq!(asked(&site, Endpoint::Report), before);
    site.set("tenant_id", json!("contoso.onmicrosoft.com"));
    site.live(life(HOUR, Ending::Stop, 0));
    assert!(asked(&site, Endpoint::Report) > before + 5);
    assert_eq!(site.file("service.json"), None);
    // And `reporting` goes by nothing that it says.
    site.set("service", json!("reporting"));
    site.emulator.configure(gone);
    let graph = asked(&site, Endpoint::Graph);
    site.live(life(HOUR, Ending::Stop, 0));
    assert_eq!(asked(&site, Endpoint::Graph), graph);
    site.set("service", json!("auto"));
    site.emulator.stop_traffic();
    site.live(life(30 * HOUR, Ending::Stop, 0));
    assert_eq!(site.said(CHANGED), 2);
    site.is_clean();
}

/// Whether passwords were refused as seldom as it is promised, since `start`.
fn is_seldom(refused: &[DateTime<Utc>], start: DateTime<Utc>) {
    let first = refused
        .iter()
        .filter(|at| **at - start < TimeDelta::minutes(5));
    assert!(first.count() <= 3, "{refused:?}");
    for (index, at) in refused.iter().enumerate().skip(3) {
        let pause = *at - refused[index - 1];
        assert!(
            pause >= TimeDelta::minutes(15),
            "{pause} at {index}: {refused:?}"
        );
    }
}

/// From the third refusal on, two of the service that ends and a sign-in to Graph take more than half an hour.
#[test]
fn the_change_is_made_over_restarts_that_come_every_half_hour() {
    let traffic = Traffic {
        backlog: Backlog::rows(TimeDelta::hours(2), 50),
        ..Traffic::default()
    };
    let mut scenario = scenario(traffic, json!({}), json!({ "start_time": 3 }));
    let ends = json!({ "report": { "basic_sign_in": false } });
    scenario.timeline = vec![turn(0, ends)];
    let site = Site::new(ACCOUNT, &scenario);
    // The three quick tries come in as many runs.
    for seconds in [60, 90, 150] {
        site.live(life(seconds, Ending::Kill, 0));
    }
    for _ in 0..8 {
        site.live(life(1770, Ending::Kill, 0));
    }
    assert_eq!(site.said(CHANGED), 1, "{}", site.output());
}

/// One that is seen to be another than the refused one: of 256, one looks the same.
fn another_password(site: &Site) -> String {
    let kept = site.file("sign_in.json").unwrap();
    let salt = kept["salt"].as_str().unwrap().parse().unwrap();
    let mut passwords = (0..100).map(|number| format!("right-{number}"));
    let is_another =
        |password: &String| bits(salt, &base::Secret::new(password.as_str())) != kept["password"];
    passwords.find(is_another).unwrap()
}

#[test]
fn no_account_is_locked_by_a_wrong_password() {
    for (service, client) in [
        ("auto", true),
        ("auto", false),
        ("reporting", false),
        ("graph", true),
    ] {
        let traffic = Traffic {
            backlog: Backlog::rows(TimeDelta::hours(2), 50),
            ..Traffic::default()
        };
        let settings = json!({ "service": service, "account_password": "old" });
        let mut scenario = scenario(traffic, json!({}), settings);
        if !client {
            let without = json!({ "client_id": null, "client_secret": null });
            scenario.trigger.extend(members(without));
        }
        let mut site = Site::new(ACCOUNT, &scenario);
        let start = site.time.now();
        // Restarts and kills do not begin anew.
        for end in [Ending::Kill, Ending::Stop, Ending::Kill, Ending::Stop] {
            site.live(life(MINUTE, end, 0));
        }
        site.live(life(2 * HOUR, Ending::Stop, 0));
        let refused = site.emulator.refused_passwords();
        is_seldom(&refused, start);
        assert!((9..=11).contains(&refused.len()), "{service}: {refused:?}");
        let kept = site.file("sign_in.json").unwrap().to_string();
        assert!(!kept.contains("old"), "{kept}");
        // Other settings are tried at once.
        let right = another_password(&site);
        site.emulator.configure(|settings| {
            settings.report.accounts[0].password = Secret::from(right.as_str());
        });
        site.set("account_password", json!(right));
        site.live(life(5 * MINUTE, Ending::Stop, 0));
        site.is_clean();
        assert_eq!(site.emulator.refused_passwords().len(), refused.len());
    }
}

/// A password that is changed while the trigger runs.
#[test]
fn a_password_that_is_no_longer_right_is_tried_as_seldom() {
    let traffic = Traffic {
        rate: 0.5,
        backlog: Backlog::rows(TimeDelta::hours(2), 2_000),
        ..Traffic::default()
    };
    let switches = json!({ "report": { "page_rows": 50, "latency_ms": 900 } });
    let scenario = scenario(traffic, switches, json!({}));
    let site = Site::new(ACCOUNT, &scenario);
    let changes = async {
        tokio::time::sleep(std::time::Duration::from_secs(20)).await;
        let start = site.time.now();
        site.emulator.configure(|settings| {
            settings.report.accounts[0].password = Secret::from("another");
        });
        tokio::time::sleep(std::time::Duration::from_secs(2 * HOUR)).await;
        let refused = site.emulator.refused_passwords();
        is_seldom(&refused, start);
        assert!(refused.len() > 6, "{refused:?}");
    };
    site.live_while(2 * HOUR + 60, changes);
}
