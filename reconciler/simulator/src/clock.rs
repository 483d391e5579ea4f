//! Simulated time, shared by the daemon and the clouds. The only place of this crate that reads the machine's clock.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use fleetwright_schema::units::{Duration, Timestamp};

/// How fast simulated time runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many simulated seconds a real second.
    Factor(f64),
    /// Time stands still while there is work, and jumps to the next event when there is none.
    Max,
}

impl FromStr for Speed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no speed; write a factor like 60, or max");
        match text {
            "max" => Ok(Self::Max),
            factor => match factor.trim_end_matches('x').parse() {
                Ok(factor) if (0.001..=1e6).contains(&factor) => Ok(Self::Factor(factor)),
                _ => Err(wrong()),
            },
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Factor(factor) => write!(f, "{factor}"),
            Self::Max => f.write_str("max"),
        }
    }
}

/// The clock of a simulated world; clones show the same time.
#[derive(Clone, Debug)]
pub struct SimClock {
    speed: Speed,
    dial: Arc<Mutex<Dial>>,
}

#[derive(Debug)]
struct Dial {
    start: Timestamp,
    began: Instant,
}

impl SimClock {
    /// A clock that shows `start` now. A factor outside 0.001 to 1,000,000 is taken as the nearest of these.
    pub fn new(start: Timestamp, speed: Speed) -> Self {
        let speed = match speed {
            Speed::Factor(factor) => Speed::Factor(factor.clamp(0.001, 1e6)),
            Speed::Max => Speed::Max,
        };
        Self { speed, dial: Arc::new(Mutex::new(Dial { start, began: Instant::now() })) }
    }
    /// How fast it runs.
    pub const fn speed(&self) -> Speed {
        self.speed
    }
    /// What it shows.
    pub fn now(&self) -> Timestamp {
        self.shown(&self.dial())
    }
    /// Under `Max`, jumps to `time`, and never backwards. Under a factor nobody moves the clock.
    pub fn advance_to(&self, time: Timestamp) {
        if self.speed == Speed::Max {
            self.at_least(time);
        }
    }
    /// Moves the clock forward to `time` if it shows less: another process, or a commit, has seen that time already.
    pub fn at_least(&self, time: Timestamp) {
        let mut dial = self.dial();
        let behind = time.since(self.shown(&dial));
        dial.start = dial.start.plus(behind);
    }
    /// How long a sleeper waits in real time until the clock shows `time`; nothing under `Max`.
    pub fn real_duration_until(&self, time: Timestamp) -> std::time::Duration {
        let Speed::Factor(factor) = self.speed else { return std::time::Duration::ZERO };
        let dial = self.dial();
        let whole = time.since(dial.start).seconds() as f64 / factor;
        let whole = std::time::Duration::try_from_secs_f64(whole).unwrap_or(std::time::Duration::MAX);
        whole.saturating_sub(dial.began.elapsed())
    }

    fn shown(&self, dial: &Dial) -> Timestamp {
        match self.speed {
            Speed::Max => dial.start,
            // A cast from a float saturates, so that not even an absurd factor wraps.
            Speed::Factor(factor) => {
                dial.start.plus(Duration::from_seconds((dial.began.elapsed().as_secs_f64() * factor) as u64))
            }
        }
    }
    fn dial(&self) -> MutexGuard<'_, Dial> {
        self.dial.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn under_max_time_stands_still_until_it_is_advanced_and_never_goes_back() {
        let clock = SimClock::new(at(1000), Speed::Max);
        let other = clock.clone();
        assert_eq!(clock.now(), at(1000));
        other.advance_to(at(1500));
        other.advance_to(at(1200));
        assert_eq!(clock.now(), at(1500));
        assert_eq!(clock.real_duration_until(at(9999)), std::time::Duration::ZERO);
    }

    #[test]
    fn under_a_factor_nobody_advances_the_clock_but_it_catches_up_with_what_others_saw() {
        let clock = SimClock::new(at(1000), Speed::Factor(0.001));
        clock.advance_to(at(5000));
        assert_eq!(clock.now(), at(1000));
        clock.at_least(at(5000));
        assert_eq!(clock.now(), at(5000));
        clock.at_least(at(2000));
        assert_eq!(clock.now(), at(5000));
    }

    #[test]
    fn a_sleeper_waits_the_span_divided_by_the_factor() {
        let clock = SimClock::new(at(0), Speed::Factor(60.0));
        let wait = clock.real_duration_until(at(3600));
        assert!(wait > std::time::Duration::from_secs(50) && wait <= std::time::Duration::from_secs(60));
        assert_eq!(clock.real_duration_until(at(0)), std::time::Duration::ZERO);
    }

    #[test]
    fn speeds_are_read_and_written() {
        assert_eq!("60x".parse(), Ok(Speed::Factor(60.0)));
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!(Speed::Factor(60.0).to_string(), "60");
        assert!("0".parse::<Speed>().is_err() && "NaN".parse::<Speed>().is_err() && "fast".parse::<Speed>().is_err());
    }
}
