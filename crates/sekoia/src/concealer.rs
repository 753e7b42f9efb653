//! Hides the secrets of a configuration in texts, also when the configuration cannot be used.

use base::Clock;
use serde_json::Value;

use super::{
    Installation,
    effective::TEXTS,
    log::{Console, Log},
    proxies,
    settings::{CONNECTOR, MODULE, TRIGGER},
};

/// The secrets of a configuration, as far as it can be read.
#[derive(Debug)]
pub struct Concealer(Log);

impl Concealer {
    /// Of this configuration. A setting that no trigger has counts as a secret: its
    /// name may be misspelled. What cannot be read hides nothing.
    pub fn of(installation: &Installation<'_>) -> Self {
        let log = Log::new("", Clock::system(), Console::new(|_| {}));
        proxies::hide(&log, &installation.environment);
        if let Ok(configuration) = installation.configuration() {
            for (key, _) in TEXTS.into_iter().filter(|(_, is_secret)| *is_secret) {
                if let Ok(Some(text)) = configuration.filled_text(key) {
                    log.hide_text(&text);
                }
            }
            for key in [MODULE, TRIGGER, CONNECTOR] {
                let Ok(Some(settings)) = configuration.object(key) else {
                    continue;
                };
                for (name, value) in &settings.0 {
                    if key == MODULE || !installation.registry.shows(name) {
                        hide(&log, value);
                    }
                }
            }
        }
        Self(log)
    }

    /// The text with each secret replaced by `***`, in all spellings that the log knows, and with what the
    /// eye does not see made visible.
    pub fn apply(&self, text: &str) -> String {
        self.0.masked(text)
    }
}

/// Hides all texts in a value, each line of one too: a key may be quoted by the line.
fn hide(log: &Log, value: &Value) {
    match value {
        Value::String(text) => {
            log.hide_text(text);
            text.lines().for_each(|line| log.hide_text(line));
        }
        Value::Array(values) => values.iter().for_each(|value| hide(log, value)),
        Value::Object(members) => members.values().for_each(|value| hide(log, value)),
        _ => {}
    }
}
