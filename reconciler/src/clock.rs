//! The one clock that daemon and clouds share. The only reader of the machine's time in this crate.

use std::sync::OnceLock;
use std::time::{Duration as RealDuration, Instant, SystemTime, UNIX_EPOCH};

use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::{SimClock, Speed};

/// Real time, or the time of a simulated world.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's.
    Real,
    /// A simulated world's.
    Simulated(SimClock),
    /// A whole simulation's, the process included: as far as the daemon can tell it is real time, and whoever lets it
    /// sleep moves the clock.
    Virtual(SimClock),
}

/// A reading of a clock that never runs backwards, for pauses: how long it has run.
pub type Uptime = RealDuration;

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
            Self::Simulated(clock) | Self::Virtual(clock) => clock.now(),
        }
    }

    /// What the machine's clock shows, also where the fleet's time is simulated: commits are dated by it, because git
    /// orders by it.
    pub fn machine_time(&self) -> Timestamp {
        match self {
            Self::Real | Self::Simulated(_) => machine_time(),
            Self::Virtual(clock) => clock.now(),
        }
    }

    /// How long the process has run: what the remote is asked by, whatever the fleet's time is.
    pub fn uptime(&self) -> Uptime {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        match self {
            Self::Real | Self::Simulated(_) => BEGAN.get_or_init(Instant::now).elapsed(),
            Self::Virtual(clock) => {
                RealDuration::from_secs(clock.now().since(Timestamp::from_unix_seconds(0)).seconds())
            }
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
            Self::Real | Self::Virtual(_) => RealDuration::from_secs(time.since(self.now()).seconds()),
            Self::Simulated(clock) => clock.real_duration_until(time),
        }
    }
}
