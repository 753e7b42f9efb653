use super::{super::graph, *};

fn ask(
    status: u16,
    headers: &[(&'static str, &str)],
    body: &str,
    link: Option<&str>,
) -> (ErrorClass, String) {
    let judged = Case {
        judge: graph,
        by_app: true,
        status,
        headers,
        body,
        link,
        lasts: false,
        permitted: None,
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
            ErrorClass::Refused { heals: true },
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
        ErrorClass::Refused { heals: false },
        &[
            "does not accept the app's token",
            "InvalidAuthenticationToken: Access token has expired.",
        ],
    );
    let body = r#"{"error":{"code":"Authorization_RequestDenied","message":"No."}}"#;
    says(
        &ask(403, &[], body, None),
        ErrorClass::Refused { heals: false },
        &[
            "`ExchangeMessageTrace.Read.All`",
            "consent",
            "Authorization_RequestDenied",
        ],
    );
    says(
        &ask(404, &[], "", None),
        ErrorClass::Person,
        &["`graph_url`", "`message_trace_oauth`"],
    );
    says(
        &ask(302, &[("location", "https://x.test/")], "", None),
        ErrorClass::Person,
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
    let throttled = ErrorClass::Throttled { after: None };
    says(&ask(429, &[], body, None), throttled, &["surpassed"]);
    says(
        &ask(504, &[], "<html>", None),
        ErrorClass::Outage,
        &["for the moment"],
    );
    says(
        &ask(400, &[], &bad("EndDate is in the future."), None),
        ErrorClass::Transient {
            after: Some(Duration::from_secs(30)),
        },
        &["clock"],
    );
}

#[test]
fn windows_and_links_that_cannot_be_read() {
    let said = "Invalid StartDate value. The StartDate can't be older than 90 days from today.";
    let reach = ErrorClass::OutOfReach { days: Some(90) };
    let own = &[("request-id", "1")];
    says(
        &ask(400, own, &bad(said), None),
        reach,
        &["of 90 days", "nothing is given up"],
    );
    for days in ["0", "4294967295"] {
        let said = said.replace("90", days);
        let reach = ErrorClass::OutOfReach {
            days: days.parse().ok(),
        };
        says(&ask(400, own, &bad(&said), None), reach, &[]);
    }
    let said_more = said.replace("90", "4294967296");
    let reach = ErrorClass::OutOfReach { days: None };
    says(&ask(400, own, &bad(&said_more), None), reach, &[]);
    // What others on the way may have written is no evidence.
    for (headers, body) in [
        (&[][..], bad(said)),
        (&[("request-id", " ")], bad(said)),
        (own, said.to_owned()),
        (own, format!("<html>{said}</html>")),
        (own, format!(r#"{{"message":"{said}"}}"#)),
        (
            own,
            format!(r#"{{"error":{{"message":7}},"Message":"{said}"}}"#),
        ),
    ] {
        says(&ask(400, headers, &body, None), ErrorClass::Person, &[]);
    }
    let said = "|System.ArgumentException|The interval between StartDate and EndDate can't be longer than 10 days.";
    says(
        &ask(400, &[], &bad(said), None),
        ErrorClass::Narrow,
        &["too wide"],
    );
    let said = "|System.ArgumentException|Invalid starting recipient address";
    let link = Some("https://graph.test/x?$skiptoken=e30");
    for status in [400, 403, 404, 405, 410, 431] {
        let judged = ask(status, &[], &bad(said), link);
        says(
            &judged,
            ErrorClass::Narrow,
            &["its own link", "starting recipient address"],
        );
        assert!(!judged.1.contains("e30"), "{}", judged.1);
    }
    // A gateway that has had too many requests says nothing of the link.
    says(
        &ask(403, &[("retry-after", "7")], "", link),
        after(7),
        &["asks for a pause"],
    );
    says(
        &ask(401, &[], "", link),
        ErrorClass::Refused { heals: false },
        &["the app's token"],
    );
    says(
        &ask(400, &[], &bad("ResultSize is invalid"), None),
        ErrorClass::Person,
        &["ResultSize"],
    );
    for (said, link) in [
        (
            "|Exception|Your recent queries have surpassed the permitted limit, please try again later.",
            None,
        ),
        (
            "We cannot currently process your request, please wait a few minutes and try again",
            link,
        ),
    ] {
        says(
            &ask(400, &[], &bad(said), link),
            ErrorClass::Throttled { after: None },
            &["asks for patience", "asked again later", said],
        );
    }
    // Who waits is refused again: it is the window.
    let later = " Please try again later.";
    let said = "The StartDate can't be older than 90 days from today.";
    let reach = ErrorClass::OutOfReach { days: Some(90) };
    says(
        &ask(400, own, &bad(&format!("{said}{later}")), None),
        reach,
        &[],
    );
    let said = "The interval between StartDate and EndDate can't be longer than 10 days.";
    says(
        &ask(400, &[], &bad(&format!("{said}{later}")), None),
        ErrorClass::Narrow,
        &["too wide"],
    );
}

/// A status with nothing that tells about the request.
fn odd(status: u16, body: &str, link: Option<&str>, lasts: bool) -> (ErrorClass, String) {
    let case = Case {
        judge: graph,
        by_app: true,
        status,
        headers: &[],
        body,
        link,
        lasts,
        permitted: None,
    };
    case.judged()
}

#[test]
fn what_tells_nothing_passes_unless_it_lasts() {
    let said = ["tells nothing about the request", "`graph_url`"];
    for status in [204, 206, 400, 409, 421, 423, 425, 449, 499] {
        says(&odd(status, "\r\n", None, false), TRANSIENT, &said);
        says(&odd(status, "", None, true), ErrorClass::Person, &said);
    }
    says(
        &ask(409, &[("retry-after", "7")], "", None),
        after(7),
        &said,
    );
    // It may be prolonged by each request, however long it has lasted.
    let case = Case {
        judge: graph,
        by_app: true,
        status: 409,
        headers: &[("retry-after", "7")],
        body: "",
        link: None,
        lasts: true,
        permitted: None,
    };
    says(&case.judged(), after(7), &said);
    // A link that is refused without a word is not asked for again and again.
    let link = Some("https://graph.test/x?$skiptoken=e30");
    says(
        &odd(400, "", link, false),
        ErrorClass::Narrow,
        &["its own link"],
    );
    says(
        &odd(400, "{}", None, false),
        ErrorClass::Person,
        &["does not accept the query"],
    );
}

#[test]
fn a_web_page_that_forbids_is_not_the_service() {
    let forbidden = |permitted, body| {
        let case = Case {
            judge: graph,
            by_app: true,
            status: 403,
            headers: &[],
            body,
            link: None,
            lasts: false,
            permitted,
        };
        let error = case.error();
        (error.concern(), (error.class(), error.to_string()))
    };
    let page = "\u{feff} <html><title>Blocked by Corp</title></html>";
    let permission = "ExchangeMessageTrace.Read.All";
    let (concern, judged) = forbidden(Some(permission), page);
    assert_eq!(concern, Concern::Query);
    says(
        &judged,
        ErrorClass::Person,
        &[
            "although the token has the permission `ExchangeMessageTrace.Read.All`",
            "proxy or gateway",
            "Blocked by Corp",
        ],
    );
    // A token that does not tell its permissions may lack this one.
    let (concern, judged) = forbidden(None, page);
    assert_eq!(concern, Concern::Query);
    says(
        &judged,
        ErrorClass::Person,
        &[
            "a proxy or gateway on the way may have written",
            "; if there is none, the app may not read the message trace: grant it",
        ],
    );
    let (concern, judged) = forbidden(Some(permission), "{}");
    assert_eq!(concern, Concern::Permission);
    says(
        &judged,
        ErrorClass::Refused { heals: false },
        &["grant it the application permission"],
    );
}

#[test]
fn redirects_that_are_not_followed() {
    for status in [307, 308] {
        says(
            &ask(status, &[("location", "/elsewhere")], "", None),
            ErrorClass::Person,
            &["redirects again and again", "`graph_url`"],
        );
        says(
            &ask(
                status,
                &[("location", "http://service.test/page")],
                "",
                None,
            ),
            ErrorClass::Person,
            &["redirects to service.test, where no credential is sent"],
        );
    }
}

#[test]
fn an_account_without_a_role_is_told_from_a_missing_permission() {
    let mut case = Case {
        judge: graph,
        by_app: false,
        status: 403,
        headers: &[],
        body: r#"{"error":{"code":"Forbidden","message":"No."}}"#,
        link: None,
        lasts: false,
        permitted: Some("ExchangeMessageTrace.Read.All"),
    };
    says(
        &case.judged(),
        ErrorClass::Refused { heals: false },
        &[
            "the token has the permission",
            "it is the account",
            "`Exchange Administrator`",
        ],
    );
    case.permitted = None;
    says(
        &case.judged(),
        ErrorClass::Refused { heals: false },
        &["the account may not read", "delegated permission"],
    );
    case.status = 401;
    says(
        &case.judged(),
        ErrorClass::Refused { heals: false },
        &["the account's token"],
    );
}
