//! What commands that do something with a trigger's settings and files have in common.

use std::process::ExitCode;

use base::http::chain;
use sekoia::{
    Console, Installation, Level, OfflineSession, StartError, Storage, StorageError, Topic,
};
use serde_json::json;

use super::screen::print_document;
use crate::triggers;

/// Why a command cannot do what it was asked for, and its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(super) struct CommandError {
    pub(super) code: u8,
    pub(super) sentence: String,
}

impl CommandError {
    fn of_settings(sentence: String) -> Self {
        Self {
            code: Topic::SETTINGS.exit_code,
            sentence,
        }
    }
}

/// The stop came while files were waited for.
#[derive(Debug, thiserror::Error)]
#[error("stopped before it was begun")]
pub(super) struct StoppedBefore;

/// The settings and files of the trigger that a person has named, or of the only one that fits. Warnings and
/// errors of the log are said.
pub(super) async fn prepare<'a>(
    installation: &Installation<'a>,
    trigger: Option<String>,
    say: impl Fn(&str) + Send + Sync + 'static,
) -> anyhow::Result<OfflineSession<'a>> {
    let trigger = super::chosen(installation, trigger);
    let trigger = trigger.map_err(CommandError::of_settings)?;
    let console = Console::of_messages(move |level, message| {
        if level >= Level::Warning {
            say(message);
        }
    });
    let mut session = match OfflineSession::prepare(installation, &trigger, console).await {
        Ok(session) => session,
        Err(StartError::Run(error)) => {
            return Err(CommandError::of_settings(chain(&error)).into());
        }
        Err(error) => return Err(error.into()),
    };
    triggers::backfill::enter(&mut session).await?;
    Ok(session)
}

/// Does some work on the files of the trigger's tenant; none when a running trigger has them for itself.
pub(super) async fn on_own_files<T>(
    session: &OfflineSession<'_>,
    work: impl AsyncFnOnce(Storage) -> anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    if session.is_in_use().await {
        return Ok(None);
    }
    let done = session
        .with_files(async |files| {
            let files = triggers::backfill::own_files(session, &files).await?;
            work(files).await
        })
        .await;
    match done {
        // A trigger was started meanwhile.
        Err(StartError::Storage(StorageError::Locked { .. })) => Ok(None),
        done => done?.ok_or(StoppedBefore)?.map(Some),
    }
}

pub(super) fn code(error: &anyhow::Error) -> u8 {
    error
        .downcast_ref::<CommandError>()
        .map_or(1, |one| one.code)
}

/// Tells machines, too, what went wrong: always one object on standard output.
pub(super) fn told(done: anyhow::Result<ExitCode>, as_json: bool) -> anyhow::Result<ExitCode> {
    match done {
        Err(error) if as_json && !super::is_broken_pipe(&error) => {
            let code = code(&error);
            let problem = chain(error.as_ref());
            let document = json!({"outcome": "failed", "exit_code": code, "problem": problem});
            print_document(&document)?;
            Ok(ExitCode::from(code))
        }
        done => done,
    }
}
