use super::*;

async fn refused(identity: Identity, status: u16, body: &str) -> (ErrorClass, String) {
    let fake = Fake::default();
    fake.answer_with(status, &[("location", "https://x.test/")], body.to_owned());
    let error = cache(&fake, identity).token().await.unwrap_err();
    (error.class(), base::http::chain(&error))
}

#[track_caller]
pub(super) fn says((found, sentence): &(ErrorClass, String), class: ErrorClass, parts: &[&str]) {
    assert_eq!(*found, class, "{sentence}");
    for part in parts {
        assert!(
            sentence.contains(part),
            "`{part}` is missing in: {sentence}"
        );
    }
    assert!(!sentence.contains("hun ter2&"), "{sentence}");
}

const TRANSIENT: ErrorClass = ErrorClass::Transient { after: None };

#[tokio::test(start_paused = true)]
async fn every_known_code_has_its_sentence() {
    for (code, error, part) in [
        (
            7000215,
            "invalid_client",
            "secret's ID was copied instead of its value",
        ),
        (7000222, "invalid_client", "has expired"),
        (700016, "unauthorized_client", "`client_id` and `tenant_id`"),
        (7000229, "invalid_client", "no service principal"),
        (90002, "invalid_request", "no such tenant"),
        (700027, "invalid_client", "upload the certificate"),
        (
            700024,
            "invalid_client",
            "clock of this machine right, and where it is a federated token",
        ),
        (700025, "invalid_client", "public client"),
        (700213, "invalid_client", "api://AzureADTokenExchange"),
        (500011, "invalid_resource", "Exchange Online"),
        (50001, "invalid_resource", "Exchange Online"),
        (70011, "invalid_scope", "is not accepted"),
        (28002, "invalid_scope", "is not accepted"),
        (53003, "access_denied", "Conditional Access"),
        (50034, "invalid_grant", "not in this directory"),
        (9001023, "invalid_request", "`common`"),
        (900144, "invalid_request", "part of the request is missing"),
        (90094, "access_denied", "grant admin consent"),
        (900023, "invalid_request", "neither a GUID nor a domain"),
        (5000224, "invalid_request", "tenant is blocked"),
        (5000225, "invalid_request", "tenant is blocked"),
        (500022, "access_denied", "tenant restriction"),
        (500014, "invalid_resource", "is disabled in this tenant"),
        (50196, "invalid_request", "took the requests for a loop"),
        (53000, "access_denied", "managed device"),
        (53001, "access_denied", "managed device"),
        (530004, "access_denied", "managed device"),
        (7000218, "invalid_client", "without the proof"),
        (123, "invalid_client", "credential is not accepted"),
        (123, "unauthorized_client", "not known or not allowed"),
        (123, "invalid_scope", "address of the service"),
        (123, "other", "request for a token is not accepted"),
    ] {
        let body = format!(
            r#"{{"error":"{error}","error_description":"AADSTS{code}: Bad 'hun ter2&'.\r\nTrace ID: t-1\r\nCorrelation ID: c-1\r\nTimestamp: 2016-01-09 02:02:12Z","error_codes":[{code}],"timestamp":"2016-01-09 02:02:12Z","trace_id":"t-1","correlation_id":"c-1"}}"#
        );
        let ending = format!(
            "(the answer says: AADSTS{code}: Bad '***'., trace id t-1, correlation id c-1)"
        );
        says(
            &refused(secret(), 401, &body).await,
            ErrorClass::Person,
            &[&format!("refused (AADSTS{code}): "), part, &ending],
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_code_is_found_in_the_description() {
    let body = r#"{"error":"invalid_client","error_description":"AADSTS7000222: Old."}"#;
    says(
        &refused(secret(), 400, body).await,
        ErrorClass::Person,
        &["AADSTS7000222", "expired"],
    );
}

/// Each part of a refusal is read by itself.
#[tokio::test(start_paused = true)]
async fn odd_parts_take_nothing_from_the_others() {
    let description = r#""error":"invalid_client","error_description":"AADSTS7000222: Old.""#;
    for rest in [
        r#""error_codes":null,"trace_id":null,"correlation_id":"c-1""#,
        r#""error_codes":["7000222"],"trace_id":7,"correlation_id":"c-1""#,
        r#""error_codes":["AADSTS7000222"],"trace_id":{},"correlation_id":"c-1""#,
        r#""error_codes":[null,"what",7000222],"correlation_id":"c-1""#,
        r#""error_codes":[0,"0"],"correlation_id":"c-1""#,
        r#""error_codes":7000222,"trace_id":[],"correlation_id":"c-1""#,
        r#""error_codes":{},"timestamp":null,"correlation_id":"c-1""#,
    ] {
        for mark in ["", "\u{feff}"] {
            for status in [400, 401, 200] {
                let body = format!("{mark}{{{description},{rest}}}");
                says(
                    &refused(secret(), status, &body).await,
                    ErrorClass::Person,
                    &[
                        "refused (AADSTS7000222): the client secret has expired",
                        "(the answer says: AADSTS7000222: Old., correlation id c-1)",
                    ],
                );
            }
        }
    }
    for code in [r#""50196""#, "50196.0"] {
        let only =
            format!(r#"{{"error":null,"error_description":null,"error_codes":[0.5,{code}]}}"#);
        says(
            &refused(secret(), 400, &only).await,
            ErrorClass::Person,
            &["AADSTS50196", "loop"],
        );
    }
}

#[tokio::test(start_paused = true)]
async fn errors_with_success_are_the_errors_that_they_are() {
    let passing = r#"{"error":"invalid_grant","error_codes":[50087]}"#;
    says(
        &refused(secret(), 200, passing).await,
        ErrorClass::Outage,
        &["AADSTS50087", "asked again later"],
    );
    let object = r#"{"error":{"code":"Blocked","message":"No hun ter2& here."}}"#;
    says(
        &refused(secret(), 200, object).await,
        ErrorClass::Person,
        &["(the answer says: Blocked: No *** here.)"],
    );
    let page = "\u{feff}<html><head><title>Sign in\r\n to your account</title></head></html>";
    says(
        &refused(secret(), 200, page).await,
        TRANSIENT,
        &["without a token (the answer says: Sign in to your account); asked again later"],
    );
    let machine = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
    says(
        &refused(managed(None), 200, machine).await,
        ErrorClass::Person,
        &["says: Identity not found"],
    );
    let fake = Fake::default();
    let token = token(AUDIENCE, &[ROLE], "1");
    fake.answer(200, format!("\u{feff}{{\"access_token\":\"{token}\"}}"));
    assert_eq!(
        cache(&fake, secret()).token().await.unwrap().value.expose(),
        token
    );
}

#[tokio::test(start_paused = true)]
async fn answers_that_tell_nothing_pass_unless_they_last() {
    for status in [204, 206, 400, 409, 421, 423, 425, 449, 499] {
        says(
            &refused(secret(), status, " ").await,
            ErrorClass::Outage,
            &["tells nothing about the request", "`login_url`"],
        );
    }
    for status in [409, 421, 423, 425, 449, 499] {
        for body in [
            r#"{"error":"conflict"}"#,
            r#"{"error":{"code":"Locked","message":"Busy."}}"#,
            r#"{"error_description":"Try again."}"#,
        ] {
            let error = refused(secret(), status, body).await;
            says(&error, ErrorClass::Outage, &["asked again later"]);
        }
        for body in [
            r#"{"error":"invalid_client"}"#,
            r#"{"error":"unauthorized_client"}"#,
            r#"{"error_description":"AADSTS7000222: Expired."}"#,
        ] {
            let (class, _) = refused(secret(), status, body).await;
            let passes = status == 425;
            assert_eq!(class == ErrorClass::Person, !passes, "{status} {body}");
        }
    }
    let known = r#"{"error":"invalid_client","error_codes":[7000222]}"#;
    says(
        &refused(secret(), 409, known).await,
        ErrorClass::Person,
        &["expired"],
    );
    for (status, body) in [(204, ""), (200, "<title>Sign in</title>")] {
        let fake = Fake::default();
        let cache = cache(&fake, secret());
        let class = async || {
            fake.answer(status, body);
            cache.token().await.unwrap_err().class()
        };
        assert_ne!(class().await, ErrorClass::Person);
        tokio::time::advance(Duration::from_secs(599)).await;
        assert_ne!(class().await, ErrorClass::Person);
        fake.answer(503, "");
        assert_eq!(cache.token().await.unwrap_err().class(), ErrorClass::Outage);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_ne!(class().await, ErrorClass::Person, "begun anew");
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(class().await, ErrorClass::Person);
        give(&fake, 0, "1");
        assert!(cache.token().await.is_ok());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_ne!(class().await, ErrorClass::Person);
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_without_a_token_the_next_try_is_on_a_new_connection() {
    for (status, body, renewals) in [
        (200, r#"{"access_token":"a"#, 1),
        (401, "", 1),
        (503, "", 1),
        (429, "", 0),
    ] {
        let fake = Fake::default();
        fake.answer(status, body);
        assert!(cache(&fake, secret()).token().await.is_err());
        assert_eq!(fake.renewals(), renewals, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn redirects_on_the_origin_are_followed_with_the_form() {
    let fake = Fake::default();
    fake.answer_with(308, &[("location", "/moved/token?x=1")], "");
    fake.answer_with(307, &[("location", "https://login.test/again")], "");
    give(&fake, 3600, "1");
    cache(&fake, secret()).token().await.unwrap();
    let requests = fake.requests();
    let asked: Vec<String> = requests.iter().map(|one| one.uri().to_string()).collect();
    assert_eq!(
        asked[1..],
        [
            "https://login.test/moved/token?x=1",
            "https://login.test/again"
        ]
    );
    assert!(requests.iter().all(|one| one.body() == requests[0].body()));
    assert!(requests.iter().all(|one| one.method() == "POST"));
    for location in [
        "http://login.test/token",
        "https://login.test:444/token",
        "https://x:y@login.test/token",
        "https://evil.test/token",
        "//evil.test/token",
    ] {
        let fake = Fake::default();
        fake.answer_with(307, &[("location", location)], "");
        let error = cache(&fake, secret()).token().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Person);
        assert!(
            error.to_string().contains("no credential is sent"),
            "{error}"
        );
        assert_eq!(fake.requests().len(), 1, "{location}");
    }
    let fake = Fake::default();
    for _ in 0..9 {
        fake.answer_with(307, &[("location", "/again")], "");
    }
    let error = cache(&fake, secret()).token().await.unwrap_err();
    assert!(
        error.to_string().contains("redirects again and again"),
        "{error}"
    );
    assert_eq!(fake.requests().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_passes_by_itself() {
    let throttled = ErrorClass::Throttled { after: None };
    says(&refused(secret(), 429, "").await, throttled, &["later"]);
    for status in [408, 500, 503] {
        says(
            &refused(secret(), status, "").await,
            ErrorClass::Outage,
            &["asked again later"],
        );
    }
    let body = r#"{"error":"temporarily_unavailable"}"#;
    says(
        &refused(secret(), 400, body).await,
        ErrorClass::Outage,
        &["temporarily_unavailable"],
    );
    for code in [50087, 90006, 90024, 90033, 90055] {
        let body = format!(r#"{{"error":"invalid_request","error_codes":[{code}]}}"#);
        says(
            &refused(secret(), 400, &body).await,
            ErrorClass::Outage,
            &[&format!("AADSTS{code}")],
        );
    }
    let fake = Fake::default();
    fake.answer_with(429, &[("retry-after", "9")], "");
    let class = cache(&fake, secret()).token().await.unwrap_err().class();
    let retry_after = Some(Duration::from_secs(9));
    assert_eq!(class, ErrorClass::Throttled { after: retry_after });
    fake.fail(HttpError::new(HttpErrorKind::Connect, "login.test"));
    let error = cache(&fake, secret()).token().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Outage);
    assert!(base::http::chain(&error).contains("cannot connect to host: login.test"));
}

#[tokio::test(start_paused = true)]
async fn a_wish_for_a_pause_counts_however_long_that_lasts() {
    let fake = Fake::default();
    let cache = cache(&fake, secret());
    let after = Some(Duration::from_secs(9));
    for (status, body) in [(409, ""), (409, ""), (200, "<title>Busy</title>")] {
        fake.answer_with(status, &[("retry-after", "9")], body);
        let class = cache.token().await.unwrap_err().class();
        assert_eq!(class, ErrorClass::Throttled { after }, "{status}");
        tokio::time::advance(Duration::from_secs(601)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_something_else() {
    let redirected = refused(secret(), 302, "").await;
    says(
        &redirected,
        ErrorClass::Person,
        &["redirects to x.test", "`login_url`"],
    );
    let page = refused(secret(), 404, "<title>No hun ter2&</title>").await;
    says(
        &page,
        ErrorClass::Person,
        &["404 Not Found", "says: No ***"],
    );
    for body in [
        "",
        "{}",
        r#"{"access_token":""}"#,
        r#"{"access_token":"a b"}"#,
    ] {
        says(
            &refused(secret(), 200, body).await,
            TRANSIENT,
            &["without a token"],
        );
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_cannot_serve_are_not_used() {
    let answer = |token: &str| format!(r#"{{"access_token":"{token}","expires_in":3599}}"#);
    let none = refused(secret(), 200, &answer(&token(AUDIENCE, &[], "1"))).await;
    says(
        &none,
        ErrorClass::Person,
        &[
            "lacks the permission `ExchangeMessageTrace.Read.All`",
            "consent",
        ],
    );
    let other = refused(
        secret(),
        200,
        &answer(&token(AUDIENCE, &["Mail.Read"], "1")),
    )
    .await;
    says(
        &other,
        ErrorClass::Person,
        &["`Microsoft Graph`", "administrator"],
    );
    let machine = refused(managed(None), 200, &answer(&token(AUDIENCE, &[], "1"))).await;
    says(&machine, ErrorClass::Person, &["up to a day"]);
    let elsewhere = token("https://x.test", &[ROLE], "1");
    let elsewhere = refused(secret(), 200, &answer(&elsewhere)).await;
    says(
        &elsewhere,
        ErrorClass::Person,
        &["for `https://x.test` instead of `https://graph.microsoft.com`"],
    );

    let fake = Fake::default();
    let by_id = token(
        "00000003-0000-0000-c000-000000000000",
        &["exchangemessagetrace.read.all"],
        "1",
    );
    fake.answer(200, answer(&by_id))
        .answer(200, answer("opaque"));
    assert!(cache(&fake, secret()).token().await.is_ok());
    assert!(cache(&fake, secret()).token().await.is_ok());
}

#[test]
fn the_tenant_is_compared() {
    let resource = Resource::graph(&"https://graph.microsoft.com".parse().unwrap());
    let claims = |tenant: &str| claims::Claims {
        roles: vec![ROLE.to_owned()],
        tid: Some(tenant.to_owned()),
        ..claims::Claims::default()
    };
    assert!(
        claims(&TENANT.to_uppercase())
            .check(&resource, &secret())
            .is_ok()
    );
    let other = "5a1f9e6c-0000-4000-8000-000000000002";
    let error = claims(other).check(&resource, &secret()).unwrap_err();
    assert!(error.to_string().contains("check `tenant_id`"), "{error}");
    assert!(claims(other).check(&resource, &managed(None)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_a_managed_identity() {
    let body = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
    says(
        &refused(managed(None), 400, body).await,
        ErrorClass::Person,
        &["no managed identity", "says: Identity not found"],
    );
    for status in [404, 410, 500] {
        says(
            &refused(managed(None), status, "").await,
            ErrorClass::Outage,
            &[
                "asked again later",
                "if it persists, this may be no machine of Azure",
            ],
        );
    }
    let fake = Fake::default();
    fake.fail(HttpError::new(HttpErrorKind::Timeout, "169.254.169.254"));
    let error = cache(&fake, managed(None)).token().await.unwrap_err();
    assert!(error.to_string().contains("of Azure only"), "{error}");
}
