//! Whose mail a state is about. Each state is bound to a tenant; another tenant has a folder of its own
//! inside the first one's. By another service the mail is the same, and so is the state: two states of one
//! mail would each send what the other has sent.
//!
//! A tenant has many names: a GUID, and any number of domains. Two GUIDs are told apart with
//! certainty; of a domain, the GUID is known once the app has signed in. Where it is not known
//! whether a name means the tenant of a state, both are taken to be possible: the new folder begins
//! with what is known of delivered rows, so that none is sent twice, and goes back far enough to skip
//! none.

mod going_on;
mod subject;

use chrono::{DateTime, Utc};
use collect::{journal, letters, start::Position, timeline};
use sekoia::{Log, RunError, Storage, StorageError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use self::going_on::{begin_with, go_on};
pub(crate) use self::subject::Subject;
pub(super) use self::{going_on::First, subject::Origin};
use super::{
    formats::{VERSION, read},
    state::{self, Kept},
};

/// Tells whose the state is that lies beside it.
pub(super) const TENANT_FILE: &str = "tenant.json";

pub(super) const FOLDERS: &str = "tenants/";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Binding {
    version: u64,
    /// The name in the settings, in small letters.
    tenant: String,
    /// The tenant's GUID, once a token has told it.
    #[serde(default)]
    tenant_id: Option<Uuid>,
    service: Origin,
    /// The folder of the state that was in use last; only in the first state's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_use: Option<String>,
}

/// Whether a state is about the tenant of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Likeness {
    Same,
    Other,
    Unknown,
}

impl Binding {
    fn new(subject: &Subject) -> Self {
        Self {
            version: VERSION,
            tenant: subject.tenant.clone(),
            tenant_id: None,
            service: subject.origin,
            in_use: None,
        }
    }

    fn guid(&self) -> Option<Uuid> {
        self.tenant_id
            .or_else(|| Uuid::parse_str(&self.tenant).ok())
    }

    fn likeness(&self, subject: &Subject) -> Likeness {
        if self.tenant == subject.tenant {
            return Likeness::Same;
        }
        let guid = Uuid::parse_str(&subject.tenant).ok();
        match guid.zip(self.guid()) {
            Some((one, other)) if one == other => Likeness::Same,
            Some(_) => Likeness::Other,
            None => Likeness::Unknown,
        }
    }

    /// Whether both are about one tenant, as their GUIDs say; none when these do not tell.
    fn is_same(&self, other: &Self) -> Option<bool> {
        self.guid()
            .zip(other.guid())
            .map(|(one, other)| one == other)
    }

    fn told(&self) -> String {
        let Self {
            tenant, service, ..
        } = self;
        format!("{tenant} ({})", service.title())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    /// Empty for the first.
    folder: String,
    binding: Binding,
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
    let same: Vec<&Bound> = same.collect();
    let same = || same.iter().copied();
    let named = same().find(|one| of_service(one) && by_name(one));
    let own = named.or_else(|| same().find(|one| of_service(one)));
    let own = own.or_else(|| same().next());
    // Of two states of one mail the one that has come further knows what the other has sent.
    let is_own = |one: &&Bound| {
        let is_same = |own: &Bound| own.binding.is_same(&one.binding) == Some(true);
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
    let from = maybe.map(|maybe| match of_service(&maybe) {
        true => (Taken::Rows, maybe.clone()),
        false => (Taken::Position, maybe.clone()),
    });
    Place::New {
        folder: subject.folder(),
        from,
    }
}

/// What is bound in these files, the first state first, and the folder that was in use last.
async fn bound(storage: &Storage) -> Result<(Vec<Bound>, String), StorageError> {
    let mut files = vec![TENANT_FILE.to_owned()];
    let below = storage.list(FOLDERS).await?.into_iter();
    let ending = format!("/{TENANT_FILE}");
    files.extend(below.filter(|name| name.ends_with(&ending)));
    let mut all = Vec::new();
    for file in files {
        let folder = file.strip_suffix(TENANT_FILE).unwrap_or_default();
        if let Some(binding) = read::<Binding>(storage, &file).await? {
            let folder = folder.trim_end_matches('/').to_owned();
            all.push(Bound {
                checkpoint: come_to(&storage.inside(&folder)).await?,
                folder,
                binding,
                is_blank: false,
            });
        }
    }
    let first = all.first().filter(|one| one.folder.is_empty());
    let in_use = first.and_then(|one| one.binding.in_use.clone());
    let in_use = in_use.unwrap_or_default();
    if let Some(last) = all.iter_mut().find(|one| one.folder == in_use) {
        let is_named = last.binding.tenant_id.is_some();
        last.is_blank = !is_named && is_blank(&storage.inside(&in_use)).await?;
    }
    Ok((all, in_use))
}

/// Up to when a state has delivered, as far as it tells.
async fn come_to(files: &Storage) -> Result<Option<DateTime<Utc>>, StorageError> {
    let Kept { position, copy, .. } = Kept::in_storage(files).await?;
    Ok(match position {
        Position::At(checkpoint) => Some(checkpoint),
        _ => copy,
    })
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
    let (bound, _) = bound(storage).await?;
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
    let (_, folder) = bound(storage).await?;
    Ok(folder)
}

/// The folder of the subject's state; nothing is changed.
pub(super) async fn look(storage: &Storage, subject: &Subject) -> Result<String, StorageError> {
    let (bound, in_use) = bound(storage).await?;
    Ok(match place(&bound, &in_use, subject) {
        Place::Here { folder } | Place::New { folder, .. } => folder,
        Place::Adopted => String::new(),
    })
}

/// The folder of the subject's state, which is bound to it and begun if need be. Where a first collection
/// would begin, `first` tells.
pub(super) async fn take(
    storage: &Storage,
    subject: &Subject,
    first: First,
    log: &Log,
) -> Result<String, RunError> {
    let (bound, in_use) = bound(storage).await?;
    let last = bound.iter().find(|one| one.folder == in_use);
    let before = last.map_or_else(String::new, |one| one.binding.told());
    let binding = Binding::new(subject);
    let told = binding.told();
    let folder = match place(&bound, &in_use, subject) {
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
            log.warning(format!(
                "The settings ask for the mail of {told}, and the state so far is of {before}: this \
                 collection has the folder {folder} of its own in the data directory; {begins}. The \
                 other state is kept, and found again when the settings are set back."
            ));
            folder
        }
    };
    note_use(storage, &folder).await?;
    if !folder.is_empty() {
        log.info(format!("The state is in the folder {folder}."));
    }
    Ok(folder)
}

async fn write(storage: &Storage, binding: &Binding) -> Result<(), RunError> {
    let text = serde_json::to_vec(binding).map_err(RunError::failed)?;
    Ok(storage.write(TENANT_FILE, text).await?)
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

/// Keeps the tenant's GUID, which a token has told, with its state.
pub(super) async fn learn(storage: &Storage, tenant_id: Uuid) -> Result<(), RunError> {
    match read::<Binding>(storage, TENANT_FILE).await? {
        Some(mut binding) if binding.tenant_id != Some(tenant_id) => {
            binding.tenant_id = Some(tenant_id);
            write(storage, &binding).await
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
