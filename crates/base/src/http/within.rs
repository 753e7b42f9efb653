//! Limits of waiting that this process itself does not use up.

use std::{pin::pin, time::Duration};

use tokio::time::{Instant, error::Elapsed, timeout};

/// A limit that is told of so much later than it was reached: the process stood still meanwhile.
const STOOD_STILL: Duration = Duration::from_millis(100);

/// So long it takes what came in that time, and waits to be read.
const CATCH_UP: Duration = Duration::from_secs(2);

/// Waits for something for so long.
///
/// Where the process stood still, as one that is paused with its container, the end of the limit and what
/// came meanwhile are found together, and the limit says nothing of the server. What is there already
/// counts then: an answer that is thrown away makes events come twice.
///
/// # Errors
/// When nothing came.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = T>,
) -> Result<T, Elapsed> {
    let begun = Instant::now();
    let mut work = pin!(work);
    let done = timeout(limit, &mut work).await;
    if done.is_err() && begun.elapsed() >= limit + STOOD_STILL {
        return timeout(CATCH_UP, work).await;
    }
    done
}

#[cfg(test)]
mod tests {
    use tokio::{sync::oneshot, task::yield_now, time::advance};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(31);

    #[tokio::test(start_paused = true)]
    async fn what_came_while_the_process_stood_still_counts() {
        let (tell, told) = oneshot::channel();
        let waiting = tokio::spawn(within(LIMIT, told));
        yield_now().await;
        advance(2 * LIMIT).await;
        // It finds the end of the limit first.
        yield_now().await;
        tell.send(7).unwrap();
        assert_eq!(waiting.await.unwrap().unwrap(), Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_is_not_waited_for_any_longer() {
        let begun = Instant::now();
        let silent = std::future::pending::<()>();
        assert!(within(LIMIT, silent).await.is_err());
        assert!(begun.elapsed() < LIMIT + STOOD_STILL);
    }
}
