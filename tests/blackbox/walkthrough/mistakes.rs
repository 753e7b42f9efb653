//! The most common mistakes: who makes one reads the fix at each place where they look.

use emulator::{ServicePrincipal, Settings};
use serde_json::{Value, json};

use crate::{
    source::{self, Literal, entries, page, product_files},
    world::{World, until},
};

/// What goes wrong: in the settings, or at Microsoft.
enum Mistake {
    Setting(Value),
    Microsoft(fn(&mut Settings)),
}

/// The mistakes, in the order of the page.
fn mistakes() -> [Mistake; 5] {
    [
        Mistake::Setting(json!({"client_secret": "another~secret"})),
        Mistake::Microsoft(|settings| settings.identity.apps[0].secrets[0].expired = true),
        Mistake::Microsoft(|settings| settings.identity.apps[0].roles.clear()),
        Mistake::Microsoft(|settings| {
            settings.graph.service_principal = ServicePrincipal::Missing;
        }),
        Mistake::Setting(json!({"intake_key": "another-key"})),
    ]
}

/// The sentences of the section of `docs/errors.md` about these mistakes, whole as the module has
/// them: in parts, between which it fills something in.
fn sentences() -> Vec<Vec<String>> {
    let page = page("errors.md");
    let (_, section) = page
        .split_once("\n## The five most common mistakes\n")
        .unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let texts: Vec<Literal> = product_files()
        .iter()
        .flat_map(|(_, code)| source::literals(code))
        .collect();
    let whole = |entry: String| {
        let text = texts.iter().find(|literal| literal.text.contains(&entry));
        let parts = text.unwrap().text.split('…').map(str::to_owned);
        parts.collect()
    };
    entries(section).into_iter().map(whole).collect()
}

fn has(text: &str, sentence: &[String]) -> bool {
    sentence.iter().all(|part| text.contains(part))
}

async fn is_told_everywhere(mistake: Mistake, sentence: &[String]) {
    let world = World::graph(10).await;
    match mistake {
        Mistake::Setting(changes) => world.configure(changes),
        Mistake::Microsoft(change) => world.emulator.configure(change),
    }
    let said = world.says(&["check"]).await;
    assert!(said.code > Some(10), "{said}");
    let mut failed = said.stdout.lines().filter(|line| line.starts_with("fail "));
    assert!(
        failed.any(|line| has(line, sentence)),
        "{sentence:?}: {said}"
    );

    let mut process = world.start();
    for part in sentence {
        process.prints(part).await;
    }
    until("the platform's log tells it", || {
        let logs = world.emulator.logs();
        // An intake that does not know its key yet may be new: that begins as a warning.
        let is_loud = |level: &str| matches!(level, "warning" | "error");
        let mut loud = logs.iter().filter(|entry| is_loud(&entry.level));
        loud.any(|entry| has(&entry.message, sentence))
    })
    .await;
    world.tell_ports(&mut process).await;
    let said = world.says(&["status"]).await;
    let errors = said.stdout.lines().find(|line| line.starts_with("errors"));
    assert!(has(errors.unwrap(), sentence), "{sentence:?}: {said}");
    process.stop().await;
    assert_eq!(world.emulator.accepted_count(None), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fix_is_on_the_screen_in_the_platform_s_log_and_in_the_status() {
    let sentences = sentences();
    assert_eq!(sentences.len(), mistakes().len());
    let told = mistakes().into_iter().zip(&sentences);
    let told = told.map(|(mistake, sentence)| is_told_everywhere(mistake, sentence));
    futures_util::future::join_all(told).await;
}
