//! What goes wrong with windows, rows and links of the message trace, at either service.

use serde::{Deserialize, Serialize};

/// What goes wrong at a service; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trouble {
    /// Wide windows are not answered.
    pub wide: Option<Wide>,
    /// Queries are refused for reaching back too far.
    pub reach: Option<Reach>,
    /// Rows are shown that are no strict JSON.
    pub unreadable_row: Option<UnreadableRow>,
    /// Rows are shown that are dated outside the window.
    pub outside_window: Option<OutsideWindow>,
    /// Links to further pages lead nowhere, or take long to get there.
    pub fresh_links: Option<FreshLinks>,
}

/// The service cannot answer windows that are too wide, or that hold too much.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wide {
    /// Windows that are longer than this.
    pub seconds: Option<u32>,
    /// Windows that hold more rows than this.
    pub rows: Option<u32>,
    /// What happens to them.
    pub answer: TooWide,
}

impl Wide {
    /// Windows that are longer than this get this answer.
    pub fn minutes(minutes: u32, answer: TooWide) -> Self {
        Self {
            seconds: Some(minutes * 60),
            answer,
            ..Self::default()
        }
    }

    /// Windows that hold more rows than this get this answer.
    pub fn rows(rows: u32, answer: TooWide) -> Self {
        Self {
            rows: Some(rows),
            answer,
            ..Self::default()
        }
    }
}

/// What happens to a window that is too wide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TooWide {
    /// Status 504 with the page of a gateway.
    #[default]
    GatewayTimeout,
    /// Status 500 and `UnifiedReportingTimeout`, as the Reporting Web Service says it.
    ReportingTimeout,
    /// The answer never comes.
    Silence,
}

/// The service refuses queries with the text that says how far back they may reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reach {
    /// The number of days in the text.
    pub days: u64,
    /// Whether every query is refused, however short it reaches back; otherwise only those that
    /// reach back farther than the text says.
    pub lie: bool,
    /// Whether the refusal is the service's own, with its envelope and request id; otherwise it is
    /// bare text, and every query gets it.
    pub own: bool,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            days: 10,
            lie: true,
            own: true,
        }
    }
}

impl Reach {
    /// Every query is refused with this number of days.
    pub fn lie(days: u64) -> Self {
        Self {
            days,
            ..Self::default()
        }
    }

    /// What the refusal says.
    pub(crate) fn text(&self) -> String {
        format!(
            "Invalid StartDate value. The StartDate can't be older than {} days from today.",
            self.days
        )
    }
}

/// Rows that are shown in a form that is no strict JSON. A row is chosen by whichever of `index`,
/// `share` and `subject` is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnreadableRow {
    /// The row in this place of each page, counted from 0.
    pub index: Option<usize>,
    /// A share of all rows, from 0 to 1, always the same ones.
    pub share: f64,
    /// The rows whose subject contains this; none for no row.
    pub subject: Option<String>,
    /// How often each row is shown like that before it is as it should be; none for ever.
    pub reads: Option<u32>,
    /// What is wrong with it.
    pub form: Unreadable,
}

impl UnreadableRow {
    /// The rows whose subject contains this, for ever.
    pub fn with_subject(subject: &str, form: Unreadable) -> Self {
        Self {
            subject: Some(subject.to_owned()),
            form,
            ..Self::default()
        }
    }
}

/// What is wrong with a row that is no strict JSON. Rows without a subject are as they should be
/// where the subject would be at fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreadable {
    /// The subject begins with a raw newline.
    #[default]
    RawNewline,
    /// The subject begins with the byte 0xE9.
    Byte,
    /// The subject begins with the text `"},{"id":"`, escaped as it should be, and a raw newline.
    Forged,
    /// The subject begins with a raw newline and `"},{"id":"`, not escaped: a reader who escapes the
    /// newline alone reads two rows.
    Quote,
    /// There is `null` in the place of the row.
    Null,
    /// There is HTML in the middle of the row.
    Html,
    /// The row ends in its middle.
    Cut,
}

impl Unreadable {
    /// What a subject begins with that is shown like this, if that can be told at all.
    pub(crate) fn shown(self) -> Option<&'static str> {
        match self {
            Self::RawNewline => Some("\n"),
            Self::Byte => Some("\u{fffd}"),
            Self::Forged => Some("\"},{\"id\":\"\n"),
            Self::Quote | Self::Null | Self::Html | Self::Cut => None,
        }
    }

    /// What the subject begins with on its way, where the subject is at fault.
    pub(crate) fn raw(self) -> Option<&'static [u8]> {
        match self {
            Self::RawNewline => Some(b"\n"),
            Self::Byte => Some(b"\xe9"),
            Self::Forged => Some(b"\\\"},{\\\"id\\\":\\\"\n"),
            Self::Quote => Some(b"\n\"},{\"id\":\""),
            Self::Null | Self::Html | Self::Cut => None,
        }
    }
}

/// Rows that are shown although they do not lie in the window, or do not seem to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutsideWindow {
    /// How many rows of each page.
    pub rows: u32,
    /// How they are dated.
    pub form: Outside,
    /// For [`Outside::Earlier`]: at most how many seconds before the window they were received, and at
    /// least half as many.
    pub seconds: u32,
}

impl Default for OutsideWindow {
    fn default() -> Self {
        Self {
            rows: 1,
            form: Outside::Earlier,
            seconds: 30 * 3600,
        }
    }
}

/// How rows outside the window are dated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outside {
    /// Rows of an earlier time come on top of those of the page.
    Earlier,
    /// Rows of the page are dated in the year 1.
    YearOne,
    /// Rows of the page have null for their date.
    Null,
    /// The service does not heed the window: the pages show all that it has.
    Unfiltered,
}

/// Links to further pages that are always new.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FreshLinks {
    /// Where they lead.
    pub form: FreshLink,
    /// For [`FreshLink::Long`]: the bytes of a link.
    pub bytes: usize,
    /// For [`FreshLink::Empty`]: the empty pages before each further page.
    pub pages: u32,
}

impl Default for FreshLinks {
    fn default() -> Self {
        Self {
            form: FreshLink::SameRows,
            bytes: 70_000,
            pages: 3,
        }
    }
}

impl From<FreshLink> for FreshLinks {
    fn from(form: FreshLink) -> Self {
        Self {
            form,
            ..Self::default()
        }
    }
}

/// Where links to further pages lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FreshLink {
    /// To the same rows again, without end.
    SameRows,
    /// To an error, always.
    Failing,
    /// To the next page, by a link that is so long that the service itself may not take it.
    Long,
    /// To empty pages, and to the next page in the end. This is legal.
    Empty,
}
