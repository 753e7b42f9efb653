//! Which files tell whose mail a state is about.

use sekoia::{Log, RunError, Storage, StorageError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Origin, Subject};
use crate::triggers::formats::{FileContent, VERSION, read};

/// Tells whose the state is that lies beside it.
pub(in crate::triggers) const TENANT_FILE: &str = "tenant.json";

/// The same once more, as one damaged file is not to make the state another tenant's.
pub(in crate::triggers) const TENANT_COPY: &str = "tenant.json.copy";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Binding {
    pub(super) version: u64,
    /// The name in the settings, in small letters; empty when nothing tells it.
    pub(super) tenant: String,
    /// The tenant's GUID, once a token has told it.
    #[serde(default)]
    pub(super) tenant_id: Option<Uuid>,
    pub(super) service: Origin,
    /// The folder of the state that was in use last; only in the first state's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) in_use: Option<String>,
}

/// Whether a state is about a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    Same,
    Other,
    Unknown,
}

impl Binding {
    pub(super) fn new(subject: &Subject) -> Self {
        Self {
            version: VERSION,
            tenant: subject.tenant.clone(),
            tenant_id: None,
            service: subject.origin,
            in_use: None,
        }
    }

    /// Of a state that may be anybody's.
    fn nobody_s() -> Self {
        Self::new(&Subject::new("", Origin::Graph))
    }

    /// Whether nothing tells whose the state is.
    pub(super) fn is_nobody_s(&self) -> bool {
        self.tenant.is_empty()
    }

    fn guid(&self) -> Option<Uuid> {
        self.tenant_id
            .or_else(|| Uuid::parse_str(&self.tenant).ok())
    }

    pub(super) fn likeness(&self, subject: &Subject) -> Likeness {
        match self.tenant == subject.tenant {
            true => Likeness::Same,
            false => self.by_guid(&Self::new(subject)),
        }
    }

    /// Whether both are about one tenant, as far as their GUIDs tell.
    pub(super) fn by_guid(&self, other: &Self) -> Likeness {
        match self.guid().zip(other.guid()) {
            Some((one, other)) if one == other => Likeness::Same,
            Some(_) => Likeness::Other,
            None => Likeness::Unknown,
        }
    }

    pub(super) fn told(&self) -> String {
        let Self {
            tenant, service, ..
        } = self;
        if self.is_nobody_s() {
            return "a tenant that nothing tells".to_owned();
        }
        format!("{tenant} ({})", service.title())
    }
}

/// What tells whose a state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Witness {
    /// Its file and the copy of that.
    Both,
    /// Its file alone.
    File,
    /// The copy: the file is missing or damaged, or names another tenant than the copy and the settings do.
    Copy,
    /// The name of its folder.
    Folder,
    /// Nothing.
    Nothing,
}

/// Whose the state in a folder is, and what tells it; none when it is not bound to anybody. Of a file and a copy
/// that differ the one counts that is about the settings: damage does not make just that name of another.
pub(super) async fn find(
    files: &Storage,
    folder: &str,
    subject: Option<&Subject>,
) -> Result<Option<(Binding, Witness)>, StorageError> {
    let file: FileContent<Binding> = FileContent::of(files, TENANT_FILE).await?;
    let copy: Option<Binding> = read(files, TENANT_COPY).await?;
    let is_about = |binding: &Binding| {
        subject.is_some_and(|subject| binding.likeness(subject) == Likeness::Same)
    };
    Ok(match (file, copy) {
        (FileContent::Whole(file), Some(copy)) if file == copy => Some((file, Witness::Both)),
        (FileContent::Whole(file), Some(copy)) if is_about(&copy) && !is_about(&file) => {
            Some((copy, Witness::Copy))
        }
        (FileContent::Whole(file), _) => Some((file, Witness::File)),
        (_, Some(copy)) => Some((copy, Witness::Copy)),
        (FileContent::Missing, None) => None,
        (FileContent::Damaged, None) => Some(
            by_folder(folder, subject).unwrap_or_else(|| (Binding::nobody_s(), Witness::Nothing)),
        ),
    })
}

/// Whose the state in a folder is, as its name tells; none for the first state. Not all of a tenant's name may be in
/// it, but that of the settings is known.
pub(super) fn by_folder(folder: &str, subject: Option<&Subject>) -> Option<(Binding, Witness)> {
    let binding = match subject.filter(|subject| subject.folder() == folder) {
        Some(subject) => Binding::new(subject),
        None => Binding::new(&Subject::of_folder(folder)?),
    };
    Some((binding, Witness::Folder))
}

/// Writes what tells whose the state in a folder is, where that is not whole.
pub(super) async fn put_right(
    files: &Storage,
    folder: &str,
    (binding, witness): (&Binding, Witness),
    log: &Log,
) -> Result<(), RunError> {
    let name = match folder.is_empty() {
        true => TENANT_FILE.to_owned(),
        false => format!("{folder}/{TENANT_FILE}"),
    };
    let told = binding.told();
    match witness {
        Witness::Both => {
            keep(files, text_of(binding)?);
            return Ok(());
        }
        Witness::File => {}
        Witness::Copy => log.warning(format!(
            "{name} was missing, damaged or another one, and is taken back from its copy: the state beside it \
             is of {told}."
        )),
        Witness::Folder => log.warning(format!(
            "{name} was missing or damaged, and is written anew: as the name of the folder tells, the state in \
             it is of {told}."
        )),
        Witness::Nothing => log.error(format!(
            "{name} is damaged, and nothing else tells whose mail the state beside it is about: it is not gone on \
             with, as it may be another tenant's. What it remembers of delivered rows is not sent again, and its \
             other files, such as dead letters, are left as they are. Have the disk looked at."
        )),
    }
    write(files, binding).await
}

pub(super) async fn write(files: &Storage, binding: &Binding) -> Result<(), RunError> {
    let text = text_of(binding)?;
    files.write(TENANT_FILE, text.clone()).await?;
    files.write(TENANT_COPY, text.clone()).await?;
    keep(files, text);
    Ok(())
}

fn text_of(binding: &Binding) -> Result<Vec<u8>, RunError> {
    // A later one was damage, else nobody would have come so far.
    let binding = Binding {
        version: VERSION,
        ..binding.clone()
    };
    serde_json::to_vec(&binding).map_err(RunError::failed)
}

/// Without both, the next start takes the state for nobody's.
fn keep(files: &Storage, text: Vec<u8>) {
    files.keep(TENANT_FILE, text.clone());
    files.keep(TENANT_COPY, text);
}
