use std::time::Duration;

use base::ErrorClass;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::TimeZone as _;

use super::*;
use crate::{
    Resource,
    testing::{Fake, token, tokens_of_an_app},
};

const BASE: &str = "https://graph.test/v1.0";

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap()
}

fn graph(fake: &Fake, format: EventFormat) -> Graph {
    let clock = Clock::virtual_from(now());
    let base: Url = BASE.parse().unwrap();
    let tokens = tokens_of_an_app(fake, clock.clone(), Resource::graph(&base));
    let limiter = Limiter::new(Quota::new(Share::default()), clock.clone());
    let keyer = RowKeyer::new([1; 16]);
    Graph::new(fake.http(), clock, base, tokens, keyer, format, limiter)
}

/// A service in memory that has just given out a token.
fn signed_in() -> Fake {
    let fake = Fake::default();
    give_token(&fake, "1");
    fake
}

fn give_token(fake: &Fake, id: &str) {
    let token = token("https://graph.test", &["ExchangeMessageTrace.Read.All"], id);
    fake.answer(
        200,
        format!(r#"{{"expires_in":3599,"access_token":"{token}"}}"#),
    );
}

fn window() -> Window {
    Window::new(now() - TimeDelta::hours(2), now() - TimeDelta::hours(1)).unwrap()
}

#[test]
fn asks_for_a_message_with_both_bounds() {
    let question = Question {
        message: Some("0a1b-2c".into()),
        ..window().into()
    };
    let asked = query(&BASE.parse().unwrap(), &question, 5000).to_string();
    assert_eq!(
        asked,
        format!(
            "{BASE}/admin/exchange/tracing/messageTraces?$filter=id%20eq%20%270a1b-2c%27%20and%20\
             receivedDateTime%20ge%202026-11-22T09:59:59Z%20and%20receivedDateTime%20le%20\
             2026-11-22T11:00:00Z&$top=5000"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn reads_pages_byte_for_byte_through_empty_ones() {
    let fake = signed_in();
    let row = r#"{ "id":"1","recipientAddress":"A@b","status":"delivered","receivedDateTime":"2026-11-22T10:30:00.109Z"}"#;
    fake.answer(
        200,
        r#"{"value":[],"@odata.nextLink":"https://graph.test/v1.0/x?$skiptoken=e30"}"#,
    )
    .answer(200, format!(r#"{{"value":[{row}]}}"#));
    let graph = graph(&fake, EventFormat::Graph);
    let first = graph.page(window(), None, Urgency::Later).await.unwrap();
    assert!(first.is_empty());
    let last = graph
        .page(window(), first.next(), Urgency::Later)
        .await
        .unwrap();
    let read = last.rows().next().unwrap();
    assert_eq!(read.text(), row);
    assert_eq!(
        read.key,
        RowKeyer::new([1; 16]).key(&["1", "a@b"], "Delivered")
    );
    assert_eq!(read.received.unwrap().timestamp_subsec_millis(), 109);
    assert!(last.next().is_none());

    let requests = fake.requests();
    assert_eq!(
        requests[1].uri().to_string(),
        format!(
            "{BASE}/admin/exchange/tracing/messageTraces?$filter=receivedDateTime%20ge%20\
             2026-11-22T09:59:59Z%20and%20receivedDateTime%20le%202026-11-22T11:00:00Z&$top=5000"
        )
    );
    assert_eq!(
        requests[2].uri().to_string(),
        "https://graph.test/v1.0/x?$skiptoken=e30"
    );
    let id = |index: usize| requests[index].headers()["client-request-id"].clone();
    assert_ne!(id(1), id(2));
    for request in &requests[1..] {
        assert_eq!(request.headers()["prefer"], "include-unknown-enum-members");
        assert!(
            request.headers()["authorization"]
                .to_str()
                .unwrap()
                .starts_with("Bearer ")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn rows_can_have_the_form_of_the_first_trigger() {
    let fake = signed_in();
    fake.answer(
        200,
        r#"{"value":[{"id":"1","recipientAddress":"a@b","status":"pending"},{}]}"#,
    );
    let graph = graph(&fake, EventFormat::Reporting);
    let page = graph.page(window(), None, Urgency::Later).await.unwrap();
    let rows: Vec<_> = page.rows().collect();
    assert!(
        rows[0]
            .text()
            .starts_with(r#"{"MessageTraceId":"1","RecipientAddress":"a@b","Status":"Pending","#)
    );
    assert_eq!(
        rows[0].key,
        RowKeyer::new([1; 16]).key(&["1", "a@b"], "Pending")
    );
    assert_eq!(rows.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_renewed_once() {
    let fake = signed_in();
    let expired = r#"{"error":{"code":"InvalidAuthenticationToken","message":"expired"}}"#;
    fake.answer(401, expired);
    give_token(&fake, "2");
    fake.answer(200, r#"{"value":[]}"#).answer(401, expired);
    give_token(&fake, "3");
    fake.answer(401, expired);
    let graph = graph(&fake, EventFormat::Graph);
    assert!(
        graph
            .page(window(), None, Urgency::Later)
            .await
            .unwrap()
            .is_empty()
    );
    let error = graph
        .page(window(), None, Urgency::Later)
        .await
        .unwrap_err();
    assert_eq!(
        (error.class(), error.label()),
        (ErrorClass::Refused { heals: false }, "401")
    );
    assert_eq!(fake.requests().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_missing_service_principal_is_not_cured_by_a_token() {
    let fake = signed_in();
    fake.answer(401, "... 8bd644d1-64a1-4d4b-ae52-2e0cbf64e373 ...");
    let error = graph(&fake, EventFormat::Graph)
        .page(window(), None, Urgency::Later)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("New-MgServicePrincipal"),
        "{error}"
    );
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn poisoned_links_are_repaired() {
    let fake = signed_in();
    let poisoned = BASE64_STANDARD.encode(r#"{"ResultSize":"\"1000\""}"#);
    let sound = BASE64_STANDARD.encode(r#"{"ResultSize":"1000"}"#);
    let graph = graph(&fake, EventFormat::Graph);
    let base: Url = BASE.parse().unwrap();
    let link = Link::resolve(&base, &format!("x?$skiptoken={poisoned}")).unwrap();
    fake.answer(400, "").answer(200, r#"{"value":[]}"#);
    assert!(
        graph
            .page(window(), Some(&link), Urgency::Later)
            .await
            .is_ok()
    );
    let asked = fake
        .requests()
        .pop()
        .unwrap()
        .uri()
        .query()
        .unwrap()
        .to_owned();
    assert_eq!(asked.replace("%3D", "="), format!("$skiptoken={sound}"));
    assert_eq!(graph.links_repaired(), 1);

    fake.answer(400, "").answer(400, "");
    let error = graph
        .page(window(), Some(&link), Urgency::Later)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Narrow);
    assert_eq!(graph.links_repaired(), 1, "it was tried in vain");
    let link = Link::resolve(&base, &format!("x?$skiptoken={sound}")).unwrap();
    fake.answer(400, "");
    let error = graph
        .page(window(), Some(&link), Urgency::Later)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Narrow);
    assert_eq!(fake.requests().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn no_token_goes_to_a_foreign_link() {
    let fake = signed_in();
    fake.answer(
        200,
        r#"{"value":[{}],"@odata.nextLink":"https://evil.test/x"}"#,
    );
    let graph = graph(&fake, EventFormat::Graph);
    let page = graph.page(window(), None, Urgency::Later).await.unwrap();
    assert_eq!(page.len(), 1, "the rows before it are sound");
    let error = graph
        .page(window(), page.next(), Urgency::Later)
        .await
        .unwrap_err();
    assert_eq!((error.class(), error.label()), (ErrorClass::Narrow, "link"));
    let link = Link::resolve(&"https://evil.test/x".parse().unwrap(), "").unwrap();
    assert!(
        graph
            .page(window(), Some(&link), Urgency::Later)
            .await
            .is_err()
    );
    assert_eq!(fake.requests().len(), 2);
}

const EMPTY: &str = r#"{"value":[]}"#;

#[tokio::test(start_paused = true)]
async fn windows_do_not_end_in_the_service_s_future() {
    let fake = signed_in();
    let graph = graph(&fake, EventFormat::Graph);
    let window = Window::new(now() - TimeDelta::hours(1), now()).unwrap();
    // The service's clock is a minute behind. Its refusal tells nothing, nor does one page alone.
    let behind = [("date", "Sun, 22 Nov 2026 11:59:00 GMT")];
    fake.answer_with(400, &behind, "any text");
    let error = graph.page(window, None, Urgency::Later).await.unwrap_err();
    assert_eq!((error.class(), error.label()), (ErrorClass::Person, "400"));
    assert_eq!(
        (graph.exchange.time().now, graph.exchange.time().certain),
        (now(), None)
    );
    for pages in 1..=3 {
        fake.answer_with(200, &behind, EMPTY);
        assert!(graph.ask_time().await.is_ok());
        assert_eq!(graph.exchange.time().certain.is_some(), pages == 3);
    }
    assert_eq!(graph.exchange.time().skew, Some(-TimeDelta::minutes(1)));
    let error = graph.page(window, None, Urgency::Later).await.unwrap_err();
    // That time may be wrong itself.
    let retry_after = Some(Duration::from_secs(30));
    assert_eq!(
        (error.class(), error.label()),
        (ErrorClass::Transient { after: retry_after }, "ahead")
    );
    assert_eq!(fake.requests().len(), 5, "the last time without asking");
    tokio::time::advance(Duration::from_secs(60)).await;
    fake.answer(200, EMPTY);
    assert!(graph.page(window, None, Urgency::Later).await.is_ok());
}

/// The service's time is an hour ahead of a local clock that is wrong.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_says_nothing_of_the_time_does_not_move_it() {
    let fake = signed_in();
    let graph = graph(&fake, EventFormat::Graph);
    for _ in 0..5 {
        fake.answer_with(200, &[("date", "Sun, 22 Nov 2026 13:00:00 GMT")], EMPTY);
        assert!(graph.ask_time().await.is_ok());
    }
    let told = now() + TimeDelta::hours(1);
    assert_eq!(graph.exchange.time().now, told);
    for _ in 0..3 {
        // As of a proxy.
        fake.answer(400, "");
        let error = graph.page(window(), None, Urgency::Now).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Transient { after: None });
        assert_eq!(graph.exchange.time().now, told);
    }
    // Each request more would prolong it.
    let said = r#"{"error":{"code":"BadRequest","message":"Too many, please try again later."}}"#;
    let asked = fake.requests().len();
    fake.answer(400, said).answer(400, said);
    let throttled = ErrorClass::Throttled { after: None };
    let error = graph.page(window(), None, Urgency::Now).await.unwrap_err();
    assert_eq!(error.class(), throttled);
    assert_eq!(graph.exchange.time().now, told);
    assert_eq!(graph.ask_time().await.unwrap_err().class(), throttled);
    assert_eq!(fake.requests().len(), asked + 2);
}

#[tokio::test(start_paused = true)]
async fn only_a_page_of_the_service_itself_tells_the_time() {
    let fake = signed_in();
    let graph = graph(&fake, EventFormat::Graph);
    let right = ("date", "Sun, 22 Nov 2026 12:00:00 GMT");
    let certain = async || {
        _ = graph.page(window(), None, Urgency::Now).await;
        graph.exchange.time().certain
    };
    fake.answer_with(502, &[right], "");
    fake.answer_with(400, &[right], "");
    fake.answer_with(200, &[right], "<html>");
    fake.answer_with(200, &[right], r#"{"value":[{"id":"1"}"#);
    for answer in 0..4 {
        assert_eq!(certain().await, None, "{answer}");
    }
    // One that is in a cache is not of now; neither is it proof that there is no time to be had.
    fake.answer_with(200, &[right], EMPTY);
    assert_eq!(certain().await, Some(now()));
    for page in 0..7 {
        let old = ("date", "Sun, 22 Nov 2026 06:00:00 GMT");
        fake.answer_with(200, &[old, ("age", "21600")], EMPTY);
        assert_eq!(certain().await, Some(now()), "{page}");
    }
    let asked = fake.requests();
    assert_eq!(asked[1].headers()["cache-control"], "no-cache");
}

/// A service that shows such a row to each question would never be collected from.
#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_read_does_not_hide_the_time() {
    let right = ("date", "Sun, 22 Nov 2026 12:00:00 GMT");
    for (body, tells) in [
        (r#"{"value":[null]}"#, true),
        ("{\"value\":[{\"id\":\"1\",\"subject\":\"a\nb\"}]}", true),
        (r#"{"value":[{"id":"1"}"#, false),
        (r#"{"value":[null],"error":{"code":"Late"}}"#, false),
        ("<html>", false),
    ] {
        let fake = signed_in();
        let graph = graph(&fake, EventFormat::Graph);
        fake.answer_with(200, &[right], body);
        assert_eq!(graph.ask_time().await.is_ok(), tells, "{body}");
        assert_eq!(graph.exchange.time().certain.is_some(), tells, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_followed_by_a_new_connection_unless_there_are_too_many_requests() {
    for (status, renewals) in [(500, 1), (404, 1), (403, 1), (400, 1), (206, 1), (429, 0)] {
        let fake = signed_in();
        let graph = graph(&fake, EventFormat::Graph);
        fake.answer(status, "");
        assert!(graph.page(window(), None, Urgency::Now).await.is_err());
        assert_eq!(fake.renewals(), renewals, "{status}");
    }
}

/// Behind one name stand many machines, and one of them may answer like this for ever.
#[tokio::test(start_paused = true)]
async fn what_is_no_page_is_followed_by_a_new_connection() {
    for body in [
        "",
        "<html><title>Busy</title></html>",
        r#"{"value":[{"id":"1"}"#,
        r#"{"value":{}}"#,
        "{}",
    ] {
        let fake = signed_in();
        let graph = graph(&fake, EventFormat::Graph);
        fake.answer(200, body).answer(200, EMPTY);
        assert!(graph.page(window(), None, Urgency::Now).await.is_err());
        assert_eq!(fake.renewals(), 1, "{body}");
        assert!(graph.page(window(), None, Urgency::Now).await.is_ok());
        assert_eq!(fake.renewals(), 1, "{body}");
    }
}

/// A machine that lags behind answers as if there were no newer rows, for as long as it is asked.
#[tokio::test(start_paused = true)]
async fn old_connections_are_left_before_each_page_and_each_sign_in() {
    let fake = signed_in();
    let graph = graph(&fake, EventFormat::Graph);
    for _ in 0..2 {
        fake.answer(200, EMPTY);
        assert!(graph.page(window(), None, Urgency::Now).await.is_ok());
    }
    let expected = ["login.test", "graph.test", "graph.test"];
    assert_eq!(fake.left_when_old(), expected);
    assert_eq!(fake.renewals(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_asks_for_the_time_without_a_window() {
    let fake = signed_in();
    let graph = graph(&fake, EventFormat::Graph);
    fake.answer(400, "the window ends in the future")
        .answer(200, EMPTY);
    assert!(graph.ask_time().await.is_ok());
    let asked = |index: usize| fake.requests()[index].uri().query().unwrap().to_owned();
    assert_eq!(
        asked(1),
        "$filter=receivedDateTime%20ge%202026-11-22T11:57:59Z%20and%20receivedDateTime%20le%20\
         2026-11-22T11:59:00Z&$top=1"
    );
    assert_eq!(asked(2), "$top=1");
    // What was answered last is asked again; what fails otherwise, another time in another way.
    fake.answer(504, "");
    assert_eq!(graph.ask_time().await.unwrap_err().label(), "504");
    assert_eq!(asked(3), "$top=1");
    fake.answer(200, EMPTY);
    assert!(graph.ask_time().await.is_ok());
    assert!(
        asked(4).contains("le%202026-11-22T11:00:00Z"),
        "{}",
        asked(4)
    );
    for _ in 0..6 {
        fake.answer(400, "");
    }
    assert_eq!(graph.ask_time().await.unwrap_err().label(), "400");
    assert_eq!(fake.requests().len(), 11, "each question once");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_the_quota_s_sake_makes_the_next_request_wait() {
    let fake = signed_in();
    fake.answer_with(429, &[("retry-after", "17")], "")
        .answer(200, r#"{"value":[]}"#);
    let graph = graph(&fake, EventFormat::Graph);
    let start = tokio::time::Instant::now();
    assert_eq!(
        graph
            .page(window(), None, Urgency::Later)
            .await
            .unwrap_err()
            .label(),
        "429"
    );
    assert!(graph.page(window(), None, Urgency::Later).await.is_ok());
    assert_eq!(start.elapsed(), Duration::from_secs(17));
    assert_eq!(graph.limiter.stamps().len(), 2);
    // One request was not too much.
    assert_eq!(graph.limiter.allowed(), 89);
}

#[tokio::test(start_paused = true)]
async fn a_link_beyond_repair_is_replaced_by_the_time_of_the_last_row() {
    let fake = signed_in();
    let page = |rows: &[&str], link: &str| {
        let row = |at: &&str| format!(r#"{{"receivedDateTime":"2026-11-22T{at}Z"}}"#);
        let rows: Vec<_> = rows.iter().map(row).collect();
        let base = "https://graph.test/v1.0/x?$skiptoken";
        format!(
            r#"{{"value":[{}],"@odata.nextLink":"{base}={link}"}}"#,
            rows.join(",")
        )
    };
    let graph = graph(&fake, EventFormat::Graph);
    fake.answer(200, page(&["10:59:00", "10:40:00"], "1"))
        .answer(200, page(&[], "2"));
    let first = graph.page(window(), None, Urgency::Later).await.unwrap();
    let empty = graph
        .page(window(), first.next(), Urgency::Later)
        .await
        .unwrap();
    fake.answer(400, "")
        .answer(200, page(&["10:40:00.5", "10:20:00.5"], "3"));
    let rest = graph
        .page(window(), empty.next(), Urgency::Later)
        .await
        .unwrap();
    let asked = |at: &str| {
        let query = fake
            .requests()
            .last()
            .unwrap()
            .uri()
            .query()
            .unwrap()
            .to_owned();
        assert!(
            query.ends_with(&format!("%20le%202026-11-22T{at}Z&$top=5000")),
            "{query}"
        );
    };
    asked("10:40:01");
    assert_eq!(graph.links_repaired(), 1);
    // What does without that row counts in full seconds, and shows nothing of this one.
    fake.answer(404, "")
        .answer(200, page(&["10:20:00", "10:10:00"], "4"));
    let cut_off = graph.page(window(), rest.next(), Urgency::Later).await;
    assert_eq!(cut_off.unwrap_err().class(), ErrorClass::Narrow);
    assert_eq!(graph.links_repaired(), 1);
    fake.answer(404, "")
        .answer(200, page(&["10:20:00.5", "10:10:00", "10:15:00"], "4"));
    let disorder = graph
        .page(window(), rest.next(), Urgency::Later)
        .await
        .unwrap();
    asked("10:20:00.501");
    fake.answer(400, "");
    let error = graph
        .page(window(), disorder.next(), Urgency::Later)
        .await
        .unwrap_err();
    assert_eq!(
        error.class(),
        ErrorClass::Narrow,
        "nothing is known of what is left"
    );
}

/// It may be refused for the row at the boundary, which no narrower window changes where all are of one instant.
#[tokio::test(start_paused = true)]
async fn a_link_between_rows_of_one_instant_is_replaced_by_pages_of_another_size() {
    let fake = signed_in();
    let page = |link: &str| {
        let row = r#"{"receivedDateTime":"2026-11-22T10:59:59.500Z"}"#;
        let base = "https://graph.test/v1.0/x?$skiptoken";
        format!(r#"{{"value":[{row},{row}],"@odata.nextLink":"{base}={link}"}}"#)
    };
    let graph = graph(&fake, EventFormat::Graph);
    let instant = Window::new(
        now() - TimeDelta::seconds(3601),
        now() - TimeDelta::milliseconds(3_600_499),
    );
    let instant = instant.unwrap();
    let ask = async |link: Option<&Link>| graph.page(instant, link, Urgency::Later).await;
    for top in [4501, 4002] {
        fake.answer(200, page("1"))
            .answer(400, "")
            .answer(200, page("2"))
            .answer(200, page("3"))
            .answer(400, "");
        let first = ask(None).await.unwrap();
        let again = ask(first.next()).await.unwrap();
        let asked = fake.requests().last().unwrap().uri().to_string();
        assert!(asked.ends_with(&format!("&$top={top}")), "{asked}");
        let further = ask(again.next()).await.unwrap();
        // It is not tried twice in one walk.
        let error = ask(further.next()).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Narrow);
    }
    assert_eq!(fake.requests().len(), 1 + 10);
    assert_eq!(graph.links_repaired(), 0, "that is not known yet");
    // A page that ends there without a link hides what came after the first.
    fake.answer(200, page("1"))
        .answer(400, "")
        .answer(200, r#"{"value":[]}"#);
    let first = ask(None).await.unwrap();
    let error = ask(first.next()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Narrow);
}

/// It is no answer to the question, and twice it would be believed.
#[tokio::test(start_paused = true)]
async fn a_question_for_a_message_that_is_forbidden_is_asked_again() {
    let blocked = "<html><head><title>Blocked</title></head></html>";
    let link = Link::resolve(&BASE.parse().unwrap(), "x?$skiptoken=e30").unwrap();
    let of_window = Question::from(window());
    let of_message = Question {
        message: Some("0a1b-2c".into()),
        ..of_window.clone()
    };
    let passes = ErrorClass::Transient { after: None };
    for (question, link, class) in [
        (of_window.clone(), Some(&link), ErrorClass::Narrow),
        (of_window, None, ErrorClass::Person),
        (of_message.clone(), Some(&link), passes),
        (of_message, None, passes),
    ] {
        let fake = signed_in();
        fake.answer(403, blocked);
        let graph = graph(&fake, EventFormat::Graph);
        let page = graph.page(question, link, Urgency::Later).await;
        let error = page.unwrap_err();
        assert_eq!(error.class(), class, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn redirects_on_the_origin_are_followed_with_the_token() {
    let fake = signed_in();
    let link = |path: &str| format!(r#"{{"value":[],"@odata.nextLink":"{path}"}}"#);
    fake.answer_with(308, &[("location", "/moved/traces?a=1")], "")
        .answer_with(307, &[("location", "https://graph.test/again/traces")], "")
        .answer(200, link("next?$skiptoken=e30"));
    let graph = graph(&fake, EventFormat::Graph);
    let page = graph.page(window(), None, Urgency::Later).await.unwrap();
    let asked: Vec<_> = fake.requests().split_off(1);
    assert_eq!(asked[1].uri(), "https://graph.test/moved/traces?a=1");
    assert_eq!(asked[2].uri(), "https://graph.test/again/traces");
    assert!(asked.iter().all(|one| one.headers() == asked[0].headers()));
    let next = page.next().unwrap().to_string();
    assert_eq!(
        next, "https://graph.test/again/next",
        "seen from where the answer came"
    );
    for location in [
        "http://graph.test/x",
        "https://evil.test/x",
        "https://a:b@graph.test/",
    ] {
        fake.answer_with(307, &[("location", location)], "");
        let asked = fake.requests().len();
        let error = graph
            .page(window(), None, Urgency::Later)
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("no credential is sent"),
            "{error}"
        );
        assert_eq!(fake.requests().len(), asked + 1, "{location}");
    }
}

#[tokio::test(start_paused = true)]
async fn redirects_without_end_are_given_up() {
    let fake = signed_in();
    let graph = graph(&fake, EventFormat::Graph);
    for _ in 0..9 {
        fake.answer_with(307, &[("location", "/again")], "");
    }
    let page = graph.page(window(), None, Urgency::Later).await;
    let error = page.unwrap_err();
    assert!(error.to_string().contains("again and again"), "{error}");
    assert_eq!(fake.requests().len(), 1 + 4);
}

#[tokio::test(start_paused = true)]
async fn answers_that_tell_nothing_are_for_a_person_when_they_last() {
    let fake = signed_in();
    let graph = graph(&fake, EventFormat::Graph);
    let class = async || {
        fake.answer(409, "");
        let page = graph.page(window(), None, Urgency::Later).await;
        page.unwrap_err().class()
    };
    assert_eq!(class().await, ErrorClass::Transient { after: None });
    tokio::time::advance(Duration::from_secs(599)).await;
    assert_eq!(class().await, ErrorClass::Transient { after: None });
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(class().await, ErrorClass::Person);
    fake.answer(200, r#"{"value":[]}"#);
    graph.page(window(), None, Urgency::Later).await.unwrap();
    assert_eq!(class().await, ErrorClass::Transient { after: None });
}
