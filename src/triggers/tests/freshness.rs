//! How fresh the events of a living tenant are.

use chrono::TimeDelta;
use emulator::Ending;

use super::{
    GRAPH,
    living::living,
    site::{Site, life},
};

/// The requirement: 99 % of late rows come within a quarter of their lateness and one period.
#[test]
fn late_rows_come_soon_after_they_can_be_seen() {
    let mut scenario = living();
    scenario.traffic.rate = 0.015;
    scenario.lives = vec![life(26 * 3600, Ending::Stop, 0)];
    let site = Site::led_through(GRAPH, &scenario);
    let freshness = site.emulator.freshness(None, TimeDelta::seconds(60));
    assert!(freshness.late.count > 600, "{freshness}");
    assert!(freshness.late.in_time >= 0.99, "{freshness}");
}
