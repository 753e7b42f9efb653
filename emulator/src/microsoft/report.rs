//! The Reporting Web Service: `reporting.svc/MessageTrace` and `reporting.svc/MessageTraceDetail`.

mod detail;
mod query;

use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::json;
use uuid::Uuid;

use self::detail::message_trace_detail;
use self::query::{Query, number, query};
use super::{
    REPORTING, accounts,
    identity::{self, Denied},
    odata::Comparison,
    render::{ATOM_TYPE, Page},
    trouble::{self, Following, PADDING, Refused, TURN},
};
use crate::{
    Emulator, ReportSettings, Status, TraceRow,
    answer::{Answer, Call},
    rows::{Selected, Selection},
    settings::{ById, Dialect, NextLink, SkipToken},
    time::ticks,
};

/// What the service leaves as it is in a query.
const QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b'<')
    .add(b'>');

/// The report of what happened to a message, in lower case.
pub(super) const DETAILS: &str = "messagetracedetail";

const RESOURCE: &str = "https://outlook.office365.com";
const ROLE: &str = "ReportingWebService.Read.All";

pub(super) fn answer(emulator: &Emulator, settings: &ReportSettings, call: &Call) -> Answer {
    if let Some(answer) = trouble::foreign(&settings.trouble) {
        return answer;
    }
    let answer = respond(emulator, settings, call);
    // Exchange's front ends put an id on everything; that this service does is not confirmed.
    answer.with("request-id", &Uuid::new_v4().to_string())
}

fn respond(emulator: &Emulator, settings: &ReportSettings, call: &Call) -> Answer {
    if let Some(retired) = &settings.retired {
        let answer = Answer::new(retired.status, &retired.content_type, retired.body.clone());
        return match &retired.location {
            Some(location) => answer.with("location", location),
            None => answer,
        };
    }
    let permitted = match signed_in(emulator, settings, call) {
        Ok(permitted) => permitted,
        Err(refused) => return *refused,
    };
    if !(permitted && settings.permitted) {
        return Answer::new(
            403,
            "application/json; charset=utf-8",
            r#"{"ErrorCode":"","Message":"No permission to access the report for the organization ."}"#,
        );
    }
    let lower = call.path.to_ascii_lowercase();
    let mut answer = match lower
        .strip_prefix(REPORTING)
        .map(|rest| rest.trim_matches('/'))
    {
        Some("messagetrace") => message_trace(emulator, settings, call),
        Some(DETAILS) => message_trace_detail(emulator, settings, call),
        _ => {
            let page = "<h1>404 - File or directory not found.</h1>";
            Ok(Answer::new(404, "text/html", page))
        }
    }
    .unwrap_or_else(|refusal| refusal.answer(dialect(settings, call)));
    answer.latency += Duration::from_millis(settings.latency_ms);
    answer
}

/// Whether the one who is signed in has the permission; without a sign-in, the refusal.
fn signed_in(
    emulator: &Emulator,
    settings: &ReportSettings,
    call: &Call,
) -> Result<bool, Box<Answer>> {
    match identity::admit(emulator, call, RESOURCE, ROLE) {
        Ok(()) => return Ok(true),
        Err(Denied::NoRole | Denied::NoExchangeRole) => return Ok(false),
        Err(_) => {}
    }
    if settings.basic_sign_in
        && let Some((name, password)) = call.basic()
        && accounts::sign_in(emulator, &settings.accounts, &name, &password).is_ok()
    {
        return Ok(true);
    }
    let refused = "401 - Unauthorized: Access is denied due to invalid credentials.";
    let page = format!(
        "<html><head><title>{refused}</title></head><body><h1>Server Error</h1>\
         <h2>{refused}</h2><h3>The credentials that you supplied are not accepted.</h3>\
         </body></html>"
    );
    let offer = if settings.basic_sign_in {
        "Basic realm=\"reports.office365.com\""
    } else {
        "Bearer authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\""
    };
    Err(Box::new(
        Answer::new(401, "text/html", page).with("www-authenticate", offer),
    ))
}

/// A query that the service does not answer.
struct Refusal {
    status: u16,
    code: &'static str,
    language: &'static str,
    message: String,
}

impl Refusal {
    fn bad(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code: "",
            language: "en-US",
            message: message.into(),
        }
    }

    fn failed(code: &'static str, message: &str) -> Self {
        Self {
            status: 500,
            code,
            language: "",
            message: message.to_owned(),
        }
    }

    fn answer(self, dialect: Dialect) -> Answer {
        let error = json!({
            "code": self.code,
            "message": {"lang": self.language, "value": self.message},
        });
        match dialect {
            Dialect::Verbose => Answer::json(self.status, &json!({ "error": error })),
            Dialect::Light => Answer::json(self.status, &json!({ "odata.error": error })),
            Dialect::Atom => Answer::new(
                self.status,
                "application/xml",
                format!(
                    "<ServiceFault><Message>{}</Message></ServiceFault>",
                    self.message
                ),
            ),
        }
    }
}

fn dialect(settings: &ReportSettings, call: &Call) -> Dialect {
    let accept = call.header("accept").to_ascii_lowercase();
    let accepts_json = accept.contains("application/json");
    if let Some(dialect) = settings.always {
        return dialect;
    }
    match call
        .option("$format")
        .map(|format| format.to_ascii_lowercase())
    {
        Some(format) if format == "json" => Dialect::Verbose,
        Some(_) => Dialect::Atom,
        None if accepts_json && accept.contains("odata=verbose") => Dialect::Verbose,
        None if accepts_json => Dialect::Light,
        None => Dialect::Atom,
    }
}

fn meets(row: &TraceRow, condition: &Comparison) -> bool {
    let wanted = condition.value.text();
    let is = |value: Option<&str>| value.unwrap_or_default().eq_ignore_ascii_case(wanted);
    let equal = match condition.property.as_str() {
        "SenderAddress" => is(Some(&row.sender)),
        "RecipientAddress" => is(Some(&row.recipient)),
        "Status" => Status::parse(wanted) == Some(row.status),
        "MessageId" => row.message_id.as_deref() == Some(wanted),
        "MessageTraceId" => is(Some(&row.trace_id.to_string())),
        "Subject" => is(row.subject.as_deref()),
        "FromIP" => is(row.from_ip.as_deref()),
        _ => is(row.to_ip.as_deref()),
    };
    equal == (condition.operator != "ne")
}

fn message_trace(
    emulator: &Emulator,
    settings: &ReportSettings,
    call: &Call,
) -> Result<Answer, Refusal> {
    let now = emulator.clock().now();
    let mut query = query(settings, call, now)?;
    let by_id = query.by_id(settings)?;
    if let Some(refusal) = refused(emulator, settings, &query) {
        return refusal;
    }
    let top = number(call, "$top")?;
    if top.is_some_and(|top| top == 0 || top > 2000) {
        return Err(Refusal::bad(
            "The value of $top must be between 1 and 2000.",
        ));
    }
    let token = number(call, "$skiptoken")?;
    if token.is_some_and(|token| token >= settings.skip_token_cap) {
        let message = "An error has occurred on the server.";
        return Err(Refusal::failed("UnknownError", message));
    }
    let offset = match (token, settings.skip_token) {
        (None, _) => 0,
        (Some(token), SkipToken::LastIndex) => token + 1,
        (Some(token), SkipToken::Offset) => token,
    };
    let turn = call.option(TURN).and_then(|turn| turn.parse().ok());
    let following = trouble::following(&settings.trouble, token.is_some(), turn);
    if following == Following::Error {
        return Err(Refusal::failed("UnknownError", "The page cannot be read."));
    }
    let size = match following {
        Following::Empty(_) => 0,
        _ => top.unwrap_or(u64::MAX).min(u64::from(settings.page_rows)) as usize,
    };
    let Selected { rows, more } = match by_id {
        Some(ById::Empty) => Selected::default(),
        _ => rows(emulator, settings, &query, offset, size),
    };
    let reached = offset + if rows.is_empty() { size } else { rows.len() } as u64;
    let rows = trouble::show(
        &mut emulator.world(),
        &settings.trouble,
        rows,
        ticks(query.start),
        emulator.ticks(),
    );
    let dialect = dialect(settings, call);
    let shown = match dialect {
        Dialect::Verbose => settings.next_in_verbose,
        _ => true,
    };
    let endless = settings.next_link == NextLink::Endless;
    let next = match following {
        Following::Empty(turn) | Following::Same(turn) => Some((token, Some(turn))),
        Following::Page(turn) if more || endless => {
            Some((Some(following_token(settings, token, reached)), turn))
        }
        Following::Page(_) | Following::Error => None,
    };
    let next = next.filter(|_| shown);
    let next = next.map(|(token, turn)| next_link(settings, call, token, turn));
    let page = Page {
        rows: &rows,
        first: offset,
        start: query.start,
        end: query.end,
        next,
        array: settings.array_with_top && top.is_some(),
        escaped_slashes: settings.escaped_slashes,
    };
    let media_type = match dialect {
        Dialect::Atom => ATOM_TYPE,
        Dialect::Light => "application/json;odata=minimalmetadata;streaming=true;charset=utf-8",
        Dialect::Verbose => "application/json;odata=verbose;charset=utf-8",
    };
    let mut answer = Answer::new(200, media_type, page.text(dialect));
    answer.latency = by_id.map_or(Duration::ZERO, ById::delay);
    Ok(answer.with("dataserviceversion", "3.0;"))
}

/// What happens to the query of a service that is in trouble.
fn refused(
    emulator: &Emulator,
    settings: &ReportSettings,
    query: &Query,
) -> Option<Result<Answer, Refusal>> {
    let now = emulator.ticks();
    let (from, to) = (ticks(query.start), ticks(query.end));
    let trouble = &settings.trouble;
    if let Some(refusal) = trouble::reach(trouble, from, now) {
        return Some(Err(Refusal::bad(refusal)));
    }
    let rows = &mut emulator.world().rows;
    let refused = match trouble::wide(trouble, rows, from, to, now)? {
        Refused::Answer(answer) => Ok(*answer),
        Refused::Timeout(code) => Err(Refusal::failed(code, "The query took too long.")),
    };
    Some(refused)
}

/// The rows of a page.
fn rows(
    emulator: &Emulator,
    settings: &ReportSettings,
    query: &Query,
    offset: u64,
    size: usize,
) -> Selected {
    let filter = |row: &TraceRow| {
        query
            .conditions
            .iter()
            .all(|condition| meets(row, condition))
    };
    let from = ticks(query.start) + i64::from(!settings.start_included);
    let to = ticks(query.end) - i64::from(!settings.end_included);
    let selection = Selection {
        ascending: settings.ascending,
        filter: (!query.conditions.is_empty()).then_some(&filter),
        shown_recipients: settings.shown_recipients.filter(|_| !query.has_id()),
        offset,
        limit: size,
        ..Selection::plain(from, to)
    };
    let now = emulator.ticks();
    emulator.world().rows.select(&selection, now)
}

/// The `$skiptoken` of the page that begins after `reached` rows.
fn following_token(settings: &ReportSettings, token: Option<u64>, reached: u64) -> u64 {
    match (&settings.next_link, token) {
        (NextLink::Repeating, Some(same)) => same,
        _ => match settings.skip_token {
            SkipToken::LastIndex => reached - 1,
            SkipToken::Offset => reached,
        },
    }
}

/// The link to the page with this token.
fn next_link(
    settings: &ReportSettings,
    call: &Call,
    token: Option<u64>,
    turn: Option<u32>,
) -> String {
    let mut query = trouble::padding(&settings.trouble);
    for (name, value) in url::form_urlencoded::parse(call.query.as_bytes()) {
        if !["$skiptoken", TURN, PADDING].contains(&name.as_ref()) {
            let value = utf8_percent_encode(&value, QUERY);
            query.push_str(&format!("{name}={value}&"));
        }
    }
    let turn = turn.map(|turn| format!("{TURN}={turn}"));
    let token = token.map(|token| format!("$skiptoken={token}"));
    let last: Vec<String> = turn.into_iter().chain(token).collect();
    let last = last.join("&");
    let rest = format!("reportingwebservice/reporting.svc/MessageTrace?{query}{last}");
    match &settings.next_link {
        NextLink::Foreign(base) => format!("{}/ecp/{rest}", base.trim_end_matches('/')),
        _ => format!("../../{rest}"),
    }
}
