//! The settings of a run: read from the configuration, completed and checked.

use std::collections::BTreeSet;

use super::{
    RunError,
    config::{ConfigError, Configuration, SettingsMap},
    log::Log,
    registry::Item,
    schema::{ModuleManifest, Schema, shown_name},
    secrets::Secrets,
};

/// Where a trigger's settings stand (C-02, C-03).
pub(super) const TRIGGER: &str = "trigger_configuration";

/// Where a connector's settings stand; they count first.
pub(super) const CONNECTOR: &str = "connector_configuration";

/// Where the module's settings stand (C-01).
pub(super) const MODULE: &str = "module_configuration";

/// The setting with the address of the intake.
pub(super) const SERVER: &str = "intake_server";

/// Settings that fit their manifests, with defaults filled in.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) module: SettingsMap,
    pub(super) trigger: SettingsMap,
    /// Sentences about what fits but looks wrong.
    pub(super) suspicions: Vec<String>,
}

impl Settings {
    /// Reads and checks the settings; what is secret in them is hidden in the log from then on. Without
    /// `secrets` the platform was not asked, and placeholders may still be filled.
    pub(super) fn read(
        item: &Item,
        module: &ModuleManifest,
        secrets: Option<&Secrets>,
        configuration: &Configuration,
        log: &Log,
    ) -> Result<Self, RunError> {
        let required = |key: &str| {
            let mut object = configuration.required(key).map_err(RunError::failed)?;
            if let Some(secrets) = secrets {
                secrets.complete(key, &mut object);
            }
            Ok::<_, RunError>(object)
        };
        let of_module = required(MODULE)?;
        let key = of_trigger(configuration).map_err(RunError::failed)?;
        let mut of_trigger = required(key)?;
        // Where the platform is, it knows best: its address need not be https, a person's must.
        let placed = place_intake(configuration, &mut of_trigger).map_err(RunError::failed)?;
        let intake = placed.then(|| of_trigger.0.remove(SERVER)).flatten();

        let mut suspicions = Vec::new();
        let mut checked = |key: &str, schema: &Schema, settings: SettingsMap| {
            let hidden = schema.secrets().iter();
            let hidden = hidden.filter_map(|name| settings.0.get(name)?.as_str());
            hidden.for_each(|secret| log.hide_text(secret));
            let named = |sentence: String| format!("{key}: {sentence}");
            match schema.check(settings, secrets.is_some()) {
                Ok(found) => {
                    suspicions.extend(found.suspicions.into_iter().map(named));
                    Ok(found.settings)
                }
                Err(problems) => Err(Vec::from_iter(problems.into_iter().map(named))),
            }
        };
        let of_module = checked(MODULE, &module.configuration, of_module);
        let of_trigger = checked(key, &item.manifest.arguments, of_trigger);
        match (of_module, of_trigger) {
            (Ok(module), Ok(mut trigger)) => {
                trigger.0.extend(intake.map(|url| (SERVER.to_owned(), url)));
                Ok(Self {
                    module,
                    trigger,
                    suspicions,
                })
            }
            (module, trigger) => {
                let problems = [module.err(), trigger.err()].into_iter().flatten();
                Err(RunError::Configuration(problems.flatten().collect()))
            }
        }
    }

    /// The names of the settings that have another value in others, or are in one of both only, as they may
    /// be told.
    pub(super) fn differing(&self, other: &Self) -> BTreeSet<String> {
        let pairs = [
            (&self.module, &other.module),
            (&self.trigger, &other.trigger),
        ];
        let names = pairs.into_iter().flat_map(|(one, other)| {
            let names = one.0.keys().chain(other.0.keys());
            names.filter(|name| one.0.get(*name) != other.0.get(*name))
        });
        names.map(|name| shown_name(name).to_owned()).collect()
    }
}

/// The key that holds the trigger's settings.
pub(super) fn of_trigger(configuration: &Configuration) -> Result<&'static str, ConfigError> {
    let connector = configuration.place(CONNECTOR)?;
    Ok(connector.map_or(TRIGGER, |_| CONNECTOR))
}

/// Where the settings name no intake server, the platform's `intake_url` counts (J-01) before the
/// manifest's default, which is the server of one region only.
pub(super) fn place_intake(
    configuration: &Configuration,
    settings: &mut SettingsMap,
) -> Result<bool, ConfigError> {
    let named = settings
        .get::<String>(SERVER)
        .is_some_and(|server| !server.trim().is_empty());
    if named {
        // Then nobody needs the platform's, nor that it is an address.
        return Ok(false);
    }
    let platform = configuration.url("intake_url")?;
    let placed = platform.map(|url| settings.0.insert(SERVER.to_owned(), url.into()));
    Ok(placed.is_some())
}

/// Whether the configuration waits for the platform's secrets: where it holds placeholders that they
/// may take the place of, or lacks what the manifest asks for and the endpoint may give.
pub(super) fn waits_for_secrets(
    item: &Item,
    module: &ModuleManifest,
    configuration: &Configuration,
) -> bool {
    if !module.configuration.secrets().is_empty() {
        return true;
    }
    let Ok(Some(of_trigger)) = configuration.object(TRIGGER) else {
        return false;
    };
    let counts = self::of_trigger(configuration).is_ok_and(|counts| counts == TRIGGER);
    counts && item.manifest.arguments.lacks_secrets(&of_trigger)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whether the platform's address counts, and what the server is then.
    fn placed(server: &str, platform: &str) -> Result<(bool, Option<String>), ConfigError> {
        let environment = [("INTAKE_URL", platform)].into_iter().collect();
        let configuration = Configuration::open("/nowhere", environment)?;
        let mut settings = SettingsMap::default();
        settings.0.insert(SERVER.to_owned(), json!(server));
        let placed = place_intake(&configuration, &mut settings)?;
        Ok((placed, settings.get(SERVER)))
    }

    #[test]
    fn the_platform_s_intake_counts_where_the_settings_name_none() {
        let named = "https://intake.fra2.sekoia.io/api/v1/intake-http";
        for platform in ["https://intake.sekoia.io", "intake.sekoia.io"] {
            let found = placed(named, platform).unwrap();
            assert_eq!(found, (false, Some(named.to_owned())), "{platform}");
        }
        for empty in ["", " "] {
            let found = placed(empty, named).unwrap();
            assert_eq!(found, (true, Some(named.to_owned())));
            assert!(placed(empty, "intake.sekoia.io").is_err());
        }
    }
}
