//! Freezes and maintenance windows: given a time, is it closed, and until when. No clock is read.

use fleetwright_schema::documents::{Freeze, MaintenanceWindow, Weekday};
use fleetwright_schema::names::{Name, SetId};
use fleetwright_schema::units::{Duration, Timestamp};
use std::collections::BTreeMap;

/// Something is closed, by whom and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The freeze's or window's name.
    pub by: Name,
    /// When it opens.
    pub until: Timestamp,
}

/// The freeze that holds a set now: of several, the one that ends last.
pub fn frozen(freezes: &[Freeze], set: &SetId, tags: &BTreeMap<String, String>, now: Timestamp) -> Option<Closed> {
    freezes
        .iter()
        .filter(|freeze| freeze.from <= now && now < freeze.until && freeze.sets.selects(set, tags))
        .max_by_key(|freeze| freeze.until)
        .map(|freeze| Closed { by: freeze.name.clone(), until: freeze.until })
}

/// The next freeze that begins for a set, so that somebody wakes for it.
pub fn next_freeze(
    freezes: &[Freeze],
    set: &SetId,
    tags: &BTreeMap<String, String>,
    now: Timestamp,
) -> Option<Timestamp> {
    freezes.iter().filter(|freeze| freeze.from > now && freeze.sets.selects(set, tags)).map(|freeze| freeze.from).min()
}

/// What a set's windows say of a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Windows {
    /// No window selects the set, or one is open: moves may start; until when, if it closes.
    Open(Option<Timestamp>),
    /// Closed: the window that opens next.
    Closed(Closed),
}

/// Whether moves of a set may start now.
pub fn windows(all: &[MaintenanceWindow], set: &SetId, tags: &BTreeMap<String, String>, now: Timestamp) -> Windows {
    let mut next: Option<Closed> = None;
    let mut selected = false;
    for window in all.iter().filter(|window| window.sets.selects(set, tags)) {
        selected = true;
        for opening in openings(window, now) {
            let closes = opening.plus(window.duration);
            if opening <= now && now < closes {
                return Windows::Open(Some(closes));
            }
            if opening > now && next.as_ref().is_none_or(|closed| opening < closed.until) {
                next = Some(Closed { by: window.name.clone(), until: opening });
            }
        }
    }
    match (selected, next) {
        (true, Some(closed)) => Windows::Closed(closed),
        // A window whose zone or start can't be understood never opens; validation refuses such a fleet.
        (true, None) => {
            Windows::Closed(Closed { by: all[0].name.clone(), until: now.plus(Duration::from_seconds(86_400)) })
        }
        (false, _) => Windows::Open(None),
    }
}

/// The openings of a window from yesterday to a week ahead.
fn openings(window: &MaintenanceWindow, now: Timestamp) -> Vec<Timestamp> {
    let zone_name = window.time_zone.as_deref().unwrap_or("UTC");
    let zone = jiff::tz::db().get(zone_name);
    let (Ok(zone), Ok(moment)) = (zone, jiff::Timestamp::from_second(now.unix_seconds())) else { return Vec::new() };
    let Some((hour, minute)) = start_of_day(&window.start) else { return Vec::new() };
    let today = moment.to_zoned(zone.clone()).date();
    (-1..=8)
        .filter_map(|days| today.checked_add(jiff::Span::new().days(days)).ok())
        .filter(|date| window.days.is_empty() || window.days.contains(&weekday(date.weekday())))
        // `to_zoned` moves a time that daylight saving skips to the next that exists.
        .filter_map(|date| date.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok())
        .map(|opening| Timestamp::from_unix_seconds(opening.timestamp().as_second()))
        .collect()
}

/// Hour and minute of `22:00`.
pub fn start_of_day(text: &str) -> Option<(i8, i8)> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    ((0..24).contains(&hour) && (0..60).contains(&minute)).then_some((hour, minute))
}

fn weekday(day: jiff::civil::Weekday) -> Weekday {
    match day {
        jiff::civil::Weekday::Monday => Weekday::Mon,
        jiff::civil::Weekday::Tuesday => Weekday::Tue,
        jiff::civil::Weekday::Wednesday => Weekday::Wed,
        jiff::civil::Weekday::Thursday => Weekday::Thu,
        jiff::civil::Weekday::Friday => Weekday::Fri,
        jiff::civil::Weekday::Saturday => Weekday::Sat,
        jiff::civil::Weekday::Sunday => Weekday::Sun,
    }
}
