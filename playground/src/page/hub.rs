//! What every open page is told: the present content of its parts, and what is added to its lists.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::json;
use tokio::sync::broadcast;

/// Frames that a page may fall behind; one that falls farther gets everything anew.
const BACKLOG: usize = 256;

/// The parts of the page, by their id.
#[derive(Clone, Debug)]
pub(crate) struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Mutex<BTreeMap<&'static str, Part>>,
    frames: broadcast::Sender<Arc<str>>,
}

#[derive(Clone, Debug, Default)]
struct Part {
    version: u64,
    html: String,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            parts: Mutex::default(),
            frames: broadcast::Sender::new(BACKLOG),
        }))
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<&'static str, Part>> {
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of the page has this content now.
    pub(crate) fn publish(&self, id: &'static str, html: String) {
        let mut parts = self.parts();
        let part = parts.entry(id).or_default();
        if part.version > 0 && part.html == html {
            return;
        }
        part.version += 1;
        part.html = html;
        self.send(&frame(id, part));
    }

    /// This stands at the head of a list from now on. Those who come later get the list by other ways.
    pub(crate) fn prepend(&self, id: &'static str, html: &str) {
        self.send(&json!({ "i": id, "add": html }).to_string());
    }

    /// The head of a list is this from now on.
    pub(crate) fn amend(&self, id: &'static str, html: &str) {
        self.send(&json!({ "i": id, "first": html }).to_string());
    }

    /// A list is another one from now on.
    pub(crate) fn replace(&self, id: &'static str, html: &str) {
        self.send(&json!({ "i": id, "v": 0, "h": html }).to_string());
    }

    /// A word to everybody, such as why something was not done.
    pub(crate) fn say(&self, text: &str) {
        self.send(&json!({ "say": text }).to_string());
    }

    fn send(&self, frame: &str) {
        // Nobody may be there.
        _ = self.0.frames.send(Arc::from(frame));
    }

    /// Everything there is at present, and what comes after it.
    pub(crate) fn subscribe(&self) -> (Vec<Arc<str>>, broadcast::Receiver<Arc<str>>) {
        let parts = self.parts();
        let frames = self.0.frames.subscribe();
        let all = parts.iter().map(|(id, part)| Arc::from(frame(id, part)));
        (all.collect(), frames)
    }

    /// The content of a part, with its version.
    pub(crate) fn part(&self, id: &str) -> (u64, String) {
        let parts = self.parts();
        let part = parts.get(id).cloned().unwrap_or_default();
        (part.version, part.html)
    }
}

fn frame(id: &str, part: &Part) -> String {
    json!({ "i": id, "v": part.version, "h": part.html }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_changed_is_not_told_again() {
        let hub = Hub::new();
        let (none, mut frames) = hub.subscribe();
        assert!(none.is_empty());
        hub.publish("a", "one".to_owned());
        hub.publish("a", "one".to_owned());
        hub.prepend("b", "<i>");
        assert_eq!(&*frames.try_recv().unwrap(), r#"{"h":"one","i":"a","v":1}"#);
        assert_eq!(&*frames.try_recv().unwrap(), r#"{"add":"<i>","i":"b"}"#);
        assert!(frames.try_recv().is_err());
        assert_eq!(hub.subscribe().0.len(), 1);
        assert_eq!(hub.part("a"), (1, "one".to_owned()));
    }
}
