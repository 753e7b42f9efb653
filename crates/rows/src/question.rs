//! What a page of rows is asked for.

use std::sync::Arc;

use crate::Window;

/// Which rows are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Those received in this window.
    pub window: Window,
    /// Only those of the message with this id in the trace; none for all messages.
    pub message: Option<Arc<str>>,
}

impl From<Window> for Question {
    fn from(window: Window) -> Self {
        let message = None;
        Self { window, message }
    }
}
