use std::{sync::Arc, time::Duration};

use base::{
    ErrorClass, Secret,
    http::{HttpError, HttpErrorKind},
};
use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};

use super::*;
use crate::{
    PasswordGuard, Resource,
    testing::{Fake, token, tokens_of_an_app},
};

const BASE: &str = "https://reports.test/ecp/reportingwebservice/reporting.svc";
const PASSWORD: &str = "hunter2:é";

fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap()
}

fn service(fake: &Fake) -> ReportingService {
    guarded(
        fake,
        PasswordGuard::new(Clock::virtual_from(start())).into(),
    )
}

fn guarded(fake: &Fake, guard: Arc<PasswordGuard>) -> ReportingService {
    ReportingService::new(
        fake.http(),
        Clock::virtual_from(start()),
        BASE.parse().unwrap(),
        SignIn::Basic {
            account: "trace@corp.test".to_owned(),
            password: Secret::new(PASSWORD),
            guard,
        },
        RowKeyer::new([1; 16]),
    )
}

fn window() -> Window {
    let at = |hour| Utc.with_ymd_and_hms(2024, 12, 2, hour, 0, 0).unwrap();
    Window::new(at(0), at(1)).unwrap()
}

#[test]
fn the_query_names_both_bounds() {
    let query =
        |base: &str, window: Window| query(&base.parse().unwrap(), &window.into(), "").to_string();
    let expected = "https://reports.test/ecp/reportingwebservice/reporting.svc/MessageTrace?\
        $format=json&$filter=StartDate%20eq%20datetime%272024-12-01T23:59:59Z%27%20and%20\
        EndDate%20eq%20datetime%272024-12-02T01:00:00Z%27";
    assert_eq!(query(BASE, window()), expected);
    assert_eq!(query(&format!("{BASE}/"), window()), expected);
}

#[test]
fn asks_for_a_message_with_both_bounds() {
    let question = Question {
        message: Some("0a1b-2c".into()),
        ..window().into()
    };
    let asked = query(&BASE.parse().unwrap(), &question, "").to_string();
    let expected = "https://reports.test/ecp/reportingwebservice/reporting.svc/MessageTrace?\
        $format=json&$filter=StartDate%20eq%20datetime%272024-12-01T23:59:59Z%27%20and%20\
        EndDate%20eq%20datetime%272024-12-02T01:00:00Z%27%20and%20\
        MessageTraceId%20eq%20guid%270a1b-2c%27";
    assert_eq!(asked, expected);
}

#[tokio::test(start_paused = true)]
async fn follows_relative_links_with_the_same_sign_in() {
    let fake = Fake::default();
    fake.answer(
        200,
        r#"{"d":{"results":[{"MessageTraceId":"1"}],"__next":"../../reportingwebservice/reporting.svc/MessageTrace?$skiptoken=1999"}}"#,
    )
    .answer(200, r#"{"value":[]}"#);
    let service = service(&fake);
    let first = service.page(window(), None).await.unwrap();
    assert_eq!(
        first.rows().next().unwrap().text(),
        r#"{"MessageTraceId":"1"}"#
    );
    let last = service.page(window(), first.next()).await.unwrap();
    assert!(last.is_empty() && last.next().is_none());
    let requests = fake.requests();
    assert_eq!(
        requests[1].uri().to_string(),
        format!("{BASE}/MessageTrace?$format=json&$skiptoken=1999")
    );
    for request in &requests {
        let header = &request.headers()["authorization"];
        assert_eq!(header, "Basic dHJhY2VAY29ycC50ZXN0Omh1bnRlcjI6w6k=");
        assert!(header.is_sensitive());
        assert!(!request.headers().contains_key("accept"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_signs_in_with_a_token_that_is_renewed_once() {
    let fake = Fake::default();
    let give = |id: &str| {
        let roles = ["ReportingWebService.Read.All"];
        let token = token("https://outlook.office365.com", &roles, id);
        fake.answer(
            200,
            format!(r#"{{"expires_in":3599,"access_token":"{token}"}}"#),
        );
        format!("Bearer {token}")
    };
    let first = give("1");
    fake.answer(401, "");
    let second = give("2");
    fake.answer(200, r#"{"d":[]}"#);
    let base: Url = BASE.parse().unwrap();
    let clock = Clock::system();
    let tokens = tokens_of_an_app(&fake, clock.clone(), Resource::reporting(&base));
    let sign_in = SignIn::Bearer(tokens);
    let service = ReportingService::new(fake.http(), clock, base, sign_in, RowKeyer::new([1; 16]));
    assert!(service.page(window(), None).await.unwrap().is_empty());
    let requests = fake.requests();
    assert_eq!(requests[1].headers()["authorization"], first);
    assert_eq!(requests[3].headers()["authorization"], second);
}

#[tokio::test(start_paused = true)]
async fn a_link_of_another_service_is_refused_before_any_request() {
    let fake = Fake::default();
    let link = Link::resolve(&"https://evil.test/".parse().unwrap(), "x").unwrap();
    let error = service(&fake)
        .page(window(), Some(&link))
        .await
        .unwrap_err();
    assert_eq!((error.class(), error.label()), (ErrorClass::Narrow, "link"));
    assert!(fake.requests().is_empty());

    fake.answer(
        200,
        r#"{"value":[],"odata.nextLink":"https://evil.test/x"}"#,
    );
    let service = service(&fake);
    let page = service.page(window(), None).await.unwrap();
    let error = service.page(window(), page.next()).await.unwrap_err();
    assert!(matches!(error, Error::Link(_)), "{error}");
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn failures_have_their_class() {
    for (kind, class) in [
        (HttpErrorKind::Connect, ErrorClass::Outage),
        (HttpErrorKind::Timeout, ErrorClass::Outage),
        (HttpErrorKind::Interrupted, ErrorClass::Outage),
        (HttpErrorKind::Decode, ErrorClass::Outage),
        (HttpErrorKind::TooLarge, ErrorClass::Narrow),
        (HttpErrorKind::Setup, ErrorClass::Person),
    ] {
        let fake = Fake::default();
        fake.fail(HttpError::new(kind, "reports.test"));
        let error = service(&fake).page(window(), None).await.unwrap_err();
        assert_eq!((error.class(), error.label()), (class, kind.label()));
        assert_eq!(error.may_be_too_wide(), kind == HttpErrorKind::Timeout);
    }
    let fake = Fake::default();
    fake.answer(200, r#"{"value":[{}"#);
    let error = service(&fake).page(window(), None).await.unwrap_err();
    assert_eq!(
        (error.class(), error.label()),
        (ErrorClass::Unreadable, "unreadable")
    );
}

#[tokio::test(start_paused = true)]
async fn no_message_repeats_what_was_sent() {
    let sent = "Basic dHJhY2VAY29ycC50ZXN0Omh1bnRlcjI6w6k=";
    for (status, body) in [
        (400, format!("{{\"Message\":\"{PASSWORD} {sent}\"}}")),
        (200, format!("{{\"Message\":\"{PASSWORD} {sent}\"}}")),
        (200, format!("<title>{PASSWORD} {sent}</title>")),
        (500, format!("{PASSWORD} {sent}")),
    ] {
        let fake = Fake::default();
        fake.answer(status, body);
        let service = service(&fake);
        let error = service.page(window(), None).await.unwrap_err();
        let printed = format!(
            "{error} {error:?} {} {service:?}",
            base::http::chain(&error)
        );
        assert!(printed.contains("***"), "{printed}");
        assert!(
            !printed.contains("hunter2") && !printed.contains("dHJh"),
            "{printed}"
        );
    }
}

/// Anything on the way may answer 200 or 403 by itself, between refusals of the password that are counted.
#[tokio::test(start_paused = true)]
async fn only_what_the_service_itself_answers_shows_that_a_password_is_right() {
    let page = r#"{"value":[]}"#;
    let forbidden = r#"{"ErrorCode":"","Message":"No permission."}"#;
    let markup = "\u{feff} <html><title>Blocked</title></html>";
    for (status, body, accepts) in [
        (200, page, true),
        (403, forbidden, true),
        (200, markup, false),
        (200, "{}", false),
        (200, r#"{"value":[{}"#, false),
        (403, markup, false),
        (503, "", false),
    ] {
        let fake = Fake::default();
        fake.answer(status, body).answer(200, page);
        let guard = Arc::new(PasswordGuard::new(Clock::virtual_from(start())));
        guard.restore([start() - TimeDelta::minutes(10)]);
        let service = guarded(&fake, Arc::clone(&guard));
        let told = service.page(window(), None).await;
        assert_eq!(told.is_ok(), body == page, "{status} {body}");
        assert_eq!(guard.refused().is_empty(), accepts, "{status} {body}");
        // What shows nothing keeps nobody from asking again.
        service.ask_time().await.unwrap();
        assert!(guard.refused().is_empty(), "{status} {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_read_does_not_hide_the_time() {
    let fake = Fake::default();
    fake.answer(200, r#"{"d":{"results":[null]}}"#)
        .answer(200, r#"{"d":{}}"#);
    let service = service(&fake);
    assert!(service.ask_time().await.is_ok());
    assert!(service.ask_time().await.is_err(), "no page");
}

#[tokio::test(start_paused = true)]
async fn redirects_on_the_origin_are_followed_with_the_password() {
    let fake = Fake::default();
    fake.answer_with(307, &[("location", "/moved/MessageTrace")], "")
        .answer(200, r#"{"d":{"results":[]}}"#);
    service(&fake).page(window(), None).await.unwrap();
    let asked = fake.requests();
    assert_eq!(asked[1].uri(), "https://reports.test/moved/MessageTrace");
    assert_eq!(asked[0].headers(), asked[1].headers());
}

#[tokio::test(start_paused = true)]
async fn what_may_be_the_end_of_the_service_is_told_from_other_failures() {
    let page = "<html><head><title>Retired</title></head></html>";
    let superseded = r#"{"error":{"code":"","message":{"value":"|ValidationException|Use get-messagetracev2."}}}"#;
    let inside =
        r#"{"value":[],"odata.error":{"code":"","message":{"value":"Use Get-MessageTraceV2."}}}"#;
    let instead = r#"{"ErrorCode":"","Message":"Use Get-MessageTraceV2."}"#;
    let too_old =
        r#"{"Message":"It can't be older than 10 days from today, use Get-MessageTraceV2."}"#;
    for (status, body, ended) in [
        (410, "gone", true),
        (404, page, true),
        (302, page, true),
        (200, page, true),
        (401, page, true),
        (403, "{}", false),
        (
            400,
            r#"{"error":{"code":"","message":{"value":"No."}}}"#,
            false,
        ),
        (400, superseded, true),
        (403, superseded, true),
        (500, superseded, true),
        (200, superseded, true),
        (200, inside, true),
        (200, instead, true),
        (429, superseded, false),
        (400, too_old, false),
        (200, too_old, false),
        (429, "", false),
        (500, page, false),
        (503, "", false),
        (200, "{}", false),
        (200, r#"{"value":["#, false),
    ] {
        let fake = Fake::default();
        fake.answer_with(status, &[("location", "https://learn.test/retired")], body);
        let service = service(&fake);
        let error = service.page(window(), None).await.unwrap_err();
        assert_eq!(service.seems_ended(&error), ended, "{status} {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_asks_for_a_pause_has_not_ended() {
    let page = "<html><head><title>Busy</title></head></html>";
    for (status, body) in [(404, "gone"), (410, ""), (200, page), (200, "{}")] {
        let fake = Fake::default();
        fake.answer_with(status, &[("retry-after", "40")], body);
        let service = service(&fake);
        let error = service.page(window(), None).await.unwrap_err();
        let after = Some(Duration::from_secs(40));
        assert_eq!(
            error.class(),
            ErrorClass::Throttled { after },
            "{status} {body}"
        );
        assert!(!service.seems_ended(&error), "{status} {body}");
    }
    // It may be this page alone.
    let fake = Fake::default();
    fake.answer_with(200, &[("retry-after", "40")], r#"{"value":["#);
    let error = service(&fake).page(window(), None).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unreadable);
}

/// What is delivered by one service and shown by the other is the same row.
#[test]
fn a_row_has_one_key_whichever_service_shows_it() {
    let keyer = RowKeyer::new([7; 16]);
    let keys = |body: &str| {
        let envelope = Envelope::read(body.as_bytes(), &keyer, &[]).unwrap();
        let spans = envelope.rows.spans;
        spans.iter().map(|row| row.key).collect::<Vec<_>>()
    };
    let id = "579c7f2f-1de1-4a4e-4a4a-08dd4a4a4a4a";
    for (reporting, graph) in [
        ("Delivered", "delivered"),
        ("FilteredAsSpam", "filteredAsSpam"),
        ("GettingStatus", "gettingStatus"),
        ("Pending", "pending"),
        ("Failed", "failed"),
        ("Expanded", "expanded"),
        ("Quarantined", "quarantined"),
    ] {
        let verbose = keys(&format!(
            r#"{{"d":{{"results":[{{"__metadata":{{"id":"x(0)"}},"Organization":"corp","MessageTraceId":"{id}","Received":"\/Date(1659020996164)\/","RecipientAddress":"Bob@corp.test","Status":"{reporting}","Index":0,"MessageId":"<m@corp.test>"}}]}}}}"#
        ));
        let light = keys(&format!(
            r#"{{"value":[{{"MessageTraceId":"{}","Received":"2022-07-28T15:09:56.1640000","RecipientAddress":"bob@corp.test","Status":"{reporting}","Index":5}}]}}"#,
            id.to_uppercase()
        ));
        let theirs = keys(&format!(
            r#"{{"value":[{{"id":"{id}","receivedDateTime":"2022-07-28T15:09:56.164Z","recipientAddress":"bob@CORP.test","status":"{graph}","messageId":""}}]}}"#
        ));
        assert_eq!(verbose.len(), 1);
        assert_eq!(verbose, light, "{reporting}");
        assert_eq!(verbose, theirs, "{reporting}");
    }
    let other = keys(&format!(
        r#"{{"value":[{{"id":"{id}","recipientAddress":"bob@corp.test","status":"failed"}},{{"id":"{id}","recipientAddress":"bob@corp.test","status":"pending"}}]}}"#
    ));
    assert_ne!(other[0], other[1]);
}
