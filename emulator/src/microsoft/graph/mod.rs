//! The message trace of Microsoft Graph.

mod cursor;
mod list;
mod query;
mod quota;
mod render;

use chrono::TimeDelta;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) use quota::Quota;

use super::{
    details,
    identity::{self, Denied},
    trouble,
};
use crate::{
    Emulator, GraphSettings, PAST,
    answer::{Answer, Call},
    settings::{RetryAfter, ServicePrincipal},
    time::{SECOND, Ticks},
};

const RESOURCE: &str = "https://graph.microsoft.com";
const ROLE: &str = "ExchangeMessageTrace.Read.All";
/// Microsoft's application whose service principal the tenant needs.
const APPLICATION: &str = "8bd644d1-64a1-4d4b-ae52-2e0cbf64e373";
/// Longer addresses are answered with 404.
const LONGEST_URL: usize = 8192;

/// What a path of Graph stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    List,
    Details { id: String, recipient: String },
}

impl Target {
    pub(super) fn read(path: &str) -> Option<Self> {
        let lower = path.to_ascii_lowercase();
        let rest = ["/v1.0", "/beta"]
            .iter()
            .find_map(|version| lower.strip_prefix(version))?
            .strip_prefix("/admin/exchange/tracing/messagetraces")?;
        if rest.trim_matches('/').is_empty() {
            return Some(Self::List);
        }
        // Letter case matters from here on.
        let rest = path.get(path.len() - rest.len()..)?;
        let (id, function) = rest.strip_prefix('/')?.split_once('/')?;
        let function = percent_decode_str(function).decode_utf8().ok()?;
        let recipient = function
            .strip_prefix("getDetailsByRecipient(recipientAddress='")?
            .strip_suffix("')")?;
        Some(Self::Details {
            id: id.to_owned(),
            recipient: recipient.replace("''", "'"),
        })
    }
}

/// A request that Graph does not carry out.
struct Refusal {
    status: u16,
    code: String,
    message: String,
    headers: Vec<(&'static str, String)>,
}

impl Refusal {
    fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            headers: Vec::new(),
        }
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }
}

pub(super) fn answer(
    emulator: &Emulator,
    settings: &GraphSettings,
    call: &Call,
    target: &Target,
) -> Answer {
    if let Some(answer) = trouble::foreign(&settings.trouble) {
        return answer;
    }
    let request_id = Uuid::new_v4().to_string();
    let client_id = match call.header("client-request-id") {
        "" => request_id.clone(),
        given => given.to_owned(),
    };
    let answer = respond(emulator, settings, call, target).unwrap_or_else(|refusal| {
        let date = emulator
            .clock()
            .now()
            .format("%Y-%m-%dT%H:%M:%S")
            .to_string();
        let inner = json!({
            "date": date,
            "request-id": request_id,
            "client-request-id": client_id,
        });
        refusal.answer(&inner)
    });
    answer
        .with("request-id", &request_id)
        .with("client-request-id", &client_id)
}

fn respond(
    emulator: &Emulator,
    settings: &GraphSettings,
    call: &Call,
    target: &Target,
) -> Result<Answer, Refusal> {
    if call.path.len() + call.query.len() > LONGEST_URL {
        return Err(Refusal::new(404, "", ""));
    }
    if call.method != "GET" {
        return Err(Refusal::new(
            405,
            "Request_BadRequest",
            "The method is not allowed.",
        ));
    }
    let admitted = identity::admit(emulator, call, RESOURCE, ROLE);
    if let Err(denied) = admitted
        && !matches!(denied, Denied::NoRole | Denied::NoExchangeRole)
    {
        return Err(token_refused(denied));
    }
    count(emulator, settings)?;
    service_principal(emulator, settings)?;
    if let Err(denied) = admitted {
        // What the service says to a user without a role in Exchange is not known.
        let (code, message) = match denied {
            Denied::NoExchangeRole => ("Forbidden", "Access is denied for the user."),
            _ => (
                "Authorization_RequestDenied",
                "Insufficient privileges to complete the operation.",
            ),
        };
        return Err(Refusal::new(403, code, message));
    }
    match target {
        Target::List => list::answer(emulator, settings, call),
        Target::Details { id, recipient } => {
            let events = details::of_graph(emulator, id, recipient);
            let context = format!(
                "{}/$metadata#Collection(microsoft.graph.exchangeMessageTraceDetail)",
                list::root(call)
            );
            let body = json!({ "@odata.context": context, "value": events });
            Ok(Answer::new(200, list::MEDIA_TYPE, body.to_string()))
        }
    }
}

fn token_refused(denied: Denied) -> Refusal {
    let message = match denied {
        Denied::Expired => "Lifetime validation failed, the token is expired.",
        Denied::WrongAudience => "Access token validation failure. Invalid audience.",
        Denied::Invalid | Denied::NoRole | Denied::NoExchangeRole => {
            "Access token is missing or malformed."
        }
    };
    let mut refusal = Refusal::new(401, "InvalidAuthenticationToken", message);
    let offer = String::from(
        "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\"",
    );
    refusal.headers.push(("www-authenticate", offer));
    refusal
}

/// Counts the request against the quota of the tenant.
fn count(emulator: &Emulator, settings: &GraphSettings) -> Result<(), Refusal> {
    let now = emulator.ticks();
    let Err(wait) = emulator.world().quota.admit(&settings.quota, now) else {
        return Ok(());
    };
    let mut refusal = Refusal::new(
        429,
        &settings.quota.code,
        "Your recent queries have surpassed the permitted limit, please try again later.",
    );
    if let Some(value) = retry_after(emulator, settings.quota.retry_after, wait) {
        refusal.headers.push(("retry-after", value));
    }
    Err(refusal)
}

fn retry_after(emulator: &Emulator, form: RetryAfter, wait: Ticks) -> Option<String> {
    let seconds = (wait + SECOND - 1) / SECOND;
    match form {
        RetryAfter::Absent => None,
        RetryAfter::Past => Some(String::from(PAST)),
        RetryAfter::Seconds => Some(seconds.to_string()),
        RetryAfter::Date => {
            let until = emulator.server_time() + TimeDelta::seconds(seconds);
            Some(crate::exchange::http_date(until))
        }
    }
}

fn service_principal(emulator: &Emulator, settings: &GraphSettings) -> Result<(), Refusal> {
    let status = match settings.service_principal {
        ServicePrincipal::Present => return Ok(()),
        ServicePrincipal::PresentFrom(time) if time <= emulator.clock().now() => return Ok(()),
        ServicePrincipal::Missing | ServicePrincipal::PresentFrom(_) => 401,
        ServicePrincipal::MissingForbidden => 403,
    };
    let message = format!(
        "Service principal-less Authentication failed: the service principal for App ID \
         {APPLICATION} was not found. Please create a service principal for this app in your \
         tenant."
    );
    Err(Refusal::new(status, "Unauthorized", message))
}

impl Refusal {
    fn answer(self, inner: &Value) -> Answer {
        let answer = if self.code.is_empty() {
            Answer::new(
                self.status,
                "text/html",
                "<h2>404 - File or directory not found.</h2>",
            )
        } else {
            let error = json!({ "code": self.code, "message": self.message, "innerError": inner });
            Answer::json(self.status, &json!({ "error": error }))
        };
        self.headers
            .iter()
            .fold(answer, |answer, (name, value)| answer.with(name, value))
    }
}

impl Emulator {
    /// Counts this many requests of another client of the tenant against its quota.
    pub fn consume_quota(&self, requests: u32) {
        let now = self.ticks();
        let world = &mut *self.world();
        let settings = &world.settings.graph.quota;
        world.quota.consume(settings, requests, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart() {
        let root = "/v1.0/admin/exchange/tracing/messageTraces";
        assert_eq!(Target::read(root), Some(Target::List));
        let details = format!("{root}/7a/getDetailsByRecipient(recipientAddress='O''neil%40x.y')");
        assert_eq!(
            Target::read(&details),
            Some(Target::Details {
                id: String::from("7a"),
                recipient: String::from("O'neil@x.y"),
            })
        );
        assert_eq!(Target::read("/v1.0/me"), None);
    }
}
