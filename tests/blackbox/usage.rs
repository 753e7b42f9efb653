//! A command line that says too little or something wrong: what a person reads.

use crate::world::{Said, program};

/// All that can be given, other names included.
const COMMANDS: [&str; 12] = [
    "message_trace_graph",
    "message_trace_oauth",
    "message_trace",
    "office365_messagetrace_trigger",
    "backfill",
    "check",
    "status",
    "config",
    "dead-letters",
    "support",
    "completions",
    "man",
];

async fn said(arguments: &[&str]) -> Said {
    let mut command = program();
    command.args(arguments).env_remove("URL_CALLBACK");
    Said::of(command).await
}

#[track_caller]
fn lists_all(text: &str) {
    let (_, list) = text.split_once("\nCommands:\n").expect(text);
    for command in COMMANDS {
        let mut words = list.split(|c: char| c.is_whitespace() || "[],".contains(c));
        assert!(words.any(|word| word == command), "{command}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_unknown_command_lists_all_that_can_be_given() {
    for arguments in [&[][..], &["--data-dir", "/nowhere"], &["chek"], &["help"]] {
        let said = said(arguments).await;
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{said}");
        assert!(said.stderr.starts_with("error: "), "{said}");
        lists_all(&said.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_word_is_answered_with_the_nearest() {
    for (arguments, tip) in [
        (&["chek"][..], "tip: a similar subcommand exists: 'check'"),
        (&["message_trace_grap"], "'message_trace_graph'"),
        (
            &["check", "--jsn"],
            "tip: a similar argument exists: '--json'",
        ),
        (
            &["completions", "bsh"],
            "tip: a similar value exists: 'bash'",
        ),
    ] {
        let said = said(arguments).await;
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{said}");
        assert!(said.stderr.contains(tip), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_version_go_to_standard_output() {
    let version = said(&["--version"]).await;
    assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")));
    let help = said(&["--help"]).await;
    lists_all(&help.stdout);
    for said in [version, help] {
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said}");
    }
}
