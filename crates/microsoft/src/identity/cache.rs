//! One token for everybody who needs one, renewed ahead of its expiry.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use base::{Clock, ErrorClass, Secret, http::Http};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::{sync::Mutex, time::Instant};
use uuid::Uuid;

use super::{Credential, Identity, Resource, claims::Claims, errors::SignInError, request};
use crate::oddities::LASTING;

/// How long before its expiry a token is renewed; a fifth of its lifetime when that is shorter.
const RENEWAL_LEAD: TimeDelta = TimeDelta::minutes(5);

/// How long the old token, while it lasts, is used after its renewal has failed.
const RENEWAL_PAUSE: TimeDelta = TimeDelta::seconds(30);

/// A token that has passed the checks.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) value: Secret,
    pub(super) expires: DateTime<Utc>,
    /// The permission to read message traces, when the token says that it has it.
    pub(crate) permitted: Option<&'static str>,
}

/// What a token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The permissions that it names; none when it cannot be read.
    pub permissions: Vec<String>,
    /// When it expires.
    pub expires: DateTime<Utc>,
}

/// Gives out a valid token. However many wait for one, one request is made, and they share its
/// outcome, be it a token or an error.
#[derive(Debug)]
pub struct TokenCache {
    http: Http,
    clock: Clock,
    identity: Identity,
    resource: Resource,
    /// How many requests for a token have ended.
    rounds: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Arc<Token>>,
    renew_at: DateTime<Utc>,
    /// Since when there is nothing but answers that tell nothing.
    odd: Option<Instant>,
    /// The round that failed last, and how.
    failure: Option<(u64, Arc<SignInError>)>,
}

impl TokenCache {
    /// An empty cache of tokens for a resource.
    pub fn new(http: Http, clock: Clock, identity: Identity, resource: Resource) -> Self {
        Self {
            http,
            clock,
            identity,
            resource,
            rounds: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// When the certificate ends with which the app proves itself; none without one.
    pub fn certificate_end(&self) -> Option<DateTime<Utc>> {
        match &self.identity {
            Identity::App {
                credential: Credential::Certificate(certificate),
                ..
            } => certificate.end(),
            _ => None,
        }
    }

    /// What a valid token allows.
    ///
    /// # Errors
    /// When there is no token, or it does not allow to read message traces.
    pub async fn grant(&self) -> Result<Grant, Arc<SignInError>> {
        let token = self.token().await?;
        let claims = Claims::read(token.value.expose());
        Ok(Grant {
            permissions: claims.map(Claims::permissions).unwrap_or_default(),
            expires: token.expires,
        })
    }

    /// The tenant that the token at hand is of, as it says; none when there is none, or it does not
    /// say. Nothing is asked for.
    pub fn tenant(&self) -> Option<Uuid> {
        let state = self.state.try_lock().ok()?;
        let claims = Claims::read(state.token.as_ref()?.value.expose())?;
        Uuid::parse_str(&claims.tid?).ok()
    }

    /// Whether an account signs in, and not an app itself.
    pub fn is_of_an_account(&self) -> bool {
        self.identity.is_an_account()
    }

    pub(crate) async fn token(&self) -> Result<Arc<Token>, Arc<SignInError>> {
        self.other_than(None).await
    }

    /// A valid token in place of one that the service has refused.
    pub(crate) async fn renewed(
        &self,
        refused: &Arc<Token>,
    ) -> Result<Arc<Token>, Arc<SignInError>> {
        self.other_than(Some(refused)).await
    }

    async fn other_than(
        &self,
        refused: Option<&Arc<Token>>,
    ) -> Result<Arc<Token>, Arc<SignInError>> {
        let asked_in = self.rounds.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        let usable = state
            .token
            .clone()
            .filter(|token| now < token.expires)
            .filter(|token| refused.is_none_or(|refused| !Arc::ptr_eq(token, refused)));
        if let Some(token) = &usable
            && now < state.renew_at
        {
            return Ok(Arc::clone(token));
        }
        if let Some((round, error)) = &state.failure
            && *round > asked_in
        {
            return usable.ok_or_else(|| Arc::clone(error));
        }
        let result = request::token(&self.http, &self.clock, &self.identity, &self.resource).await;
        let round = self.rounds.fetch_add(1, Ordering::AcqRel) + 1;
        let now = self.clock.now();
        match result {
            Ok(token) => {
                let lead = RENEWAL_LEAD.min((token.expires - now) / 5);
                state.renew_at = token.expires - lead;
                state.failure = None;
                state.odd = None;
                let token = Arc::new(token);
                state.token = Some(Arc::clone(&token));
                Ok(token)
            }
            Err(mut error) => {
                self.leave_connection(&error);
                let since = state.odd.unwrap_or_else(Instant::now);
                state.odd = error.is_odd().then_some(since);
                if error.is_odd() && since.elapsed() >= LASTING {
                    error = error.lasting();
                }
                let error = Arc::new(error);
                state.renew_at = now + RENEWAL_PAUSE;
                state.failure = Some((round, Arc::clone(&error)));
                usable.filter(|token| now < token.expires).ok_or(error)
            }
        }
    }

    /// The next request goes over a new connection, as behind one name stand many machines. Who has too many requests
    /// is not to get new ones besides.
    fn leave_connection(&self, error: &SignInError) {
        let is_throttled = matches!(error.class(), ErrorClass::Throttled { .. });
        if !is_throttled && let Ok(server) = self.identity.server().as_str().parse() {
            self.http.renew(&server);
        }
    }
}
