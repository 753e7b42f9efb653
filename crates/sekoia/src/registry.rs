//! Which command starts which trigger (A-01, A-02).

use base::http::chain;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    RunError, StartError,
    check::{Findings, Topic},
    config::SettingsMap,
    context::Context,
    schema::{ManifestError, TriggerManifest},
};

type Run = BoxFuture<'static, Result<(), RunError>>;

/// A kind of trigger.
///
/// Nothing of an instance is kept between runs: what must last is in the context's storage.
pub trait Trigger: Send + Sync + 'static {
    /// Text of its `trigger_*.json`. The command is the manifest's `docker_parameters`.
    const MANIFEST: &'static str;

    /// Other commands that start it.
    const ALIASES: &'static [&'static str] = &[];

    /// Settings by which a configuration that fits other triggers, too, is known to be for this one.
    const SIGNS: &'static [&'static str] = &[];

    /// Its settings, read from a configuration that fits the manifest, with the manifest's
    /// defaults filled in and numeric texts made numbers.
    type Settings: DeserializeOwned + Send;

    /// Works until the context's stop, then gives `Ok`. When it ends earlier, it is run again: soon
    /// after `Ok`, after a growing pause after an error, each time with the configuration read
    /// anew. A panic counts as an error.
    fn run(
        settings: Self::Settings,
        context: Context,
    ) -> impl Future<Output = Result<(), RunError>> + Send;

    /// Whether a run could begin with these settings, as far as that can be told without asking
    /// anybody: settings that come while another run is under way take its place only then.
    ///
    /// # Errors
    /// What is wrong with them.
    fn validate(settings: Self::Settings, context: &Context) -> Result<(), RunError>;

    /// What [`check`](Self::check) goes through besides settings and data, in this order.
    const TOPICS: &'static [Topic] = &[];

    /// Tries out what a run with these settings needs, and changes nothing. Another process may be
    /// running the trigger on the same data meanwhile, so the context's storage is for reading
    /// only.
    fn check(
        settings: Self::Settings,
        context: Context,
        findings: &mut Findings<'_>,
    ) -> impl Future<Output = ()> + Send;
}

/// One line of the list of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// What is given on the command line.
    pub name: &'a str,
    /// Other names for it.
    pub aliases: &'a [&'a str],
    /// Its name for people.
    pub title: &'a str,
    /// What it does.
    pub description: &'a str,
}

/// The triggers of a module.
#[derive(Debug)]
pub struct Registry {
    pub(super) module_manifest: &'static str,
    items: Vec<Item>,
    broken: Option<ManifestError>,
}

#[derive(Debug)]
pub(super) struct Item {
    pub(super) manifest: TriggerManifest,
    aliases: &'static [&'static str],
    signs: &'static [&'static str],
    pub(super) run: fn(SettingsMap, Context) -> Run,
    pub(super) check: for<'a> fn(SettingsMap, Context, &'a mut Findings<'_>) -> BoxFuture<'a, ()>,
    pub(super) validate: fn(SettingsMap, &Context) -> Result<(), RunError>,
    pub(super) topics: &'static [Topic],
}

impl Registry {
    /// A module without triggers; the text of its `manifest.json` is used where no file of that
    /// name is in the working directory (A-04).
    pub fn new(module_manifest: &'static str) -> Self {
        Self {
            module_manifest,
            items: Vec::new(),
            broken: None,
        }
    }

    /// Adds a trigger. A broken manifest is reported when a command is looked for.
    #[must_use]
    pub fn register<T: Trigger>(mut self) -> Self {
        match TriggerManifest::parse(T::MANIFEST) {
            Ok(manifest) => self.items.push(Item {
                manifest,
                aliases: T::ALIASES,
                signs: T::SIGNS,
                run: run::<T>,
                check: check::<T>,
                validate: validate::<T>,
                topics: T::TOPICS,
            }),
            Err(error) => self.broken = Some(error),
        }
        self
    }

    /// The commands in the order of their registration.
    pub fn commands(&self) -> impl Iterator<Item = Command<'_>> {
        self.items.iter().map(|item| Command {
            name: &item.manifest.command,
            aliases: item.aliases,
            title: &item.manifest.name,
            description: &item.manifest.description,
        })
    }

    /// Everything that checks of these triggers go through, without repetition.
    pub fn topics(&self) -> Vec<Topic> {
        let mut topics = Topic::COMMON.to_vec();
        for topic in self.items.iter().flat_map(|item| item.topics) {
            if !topics.contains(topic) {
                topics.push(*topic);
            }
        }
        topics
    }

    /// Whether a trigger has this setting, and all that have it may show it.
    pub(super) fn shows(&self, name: &str) -> bool {
        let schemas = || self.items.iter().map(|item| &item.manifest.arguments);
        schemas().any(|schema| schema.knows(name)) && !schemas().any(|schema| schema.hides(name))
    }

    /// The commands whose manifest the given settings fit, with the fewest settings that it does
    /// not know; among several, those that a setting is a sign of.
    pub(super) fn fitting(&self, settings: &SettingsMap) -> Vec<&Item> {
        let strangers = |item: &Item| item.manifest.arguments.strangers(settings);
        let fewest = self.items.iter().filter_map(strangers).min();
        let fits = |item: &&Item| strangers(item).is_some_and(|count| Some(count) == fewest);
        let fitting: Vec<&Item> = self.items.iter().filter(fits).collect();
        let is_given = |name: &&str| settings.0.contains_key(*name);
        let signed = fitting
            .iter()
            .filter(|item| item.signs.iter().any(is_given));
        match signed.copied().collect::<Vec<_>>() {
            signed if signed.is_empty() => fitting,
            signed => signed,
        }
    }

    /// The trigger behind a command or alias, which must match exactly.
    pub(super) fn find(&self, command: &str) -> Result<&Item, StartError> {
        if let Some(error) = &self.broken {
            return Err(StartError::TriggerManifest(chain(error)));
        }
        let is = |item: &&Item| item.manifest.command == command || item.aliases.contains(&command);
        let found = self.items.iter().find(is);
        let commands = self.commands().map(|command| command.name.to_owned());
        let found = found.ok_or_else(|| StartError::UnknownCommand {
            command: command.to_owned(),
            known: commands.collect(),
        })?;
        let manifest = &found.manifest;
        let schema = manifest.arguments.verify(&manifest.command);
        schema.map_err(|error| StartError::TriggerManifest(chain(&error)))?;
        Ok(found)
    }
}

fn run<T: Trigger>(settings: SettingsMap, context: Context) -> Run {
    Box::pin(async move { T::run(settings.typed()?, context).await })
}

fn check<'a, T: Trigger>(
    settings: SettingsMap,
    context: Context,
    findings: &'a mut Findings<'_>,
) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        match settings.typed() {
            Ok(settings) => T::check(settings, context, findings).await,
            Err(error) => findings.settings(Err(error)),
        }
    })
}

fn validate<T: Trigger>(settings: SettingsMap, context: &Context) -> Result<(), RunError> {
    T::validate(settings.typed()?, context)
}

impl SettingsMap {
    /// The settings as this type has them.
    ///
    /// # Errors
    /// When one of them is of another type; its value is not told.
    pub fn typed<T: DeserializeOwned>(self) -> Result<T, RunError> {
        serde_json::from_value(Value::Object(self.0)).map_err(|error| {
            RunError::configuration(format!(
                "a setting is not usable: {}",
                without_values(&error)
            ))
        })
    }
}

/// The error's text without what stands in double quotes, which may be the value of a setting.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // From the first to the last quote: a value may hold quotes itself.
    match (text.split_once('"'), text.rsplit_once('"')) {
        (Some((before, _)), Some((_, after))) => format!("{before}\"…\"{after}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_types_do_not_show_values() {
        let hide = |text: &str| {
            let error = serde_json::from_str::<u8>(text).unwrap_err();
            without_values(&error)
        };
        let text = hide(r#""hun\"ter2""#);
        assert!(
            text.starts_with(r#"invalid type: string "…", expected u8"#),
            "{text}"
        );
        assert!(hide("300").starts_with("invalid value: integer `300`, expected u8"));
    }

    struct Broken;

    impl Trigger for Broken {
        const MANIFEST: &'static str = "{";
        type Settings = Value;

        async fn run(_: Value, _: Context) -> Result<(), RunError> {
            Ok(())
        }

        fn validate(_: Value, _: &Context) -> Result<(), RunError> {
            Ok(())
        }

        async fn check(_: Value, _: Context, _: &mut Findings<'_>) {}
    }

    #[test]
    fn a_broken_manifest_is_told_when_a_command_is_looked_for() {
        let registry = Registry::new("{}").register::<Broken>();
        let error = registry.find("x").unwrap_err().to_string();
        assert!(
            error.contains("the manifest of a trigger is not usable"),
            "{error}"
        );
        assert_eq!(registry.commands().count(), 0);
    }

    struct Misshapen;

    impl Trigger for Misshapen {
        const MANIFEST: &'static str = r#"{
            "docker_parameters": "odd", "name": "", "description": "", "arguments": {"type": 5}
        }"#;
        type Settings = Value;

        async fn run(_: Value, _: Context) -> Result<(), RunError> {
            Ok(())
        }

        fn validate(_: Value, _: &Context) -> Result<(), RunError> {
            Ok(())
        }

        async fn check(_: Value, _: Context, _: &mut Findings<'_>) {}
    }

    #[test]
    fn an_invalid_schema_is_told_when_its_command_is_looked_for() {
        let registry = Registry::new("{}").register::<Misshapen>();
        let error = registry.find("odd").unwrap_err().to_string();
        assert!(
            error.contains("the manifest odd holds an invalid JSON Schema"),
            "{error}"
        );
        assert!(registry.fitting(&SettingsMap::default()).is_empty());
    }
}
