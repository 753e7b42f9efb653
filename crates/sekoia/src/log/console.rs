//! Standard error, which must not hold the program up.

use std::{
    fmt,
    io::{self, Write},
    os::fd::AsFd,
    sync::{Arc, Mutex},
};

use base::{Clock, lock};
use chrono::SecondsFormat;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use serde_json::json;

use super::Level;

/// What a pipe takes at least when it says that it takes something (`PIPE_BUF` of Linux).
const PIECE: usize = 4096;

/// How long a line waits for the reader of a full pipe, in nanoseconds.
const TIMEOUT: i64 = 100_000_000;

/// Where the lines of stderr go: each with its level, its message, and as a whole.
#[derive(Clone)]
pub struct Console(Arc<Print>);

type Print = dyn Fn(Level, &str, &str) + Send + Sync;

impl Console {
    /// The standard error of the process. A line that a full pipe does not take within a tenth of a second is
    /// left out, and so are the next ones, until there is room again; then it is said how many are missing.
    pub fn stderr() -> Self {
        let lines = Lines::new(io::stderr());
        Self::new(move |line| lines.write(|missing| missing.unwrap_or_else(|| line.to_owned())))
    }

    /// The same as one JSON object for each line: time, level, the trigger's command as `logger`, and
    /// the message, which may have line ends.
    pub fn json(logger: impl Into<String>, clock: Clock) -> Self {
        let logger = logger.into();
        let lines = Lines::new(io::stderr());
        Self(Arc::new(move |level, message, _| {
            let time = clock.now().to_rfc3339_opts(SecondsFormat::Micros, true);
            lines.write(|missing| {
                let level = missing.as_ref().map_or(level, |_| Level::Warning);
                let message = missing.as_deref().unwrap_or(message);
                let line = json!({
                    "time": time, "level": level.word(), "logger": logger, "message": message,
                });
                line.to_string()
            });
        }))
    }

    /// Hands each line, without its end, to `write`.
    pub fn new(write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |_, _, line| write(line)))
    }

    /// Hands each message, without its date, to `write`.
    pub fn of_messages(write: impl Fn(Level, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |level, message, _| write(level, message)))
    }

    pub(super) fn write(&self, level: Level, message: &str, line: &str) {
        (self.0)(level, message, line);
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Console")
    }
}

/// Lines for a pipe that others may read slowly, or not at all.
struct Lines<W> {
    to: W,
    /// The lines that are missing since the pipe was full.
    missing: Mutex<Missing>,
}

#[derive(Default)]
struct Missing {
    lines: u64,
    /// Whether the last line that went out is without its end.
    is_torn: bool,
}

impl<W: AsFd> Lines<W>
where
    for<'a> &'a W: Write,
{
    fn new(to: W) -> Self {
        Self {
            to,
            missing: Mutex::default(),
        }
    }

    /// Writes what `line` makes: of nothing, the line; of a remark about missing lines, a line with that.
    fn write(&self, line: impl Fn(Option<String>) -> String) {
        let mut missing = lock(&self.missing);
        let lines = missing.lines;
        let timeout = if lines > 0 { 0 } else { TIMEOUT };
        if lines > 0 {
            let remark = format!("{lines} lines are missing here: nobody read standard error");
            if self.put(&line(Some(remark)), timeout, &mut missing) {
                missing.lines = 0;
            }
        }
        if missing.lines > 0 || !self.put(&line(None), timeout, &mut missing) {
            missing.lines += 1;
        }
    }

    /// Whether all of a line was taken.
    fn put(&self, line: &str, timeout: i64, missing: &mut Missing) -> bool {
        let end_of_torn = if missing.is_torn { "\n" } else { "" };
        let text = format!("{end_of_torn}{line}\n");
        let written = self.write_pieces(text.as_bytes(), timeout);
        missing.is_torn = match written {
            0 => missing.is_torn,
            _ => written < text.len(),
        };
        written == text.len()
    }

    /// How many bytes were taken. A pipe without a reader takes all: nobody is left to be told.
    fn write_pieces(&self, bytes: &[u8], timeout: i64) -> usize {
        let mut written = 0;
        for piece in bytes.chunks(PIECE) {
            if !has_room(&self.to, timeout) {
                return written;
            }
            // In one piece, as others may write to the same pipe.
            if (&self.to).write_all(piece).is_err() {
                return bytes.len();
            }
            written += piece.len();
        }
        written
    }
}

/// Whether a piece can be written now, or within so many nanoseconds. What cannot be asked has room.
fn has_room(to: &impl AsFd, nanoseconds: i64) -> bool {
    let mut fds = [PollFd::new(to, PollFlags::OUT)];
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds,
    };
    match poll(&mut fds, Some(&timeout)) {
        Ok(ready) => ready > 0,
        Err(Errno::INTR) => false,
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_costs_lines_and_no_time() {
        let (mut reader, writer) = io::pipe().unwrap();
        let lines = Lines::new(writer);
        let put = |line: &str| lines.write(|remark| remark.unwrap_or_else(|| line.to_owned()));
        let long = "x".repeat(10_000);
        // More than any pipe holds; without an end of its own this test would stand here.
        for _ in 0..200 {
            put(&long);
        }
        let missing = lines.missing.lock().unwrap().lines;
        assert!((150..200).contains(&missing), "{missing}");
        let mut held = vec![0; 1 << 20];
        let count = reader.read(&mut held).unwrap();
        put("again");
        drop(lines);
        let mut rest = String::from_utf8(held.get(..count).unwrap().to_vec()).unwrap();
        reader.read_to_string(&mut rest).unwrap();
        let all: Vec<&str> = rest.lines().collect();
        let (tail, whole) = all.split_last_chunk::<2>().map(|(a, b)| (b, a)).unwrap();
        let remark = format!("{missing} lines are missing here: nobody read standard error");
        assert_eq!(*tail, [remark.as_str(), "again"]);
        let whole = whole.iter().filter(|line| **line == long).count() as u64;
        assert_eq!(whole + missing, 200);
    }

    #[test]
    fn a_pipe_without_a_reader_is_no_reason_to_wait() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let lines = Lines::new(writer);
        lines.write(|_| "nobody".to_owned());
        assert_eq!(lines.missing.lock().unwrap().lines, 0);
    }
}
