//! Redirects that stay on the origin that was asked, which are followed: method, body and credential
//! are sent again to the same scheme, host and port, and to no other.

use base::http::{Http, HttpError, Limits, Request, Response};
use http::{StatusCode, header::LOCATION};
use tokio::time::Instant;
use url::Url;

use super::link::Link;

/// As many redirects of one request are followed, within the time that the request has. They are not
/// counted against the quota, since what redirects stands before the service.
const MOST: usize = 3;

/// Sends a request for `url`, and again to where a 307 or 308 leads on the same origin; tells the
/// address that gave the answer. Any other redirect is an answer, and so is one too many.
pub(super) async fn send(
    http: &Http,
    mut request: Request,
    mut url: Url,
    limits: Limits,
) -> Result<(Response, Url), HttpError> {
    let begun = Instant::now();
    let mut followed = 0;
    http.leave_old(request.uri());
    loop {
        let left = limits.total.saturating_sub(begun.elapsed());
        let limits = Limits {
            first_byte: limits.first_byte.min(left),
            total: left,
            ..limits
        };
        let response = http.send(request.clone(), limits).await?;
        let Some(target) = target(&url, &response).filter(|_| followed < MOST) else {
            return Ok((response, url));
        };
        match target.as_str().parse() {
            Ok(uri) => *request.uri_mut() = uri,
            Err(_) => return Ok((response, url)),
        }
        url = target;
        followed += 1;
    }
}

/// Where a redirect leads that may be followed.
pub(super) fn target(asked: &Url, response: &Response) -> Option<Url> {
    let keeps_the_method = matches!(
        response.status(),
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let link = Link::resolve(asked, location).ok()?;
    keeps_the_method.then_some(link.url)
}
