//! What a network of ours consists of, read at once: by the tags that each piece has from its first moment.

use std::collections::BTreeMap;

use fleetwright_clouds::CloudError;

use super::{NETWORK, is_ours};
use crate::ec2::{Address, Ask, Gateway, Group, Nat, NatState, Subnet, Table};
use crate::owner::{Owner, PART, Tags};
use crate::session::Session;

/// The internet gateway.
pub const GATEWAY: &str = "gateway";
/// The NAT gateway.
pub const NAT: &str = "nat";
/// Its address.
pub const ADDRESS: &str = "nat-address";
/// The security group.
pub const GROUP: &str = "group";
/// The private route table; its subnets are `private-a` and so on.
pub const PRIVATE: &str = "private";
/// The public route table; its subnets are `public-a` and so on.
pub const PUBLIC: &str = "public";

/// The pieces of one network or of several, as they are listed.
#[derive(Debug, Default)]
pub struct Lists {
    subnets: Vec<Subnet>,
    gateways: Vec<Gateway>,
    tables: Vec<Table>,
    addresses: Vec<Address>,
    nats: Vec<Nat>,
    groups: Vec<Group>,
}

/// A filter with its value.
type Filter<'a> = (&'a str, &'a str);

impl Lists {
    /// Reads what passes one filter where things are in a network, and what passes the other where they are not.
    pub async fn read(session: &Session, inside: Filter<'_>, of: Filter<'_>) -> Result<Self, CloudError> {
        let inside = |operation| Ask::ec2(session, operation).filter(inside.0, [inside.1]);
        let of = |operation| Ask::ec2(session, operation).filter(of.0, [of.1]);
        let (subnets, gateways, tables, addresses, nats, groups) = tokio::try_join!(
            inside("DescribeSubnets").all("subnetSet", Subnet::read),
            of("DescribeInternetGateways").all("internetGatewaySet", Gateway::read),
            inside("DescribeRouteTables").all("routeTableSet", Table::read),
            of("DescribeAddresses").all("addressesSet", Address::read),
            inside("DescribeNatGateways").all("natGatewaySet", Nat::read),
            inside("DescribeSecurityGroups").all("securityGroupInfo", Group::read),
        )?;
        Ok(Self { subnets, gateways, tables, addresses, nats, groups })
    }

    /// Those of each network by themselves.
    pub fn by_network(self) -> BTreeMap<String, Self> {
        let Self { subnets, gateways, tables, addresses, nats, groups } = self;
        let mut all: BTreeMap<String, Self> = BTreeMap::new();
        deal(&mut all, subnets, |piece| &piece.tags, |lists| &mut lists.subnets);
        deal(&mut all, gateways, |piece| &piece.tags, |lists| &mut lists.gateways);
        deal(&mut all, tables, |piece| &piece.tags, |lists| &mut lists.tables);
        deal(&mut all, addresses, |piece| &piece.tags, |lists| &mut lists.addresses);
        deal(&mut all, nats, |piece| &piece.tags, |lists| &mut lists.nats);
        deal(&mut all, groups, |piece| &piece.tags, |lists| &mut lists.groups);
        all
    }

    /// The pieces of one network.
    pub fn of(self, vpc: &str, owner: &Owner) -> Pieces {
        let Self { mut subnets, mut gateways, mut tables, mut addresses, mut nats, mut groups } = self;
        let ours = |tags: &Tags| is_ours(tags, vpc, owner);
        let strange_subnets =
            subnets.iter().filter(|subnet| !ours(&subnet.tags)).map(|subnet| subnet.id.clone()).collect();
        let works = |nat: &&Nat| matches!(nat.state, NatState::Available | NatState::Pending);
        let strange_nats = nats.iter().filter(works).filter(|nat| !ours(&nat.tags)).map(|nat| nat.id.clone()).collect();
        subnets.retain(|subnet| ours(&subnet.tags));
        gateways.retain(|gateway| ours(&gateway.tags));
        tables.retain(|table| ours(&table.tags));
        addresses.retain(|address| ours(&address.tags));
        nats.retain(|nat| ours(&nat.tags));
        groups.retain(|group| ours(&group.tags));
        gateways.sort_by_key(|gateway| (gateway.attached.is_none(), gateway.id.clone()));
        tables.sort_by_key(|table| (table.subnets.is_empty(), table.id.clone()));
        addresses.sort_by_key(|address| (!address.associated, address.id.clone()));
        let lost = |nat: &&Nat| matches!(nat.state, NatState::Failed | NatState::Deleted | NatState::Deleting);
        let nats_lost = nats.iter().filter(lost).count();
        nats.retain(|nat| nat.state != NatState::Deleted);
        nats.sort_by_key(|nat| (nat.state, nat.id.clone()));
        Pieces { subnets, gateways, tables, addresses, nats, nats_lost, groups, strange_subnets, strange_nats }
    }
}

/// Gives each thing to the network that its tags name.
fn deal<T>(
    all: &mut BTreeMap<String, Lists>,
    things: Vec<T>,
    tags: fn(&T) -> &Tags,
    list: fn(&mut Lists) -> &mut Vec<T>,
) {
    for thing in things {
        let Some(network) = tags(&thing).get(NETWORK).cloned() else { continue };
        list(all.entry(network).or_default()).push(thing);
    }
}

/// Of one network, and of one cluster. Of what there should be one, the one in use comes first; what follows is spare, of
/// a create that was repeated because its reply was lost.
#[derive(Debug)]
pub struct Pieces {
    /// Private and public.
    pub subnets: Vec<Subnet>,
    /// The way in and out of the public ones.
    pub gateways: Vec<Gateway>,
    /// Private and public.
    pub tables: Vec<Table>,
    /// Of the NAT gateway.
    pub addresses: Vec<Address>,
    /// The way out of the private ones; what is gone is not here.
    pub nats: Vec<Nat>,
    /// How many NAT gateways are gone, or could not be made: another one is another request.
    pub nats_lost: usize,
    /// Who reaches the control plane.
    pub groups: Vec<Group>,
    /// Subnets in the network, where all of it was read, that don't say that they are of it.
    pub strange_subnets: Vec<String>,
    /// Gateways that work in it, likewise.
    pub strange_nats: Vec<String>,
}

impl Pieces {
    /// Reads all of them.
    pub async fn read(session: &Session, vpc: &str, owner: &Owner) -> Result<Self, CloudError> {
        let tag = format!("tag:{NETWORK}");
        Ok(Lists::read(session, ("vpc-id", vpc), (&tag, vpc)).await?.of(vpc, owner))
    }

    /// The subnet of this name.
    pub fn subnet(&self, part: &str) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| is_part(&subnet.tags, part))
    }

    /// The route table of this name.
    pub fn table(&self, part: &str) -> Option<&Table> {
        self.tables.iter().find(|table| is_part(&table.tags, part))
    }

    /// The NAT gateway that works, or will.
    pub fn nat(&self) -> Option<&Nat> {
        self.nats.iter().find(|nat| matches!(nat.state, NatState::Available | NatState::Pending))
    }

    /// Ids and tags of everything that can be tagged.
    pub fn tags(&self) -> Vec<(&str, &Tags)> {
        let mut all: Vec<(&str, &Tags)> = Vec::new();
        all.extend(self.subnets.iter().map(|piece| (piece.id.as_str(), &piece.tags)));
        all.extend(self.gateways.iter().map(|piece| (piece.id.as_str(), &piece.tags)));
        all.extend(self.tables.iter().map(|piece| (piece.id.as_str(), &piece.tags)));
        all.extend(self.addresses.iter().map(|piece| (piece.id.as_str(), &piece.tags)));
        all.extend(self.nat().map(|piece| (piece.id.as_str(), &piece.tags)));
        all.extend(self.groups.iter().map(|piece| (piece.id.as_str(), &piece.tags)));
        all
    }
}

fn is_part(tags: &Tags, part: &str) -> bool {
    tags.get(PART).is_some_and(|tag| tag == part)
}
