//! Which of two services of one tenant is read. What is kept of a change to Microsoft Graph, and of a refused
//! password, each with the settings that it was decided under.

use std::sync::{Arc, Mutex};

use base::{Secret, lock};
use chrono::{DateTime, Utc};
use collect::letters::fingerprint;
use microsoft::PasswordGuard;
use sekoia::{Log, RunError, Storage, StorageError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    formats::{VERSION, read},
    service_change::{EndEvidence, KeptRefusal},
    tenant::Origin,
};

/// Where the change to Microsoft Graph is kept.
pub(super) const SERVICE_FILE: &str = "service.json";

/// Where it is kept when a password was refused.
pub(super) const SIGN_IN_FILE: &str = "sign_in.json";

/// Tells settings apart; no secret is among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DecidedUnder(String);

impl DecidedUnder {
    /// Of these settings, in this order.
    pub(super) fn of(settings: &[&str]) -> Self {
        let text = serde_json::to_string(settings).unwrap_or_default();
        Self(fingerprint(&text))
    }
}

/// The Reporting Web Service has ended, and Microsoft Graph is read in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Decision {
    version: u64,
    /// A hash of the settings that it was decided under.
    settings: String,
    /// When the Reporting Web Service said that it has ended.
    refusals: [DateTime<Utc>; 2],
    said: String,
    /// Since when Microsoft Graph is read.
    pub(super) since: DateTime<Utc>,
}

impl Decision {
    pub(super) fn new(terms: &DecidedUnder, evidence: EndEvidence, since: DateTime<Utc>) -> Self {
        let EndEvidence { refusals, said } = evidence;
        Self {
            version: VERSION,
            settings: terms.0.clone(),
            refusals,
            said,
            since,
        }
    }

    /// The one that is kept, under whichever settings; none when there is none that can be read.
    pub(super) async fn kept(storage: &Storage) -> Result<Option<Self>, StorageError> {
        read(storage, SERVICE_FILE).await
    }

    pub(super) fn is_under(&self, terms: &DecidedUnder) -> bool {
        self.settings == terms.0
    }

    /// Keeps it; on return it is safe.
    pub(super) async fn keep(&self, storage: &Storage) -> Result<(), RunError> {
        let text = serde_json::to_vec(self).map_err(RunError::failed)?;
        Ok(storage.write(SERVICE_FILE, text).await?)
    }

    pub(super) fn reason(&self) -> String {
        let [first, last] = self.refusals.map(super::words::moment);
        format!("at {first} and at {last} {}", self.said)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Choice {
    /// The Reporting Web Service while there is one, and Microsoft Graph from then on.
    Auto,
    /// The Reporting Web Service, also when it says that it has ended.
    Reporting,
    Graph,
}

impl Choice {
    /// Its word in the settings.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Reporting => "reporting",
            Self::Graph => "graph",
        }
    }

    /// What is read now, by what a run before has decided under these settings.
    pub(super) fn current(self, decided: Option<&Decision>, terms: &DecidedUnder) -> Origin {
        let decided = decided.is_some_and(|decision| decision.is_under(terms));
        match self {
            Self::Graph => Origin::Graph,
            Self::Auto if decided => Origin::Graph,
            Self::Auto | Self::Reporting => Origin::Reporting,
        }
    }
}

/// Microsoft Graph is wanted, and there is no app to sign in through.
pub(super) fn without_client() -> RunError {
    RunError::configuration(
        "client_id is missing, which the service `graph` needs: the id of an app registration that \
         allows public client flows (docs/setup.md#the-app-of-a-service-account)",
    )
}

/// The content of the other file. Of the password it holds eight bits of a salted hash: enough to
/// notice nearly every other password, and of no use to those who look for it. The salt stays as
/// long as the settings and these bits do: with another one each time, some copies of the file
/// would tell enough.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RefusedPassword {
    version: u64,
    settings: String,
    salt: Uuid,
    password: String,
    /// Milliseconds since 1970.
    refused: Vec<i64>,
    /// Which service takes no passwords is found out over restarts, too: a refused one is tried seldom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<KeptRefusal>,
}

/// Keeps it over a restart when a name and password were refused, so that no account is locked.
#[derive(Debug)]
pub(super) struct Passwords {
    guard: Arc<PasswordGuard>,
    terms: DecidedUnder,
    password: Secret,
    storage: Storage,
    log: Log,
    salt: Uuid,
    /// What an earlier process has kept of the end of the Reporting Web Service.
    pub(super) before: Option<KeptRefusal>,
    /// What is kept: the number of changes, and the same of this process.
    kept: Mutex<(u64, Option<KeptRefusal>)>,
}

impl Passwords {
    /// Goes on with what is kept under the same settings.
    pub(super) async fn restore(
        guard: Arc<PasswordGuard>,
        terms: DecidedUnder,
        password: Secret,
        storage: Storage,
        log: Log,
    ) -> Result<Self, RunError> {
        let refused: Option<RefusedPassword> = read(&storage, SIGN_IN_FILE).await?;
        let refused = refused.filter(|refused| {
            refused.settings == terms.0 && refused.password == bits(refused.salt, &password)
        });
        let salt = refused.as_ref().map(|refused| refused.salt);
        let before = refused.as_ref().and_then(|refused| refused.end);
        if let Some(refused) = refused {
            let at = refused.refused.into_iter();
            guard.restore(at.filter_map(DateTime::from_timestamp_millis));
        }
        Ok(Self {
            kept: Mutex::new((guard.changes(), before)),
            before,
            guard,
            terms,
            password,
            storage,
            log,
            salt: salt.unwrap_or_else(Uuid::new_v4),
        })
    }

    /// Keeps what was refused, and what there is of the `end` of the Reporting Web Service.
    pub(super) async fn keep(&self, end: Option<KeptRefusal>) {
        let found = (self.guard.changes(), end);
        if *lock(&self.kept) == found {
            return;
        }
        let refused = self.guard.refused();
        let without_it = unkept(!refused.is_empty(), end.is_some());
        let refused = RefusedPassword {
            version: VERSION,
            settings: self.terms.0.clone(),
            salt: self.salt,
            password: bits(self.salt, &self.password),
            refused: refused.iter().map(DateTime::timestamp_millis).collect(),
            end,
        };
        let Ok(text) = serde_json::to_vec(&refused) else {
            return;
        };
        match self.storage.write(SIGN_IN_FILE, text).await {
            // Not before: what a full disk or a stop has kept from the file is written with the next answer.
            Ok(()) => *lock(&self.kept) = found,
            Err(error) => self.log.exception(without_it, &error),
        }
    }
}

/// What follows when the file cannot be written: with refusals in it, and with what there is of an end.
fn unkept(is_refused: bool, has_end: bool) -> &'static str {
    match (is_refused, has_end) {
        (true, false) => {
            "It cannot be kept when the password was refused, so that a restart tries it at once"
        }
        (true, true) => {
            "It cannot be kept when the password was refused, nor that the Reporting Web Service seems to have \
             ended: a restart tries the password at once, and finds the end out anew"
        }
        (false, true) => {
            "It cannot be kept that the Reporting Web Service seems to have ended: a restart finds it out anew"
        }
        (false, false) => {
            "It cannot be kept that the password is not refused any more, so that a restart may wait before it \
             tries it"
        }
    }
}

/// Eight bits of a salted hash, as two digits.
pub(super) fn bits(salt: Uuid, password: &Secret) -> String {
    let salted = Secret::new(format!("{salt}{}", password.expose()));
    fingerprint(salted.expose()).chars().take(2).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::atomic::{AtomicBool, Ordering::Relaxed},
    };

    use async_trait::async_trait;
    use base::{Clock, Store};
    use bytes::Bytes;
    use sekoia::{Console, MemoryBackend};

    use super::*;
    use crate::triggers::service_change::Change;

    /// A disk that is full at first.
    #[derive(Debug, Default)]
    struct FullOnce(MemoryBackend, AtomicBool);

    #[async_trait]
    impl Store for FullOnce {
        async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
            self.0.read(name).await
        }

        async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
            match self.1.swap(true, Relaxed) {
                false => Err(io::ErrorKind::StorageFull.into()),
                true => self.0.write(name, content).await,
            }
        }

        async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
            self.0.append(name, content).await
        }

        async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
            self.0.list(prefix).await
        }

        async fn delete(&self, name: &str) -> io::Result<()> {
            self.0.delete(name).await
        }
    }

    /// A guard, and what keeps its refusals under these settings.
    async fn kept_under(
        storage: &Storage,
        terms: &DecidedUnder,
        password: &str,
    ) -> (Arc<PasswordGuard>, Passwords) {
        let guard = Arc::new(PasswordGuard::new(Clock::system()));
        let log = Log::new("test", Clock::system(), Console::new(|_| {}));
        let passwords = Passwords::restore(
            Arc::clone(&guard),
            terms.clone(),
            Secret::new(password),
            storage.clone(),
            log,
        );
        (guard, passwords.await.unwrap())
    }

    async fn refused_under(storage: &Storage, terms: &DecidedUnder, password: &str) -> usize {
        let (guard, _) = kept_under(storage, terms, password).await;
        guard.refused().len()
    }

    #[tokio::test]
    async fn a_refused_password_is_known_under_the_same_settings_only() {
        let storage = Storage::new(MemoryBackend::default());
        let terms = DecidedUnder::of(&["svc@corp.test", "corp.test"]);
        let (guard, passwords) = kept_under(&storage, &terms, "hunter2").await;
        passwords.keep(None).await;
        assert_eq!(
            storage.read(SIGN_IN_FILE).await.unwrap(),
            None,
            "nothing to keep"
        );
        let now = Clock::system().now();
        guard.restore([now, now]);
        passwords.keep(None).await;
        assert_eq!(refused_under(&storage, &terms, "hunter2").await, 2);
        let others = DecidedUnder::of(&["svc@corp.testcorp.test"]);
        assert_eq!(refused_under(&storage, &others, "hunter2").await, 0);
        let known =
            async |number: u32| refused_under(&storage, &terms, &number.to_string()).await > 0;
        let mut same = 0;
        for number in 0..1_000 {
            same += u32::from(known(number).await);
        }
        assert!((0..40).contains(&same), "one in 256 looks the same: {same}");
        let text = storage.read(SIGN_IN_FILE).await.unwrap().unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(!text.contains("hunter2") && text.len() < 400, "{text}");
        // However often it is written, also after a restart, it tells no more of the password.
        let hashed = async || {
            let text = storage.read(SIGN_IN_FILE).await.unwrap().unwrap();
            let kept: RefusedPassword = serde_json::from_slice(&text).unwrap();
            (kept.salt, kept.password)
        };
        let before = hashed().await;
        for _ in 0..3 {
            let (guard, again) = kept_under(&storage, &terms, "hunter2").await;
            for _ in 0..2 {
                guard.restore([now]);
                again.keep(None).await;
                assert_eq!(hashed().await, before);
            }
        }
        storage.write(SIGN_IN_FILE, "{").await.unwrap();
        assert_eq!(refused_under(&storage, &terms, "hunter2").await, 0);
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_not_kept_yet() {
        let storage = Storage::new(FullOnce::default());
        let terms = DecidedUnder::of(&["svc@corp.test", "corp.test"]);
        let (guard, passwords) = kept_under(&storage, &terms, "hunter2").await;
        guard.restore([Clock::system().now()]);
        passwords.keep(None).await;
        assert_eq!(refused_under(&storage, &terms, "hunter2").await, 0);
        passwords.keep(None).await;
        assert_eq!(refused_under(&storage, &terms, "hunter2").await, 1);
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        for (is_refused, has_end, names) in [
            (true, false, [true, false]),
            (true, true, [true, true]),
            (false, true, [false, true]),
            (false, false, [false, false]),
        ] {
            let said = unkept(is_refused, has_end);
            let named =
                ["when the password was refused", "have ended"].map(|text| said.contains(text));
            assert_eq!(named, names, "{said}");
        }
    }

    #[tokio::test]
    async fn what_is_known_of_the_end_is_kept_with_the_password() {
        let storage = Storage::new(MemoryBackend::default());
        let terms = DecidedUnder::of(&["svc@corp.test", "corp.test"]);
        let kept = async |terms: &DecidedUnder| kept_under(&storage, terms, "hunter2").await.1;
        let passwords = kept(&terms).await;
        assert_eq!(passwords.before, None);
        let mut change = Change::default();
        change.refused(Clock::system().reading(), "gone");
        let end = change.kept();
        passwords.keep(end).await;
        assert!(end.is_some());
        assert_eq!(kept(&terms).await.before, end);
        let others = DecidedUnder::of(&["svc@corp.test", "other.test"]);
        assert_eq!(kept(&others).await.before, None);
        // A page has come, although no password was refused that would be forgotten by it.
        kept(&terms).await.keep(None).await;
        assert_eq!(kept(&terms).await.before, None);
    }

    #[tokio::test]
    async fn a_decision_is_bound_to_its_settings() {
        let storage = Storage::new(MemoryBackend::default());
        assert_eq!(Decision::kept(&storage).await.unwrap(), None);
        let at = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let evidence = EndEvidence {
            refusals: [at, at],
            said: "gone".to_owned(),
        };
        let terms = DecidedUnder::of(&["a", "b"]);
        let decision = Decision::new(&terms, evidence, at);
        decision.keep(&storage).await.unwrap();
        let kept = Decision::kept(&storage).await.unwrap().unwrap();
        assert_eq!(kept, decision);
        assert!(kept.is_under(&terms) && !kept.is_under(&DecidedUnder::of(&["ab"])));
        assert!(kept.reason().ends_with(" gone"));
        storage.write(SERVICE_FILE, "7").await.unwrap();
        assert_eq!(Decision::kept(&storage).await.unwrap(), None);
    }
}
