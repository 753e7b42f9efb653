//! One deadline for all steps of a stop (E-11), and the work that is ended by it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// The steps of a stop, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The run ends by itself.
    Run,
    /// The last error is kept.
    LastError,
    /// The files are given back.
    Files,
    /// The last log lines and reports leave.
    Reports,
}

impl Step {
    /// How long after the stop it is over, also when something hangs. Four and a half seconds in
    /// all: what is left of the five is for the end of the process itself.
    const fn over(self) -> Duration {
        Duration::from_millis(match self {
            Self::Run => 3000,
            Self::LastError => 3250,
            Self::Files => 3800,
            Self::Reports => 4500,
        })
    }
}

/// When each step of a stop has to be over; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadline(Arc<OnceLock<Instant>>);

impl Deadline {
    /// One whose time begins with the stop.
    pub(super) fn of(stop: &CancellationToken) -> Self {
        let deadline = Self::default();
        let (begun, stop) = (Arc::clone(&deadline.0), stop.clone());
        tokio::spawn(async move {
            stop.cancelled().await;
            _ = begun.set(Instant::now());
        });
        deadline
    }

    /// The end of a step that begins now and takes at most so long. Where the process ends without a
    /// stop, the time begins with the first step.
    pub(super) fn end(&self, step: Step, most: Duration) -> Instant {
        let now = Instant::now();
        let begun = *self.0.get_or_init(|| now);
        (now + most).min(begun + step.over())
    }
}

/// Work beside the runs. When it is told that the process ends, it gets a moment for what is left.
#[derive(Debug)]
pub(super) struct Background {
    ended: CancellationToken,
    task: JoinHandle<()>,
    step: Step,
    most: Duration,
}

impl Background {
    /// Starts what `work` makes of the token that says that the end has come. In that step of a stop
    /// it may go on for so long at most.
    pub(super) fn start<F: Future<Output = ()> + Send + 'static>(
        step: Step,
        most: Duration,
        work: impl FnOnce(CancellationToken) -> F,
    ) -> Self {
        let ended = CancellationToken::new();
        Self {
            task: tokio::spawn(work(ended.clone())),
            ended,
            step,
            most,
        }
    }

    /// Tells it that the end has come, and waits for it. What hangs is left behind.
    pub(super) async fn finish(self, deadline: &Deadline) {
        self.ended.cancel();
        let end = deadline.end(self.step, self.most);
        _ = timeout_at(end, self.task).await;
    }
}

pub(super) async fn finish_all(
    all: impl IntoIterator<Item = Option<Background>>,
    deadline: &Deadline,
) {
    let present = all.into_iter().flatten();
    join_all(present.map(|one| one.finish(deadline))).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_one_step_takes_the_next_ones_lack() {
        let stop = CancellationToken::new();
        let deadline = Deadline::of(&stop);
        let second = Duration::from_secs(1);
        tokio::time::sleep(100 * second).await;
        stop.cancel();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let begun = Instant::now();
        let left = |step| deadline.end(step, 2 * second) - Instant::now();
        assert_eq!(left(Step::Run), 2 * second, "no more than it needs");
        tokio::time::sleep(Duration::from_millis(3700)).await;
        assert!(left(Step::Files) < second / 8);
        assert!(left(Step::Reports) < second);
        assert!(deadline.end(Step::Reports, 9 * second) <= begun + Step::Reports.over());
    }
}
