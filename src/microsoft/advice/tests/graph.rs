use super::{super::graph, *};

fn ask(
    status: u16,
    headers: &[(&'static str, &str)],
    body: &str,
    link: Option<&str>,
) -> (Class, String) {
    let judged = Case {
        judge: graph,
        by_app: true,
        status,
        headers,
        body,
        link,
    }
    .judged();
    let (_, sentence) = &judged;
    assert!(
        sentence.starts_with("Microsoft Graph answered "),
        "{sentence}"
    );
    assert!(
        sentence.contains("(client-request-id 00000000-"),
        "{sentence}"
    );
    judged
}

fn bad(text: &str) -> String {
    format!(r#"{{"error":{{"code":"BadRequest","message":"{text}"}}}}"#)
}

#[test]
fn the_service_principal_is_missing() {
    let body = r#"{"error":{"code":"Unauthorized","message":"Service principal-less Authentication failed: the service principal for App ID 8BD644D1-64a1-4d4b-ae52-2e0cbf64e373 was not found."}}"#;
    for status in [401, 403] {
        says(
            &ask(status, &[("request-id", "abc")], body, None),
            Class::Refused,
            &[
                "New-MgServicePrincipal -AppId 8bd644d1-64a1-4d4b-ae52-2e0cbf64e373",
                "takes hours",
                "goes on by itself",
                ", request-id abc)",
            ],
        );
    }
}

#[test]
fn the_app_may_not() {
    let body =
        r#"{"error":{"code":"InvalidAuthenticationToken","message":"Access token has expired."}}"#;
    says(
        &ask(401, &[], body, None),
        Class::Refused,
        &[
            "does not accept the app's token",
            "InvalidAuthenticationToken: Access token has expired.",
        ],
    );
    let body = r#"{"error":{"code":"Authorization_RequestDenied","message":"No."}}"#;
    says(
        &ask(403, &[], body, None),
        Class::Refused,
        &[
            "`ExchangeMessageTrace.Read.All`",
            "consent",
            "Authorization_RequestDenied",
        ],
    );
    says(
        &ask(404, &[], "", None),
        Class::Refused,
        &["`graph_url`", "`message_trace_oauth`"],
    );
    says(
        &ask(302, &[("location", "https://x.test/")], "", None),
        Class::Refused,
        &["redirects to x.test", "`graph_url`"],
    );
}

#[test]
fn what_passes_by_itself() {
    let body = r#"{"error":{"code":"TooManyRequests","message":"Your recent queries have surpassed the permitted limit, please try again later."}}"#;
    says(
        &ask(429, &[("retry-after", "17")], body, None),
        after(17),
        &["`quota`"],
    );
    let throttled = Class::Throttled { retry_after: None };
    says(&ask(429, &[], body, None), throttled, &["surpassed"]);
    says(
        &ask(504, &[], "<html>", None),
        Class::Outage,
        &["for the moment"],
    );
    says(
        &ask(400, &[], &bad("EndDate is in the future."), None),
        Class::Transient {
            retry_after: Some(Duration::from_secs(30)),
        },
        &["clock"],
    );
}

#[test]
fn windows_and_links_that_cannot_be_read() {
    let said = "Invalid StartDate value. The StartDate can't be older than 90 days from today.";
    let reach = Class::OutOfReach { days: Some(90) };
    says(&ask(400, &[], &bad(said), None), reach, &["of 90 days"]);
    let said = "|System.ArgumentException|The interval between StartDate and EndDate can't be longer than 10 days.";
    says(
        &ask(400, &[], &bad(said), None),
        Class::Narrow,
        &["too wide"],
    );
    let said = "|System.ArgumentException|Invalid starting recipient address";
    let link = Some("https://graph.test/x?$skiptoken=e30");
    for status in [400, 404, 410] {
        let judged = ask(status, &[], &bad(said), link);
        says(
            &judged,
            Class::Narrow,
            &["its own link", "starting recipient address"],
        );
        assert!(!judged.1.contains("e30"), "{}", judged.1);
    }
    says(
        &ask(400, &[], &bad("ResultSize is invalid"), None),
        Class::Refused,
        &["ResultSize"],
    );
}
