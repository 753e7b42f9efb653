use super::{super::reporting, *};

const DEEP_LINK: &str = "https://reports.test/x?$skiptoken=999999";

fn ask(
    status: u16,
    headers: &[(&'static str, &str)],
    body: &str,
    link: Option<&str>,
) -> (ErrorClass, String) {
    let judged = Case {
        judge: reporting,
        by_app: false,
        status,
        headers,
        body,
        link,
        lasts: false,
        permitted: None,
    }
    .judged();
    assert!(
        judged.1.starts_with("the Reporting Web Service answered "),
        "{}",
        judged.1
    );
    judged
}

#[test]
fn an_app_is_told_about_its_permission_and_role() {
    let ask = |status| {
        Case {
            judge: reporting,
            by_app: true,
            status,
            headers: &[],
            body: "",
            link: None,
            lasts: false,
            permitted: None,
        }
        .judged()
    };
    says(
        &ask(401),
        ErrorClass::Refused { heals: false },
        &["the token of the app", "`tenant_id`"],
    );
    says(
        &ask(403),
        ErrorClass::Refused { heals: false },
        &[
            "`ReportingWebService.Read.All`",
            "`Security Reader`",
            "service principal",
        ],
    );
}

#[test]
fn sign_in_refused() {
    let page = "<title>401 - Unauthorized: Access is denied due to invalid credentials.</title>";
    says(
        &ask(401, &[], page, None),
        ErrorClass::Refused { heals: false },
        &[
            "401 Unauthorized",
            "`account_password`",
            "switched off sign-in with a password",
            "`message_trace_graph`",
            "(the answer says: 401 - Unauthorized: Access is denied due to invalid credentials.)",
        ],
    );
    let basic = [
        ("www-authenticate", "Negotiate, Bearer realm=\"x\""),
        ("www-authenticate", "basic realm=\"x\""),
    ];
    let wrong = ask(401, &basic, "", None);
    says(
        &wrong,
        ErrorClass::Refused { heals: false },
        &["wrong, expired or locked", "`account_name`"],
    );
    assert!(!wrong.1.contains("switched off"), "{}", wrong.1);
    let off = ask(401, &basic[..1], "", None);
    says(
        &off,
        ErrorClass::Refused { heals: false },
        &["switched off", "`message_trace_graph`"],
    );
    assert!(!off.1.contains("wrong"), "{}", off.1);
}

#[test]
fn right_missing() {
    let body =
        r#"{"ErrorCode":"","Message":"No permission to access the report for the organization ."}"#;
    says(
        &ask(403, &[], body, None),
        ErrorClass::Refused { heals: false },
        &[
            "403 Forbidden",
            "`Reports reader`",
            "`Security reader`",
            "No permission",
        ],
    );
}

#[test]
fn service_retired_or_elsewhere() {
    for status in [404, 410] {
        says(
            &ask(status, &[], "", None),
            ErrorClass::Person,
            &["retired", "`message_trace_graph`", "`reporting_url`"],
        );
    }
    for status in [403, 404, 406, 410, 414] {
        says(
            &ask(status, &[], "", Some(DEEP_LINK)),
            ErrorClass::Narrow,
            &["its own link"],
        );
    }
    let superseded = r#"{"odata.error":{"code":"","message":{"lang":"en-US","value":"This is deprecated, use Get-MessageTraceV2."}}}"#;
    for status in [400, 500, 503] {
        says(
            &ask(status, &[], superseded, None),
            ErrorClass::Person,
            &[
                "it names `Get-MessageTraceV2`",
                "retired",
                "`message_trace_graph`",
                "deprecated",
            ],
        );
    }
    let too_wide = superseded.replace("This is deprecated", "Windows can't be longer than 10 days");
    says(
        &ask(400, &[], &too_wide, None),
        ErrorClass::Narrow,
        &["too wide"],
    );
    says(
        &ask(400, &[], superseded, Some(DEEP_LINK)),
        ErrorClass::Narrow,
        &["its own link"],
    );
    says(
        &ask(
            302,
            &[("location", "https://login.test/x?secret=1")],
            "",
            None,
        ),
        ErrorClass::Person,
        &[
            "302 Found",
            "redirects to login.test, where no credential is sent",
        ],
    );
    says(
        &ask(301, &[("location", "/x")], "", None),
        ErrorClass::Person,
        &["another path"],
    );
    says(&ask(307, &[], "", None), ErrorClass::Person, &["nowhere"]);
    says(
        &ask(406, &[], "", None),
        ErrorClass::Person,
        &["406 Not Acceptable", "`reporting_url`"],
    );
}

#[test]
fn what_passes_by_itself() {
    says(
        &ask(429, &[("retry-after", "7")], "", None),
        after(7),
        &["`frequency`"],
    );
    let date = [("retry-after", "Thu, 01 Jan 1970 00:01:00 GMT")];
    says(&ask(503, &date, "", None), after(61), &["for the moment"]);
    for status in [408, 500, 502, 503, 504, 599] {
        says(&ask(status, &[], "", None), ErrorClass::Outage, &["later"]);
    }
    // This holds for each status and each value of the header.
    for status in [408, 425, 500, 504] {
        says(
            &ask(status, &[("retry-after", "0")], "", None),
            after(0),
            &[],
        );
    }
    says(&ask(425, &[], "", None), TRANSIENT, &["later"]);
    let throttled = ErrorClass::Throttled { after: None };
    says(&ask(429, &[], "", None), throttled, &["`frequency`"]);
    says(
        &ask(429, &[("retry-after", "soon")], "", None),
        after(0),
        &[],
    );
    // A gateway's wish for a pause is none for an administrator, and no reason to probe.
    for (status, value, seconds) in [
        (503, "1.5", 1),
        (503, "-1", 0),
        (503, "", 0),
        (500, "30s", 30),
        (408, "60, 120", 60),
        (502, "99999999999999999999999", 300),
        (403, "120", 120),
        (404, "5", 5),
        // To a page that says so.
        (302, "9", 9),
        (400, "7", 7),
    ] {
        let error = ask(status, &[("retry-after", value)], "", None);
        says(&error, after(seconds), &[]);
        let asks = error.1.contains("asks for a pause");
        assert_eq!(asks, matches!(status, 302 | 403 | 404), "{error:?}");
    }
}

#[test]
fn what_a_narrower_window_may_cure() {
    let wide = |status, body| {
        let case = Case {
            judge: reporting,
            by_app: true,
            status,
            headers: &[],
            body,
            link: None,
            lasts: false,
            permitted: None,
        };
        case.error().may_be_too_wide()
    };
    for status in [500, 504] {
        assert!(wide(status, ""));
    }
    for status in [400, 401, 429, 502, 503] {
        assert!(!wide(status, ""));
    }
    let body = r#"{"odata.error":{"code":"UnifiedReportingTimeout","message":{"value":"late"}}}"#;
    assert!(wide(503, body));
    let body = r#"{"odata.error":{"code":"","message":{"value":"UnifiedReportingTimeout."}}}"#;
    assert!(wide(503, body));
}

#[test]
fn the_cap_of_one_million_rows() {
    let body = r#"{"odata.error":{"code":"UnknownError","message":{"lang":"","value":"An error has occurred on the server."}}}"#;
    says(
        &ask(500, &[], body, Some(DEEP_LINK)),
        ErrorClass::Narrow,
        &["one million rows", "An error has occurred"],
    );
    says(&ask(500, &[], body, None), ErrorClass::Outage, &[]);
    says(
        &ask(
            500,
            &[],
            body,
            Some("https://reports.test/x?$skiptoken=1999"),
        ),
        ErrorClass::Outage,
        &[],
    );
    says(&ask(500, &[], "", Some(DEEP_LINK)), ErrorClass::Outage, &[]);
}

#[test]
fn bad_requests() {
    let body =
        |text: &str| format!(r#"{{"odata.error":{{"code":"","message":{{"value":"{text}"}}}}}}"#);
    says(
        &ask(
            400,
            &[("request-id", "1")],
            &body("Invalid StartDate value. The StartDate can't be older than 10 days from today."),
            None,
        ),
        ErrorClass::OutOfReach { days: Some(10) },
        &["keeps of 10 days", "nothing is given up"],
    );
    says(
        &ask(
            400,
            &[],
            &body("The interval between StartDate and EndDate can't be longer than 10 days."),
            None,
        ),
        ErrorClass::Narrow,
        &["too wide"],
    );
    says(
        &ask(400, &[], "", Some(DEEP_LINK)),
        ErrorClass::Narrow,
        &["its own link"],
    );
    says(
        &ask(
            400,
            &[],
            r#"{"error":{"code":"","message":{"value":"No such property."}}}"#,
            None,
        ),
        ErrorClass::Person,
        &["does not accept the query", "No such property."],
    );
}

#[test]
fn what_tells_nothing_passes_unless_it_lasts() {
    let said = ["tells nothing about the request", "`reporting_url`"];
    for (lasts, class) in [(false, TRANSIENT), (true, ErrorClass::Person)] {
        for status in [204, 206, 400, 409, 421, 423, 425, 449, 499] {
            let case = Case {
                judge: reporting,
                by_app: false,
                status,
                headers: &[],
                body: "",
                link: None,
                lasts,
                permitted: None,
            };
            says(&case.judged(), class, &said);
        }
    }
}

#[test]
fn a_web_page_that_forbids_says_nothing_certain_of_the_account() {
    let page = "<html><title>Blocked by Corp</title></html>";
    says(
        &ask(403, &[], page, None),
        ErrorClass::Person,
        &[
            "a proxy or gateway on the way may have written",
            "; if there is none, the account may not read the message trace: give it the rights",
            "Blocked by Corp",
        ],
    );
}

#[test]
fn a_web_page_that_forbids_names_the_role_too() {
    let case = Case {
        judge: reporting,
        by_app: true,
        status: 403,
        headers: &[],
        body: "<html><title>403 - Forbidden</title></html>",
        link: None,
        lasts: false,
        permitted: Some("ReportingWebService.Read.All"),
    };
    says(
        &case.judged(),
        ErrorClass::Person,
        &[
            "`ReportingWebService.Read.All`: a proxy or gateway",
            "if there is none, assign the directory role `Security Reader`",
            "403 - Forbidden",
        ],
    );
}
