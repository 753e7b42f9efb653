//! The module's and the triggers' manifests.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use base::files;
use serde::Deserialize;

use super::Schema;

/// No manifest is longer.
const LONGEST: usize = 4 << 20;

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("cannot read the manifest {path}")]
    Unreadable { path: PathBuf, source: io::Error },
    /// Not JSON, or a needed field is absent or of another type.
    #[error(
        "the manifest {name} is not usable: correct it or take it out of the working directory"
    )]
    NotUsable {
        name: String,
        source: serde_json::Error,
    },
    #[error("the manifest {name} holds an invalid JSON Schema: {reason}")]
    Schema { name: String, reason: String },
}

/// What a `manifest.json` says about the module (A-05).
#[derive(Debug, Deserialize)]
pub(crate) struct ModuleManifest {
    pub(crate) name: String,
    /// Short name; part of the User-Agent and of the image name.
    pub(crate) slug: String,
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) configuration: Schema,
}

impl ModuleManifest {
    /// Reads `path`, or `compiled_in` when there is no such file (A-04).
    pub(crate) fn load(path: &Path, compiled_in: &str) -> Result<Self, ManifestError> {
        let name = path.display().to_string();
        match files::read_text(path, LONGEST) {
            Ok(text) => Self::parse(&name, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::parse("that is compiled in", compiled_in)
            }
            Err(source) => Err(ManifestError::Unreadable {
                path: path.to_owned(),
                source,
            }),
        }
    }

    fn parse(name: &str, text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = parse(name, text)?;
        manifest.configuration.verify(name)?;
        Ok(manifest)
    }
}

/// What a `trigger_*.json` says about a trigger (R-03).
#[derive(Debug, Deserialize)]
pub(crate) struct TriggerManifest {
    /// The command that starts it.
    #[serde(rename = "docker_parameters")]
    pub(crate) command: String,
    pub(crate) name: String,
    pub(crate) description: String,
    /// What the platform is told of it beside that, such as whether it may run several times at once.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, bool>,
    pub(crate) arguments: Schema,
}

impl TriggerManifest {
    /// Reads the text of a manifest. Whether the schema is valid is found out later
    /// ([`Schema::verify`]): a module has several triggers, and runs one.
    pub(crate) fn parse(text: &str) -> Result<Self, ManifestError> {
        parse("of a trigger", text)
    }
}

fn parse<T: for<'de> Deserialize<'de>>(name: &str, text: &str) -> Result<T, ManifestError> {
    serde_json::from_str(text).map_err(|source| ManifestError::NotUsable {
        name: name.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_read_from_the_file_or_from_the_program() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("manifest.json");
        let text = |slug: &str| format!(r#"{{"name":"N","slug":"{slug}","version":"1.0.0"}}"#);
        let inside = ModuleManifest::load(&path, &text("inside")).unwrap();
        assert_eq!(inside.slug, "inside");
        std::fs::write(&path, text("outside")).unwrap();
        assert_eq!(
            ModuleManifest::load(&path, &text("inside")).unwrap().slug,
            "outside"
        );
        std::fs::write(&path, "{").unwrap();
        let error = ModuleManifest::load(&path, &text("inside")).unwrap_err();
        assert!(
            error.to_string().contains("manifest.json is not usable"),
            "{error}"
        );
    }
}
