//! EC2 and the load balancers, typed: how a call is put together, how all pages of a list are read, and the few fields of
//! each thing that are looked at here. A list is whole or an error, and so is each thing in it.

use std::collections::BTreeSet;

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::ErrorClass;
use roxmltree::{Document, Node};

use crate::error::error;
use crate::owner::Tags;
use crate::query::{Params, Reply, Service};
use crate::session::Session;

/// More pages than this no list of an account has: a token that comes back for ever ends as an error.
const PAGES_MAX: usize = 1_000;

/// A call that is being put together.
pub struct Ask<'a> {
    session: &'a Session,
    service: Service,
    operation: &'static str,
    params: Params,
    filters: usize,
}

impl<'a> Ask<'a> {
    /// A call to EC2.
    pub fn ec2(session: &'a Session, operation: &'static str) -> Self {
        Self::of(session, Service::Ec2, operation)
    }

    /// A call to any of the services that speak Query.
    pub const fn of(session: &'a Session, service: Service, operation: &'static str) -> Self {
        Self { session, service, operation, params: Vec::new(), filters: 0 }
    }

    /// One parameter.
    pub fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.params.push((key.to_owned(), value.into()));
        self
    }

    /// A parameter of many values: `key.1`, `key.2`.
    pub fn each<T: Into<String>>(mut self, key: &str, values: impl IntoIterator<Item = T>) -> Self {
        let numbered = values.into_iter().zip(1..).map(|(value, n)| (format!("{key}.{n}"), value.into()));
        self.params.extend(numbered);
        self
    }

    /// Only what has one of these values there.
    pub fn filter<T: Into<String>>(mut self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        self.filters += 1;
        let key = format!("Filter.{}", self.filters);
        self.set(&format!("{key}.Name"), name).each(&format!("{key}.Value"), values)
    }

    /// What is made has these tags from its first moment.
    pub fn tagged(self, kind: &str, tags: &Tags) -> Self {
        self.set("TagSpecification.1.ResourceType", kind).tags("TagSpecification.1.Tag", tags)
    }

    /// Tags as parameters: `key.1.Key`, `key.1.Value`.
    pub fn tags(mut self, key: &str, tags: &Tags) -> Self {
        for (n, (name, value)) in (1..).zip(tags) {
            self.params.push((format!("{key}.{n}.Key"), name.clone()));
            self.params.push((format!("{key}.{n}.Value"), value.clone()));
        }
        self
    }

    /// Sends it, for a reply that says nothing more.
    pub async fn done(self) -> Result<(), CloudError> {
        self.send().await.map(drop)
    }

    /// Sends it, for the one thing that it answers.
    pub async fn one<T>(self, name: &str, read: fn(Node<'_, '_>) -> Option<T>) -> Result<T, CloudError> {
        let operation = self.operation;
        let Reply(text) = self.send().await?;
        let document = parsed(operation, &text)?;
        let node = document.descendants().find(|node| node.has_tag_name_only(name));
        node.and_then(read).ok_or_else(|| not_understood(operation))
    }

    /// Sends it until the last page came, for all things in this set.
    pub async fn all<T>(self, set: &str, read: fn(Node<'_, '_>) -> Option<T>) -> Result<Vec<T>, CloudError> {
        let (asked, answered) = match self.service {
            Service::Ec2 => ("NextToken", "nextToken"),
            Service::Elb | Service::Elbv2 => ("Marker", "NextMarker"),
        };
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut params = self.params.clone();
            params.extend(token.map(|token| (asked.to_owned(), token)));
            let Reply(text) = self.session.query.call(self.service, self.operation, &params).await?;
            let document = parsed(self.operation, &text)?;
            all.extend(items(&document, set, read).ok_or_else(|| not_understood(self.operation))?);
            token = next(&document, answered);
            if token.is_none() {
                return Ok(all);
            }
        }
        Err(error(ErrorClass::Outage, "ListWithoutEnd", format!("{} has no last page", self.operation)))
    }

    async fn send(self) -> Result<Reply, CloudError> {
        self.session.query.call(self.service, self.operation, &self.params).await
    }
}

trait Named {
    fn has_tag_name_only(&self, name: &str) -> bool;
}

impl Named for Node<'_, '_> {
    /// Whatever its namespace, which differs from version to version.
    fn has_tag_name_only(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

fn parsed<'t>(operation: &str, text: &'t str) -> Result<Document<'t>, CloudError> {
    Document::parse(text).map_err(|_| not_understood(operation))
}

fn not_understood(operation: &str) -> CloudError {
    // It may have been done: whoever repeats it looks first.
    error(ErrorClass::UnknownResult, "ReplyNotUnderstood", format!("the reply to {operation} is not understood"))
}

/// All things of a set; none where one of them is not as expected.
fn items<T>(document: &Document<'_>, set: &str, read: fn(Node<'_, '_>) -> Option<T>) -> Option<Vec<T>> {
    let set = document.descendants().find(|node| node.has_tag_name_only(set))?;
    set.children().filter(Node::is_element).map(read).collect()
}

fn next(document: &Document<'_>, name: &str) -> Option<String> {
    let node = document.descendants().find(|node| node.has_tag_name_only(name))?;
    node.text().map(str::trim).filter(|token| !token.is_empty()).map(str::to_owned)
}

/// An element within this one.
pub fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|node| node.has_tag_name_only(name))
}

/// The text of an element within this one.
pub fn text(node: Node<'_, '_>, name: &str) -> Option<String> {
    child(node, name)?.text().map(|text| text.trim().to_owned())
}

/// The things of a set within this one; none where there is no set.
pub fn within<'a, 'i>(node: Node<'a, 'i>, set: &str) -> impl Iterator<Item = Node<'a, 'i>> + use<'a, 'i> {
    child(node, set).into_iter().flat_map(|set| set.children()).filter(Node::is_element)
}

fn tags(node: Node<'_, '_>) -> Tags {
    let pair = |tag| Some((text(tag, "key")?, text(tag, "value").unwrap_or_default()));
    within(node, "tagSet").filter_map(pair).collect()
}

/// One tag of one thing.
#[derive(Clone, Debug)]
pub struct Tag {
    /// Of what: `vol-…`.
    pub id: String,
    /// Which kind that is: `volume`.
    pub kind: String,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl Tag {
    /// From `tagSet`.
    pub fn read(node: Node<'_, '_>) -> Option<Self> {
        let (id, kind) = (text(node, "resourceId")?, text(node, "resourceType").unwrap_or_default());
        Some(Self { id, kind, key: text(node, "key")?, value: text(node, "value").unwrap_or_default() })
    }
}

/// The ids of the machines that were begun together, from `reservationSet`.
pub fn instances(node: Node<'_, '_>) -> Option<Vec<String>> {
    within(node, "instancesSet").map(|instance| text(instance, "instanceId")).collect()
}

/// A virtual network.
#[derive(Clone, Debug)]
pub struct Vpc {
    /// `vpc-…`
    pub id: String,
    /// Its first block of addresses.
    pub cidr: String,
    /// Its tags.
    pub tags: Tags,
}

impl Vpc {
    /// From `vpcSet`, or `vpc` of a new one.
    pub fn read(node: Node<'_, '_>) -> Option<Self> {
        Some(Self { id: text(node, "vpcId")?, cidr: text(node, "cidrBlock")?, tags: tags(node) })
    }
}

/// A subnet.
#[derive(Clone, Debug)]
pub struct Subnet {
    /// `subnet-…`
    pub id: String,
    /// Where it is: `eu-west-1a`.
    pub zone: String,
    /// Its tags.
    pub tags: Tags,
}

impl Subnet {
    /// From `subnetSet`, or `subnet` of a new one.
    pub fn read(node: Node<'_, '_>) -> Option<Self> {
        Some(Self { id: text(node, "subnetId")?, zone: text(node, "availabilityZone")?, tags: tags(node) })
    }
}

/// An internet gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// `igw-…`
    pub id: String,
    /// The network that it is attached to.
    pub attached: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

impl Gateway {
    /// From `internetGatewaySet`, or `internetGateway` of a new one.
    pub fn read(node: Node<'_, '_>) -> Option<Self> {
        let attached = within(node, "attachmentSet").find_map(|attachment| text(attachment, "vpcId"));
        Some(Self { id: text(node, "internetGatewayId")?, attached, tags: tags(node) })
    }
}

/// A route table.
#[derive(Clone, Debug)]
pub struct Table {
    /// `rtb-…`
    pub id: String,
    /// The subnets that it serves, with the ids of the associations.
    pub subnets: Vec<(String, String)>,
    /// Where everything else goes: the id of what `0.0.0.0/0` leads to.
    pub default_route: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

impl Table {
    /// From `routeTableSet`, or `routeTable` of a new one.
    pub fn read(node: Node<'_, '_>) -> Option<Self> {
        let pair = |node| Some((text(node, "subnetId")?, text(node, "routeTableAssociationId")?));
        let leads = |route| text(route, "gatewayId").or_else(|| text(route, "natGatewayId"));
        let all = |route: &Node<'_, '_>| text(*route, "destinationCidrBlock").as_deref() == Some("0.0.0.0/0");
        Some(Self {
            id: text(node, "routeTableId")?,
            subnets: within(node, "associationSet").filter_map(pair).collect(),
            default_route: within(node, "routeSet").find(all).and_then(leads),
            tags: tags(node),
        })
    }
}

/// A public address.
#[derive(Clone, Debug)]
pub struct Address {
    /// `eipalloc-…`
    pub id: String,
    /// Whether something has it.
    pub associated: bool,
    /// Its tags.
    pub tags: Tags,
}

impl Address {
    /// From `addressesSet`, or the reply about a new one.
    pub fn read(node: Node<'_, '_>) -> Option<Self> {
        let associated = text(node, "associationId").is_some_and(|id| !id.is_empty());
        Some(Self { id: text(node, "allocationId")?, associated, tags: tags(node) })
    }
}

/// Where a NAT gateway stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NatState {
    /// It works.
    Available,
    /// It is being made.
    Pending,
    /// It could not be made.
    Failed,
    /// It is on its way out.
    Deleting,
    /// It is gone, and shown for an hour still.
    Deleted,
}

/// A NAT gateway.
#[derive(Clone, Debug)]
pub struct Nat {
    /// `nat-…`
    pub id: String,
    /// The network that it is in.
    pub vpc: String,
    /// Where it stands.
    pub state: NatState,
    /// Its tags.
    pub tags: Tags,
}

impl Nat {
    /// From `natGatewaySet`, or `natGateway` of a new one.
    pub fn read(node: Node<'_, '_>) -> Option<Self> {
        let state = match text(node, "state")?.as_str() {
            "available" => NatState::Available,
            "pending" => NatState::Pending,
            "failed" => NatState::Failed,
            "deleting" => NatState::Deleting,
            "deleted" => NatState::Deleted,
            _ => return None,
        };
        let (id, vpc) = (text(node, "natGatewayId")?, text(node, "vpcId")?);
        Some(Self { id, vpc, state, tags: tags(node) })
    }
}

/// A security group.
#[derive(Clone, Debug)]
pub struct Group {
    /// `sg-…`
    pub id: String,
    /// Its name; `default` of the one that every network has.
    pub name: String,
    /// The network that it is in.
    pub vpc: String,
    /// Whom it lets in, one line each: `tcp 443-443 10.0.0.0/16`.
    pub lets_in: BTreeSet<String>,
    /// Its tags.
    pub tags: Tags,
}

impl Group {
    /// From `securityGroupInfo`.
    pub fn read(node: Node<'_, '_>) -> Option<Self> {
        let (id, name) = (text(node, "groupId")?, text(node, "groupName")?);
        let lets_in = within(node, "ipPermissions").flat_map(permission).collect();
        Some(Self { id, name, vpc: text(node, "vpcId").unwrap_or_default(), lets_in, tags: tags(node) })
    }
}

/// What a rule is about: `tcp 443-443`.
fn ports(node: Node<'_, '_>) -> String {
    let [protocol, from, to] = ["ipProtocol", "fromPort", "toPort"].map(|name| text(node, name).unwrap_or_default());
    format!("{protocol} {from}-{to}")
}

/// One line for each whom a permission lets in.
fn permission(node: Node<'_, '_>) -> Vec<String> {
    let whom =
        [("ipRanges", "cidrIp"), ("ipv6Ranges", "cidrIpv6"), ("groups", "groupId"), ("prefixListIds", "prefixListId")];
    let of = |(set, name): (&str, &str)| -> Vec<String> {
        within(node, set).map(|one| format!("{} {}", ports(node), text(one, name).unwrap_or_default())).collect()
    };
    whom.into_iter().flat_map(of).collect()
}

/// A rule of a security group.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `sgr-…`
    pub id: String,
    /// The group that has it.
    pub group: String,
    /// Whether it is of what goes out.
    pub outward: bool,
    /// The group that it lets in or reaches.
    pub refers_to: Option<String>,
    /// Whom it lets in or reaches, in the words of [`Group::lets_in`].
    pub says: String,
}

impl Rule {
    /// From `securityGroupRuleSet`.
    pub fn read(node: Node<'_, '_>) -> Option<Self> {
        let refers_to = child(node, "referencedGroupInfo").and_then(|info| text(info, "groupId"));
        let whom = ["cidrIpv4", "cidrIpv6", "prefixListId"].iter().find_map(|name| text(node, name));
        let whom = whom.or_else(|| refers_to.clone()).unwrap_or_default();
        Some(Self {
            id: text(node, "securityGroupRuleId")?,
            group: text(node, "groupId")?,
            outward: text(node, "isEgress").as_deref() == Some("true"),
            refers_to,
            says: format!("{} {whom}", ports(node)),
        })
    }
}

/// A network interface.
#[derive(Clone, Debug)]
pub struct Interface {
    /// `eni-…`
    pub id: String,
    /// The network that it is in.
    pub vpc: String,
    /// What it is: `interface`, `nat_gateway`.
    pub kind: String,
    /// Whether nothing has it.
    pub available: bool,
    /// Whether a service of AWS made it for itself, and nobody else may delete it.
    pub managed: bool,
    /// Its tags.
    pub tags: Tags,
}

impl Interface {
    /// From `networkInterfaceSet`.
    pub fn read(node: Node<'_, '_>) -> Option<Self> {
        Some(Self {
            id: text(node, "networkInterfaceId")?,
            vpc: text(node, "vpcId")?,
            kind: text(node, "interfaceType").unwrap_or_default(),
            available: text(node, "status")? == "available",
            managed: text(node, "requesterManaged").as_deref() == Some("true"),
            tags: tags(node),
        })
    }
}

/// A disk.
#[derive(Clone, Debug)]
pub struct Volume {
    /// `vol-…`
    pub id: String,
    /// `available`, `in-use`, `deleting`.
    pub state: String,
    /// Its tags.
    pub tags: Tags,
}

impl Volume {
    /// From `volumeSet`.
    pub fn read(node: Node<'_, '_>) -> Option<Self> {
        Some(Self { id: text(node, "volumeId")?, state: text(node, "status")?, tags: tags(node) })
    }
}

/// A zone of the region.
#[derive(Clone, Debug)]
pub struct Zone {
    /// `eu-west-1a`, which means another place in each account.
    pub name: String,
    /// `euw1-az1`, which means the same place in all.
    pub id: String,
}

impl Zone {
    /// From `availabilityZoneInfo`.
    pub fn read(node: Node<'_, '_>) -> Option<Self> {
        Some(Self { name: text(node, "zoneName")?, id: text(node, "zoneId").unwrap_or_default() })
    }
}

/// What is looked at of a load balancer, of a kind that has an ARN or of the classic one; or of a target group.
#[derive(Clone, Debug)]
pub struct Balancing {
    /// The ARN, or the name of a classic one.
    pub id: String,
    /// The network that it is in, if in one.
    pub vpc: Option<String>,
}

impl Balancing {
    /// From `LoadBalancers` of version 2.
    pub fn balancer(node: Node<'_, '_>) -> Option<Self> {
        Some(Self { id: text(node, "LoadBalancerArn")?, vpc: text(node, "VpcId") })
    }
    /// From `LoadBalancerDescriptions`.
    pub fn classic(node: Node<'_, '_>) -> Option<Self> {
        Some(Self { id: text(node, "LoadBalancerName")?, vpc: text(node, "VPCId") })
    }
    /// From `TargetGroups`.
    pub fn target_group(node: Node<'_, '_>) -> Option<Self> {
        Some(Self { id: text(node, "TargetGroupArn")?, vpc: text(node, "VpcId") })
    }
}

/// The tags of one of several things that were asked for, from `TagDescriptions`.
pub fn tag_description(node: Node<'_, '_>) -> Option<(String, Tags)> {
    let id = text(node, "ResourceArn").or_else(|| text(node, "LoadBalancerName"))?;
    let pair = |tag| Some((text(tag, "Key")?, text(tag, "Value").unwrap_or_default()));
    Some((id, within(node, "Tags").filter_map(pair).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<DescribeVpcsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><vpcSet>
        <item><vpcId>vpc-1</vpcId><cidrBlock>10.0.0.0/16</cidrBlock>
        <tagSet><item><key>a</key><value>b</value></item><item><key>c</key><value/></item></tagSet></item>
        </vpcSet><nextToken>more</nextToken></DescribeVpcsResponse>";

    #[test]
    fn a_page_is_read_with_its_tags_and_its_token() {
        let document = Document::parse(PAGE).unwrap();
        let vpcs = items(&document, "vpcSet", Vpc::read).unwrap();
        assert_eq!((vpcs[0].id.as_str(), vpcs[0].tags["a"].as_str(), vpcs[0].tags["c"].as_str()), ("vpc-1", "b", ""));
        assert_eq!(next(&document, "nextToken"), Some("more".to_owned()));
    }

    #[test]
    fn a_page_with_one_thing_that_is_not_understood_is_no_page() {
        let broken = PAGE.replace("<cidrBlock>10.0.0.0/16</cidrBlock>", "");
        assert!(items(&Document::parse(&broken).unwrap(), "vpcSet", Vpc::read).is_none());
        assert!(items(&Document::parse("<html/>").unwrap(), "vpcSet", Vpc::read).is_none());
    }

    #[test]
    fn an_empty_token_is_the_last_page() {
        let last = Document::parse("<a><vpcSet/><nextToken/></a>").unwrap();
        assert_eq!(next(&last, "nextToken"), None);
        assert!(items(&last, "vpcSet", Vpc::read).unwrap().is_empty());
    }
}
