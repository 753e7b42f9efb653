//! The module's log.

use maud::{Markup, html};

use super::words;
use crate::page::state::{Level, Line};

/// What is shown of it.
pub(crate) fn levels() -> Markup {
    html! {
        div.seg #levels role="radiogroup" aria-label="Least level" {
            @for (index, level) in ["debug", "info", "warning", "error"].into_iter().enumerate() {
                label { input.sr type="radio" name="lv" value=(level) checked[index == 0]; (level) }
            }
        }
    }
}

/// One line.
pub(crate) fn line(line: &Line) -> Markup {
    let (symbol, class, ground) = match line.level {
        Level::Debug => ("l-debug", "mut", "debug"),
        Level::Info => ("l-info", "mut", "info"),
        Level::Warning => ("warn", "warn", "warning"),
        Level::Error | Level::Critical => ("bad", "bad", "error"),
    };
    html! {
        li class=(ground) {
            time { (line.time) }
            span class=(format!("lv {class}")) { (words::icon(symbol, "")) (line.level.word()) }
            p {
                (line.text)
                @for letter in line.letters.chars() { " " (words::letter(letter, "was on then")) }
            }
        }
    }
}
