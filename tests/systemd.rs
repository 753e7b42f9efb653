//! `deploy/systemd/message-trace-for` asks systemd for the service's own user, configuration and state.

#![allow(
    clippy::expect_used,
    reason = "a test's helpers may panic, as the test itself may"
)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

/// What systemd would be asked, a line for each argument, by the script on a tenant `contoso` with
/// these files.
fn asked(files: &[&str], arguments: &[&str]) -> Output {
    let folder = TempDir::new().expect("folder");
    let tenant = folder.path().join("etc/contoso");
    fs::create_dir_all(&tenant).expect("tenant");
    for file in files {
        fs::write(tenant.join(file), "{}").expect("file");
    }
    let witness = folder.path().join("systemd-run");
    fs::write(&witness, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").expect("witness");
    fs::set_permissions(&witness, fs::Permissions::from_mode(0o755)).expect("permissions");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd/message-trace-for");
    let script = fs::read_to_string(script).expect("script");
    let etc = folder.path().join("etc").display().to_string();
    let script = script.replace("/etc/message-trace", &etc);
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script, "message-trace-for"])
        .args(arguments);
    let mut output = shell.env("PATH", path).output().expect("sh");
    let said = String::from_utf8_lossy(&output.stdout).replace(&etc, "ETC");
    output.stdout = said.into_bytes();
    output
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).collect()
}

/// The properties that the unit gives to the service, and that the command needs as well.
#[test]
fn a_command_runs_as_the_service_does() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd/message-trace@.service");
    let unit = fs::read_to_string(unit).expect("unit");
    let output = asked(&["trigger_configuration"], &["contoso", "status"]);
    let lines = lines(&output);
    for property in [
        "DynamicUser",
        "User",
        "UMask",
        "StateDirectory",
        "StateDirectoryMode",
        "EnvironmentFile",
    ] {
        let given = unit
            .lines()
            .find(|line| {
                line.split_once('=')
                    .is_some_and(|(name, _)| name == property)
            })
            .expect(property)
            .replace("%i", "contoso")
            .replace("/etc/message-trace", "ETC");
        assert!(
            lines.contains(&format!("--property={given}")),
            "{property}: {lines:#?}"
        );
    }
    let credential =
        "--property=LoadCredential=trigger_configuration:ETC/contoso/trigger_configuration";
    assert!(lines.iter().any(|line| line == credential), "{lines:#?}");
    let others = lines.iter().filter(|line| line.contains("LoadCredential"));
    assert_eq!(others.count(), 1, "what is not there is not asked for");
    assert!(
        lines
            .iter()
            .any(|line| line == "--setenv=MODULE_CONFIGURATION={}")
    );
}

/// Only systemd can read it: as it lies there it is no configuration.
#[test]
fn an_encrypted_configuration_is_decrypted_by_systemd() {
    let output = asked(&["trigger_configuration.cred"], &["contoso", "status"]);
    let lines = lines(&output);
    let loaded: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("LoadCredential"))
        .collect();
    let credential = "--property=LoadCredentialEncrypted=trigger_configuration:\
                      ETC/contoso/trigger_configuration.cred";
    assert_eq!(loaded, [credential]);
}

#[test]
fn the_command_gets_its_arguments_and_the_files_that_are_there() {
    let output = asked(
        &["trigger_configuration", "module_configuration", "ca_cert"],
        &[
            "contoso",
            "backfill",
            "--from",
            "-7d",
            "--to",
            "2026-11-01 08:30",
        ],
    );
    let lines = lines(&output);
    for key in ["module_configuration", "ca_cert"] {
        let credential = format!("--property=LoadCredential={key}:ETC/contoso/{key}");
        assert!(lines.contains(&credential), "{lines:#?}");
    }
    let ends = [
        "message-trace",
        "backfill",
        "--from",
        "-7d",
        "--to",
        "2026-11-01 08:30",
    ];
    assert!(lines.ends_with(&ends.map(str::to_owned)), "{lines:#?}");
}

#[test]
fn a_tenant_that_is_not_there_and_a_missing_command_are_said() {
    let output = asked(&[], &["contoso", "status"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("there is no ") && said.contains("trigger_configuration"),
        "{said}"
    );
    let output = asked(&["trigger_configuration"], &["contoso"]);
    assert_eq!(output.status.code(), Some(2));
}
