//! The page in a real browser: the whole story for each trigger, the tour, a refresh, two tabs, a
//! narrow window, and the end. Skipped with a word where there is no browser.
//!
//! `cargo test -p playground --test browser pictures` takes a picture of each view, into
//! `target/page`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets something unexpected shall fail, and say what it measured"
)]

mod page;
mod pictures;

use page::{Browser, Playground, ready, say};

/// Chooses a trigger, fills its form in and starts it; rows arrive.
pub(crate) async fn begin(browser: &Browser, trigger: &str) {
    browser.press(&format!("#choose-{trigger}")).await;
    browser.press("#fill").await;
    browser.until("!document.querySelector('.f.err') && document.querySelector('#intake_key').placeholder !== ''")
        .await;
    browser.press("#start").await;
    browser
        .until("document.querySelectorAll('[data-row]').length > 5")
        .await;
    browser
        .until("document.title.startsWith('Collecting')")
        .await;
}

/// Milliseconds as the page tells them, for people.
async fn milliseconds(browser: &Browser, script: &str) -> String {
    match browser.js(script).await.as_f64() {
        Some(told) => format!("{told:.0} ms"),
        None => "a time that the browser has not told".to_owned(),
    }
}

/// What an app has to fill in.
const APP: [&str; 3] = ["tenant_id", "client_id", "intake_key"];

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_an_account() {
    let required = ["account_name", "account_password", "intake_key"];
    story("message_trace", "account_password", required).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_an_app() {
    story("message_trace_oauth", "client_secret", APP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_graph() {
    story("message_trace_graph", "client_secret", APP).await;
}

/// All that happens to a trigger, from the first visit to the end.
async fn story(trigger: &str, secret: &str, required: [&str; 3]) {
    let Some(browser) = ready().await else { return };
    let mut playground = Playground::start(&["--rate", "20", "--backlog", "0.2"]);
    browser.open(&playground.address).await;
    browser.sees("welcome", "two minutes").await;
    browser.drawn().await;
    let paint = milliseconds(
        &browser,
        "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime",
    )
    .await;
    browser.accessible("the first visit").await;

    // An empty form: each mistake stands at its field, in the module's words.
    browser.press(&format!("#choose-{trigger}")).await;
    browser.press("#check-it").await;
    for name in required {
        browser
            .until(&format!("document.getElementById('{name}-e')"))
            .await;
    }
    browser.sees("check", "settings").await;
    browser.accessible("a form with mistakes").await;
    browser.set("frequency", "5").await;
    browser
        .sees("frequency-e", "frequency is 5, allowed is")
        .await;

    // What is filled in works, and a secret does not come back.
    begin(&browser, trigger).await;
    let html = browser
        .js("return (await (await fetch('./')).text())")
        .await;
    for known in [
        "emulated~client~secret",
        "correct horse",
        "emulated-intake-key",
        "emulated-token",
    ] {
        assert!(
            !html.as_str().unwrap().contains(known),
            "{known} is on the page"
        );
    }
    watch_latency(&browser).await;
    browser.press("[data-row]").await;
    browser
        .sees("row-list", "What the intake’s format reads")
        .await;
    browser.accessible("watching").await;

    // A wrong secret: the fix is read, and made.
    browser.set(secret, "wrong").await;
    browser.press("#check-it").await;
    // Not one of the mistakes before, which may still stand there.
    browser
        .until("document.querySelector('#check .now')?.innerText.includes('wrong')")
        .await;
    browser.press("#restart-with").await;
    browser
        .until("document.title.startsWith('A person must act')")
        .await;
    browser.accessible("a person must act").await;
    browser.press("#fill").await;
    browser.press("#check-it").await;
    browser.until("!document.querySelector('#check .now') && document.querySelectorAll('#check .checks li').length > 4")
        .await;
    browser.press("#restart-with").await;
    browser
        .until("document.title.startsWith('Collecting')")
        .await;

    // Killed, started, stopped: the verdict is clean.
    browser.press("#kill").await;
    browser.until("document.title.startsWith('Ended')").await;
    browser.press("#start").await;
    browser
        .until("document.title.startsWith('Collecting')")
        .await;
    browser.press("#stop").await;
    browser.until("document.title.startsWith('Stopped')").await;
    browser.sees("ledger", "clean").await;
    browser.accessible("stopped").await;
    let verdict = browser
        .js("return (await (await fetch('verdict.json')).json())")
        .await;
    assert_eq!(verdict["clean"], true, "{verdict:#}");
    let scenario = browser
        .js("return (await (await fetch('scenario.json')).text())")
        .await;
    let scenario: Result<emulator::Scenario, _> = scenario.as_str().unwrap().parse();
    assert_eq!(
        scenario.unwrap().lives.len(),
        4,
        "starts and ends of {trigger}"
    );
    browser.no_errors().await;
    let late = milliseconds(
        &browser,
        "return window.latencies?.sort((a, b) => a - b).at(-1)",
    )
    .await;
    say(&format!("{trigger}: first paint after {paint}"));
    say(&format!(
        "{trigger}: the slowest row was seen {late} after its acceptance"
    ));
    browser.open("about:blank").await;
    let (status, screen) = playground.hang_up();
    assert!(status.success(), "{screen}");
    assert!(screen.contains("verdict: clean"), "{screen}");
    // Where there is no terminal, one line in five seconds says how far the module is.
    let told = screen.matches(" rows delivered | ").count() as u64;
    let most = playground.since.elapsed().as_secs() / 5 + 2;
    assert!((1..=most).contains(&told), "{told} of {most}: {screen}");
    browser.close().await;
}

/// Notes from now on how long after its acceptance each row is seen.
async fn watch_latency(browser: &Browser) {
    browser
        .js("window.latencies = [];
             new MutationObserver((changes) => requestAnimationFrame(() => {
                 const now = Date.now();
                 for (const change of changes) for (const row of change.addedNodes)
                     if (row.dataset?.at && window.latencies.length < 2000)
                         window.latencies.push(now - Number(row.dataset.at));
             })).observe(document.getElementById('row-list'), { childList: true });")
        .await;
    browser.until("window.latencies.length > 20").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_sees_what_was_done() {
    let Some(browser) = ready().await else { return };
    let mut playground = Playground::start(&["--rate", "20", "--backlog", "0.2"]);
    browser.open(&playground.address).await;
    let done = |count: usize| {
        format!("document.querySelectorAll('#tour .todo [aria-label=done]').length === {count}")
    };

    browser.sees("h-tour", "Your first row").await;
    begin(&browser, "message_trace_graph").await;
    browser.press("[data-row]").await;
    browser.until(&done(4)).await;
    // The focus stays where it is while news come: here the counts of the ledger.
    browser
        .js("window.before = document.getElementById('to-ledger'); window.before.focus()")
        .await;
    browser
        .until("document.getElementById('to-ledger') !== window.before && document.activeElement.id === 'to-ledger'")
        .await;
    browser.press("#tour-next").await;

    browser.sees("h-tour", "A wrong secret").await;
    browser.set("client_secret", "wrong").await;
    browser.until(&done(1)).await;
    browser.press("#check-it").await;
    browser.until(&done(2)).await;
    browser.press("#fill").await;
    browser.until(&done(3)).await;
    browser.press("#check-it").await;
    browser.until(&done(4)).await;
    browser.press("#tour-next").await;

    browser.sees("h-tour", "An outage of an hour").await;
    browser.press("#offer-outage").await;
    browser.until(&done(2)).await;
    // Two tabs see the same, and a refresh changes nothing.
    browser.new_tab().await;
    browser.open(&playground.address).await;
    browser.until(&done(2)).await;
    browser.sees("switches", "On since").await;
    browser.js("location.reload()").await;
    browser
        .until("document.querySelectorAll('[data-row]').length > 5")
        .await;
    browser.until(&done(2)).await;
    browser.tab(0).await;
    browser.until(&done(4)).await;
    browser.press("#tour-next").await;

    browser.sees("h-tour", "kill -9").await;
    browser.press("#kill").await;
    browser.until(&done(1)).await;
    browser.press("#start").await;
    browser.until(&done(3)).await;
    browser.press("#tour-next").await;

    browser.sees("h-tour", "Which rows came late").await;
    browser.press("#sw-late-rows").await;
    browser.until(&done(3)).await;
    browser.press("#stop").await;
    browser.until(&done(4)).await;
    browser.press("#tour-next").await;
    browser.sees("h-tour", "The tour is over").await;
    browser.no_errors().await;

    // The terminal is closed: everything ends, and the page says so.
    let (status, screen) = playground.hang_up();
    assert!(status.success(), "{screen}");
    browser
        .until("document.title.startsWith('Ended') && document.body.classList.contains('lost')")
        .await;
    browser.sees("lamp", "The playground has ended").await;
    browser.accessible("the end").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_window_and_the_keyboard_are_enough() {
    let Some(browser) = ready().await else { return };
    let playground = Playground::start(&["--rate", "20", "--backlog", "0.2"]);
    browser.window(380, 800, true).await;
    browser.open(&playground.address).await;
    browser
        .until("getComputedStyle(document.querySelector('.c1')).display !== 'none'")
        .await;
    let fits = "document.documentElement.scrollWidth <= innerWidth && \
                [...document.querySelectorAll('.c1, .c2, .c3, #tour')].every((one) => \
                    !one.offsetWidth || one.offsetWidth > 340)";
    browser.until(fits).await;
    // Every control can be reached, and shows that it is.
    browser
        .js("document.getElementById('choose-message_trace_graph').focus()")
        .await;
    browser.keys("\u{e007}").await;
    browser.until("document.getElementById('fill')").await;
    browser
        .until("document.activeElement.id === 'choose-message_trace_graph'")
        .await;
    browser.js("document.getElementById('fill').focus()").await;
    browser.keys("\u{e007}").await;
    browser
        .until("document.querySelector('#intake_key').placeholder !== ''")
        .await;
    browser.until("document.activeElement.id === 'fill'").await;
    browser
        .until("getComputedStyle(document.activeElement).outlineStyle !== 'none'")
        .await;
    browser.accessible("narrow, setting up").await;
    browser.js("document.getElementById('start').focus()").await;
    browser.keys("\u{e007}").await;
    // While it runs, one watches.
    browser
        .until("document.body.dataset.view === 'watch'")
        .await;
    browser
        .until("document.querySelectorAll('[data-row]').length > 5")
        .await;
    browser
        .until("getComputedStyle(document.querySelector('.c1')).display === 'none'")
        .await;
    browser.until(fits).await;
    browser.accessible("narrow, watching").await;
    browser.press("[data-view-to=setup]").await;
    browser
        .until("getComputedStyle(document.querySelector('.c2')).display === 'none'")
        .await;
    // What is being typed stays while news come.
    browser
        .js("document.getElementById('tenant_id').focus()")
        .await;
    browser.keys("x").await;
    browser.press("#check-it").await;
    browser
        .until("document.querySelectorAll('#check .checks li').length > 4")
        .await;
    // Another setting is changed elsewhere: the form is drawn anew.
    browser
        .js("window.before = document.getElementById('tenant_id');
             const order = { do: 'set', name: 'frequency', value: '20' };
             await fetch('do', {
                 method: 'POST',
                 headers: { 'content-type': 'application/json' },
                 body: JSON.stringify(order),
             });")
        .await;
    browser
        .until("document.querySelector('label[for=frequency] .chg') && document.getElementById('tenant_id') !== window.before")
        .await;
    browser.until("document.activeElement.id === 'tenant_id' && document.activeElement.value.includes('x')").await;
    browser.no_errors().await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_is_led_to_its_end_and_a_lost_memory_is_called_so() {
    let Some(browser) = ready().await else { return };
    let playground = Playground::start(&["--rate", "20", "--backlog", "0.2"]);
    browser.open(&playground.address).await;
    begin(&browser, "message_trace_graph").await;
    // Without its memory the module sends rows twice: the verdict does not hide it.
    browser.press("#sw-memory-lost").await;
    browser.press("#restart").await;
    browser
        .until("document.querySelector('#chip .verdict.bad')")
        .await;
    browser.sees("ledger", "not clean").await;
    browser.accessible("a red verdict").await;
    browser.press("#break [data-do=mend]").await;
    browser.press("#play-it").await;
    browser.sees("scenario", "of 120 s").await;
    browser
        .until("document.querySelectorAll('[data-row]').length > 5")
        .await;
    browser.until("document.title.startsWith('Failing')").await;
    browser.accessible("something fails").await;
    browser
        .until("document.querySelector('#scenario').innerText.includes('come to its end')")
        .await;
    browser.until("document.title.startsWith('Stopped')").await;
    browser
        .until("document.querySelector('#chip .verdict:not(.bad)')")
        .await;
    browser.no_errors().await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_seen_at_once_and_passes() {
    let Some(browser) = ready().await else { return };
    let mut playground = Playground::start(&["--rate", "20", "--backlog", "0.2"]);
    browser.open(&playground.address).await;
    begin(&browser, "message_trace_graph").await;
    let text = browser
        .js("return document.getElementById('sw-disk-full').parentElement.innerText")
        .await;
    let is_disk = text.as_str().unwrap().contains("a small one of its own");
    if !is_disk {
        say("No disk can be mounted here: the full disk is a limit of the size of files");
    }
    browser.press("#sw-disk-full").await;
    let error = if is_disk {
        "No space left on device"
    } else {
        "File too large"
    };
    browser.sees("lines", error).await;
    browser.until("document.title.startsWith('Failing') || document.title.startsWith('A person must act')").await;
    // Nobody else sees the disk.
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains("/playground-"), "{mounts}");
    browser.press("#sw-disk-full").await;
    browser
        .until("document.title.startsWith('Collecting')")
        .await;
    browser.press("#stop").await;
    browser.until("document.title.startsWith('Stopped')").await;
    browser.sees("ledger", "clean").await;
    browser.press("#anew").await;
    browser
        .until("document.title.startsWith('Collecting')")
        .await;
    browser.no_errors().await;
    browser.close().await;
    let (status, screen) = playground.hang_up();
    assert!(status.success(), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_a_check_come_one_after_the_other() {
    let Some(browser) = ready().await else { return };
    let playground = Playground::start(&["--rate", "1", "--backlog", "0.2"]);
    browser.open(&playground.address).await;
    browser.press("#choose-message_trace_graph").await;
    browser.press("#fill").await;
    browser
        .until("document.querySelector('#intake_key').placeholder !== ''")
        .await;
    // A page of rows takes its time, the other answers do not.
    browser.press("#sw-slow").await;
    browser.sees("switches", "On since").await;
    browser.press("#check-it").await;
    let has = |check: &str| {
        format!(
            "[...document.querySelectorAll('#check .checks b')].some((one) => one.innerText === '{check}')"
        )
    };
    browser
        .until(&format!(
            "{} && {} && !{} && document.getElementById('check-it').disabled",
            has("settings"),
            has("clock"),
            has("query")
        ))
        .await;
    browser.sees("check", "pass so far").await;
    browser.accessible("a check at work").await;
    browser
        .until(&format!(
            "{} && {} && !document.getElementById('check-it').disabled",
            has("query"),
            has("state")
        ))
        .await;
    browser.no_errors().await;
    browser.close().await;
}
