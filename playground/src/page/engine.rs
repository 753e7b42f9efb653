//! The engine of the page: what is known, and what becomes of it at each event.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use emulator::{Ending, Event as Planned};
use serde_json::{Map, Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    Event, Order,
    asked::Asked,
    hub::Hub,
    manifest::{self, Kind, Manifest},
    process::{Process, Sign},
    server::Joined,
    state::{Life, Line, State},
    tour::Tour,
    verdict::{Judgement, judge},
    view,
};
use crate::{
    arguments::Trigger, screen::Screen, signals::Signals, site::SETTINGS_FILE, status::Meter,
    world::World,
};

/// Owns everything that the page shows, and the module's process.
pub(super) struct Engine<'a> {
    pub(super) binary: PathBuf,
    pub(super) world: World,
    /// Counts the worlds: a scenario begins another one.
    pub(super) world_number: u64,
    pub(super) hub: Hub,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) screen: &'a Screen,
    pub(super) state: State,
    pub(super) process: Option<Process>,
    /// What is to happen once the process has ended.
    pub(super) then: Then,
    pub(super) meter: Meter,
    /// When the terminal is to be told how far the module is.
    pub(super) status_from: Instant,
    pub(super) client: reqwest::Client,
    /// Whether a look at the module is under way.
    pub(super) probing: bool,
    pub(super) looks: u64,
    /// Whether the ledger is being read, and when it may be again.
    pub(super) judging: bool,
    pub(super) judge_from: Instant,
    /// Numbers of the newest that was taken from the emulator.
    pub(super) taken: Taken,
    /// The emulator's settings without any switch.
    pub(super) base: Value,
    /// What was done to the emulator, for the scenario of this run.
    pub(super) done: Vec<Planned>,
    /// The lives of this run: start, end, and how it ended.
    pub(super) lived: Vec<(u64, Option<(u64, Ending)>)>,
    /// Since when something fails.
    pub(super) failing: Option<Instant>,
    pub(super) diagnosed: Option<Instant>,
    /// The trace ids of rows that a switch has brought, with its letter.
    pub(super) marked: std::collections::HashMap<String, char>,
    pub(super) mails: u64,
    pub(super) wave_at: Option<Instant>,
    /// Rows of the tour's outage that are still to come.
    pub(super) surge: u32,
}

/// Numbers of the newest that was taken from the emulator.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) accepted: u64,
    pub(super) logs: u64,
    pub(super) requests: u64,
}

/// What is to happen once the process has ended.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Then {
    #[default]
    Nothing,
    /// It starts again, perhaps without any state.
    Start { anew: bool },
    /// Another world begins, with this scenario.
    Play(String),
    /// The playground ends.
    End,
}

impl<'a> Engine<'a> {
    pub(super) fn new(
        binary: PathBuf,
        world: World,
        hub: Hub,
        events: mpsc::Sender<Event>,
        screen: &'a Screen,
        trigger: Option<Trigger>,
    ) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build();
        let now = world.now();
        let mut engine = Self {
            binary,
            world_number: 0,
            hub,
            events,
            screen,
            state: State::blank(&world, Tour::new(now)),
            process: None,
            then: Then::Nothing,
            meter: Meter::start(0),
            status_from: Instant::now(),
            client: client.context("cannot make an HTTP client")?,
            probing: false,
            looks: 0,
            judging: false,
            judge_from: Instant::now(),
            taken: Taken::default(),
            base: json!(world.emulator.settings()),
            done: Vec::new(),
            lived: Vec::new(),
            failing: None,
            diagnosed: None,
            marked: std::collections::HashMap::new(),
            mails: 0,
            wave_at: None,
            surge: 0,
            world,
        };
        if let Some(trigger) = trigger {
            engine.state.form.manifest = Manifest::of(trigger, Kind::Trigger);
        }
        engine.tell_all();
        Ok(engine)
    }

    /// Turns until a signal comes and the process has ended.
    pub(super) async fn run(
        &mut self,
        mut inbox: mpsc::Receiver<Event>,
        signals: &mut Signals,
    ) -> anyhow::Result<bool> {
        // At most 20 times a second something new is shown.
        let mut frame = interval(Duration::from_millis(50));
        frame.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut quarter, mut second) = (Instant::now(), Instant::now());
        loop {
            tokio::select! {
                () = signals.any() => {
                    self.then = Then::End;
                    match &self.process {
                        Some(process) => {
                            self.screen.line("-- stopping the module");
                            process.sign(Sign::Stop);
                            self.state.life = Life::Stopping;
                        }
                        None => return Ok(self.conclude()),
                    }
                }
                event = inbox.recv() => {
                    let Some(event) = event else { return Ok(false) };
                    let ended = matches!(event, Event::Ended { .. });
                    if let Err(error) = self.take(event).await {
                        self.say(&format!("{error:#}"));
                    }
                    if ended && self.then == Then::End {
                        return Ok(self.conclude());
                    }
                }
                _ = frame.tick() => {
                    self.frame();
                    let now = Instant::now();
                    if now >= quarter {
                        quarter = now + Duration::from_millis(240);
                        self.quarter();
                    }
                    if now >= second {
                        second = now + Duration::from_millis(980);
                        self.second();
                    }
                }
            }
        }
    }

    /// Tells each open page, and the terminal.
    pub(super) fn say(&self, text: &str) {
        self.screen.line(format_args!("-- {text}"));
        self.hub.say(text);
    }

    async fn take(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Order(order) => self.order(order).await?,
            Event::Page(answer) => _ = answer.send(view::page(&self.state, &self.hub)),
            Event::Join(answer) => _ = answer.send(self.join()),
            Event::Row(number, answer) => {
                self.state.tour.opened_row = true;
                let row = self.state.rows.find(number);
                _ = answer.send(row.map(|row| view::row::opened(row).into_string()));
            }
            Event::Download(what, answer) => _ = answer.send(self.download(what)),
            Event::Line(line) => self.line(&line),
            Event::Ended {
                life,
                status,
                complaint,
            } => {
                if life == self.state.lives {
                    self.ended(status, complaint).await?;
                }
            }
            Event::Problems {
                version,
                problems,
                start,
            } => {
                if version == self.state.form.version {
                    self.state.form.problems = problems?;
                    if start {
                        self.start_if_right()?;
                    }
                    self.tell_form();
                } else if start {
                    // A setting has changed between the press and the answer: what is to start is the new form.
                    self.changed(true)?;
                }
            }
            Event::Found(check, finding) => self.found(check, finding),
            Event::Checked(check, result) => self.checked(check, result),
            Event::Probed(probe) => self.probed(*probe),
            Event::Judged(world, judgement) => {
                self.judging = false;
                if world == self.world_number {
                    self.state.judgement = Some(*judgement);
                }
            }
            Event::Due(world, due) => {
                if world == self.world_number {
                    self.due(due)?;
                }
            }
        }
        Ok(())
    }

    /// What a page needs that listens from now on.
    fn join(&self) -> Joined {
        let (mut first, frames) = self.hub.subscribe();
        for (id, html) in view::lists(&self.state) {
            first.push(Arc::from(json!({ "i": id, "v": 0, "h": html }).to_string()));
        }
        Joined { first, frames }
    }

    /// A line of the module's log.
    pub(super) fn line(&mut self, text: &str) {
        self.screen.line(text);
        let letters = self.letters();
        let line = match Line::read(text) {
            Some(mut line) => {
                if line.level >= super::state::Level::Warning {
                    line.letters = letters;
                }
                line
            }
            // It belongs to the line before.
            None => match self.state.lines.back_mut() {
                Some(last) if last.text.len() < 4000 => {
                    last.text.push('\n');
                    last.text.push_str(text);
                    let html = view::log::line(last).into_string();
                    self.hub.amend("lines", &html);
                    return;
                }
                _ => return,
            },
        };
        self.hub
            .prepend("lines", &view::log::line(&line).into_string());
        self.state.keep_line(line);
    }

    /// The letters of the switches that are on.
    fn letters(&self) -> String {
        self.state.board.all_on().map(|on| on.letter).collect()
    }

    /// The module's commands, with the settings of the process or with those of the form.
    pub(super) fn asked(&self, draft: bool) -> Option<Asked> {
        let site = &self.world.site;
        Some(Asked {
            binary: self.binary.clone(),
            trigger: self.state.form.trigger()?.command(),
            configuration: if draft {
                site.draft()
            } else {
                site.configuration()
            },
            data: site.data(),
        })
    }

    /// The files that the platform would lay, secrets masked.
    pub(super) fn read_files(&mut self) {
        let folder = self.world.site.configuration();
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let text = match name.as_str() {
                "token" => "***".to_owned(),
                SETTINGS_FILE => masked(&text),
                _ => text,
            };
            files.push((name, text));
        }
        files.sort();
        self.state.files = files;
    }

    /// The verdict at the end, and whether rows were delivered and it is clean; nobody has to start anything.
    fn conclude(&mut self) -> bool {
        let judgement = self.judge_now();
        self.screen.close();
        if self.state.lives == 0 {
            return true;
        }
        let well = matches!(self.state.life, Life::Ended { well: true, .. });
        self.screen
            .line(format_args!("\n{}", view::ledger::sentence(&judgement)));
        if let Life::Ended {
            well: false, how, ..
        } = &self.state.life
        {
            self.screen.line(how);
        }
        judgement.passes() && well
    }

    /// Asks the ledger at once.
    pub(super) fn judge_now(&mut self) -> Judgement {
        self.read_state();
        let judgement = judge(&self.world.emulator, &self.state.claim, &self.state.excuse);
        self.state.judgement = Some(judgement.clone());
        judgement
    }

    /// Another form, checked by the module.
    pub(super) fn changed(&mut self, start: bool) -> anyhow::Result<()> {
        self.state.form.version += 1;
        let site = &self.world.site;
        site.configure(&site.draft(), &self.state.form.draft)?;
        if let Some(asked) = self.asked(true) {
            let (events, version) = (self.events.clone(), self.state.form.version);
            tokio::spawn(async move {
                let problems = asked.problems().await;
                let event = Event::Problems {
                    version,
                    problems,
                    start,
                };
                _ = events.send(event).await;
            });
        }
        self.tell_form();
        Ok(())
    }
}

/// Settings with their secrets masked.
fn masked(text: &str) -> String {
    let Ok(mut form) = serde_json::from_str::<Map<String, Value>>(text) else {
        return "***".to_owned();
    };
    for (name, value) in &mut form {
        if manifest::is_secret(name) || name == "certificate" {
            *value = "***".into();
        }
    }
    serde_json::to_string_pretty(&form).unwrap_or_default()
}

impl Order {
    /// What the terminal says of it.
    pub(super) fn words(&self) -> Option<&'static str> {
        match self {
            Self::Stop => Some("stopping the module"),
            Self::Kill => Some("killing the module"),
            Self::Restart => Some("restarting the module"),
            Self::Anew => Some("starting the module from nothing"),
            Self::Start => Some("starting the module"),
            _ => None,
        }
    }
}
