//! Users who sign in with their password, and what both services show them.

use crate::support::{TRACE, TRACES, deliver, emulator, events, graph, now, report, token_request};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use emulator::{Canned, Emulator, Endpoint, Scope};
use serde_json::{Value, json};

/// The fields of a request for a user's token.
fn form(emulator: &Emulator) -> Vec<(&'static str, String)> {
    let settings = emulator.settings();
    let account = &settings.report.accounts[0];
    vec![
        ("grant_type", "password".to_owned()),
        ("client_id", settings.identity.apps[0].client_id.clone()),
        ("scope", "https://graph.microsoft.com/.default".to_owned()),
        ("username", account.name.clone()),
        ("password", account.password.expose().to_owned()),
    ]
}

/// Asks for a user's token at the domain of the account, with other fields.
async fn ask(emulator: &Emulator, changes: &[(&'static str, &str)]) -> crate::support::Answer {
    let mut form = form(emulator);
    for (name, value) in changes {
        form.retain(|(known, _)| known != name);
        form.push((name, (*value).to_owned()));
    }
    let form: Vec<_> = form.iter().map(|(name, value)| (*name, &**value)).collect();
    token_request(emulator, "contoso.example", &form).await
}

async fn code(emulator: &Emulator, changes: &[(&'static str, &str)]) -> u64 {
    let answer = ask(emulator, changes).await.json();
    answer["error_codes"][0].as_u64().unwrap_or(0)
}

#[tokio::test]
async fn a_password_gives_a_delegated_token_that_opens_graph() {
    let emulator = emulator(3);
    let answer = ask(&emulator, &[]).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert!(body.get("refresh_token").is_none());
    let token = body["access_token"].as_str().unwrap();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap());
    let claims: Value = serde_json::from_slice(&claims.unwrap()).unwrap();
    assert_eq!(claims["scp"], "ExchangeMessageTrace.Read.All User.Read");
    assert_eq!(claims["tid"], emulator.settings().identity.tenant_id);
    assert!(claims.get("roles").is_none());
    assert_eq!(graph(&emulator, TRACES, token, &[]).await.status, 200);
    let recorded = &emulator.requests(Endpoint::Token)[0];
    let sent = String::from_utf8(recorded.body.to_vec()).unwrap();
    assert!(sent.contains("password=***"), "{sent}");
    emulator.configure(|settings| settings.report.accounts[0].exchange_role = false);
    let refused = graph(&emulator, TRACES, token, &[]).await;
    assert_eq!(
        (
            refused.status.as_u16(),
            refused.json()["error"]["code"].clone()
        ),
        (403, json!("Forbidden"))
    );
    emulator.configure(|settings| settings.identity.apps[0].scopes = vec!["User.Read".to_owned()]);
    let bare = ask(&emulator, &[]).await.json();
    let refused = graph(
        &emulator,
        TRACES,
        bare["access_token"].as_str().unwrap(),
        &[],
    )
    .await;
    let code = &refused.json()["error"]["code"];
    assert_eq!(code, "Authorization_RequestDenied");
}

#[tokio::test]
async fn users_are_refused_with_the_code_of_the_reason() {
    let emulator = emulator(0);
    assert_eq!(code(&emulator, &[("password", "wrong")]).await, 50_126);
    assert_eq!(
        code(&emulator, &[("username", "no@contoso.example")]).await,
        50_034
    );
    assert_eq!(emulator.refused_passwords(), [now(), now()]);
    let secret = emulator.settings().identity.apps[0].secrets[0]
        .value
        .clone();
    assert_eq!(
        code(&emulator, &[("client_secret", secret.expose())]).await,
        0
    );
    assert_eq!(
        code(&emulator, &[("client_secret", "wrong")]).await,
        7_000_215
    );
    for refused in [
        50_053, 50_055, 50_056, 50_057, 50_076, 50_079, 50_158, 53_003, 90_094, 50_020, 51_004,
        50_107, 50_105,
    ] {
        emulator.configure(|settings| settings.report.accounts[0].refused_with = Some(refused));
        let answer = ask(&emulator, &[]).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error_codes"], json!([refused]));
    }
    emulator.configure(|settings| {
        settings.report.accounts[0].refused_with = None;
        settings.identity.apps[0].scopes.clear();
    });
    assert_eq!(code(&emulator, &[]).await, 65_001);
    emulator.configure(|settings| settings.identity.apps[0].public_flows = false);
    assert_eq!(code(&emulator, &[]).await, 7_000_218);
    assert_eq!(
        emulator.refused_passwords().len(),
        2,
        "the password was right"
    );
}

#[tokio::test]
async fn both_services_show_the_same_mail_and_the_ledger_knows_it() {
    let emulator = emulator(5);
    let rows = report(&emulator, &format!("{TRACE}?$format=json"), "*/*").await;
    let old = events(&rows.json());
    assert_eq!(old.len(), 5);
    let token = ask(&emulator, &[]).await.json();
    let token = token["access_token"].as_str().unwrap();
    let rows = graph(&emulator, TRACES, token, &[]).await.json();
    let new: Vec<String> = rows["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    assert_eq!(new.len(), 5);
    deliver(&emulator, &old).await;
    let verdict = emulator.verdict(&Scope::default());
    assert!(verdict.is_clean() && verdict.delivered == 5, "{verdict}");
    deliver(&emulator, &new[..2]).await;
    assert_eq!(emulator.verdict(&Scope::default()).doubled.count, 2);
}

#[tokio::test]
async fn the_old_service_ends_in_every_way_while_graph_goes_on() {
    let emulator = emulator(1);
    let status = async || report(&emulator, TRACE, "*/*").await;
    assert_eq!(status().await.status, 200);
    for (retired, expected) in [
        (Canned::gone(), 410),
        (Canned::missing_page(), 404),
        (Canned::moved("https://learn.example/retired"), 302),
        (Canned::page("Retired"), 200),
    ] {
        emulator.configure(|settings| settings.report.retired = Some(retired.clone()));
        let answer = status().await;
        assert_eq!(answer.status, expected);
        if expected == 302 {
            assert_eq!(answer.header("location"), "https://learn.example/retired");
        }
    }
    emulator.configure(|settings| {
        settings.report.retired = None;
        settings.report.basic_sign_in = false;
    });
    let answer = status().await;
    assert_eq!(answer.status, 401);
    assert!(!answer.header("www-authenticate").contains("Basic"));
    assert!(
        emulator.refused_passwords().is_empty(),
        "nobody looked at it"
    );
    let token = ask(&emulator, &[]).await.json();
    let token = token["access_token"].as_str().unwrap();
    assert_eq!(graph(&emulator, TRACES, token, &[]).await.status, 200);
}
