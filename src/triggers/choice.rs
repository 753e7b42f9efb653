//! Which of two services of one tenant is read.

use sekoia::RunError;
use serde::Deserialize;

use super::{
    decision::{DecidedUnder, Decision},
    tenant::Origin,
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Choice {
    /// The Reporting Web Service while there is one, and Microsoft Graph from then on.
    #[default]
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
