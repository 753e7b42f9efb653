use super::*;

const SETTINGS: ScheduleSettings = ScheduleSettings {
    frequency: TimeDelta::seconds(60),
    delay: TimeDelta::zero(),
    settle_time: TimeDelta::hours(24),
    longest: TimeDelta::days(10),
    retention: TimeDelta::days(90),
    rows_per_window: 100_000,
    rows_per_page: 5000,
    quota: 100,
};

/// Seconds of the day on which the tests begin.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn window(start: i64, end: i64) -> Window {
    Window::new(at(start), at(end)).unwrap()
}

/// A tenant with the same traffic all day, whose service answers at once.
struct Tenant {
    rows_per_day: f64,
    schedule: Schedule,
    /// Rows that surface late: when received, when visible, when first seen.
    late: Vec<(DateTime<Utc>, DateTime<Utc>, Option<DateTime<Utc>>)>,
    requests: [u64; 3],
}

impl Tenant {
    fn new(rows_per_day: f64, schedule: Schedule) -> Self {
        Self {
            rows_per_day,
            schedule,
            late: Vec::new(),
            requests: [0; 3],
        }
    }

    fn read(&mut self, lane: Lane, window: Window, now: DateTime<Utc>) {
        let rows = self.rows_per_day * seconds(window.span()) / 86_400.0;
        let pages = (rows / 5000.0).ceil().max(1.0) as u64;
        self.requests[lane as usize] += pages;
        (0..pages).for_each(|_| self.schedule.paged(lane));
        for (received, visible, seen) in &mut self.late {
            if seen.is_none() && *visible <= now && window.contains(*received) {
                *seen = Some(now);
                self.schedule.first_seen(*received, now);
            }
        }
        self.schedule.learn(lane, window, rows as u64);
        self.schedule.complete(window, now, rows as u64);
    }

    fn turn(&mut self, now: DateTime<Utc>) {
        if let Some(window) = self.schedule.live(now) {
            self.read(Lane::Live, window, now);
        }
        while self.schedule.lost(now).is_some() {}
        while let Some((lane, window)) = self.schedule.beside(now) {
            self.read(lane, window, now);
        }
    }
}

#[test]
fn measure() {
    use rand::{Rng, SeedableRng, rngs::StdRng};
    for rows in [1e3, 1e5, 1e6, 3e6, 1e7] {
        let mut random = StdRng::seed_from_u64(7);
        let mut tenant = Tenant::new(
            rows,
            Schedule::new(SETTINGS, Coverage::new(at(-3600)), Lateness::default()),
        );
        let points = [
            (0.0, 20.0),
            (0.5, 120.0),
            (0.9, 600.0),
            (0.99, 3600.0),
            (0.999, 6.0 * 3600.0),
            (1.0, 86_400.0_f64),
        ];
        for _ in 0..20_000 {
            let received = at(random.random_range(0..2 * 86_400));
            let q: f64 = random.random();
            let n = points.iter().position(|p| p.0 > q).unwrap();
            let ((q0, a), (q1, b)) = (points[n - 1], points[n]);
            let late = a * (b / a).powf((q - q0) / (q1 - q0));
            tenant.late.push((
                received,
                received + TimeDelta::milliseconds((late * 1000.0) as i64),
                None,
            ));
        }
        let mut marks = 0;
        let mut before = [0; 3];
        for second in (0..3 * 86_400).step_by(60) {
            if second == 2 * 86_400 {
                before = tenant.requests;
            }
            tenant.turn(at(second));
            marks = marks.max(tenant.schedule.coverage().stretches().len());
        }
        let mut ok = 0;
        let mut missed = 0;
        let mut worst: f64 = 0.0;
        let mut all = 0;
        let mut long = (0, 0);
        for (received, visible, seen) in &tenant.late {
            let Some(seen) = seen else {
                missed += 1;
                continue;
            };
            let lateness = seconds(*visible - *received);
            let delay = seconds(*seen - *visible);
            all += 1;
            let good = delay <= 0.25 * lateness + 60.0;
            ok += usize::from(good);
            if lateness > 3600.0 {
                long.0 += 1;
                long.1 += usize::from(good);
            }
            worst = worst.max(delay / (0.25 * lateness + 60.0));
        }
        let day: Vec<_> = tenant
            .requests
            .iter()
            .zip(before)
            .map(|(a, b)| a - b)
            .collect();
        eprintln!(
            "{rows}: {day:?} a day, good {:.4}, long {long:?} worst {worst:.2}, missed {missed}, stretches {marks} coarse {:?} floor {}",
            ok as f64 / all as f64,
            tenant.schedule.coarseness(),
            at(3 * 86400) - tenant.schedule.coverage().floor()
        );
    }
}
