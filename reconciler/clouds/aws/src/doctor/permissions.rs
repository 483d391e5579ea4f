//! Whether we may do what has to be done: asked of IAM's simulator, which does nothing; where it does not answer, each
//! service is asked for a list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};
use fleetwright_clouds::{Access, CloudError};
use fleetwright_core::inventory::ErrorClass;

use super::{Finding, Verdict, hint_of};
use crate::ec2::Ask;
use crate::error::from_sdk;
use crate::policy::{READING, Rule, WRITING};
use crate::query::Service;
use crate::session::Session;

const WHAT: &str = "permissions";
/// As many actions are named in a finding.
const NAMED_MAX: usize = 10;

/// What the principal with this ARN may not do.
pub async fn finding(session: &Arc<Session>, access: Access, arn: &str) -> Finding {
    match simulated(session, access, arn).await {
        Ok(denied) => of_denied(&denied),
        Err(why) => dry(session, &why).await,
    }
}

fn of_denied(denied: &BTreeSet<String>) -> Finding {
    if denied.is_empty() {
        return Finding::new(WHAT, Verdict::Fine, "all that is needed, as IAM simulates it", "");
    }
    let named: Vec<&str> = denied.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = denied.len() - named.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let detail = format!("IAM does not allow {}{more}", named.join(", "));
    Finding::new(
        WHAT,
        Verdict::Broken,
        detail,
        "attach reader.json, and writer.json to the role of the daemon, of the AWS adapter's `policies`",
    )
}

/// Actions by the thing that they are on: IAM simulates each action on each thing of a call.
type Cases = BTreeMap<String, Vec<&'static str>>;

fn cases(rule: &Rule, session: &Session) -> Cases {
    let mut cases = Cases::new();
    for (action, on) in rule.allows {
        for on in *on {
            cases.entry(sample(session, on)).or_default().push(action);
        }
    }
    cases
}

/// A thing as it could be: `arn:aws:ec2:eu-west-1:123456789012:vpc/fleetwright-sample`.
fn sample(session: &Session, on: &str) -> String {
    if on == "*" {
        return on.to_owned();
    }
    let mut parts = on.splitn(4, ':');
    let mut part = || parts.next().unwrap_or_default();
    let (service, region, account, thing) = (part(), part(), part(), part());
    let region = if region == "*" { session.region() } else { region };
    let account = if account == "*" { &session.place.account } else { account };
    let thing = thing.replace("aws-service-role/eks*", "aws-service-role/eks.amazonaws.com/sample");
    let thing = thing.replace('*', "fleetwright-sample");
    format!("arn:{}:{service}:{region}:{account}:{thing}", session.partition())
}

/// The conditions of a rule, met.
fn context(rule: &Rule, session: &Session) -> Vec<ContextEntry> {
    let entry = |(operator, key, values): &(&str, &str, &[&str])| {
        let value = values.first().copied().unwrap_or_default().replace("{partition}", session.partition());
        // That a tag is there is met by any value of it.
        let value = if *operator == "Null" { "fleetwright-sample".to_owned() } else { value.replace('*', "") };
        let kind = if operator.starts_with("ForAllValues") {
            ContextKeyTypeEnum::StringList
        } else {
            ContextKeyTypeEnum::String
        };
        ContextEntry::builder().context_key_name(*key).context_key_values(value).context_key_type(kind).build()
    };
    rule.when.iter().map(entry).collect()
}

/// A session of a role has the rights of the role.
fn principal(arn: &str) -> String {
    let role = arn.split_once(":assumed-role/").and_then(|(before, after)| {
        let (name, _) = after.split_once('/')?;
        Some(format!("{}:role/{name}", before.replacen(":sts:", ":iam:", 1)))
    });
    role.unwrap_or_else(|| arn.to_owned())
}

async fn simulated(session: &Session, access: Access, arn: &str) -> Result<BTreeSet<String>, CloudError> {
    let rules: Vec<&Rule> = match access {
        Access::ReadOnly => READING.iter().collect(),
        Access::ReadWrite => READING.iter().chain(WRITING).collect(),
    };
    let mut denied = BTreeSet::new();
    for rule in rules {
        for (thing, actions) in cases(rule, session) {
            denied.extend(simulate(session, &principal(arn), &thing, &actions, context(rule, session)).await?);
        }
    }
    Ok(denied)
}

async fn simulate(
    session: &Session,
    principal: &str,
    thing: &str,
    actions: &[&str],
    context: Vec<ContextEntry>,
) -> Result<Vec<String>, CloudError> {
    let mut denied = Vec::new();
    let mut unanswered: BTreeSet<&str> = actions.iter().copied().collect();
    let on = if thing == "*" { String::new() } else { format!(" on {thing}") };
    let mut pages = session
        .iam
        .simulate_principal_policy()
        .policy_source_arn(principal)
        .set_action_names(Some(actions.iter().map(|action| (*action).to_owned()).collect()))
        .resource_arns(thing)
        .set_context_entries(Some(context));
    loop {
        let page = pages.clone().send().await.map_err(from_sdk)?;
        for result in page.evaluation_results.into_iter().flatten() {
            unanswered.remove(result.eval_action_name.as_str());
            if result.eval_decision != PolicyEvaluationDecisionType::Allowed {
                denied.push(format!("{}{on}", result.eval_action_name));
            }
        }
        match page.marker.filter(|_| page.is_truncated) {
            Some(marker) => pages = pages.marker(marker),
            // What nobody spoke of is not allowed.
            None => break,
        }
    }
    denied.extend(unanswered.into_iter().map(|action| format!("{action}{on}")));
    Ok(denied)
}

/// What can be found out by looking only.
async fn dry(session: &Arc<Session>, why: &CloudError) -> Finding {
    let ec2 = async { Ask::ec2(session, "DescribeAvailabilityZones").done().await };
    let elb = async { Ask::of(session, Service::Elbv2, "DescribeLoadBalancers").set("PageSize", "1").done().await };
    let eks = async { session.eks.list_clusters().max_results(1).send().await.map(drop).map_err(from_sdk) };
    let iam = async { session.iam.list_roles().max_items(1).send().await.map(drop).map_err(from_sdk) };
    let kinesis = async { session.kinesis.list_streams().limit(1).send().await.map(drop).map_err(from_sdk) };
    let (ec2, elb, eks, iam, kinesis) = tokio::join!(ec2, elb, eks, iam, kinesis);
    let asked = [("EC2", ec2), ("Elastic Load Balancing", elb), ("EKS", eks), ("IAM", iam), ("Kinesis", kinesis)];
    let failed: Vec<(&str, &CloudError)> =
        asked.iter().filter_map(|(service, reply)| Some((*service, reply.as_ref().err()?))).collect();
    let simulator = format!("IAM's simulator did not answer ({})", why.code);
    if failed.is_empty() {
        let detail = format!("all services answer; {simulator}, so it is not known what may be changed");
        return Finding::new(WHAT, Verdict::Warning, detail, "allow iam:SimulatePrincipalPolicy, and look again");
    }
    let class = if failed.iter().any(|(_, why)| why.class == ErrorClass::Denied) {
        ErrorClass::Denied
    } else {
        failed[0].1.class
    };
    let failed: Vec<String> = failed.iter().map(|(service, why)| format!("{service}: {why}")).collect();
    Finding::new(WHAT, Verdict::Broken, format!("{}; {simulator}", failed.join("; ")), hint_of(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_of_a_role_is_simulated_as_the_role() {
        let session = "arn:aws-us-gov:sts::123456789012:assumed-role/fleetwright/fleetwright";
        assert_eq!(principal(session), "arn:aws-us-gov:iam::123456789012:role/fleetwright");
        let user = "arn:aws:iam::123456789012:user/a/b";
        assert_eq!(principal(user), user);
    }

    #[test]
    fn what_is_denied_is_named_and_counted() {
        assert_eq!(of_denied(&BTreeSet::new()).verdict, Verdict::Fine);
        let denied = (10..22).map(|n| format!("ec2:A{n} on x")).collect();
        let finding = of_denied(&denied);
        assert_eq!(finding.verdict, Verdict::Broken);
        assert!(finding.detail.contains("ec2:A10 on x, ec2:A11 on x"), "{}", finding.detail);
        assert!(finding.detail.ends_with("ec2:A19 on x and 2 more"), "{}", finding.detail);
    }
}
