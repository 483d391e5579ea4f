//! Whether an account is fit for clusters, told before anything is made: who we are there, what we may, whether the clock
//! is right, and how much of the quotas is left. It changes nothing, and tells nothing secret.

mod clock;
mod permissions;

use std::sync::Arc;
use std::time::SystemTime;

use fleetwright_clouds::{Access, CloudError, Finding, Quota, Verdict};
use fleetwright_core::inventory::ErrorClass;

use crate::error::from_sdk;
use crate::quotas;
use crate::session::Session;

use clock::ReplyDate;

/// Nothing is left at this share of a quota soon.
const NEARLY_FULL_PERCENT: u64 = 80;

/// A thing that could not be found out.
fn failed(what: &str, why: &CloudError) -> Finding {
    Finding::new(what, Verdict::Broken, why.to_string(), hint_of(why.class))
}

const fn hint_of(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Denied => {
            "look at the credentials of the daemon, at assumeRole of the account, and at the trust policy of that role"
        }
        ErrorClass::Throttled | ErrorClass::Outage | ErrorClass::UnknownResult | ErrorClass::Conflict => {
            "look again in a minute; if it lasts, look whether the network lets the daemon reach AWS"
        }
        ErrorClass::NotFound | ErrorClass::Quota | ErrorClass::Invalid => "look at the region and at the endpoints",
    }
}

/// Whether a place is fit for clusters, for whoever may do this in it.
pub async fn examine(session: &Arc<Session>, access: Access) -> Vec<Finding> {
    let date = ReplyDate::default();
    let asked = session.sts.get_caller_identity().customize().interceptor(date.clone()).send().await.map_err(from_sdk);
    let mut findings = vec![match &asked {
        Ok(who) => account(&session.place.account, who.account(), who.arn()),
        Err(why) => failed("account", why),
    }];
    findings.push(clock::finding(date.get(), SystemTime::now()));
    let Ok(who) = asked else { return findings };
    findings.push(permissions::finding(session, access, who.arn().unwrap_or_default()).await);
    findings.extend(quotas::read(session).await.iter().map(quota));
    findings
}

fn account(wanted: &str, account: Option<&str>, arn: Option<&str>) -> Finding {
    let (account, arn) = (account.unwrap_or("unknown"), arn.unwrap_or("unknown"));
    if account == wanted {
        return Finding::new("account", Verdict::Fine, format!("{account} as {arn}"), "");
    }
    let detail = format!("the credentials are of {account}, as {arn}, and the fleet says {wanted}");
    Finding::new("account", Verdict::Broken, detail, "mend the account's id in fleet.yaml, or its assumeRole")
}

fn quota(quota: &Quota) -> Finding {
    let Quota { name, code, limit, used, .. } = quota;
    let (Some(limit), Some(used)) = (*limit, *used) else {
        let hint = "allow servicequotas:GetServiceQuota and the lists of the reader's policy";
        return Finding::new(name, Verdict::Warning, "could not be read", hint);
    };
    let share_percent = u64::from(used) * 100 / u64::from(limit.max(1));
    let (verdict, hint) = match share_percent {
        100.. => (Verdict::Broken, format!("have quota {code} raised, or delete what is not needed")),
        NEARLY_FULL_PERCENT.. => (Verdict::Warning, format!("have quota {code} raised in time")),
        _ => (Verdict::Fine, String::new()),
    };
    Finding::new(name, verdict, format!("{used} of {limit} in use"), &hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_account_than_the_fleet_s_is_broken() {
        let arn = Some("arn:aws:sts::111111111111:assumed-role/fleetwright/fleetwright");
        assert_eq!(account("111111111111", Some("111111111111"), arn).verdict, Verdict::Fine);
        let wrong = account("222222222222", Some("111111111111"), arn);
        assert_eq!(wrong.verdict, Verdict::Broken);
        assert!(wrong.detail.contains("the fleet says 222222222222"), "{}", wrong.detail);
    }

    #[test]
    fn a_quota_warns_before_it_is_used_up() {
        let of = |limit, used| {
            let (name, code) = ("VPCs".to_owned(), "vpc/L-1".to_owned());
            quota(&Quota { name, code, limit, used, per_cluster: 1, of_network: true })
        };
        assert_eq!(of(Some(5), Some(3)).verdict, Verdict::Fine);
        assert_eq!(of(Some(5), Some(4)).verdict, Verdict::Warning);
        assert_eq!(of(Some(5), Some(5)).verdict, Verdict::Broken);
        assert_eq!(of(Some(0), Some(0)).verdict, Verdict::Fine, "nothing is wanted of it yet");
        assert_eq!(of(None, Some(1)).verdict, Verdict::Warning);
        assert!(of(Some(5), Some(5)).hint.contains("vpc/L-1"));
    }
}
