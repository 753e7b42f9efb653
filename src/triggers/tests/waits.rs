//! What the module does when there is nothing to do but wait.

use std::time::Duration;

use chrono::TimeDelta;
use emulator::{Backlog, Endpoint, Fault, Scenario, ServicePrincipal, Traffic};

use super::{ACCOUNT, GRAPH, site::Site};

/// A hundred rows from the last hours.
fn few_rows() -> Scenario {
    Scenario::new(Traffic {
        backlog: Backlog::rows(TimeDelta::hours(5), 100),
        ..Traffic::default()
    })
}

/// A failure that a person must mend is critical once, after a quarter of an hour, and mended it
/// goes on by itself.
#[test]
fn a_lasting_refusal_is_critical_once_and_heals_by_itself() {
    let site = Site::new(ACCOUNT, &few_rows());
    site.emulator
        .configure(|settings| settings.report.permitted = false);
    let criticals = || {
        let logs = site.emulator.logs();
        logs.iter()
            .filter(|entry| entry.level == "critical")
            .count()
    };
    let checks = async {
        tokio::time::sleep(Duration::from_secs(14 * 60)).await;
        assert_eq!(criticals(), 0);
        tokio::time::sleep(Duration::from_secs(6 * 60)).await;
        assert_eq!(criticals(), 1);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(criticals(), 1, "once");
        let asked = site.emulator.requests(Endpoint::Report).len();
        assert!(asked < 90, "{asked} requests in 80 minutes");
        site.emulator
            .configure(|settings| settings.report.permitted = true);
    };
    site.live_while(2 * 3600, checks);
    site.is_clean();
    site.says("nothing was skipped");
}

/// An intake that takes nothing for hours is an error, as the platform would stop the trigger for a
/// critical line. It is said when it begins, and once a minute.
#[test]
fn an_intake_that_does_not_accept_is_not_critical() {
    for (status, body) in [
        (500, "no"),
        (503, "no"),
        (401, "no"),
        (403, "no"),
        (404, "no"),
        (422, r#"{"error":"INTAKE_KEY_ERROR"}"#),
    ] {
        let site = Site::new(GRAPH, &few_rows());
        let fault = Fault::answer(status, &[], body);
        site.emulator.fault(Endpoint::Intake, fault);
        let heals = async {
            tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
            site.emulator.clear_faults(Endpoint::Intake);
        };
        site.live_while(4 * 3600, heals);
        site.is_clean();
        site.says_not("CRITICAL");
        let output = site.output();
        let count = |level: &str| site.said(&format!(" - {level} - Failed to forward "));
        let (warnings, errors) = (count("WARNING"), count("ERROR"));
        assert!((1..=180).contains(&errors), "{status}: {errors} {output}");
        match status {
            500.. => assert_eq!(warnings, 1, "{status}: when it begins {output}"),
            422 => assert!((1..=16).contains(&warnings), "a new intake {output}"),
            _ => assert_eq!(warnings, 0, "{status}: {output}"),
        }
    }
}

/// Provisioning takes hours: the trigger waits, without a new start.
#[test]
fn a_service_principal_that_comes_hours_later_is_waited_for() {
    let site = Site::new(GRAPH, &few_rows());
    let provisioned = site.time.now() + TimeDelta::hours(4);
    site.emulator.configure(|settings| {
        settings.graph.service_principal = ServicePrincipal::PresentFrom(provisioned);
    });
    site.live_hours(5);
    site.is_clean();
    let command = "New-MgServicePrincipal -AppId 8bd644d1-64a1-4d4b-ae52-2e0cbf64e373";
    site.says(command);
    // The platform would stop the trigger for a critical line.
    site.says_not("CRITICAL");
}

/// What an operator wants to see of a day: the checkpoint follows the clock.
#[test]
fn a_quiet_day_costs_one_request_a_minute() {
    let site = Site::new(GRAPH, &Scenario::new(Traffic::default()));
    site.live_hours(24);
    let asked = site.emulator.requests(Endpoint::Graph).len();
    assert!((1_430..=1_450).contains(&asked), "{asked}");
    let behind = site.time.now() - site.checkpoint();
    assert!(behind <= TimeDelta::minutes(7), "{behind}");
}
