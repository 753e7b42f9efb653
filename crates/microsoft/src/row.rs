//! What the fields of a row are, and what becomes of its text.
//!
//! A row goes on as text; only the dates of the light dialect are written anew, since the
//! intake format reads `/Date(milliseconds)/` and nothing else.

use bytes::Bytes;
use rows::{
    Page, RowSpan, date,
    privacy::Exposure,
    reader::{Field, Known, Rows},
};

use super::{errors::Unreadable, events::rewrite, page::text};

/// Rows in another form take at most half as much again as the answer, and this: real ones take a
/// quarter.
const SLACK: usize = 1 << 20;

/// A date in the verbose form is longer than one in ISO form by less than this.
const LONGER: usize = 16;

/// Rows that are longer stay as they are: no intake takes them.
const LONGEST: usize = 1 << 20;

/// What becomes of the text of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// It stays, byte for byte.
    Verbatim,
    /// ISO dates in `Received`, `StartDate` and `EndDate` become `/Date(milliseconds)/`; all else
    /// stays, byte for byte.
    VerboseDates,
    /// Rows of Graph become rows of the Reporting Web Service.
    Renamed,
}

/// What a field is, in either service.
pub fn field(name: &str) -> Field {
    Field::Known(match name {
        "MessageTraceId" | "id" => Known::TraceId,
        "RecipientAddress" | "recipientAddress" => Known::Recipient,
        "Status" | "status" => Known::Status,
        "MessageId" | "messageId" => Known::MessageId,
        "receivedDateTime" => Known::Received,
        "SenderAddress" | "senderAddress" => Known::Sender,
        "Subject" | "subject" => Known::Subject,
        "Size" | "size" => Known::Size,
        "Received" => return Field::Received,
        "StartDate" | "EndDate" => return Field::Date,
        _ => return Field::Other,
    })
}

/// What a member of a row tells of people, in either service, as Microsoft documents them.
pub fn exposure(name: &str) -> Exposure {
    match name {
        "SenderAddress" | "senderAddress" | "RecipientAddress" | "recipientAddress" => {
            Exposure::Address
        }
        "MessageId" | "messageId" => Exposure::MessageId,
        "Subject" | "subject" => Exposure::Subject,
        "MessageTraceId" | "id" | "Received" | "receivedDateTime" | "Status" | "status"
        | "ToIP" | "toIP" | "FromIP" | "fromIP" | "Size" | "size" | "Organization"
        | "StartDate" | "EndDate" | "Index" | "@odata.type" => Exposure::Plain,
        // What happened to the message, which is put there before it leaves.
        "details" => Exposure::Events(&["event", "dateTime", "action"]),
        // Addresses of the service itself.
        "__metadata" => Exposure::Needless,
        _ => Exposure::Unknown,
    }
}

/// A page of rows, ready for the intake.
///
/// Its rows are stretches of the answer's `body` where nothing is to be changed, else of one new text.
/// A row without a readable date or key is kept, too.
///
/// # Errors
/// When a row is not a JSON object, or the answer no text.
pub(super) fn page<L>(
    body: Bytes,
    rows: Rows,
    next: Option<L>,
    form: Form,
) -> Result<Page<L>, Unreadable> {
    let is_unchanged = match form {
        Form::Verbatim => true,
        Form::VerboseDates => rows.iso_dates.is_empty(),
        Form::Renamed => false,
    };
    if is_unchanged {
        return Page::of(body, rows.spans, next).ok_or(Unreadable::RowNotAnObject);
    }
    let text = text(&body)?;
    let most = text.len() + text.len() / 2 + SLACK;
    // It never grows: while it did, the old and the new text would take more than both.
    let mut changed = String::with_capacity(match form {
        Form::Renamed => most + 3 * LONGEST,
        _ => text.len() + LONGER * rows.iso_dates.len(),
    });
    let mut moved = Vec::with_capacity(rows.spans.len());
    let mut dates = rows.iso_dates.iter().peekable();
    for row in &rows.spans {
        let start = changed.len();
        let old = row.range();
        if form == Form::Renamed && old.len() <= LONGEST {
            rewrite(text.get(old).unwrap_or_default(), &mut changed)?;
        } else {
            let mut from = old.start;
            while let Some(date) = dates.next_if(|date| date.range.end <= old.end) {
                changed.push_str(text.get(from..date.range.start).unwrap_or_default());
                changed.push('"');
                changed.push_str(&date::verbose_text(date.at));
                changed.push('"');
                from = date.range.end;
            }
            changed.push_str(text.get(from..old.end).unwrap_or_default());
        }
        if changed.len() > most {
            return Err(Unreadable::Swollen);
        }
        let span = RowSpan::new(start..changed.len(), row.key, row.received);
        moved.extend(span.map(|span| span.of_mail(row.mail)));
    }
    Page::of(changed, moved, next).ok_or(Unreadable::RowNotAnObject)
}

#[cfg(test)]
mod tests;
