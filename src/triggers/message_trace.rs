//! The trigger "Message Trace": a service account, and the Reporting Web Service, or Microsoft Graph
//! once that has ended.

use std::sync::Arc;

use base::Secret;
use microsoft::{Identity, PasswordGuard, ReportingService, SignIn, TokenCache};
use sekoia::{Context, Findings, RunError, Topic, Trigger};
use serde::Deserialize;
use url::Url;

use super::{
    check::{self, Service},
    collection::{self, Collection, Task, Whose},
    graph_settings::GraphSettings,
    service_choice::{Choice, DecidedUnder, Passwords, without_client},
    services::{Services, TwoServices},
    source::Reporting,
    tenant::Subject,
};

#[derive(Debug, Deserialize)]
pub(crate) struct AccountSettings {
    account_name: String,
    account_password: Secret,
    reporting_url: Url,
    pub(super) service: Choice,
    /// Through which the account signs in to Microsoft Graph.
    client_id: Option<String>,
    client_secret: Option<Secret>,
    tenant_id: Option<String>,
    login_url: Url,
    #[serde(flatten)]
    pub(super) graph: GraphSettings,
    #[serde(flatten)]
    pub(super) collection: Collection,
}

/// Collects with the name and password of a service account.
#[derive(Debug)]
pub(crate) struct MessageTrace;

impl Trigger for MessageTrace {
    const MANIFEST: &'static str = include_str!("../../trigger_message_trace.json");
    const ALIASES: &'static [&'static str] = &["office365_messagetrace_trigger"];
    type Settings = AccountSettings;

    async fn run(settings: AccountSettings, context: Context) -> Result<(), RunError> {
        Box::pin(settings.perform(context, Task::Collect)).await
    }

    fn validate(settings: AccountSettings, _: &Context) -> Result<(), RunError> {
        if settings.service == Choice::Graph && settings.client_id.is_none() {
            return Err(without_client());
        }
        settings.graph.validate(&settings.collection)
    }

    const TOPICS: &'static [Topic] = check::TOPICS;

    async fn check(settings: AccountSettings, context: Context, findings: &mut Findings<'_>) {
        let (whose, terms) = (settings.subject(), settings.terms());
        // Each service is asked once, at a person's wish.
        let guards = [(); 2].map(|()| Arc::new(PasswordGuard::new(context.clock.clone())));
        let [of_reporting, of_graph] = &guards;
        let sign_in = settings.sign_in(of_reporting);
        let tokens = settings.tokens(of_graph, &context);
        let AccountSettings {
            reporting_url: url,
            service,
            login_url,
            graph,
            collection,
            ..
        } = settings;
        let around = (&context, &whose);
        let subject = async {
            // A run asks for it also where it has no app for Graph.
            let share = graph.share(Task::Collect, &collection.inquiry)?;
            let reporting = Service::reporting(&context, url, sign_in, None, None);
            let successor = match tokens {
                None => None,
                Some(tokens) => {
                    let login = Some(login_url);
                    Some(Service::graph(around, &graph, share, tokens, login).await)
                }
            };
            check::Subject::of_both(service, &terms, reporting, successor, around).await
        };
        check::run(subject.await, &collection, &whose, &context, findings).await;
        if guards.iter().any(|guard| !guard.refused().is_empty()) {
            findings.rest(microsoft::PASSWORD_PAUSE);
        }
    }
}

impl AccountSettings {
    pub(super) async fn perform(self, context: Context, task: Task) -> Result<(), RunError> {
        let (subject, terms) = (self.subject(), self.terms());
        let guard = Arc::new(PasswordGuard::new(context.clock.clone()));
        let (sign_in, tokens) = (self.sign_in(&guard), self.tokens(&guard, &context));
        let Self {
            account_password: password,
            reporting_url,
            service: choice,
            graph,
            collection,
            ..
        } = self;
        if choice == Choice::Graph && tokens.is_none() {
            return Err(without_client());
        }
        let share = graph.share(task, &collection.inquiry)?;
        let around = context.clone();
        let whose = Whose {
            subject,
            tokens: Vec::from_iter(tokens.clone()),
        };
        collection::run(collection, context, task, whose, async |keyer, storage| {
            let (http, clock) = (around.http.clone(), around.clock.clone());
            let passwords = Passwords::restore(
                guard,
                terms.clone(),
                password,
                storage.clone(),
                around.log.clone(),
            );
            let passwords = Some(passwords.await?);
            let service = ReportingService::new(http, clock, reporting_url, sign_in, keyer);
            let graph = match tokens {
                Some(tokens) => Some(
                    graph
                        .source(share, tokens, keyer, &storage, &around)
                        .await?,
                ),
                None => None,
            };
            let parts = TwoServices {
                choice,
                terms,
                reporting: Reporting::new(service),
                graph,
                passwords,
            };
            Services::new(parts, storage, &around).await
        })
        .await
    }

    pub(super) fn subject(&self) -> Subject {
        Subject::of_account(&self.account_name)
    }

    /// The settings under which it is found out which service is read.
    pub(super) fn terms(&self) -> DecidedUnder {
        DecidedUnder::of(&[
            self.service.word(),
            &self.account_name,
            self.client_id.as_deref().unwrap_or_default(),
            self.tenant(),
            self.login_url.as_str(),
            self.reporting_url.as_str(),
            self.graph.graph_url.as_str(),
        ])
    }

    /// Where the account signs in: its domain stands for its tenant.
    fn tenant(&self) -> &str {
        let domain = || self.account_name.rsplit_once('@').map(|(_, domain)| domain);
        let tenant = self.tenant_id.as_deref().or_else(domain);
        tenant.unwrap_or(&self.account_name)
    }

    fn sign_in(&self, guard: &Arc<PasswordGuard>) -> SignIn {
        SignIn::Basic {
            account: self.account_name.clone(),
            password: self.account_password.clone(),
            guard: Arc::clone(guard),
        }
    }

    /// The tokens of the account for Microsoft Graph; none without an app to sign in through.
    fn tokens(&self, guard: &Arc<PasswordGuard>, context: &Context) -> Option<Arc<TokenCache>> {
        let identity = Identity::User {
            login: self.login_url.clone(),
            tenant: self.tenant().to_owned(),
            client: self.client_id.clone()?,
            secret: self.client_secret.clone(),
            account: self.account_name.clone(),
            password: self.account_password.clone(),
            guard: Arc::clone(guard),
        };
        let (http, clock) = (context.http.clone(), context.clock.clone());
        let resource = self.graph.resource();
        Some(Arc::new(TokenCache::new(http, clock, identity, resource)))
    }
}
