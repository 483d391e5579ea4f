//! The one clock that daemon and clouds share. The only reader of the machine's time in this crate.

use std::time::{Duration as RealDuration, SystemTime, UNIX_EPOCH};

use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::{SimClock, Speed};

/// Real time, or the time of a simulated world.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's.
    Real,
    /// A simulated world's.
    Simulated(SimClock),
}

/// The machine's time.
pub fn machine_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_seconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

impl Clock {
    /// What it shows.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Real => machine_time(),
            Self::Simulated(clock) => clock.now(),
        }
    }

    /// Whether time stands still until somebody advances it.
    pub fn jumps(&self) -> bool {
        matches!(self, Self::Simulated(clock) if clock.speed() == Speed::Max)
    }

    /// Jumps to a time, where the clock jumps at all.
    pub fn advance_to(&self, time: Timestamp) {
        if let Self::Simulated(clock) = self {
            clock.advance_to(time);
        }
    }

    /// How long a sleeper waits in real time until the clock shows `time`.
    pub fn real_duration_until(&self, time: Timestamp) -> RealDuration {
        match self {
            Self::Real => RealDuration::from_secs(time.since(machine_time()).seconds()),
            Self::Simulated(clock) => clock.real_duration_until(time),
        }
    }
}
