//! `GET /admin/exchange/tracing/messageTraces`

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    super::trouble::{self, Following, Refused},
    Refusal,
    cursor::{Cursor, Position, refused_recipient},
    query::{Filter, OLDEST, Window},
    render::Form,
};
use crate::{
    Emulator, GraphSettings, TraceRow,
    answer::{Answer, Call},
    rows::{After, Selected, Selection, Slot},
    settings::{ById, GraphLink},
    time::{MILLISECOND, SECOND, Ticks, ticks},
    traffic::unit,
    world::World,
};

pub(super) const MEDIA_TYPE: &str = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";

/// The rows of a page without `$top`.
const DEFAULT_ROWS: u32 = 1000;
/// The largest `$top`.
const MOST_ROWS: u32 = 5000;
/// Links whose age is remembered.
const KEPT_LINKS: usize = 100_000;

/// The address up to the version, as the client knows it.
pub(super) fn root(call: &Call) -> String {
    let version = if call.path.to_ascii_lowercase().starts_with("/beta") {
        "beta"
    } else {
        "v1.0"
    };
    format!("http://{}/{version}", call.header("host"))
}

/// What a request asks for, with or without a token.
struct Request {
    window: Window,
    filter: Filter,
    /// The filter as text, for the next link.
    filter_text: String,
    size: u32,
    after: Option<After>,
    token: Option<Cursor>,
}

pub(super) fn answer(
    emulator: &Emulator,
    settings: &GraphSettings,
    call: &Call,
) -> Result<Answer, Refusal> {
    let mut request = request(emulator, settings, call).map_err(Refusal::bad)?;
    let by_id = request.filter.has_id().then_some(settings.by_id);
    match by_id {
        Some(ById::Refused) => {
            let refused = "|System.ArgumentException|The value of MessageTraceId is invalid.";
            return Err(Refusal::bad(refused.to_owned()));
        }
        Some(ById::Failing) => {
            return Err(Refusal::new(503, "ServiceUnavailable", "Try again later."));
        }
        Some(ById::Overlooked) => request.filter.conditions.clear(),
        _ => {}
    }
    let now = emulator.ticks();
    let world = &mut *emulator.world();
    if let Some(token) = &request.token {
        check(world, settings, token, now).map_err(Refusal::bad)?;
    }
    let trouble = &settings.trouble;
    let (from, to) = (request.window.from, request.window.to);
    if let Some(refusal) = trouble::reach(trouble, from, now) {
        return Err(Refusal::bad(refusal));
    }
    match trouble::wide(trouble, &mut world.rows, from, to, now) {
        Some(Refused::Answer(answer)) => return Ok(*answer),
        Some(Refused::Timeout(code)) => {
            return Err(Refusal::new(500, code, "The query took too long."));
        }
        None => {}
    }
    let turn = request.token.as_ref().and_then(|token| token.turn);
    let following = trouble::following(trouble, request.token.is_some(), turn);
    if following == Following::Error {
        return Err(Refusal::new(
            500,
            "UnknownError",
            "The page cannot be read.",
        ));
    }
    let Selected { rows, more } = select(world, settings, &request, now);
    let (rows, position) = match following {
        Following::Empty(_) => (Vec::new(), request.own_position()),
        Following::Same(_) => (rows, request.own_position()),
        _ => match empty_page(world, settings, &request, &rows) {
            Some(position) => (Vec::new(), Some(position)),
            None => {
                let position = more.then(|| request.position_after(&rows)).flatten();
                (rows, position)
            }
        },
    };
    let rows = trouble::show(world, trouble, rows, from, now);
    let turn = match following {
        Following::Empty(turn) | Following::Same(turn) => Some(turn),
        Following::Page(turn) => turn,
        Following::Error => None,
    };
    let next =
        position.map(|position| next_link(world, settings, call, &request, &position, turn, now));
    let all_statuses = call
        .header("prefer")
        .to_ascii_lowercase()
        .contains("include-unknown-enum-members");
    let form = Form {
        settings,
        root: &root(call),
        all_statuses,
    };
    let mut answer = Answer::new(200, MEDIA_TYPE, form.page(&rows, next.as_deref()));
    if all_statuses {
        answer = answer.with("preference-applied", "include-unknown-enum-members");
    }
    let by_id = by_id.map_or(Duration::ZERO, ById::delay);
    answer.latency = Duration::from_millis(settings.latency_ms) + by_id;
    Ok(answer)
}

fn request(emulator: &Emulator, settings: &GraphSettings, call: &Call) -> Result<Request, String> {
    let top = match call.option("$top").as_deref() {
        None => None,
        Some(text) => match text.parse::<u32>() {
            Ok(0) => None,
            Ok(top) if top <= MOST_ROWS => Some(top),
            _ => return Err(String::from("ResultSize is invalid")),
        },
    };
    let token = call
        .option("$skiptoken")
        .map(|text| Cursor::decode(&text))
        .transpose()?;
    let in_token = token.as_ref().and_then(|token| token.filter.clone());
    let filter_text = call.option("$filter").or(in_token).unwrap_or_default();
    let filter = Filter::read(&filter_text)?;
    let Some(token) = token else {
        let now = emulator.clock().now();
        let window = if trouble::heedless(&settings.trouble) {
            let oldest = now - OLDEST;
            Window::new(ticks(oldest), ticks(now))
        } else {
            filter.window(now)?
        };
        return Ok(Request {
            window,
            filter,
            filter_text,
            size: top.unwrap_or(DEFAULT_ROWS).min(settings.page_rows),
            after: None,
            token: None,
        });
    };
    let position = token.position()?;
    Ok(Request {
        window: Window::new(position.start, position.end),
        filter,
        filter_text,
        size: top.unwrap_or(position.size).clamp(1, settings.page_rows),
        after: Some(After {
            millisecond: position.end.div_euclid(MILLISECOND),
            recipient: position.recipient,
            included: settings.boundary_repeated,
        }),
        token: Some(token),
    })
}

/// Refuses tokens that the switches make bad.
fn check(
    world: &World,
    settings: &GraphSettings,
    token: &Cursor,
    now: Ticks,
) -> Result<(), String> {
    let identity = token.identity();
    let starts_at = |recipient| token.starts_at(recipient);
    let refused = settings.refused_recipient.as_deref();
    if refused.is_some_and(starts_at) || unit(world.seed ^ 2, identity) < settings.refused_tokens {
        return Err(refused_recipient());
    }
    let issued = world.links.get(&identity);
    match (settings.token_seconds, issued) {
        (Some(seconds), Some(issued)) if issued + i64::from(seconds) * SECOND <= now => Err(
            String::from("|System.ArgumentException|The skip token has expired."),
        ),
        _ => Ok(()),
    }
}

/// The rows of a page.
fn select(world: &mut World, settings: &GraphSettings, request: &Request, now: Ticks) -> Selected {
    let conditions = &request.filter.conditions;
    let meets = |row: &TraceRow| conditions.iter().all(|condition| condition.meets(row));
    let by_id = request.filter.has_id();
    let selection = Selection {
        after: request.after.clone(),
        filter: (!conditions.is_empty()).then_some(&meets),
        shown_recipients: settings.shown_recipients.filter(|_| !by_id),
        limit: match settings.by_id {
            ById::Empty if by_id => 0,
            _ => request.size as usize,
        },
        whole_ties: true,
        ..Selection::plain(request.window.from, request.window.to)
    };
    world.rows.select(&selection, now)
}

impl Request {
    /// Where the page that it asks for begins.
    fn own_position(&self) -> Option<Position> {
        match &self.token {
            Some(token) => token.position().ok(),
            None => Some(Position {
                start: self.window.from,
                end: self.window.to.div_euclid(MILLISECOND) * MILLISECOND,
                recipient: String::new(),
                size: self.size,
            }),
        }
    }

    /// Where the page with these rows ends.
    fn position_after(&self, rows: &[(Slot, TraceRow)]) -> Option<Position> {
        let (_, last) = rows.last()?;
        let received = ticks(last.received);
        Some(Position {
            start: self.window.from,
            end: received - received.rem_euclid(MILLISECOND),
            recipient: last.recipient.to_lowercase(),
            size: self.size,
        })
    }
}

/// Where to go on after an empty page, if one is put in the place of this page: just above its
/// first row that is new, so that the next link is not the present one.
fn empty_page(
    world: &World,
    settings: &GraphSettings,
    request: &Request,
    rows: &[(Slot, TraceRow)],
) -> Option<Position> {
    let (token, after) = (request.token.as_ref()?, request.after.as_ref()?);
    let repeated = |row: &TraceRow| {
        row.received.timestamp_millis() == after.millisecond
            && row.recipient.to_lowercase() == after.recipient
    };
    let (_, first) = rows.iter().find(|(_, row)| !repeated(row))?;
    let chosen = unit(world.seed ^ 3, token.identity()) < settings.empty_pages;
    let millisecond = first.received.timestamp_millis() + 1;
    let possible = !after.recipient.is_empty() && millisecond < after.millisecond;
    (chosen && possible).then(|| Position {
        start: request.window.from,
        end: millisecond * MILLISECOND,
        recipient: String::new(),
        size: request.size,
    })
}

fn next_link(
    world: &mut World,
    settings: &GraphSettings,
    call: &Call,
    request: &Request,
    position: &Position,
    turn: Option<u32>,
    now: Ticks,
) -> String {
    let hidden = !settings.link_keeps_options && !request.filter.conditions.is_empty();
    let mut cursor = Cursor::new(position, hidden.then(|| request.filter_text.clone()));
    if let (GraphLink::Repeating, Some(same)) = (&settings.next_link, &request.token) {
        cursor = same.clone();
    }
    cursor.turn = turn;
    if world.links.len() >= KEPT_LINKS {
        world.links.clear();
    }
    world.links.insert(cursor.identity(), now);
    if unit(world.seed ^ 1, cursor.identity()) < settings.poisoned_tokens {
        cursor = cursor.poisoned();
    }
    let mut options = trouble::padding(&settings.trouble);
    if settings.link_keeps_options {
        for (name, value) in url::form_urlencoded::parse(call.query.as_bytes()) {
            if name != "$skiptoken" && name != trouble::PADDING {
                options.push_str(&format!("{}={}&", encoded(&name), encoded(&value)));
            }
        }
    }
    let host = match &settings.next_link {
        GraphLink::Foreign(base) => base.trim_end_matches('/').to_owned(),
        _ => format!("http://{}", call.header("host")),
    };
    let token = cursor.encode(settings.padded_tokens);
    format!(
        "{host}{}?{options}%24skiptoken={}",
        call.path,
        encoded(&token)
    )
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
