//! Runs a trigger again and again until the stop (E-02 to E-07).

mod outcome;

use std::{collections::BTreeSet, pin::pin, time::Duration};

use base::{http::chain, retry::Backoff};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{self, Instant},
};

use self::outcome::outcome;
use super::{
    RunError,
    config::SettingsMap,
    context::Context,
    deadline::{Deadline, Step},
    health::Side,
    runtime::{Asked, Start},
    secrets::{Secrets, SecretsError},
    settings::Settings,
};

/// Pause between runs after a critical log line, in which the platform may stop us (E-06), and
/// between looks at a rejected configuration.
const CRITICAL_PAUSE: Duration = Duration::from_secs(120);

/// A run that lasted this long was not one of a series of failures.
const LONG_RUN: Duration = Duration::from_secs(600);

/// How long a run may go on after the stop.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// Until secrets that could not be had are asked for again, after the configuration has changed.
const ASK_AGAIN: Duration = Duration::from_secs(60);

pub(super) struct RunLoop<'a> {
    start: &'a Start<'a>,
    /// The platform's secrets, which may come late.
    told: watch::Receiver<Secrets>,
    /// The same as they count.
    secrets: Secrets,
    /// Counts the changes of the configuration.
    changes: watch::Receiver<u64>,
    context: Context,
    deadline: Deadline,
    started: Instant,
    backoff: Backoff,
    /// The settings of the run, once some were usable.
    current: Option<Settings>,
    /// Those that the next run takes.
    next: Option<Settings>,
    /// Whether the configuration has changed since it was read for a run.
    is_changed: bool,
    /// The platform is asked for secrets, also while runs end and begin.
    asking: Option<Asking<'a>>,
    /// When it is asked again.
    again: Option<Instant>,
}

struct Asking<'a> {
    asked: BoxFuture<'a, Result<Asked, SecretsError>>,
    /// Whether it was asked in vain before.
    was_in_vain: bool,
}

struct Answer {
    asked: Result<Asked, SecretsError>,
    was_in_vain: bool,
}

/// How a run has ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// By itself, or by the stop.
    Over,
    /// Another one is to take its place at once.
    Anew,
}

impl<'a> RunLoop<'a> {
    pub(super) fn new(
        start: &'a Start<'a>,
        told: watch::Receiver<Secrets>,
        changes: watch::Receiver<u64>,
        context: Context,
        deadline: Deadline,
    ) -> Self {
        let secrets = told.borrow().clone();
        Self {
            start,
            secrets,
            told,
            changes,
            context,
            deadline,
            started: Instant::now(),
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
            current: None,
            next: None,
            is_changed: false,
            asking: None,
            again: None,
        }
    }

    /// Runs the trigger until the stop, or an error that no other run could do better with.
    pub(super) async fn turn(mut self) -> Result<(), RunError> {
        while !self.context.stop.is_cancelled() {
            let started = Instant::now();
            let result = self.run_once().await;
            // Nobody beats until the next run.
            self.context.heartbeat.rest();
            if started.elapsed() >= LONG_RUN || result.is_ok() {
                self.backoff.reset();
            }
            match result {
                Ok(End::Anew) => continue,
                Err(error @ RunError::Hopeless(_)) => return Err(error),
                Err(error) => self.report(&error),
                Ok(End::Over) => {}
            }
            let pause = if self.context.log.has_been_critical() {
                CRITICAL_PAUSE
            } else {
                self.backoff.next_pause(None)
            };
            self.rest(pause).await;
        }
        Ok(())
    }

    /// Waits for the next run: until the pause is over, or what was wrong may have been set right.
    async fn rest(&mut self, pause: Duration) {
        let mut over = pin!(time::sleep(pause));
        loop {
            let again = time::sleep_until(self.again.unwrap_or_else(Instant::now));
            tokio::select! {
                () = self.context.stop.cancelled() => return,
                () = &mut over => return,
                () = next(&mut self.told) => {
                    self.secrets = self.told.borrow().clone();
                    return;
                }
                () = next(&mut self.changes) => self.ask_for_change(),
                () = again, if self.again.is_some() => self.ask(),
                answer = answered(&mut self.asking) => {
                    match answer.asked {
                        Ok(Asked::Got(secrets)) => self.secrets = secrets,
                        Err(SecretsError::Stopped) => {}
                        Ok(Asked::InVain(_)) | Err(_) => {
                            self.again = Some(Instant::now() + ASK_AGAIN);
                            // A change may have set right what was wrong, also without the secrets.
                            if answer.was_in_vain && !self.is_changed {
                                continue;
                            }
                        }
                    }
                    return;
                }
            }
        }
    }

    /// One run. It ends with the stop, when the platform has told other secrets, and when the
    /// settings have changed.
    async fn run_once(&mut self) -> Result<End, RunError> {
        let (settings, context) = self.configured()?;
        let over = context.stop.clone();
        let mut task = tokio::spawn((self.start.item.run)(settings, context));
        loop {
            let again = time::sleep_until(self.again.unwrap_or_else(Instant::now));
            tokio::select! {
                ended = &mut task => return outcome(ended).map(|()| End::Over),
                () = self.context.stop.cancelled() => {
                    return self.ends(task).await.map(|()| End::Over);
                }
                () = next(&mut self.told) => {
                    self.secrets = self.told.borrow().clone();
                    break;
                }
                () = next(&mut self.changes) => self.ask_for_change(),
                () = again, if self.again.is_some() => self.ask(),
                answer = answered(&mut self.asking) => {
                    self.next = self.changed(answer);
                    if self.next.is_some() {
                        break;
                    }
                }
            }
        }
        over.cancel();
        self.ends(task).await.map(|()| End::Anew)
    }

    /// The settings that have taken the place of the current ones, if they are usable; says what is
    /// so.
    fn changed(&mut self, answer: Answer) -> Option<Settings> {
        let was_in_vain = answer.was_in_vain;
        let log = self.context.log.clone();
        let secrets = match answer.asked {
            Ok(Asked::Got(secrets)) => secrets,
            Err(SecretsError::Stopped) => return None,
            Err(error) if self.is_changed => {
                self.again = Some(Instant::now() + ASK_AGAIN);
                return self.stay(&error);
            }
            // What has changed is in use, or was told not to be usable, when a run has begun since.
            Ok(Asked::InVain(error)) | Err(error) => {
                if !was_in_vain {
                    log.warning(format!(
                        "The platform's secrets are not to be had at the moment: those that it gave \
                         before stay, and it is asked again: {}",
                        chain(&error)
                    ));
                }
                self.again = Some(Instant::now() + ASK_AGAIN);
                self.secrets.clone()
            }
        };
        let was_told = was_in_vain || !self.is_changed;
        let settings = match self.read(&secrets) {
            Ok(settings) => settings,
            // That was said before the secrets were asked for again, or when the run began.
            Err(_) if was_told && self.again.is_some() => return None,
            Err(error) => return self.stay(&error),
        };
        let before = self.current.as_ref();
        let differing = before.map(|before| settings.differing(before));
        if differing.as_ref().is_some_and(BTreeSet::is_empty) {
            match self.again {
                // It is said when they are there.
                Some(_) => {}
                None if was_told => {
                    log.info("The platform's secrets have come; they change nothing.")
                }
                None => log.info("The configuration is again what the trigger runs with."),
            }
            return None;
        }
        // There are none to compare with when the run began with settings of no use.
        let names = differing.map(|names| format!(" ({})", Vec::from_iter(names).join(", ")));
        let names = names.unwrap_or_default();
        log.info(format!(
            "The settings have changed{names}: the run ends and begins anew with them."
        ));
        self.secrets = secrets;
        Some(settings)
    }

    /// Says that a change does not count, and why.
    fn stay(&self, error: &dyn std::error::Error) -> Option<Settings> {
        self.context.log.warning(format!(
            "The configuration has changed and cannot be used, so the trigger goes on with the settings \
             that it has: {}",
            chain(error)
        ));
        None
    }

    fn ask_for_change(&mut self) {
        self.is_changed = true;
        self.ask();
    }

    /// Begins to ask the platform, which may take minutes.
    fn ask(&mut self) {
        let before = self.asking.take();
        let was_in_vain = before.is_some_and(|before| before.was_in_vain);
        self.asking = Some(Asking {
            was_in_vain: self.again.take().is_some() || was_in_vain,
            asked: self.start.secrets().boxed(),
        });
    }

    /// Waits for the end of a run that was asked to end.
    // Not `&self`: only one thread at a time may see the question to the platform.
    async fn ends(&mut self, mut task: JoinHandle<Result<(), RunError>>) -> Result<(), RunError> {
        let stop = &self.context.stop;
        let ended = tokio::select! {
            biased;
            ended = &mut task => Some(ended),
            // The deadline says when that is too long.
            () = stop.cancelled() => {
                let end = self.deadline.end(Step::Run, STOP_GRACE);
                time::timeout_at(end, &mut task).await.ok()
            }
            () = self.context.given_up(STOP_GRACE) => None,
        };
        match ended {
            Some(ended) => outcome(ended),
            None => {
                task.abort();
                self.context
                    .log
                    .warning("The run did not end in time after the stop");
                Ok(())
            }
        }
    }

    /// The settings in the configuration, if a run could begin with them.
    fn read(&self, secrets: &Secrets) -> Result<Settings, RunError> {
        let settings = self.start.fitting(secrets)?;
        let item = self.start.item;
        (item.validate)(settings.trigger.clone(), &self.context)?;
        Ok(settings)
    }

    /// What the next run works with: what the configuration holds, unless a run has begun before
    /// and this is not usable; then what that run had.
    fn configured(&mut self) -> Result<(SettingsMap, Context), RunError> {
        // What the platform has told between two runs: who tells it has gone then.
        if let Some(Ok(())) = self.told.changed().now_or_never() {
            self.secrets = self.told.borrow().clone();
        }
        self.is_changed = false;
        let settings = match (self.next.take(), self.read(&self.secrets)) {
            (Some(settings), _) | (None, Ok(settings)) => {
                self.current = Some(settings.clone());
                settings
            }
            (None, Err(error)) => match self.current.clone() {
                Some(current) => {
                    self.stay(&error);
                    current
                }
                // The run says what is wrong with them, where the manifests do not.
                None => self.start.fitting(&self.secrets)?,
            },
        };
        for suspicion in settings.suspicions {
            self.context.log.warning(suspicion);
        }
        let context = Context {
            module_configuration: settings.module,
            stop: self.context.stop.child_token(),
            ..self.context.clone()
        };
        Ok((settings.trigger, context))
    }

    /// Says why a run ended, and when that has happened too often (E-03, E-07).
    fn report(&self, error: &RunError) {
        let (log, heartbeat) = (&self.context.log, &self.context.heartbeat);
        match error {
            RunError::Configuration(_) => {
                // It waits for a person, and collects nothing: nobody may call that well.
                heartbeat.failed(Side::Run);
                log.error(error.to_string());
                log.critical("Configuration error");
            }
            RunError::Unavailable(_) if self.context.stop.is_cancelled() => {}
            RunError::Unavailable(_) => log.exception("An exception occurred", error),
            RunError::Failed(_) | RunError::Hopeless(_) => {
                log.exception("An exception occurred", error);
                heartbeat.failed(Side::Run);
                let errors = heartbeat.errors(Side::Run);
                let uptime = self.started.elapsed();
                if !log.has_been_critical()
                    && is_hopeless(errors, uptime, heartbeat.since_delivery())
                {
                    log.critical(format!("{errors} successive uncatched errors"));
                }
            }
        }
    }
}

/// The next value; never, when nobody tells any more.
async fn next<T>(told: &mut watch::Receiver<T>) {
    if told.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What the platform has answered; never, when it is not asked.
async fn answered(asking: &mut Option<Asking<'_>>) -> Answer {
    let Some(under_way) = asking else {
        return std::future::pending().await;
    };
    let answer = Answer {
        asked: (&mut under_way.asked).await,
        was_in_vain: under_way.was_in_vain,
    };
    *asking = None;
    answer
}

/// When repeated errors become critical (E-07): the longer a trigger has been running, the longer
/// it may fail.
fn is_hopeless(errors: u32, uptime: Duration, since_delivery: Duration) -> bool {
    const DAY: Duration = Duration::from_secs(86_400);
    errors >= 5 && uptime >= Duration::from_secs(1800) && since_delivery >= uptime.min(5 * DAY) / 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_with_the_uptime() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        for (uptime, quiet) in [
            (30, 6),
            (60, 12),
            (24 * 60, 288),
            (48 * 60, 576),
            (100 * 24 * 60, 24 * 60),
        ] {
            assert!(is_hopeless(5, minutes(uptime), minutes(quiet)), "{uptime}");
            assert!(!is_hopeless(
                5,
                minutes(uptime),
                minutes(quiet) - Duration::from_secs(1)
            ));
        }
        assert!(!is_hopeless(4, minutes(60), minutes(60)));
        assert!(!is_hopeless(50, minutes(29), minutes(29)));
    }
}
