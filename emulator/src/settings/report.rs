//! Switches of the Reporting Web Service.

use serde::{Deserialize, Serialize};

use super::{ById, Canned, Trouble};
use crate::Secret;

/// A user of the tenant, who signs in to both services.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Account {
    /// The sign-in name.
    pub name: String,
    /// The password.
    pub password: Secret,
    /// The code of Microsoft Entra, such as 50076, with which the identity platform refuses it
    /// although the password is right.
    pub refused_with: Option<u32>,
    /// Whether it has a role in Exchange that may read the message trace: Graph wants that of users
    /// besides the permission of the application.
    pub exchange_role: bool,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            name: String::from("svc@contoso.example"),
            password: Secret::from("correct horse battery staple"),
            refused_with: None,
            exchange_role: true,
        }
    }
}

/// The switches of the Reporting Web Service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportSettings {
    /// Who may sign in with a password, here and at the identity platform.
    pub accounts: Vec<Account>,
    /// Whether sign-in with a password is possible at all at this service.
    pub basic_sign_in: bool,
    /// Whether those who are signed in have the right to read reports.
    pub permitted: bool,
    /// The answer to everything once the service is switched off for good.
    pub retired: Option<Canned>,
    /// The dialect of every answer, even when another one was asked for; none for the one that was asked for.
    pub always: Option<Dialect>,
    /// Whether slashes in dates of the verbose dialect are escaped.
    pub escaped_slashes: bool,
    /// Whether `d` is the array of rows itself when the query has `$top`.
    pub array_with_top: bool,
    /// Whether the verbose dialect has the link to the next page, as `d.__next`.
    pub next_in_verbose: bool,
    /// The most rows of a page.
    pub page_rows: u32,
    /// The first `$skiptoken` that is answered with an error.
    pub skip_token_cap: u64,
    /// What the number in `$skiptoken` means.
    pub skip_token: SkipToken,
    /// Where the link to the next page leads.
    pub next_link: NextLink,
    /// Whether the oldest row comes first.
    pub ascending: bool,
    /// Whether a row received exactly at `StartDate` is in the window.
    pub start_included: bool,
    /// Whether a row received exactly at `EndDate` is in the window.
    pub end_included: bool,
    /// Whether a window shows no more than so many recipients of a message; none for all are shown.
    pub shown_recipients: Option<u32>,
    /// What happens to a query for a message by its id.
    pub by_id: ById,
    /// How long an answer takes, in milliseconds.
    pub latency_ms: u64,
    /// What goes wrong.
    pub trouble: Trouble,
}

impl Default for ReportSettings {
    fn default() -> Self {
        Self {
            accounts: vec![Account::default()],
            basic_sign_in: true,
            permitted: true,
            retired: None,
            always: None,
            escaped_slashes: true,
            array_with_top: true,
            next_in_verbose: true,
            page_rows: 2000,
            skip_token_cap: 999_999,
            skip_token: SkipToken::LastIndex,
            next_link: NextLink::Relative,
            ascending: false,
            start_included: true,
            end_included: true,
            shown_recipients: None,
            by_id: ById::Answered,
            latency_ms: 0,
            trouble: Trouble::default(),
        }
    }
}

/// A form of the Reporting Web Service's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// XML.
    Atom,
    /// JSON with `value` and `odata.nextLink`.
    Light,
    /// JSON with `d` and `/Date(milliseconds)/`.
    Verbose,
}

/// What the number in the Reporting Web Service's `$skiptoken` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipToken {
    /// The `Index` of the last row that was returned.
    LastIndex,
    /// The number of rows that were returned.
    Offset,
}

/// Where a link to the next page leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextLink {
    /// To the next page, relative to the current one.
    Relative,
    /// To the next page, on this other host.
    Foreign(String),
    /// From the second page to the second page.
    Repeating,
    /// To further pages, without end, which are empty after the last row.
    Endless,
}
