//! Runs a trigger again and again until the stop (E-02 to E-07).

use std::time::Duration;

use base::http::Backoff;
use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
    time::{self, Instant},
};

use super::{
    RunError,
    config::SettingsMap,
    context::Context,
    deadline::{Deadline, Step},
    health::Side,
    registry::Item,
    schema::ModuleManifest,
    secrets::Secrets,
    settings::Settings,
};

/// Pause between runs after a critical log line, in which the platform may stop us (E-06), and
/// between looks at a rejected configuration.
const CRITICAL_PAUSE: Duration = Duration::from_secs(120);

/// A run that lasted this long was not one of a series of failures.
const LONG_RUN: Duration = Duration::from_secs(600);

/// How long a run may go on after the stop.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// The loop around the runs of one trigger.
pub(super) struct RunLoop<'a> {
    item: &'a Item,
    module: &'a ModuleManifest,
    /// The platform's secrets, which may come late.
    secrets: watch::Receiver<Secrets>,
    context: Context,
    deadline: Deadline,
    started: Instant,
    backoff: Backoff,
}

impl<'a> RunLoop<'a> {
    pub(super) fn new(
        item: &'a Item,
        module: &'a ModuleManifest,
        secrets: watch::Receiver<Secrets>,
        context: Context,
        deadline: Deadline,
    ) -> Self {
        Self {
            item,
            module,
            secrets,
            context,
            deadline,
            started: Instant::now(),
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
        }
    }

    /// Runs the trigger until the stop.
    ///
    /// # Errors
    /// When a run has ended with an error that no other run could do better with.
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
                Err(error @ RunError::Hopeless(_)) => return Err(error),
                Err(error) => self.report(&error),
                Ok(()) => {}
            }
            let pause = if self.context.log.has_been_critical() {
                CRITICAL_PAUSE
            } else {
                self.backoff.next_pause(None)
            };
            _ = time::timeout(pause, self.context.stop.cancelled()).await;
        }
        Ok(())
    }

    /// One run. It ends with the stop, and when the platform has told other secrets.
    async fn run_once(&mut self) -> Result<(), RunError> {
        let (settings, context) = self.configured()?;
        let over = context.stop.clone();
        let mut task = tokio::spawn(self.item.start(settings, context));
        let told = async {
            if self.secrets.changed().await.is_err() {
                // Nobody asks any more.
                std::future::pending::<()>().await;
            }
        };
        let ended = tokio::select! {
            ended = &mut task => ended,
            () = told => {
                over.cancel();
                return self.ends(task).await;
            }
            () = self.context.stop.cancelled() => return self.ends(task).await,
        };
        outcome(ended)
    }

    /// Waits for the end of a run that was asked to end.
    async fn ends(&self, mut task: JoinHandle<Result<(), RunError>>) -> Result<(), RunError> {
        let end = match self.context.stop.is_cancelled() {
            true => self.deadline.end(Step::Run, STOP_GRACE),
            false => Instant::now() + STOP_GRACE,
        };
        match time::timeout_at(end, &mut task).await {
            Ok(ended) => outcome(ended),
            Err(_) => {
                task.abort();
                self.context
                    .log
                    .warning("The run did not end in time after the stop");
                Ok(())
            }
        }
    }

    /// Reads and checks the configuration anew.
    fn configured(&mut self) -> Result<(SettingsMap, Context), RunError> {
        let secrets = self.secrets.borrow_and_update().clone();
        let Settings {
            module,
            trigger,
            suspicions,
            ..
        } = Settings::read(
            self.item,
            self.module,
            Some(&secrets),
            &self.context.configuration,
            &self.context.log,
        )?;
        for suspicion in suspicions {
            self.context.log.warning(suspicion);
        }
        let context = Context {
            module_configuration: module,
            stop: self.context.stop.child_token(),
            ..self.context.clone()
        };
        Ok((trigger, context))
    }

    /// Says why a run ended, and when that has happened too often (E-03, E-07).
    fn report(&self, error: &RunError) {
        let Context {
            log,
            heartbeat,
            stop,
            ..
        } = &self.context;
        match error {
            RunError::Configuration(_) => {
                log.error(error.to_string());
                log.critical("Configuration error");
            }
            RunError::Unavailable(_) if stop.is_cancelled() => {}
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

/// When repeated errors become critical (E-07): the longer a trigger has been running, the longer
/// it may fail.
fn is_hopeless(errors: u32, uptime: Duration, since_delivery: Duration) -> bool {
    const DAY: Duration = Duration::from_secs(86_400);
    errors >= 5 && uptime >= Duration::from_secs(1800) && since_delivery >= uptime.min(5 * DAY) / 5
}

fn outcome(ended: Result<Result<(), RunError>, JoinError>) -> Result<(), RunError> {
    ended.unwrap_or_else(|error| Err(RunError::failed(panicked(error))))
}

fn panicked(error: JoinError) -> String {
    let payload = match error.try_into_panic() {
        Ok(payload) => payload,
        Err(error) => return error.to_string(),
    };
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    format!("the trigger panicked: {}", text.unwrap_or_default())
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
