//! Security groups that name one another: none of them can go while a rule of another one names it.

use std::collections::BTreeMap;

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::ErrorClass;
use fleetwright_schema::names::ClusterName;

use super::is_made_by;
use crate::ec2::{Ask, Group, Rule};
use crate::error::settled;
use crate::session::Session;

/// EC2 takes no more values in a filter than 200.
const FILTER_VALUES: usize = 100;

/// Revokes the rules by which other groups of the network name this one: of the cluster's own network any, of a given
/// network only those of groups that the cluster made.
pub async fn untie(
    session: &Session,
    group: &str,
    vpc: &str,
    own: bool,
    cluster: &ClusterName,
) -> Result<(), CloudError> {
    let ask = Ask::ec2(session, "DescribeSecurityGroups").filter("vpc-id", [vpc]).set("MaxResults", "1000");
    let mut others = ask.all("securityGroupInfo", Group::read).await?;
    others.retain(|other| other.vpc == vpc && other.id != group && (own || is_made_by(&other.tags, cluster)));
    let mut naming: BTreeMap<(String, bool), Vec<String>> = BTreeMap::new();
    for some in others.chunks(FILTER_VALUES) {
        let ids = some.iter().map(|other| other.id.as_str());
        let ask = Ask::ec2(session, "DescribeSecurityGroupRules").filter("group-id", ids).set("MaxResults", "1000");
        let rules = ask.all("securityGroupRuleSet", Rule::read).await?;
        for rule in rules.into_iter().filter(|rule| rule.refers_to.as_deref() == Some(group)) {
            naming.entry((rule.group, rule.outward)).or_default().push(rule.id);
        }
    }
    for ((other, outward), rules) in naming {
        let operation = if outward { "RevokeSecurityGroupEgress" } else { "RevokeSecurityGroupIngress" };
        let ask = Ask::ec2(session, operation).set("GroupId", other).each("SecurityGroupRuleId", rules);
        settled(ask.done().await, ErrorClass::NotFound)?;
    }
    Ok(())
}
