//! Switches of Microsoft Graph.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ById, Trouble};

/// The switches of the message trace of Microsoft Graph.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GraphSettings {
    /// Whether the tenant has the service principal that the message trace needs.
    pub service_principal: ServicePrincipal,
    /// How many requests are allowed.
    pub quota: QuotaSettings,
    /// The most rows of a page, even when `$top` asks for more: fewer make more pages of the same mail.
    pub page_rows: u32,
    /// Fraction digits of `receivedDateTime`: 0, 3 or 7. With 0, the traffic should be of
    /// [`Resolution::Second`](crate::Resolution::Second).
    pub fraction_digits: u8,
    /// Whether text that is unknown is null instead of empty.
    pub unknown_as_null: bool,
    /// Whether every row has its `@odata.type`.
    pub odata_type: bool,
    /// Where the link to the next page leads.
    pub next_link: GraphLink,
    /// Whether the link to the next page repeats the query's own options.
    pub link_keeps_options: bool,
    /// Whether the base64 of `$skiptoken` ends in `=`.
    pub padded_tokens: bool,
    /// The share of links, from 0 to 1, whose token has doubly quoted values and is refused.
    pub poisoned_tokens: f64,
    /// The share of links, from 0 to 1, that are refused for their starting recipient.
    pub refused_tokens: f64,
    /// The starting recipient that links are refused for; none for nobody.
    pub refused_recipient: Option<String>,
    /// After how many seconds a link is refused; none for never.
    pub token_seconds: Option<u32>,
    /// Whether a page repeats the last row of the page before, as the cmdlet's pages do.
    pub boundary_repeated: bool,
    /// The share of pages, from 0 to 1, after which an empty one is put.
    pub empty_pages: f64,
    /// Whether a window shows no more than so many recipients of a message; none for all are shown.
    pub shown_recipients: Option<u32>,
    /// What happens to a query for a message by its id.
    pub by_id: ById,
    /// How long an answer takes, in milliseconds.
    pub latency_ms: u64,
    /// What goes wrong.
    pub trouble: Trouble,
}

impl Default for GraphSettings {
    fn default() -> Self {
        Self {
            service_principal: ServicePrincipal::Present,
            quota: QuotaSettings::default(),
            page_rows: 5000,
            fraction_digits: 3,
            unknown_as_null: false,
            odata_type: false,
            next_link: GraphLink::Own,
            link_keeps_options: false,
            padded_tokens: true,
            poisoned_tokens: 0.0,
            refused_tokens: 0.0,
            refused_recipient: None,
            token_seconds: None,
            boundary_repeated: true,
            empty_pages: 0.0,
            shown_recipients: None,
            by_id: ById::Answered,
            latency_ms: 0,
            trouble: Trouble::default(),
        }
    }
}

/// Whether the tenant has the service principal of "Transport Data Platform".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServicePrincipal {
    /// It has.
    Present,
    /// It has not: status 401.
    Missing,
    /// It has not: status 403.
    MissingForbidden,
    /// It has from this time on; until then status 401.
    PresentFrom(DateTime<Utc>),
}

/// Where the link to the next page of Graph leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphLink {
    /// To the next page, on the host that was asked.
    Own,
    /// To the next page, on this other host.
    Foreign(String),
    /// From the second page to the second page.
    Repeating,
}

/// How many requests a tenant may send.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuotaSettings {
    /// Requests in a rolling window.
    pub requests: u32,
    /// The length of the window in seconds.
    pub seconds: u32,
    /// What a refusal says about when to come back.
    pub retry_after: RetryAfter,
    /// The code of the refusal.
    pub code: String,
    /// Requests per minute of another consumer in the same tenant, as far as the quota allows.
    pub other_consumer: f64,
}

impl Default for QuotaSettings {
    fn default() -> Self {
        Self {
            requests: 100,
            seconds: 300,
            retry_after: RetryAfter::Seconds,
            code: String::from("TooManyRequests"),
            other_consumer: 0.0,
        }
    }
}

/// What a refusal says about when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// The true number of seconds.
    Seconds,
    /// The true time, as an HTTP date.
    Date,
    /// A date that is over.
    Past,
    /// Nothing.
    Absent,
}
