//! What goes wrong, as properties of the world. Pure: which fault applies to which call at which time.

use std::collections::BTreeMap;

use fleetwright_core::inventory::{ErrorClass, Place, Step};
use fleetwright_schema::names::{Cloud, ClusterName, Region, SetId};
use fleetwright_schema::units::{Duration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::record::Verb;

/// Which places; what is left out matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scope {
    /// Of this cloud.
    pub cloud: Option<Cloud>,
    /// Of this account.
    pub account: Option<String>,
    /// In this region.
    pub region: Option<Region>,
}

impl Scope {
    /// One place.
    pub fn place(place: &Place) -> Self {
        let Place { cloud, account, region } = place;
        Self { cloud: Some(*cloud), account: Some(account.to_string()), region: Some(region.clone()) }
    }
    fn matches(&self, place: &Place) -> bool {
        self.cloud.is_none_or(|cloud| cloud == place.cloud)
            && self.account.as_deref().is_none_or(|account| account == &*place.account)
            && self.region.as_ref().is_none_or(|region| *region == place.region)
    }
}

/// Which calls; what is left out matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Target {
    /// In these places.
    pub scope: Scope,
    /// On clusters of this name, in which `*` stands for anything.
    pub cluster: Option<String>,
    /// On clusters of this set.
    pub set: Option<SetId>,
    /// On this part.
    pub step: Option<Step>,
    /// Of this kind.
    pub verb: Option<Verb>,
}

impl Target {
    /// Every call on this part of these clusters.
    pub fn of(cluster: &str, step: Step) -> Self {
        Self { cluster: Some(cluster.to_owned()), step: Some(step), ..Self::default() }
    }
    fn matches(&self, call: &Call<'_>) -> bool {
        self.scope.matches(call.place)
            && self.cluster.as_deref().is_none_or(|pattern| glob(pattern, call.cluster.as_str()))
            && self.set.as_ref().is_none_or(|set| set == call.set)
            && self.step.is_none_or(|step| step == call.step)
            && self.verb.is_none_or(|verb| verb == call.verb)
    }
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text
            .strip_prefix(head)
            .is_some_and(|rest| rest.char_indices().any(|(at, _)| glob(tail, &rest[at..])) || glob(tail, "")),
    }
}

/// The odds of a call going wrong, of a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Odds {
    /// It is done, and the reply is lost.
    pub lose_reply_per_mille: u32,
    /// It is not done, and nobody is told.
    pub lose_request_per_mille: u32,
    /// It is refused for too many calls.
    pub throttle_per_mille: u32,
    /// It is refused because the provider has an outage.
    pub outage_per_mille: u32,
    /// What it makes turns out failed.
    pub become_failed_per_mille: u32,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Fault {
    /// Each place gets a bucket of so many calls, filled evenly over a minute. The bucket is of one process.
    Throttle {
        /// Where.
        #[serde(default)]
        scope: Scope,
        /// How many calls.
        calls_per_minute: u32,
    },
    /// A place takes no more than so many of a kind.
    Quota {
        /// Where.
        #[serde(default)]
        scope: Scope,
        /// Of which kind.
        step: Step,
        /// How many.
        count_max: u32,
    },
    /// All calls fail. What the provider is at work on goes on.
    Outage {
        /// Where.
        #[serde(default)]
        scope: Scope,
        /// The first moment of it.
        from: Timestamp,
        /// The first moment after it.
        until: Timestamp,
    },
    /// Readings show the world as it was, complete and without saying so.
    StaleReads {
        /// Where.
        #[serde(default)]
        scope: Scope,
        /// How long ago, at most a day.
        lag: Duration,
        /// The first moment of it.
        from: Timestamp,
        /// The first moment after it.
        until: Timestamp,
    },
    /// What was asked for happens, and the caller is told that nobody knows.
    LoseReply {
        /// Of which calls.
        #[serde(default)]
        target: Target,
        /// How often, of calls that change something.
        times: u32,
    },
    /// Calls are refused.
    Refuse {
        /// Which.
        #[serde(default)]
        target: Target,
        /// With what class.
        class: ErrorClass,
        /// How often; always when left out.
        #[serde(default)]
        times: Option<u32>,
        /// Until when; for ever when left out.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// What is created turns out failed when it should be ready.
    BecomeFailed {
        /// Of which creations.
        #[serde(default)]
        target: Target,
        /// How often; always when left out.
        #[serde(default)]
        times: Option<u32>,
    },
    /// The last workload does not leave, until this fault is gone or it is evicted.
    StuckDrain {
        /// Of which clusters, with `*`.
        cluster: String,
        /// What blocks it, by namespace, pod and budget.
        blocked_by: Vec<String>,
    },
    /// Workloads can't be counted.
    Uncountable {
        /// Of which clusters, with `*`.
        cluster: String,
        /// Until when; for ever when left out.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// Someone deletes it behind our back, at once. With a control plane goes what lives in it.
    Vanish {
        /// Of which cluster.
        cluster: ClusterName,
        /// Which part.
        step: Step,
    },
    /// Operations that begin meanwhile take longer, or shorter.
    Slow {
        /// Which.
        #[serde(default)]
        target: Target,
        /// 300 is three times as long.
        latency_percent: u32,
    },
    /// Any call may go wrong.
    Random {
        /// Where.
        #[serde(default)]
        scope: Scope,
        /// How likely.
        odds: Odds,
        /// Until when; for ever when left out.
        #[serde(default)]
        until: Option<Timestamp>,
    },
}

impl Fault {
    /// When it begins and ends by itself.
    fn edges(&self) -> [Option<Timestamp>; 2] {
        match self {
            Self::Outage { from, until, .. } | Self::StaleReads { from, until, .. } => [Some(*from), Some(*until)],
            Self::Refuse { until, .. } | Self::Uncountable { until, .. } | Self::Random { until, .. } => [None, *until],
            Self::Throttle { .. }
            | Self::Quota { .. }
            | Self::LoseReply { .. }
            | Self::BecomeFailed { .. }
            | Self::StuckDrain { .. }
            | Self::Vanish { .. }
            | Self::Slow { .. } => [None, None],
        }
    }
    fn times_max(&self) -> Option<u32> {
        match self {
            Self::LoseReply { times, .. } => Some(*times),
            Self::Refuse { times, .. } | Self::BecomeFailed { times, .. } => *times,
            Self::Throttle { .. }
            | Self::Quota { .. }
            | Self::Outage { .. }
            | Self::StaleReads { .. }
            | Self::StuckDrain { .. }
            | Self::Uncountable { .. }
            | Self::Vanish { .. }
            | Self::Slow { .. }
            | Self::Random { .. } => None,
        }
    }
    /// Whether it applies at this time, having been used so often.
    fn is_active(&self, used: u32, now: Timestamp) -> bool {
        let [from, until] = self.edges();
        from.is_none_or(|from| from <= now)
            && until.is_none_or(|until| now < until)
            && self.times_max().is_none_or(|times| used < times)
    }
}

/// By what a fault is taken away again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FaultId(pub(crate) u64);

/// A call, as faults see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) place: &'a Place,
    pub(crate) cluster: &'a ClusterName,
    pub(crate) set: &'a SetId,
    pub(crate) step: Step,
    pub(crate) verb: Verb,
}

/// The faults of a world, and how often each was used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    armed: BTreeMap<FaultId, (Fault, u32)>,
    next: u64,
}

impl Faults {
    pub(crate) const fn next_id(&self) -> FaultId {
        FaultId(self.next)
    }
    pub(crate) fn arm(&mut self, id: FaultId, fault: Fault, used: u32) {
        self.next = self.next.max(id.0 + 1);
        self.armed.insert(id, (fault, used));
    }
    pub(crate) fn never_before(&mut self, id: FaultId) {
        self.next = self.next.max(id.0);
    }
    pub(crate) fn disarm(&mut self, id: FaultId) {
        self.armed.remove(&id);
    }
    pub(crate) fn use_up(&mut self, id: FaultId) {
        if let Some((_, used)) = self.armed.get_mut(&id) {
            *used += 1;
        }
    }
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FaultId, &Fault, u32)> {
        self.armed.iter().map(|(id, (fault, used))| (*id, fault, *used))
    }
    pub(crate) fn next_edge(&self, now: Timestamp) -> Option<Timestamp> {
        self.iter().flat_map(|(_, fault, _)| fault.edges()).flatten().filter(|edge| *edge > now).min()
    }

    fn active(&self, now: Timestamp) -> impl Iterator<Item = (FaultId, &Fault)> {
        self.iter().filter(move |(_, fault, used)| fault.is_active(*used, now)).map(|(id, fault, _)| (id, fault))
    }
    pub(crate) fn outage(&self, place: &Place, now: Timestamp) -> bool {
        self.active(now).any(|(_, fault)| matches!(fault, Fault::Outage { scope, .. } if scope.matches(place)))
    }
    pub(crate) fn lag(&self, place: &Place, now: Timestamp) -> Option<Duration> {
        let lag = |fault: &Fault| match fault {
            Fault::StaleReads { scope, lag, .. } if scope.matches(place) => Some(*lag),
            _ => None,
        };
        self.active(now).filter_map(|(_, fault)| lag(fault)).max()
    }
    pub(crate) fn calls_per_minute(&self, place: &Place, now: Timestamp) -> Option<u32> {
        let limit = |fault: &Fault| match fault {
            Fault::Throttle { scope, calls_per_minute } if scope.matches(place) => Some(*calls_per_minute),
            _ => None,
        };
        self.active(now).filter_map(|(_, fault)| limit(fault)).min()
    }
    pub(crate) fn quota(&self, place: &Place, of: Step, now: Timestamp) -> Option<u32> {
        let limit = |fault: &Fault| match fault {
            Fault::Quota { scope, step, count_max } if *step == of && scope.matches(place) => Some(*count_max),
            _ => None,
        };
        self.active(now).filter_map(|(_, fault)| limit(fault)).min()
    }
    pub(crate) fn refusal(&self, call: &Call<'_>, now: Timestamp) -> Option<(FaultId, ErrorClass)> {
        self.active(now).find_map(|(id, fault)| match fault {
            Fault::Refuse { target, class, .. } if target.matches(call) => Some((id, *class)),
            _ => None,
        })
    }
    pub(crate) fn lost_reply(&self, call: &Call<'_>, now: Timestamp) -> Option<FaultId> {
        self.active(now).find_map(|(id, fault)| match fault {
            Fault::LoseReply { target, .. } if target.matches(call) => Some(id),
            _ => None,
        })
    }
    pub(crate) fn failure(&self, call: &Call<'_>, now: Timestamp) -> Option<FaultId> {
        self.active(now).find_map(|(id, fault)| match fault {
            Fault::BecomeFailed { target, .. } if target.matches(call) => Some(id),
            _ => None,
        })
    }
    pub(crate) fn stuck(&self, cluster: &ClusterName) -> Option<&[String]> {
        self.iter().find_map(|(_, fault, _)| match fault {
            Fault::StuckDrain { cluster: pattern, blocked_by } if glob(pattern, cluster.as_str()) => {
                Some(blocked_by.as_slice())
            }
            _ => None,
        })
    }
    pub(crate) fn uncountable(&self, cluster: &ClusterName, now: Timestamp) -> bool {
        let hit = |fault: &Fault| matches!(fault, Fault::Uncountable { cluster: c, .. } if glob(c, cluster.as_str()));
        self.active(now).any(|(_, fault)| hit(fault))
    }
    pub(crate) fn latency_percent(&self, call: &Call<'_>, now: Timestamp) -> u64 {
        let percent = |fault: &Fault| match fault {
            Fault::Slow { target, latency_percent } if target.matches(call) => Some(u64::from(*latency_percent)),
            _ => None,
        };
        self.active(now).filter_map(|(_, fault)| percent(fault)).max().unwrap_or(100)
    }
    /// The worst odds of all that apply.
    pub(crate) fn odds(&self, place: &Place, now: Timestamp) -> Option<Odds> {
        let odds = |fault: &Fault| match fault {
            Fault::Random { scope, odds, .. } if scope.matches(place) => Some(*odds),
            _ => None,
        };
        self.active(now).filter_map(|(_, fault)| odds(fault)).reduce(worst)
    }
}

fn worst(a: Odds, b: Odds) -> Odds {
    let Odds {
        lose_reply_per_mille,
        lose_request_per_mille,
        throttle_per_mille,
        outage_per_mille,
        become_failed_per_mille,
    } = a;
    Odds {
        lose_reply_per_mille: lose_reply_per_mille.max(b.lose_reply_per_mille),
        lose_request_per_mille: lose_request_per_mille.max(b.lose_request_per_mille),
        throttle_per_mille: throttle_per_mille.max(b.throttle_per_mille),
        outage_per_mille: outage_per_mille.max(b.outage_per_mille),
        become_failed_per_mille: become_failed_per_mille.max(b.become_failed_per_mille),
    }
}

/// How many calls a place may still make, in sixtieths of a call, so that seconds fill it without fractions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    level: u64,
    filled_at: Timestamp,
}

impl Bucket {
    const CALL: u64 = 60;

    pub(crate) fn full(calls_per_minute: u32, now: Timestamp) -> Self {
        Self { level: u64::from(calls_per_minute) * Self::CALL, filled_at: now }
    }
    /// Takes a call out, or says after how long there is one.
    pub(crate) fn take(&mut self, calls_per_minute: u32, now: Timestamp) -> Result<(), Duration> {
        let rate = u64::from(calls_per_minute);
        let flow = now.since(self.filled_at).seconds().saturating_mul(rate);
        self.level = self.level.saturating_add(flow).min(rate * Self::CALL);
        self.filled_at = self.filled_at.max(now);
        match self.level.checked_sub(Self::CALL) {
            Some(rest) => self.level = rest,
            None if rate == 0 => return Err(Duration::from_minutes(1)),
            None => return Err(Duration::from_seconds((Self::CALL - self.level).div_ceil(rate))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn a_star_stands_for_anything() {
        assert!(glob("*", "serving-1") && glob("serving-*", "serving-1") && glob("*-1", "serving-1"));
        assert!(glob("s*-*1", "serving-1") && glob("serving-1*", "serving-1"));
        assert!(!glob("serving", "serving-1") && !glob("*-2", "serving-1"));
    }

    #[test]
    fn a_bucket_gives_its_calls_and_then_one_every_so_often() {
        let mut bucket = Bucket::full(30, at(0));
        assert!((0..30).all(|_| bucket.take(30, at(0)).is_ok()));
        assert_eq!(bucket.take(30, at(0)), Err(Duration::from_seconds(2)));
        assert_eq!(bucket.take(30, at(2)), Ok(()));
        assert_eq!(bucket.take(30, at(3)), Err(Duration::from_seconds(1)));
        assert!((0..30).all(|_| bucket.take(30, at(600)).is_ok()));
        assert!(bucket.take(30, at(600)).is_err());
    }

    #[test]
    fn a_fault_is_active_from_its_beginning_up_to_its_end() {
        let outage = Fault::Outage { scope: Scope::default(), from: at(10), until: at(20) };
        let active: Vec<bool> = [9, 10, 19, 20].map(|t| outage.is_active(0, at(t))).to_vec();
        assert_eq!(active, [false, true, true, false]);
    }

    #[test]
    fn a_fault_of_so_many_times_is_spent_by_use() {
        let lose = Fault::LoseReply { target: Target::default(), times: 2 };
        assert!(lose.is_active(1, at(0)) && !lose.is_active(2, at(0)));
    }

    #[test]
    fn faults_are_written_and_read_back() {
        let fault = Fault::Refuse {
            target: Target { verb: Some(Verb::Create), ..Target::of("serving-*", Step::NodePools) },
            class: ErrorClass::Quota,
            times: Some(3),
            until: Some(at(100)),
        };
        let text = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault);
        let short = r#"{"outage":{"scope":{"region":"eu-west-1"},"from":"2026-01-01T00:00:00Z","until":"2026-01-01T01:00:00Z"}}"#;
        assert!(serde_json::from_str::<Fault>(short).is_ok());
    }
}
