//! Fits the Microsoft side and the Sekoia.io side to the traits of the fetch loop.

use std::{io, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    Clock, Page, Window,
    collect::{
        Batch, Pushed, Receipt, Rejected, Remedy, Sink, Source, SourceError, SourceLimits, Store,
    },
    http::chain,
    microsoft::{self, Class, Link, ReportingService},
    sdk::{self, Intake, Storage, StorageError},
};

/// How far back a service is taken to reach when it says "too old" without a number.
const SHORTER_REACH: TimeDelta = TimeDelta::days(10);

/// The Reporting Web Service as a source.
#[derive(Debug)]
pub(super) struct Reporting {
    pub(super) service: ReportingService,
    pub(super) clock: Clock,
}

impl Source for Reporting {
    type Link = Link;

    async fn page(&self, window: Window, link: Option<Link>) -> Result<Page<Link>, SourceError> {
        let page = self.service.page(window, link.as_ref()).await;
        page.map_err(|error| source_error(&error, self.clock.now()))
    }

    /// Pages hold 2000 rows, and a query ends with an error after about 500 of them
    /// (reference A.5); rows are kept for 30 days (A.6).
    fn limits(&self) -> SourceLimits {
        SourceLimits {
            longest_window: TimeDelta::days(10),
            retention: TimeDelta::days(30),
            rows_per_window: 40_000,
            pages_per_window: 250,
            longest_call: Duration::from_secs(180),
        }
    }
}

fn source_error(error: &microsoft::Error, now: DateTime<Utc>) -> SourceError {
    let remedy = match error.class() {
        Class::Transient { retry_after } => Remedy::Retry { after: retry_after },
        Class::Refused => Remedy::Person,
        Class::Narrow => Remedy::Narrow,
        Class::OutOfReach { days } => {
            let reach = days.map_or(SHORTER_REACH, |days| TimeDelta::days(days.into()));
            Remedy::TooOld {
                oldest: now - reach,
            }
        }
    };
    SourceError {
        remedy,
        sentence: chain(error),
        label: error.label(),
    }
}

/// An intake as a sink.
#[derive(Debug)]
pub(super) struct Delivery(pub(super) Intake);

impl Sink for Delivery {
    type Batch = sdk::Batch;

    fn batch(&self) -> sdk::Batch {
        self.0.batch()
    }

    async fn deliver(&self, batch: sdk::Batch) -> Option<Receipt> {
        let receipt = self.0.push(batch).await.ok()?;
        let rejected = receipt.rejected.into_iter();
        let rejected = rejected.map(|one| Rejected {
            event: one.event,
            reason: one.reason,
        });
        Some(Receipt {
            rejected: rejected.collect(),
        })
    }
}

impl Batch for sdk::Batch {
    fn push(&mut self, event: &str) -> Pushed {
        match Self::push(self, event) {
            sdk::Pushed::Added => Pushed::Added,
            sdk::Pushed::Full => Pushed::Full,
            sdk::Pushed::TooLong { .. } => Pushed::TooLong,
        }
    }
}

/// The storage of the SDK as a store.
#[derive(Debug)]
pub(super) struct Kept(pub(super) Storage);

fn io<T>(result: Result<T, StorageError>) -> io::Result<T> {
    result.map_err(io::Error::other)
}

impl Store for Kept {
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        io(self.0.read(name).await)
    }

    async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
        io(self.0.write(name, content).await)
    }

    async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
        io(self.0.append(name, content).await)
    }

    async fn delete(&self, name: &str) -> io::Result<()> {
        io(self.0.delete(name).await)
    }

    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        io(self.0.list(prefix).await)
    }
}
