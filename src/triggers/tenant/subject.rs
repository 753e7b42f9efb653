//! Whose mail settings are about.

use sekoia::Effective;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::FOLDERS;

const LONGEST_NAME: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::triggers) enum Origin {
    Graph,
    Reporting,
}

impl Origin {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Reporting => "reporting",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Graph => "Microsoft Graph",
            Self::Reporting => "Reporting Web Service",
        }
    }
}

/// Whose mail the settings are about, and by which service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// A GUID or a domain, in small letters.
    pub(super) tenant: String,
    pub(super) origin: Origin,
}

impl Subject {
    /// Of a tenant, as a person writes it.
    pub(in crate::triggers) fn new(tenant: &str, origin: Origin) -> Self {
        let tenant = tenant.trim().to_lowercase();
        let tenant = match Uuid::parse_str(&tenant) {
            Ok(guid) => guid.to_string(),
            Err(_) => tenant,
        };
        Self { tenant, origin }
    }

    /// Of an account, whose domain stands for its tenant.
    pub(in crate::triggers) fn of_account(account: &str) -> Self {
        let domain = account
            .rsplit_once('@')
            .map_or(account, |(_, domain)| domain);
        Self::new(domain, Origin::Reporting)
    }

    /// Of the settings of a trigger; none when they name nobody.
    pub(crate) fn of_settings(command: &str, values: &[Effective]) -> Option<Self> {
        let text = |name: &str| {
            let found = values
                .iter()
                .find(|one| one.object.is_some() && one.name == name);
            let text = found?.value.as_ref()?.as_str()?;
            Some(text.to_owned()).filter(|text| !text.is_empty())
        };
        let app = |origin| text("tenant_id").map(|tenant| Self::new(&tenant, origin));
        match command {
            "message_trace_graph" => app(Origin::Graph),
            "message_trace_oauth" => app(Origin::Reporting),
            _ => text("account_name").map(|account| Self::of_account(&account)),
        }
    }

    /// Whose state a folder is for, as far as its name tells; none for the first state's.
    pub(super) fn of_folder(folder: &str) -> Option<Self> {
        let (tenant, service) = folder.strip_prefix(FOLDERS)?.split_once('/')?;
        let origins = [Origin::Graph, Origin::Reporting];
        let origin = origins.into_iter().find(|one| one.word() == service)?;
        Some(Self::new(tenant, origin))
    }

    /// The folder of a state that is not the first.
    pub(super) fn folder(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let mut name: String = self.tenant.chars().filter(|c| plain(*c)).collect();
        name.truncate(LONGEST_NAME);
        if name != self.tenant || name.starts_with('.') || name.is_empty() {
            let mut hash = crc32fast::Hasher::new();
            hash.update(self.tenant.as_bytes());
            name = format!("x{name}-{:08x}", hash.finalize());
        }
        format!("{FOLDERS}{name}/{}", self.origin.word())
    }
}
