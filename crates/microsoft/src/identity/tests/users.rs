//! Accounts that sign in with their password.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use super::{refusals::says, *};
use crate::{Concern, PasswordGuard};

const PASSWORD: &str = "hun ter2&é";

fn user(secret: Option<&str>) -> (Identity, Arc<PasswordGuard>) {
    let guard = Arc::new(PasswordGuard::new(Clock::virtual_from(now())));
    let identity = Identity::User {
        login: "https://login.test".parse().unwrap(),
        tenant: "corp.test".to_owned(),
        client: "app-id".to_owned(),
        secret: secret.map(Secret::new),
        account: "svc+trace@corp.test".to_owned(),
        password: Secret::new(PASSWORD),
        guard: Arc::clone(&guard),
    };
    (identity, guard)
}

/// A token with these claims besides its audience.
fn delegated(claims: &[(&str, &str)]) -> String {
    let mut all = json!({ "aud": AUDIENCE });
    for (name, value) in claims {
        all[*name] = json!(value);
    }
    let encode = |part: &str| BASE64_URL_SAFE_NO_PAD.encode(part);
    format!("{}.{}.c2ln", encode("{}"), encode(&all.to_string()))
}

fn give_delegated(fake: &Fake, scopes: &str) {
    let token = delegated(&[("scp", scopes)]);
    fake.answer(
        200,
        format!(r#"{{"expires_in":3600,"access_token":"{token}","refresh_token":"kept nowhere"}}"#),
    );
}

fn refuse(fake: &Fake, code: u32, error: &str) {
    fake.answer(
        400,
        format!(
            r#"{{"error":"{error}","error_description":"AADSTS{code}: No '{PASSWORD}'.","error_codes":[{code}]}}"#
        ),
    );
}

#[tokio::test(start_paused = true)]
async fn name_and_password_are_sent_once_for_all_and_again_ahead_of_expiry() {
    let fake = Fake::default();
    for (secret, count) in [(None, 5), (Some("s3cret"), 6)] {
        give_delegated(&fake, &format!("User.Read {ROLE}"));
        give_delegated(&fake, ROLE);
        let cache = cache(&fake, user(secret).0);
        assert!(cache.is_of_an_account());
        let grant = cache.grant().await.unwrap();
        assert_eq!(grant.permissions, ["User.Read", ROLE]);
        let request = fake.requests().pop().unwrap();
        let url = "https://login.test/corp.test/oauth2/v2.0/token";
        assert_eq!(request.uri().to_string(), url);
        let sent = form(&request);
        let mut expected = pairs(&[
            ("grant_type", "password"),
            ("client_id", "app-id"),
            ("scope", "https://graph.microsoft.com/.default"),
            ("username", "svc+trace@corp.test"),
            ("password", PASSWORD),
            ("client_secret", "s3cret"),
        ]);
        expected.truncate(count);
        assert_eq!(sent, expected);
        let before = fake.requests().len();
        cache.token().await.unwrap();
        assert_eq!(fake.requests().len(), before, "it is kept");
        tokio::time::advance(Duration::from_secs(3_301)).await;
        cache.token().await.unwrap();
        assert_eq!(fake.requests().len(), before + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_an_account_has_its_sentence() {
    for (code, error, part, is_held) in [
        (50126, "invalid_grant", "`account_password`", true),
        (50034, "invalid_grant", "no such account", true),
        (51004, "invalid_grant", "no such account", true),
        (50053, "invalid_grant", "is locked", true),
        (50055, "invalid_grant", "has expired", true),
        (50144, "invalid_grant", "has expired", true),
        (50056, "invalid_grant", "no password of this account", true),
        (50057, "invalid_grant", "is disabled", true),
        (50076, "invalid_grant", "second factor", true),
        (50079, "invalid_grant", "second factor", true),
        (50158, "interaction_required", "second factor", true),
        (53003, "access_denied", "Conditional Access", true),
        (53000, "access_denied", "Conditional Access", true),
        (50105, "invalid_grant", "assign it", true),
        (50020, "invalid_grant", "no account of the tenant", true),
        (50107, "invalid_request", "no account of the tenant", true),
        (500200, "invalid_grant", "no account of the tenant", true),
        (123, "invalid_grant", "is not accepted", true),
        (65001, "invalid_grant", "delegated permission", false),
        (90094, "access_denied", "admin consent", false),
        (
            7000218,
            "invalid_client",
            "`Allow public client flows` on",
            false,
        ),
        (
            700016,
            "unauthorized_client",
            "no app with this client id",
            false,
        ),
        (90002, "invalid_request", "no such tenant", false),
    ] {
        let fake = Fake::default();
        refuse(&fake, code, error);
        let (identity, guard) = user(None);
        let error = cache(&fake, identity).token().await.unwrap_err();
        let start = format!("sign-in of the account is refused (AADSTS{code}): ");
        let told = (error.class(), error.to_string());
        says(&told, ErrorClass::Person, &[&start, part, "No '***'."]);
        assert!(!told.1.contains(PASSWORD), "{}", told.1);
        assert_eq!(!guard.refused().is_empty(), is_held, "{code}");
    }
}

/// Gateways and services write errors as objects.
#[tokio::test(start_paused = true)]
async fn a_refusal_in_an_object_is_the_one_that_it_is() {
    for (status, message, part, is_held) in [
        (400, "AADSTS50126: No.", "`account_password`", true),
        (200, "AADSTS50053: No.", "is locked", true),
        (401, "No.", "is not accepted", true),
        (400, "AADSTS65001: No.", "delegated permission", false),
    ] {
        let fake = Fake::default();
        fake.answer(
            status,
            format!(r#"{{"error":{{"code":"invalid_grant","message":"{message}"}}}}"#),
        );
        let (identity, guard) = user(None);
        let error = cache(&fake, identity).token().await.unwrap_err();
        let said = format!("(the answer says: invalid_grant: {message})");
        let told = (error.class(), error.to_string());
        says(&told, ErrorClass::Person, &[part, &said]);
        assert_eq!(!guard.refused().is_empty(), is_held, "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_is_not_tried_at_every_use() {
    let fake = Fake::default();
    let cache = cache(&fake, user(None).0);
    let mut sentences = std::collections::BTreeSet::new();
    for second in 0..1_800 {
        if second % 30 == 0 {
            refuse(&fake, 50126, "invalid_grant");
            let error = cache.token().await.unwrap_err();
            assert_eq!(error.class(), ErrorClass::Person);
            assert_eq!(error.concern(), Concern::SignIn);
            sentences.insert(error.to_string());
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(fake.requests().len(), 4, "at 0, 2, 4 and 19 minutes");
    assert!(
        sentences
            .iter()
            .any(|said| said.contains("is wrong; check `account_name`")
                && said.contains("tried again at"))
    );
}

#[tokio::test(start_paused = true)]
async fn what_passes_by_itself_says_nothing_about_the_password() {
    let fake = Fake::default();
    let (identity, guard) = user(None);
    let cache = cache(&fake, identity);
    refuse(&fake, 90033, "temporarily_unavailable");
    fake.answer(503, "");
    fake.answer(200, "<title>Sign in</title>");
    for _ in 0..3 {
        cache.token().await.unwrap_err();
    }
    assert!(guard.refused().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_permission_is_read_where_a_delegated_token_has_it() {
    let fake = Fake::default();
    for claims in [
        vec![("scp", "User.Read")],
        vec![("scp", "")],
        vec![("other", "")],
    ] {
        let token = delegated(&claims);
        fake.answer(200, format!(r#"{{"access_token":"{token}"}}"#));
        let error = cache(&fake, user(None).0).token().await.unwrap_err();
        assert_eq!(error.concern(), Concern::Permission);
        let said = error.to_string();
        assert!(
            said.contains("delegated permission") && said.contains(ROLE),
            "{said}"
        );
    }
    // The roles of a person are no permission of the app.
    let token = token(AUDIENCE, &[ROLE], "1");
    fake.answer(200, format!(r#"{{"access_token":"{token}"}}"#));
    assert!(cache(&fake, user(None).0).token().await.is_err());
    // Nor does an app have what a person delegates.
    give_delegated(&fake, ROLE);
    assert!(cache(&fake, secret()).token().await.is_err());
}
