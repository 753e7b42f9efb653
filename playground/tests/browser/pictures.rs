//! A picture of each view and moment, to be looked at.

use std::path::PathBuf;

use crate::{
    begin,
    page::{Browser, Playground, ready},
};

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/page");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The window as it is, and narrow, light and dark.
async fn take(browser: &Browser, name: &str) {
    for (width, height, dark, kind) in [
        (1440, 1000, false, "wide"),
        (1440, 1000, true, "dark"),
        (380, 860, false, "narrow"),
        (1000, 900, false, "middle"),
    ] {
        browser.window(width, height, dark).await;
        browser
            .js("document.getElementById('notice').hidden = true; scrollTo(0, 0)")
            .await;
        browser.drawn().await;
        browser
            .picture(&folder().join(format!("{name}-{kind}.png")))
            .await;
    }
    browser.window(1440, 1000, false).await;
}

/// Each moment comes, and there is a picture of it for people who want to look.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_each_view() {
    let Some(browser) = ready().await else { return };
    let mut playground = Playground::start(&[]);
    browser.window(1440, 1000, false).await;
    browser.open(&playground.address).await;
    browser.sees("welcome", "two minutes").await;
    take(&browser, "1-first-visit").await;
    browser.press("#choose-message_trace_graph").await;
    browser.set("frequency", "5").await;
    browser.press("#check-it").await;
    browser.until("document.querySelector('#check .now')").await;
    take(&browser, "2-mistakes").await;
    begin(&browser, "message_trace_graph").await;
    browser.press("[data-row]").await;
    browser
        .sees("row-list", "What the intake’s format reads")
        .await;
    browser.press("#sw-late-rows").await;
    browser.press("#sw-changing").await;
    browser
        .until("document.querySelector('#row-list .let')")
        .await;
    browser
        .until("document.querySelector('#row-list').innerText.includes('again')")
        .await;
    take(&browser, "3-collecting").await;
    browser
        .js("document.getElementById('rows').scrollIntoView()")
        .await;
    browser.picture(&folder().join("3-rows-wide.png")).await;
    browser.press("#sw-source-outage").await;
    browser.until("document.title.startsWith('Failing')").await;
    take(&browser, "4-failing").await;
    browser.press("#break [data-do=mend]").await;
    browser.press("#sw-wrong-secret").await;
    browser.press("#restart").await;
    browser
        .until("document.title.startsWith('A person must act')")
        .await;
    browser.until("document.querySelector('.must')").await;
    take(&browser, "5-a-person-must-act").await;
    browser
        .js("document.querySelector('[data-view-to=setup]').click()")
        .await;
    take(&browser, "5-setting-up").await;
    browser.press("#break [data-do=mend]").await;
    browser.press("#restart").await;
    browser
        .until("document.title.startsWith('Collecting')")
        .await;
    browser.press("#stop").await;
    browser.until("document.title.startsWith('Stopped')").await;
    browser.press("[data-view-to=watch]").await;
    browser
        .js("document.getElementById('ledger').scrollIntoView()")
        .await;
    take(&browser, "6-stopped").await;
    browser.press("#sw-memory-lost").await;
    browser.press("#start").await;
    browser
        .until("document.querySelector('#chip .verdict.bad')")
        .await;
    browser
        .js("document.getElementById('ledger').scrollIntoView()")
        .await;
    take(&browser, "7-red").await;
    playground.hang_up();
    browser
        .until("document.body.classList.contains('lost')")
        .await;
    take(&browser, "8-ended").await;
    browser.close().await;
}
