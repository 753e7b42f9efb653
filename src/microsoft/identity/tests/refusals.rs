use super::*;

async fn refused(identity: Identity, status: u16, body: &str) -> (Class, String) {
    let fake = Fake::default();
    fake.answer_with(status, &[("location", "https://x.test/")], body.to_owned());
    let error = cache(&fake, identity).token().await.unwrap_err();
    (error.class(), crate::http::chain(&error))
}

#[track_caller]
fn says((found, sentence): &(Class, String), class: Class, parts: &[&str]) {
    assert_eq!(*found, class, "{sentence}");
    for part in parts {
        assert!(
            sentence.contains(part),
            "`{part}` is missing in: {sentence}"
        );
    }
    assert!(!sentence.contains("hun ter2&"), "{sentence}");
}

const TRANSIENT: Class = Class::Transient { retry_after: None };

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
        (700024, "invalid_client", "clock of this machine"),
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
            Class::Refused,
            &[&format!("refused (AADSTS{code}): "), part, &ending],
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_code_is_found_in_the_description() {
    let body = r#"{"error":"invalid_client","error_description":"AADSTS7000222: Old."}"#;
    says(
        &refused(secret(), 400, body).await,
        Class::Refused,
        &["AADSTS7000222", "expired"],
    );
}

#[tokio::test(start_paused = true)]
async fn what_passes_by_itself() {
    let throttled = Class::Throttled { retry_after: None };
    says(&refused(secret(), 429, "").await, throttled, &["later"]);
    for status in [408, 425, 500, 503] {
        says(
            &refused(secret(), status, "").await,
            Class::Outage,
            &["asked again later"],
        );
    }
    let body = r#"{"error":"temporarily_unavailable"}"#;
    says(
        &refused(secret(), 400, body).await,
        Class::Outage,
        &["temporarily_unavailable"],
    );
    for code in [90006, 90024, 90033, 90055] {
        let body = format!(r#"{{"error":"invalid_request","error_codes":[{code}]}}"#);
        says(
            &refused(secret(), 400, &body).await,
            Class::Outage,
            &[&format!("AADSTS{code}")],
        );
    }
    let fake = Fake::default();
    fake.answer_with(429, &[("retry-after", "9")], "");
    let class = cache(&fake, secret()).token().await.unwrap_err().class();
    let retry_after = Some(Duration::from_secs(9));
    assert_eq!(class, Class::Throttled { retry_after });
    fake.fail(HttpError::new(HttpErrorKind::Connect, "login.test"));
    let error = cache(&fake, secret()).token().await.unwrap_err();
    assert_eq!(error.class(), Class::Outage);
    assert!(crate::http::chain(&error).contains("cannot connect to host: login.test"));
}

#[tokio::test(start_paused = true)]
async fn answers_of_something_else() {
    let redirected = refused(secret(), 302, "").await;
    says(
        &redirected,
        Class::Refused,
        &["redirects to x.test", "`login_url`"],
    );
    let page = refused(secret(), 404, "<title>No hun ter2&</title>").await;
    says(&page, Class::Refused, &["404 Not Found", "says: No ***"]);
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
        Class::Refused,
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
        Class::Refused,
        &["`Microsoft Graph`", "administrator"],
    );
    let machine = refused(managed(None), 200, &answer(&token(AUDIENCE, &[], "1"))).await;
    says(&machine, Class::Refused, &["up to a day"]);
    let elsewhere = token("https://x.test", &[ROLE], "1");
    let elsewhere = refused(secret(), 200, &answer(&elsewhere)).await;
    says(
        &elsewhere,
        Class::Refused,
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
        Class::Refused,
        &["no managed identity", "says: Identity not found"],
    );
    for status in [404, 410, 500] {
        says(
            &refused(managed(None), status, "").await,
            Class::Outage,
            &["asked again later"],
        );
    }
    let fake = Fake::default();
    fake.fail(HttpError::new(HttpErrorKind::Timeout, "169.254.169.254"));
    let error = cache(&fake, managed(None)).token().await.unwrap_err();
    assert!(error.to_string().contains("of Azure only"), "{error}");
}
