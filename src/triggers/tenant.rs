//! Whose mail a state is about. Each state is bound to a tenant; another tenant has a folder of its own
//! inside the first one's. By another service the mail is the same, and so is the state: two states of one
//! mail would each send what the other has sent.
//!
//! A tenant has many names: a GUID, and any number of domains. Two GUIDs are told apart with
//! certainty; of a domain, the GUID is known once the app has signed in. Where it is not known
//! whether a name means the tenant of a state, both are taken to be possible: the new folder begins
//! with what is known of delivered rows, so that none is sent twice, and goes back far enough to skip
//! none.

mod binding;
mod going_on;
mod subject;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use collect::{journal, letters, start::Position, timeline};
use sekoia::{Log, RunError, Storage, StorageError};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) use self::subject::Subject;
use self::{
    binding::{Binding, Likeness, Witness, by_folder, find, put_right, write},
    going_on::{begin_with, go_on},
};
pub(super) use self::{
    binding::{TENANT_COPY, TENANT_FILE},
    going_on::First,
    subject::Origin,
};
use super::{
    formats::{Later, read},
    state::{self, Kept},
};

pub(super) const FOLDERS: &str = "tenants/";

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    /// Empty for the first.
    folder: String,
    binding: Binding,
    witness: Witness,
    /// Whether nothing was ever collected by it: its tenant may have been a slip of the pen.
    is_blank: bool,
    /// Up to when it has delivered, as far as it tells.
    checkpoint: Option<DateTime<Utc>>,
}

/// Where the state of the settings is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Here {
        folder: String,
    },
    /// The first state is not bound to anybody yet, or is in use and has nothing of anybody: it is taken
    /// over as it is.
    Adopted,
    /// It is to be begun in a folder.
    New {
        folder: String,
        /// What is taken over from another state, and which.
        from: Option<(Taken, Bound)>,
    },
}

/// What a new state begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// The position and the delivered rows: it may be the same mail.
    Position,
    /// The delivered rows; and what a first collection would read is read, too.
    Rows,
}

/// Decides where the state of a subject is, when these are there; the first state comes first, and
/// `in_use` is the folder that was in use last.
fn place(bound: &[Bound], in_use: &str, subject: &Subject) -> Place {
    let like = |one: &&Bound, wanted| one.binding.likeness(subject) == wanted;
    let of_service = |one: &&Bound| one.binding.service == subject.origin;
    let by_name = |one: &&Bound| one.binding.tenant == subject.tenant;
    let last = bound.iter().find(|one| one.folder == in_use);
    let same = bound.iter().filter(|one| like(one, Likeness::Same));
    // The first that has service and name, else the first of the service, else the first.
    let own = same.min_by_key(|one| (!of_service(one), !(of_service(one) && by_name(one))));
    // Of two states of one mail the one that has come further knows what the other has sent.
    let is_own = |one: &&Bound| {
        let is_same = |own: &Bound| own.binding.by_guid(&one.binding) == Likeness::Same;
        like(one, Likeness::Same) || own.is_some_and(is_same)
    };
    let come_further = |one: &&Bound| own.is_none_or(|own| one.checkpoint > own.checkpoint);
    let furthest = bound.iter().filter(is_own).filter(come_further);
    let furthest = furthest.max_by_key(|one| one.checkpoint);
    if let Some(found) = last.filter(is_own).or(furthest).or(own) {
        return Place::Here {
            folder: found.folder.clone(),
        };
    }
    let is_unbound = bound.iter().all(|one| !one.folder.is_empty());
    // A folder has the name of its tenant: with another one in it, that tenant would find the other's state.
    if is_unbound || last.is_some_and(|last| last.is_blank && last.folder.is_empty()) {
        return Place::Adopted;
    }
    let before = match last {
        Some(blank) if blank.is_blank => bound.iter().find(|one| one.folder != blank.folder),
        last => last,
    };
    let maybe = before.filter(|before| like(before, Likeness::Unknown));
    let maybe = maybe.or_else(|| bound.iter().find(|one| one.binding.is_nobody_s()));
    let from = maybe.map(|maybe| {
        let taken = match of_service(&maybe) || maybe.binding.is_nobody_s() {
            true => Taken::Rows,
            false => Taken::Position,
        };
        (taken, maybe.clone())
    });
    Place::New {
        folder: subject.folder(),
        from,
    }
}

/// What is bound in these files, the first state first, and the folder that was in use last.
async fn bound(
    storage: &Storage,
    subject: Option<&Subject>,
) -> Result<(Vec<Bound>, String), StorageError> {
    let mut all = Vec::from_iter(bound_in(storage, "", subject).await?);
    let in_use = all.first().and_then(|first| first.binding.in_use.clone());
    let in_use = in_use.unwrap_or_default();
    let below = storage.list(FOLDERS).await?;
    let mut folders: BTreeSet<&str> = below.iter().filter_map(|name| folder_of(name)).collect();
    // A list shows nothing that lies behind a symbolic link.
    let own = subject.map(Subject::folder);
    let unlisted = [own.as_deref(), Some(in_use.as_str())]
        .into_iter()
        .flatten();
    let unlisted = unlisted.filter(|folder| Subject::of_folder(folder).is_some());
    folders.extend(unlisted.filter(|_| !below.is_empty()));
    for folder in folders {
        all.extend(bound_in(storage, folder, subject).await?);
    }
    if let Some(last) = all.iter_mut().find(|one| one.folder == in_use) {
        let is_named = last.binding.tenant_id.is_some();
        last.is_blank = !is_named && is_blank(&storage.inside(&in_use)).await?;
    }
    Ok((all, in_use))
}

/// What is bound in one folder of these files; none when nothing is.
async fn bound_in(
    storage: &Storage,
    folder: &str,
    subject: Option<&Subject>,
) -> Result<Option<Bound>, StorageError> {
    let files = storage.inside(folder);
    let checkpoint = Kept::in_storage(&files).await?.come_to();
    let found = find(&files, folder, subject).await?;
    // It was begun to its end, but for the file that says so.
    let found = found.or_else(|| by_folder(folder, subject).filter(|_| checkpoint.is_some()));
    Ok(found.map(|(binding, witness)| Bound {
        folder: folder.to_owned(),
        binding,
        witness,
        is_blank: false,
        checkpoint,
    }))
}

/// The folder of a state in which a file lies: that of a service, in that of a tenant.
fn folder_of(name: &str) -> Option<&str> {
    let (end, _) = name.match_indices('/').nth(2)?;
    name.get(..end)
}

/// Whether a state tells of no mail: no service has answered to its tenant.
async fn is_blank(files: &Storage) -> Result<bool, StorageError> {
    let Kept { position, copy, .. } = Kept::in_storage(files).await?;
    if position != Position::Absent || copy.is_some() {
        return Ok(false);
    }
    let rows = files.list(journal::FOLDER).await?;
    let letters = files.list(letters::FOLDER).await?;
    let timeline = state::timeline_in(files).await?;
    let only_seeds = rows.iter().all(|name| journal::is_seed(name));
    Ok(timeline == timeline::Found::Nothing && letters.is_empty() && only_seeds)
}

/// Whose mail the state in a folder is about, and which others there are; the same for machines. None before
/// the first run.
pub(super) async fn told(
    storage: &Storage,
    folder: &str,
) -> Result<Option<(String, Value)>, StorageError> {
    let (bound, _) = bound(storage, None).await?;
    let is_this = |one: &&Bound| one.folder == folder;
    let Some(current) = bound.iter().find(is_this) else {
        return Ok(None);
    };
    let mut text = current.binding.told();
    if !folder.is_empty() {
        text.push_str(&format!(", in the folder {folder}"));
    }
    let others = bound.iter().filter(|one| !is_this(one));
    let others: Vec<String> = others.map(|one| one.binding.told()).collect();
    if !others.is_empty() {
        text.push_str(&format!(
            "; the states of {} are kept beside it",
            others.join(", ")
        ));
    }
    let facts = json!({
        "name": current.binding.tenant,
        "id": current.binding.tenant_id,
        "service": current.binding.service,
        "folder": folder,
        "others": others,
    });
    Ok(Some((text, facts)))
}

/// The folder of the state that was in use last, for people who have given no settings.
pub(super) async fn folder_in_use(storage: &Storage) -> Result<String, StorageError> {
    let (_, folder) = bound(storage, None).await?;
    Ok(folder)
}

/// The folder of the subject's state; nothing is changed.
pub(super) async fn look(storage: &Storage, subject: &Subject) -> Result<String, StorageError> {
    let (bound, in_use) = bound(storage, Some(subject)).await?;
    Ok(match place(&bound, &in_use, subject) {
        Place::Here { folder } | Place::New { folder, .. } => folder,
        Place::Adopted => String::new(),
    })
}

/// How a first run of the subject would begin, for people, when that is with what another state has; none else.
pub(super) async fn would_begin(
    storage: &Storage,
    subject: &Subject,
) -> Result<Option<String>, StorageError> {
    let (bound, in_use) = bound(storage, Some(subject)).await?;
    let Place::New {
        from: Some((taken, from)),
        ..
    } = place(&bound, &in_use, subject)
    else {
        return Ok(None);
    };
    let or_earlier = match taken {
        Taken::Rows => ", or as far back as `start_time` says when that is earlier",
        Taken::Position => "",
    };
    Ok(Some(format!(
        "takes over what the state of {} remembers of delivered rows, and begins at its position{or_earlier}",
        from.binding.told()
    )))
}

/// The folder of the subject's state, which is bound to it and begun if need be. Where a first collection
/// would begin, `first` tells.
pub(super) async fn take(
    storage: &Storage,
    subject: &Subject,
    first: First,
    log: &Log,
) -> Result<String, RunError> {
    let (bound, in_use) = bound(storage, Some(subject)).await?;
    let last = bound.iter().find(|one| one.folder == in_use);
    let before = last.map_or_else(String::new, |one| one.binding.told());
    let binding = Binding::new(subject);
    let told = binding.told();
    let place = place(&bound, &in_use, subject);
    let own = match &place {
        Place::Here { folder } => Some(folder.as_str()),
        Place::New { .. } => Some(""),
        // What tells of nobody's mail needs not be told.
        Place::Adopted => None,
    };
    for one in &bound {
        let Bound {
            folder, witness, ..
        } = one;
        if own.is_some_and(|own| folder == own || folder.is_empty()) {
            let files = storage.inside(folder);
            // The first state was looked at before.
            if !folder.is_empty() {
                Later::ensure_none(&files).await?;
            }
            put_right(&files, folder, (&one.binding, *witness), log).await?;
        }
    }
    let folder = match place {
        Place::Here { folder } => {
            if let Some(found) = bound.iter().find(|one| one.folder == folder) {
                go_on(storage, found, last, subject, log).await?;
            }
            folder
        }
        Place::Adopted => {
            write(storage, &binding).await?;
            String::new()
        }
        Place::New { folder, from } => {
            let files = storage.inside(&folder);
            let begins = match &from {
                None => {
                    "it begins as a first collection does, and knows nothing of that one".to_owned()
                }
                Some((taken, from)) => begin_with(storage, &files, *taken, from, first).await?,
            };
            // Last: a folder without it is begun again.
            write(&files, &binding).await?;
            let back = match last.is_some_and(|last| last.binding.is_nobody_s()) {
                true => "",
                false => ", and found again when the settings are set back",
            };
            match last {
                Some(_) => log.warning(format!(
                    "The settings ask for the mail of {told}, and the state so far is of {before}: this \
                     collection has the folder {folder} of its own in the data directory; {begins}. The \
                     other state is kept{back}."
                )),
                None => log.error(format!(
                    "The state in use last, in the folder {in_use}, is not there any more. The collection of \
                     the mail of {told} has the folder {folder}; {begins}. Rows that were delivered may come \
                     once more."
                )),
            }
            folder
        }
    };
    note_use(storage, &folder).await?;
    if !folder.is_empty() {
        log.info(format!("The state is in the folder {folder}."));
    }
    Ok(folder)
}

/// Remembers the folder in use in the first state's file, when it is another one than before.
async fn note_use(storage: &Storage, folder: &str) -> Result<(), RunError> {
    let Some(first) = read::<Binding>(storage, TENANT_FILE).await? else {
        return Ok(());
    };
    let in_use = Some(folder.to_owned()).filter(|folder| !folder.is_empty());
    if first.in_use != in_use {
        write(storage, &Binding { in_use, ..first }).await?;
    }
    Ok(())
}

/// Keeps the tenant's GUID, which a token has told, with its state. One that another token has told before stays:
/// the state is of that tenant.
pub(super) async fn learn(storage: &Storage, tenant_id: Uuid, log: &Log) -> Result<(), RunError> {
    let Some(mut binding) = read::<Binding>(storage, TENANT_FILE).await? else {
        return Ok(());
    };
    match binding.tenant_id {
        Some(before) if before != tenant_id => {
            log.error(format!(
                "The name {} means the tenant {tenant_id} now, as its token says, and the state is of the \
                 tenant {before}: of the mail of this one, nothing is read that was received before the \
                 saved position. Set tenant_id to {tenant_id}, or give it a data directory of its own, to \
                 collect it from its beginning.",
                binding.tenant
            ));
            Ok(())
        }
        Some(_) => Ok(()),
        None => {
            binding.tenant_id = Some(tenant_id);
            write(storage, &binding).await
        }
    }
}

#[cfg(test)]
mod tests;
