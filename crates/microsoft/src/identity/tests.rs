use std::{sync::Arc, time::Duration};

use base::{
    Clock, ErrorClass, Secret,
    http::{HttpError, HttpErrorKind, Request},
};
use chrono::{DateTime, TimeDelta, Utc};
use url::form_urlencoded;

use super::*;
use crate::testing::{Fake, token};

mod certificates;
mod refusals;
mod users;

const AUDIENCE: &str = "https://graph.microsoft.com";
const ROLE: &str = "ExchangeMessageTrace.Read.All";
const TENANT: &str = "5a1f9e6c-0000-4000-8000-000000000001";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

fn app(credential: Credential) -> Identity {
    Identity::App {
        login: "https://login.test/".parse().unwrap(),
        tenant: TENANT.to_owned(),
        client: "app-id".to_owned(),
        credential,
    }
}

fn secret() -> Identity {
    app(Credential::ClientSecret(Secret::new("hun ter2&")))
}

fn cache(fake: &Fake, identity: Identity) -> TokenCache {
    let resource = Resource::graph(&"https://graph.microsoft.com/v1.0".parse().unwrap());
    TokenCache::new(fake.http(), Clock::virtual_from(now()), identity, resource)
}

fn give(fake: &Fake, lifetime: u32, id: &str) -> String {
    let token = token(AUDIENCE, &[ROLE], id);
    fake.answer(
        200,
        format!(r#"{{"token_type":"Bearer","expires_in":{lifetime},"access_token":"{token}"}}"#),
    );
    token
}

fn form(request: &Request) -> Vec<(String, String)> {
    form_urlencoded::parse(request.body())
        .into_owned()
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    expected.iter().map(owned).collect()
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_sent_to_the_tenant_s_endpoint() {
    let fake = Fake::default();
    let given = give(&fake, 3599, "1");
    let got = cache(&fake, secret()).token().await.unwrap();
    assert_eq!(got.value.expose(), given);
    assert_eq!(got.expires, now() + TimeDelta::seconds(3599));
    let requests = fake.requests();
    let url = format!("https://login.test/{TENANT}/oauth2/v2.0/token");
    assert_eq!(requests[0].uri().to_string(), url);
    assert_eq!(
        requests[0].headers()["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(
        form(&requests[0]),
        pairs(&[
            ("grant_type", "client_credentials"),
            ("client_id", "app-id"),
            ("scope", "https://graph.microsoft.com/.default"),
            ("client_secret", "hun ter2&"),
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn tokens_are_kept_and_renewed_ahead_of_expiry() {
    let fake = Fake::default();
    let (first, second) = (give(&fake, 3600, "1"), give(&fake, 100, "2"));
    let cache = cache(&fake, secret());
    let value = async || cache.token().await.unwrap().value.expose().to_owned();
    assert_eq!(value().await, first);
    tokio::time::advance(Duration::from_secs(3299)).await;
    assert_eq!(value().await, first);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(value().await, second);
    tokio::time::advance(Duration::from_secs(79)).await;
    assert_eq!(value().await, second, "a fifth of a short lifetime");
    tokio::time::advance(Duration::from_secs(1)).await;
    let third = give(&fake, 3600, "3");
    assert_eq!(value().await, third);
}

#[tokio::test(start_paused = true)]
async fn an_old_token_serves_while_its_renewal_fails() {
    let fake = Fake::default();
    let first = give(&fake, 3600, "1");
    let cache = cache(&fake, secret());
    let value = async || {
        cache
            .token()
            .await
            .map(|token| token.value.expose().to_owned())
    };
    assert_eq!(value().await.unwrap(), first);
    tokio::time::advance(Duration::from_secs(3400)).await;
    fake.answer(503, "");
    assert_eq!(value().await.unwrap(), first);
    assert_eq!(value().await.unwrap(), first);
    assert_eq!(fake.requests().len(), 2, "not asked for at every use");
    tokio::time::advance(Duration::from_secs(200)).await;
    fake.answer(503, "");
    assert!(value().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_share_one_request() {
    let fake = Fake::default();
    fake.delay(Duration::from_secs(1));
    fake.answer(500, "");
    let cache = Arc::new(cache(&fake, secret()));
    let rush = async || {
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let cache = Arc::clone(&cache);
                tokio::spawn(async move { cache.token().await.is_ok() })
            })
            .collect();
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(task.await.unwrap());
        }
        outcomes
    };
    assert_eq!(rush().await, [false; 20]);
    assert_eq!(fake.requests().len(), 1);
    give(&fake, 3600, "1");
    assert_eq!(rush().await, [true; 20]);
    assert_eq!(fake.requests().len(), 2);
    let refused = cache.token().await.unwrap();
    give(&fake, 3600, "2");
    let renewed = cache.renewed(&refused).await.unwrap();
    assert!(Arc::ptr_eq(
        &renewed,
        &cache.renewed(&refused).await.unwrap()
    ));
    assert_eq!(
        fake.requests().len(),
        3,
        "one renewal for all who were refused"
    );
}

#[tokio::test(start_paused = true)]
async fn a_federated_token_is_read_anew_every_time() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let fake = Fake::default();
    let token_file = file.path().to_owned();
    let cache = cache(&fake, app(Credential::Federated { token_file }));
    for text in ["a.b.c\n", "d.e.f"] {
        std::fs::write(file.path(), text).unwrap();
        give(&fake, 0, "1");
        cache.token().await.unwrap();
        // What is said to last for no time lasts for a minute, so that not each page is a sign-in.
        let requests = fake.requests().len();
        cache.token().await.unwrap();
        assert_eq!(fake.requests().len(), requests);
        tokio::time::advance(Duration::from_secs(61)).await;
        let form = form(fake.requests().last().unwrap());
        let expected = pairs(&[
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", text.trim()),
        ]);
        assert_eq!(form[3..], expected);
    }
    std::fs::write(file.path(), " \n").unwrap();
    let error = cache.token().await.unwrap_err();
    assert!(
        base::http::chain(&error).contains("it holds no token"),
        "{error:?}"
    );
    let path = file.path().to_owned();
    file.close().unwrap();
    let error = cache.token().await.unwrap_err();
    assert!(
        error.to_string().contains(&path.display().to_string()),
        "{error}"
    );
    assert_eq!(error.class(), ErrorClass::Transient { after: None });
}

fn managed(client: Option<&str>) -> Identity {
    Identity::Managed {
        endpoint: METADATA_SERVICE.parse().unwrap(),
        client: client.map(str::to_owned),
    }
}

#[tokio::test(start_paused = true)]
async fn a_managed_identity_asks_its_machine() {
    let fake = Fake::default();
    let value = token(&format!("{AUDIENCE}/"), &[ROLE], "1");
    fake.answer(
        200,
        format!(r#"{{"access_token":"{value}","refresh_token":"","expires_in":"3599","expires_on":"1"}}"#),
    );
    let token = cache(&fake, managed(Some("id"))).token().await.unwrap();
    assert_eq!(token.expires, now() + TimeDelta::seconds(3599));
    let request = fake.requests().remove(0);
    assert_eq!(
        request.uri().to_string(),
        "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&\
         resource=https%3A%2F%2Fgraph.microsoft.com%2F&client_id=id"
    );
    assert_eq!(request.headers()["metadata"], "true");
}

#[test]
fn resources_follow_from_addresses() {
    let graph = |url: &str| Resource::graph(&url.parse().unwrap()).audience;
    assert_eq!(
        graph("https://graph.microsoft.us/v1.0"),
        "https://graph.microsoft.us"
    );
    assert_eq!(
        graph("http://127.0.0.1:80/v1.0"),
        "https://graph.microsoft.com"
    );
    let reporting = |url: &str| Resource::reporting(&url.parse().unwrap()).audience;
    for (url, audience) in [
        (
            "https://reports.office365.com/ecp",
            "https://outlook.office365.com",
        ),
        (
            "https://reports.office365.us/ecp",
            "https://outlook.office365.us",
        ),
        (
            "https://outlook.office365.us/ecp",
            "https://outlook.office365.us",
        ),
        ("http://localhost:1/ecp", "https://outlook.office365.com"),
    ] {
        assert_eq!(reporting(url), audience);
    }
}
