//! Making a network of our own: piece by piece, each looked for before it is made, and the mark last.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::inventory::{ErrorClass, Step};
use fleetwright_schema::set::ClusterSpec;

use super::blocks::{Blocks, ZONES, divide};
use super::list::created_at;
use super::pieces::{ADDRESS, GATEWAY, GROUP, NAT, PRIVATE, PUBLIC, Pieces};
use super::{CREATED_AT, NETWORK, SET_TAGS, not_ours, tags, whole};
use crate::ec2::{Address, Ask, Gateway, NatState, Rule, Subnet, Table, Vpc, Zone, text};
use crate::error::{error, settled};
use crate::owner::{APPLIED, CLUSTER, Owner, PART, Tags, short_hash};
use crate::session::Session;

/// Zones in which EKS has no control planes.
const WITHOUT_EKS: [&str; 3] = ["use1-az3", "usw1-az2", "cac1-az3"];
/// The fewest that EKS takes.
pub const ZONES_MIN: usize = 2;
/// The zones' letters in the names of subnets.
pub const LETTERS: [&str; ZONES] = ["a", "b", "c"];
const ANYWHERE: &str = "0.0.0.0/0";

/// Makes the network of a cluster, or goes on with the one that it has.
pub async fn create(
    session: &Session,
    owner: &Owner,
    spec: &ClusterSpec,
    fingerprint: &str,
    cidr: Option<&str>,
) -> Result<Progress, CloudError> {
    let none = || error(ErrorClass::Invalid, "InvalidNetwork", "the cluster has no block of addresses");
    let cidr = cidr.ok_or_else(none)?;
    divide(cidr)?;
    let vpc = match standing(session, owner).await? {
        Some(vpc) if vpc.cidr == cidr => vpc,
        Some(vpc) => {
            let message = format!("{} has the addresses {}, and not the cluster's {cidr}", vpc.id, vpc.cidr);
            return Err(error(ErrorClass::Invalid, "InvalidNetwork", message));
        }
        None => make_vpc(session, owner, spec, cidr).await?,
    };
    build(session, owner, &vpc, spec, fingerprint).await
}

/// The network that this cluster has already; of several the one that the planner keeps, too.
async fn standing(session: &Session, owner: &Owner) -> Result<Option<Vpc>, CloudError> {
    let ask = Ask::ec2(session, "DescribeVpcs").filter(&format!("tag:{CLUSTER}"), [owner.cluster.as_str()]);
    let mut all = ask.all("vpcSet", Vpc::read).await?;
    all.retain(|vpc| vpc.tags.get(CLUSTER).map(String::as_str) == Some(owner.cluster.as_str()));
    if let Some(other) = all.iter().find(|vpc| Owner::from_tags(&vpc.tags).as_ref() != Some(owner)) {
        return Err(not_ours(&other.id, owner));
    }
    Ok(all.into_iter().min_by_key(|vpc| (created_at(vpc), vpc.id.clone())))
}

async fn make_vpc(session: &Session, owner: &Owner, spec: &ClusterSpec, cidr: &str) -> Result<Vpc, CloudError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut tags = owner.tags(Step::Network, &spec.tags);
    tags.insert(CREATED_AT.to_owned(), now.to_string());
    tags.insert(SET_TAGS.to_owned(), tags::keys(&spec.tags));
    let ask = Ask::ec2(session, "CreateVpc").set("CidrBlock", cidr).tagged("vpc", &tags);
    let made = ask.one("vpc", Vpc::read).await?;
    // As they were asked for, whether or not the reply repeats them.
    Ok(Vpc { tags, ..made })
}

/// Makes what is missing, brings the tags to the spec's, and sets the mark once all is there.
pub async fn build(
    session: &Session,
    owner: &Owner,
    vpc: &Vpc,
    spec: &ClusterSpec,
    fingerprint: &str,
) -> Result<Progress, CloudError> {
    let blocks = divide(&vpc.cidr)?;
    let pieces = Pieces::read(session, &vpc.id, owner).await?;
    if let Some(id) = whole::stripped(vpc, &pieces) {
        return Err(not_ours(id, owner));
    }
    let work = Work { session, vpc, cluster: owner.cluster.as_str(), tags: owner.tags(Step::Network, &spec.tags) };
    if vpc.tags.contains_key(APPLIED) && whole::lacks(vpc, &pieces).is_some() {
        // Somebody took or changed something: wherever this breaks off, it is gone on with.
        work.unmark().await?;
    }
    whole::can_be_mended(session, owner, vpc, &pieces).await?;
    work.names().await?;
    let subnets = work.subnets(&pieces, &blocks).await?;
    let gateway = work.gateway(&pieces).await?;
    // The one that takes minutes begins first.
    let nat = work.nat(&pieces, &subnets.public[0]).await?;
    let public = work.table(&pieces, PUBLIC, &subnets.public).await?;
    work.route(&public, "GatewayId", &gateway).await?;
    let private = work.table(&pieces, PRIVATE, &subnets.private).await?;
    work.group(&pieces).await?;
    if nat.state != NatState::Available {
        return Ok(Progress::InProgress);
    }
    work.route(&private, "NatGatewayId", &nat.id).await?;
    work.bring_tags(&pieces, &spec.tags).await?;
    work.release_spares(&pieces).await?;
    work.mark(fingerprint, &spec.tags, subnets.private.len()).await?;
    Ok(Progress::Done)
}

/// The ids of the subnets, by zone.
struct Subnets {
    private: Vec<String>,
    public: Vec<String>,
}

struct Way {
    id: String,
    state: NatState,
}

struct Work<'a> {
    session: &'a Session,
    vpc: &'a Vpc,
    cluster: &'a str,
    tags: Tags,
}

impl Work<'_> {
    fn ask(&self, operation: &'static str) -> Ask<'_> {
        Ask::ec2(self.session, operation)
    }

    /// The tags of a piece.
    fn of(&self, part: &str) -> Tags {
        let mut tags = self.tags.clone();
        tags.insert(NETWORK.to_owned(), self.vpc.id.clone());
        tags.insert(PART.to_owned(), part.to_owned());
        tags.insert("Name".to_owned(), format!("{}-{part}", self.cluster));
        tags
    }

    /// Nodes and private endpoints are found by name.
    async fn names(&self) -> Result<(), CloudError> {
        for attribute in ["EnableDnsSupport.Value", "EnableDnsHostnames.Value"] {
            self.ask("ModifyVpcAttribute").set("VpcId", &self.vpc.id).set(attribute, "true").done().await?;
        }
        Ok(())
    }

    async fn subnets(&self, pieces: &Pieces, blocks: &Blocks) -> Result<Subnets, CloudError> {
        let zones = self.zones(pieces).await?;
        let mut made = Subnets { private: Vec::new(), public: Vec::new() };
        for (n, zone) in zones.iter().enumerate() {
            made.private.push(self.subnet(pieces, PRIVATE, n, zone, &blocks.private[n]).await?);
            made.public.push(self.subnet(pieces, PUBLIC, n, zone, &blocks.public[n]).await?);
        }
        Ok(made)
    }

    /// The zones, in the order of the subnets: those that are taken already, and then the first of the others.
    async fn zones(&self, pieces: &Pieces) -> Result<Vec<String>, CloudError> {
        let taken = LETTERS.map(|letter| {
            let of = |kind: &str| pieces.subnet(&format!("{kind}-{letter}")).map(|subnet| subnet.zone.clone());
            of(PRIVATE).or_else(|| of(PUBLIC))
        });
        if taken.iter().all(Option::is_some) {
            return Ok(taken.into_iter().flatten().collect());
        }
        let free = available_zones(self.session).await?;
        let mut free = free.into_iter().filter(|zone| !taken.contains(&Some(zone.clone())));
        let zones: Vec<String> = taken.iter().map_while(|zone| zone.clone().or_else(|| free.next())).collect();
        if zones.len() < ZONES_MIN {
            let message = format!("{} has no {ZONES_MIN} zones in which EKS is", self.session.region());
            return Err(error(ErrorClass::Invalid, "InvalidNetwork", message));
        }
        Ok(zones)
    }

    async fn subnet(
        &self,
        pieces: &Pieces,
        kind: &str,
        n: usize,
        zone: &str,
        block: &str,
    ) -> Result<String, CloudError> {
        let part = format!("{kind}-{}", LETTERS[n]);
        if let Some(subnet) = pieces.subnet(&part) {
            return Ok(subnet.id.clone());
        }
        let mut tags = self.of(&part);
        // By these the controllers in the cluster find where load balancers go.
        let role = if kind == PUBLIC { "kubernetes.io/role/elb" } else { "kubernetes.io/role/internal-elb" };
        tags.insert(role.to_owned(), "1".to_owned());
        let ask = self.ask("CreateSubnet").set("VpcId", &self.vpc.id).set("CidrBlock", block);
        let ask = ask.set("AvailabilityZone", zone).tagged("subnet", &tags);
        Ok(ask.one("subnet", Subnet::read).await?.id)
    }

    async fn gateway(&self, pieces: &Pieces) -> Result<String, CloudError> {
        let there = pieces.gateways.first().cloned();
        let gateway = match there {
            Some(gateway) => gateway,
            None => {
                let ask = self.ask("CreateInternetGateway").tagged("internet-gateway", &self.of(GATEWAY));
                ask.one("internetGateway", Gateway::read).await?
            }
        };
        if gateway.attached.is_none() {
            let ask = self.ask("AttachInternetGateway").set("InternetGatewayId", &gateway.id);
            ask.set("VpcId", &self.vpc.id).done().await?;
        }
        Ok(gateway.id)
    }

    async fn nat(&self, pieces: &Pieces, subnet: &str) -> Result<Way, CloudError> {
        if let Some(nat) = pieces.nat() {
            return Ok(Way { id: nat.id.clone(), state: nat.state });
        }
        let address = match pieces.addresses.first() {
            Some(address) => address.id.clone(),
            None => {
                let ask = self.ask("AllocateAddress").set("Domain", "vpc").tagged("elastic-ip", &self.of(ADDRESS));
                ask.one("AllocateAddressResponse", Address::read).await?.id
            }
        };
        // The same request is one, until what came of it is known to be lost.
        let token = short_hash(&format!("{} {address} {}", self.vpc.id, pieces.nats_lost), 32);
        let ask = self.ask("CreateNatGateway").set("SubnetId", subnet).set("AllocationId", address);
        let ask = ask.set("ClientToken", token).tagged("natgateway", &self.of(NAT));
        ask.one("natGateway", |node| {
            let nat = crate::ec2::Nat::read(node)?;
            Some(Way { id: nat.id, state: nat.state })
        })
        .await
    }

    async fn table(&self, pieces: &Pieces, part: &str, subnets: &[String]) -> Result<Table, CloudError> {
        let table = match pieces.table(part) {
            Some(table) => table.clone(),
            None => {
                let ask = self.ask("CreateRouteTable").set("VpcId", &self.vpc.id).tagged("route-table", &self.of(part));
                ask.one("routeTable", Table::read).await?
            }
        };
        for subnet in subnets.iter().filter(|id| !table.subnets.iter().any(|(there, _)| there == *id)) {
            let ask = self.ask("AssociateRouteTable").set("RouteTableId", &table.id);
            ask.set("SubnetId", subnet).done().await?;
        }
        Ok(table)
    }

    /// Everything that is not of the network goes there.
    async fn route(&self, table: &Table, kind: &str, to: &str) -> Result<(), CloudError> {
        let operation = match &table.default_route {
            Some(there) if there == to => return Ok(()),
            // As of a NAT gateway that is gone.
            Some(_) => "ReplaceRoute",
            None => "CreateRoute",
        };
        let ask = self.ask(operation).set("RouteTableId", &table.id);
        ask.set("DestinationCidrBlock", ANYWHERE).set(kind, to).done().await
    }

    /// From inside the network the API of the cluster is reached; EKS adds a group of its own for nodes.
    async fn group(&self, pieces: &Pieces) -> Result<(), CloudError> {
        let wanted = whole::wanted_in(self.vpc);
        let there = pieces.groups.first();
        if there.is_some_and(|group| group.lets_in == wanted) {
            return Ok(());
        }
        let id = match there {
            Some(group) => group.id.clone(),
            None => self.make_group().await?,
        };
        let rule = self.ask("AuthorizeSecurityGroupIngress").set("GroupId", &id);
        let rule = rule.set("IpPermissions.1.IpProtocol", "tcp").set("IpPermissions.1.FromPort", "443");
        let rule = rule.set("IpPermissions.1.ToPort", "443").set("IpPermissions.1.IpRanges.1.CidrIp", &self.vpc.cidr);
        settled(rule.done().await, ErrorClass::Conflict)?;
        match there.is_some_and(|group| !group.lets_in.is_subset(&wanted)) {
            true => self.revoke_all_but(&id, &wanted).await,
            false => Ok(()),
        }
    }

    async fn make_group(&self) -> Result<String, CloudError> {
        let ask = self.ask("CreateSecurityGroup").set("VpcId", &self.vpc.id);
        let ask = ask.set("GroupName", format!("{}-control-plane", self.cluster));
        let ask = ask.set("GroupDescription", "Who reaches the control plane");
        let ask = ask.tagged("security-group", &self.of(GROUP));
        ask.one("CreateSecurityGroupResponse", |node| text(node, "groupId")).await
    }

    /// Nobody else reaches the control plane by a rule that somebody added.
    async fn revoke_all_but(&self, group: &str, wanted: &BTreeSet<String>) -> Result<(), CloudError> {
        let ask = self.ask("DescribeSecurityGroupRules").filter("group-id", [group]);
        let mut rules = ask.all("securityGroupRuleSet", Rule::read).await?;
        rules.retain(|rule| rule.group == group && !rule.outward && !wanted.contains(&rule.says));
        if rules.is_empty() {
            return Ok(());
        }
        let ask = self.ask("RevokeSecurityGroupIngress").set("GroupId", group);
        let ids = rules.into_iter().map(|rule| rule.id);
        settled(ask.each("SecurityGroupRuleId", ids).done().await, ErrorClass::NotFound).map(drop)
    }

    async fn bring_tags(&self, pieces: &Pieces, of_set: &Tags) -> Result<(), CloudError> {
        let mut shared = self.tags.clone();
        // Each piece has its own.
        shared.remove("Name");
        tags::bring(self.session, self.vpc, pieces, of_set, &shared).await
    }

    /// What a create that was repeated made twice, and nothing uses.
    async fn release_spares(&self, pieces: &Pieces) -> Result<(), CloudError> {
        for gateway in pieces.gateways.iter().skip(1).filter(|gateway| gateway.attached.is_none()) {
            self.ask("DeleteInternetGateway").set("InternetGatewayId", &gateway.id).done().await?;
        }
        for address in pieces.addresses.iter().skip(1).filter(|address| !address.associated) {
            self.ask("ReleaseAddress").set("AllocationId", &address.id).done().await?;
        }
        let is_first = |table: &Table| {
            [PUBLIC, PRIVATE].iter().any(|part| pieces.table(part).is_some_and(|first| first.id == table.id))
        };
        for table in pieces.tables.iter().filter(|table| !is_first(table) && table.subnets.is_empty()) {
            self.ask("DeleteRouteTable").set("RouteTableId", &table.id).done().await?;
        }
        Ok(())
    }

    async fn unmark(&self) -> Result<(), CloudError> {
        self.ask("DeleteTags").each("ResourceId", [&self.vpc.id]).set("Tag.1.Key", APPLIED).done().await
    }

    async fn mark(&self, fingerprint: &str, of_set: &Tags, zones: usize) -> Result<(), CloudError> {
        let ask = self.ask("CreateTags").each("ResourceId", [&self.vpc.id]);
        let mut mark = Tags::from([(APPLIED.to_owned(), fingerprint.to_owned())]);
        // With the mark and not before, so that an update that broke off still knows which tags there were.
        mark.insert(SET_TAGS.to_owned(), tags::keys(of_set));
        mark.insert(whole::ZONES.to_owned(), zones.to_string());
        ask.tags("Tag", &mark).done().await
    }
}

/// The zones of the region in which EKS is, by name.
async fn available_zones(session: &Session) -> Result<Vec<String>, CloudError> {
    let ask = Ask::ec2(session, "DescribeAvailabilityZones").filter("state", ["available"]);
    let ask = ask.filter("zone-type", ["availability-zone"]);
    let mut zones = ask.all("availabilityZoneInfo", Zone::read).await?;
    zones.retain(|zone| !WITHOUT_EKS.contains(&zone.id.as_str()));
    zones.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(zones.into_iter().map(|zone| zone.name).collect())
}
