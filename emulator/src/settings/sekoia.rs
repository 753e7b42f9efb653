//! Switches of the platform.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Secret;

/// The switches of the intake.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntakeSettings {
    /// The intake keys that exist.
    pub keys: Vec<Secret>,
    /// The most bytes of a request's body, uncompressed.
    pub max_body_bytes: usize,
    /// The most bytes of one event (contract row W-04).
    pub max_event_bytes: usize,
    /// How long an answer takes, in milliseconds.
    pub latency_ms: u64,
}

impl Default for IntakeSettings {
    fn default() -> Self {
        Self {
            keys: vec![Secret::from("emulated-intake-key")],
            max_body_bytes: 10 * 1024 * 1024,
            max_event_bytes: 250 * 1024,
            latency_ms: 0,
        }
    }
}

/// The switches of the platform's logs and secrets endpoints.
///
/// `Debug` shows no secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlatformSettings {
    /// The bearer token that the endpoints accept.
    pub token: Secret,
    /// The module's secrets, answered as `value`.
    #[serde(skip_serializing)]
    pub secrets: serde_json::Map<String, serde_json::Value>,
    /// The trigger's secrets, answered as `node_value`; absent when empty.
    #[serde(skip_serializing)]
    pub node_secrets: serde_json::Map<String, serde_json::Value>,
    /// Log lines that hold one of these texts are refused with 422, and all others of their request
    /// with them.
    pub refused_log_texts: Vec<String>,
    /// The longest request with log lines; longer ones are refused with 413.
    pub longest_log_request: Option<usize>,
}

impl Default for PlatformSettings {
    fn default() -> Self {
        Self {
            token: Secret::from("emulated-token"),
            secrets: serde_json::Map::new(),
            node_secrets: serde_json::Map::new(),
            refused_log_texts: Vec::new(),
            longest_log_request: None,
        }
    }
}

impl fmt::Debug for PlatformSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlatformSettings")
    }
}
