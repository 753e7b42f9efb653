//! Configuration keys: a file in the configuration directory, else an environment variable (B-01).

mod error;
pub(super) mod text;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use base::{Secret, files};
use base64::{
    Engine as _, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(super) use self::error::ConfigError;
pub use self::error::Place;

/// The port for liveness, and what it is without a value.
pub(super) const LIVENESS_PORT: (&str, u16) = ("liveness_port", 8000);

/// The port for metrics, and what it is without a value.
pub(super) const METRICS_PORT: (&str, u16) = ("metrics_port", 8020);

pub(super) const PORTS: [(&str, u16); 2] = [LIVENESS_PORT, METRICS_PORT];

/// The named values a process is started with. `Debug` shows names only: values may be secrets.
#[derive(Clone, Default)]
pub struct Environment(Arc<BTreeMap<String, String>>);

impl Environment {
    /// The variables of this process; values that are not UTF-8 are left out.
    pub fn process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of a variable; an empty one counts as absent (B-01).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(values: I) -> Self {
        let pairs = values.into_iter().map(|(k, v)| (k.into(), v.into()));
        Self(Arc::new(pairs.collect()))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Settings by name. `Debug` shows names only: values may be secrets.
#[derive(Clone, Default)]
pub struct SettingsMap(pub Map<String, Value>);

impl SettingsMap {
    /// The value of a setting; None when it is absent or of another type.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.0
            .get(name)
            .and_then(|value| T::deserialize(value).ok())
    }
}

impl fmt::Debug for SettingsMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Looks keys up: first the file `<directory>/<key>`, then the environment variable `<KEY>`.
#[derive(Clone, Debug)]
pub struct Configuration {
    pub(super) directory: PathBuf,
    pub(super) environment: Environment,
}

impl Configuration {
    /// Looks into `directory`, which may be absent when everything comes from the environment.
    ///
    /// # Errors
    /// When the directory is there but cannot be read.
    pub fn open(
        directory: impl Into<PathBuf>,
        environment: Environment,
    ) -> Result<Self, ConfigError> {
        let directory = directory.into();
        match std::fs::read_dir(&directory) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(ConfigError::Directory {
                    path: directory,
                    source,
                })
            }
            Ok(_) | Err(_) => Ok(Self {
                directory,
                environment,
            }),
        }
    }

    /// A text value without surrounding blanks (B-02, departure); absent when nothing is left of it.
    /// Directories are passed over.
    pub(super) fn filled_text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        let text = self.verbatim(key)?;
        let text = text.map(|text| text::bare(&text).to_owned());
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// A text value as it stands, e.g. a certificate. An empty file gives an empty text.
    pub(super) fn verbatim(&self, key: &str) -> Result<Option<String>, ConfigError> {
        Ok(self.find(key)?.map(|(_, text)| text))
    }

    pub(super) fn secret(&self, key: &str) -> Result<Option<Secret>, ConfigError> {
        Ok(self.filled_text(key)?.map(Secret::new))
    }

    /// The TCP port with this key; `default` when absent or empty.
    pub(super) fn port(&self, (key, default): (&str, u16)) -> Result<u16, ConfigError> {
        let expected = "a port, which is a number from 0 to 65535";
        let port = self.parsed(key, expected, |text| text.parse().ok())?;
        Ok(port.unwrap_or(default))
    }

    /// An http or https URL, kept as text; absent when empty.
    pub(super) fn url(&self, key: &str) -> Result<Option<String>, ConfigError> {
        self.parsed(key, "a URL that starts with https:// or http://", |text| {
            let url = url::Url::parse(text).ok()?;
            matches!(url.scheme(), "http" | "https").then(|| text.to_owned())
        })
    }

    /// A value in a form of its own, which `expected` says in words; absent when empty.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some((place, text)) = self.find(key)? else {
            return Ok(None);
        };
        match text.trim_ascii() {
            "" => Ok(None),
            text => parse(text).map(Some).ok_or_else(|| ConfigError::Form {
                place,
                // A longer text may be a secret in the wrong place.
                found: match key.ends_with("_port") && text.chars().count() <= 20 {
                    true => format!(" with {text:?}"),
                    false => String::new(),
                },
                expected,
            }),
        }
    }

    /// A JSON object (B-03): a file is JSON, a variable is JSON or base64 of JSON.
    pub(super) fn object(&self, key: &str) -> Result<Option<SettingsMap>, ConfigError> {
        let Some((place, text)) = self.find(key)? else {
            return Ok(None);
        };
        let parsed = match &place {
            Place::File(_) => serde_json::from_str(&text),
            Place::Variable(_) => {
                serde_json::from_str(&text).or_else(|error| from_base64(&text).ok_or(error))
            }
        };
        match parsed {
            Ok(Value::Object(object)) => Ok(Some(SettingsMap(object))),
            Ok(other) => Err(ConfigError::NotAnObject {
                place,
                found: kind(&other),
            }),
            Err(source) => Err(ConfigError::NotJson { place, source }),
        }
    }

    /// The same of one that must be there.
    pub(super) fn required(&self, key: &str) -> Result<SettingsMap, ConfigError> {
        self.object(key)?.ok_or_else(|| self.missing(key))
    }

    /// Where the value of a key stands; none when there is no value.
    ///
    /// # Errors
    /// When the file cannot be read, or is not UTF-8.
    pub fn place(&self, key: &str) -> Result<Option<Place>, ConfigError> {
        Ok(self.find(key)?.map(|(place, _)| place))
    }

    pub(super) fn missing(&self, key: &str) -> ConfigError {
        let folder = match self.directory.is_dir() {
            true => String::new(),
            false => format!(
                "; the configuration directory {} does not exist",
                self.directory.display()
            ),
        };
        ConfigError::Missing {
            key: key.to_owned(),
            what: match key {
                // It must be there (C-01), and the module has no settings of its own.
                "module_configuration" => "`{}`",
                _ => "it",
            },
            folder,
            file: self.directory.join(key),
            variable: key.to_ascii_uppercase(),
        }
    }

    fn find(&self, key: &str) -> Result<Option<(Place, String)>, ConfigError> {
        let path = self.directory.join(key);
        if let Some(bytes) = read_file(&path)? {
            let place = Place::File(path);
            return match text::decoded(&bytes) {
                Some(text) => Ok(Some((place, text))),
                None => Err(ConfigError::NotText { place }),
            };
        }
        let name = key.to_ascii_uppercase();
        let value = self.environment.get(&name);
        let value = value.map(|value| value.strip_prefix('\u{feff}').unwrap_or(value).to_owned());
        Ok(value.map(|value| (Place::Variable(name), value)))
    }
}

/// No value is longer.
const LONGEST: usize = 4 << 20;

/// The content of a regular file; symbolic links are followed, and folders are passed over.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, ConfigError> {
    let read = std::fs::metadata(path).and_then(|found| match found.is_dir() {
        true => Ok(None),
        false => files::read(path, LONGEST).map(Some),
    });
    let path = path.to_owned();
    read.or_else(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
        io::ErrorKind::InvalidData => Err(ConfigError::NoFile { path, source }),
        _ => Err(ConfigError::Unreadable { path, source }),
    })
}

/// Base64 of JSON in any encoding of Unicode; characters outside the alphabet are passed over,
/// padding is needed (B-03).
fn from_base64(text: &str) -> Option<Value> {
    let engine = GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new());
    let in_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let clean: Vec<u8> = text.bytes().filter(in_alphabet).collect();
    let text = text::decoded(&engine.decode(clean).ok()?)?;
    serde_json::from_str(&text).ok()
}

/// The JSON type of a value, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use base::http::chain;

    fn with(
        files: &[(&str, &str)],
        variables: &[(&str, &str)],
    ) -> (tempfile::TempDir, Configuration) {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        let environment = variables.iter().copied().collect();
        let configuration = Configuration::open(directory.path(), environment).unwrap();
        (directory, configuration)
    }

    #[test]
    fn files_come_before_variables_and_are_trimmed() {
        let (directory, configuration) = with(
            &[("token", " from file\r\n"), ("empty", "")],
            &[
                ("TOKEN", "from env"),
                ("EMPTY", "x"),
                ("URL_LOGS", "\thttp://h/ "),
                ("NONE", ""),
            ],
        );
        let text = |key| configuration.filled_text(key).unwrap();
        assert_eq!(text("token").as_deref(), Some("from file"));
        assert_eq!(text("empty"), None, "an empty file wins");
        let verbatim = configuration.verbatim("empty").unwrap();
        assert_eq!(verbatim.as_deref(), Some(""));
        assert_eq!(text("url_logs").as_deref(), Some("http://h/"));
        assert_eq!(text("none"), None, "an empty variable is absent");
        assert_eq!(
            configuration.verbatim("token").unwrap().as_deref(),
            Some(" from file\r\n")
        );
        fs::create_dir(directory.path().join("region")).unwrap();
        assert_eq!(text("region"), None, "a directory is passed over");
    }

    #[test]
    fn json_in_files_and_variables() {
        let encode = |bytes: Vec<u8>| base64::engine::general_purpose::STANDARD.encode(bytes);
        let encoded = encode(br#"{"a":1}"#.to_vec());
        let marked = encode("\u{feff}{\"a\":1}".into());
        let wide = "\u{feff}{\"a\":1}".encode_utf16();
        let wide = encode(wide.flat_map(u16::to_le_bytes).collect());
        let (_directory, configuration) = with(
            &[
                ("file", "{\"a\":1}\n"),
                ("encoded_file", &encoded),
                ("list", "[]"),
            ],
            &[
                ("PLAIN", r#"{"a":1}"#),
                ("ENCODED", &format!(" {encoded}\n")),
                ("MARKED", &marked),
                ("WIDE", &wide),
                ("PLAIN_MARKED", "\u{feff}{\"a\":1}\n"),
            ],
        );
        for key in ["file", "plain", "encoded", "marked", "wide", "plain_marked"] {
            let object = configuration.object(key).unwrap().unwrap();
            assert_eq!(object.get::<u32>("a"), Some(1), "{key}");
        }
        assert!(
            configuration.object("encoded_file").is_err(),
            "files are plain JSON"
        );
        let error = configuration.object("list").unwrap_err().to_string();
        assert!(
            error.ends_with("must hold a JSON object, found a list"),
            "{error}"
        );
        assert!(configuration.object("absent").unwrap().is_none());
    }

    #[test]
    fn broken_json_names_file_line_and_column_but_no_value() {
        let (directory, configuration) = with(
            &[(
                "trigger_configuration",
                "{\n  \"account_password\": hunter2\n}",
            )],
            &[],
        );
        let text = chain(&configuration.object("trigger_configuration").unwrap_err());
        let file = directory.path().join("trigger_configuration");
        assert!(text.contains(&file.display().to_string()), "{text}");
        assert!(text.contains("line 2 column 23"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn ports_and_urls_have_a_form() {
        let (_directory, configuration) = with(
            &[
                ("liveness_port", " 8001\n"),
                ("metrics_port", "http"),
                ("empty", " "),
                ("url", "ftp://h"),
            ],
            &[],
        );
        assert_eq!(configuration.port(LIVENESS_PORT).unwrap(), 8001);
        assert_eq!(configuration.port(("empty", 8000)).unwrap(), 8000);
        let error = configuration.port(METRICS_PORT).unwrap_err().to_string();
        assert!(
            error.ends_with("is not a port, which is a number from 0 to 65535"),
            "{error}"
        );
        assert!(configuration.url("url").is_err());
        assert_eq!(configuration.url("empty").unwrap(), None);
    }

    #[test]
    fn debug_hides_values() {
        let environment: Environment = [("TOKEN", "hunter2")].into_iter().collect();
        assert_eq!(format!("{environment:?}"), r#"{"TOKEN"}"#);
        let settings = SettingsMap([("a".to_owned(), "hunter2".into())].into_iter().collect());
        assert_eq!(format!("{settings:?}"), r#"{"a"}"#);
    }
}
