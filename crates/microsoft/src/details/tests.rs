use std::{sync::Arc, time::Duration};

use base::{Clock, ErrorClass, Secret};
use chrono::TimeZone as _;
use rows::RowKeyer;

use super::*;
use crate::{
    EventFormat, Graph, PasswordGuard, Quota, ReportingService, Resource, Share,
    testing::{Fake, token, tokens_of_an_app},
};

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap()
}

const EVENTS: &str = r#"{"value":[{"dateTime":"2026-11-22T11:00:00Z","event":"Fail"}]}"#;
const SHOWN: &str = r#"[{"dateTime":"2026-11-22T11:00:00Z","event":"Fail"}]"#;

#[test]
fn the_address_names_message_and_recipient() {
    let base = "https://graph.test/v1.0/".parse().unwrap();
    assert_eq!(
        graph_address(&base, "7-a", "o'neil+x@corp.test").as_str(),
        "https://graph.test/v1.0/admin/exchange/tracing/messageTraces/7-a/\
         getDetailsByRecipient(recipientAddress='o''neil%2Bx%40corp.test')"
    );
    let other = graph_address(&base, "../../users", "a");
    assert!(
        other.path().ends_with(
            "/messageTraces/..%2F..%2Fusers/getDetailsByRecipient(recipientAddress='a')"
        )
    );
    let base = "https://reports.test/reporting.svc".parse().unwrap();
    let at = |received| reporting_address(&base, "7", "o'neil+x@corp.test", received, now());
    let filter = "https://reports.test/reporting.svc/MessageTraceDetail?$format=json&\
        $filter=MessageTraceId%20eq%20guid%277%27%20and%20RecipientAddress%20eq%20%27o%27%27neil%2Bx%40corp.test%27";
    assert_eq!(at(None).as_str(), filter);
    let window = |start: &str, end: &str| {
        format!(
            "{filter}%20and%20StartDate%20eq%20datetime%272026-11-{start}Z%27%20and%20\
             EndDate%20eq%20datetime%272026-11-{end}Z%27"
        )
    };
    let lately = Some(now() - TimeDelta::minutes(5));
    assert_eq!(at(lately).as_str(), window("22T10:55:00", "22T12:00:00"));
    let before = Some(now() - TimeDelta::days(20));
    assert_eq!(at(before).as_str(), window("02T11:00:00", "12T11:00:00"));
}

#[tokio::test(start_paused = true)]
async fn calls_count_in_the_quota_and_do_not_wait_for_it() {
    let fake = Fake::default();
    let clock = Clock::virtual_from(now());
    let base: Url = "https://graph.test/v1.0".parse().unwrap();
    let tokens = tokens_of_an_app(&fake, clock.clone(), Resource::graph(&base));
    let limiter = Limiter::new(Quota::new(Share::new(1).unwrap()), clock.clone());
    let graph = Graph::new(
        fake.http(),
        clock,
        base,
        tokens,
        RowKeyer::new([1; 16]),
        EventFormat::Graph,
        limiter.clone(),
    );
    let details = graph.details();
    let token = token(
        "https://graph.test",
        &["ExchangeMessageTrace.Read.All"],
        "1",
    );
    fake.answer(
        200,
        format!(r#"{{"expires_in":3599,"access_token":"{token}"}}"#),
    );
    fake.answer(200, EVENTS).answer(403, "").answer(200, "{}");
    let begun = tokio::time::Instant::now();
    let told = details.ask("7", "a@b.test", None).await.unwrap();
    assert_eq!(told.as_deref(), Some(SHOWN));
    assert_eq!(
        details
            .ask("7", "a@b.test", None)
            .await
            .unwrap_err()
            .label(),
        "403"
    );
    assert_eq!(
        details
            .ask("7", "a@b.test", None)
            .await
            .unwrap_err()
            .label(),
        "unreadable"
    );
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(limiter.stamps().len(), 3, "a next start knows them");
    assert_eq!(limiter.used(), 0, "pages have their share");
    assert_eq!(graph.exchange.oldest_request(), None);
}

/// Those of the Reporting Web Service, for an account whose password is watched over.
fn of_an_account(fake: &Fake) -> (Details, Arc<PasswordGuard>) {
    let clock = Clock::virtual_from(now());
    let guard = Arc::new(PasswordGuard::new(clock.clone()));
    let sign_in = SignIn::Basic {
        account: "trace@corp.test".to_owned(),
        password: Secret::new("hunter2"),
        guard: Arc::clone(&guard),
    };
    let base = "https://reports.test/reporting.svc".parse().unwrap();
    let keyer = RowKeyer::new([1; 16]);
    let service = ReportingService::new(fake.http(), clock, base, sign_in, keyer);
    (service.details(), guard)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_of_the_password_only_that_pages_are_to_tell() {
    let fake = Fake::default();
    let (details, guard) = of_an_account(&fake);
    // Nothing is tried with a password that was not accepted yet.
    let error = details.ask("7", "a@b.test", None).await.unwrap_err();
    assert!(error.is_held() && fake.requests().is_empty());
    guard.admit().unwrap().accepted();
    fake.answer(401, "");
    let error = details.ask("7", "a@b.test", None).await.unwrap_err();
    assert_eq!(error.label(), "401");
    assert!(guard.refused().is_empty());
    // Each try may count where the account is kept.
    let error = details.ask("7", "a@b.test", None).await.unwrap_err();
    assert!(error.is_held() && fake.requests().len() == 1);
    guard.admit().unwrap().accepted();
    fake.answer(200, EVENTS);
    let told = details.ask("7", "a@b.test", None).await.unwrap();
    assert_eq!(told.as_deref(), Some(SHOWN));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_service_does_not_know_has_no_details() {
    let fake = Fake::default();
    let (details, guard) = of_an_account(&fake);
    guard.admit().unwrap().accepted();
    let body = r#"{"error":{"code":"NotFound","message":"There is none for ada@b.test."}}"#;
    fake.answer_with(404, &[("request-id", "1")], body);
    let told = details.ask("7", "ada@b.test", None).await.unwrap();
    assert_eq!(told, None);
    assert_eq!(fake.renewals(), 0, "pages go over the same connections");
    // What stands between may have written these.
    for (before, id) in ["", " "].into_iter().enumerate() {
        fake.answer_with(404, &[("request-id", id)], body);
        let error = details.ask("7", "ada@b.test", None).await.unwrap_err();
        assert_eq!(error.label(), "404");
        assert_eq!(fake.renewals(), before + 1);
    }
}

/// Pages show that the service is there, and that rows may be read.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_as_one_of_details_alone() {
    let fake = Fake::default();
    let (details, guard) = of_an_account(&fake);
    for (status, class, said) in [
        (401, ErrorClass::Person, "may not read details"),
        (403, ErrorClass::Person, "may not read details"),
        (404, ErrorClass::Person, "at its address"),
        (410, ErrorClass::Person, "at its address"),
        (400, ErrorClass::Person, "does not accept the question"),
        (429, ErrorClass::Throttled { after: None }, "for the moment"),
        (500, ErrorClass::Outage, "for the moment"),
    ] {
        guard.admit().unwrap().accepted();
        fake.answer(status, "no mail for ada@b.test");
        let error = details.ask("7", "ada@b.test", None).await.unwrap_err();
        let sentence = error.to_string();
        assert_eq!(error.class(), class, "{sentence}");
        let says = |part: &str| sentence.contains(part);
        assert!(says(said) && says("asked for details"), "{sentence}");
        assert!(!says("retired") && !says("Reports reader"), "{sentence}");
        assert!(!says("ada@"), "{sentence}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_of_several_pages_is_not_all_that_happened() {
    let fake = Fake::default();
    let (details, guard) = of_an_account(&fake);
    guard.admit().unwrap().accepted();
    fake.answer(200, r#"{"d":{"results":[{"Event":"Fail"}],"__next":"x"}}"#);
    let error = details.ask("7", "a@b.test", None).await.unwrap_err();
    assert_eq!(error.label(), "unreadable");
    assert!(error.to_string().contains("several pages"), "{error}");
}
