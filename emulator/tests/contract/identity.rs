//! The token endpoint and the managed identity.

use crate::support::{HOST, TRACE, emulator, graph, now, report, send, token, token_request};
use aws_lc_rs::{
    digest, rand,
    signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair},
};
use axum::{body::Body, http::Request};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use emulator::{AppSecret, Emulator, Endpoint, ErrorCodes, Fault, Secret, TestCertificate};
use serde_json::{Value, json};

const GRAPH: &str = "https://graph.microsoft.com";
const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Asks for a token with these fields in the place of the usual ones.
async fn ask(emulator: &Emulator, changes: &[(&str, &str)]) -> crate::support::Answer {
    let identity = emulator.settings().identity;
    let app = &identity.apps[0];
    let mut form = vec![
        ("grant_type", "client_credentials"),
        ("client_id", app.client_id.as_str()),
        ("client_secret", app.secrets[0].value.expose()),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    for (name, value) in changes {
        form.retain(|(known, _)| known != name);
        form.push((name, value));
    }
    token_request(emulator, &identity.tenant_domain, &form).await
}

/// The code with which an assertion is refused; 0 for one that is taken.
async fn code_of(emulator: &Emulator, assertion: &str) -> u64 {
    let fields = [
        ("client_assertion", assertion),
        ("client_assertion_type", KIND),
    ];
    let answer = ask(emulator, &fields).await;
    answer.json()["error_codes"][0].as_u64().unwrap_or(0)
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_secret_gives_a_token_that_says_what_it_is_good_for() {
    let emulator = emulator(0);
    let answer = ask(&emulator, &[]).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(
        (&body["token_type"], &body["expires_in"]),
        (&json!("Bearer"), &json!(3599))
    );
    let claims = claims(body["access_token"].as_str().unwrap());
    assert_eq!(claims["aud"], GRAPH);
    assert_eq!(claims["tid"], emulator.settings().identity.tenant_id);
    assert_eq!(claims["exp"], now().timestamp() + 3599);
    assert_eq!(claims["roles"][0], "ExchangeMessageTrace.Read.All");
    emulator.configure(|settings| settings.identity.apps[0].roles.clear());
    let token = token(&emulator, GRAPH).await;
    assert!(self::claims(&token).get("roles").is_none());
    let recorded = &emulator.requests(Endpoint::Token)[0];
    let body = String::from_utf8(recorded.body.to_vec()).unwrap();
    assert!(
        body.contains("client_secret=***") && body.contains("graph.microsoft.com"),
        "{body}"
    );
}

#[tokio::test]
async fn refusals_have_the_code_and_shape_of_the_real_ones() {
    let emulator = emulator(0);
    let codes = [
        (
            vec![("client_secret", "wrong")],
            401,
            "invalid_client",
            7_000_215,
        ),
        (
            vec![("client_id", "0")],
            400,
            "unauthorized_client",
            700_016,
        ),
        (
            vec![("scope", "https://graph.microsoft.com")],
            400,
            "invalid_scope",
            70_011,
        ),
        (
            vec![("scope", "https://other.example/.default")],
            400,
            "invalid_resource",
            500_011,
        ),
        (vec![("scope", "")], 400, "invalid_request", 900_144),
        (
            vec![("grant_type", "device_code")],
            400,
            "unsupported_grant_type",
            70_003,
        ),
    ];
    for (changes, status, error, code) in codes {
        let answer = ask(&emulator, &changes).await;
        let body = answer.json();
        assert_eq!(
            (answer.status.as_u16(), body["error"].as_str()),
            (status, Some(error))
        );
        assert_eq!(body["error_codes"], json!([code]));
        let description = body["error_description"].as_str().unwrap();
        assert!(description.starts_with(&format!("AADSTS{code}: ")));
        let trace = format!("\r\nTrace ID: {}\r\n", body["trace_id"].as_str().unwrap());
        assert!(description.contains(&trace));
        assert_eq!(body["timestamp"], "2026-11-22 10:00:00Z");
    }
    let code = async || {
        ask(&emulator, &[]).await.json()["error_codes"][0]
            .as_u64()
            .unwrap()
    };
    emulator.configure(|settings| settings.identity.apps[0].secrets[0].expired = true);
    assert_eq!(code().await, 7_000_222);
    emulator.configure(|settings| settings.identity.apps[0].provisioned = false);
    assert_eq!(code().await, 7_000_229);
    emulator.configure(|settings| settings.identity.refuse_with = Some(90_033));
    assert_eq!(ask(&emulator, &[]).await.status, 503);
    assert_eq!(
        token_request(&emulator, "elsewhere.example", &[])
            .await
            .status,
        503
    );
    emulator.configure(|settings| settings.identity.refuse_with = None);
    let elsewhere = token_request(&emulator, "elsewhere.example", &[])
        .await
        .json();
    assert_eq!(elsewhere["error_codes"][0], 90_002);
}

#[tokio::test]
async fn the_secret_may_stand_in_the_header() {
    let emulator = emulator(0);
    emulator.configure(|settings| {
        settings.identity.apps[0].secrets = vec![AppSecret {
            value: Secret::from("a+b~c/d%"),
            expired: false,
        }];
    });
    let identity = emulator.settings().identity;
    let pair = format!("{}:a%2Bb~c%2Fd%25", identity.apps[0].client_id);
    let request = Request::post(format!("/{}/oauth2/v2.0/token", identity.tenant_id))
        .header("authorization", format!("Basic {}", STANDARD.encode(pair)))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(
            "grant_type=client_credentials&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default",
        ))
        .unwrap();
    assert_eq!(send(emulator.microsoft_router(), request).await.status, 200);
}

/// A signed assertion.
fn assertion(certificate: &TestCertificate, algorithm: &str, claims: &Value) -> String {
    let pem_body = |pem: &str| {
        let lines: String = pem
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect();
        STANDARD.decode(lines).unwrap()
    };
    let der = pem_body(&certificate.certificate);
    let hash = |algorithm, der: &[u8]| URL_SAFE_NO_PAD.encode(digest::digest(algorithm, der));
    let header = if algorithm == "PS256" {
        json!({ "alg": algorithm, "typ": "JWT", "x5t#S256": hash(&digest::SHA256, &der) })
    } else {
        let thumbprint = hash(&digest::SHA1_FOR_LEGACY_USE_ONLY, &der);
        json!({ "alg": algorithm, "typ": "JWT", "x5t": thumbprint })
    };
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(claims));
    let key = RsaKeyPair::from_pkcs8(&pem_body(&certificate.key)).unwrap();
    let mut signature = vec![0; key.public_modulus_len()];
    let padding = if algorithm == "PS256" {
        &RSA_PSS_SHA256
    } else {
        &RSA_PKCS1_SHA256
    };
    key.sign(
        padding,
        &rand::SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn certificate_assertions_are_verified() {
    let emulator = emulator(0);
    let (certificate, other) = (TestCertificate::generate(), TestCertificate::generate());
    let text = certificate.certificate.clone();
    emulator.configure(|settings| settings.identity.apps[0].certificates.push(text));
    let identity = emulator.settings().identity;
    let id = &identity.apps[0].client_id;
    let good = json!({
        "aud": format!("http://{HOST}/{}/oauth2/v2.0/token", identity.tenant_id),
        "iss": id, "sub": id, "jti": "22b3bb26-e046-42df-9c96-65dbd72c1c81",
        "nbf": now().timestamp(), "exp": now().timestamp() + 600, "iat": now().timestamp(),
    });
    let code = async |assertion: &str| code_of(&emulator, assertion).await;
    assert_eq!(code(&assertion(&certificate, "PS256", &good)).await, 0);
    assert_eq!(code(&assertion(&certificate, "RS256", &good)).await, 0);
    assert_eq!(code(&assertion(&other, "PS256", &good)).await, 700_027);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        assertion(&certificate, "PS256", &claims)
    };
    assert_eq!(
        code(&with("aud", json!("https://else.example"))).await,
        700_023
    );
    assert_eq!(
        code(&with("exp", json!(now().timestamp() - 3600))).await,
        700_024
    );
    assert_eq!(
        code(&with("nbf", json!(now().timestamp() + 3600))).await,
        700_024
    );
    assert_eq!(code(&with("iss", json!("somebody"))).await, 700_021);
    let mut forged = assertion(&certificate, "PS256", &good);
    forged.replace_range(forged.len() - 8..forged.len() - 4, "AAAA");
    assert_eq!(code(&forged).await, 700_027);
}

#[tokio::test]
async fn federated_assertions_are_verified() {
    let emulator = emulator(0);
    let subject = emulator.settings().identity.apps[0]
        .federated_subject
        .clone()
        .unwrap();
    let code = async |assertion: &str| code_of(&emulator, assertion).await;
    let good = emulator.workload_token(&subject);
    assert_eq!(code(&good).await, 0);
    let foreign = self::emulator(0).workload_token(&subject);
    assert_eq!(code(&foreign).await, 700_211);
    assert_eq!(code(&emulator.workload_token("else")).await, 700_213);
}

#[tokio::test]
async fn the_managed_identity_wants_its_header_and_speaks_in_strings() {
    let emulator = emulator(0);
    let ask = async |metadata: &str| {
        let request = Request::get(
            "/metadata/identity/oauth2/token?api-version=2018-02-01&\
             resource=https%3A%2F%2Fgraph.microsoft.com%2F",
        );
        let request = request
            .header("metadata", metadata)
            .body(Body::empty())
            .unwrap();
        send(emulator.microsoft_router(), request).await
    };
    let refused = ask("True").await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["error"]),
        (400, &json!("bad_request_102"))
    );
    let answer = ask("true").await.json();
    assert_eq!(answer["expires_in"], "3599");
    assert_eq!(answer["expires_on"], (now().timestamp() + 3599).to_string());
    assert_eq!(answer["resource"], "https://graph.microsoft.com/");
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(
        graph(&emulator, crate::support::TRACES, token, &[])
            .await
            .status,
        200
    );
    emulator.configure(|settings| settings.identity.managed_identity = None);
    assert_eq!(ask("true").await.status, 400);
}

#[tokio::test]
async fn the_reporting_web_service_takes_its_own_tokens_only() {
    let emulator = emulator(1);
    let ask = async |token: &str| {
        let request = Request::get(TRACE)
            .header("accept", "application/json")
            .header("authorization", format!("Bearer {token}"));
        let answer = send(
            emulator.microsoft_router(),
            request.body(Body::empty()).unwrap(),
        )
        .await;
        answer.status.as_u16()
    };
    let own = token(&emulator, "https://outlook.office365.com").await;
    assert_eq!(ask(&own).await, 200);
    assert_eq!(ask(&token(&emulator, GRAPH).await).await, 401);
    emulator.configure(|settings| settings.identity.apps[0].roles.truncate(1));
    assert_eq!(
        ask(&token(&emulator, "https://outlook.office365.com").await).await,
        403
    );
    assert_eq!(report(&emulator, TRACE, "*/*").await.status, 200);
}

#[tokio::test]
async fn refusals_are_odd_in_what_they_have() {
    let emulator = emulator(0);
    emulator.configure(|settings| settings.identity.refuse_with = Some(50_087));
    for (form, codes) in [
        (ErrorCodes::Numbers, json!([50_087])),
        (ErrorCodes::Texts, json!(["50087"])),
        (ErrorCodes::Words, json!(["unknown"])),
        (ErrorCodes::Null, Value::Null),
    ] {
        emulator.configure(|settings| settings.identity.error_codes = form);
        assert_eq!(ask(&emulator, &[]).await.json()["error_codes"], codes);
    }
    emulator.configure(|settings| {
        settings.identity.error_codes = ErrorCodes::Absent;
        settings.identity.null_ids = true;
        settings.identity.refusal_status = Some(200);
    });
    emulator.fault(Endpoint::Token, Fault::ByteOrderMark.times(1));
    let answer = ask(&emulator, &[]).await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    let body: Value = serde_json::from_str(text.strip_prefix('\u{feff}').unwrap()).unwrap();
    assert!(body.get("error_codes").is_none() && body["trace_id"].is_null());
    emulator.configure(|settings| settings.identity.login_page = true);
    let answer = ask(&emulator, &[]).await;
    assert!(answer.status == 200 && answer.text().contains("<title>Sign in to your account<"));
}
