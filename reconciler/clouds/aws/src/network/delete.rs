//! Taking a network down: what is in this very VPC and carries this cluster's tags, and then the VPC.

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::inventory::ErrorClass;

use super::pieces::Pieces;
use crate::ec2::{Ask, Nat, NatState, Vpc};
use crate::error::settled;
use crate::owner::{APPLIED, Owner};
use crate::session::Session;

/// Deletes what can go now. What somebody else put into the network keeps it, and EC2 says so.
pub async fn delete(session: &Session, owner: &Owner, vpc: &Vpc) -> Result<Progress, CloudError> {
    if vpc.tags.contains_key(APPLIED) {
        // From here on it is not whole, and is shown as what its NAT gateway is.
        let ask = Ask::ec2(session, "DeleteTags").each("ResourceId", [&vpc.id]).set("Tag.1.Key", APPLIED);
        ask.done().await?;
    }
    let pieces = Pieces::read(session, &vpc.id, owner).await?;
    if !pieces.nats.is_empty() {
        // Its interface holds a subnet and its address, until it is gone.
        delete_nats(session, &pieces.nats).await?;
        return Ok(Progress::InProgress);
    }
    delete_pieces(session, &vpc.id, &pieces).await?;
    gone(Ask::ec2(session, "DeleteVpc").set("VpcId", &vpc.id)).await?;
    Ok(Progress::Done)
}

async fn delete_nats(session: &Session, nats: &[Nat]) -> Result<(), CloudError> {
    for nat in nats.iter().filter(|nat| nat.state != NatState::Deleting) {
        gone(Ask::ec2(session, "DeleteNatGateway").set("NatGatewayId", &nat.id)).await?;
    }
    Ok(())
}

async fn delete_pieces(session: &Session, vpc: &str, pieces: &Pieces) -> Result<(), CloudError> {
    for address in &pieces.addresses {
        gone(Ask::ec2(session, "ReleaseAddress").set("AllocationId", &address.id)).await?;
    }
    for table in &pieces.tables {
        for (_, association) in &table.subnets {
            gone(Ask::ec2(session, "DisassociateRouteTable").set("AssociationId", association)).await?;
        }
        gone(Ask::ec2(session, "DeleteRouteTable").set("RouteTableId", &table.id)).await?;
    }
    for subnet in &pieces.subnets {
        gone(Ask::ec2(session, "DeleteSubnet").set("SubnetId", &subnet.id)).await?;
    }
    for gateway in &pieces.gateways {
        if gateway.attached.is_some() {
            let ask = Ask::ec2(session, "DetachInternetGateway").set("InternetGatewayId", &gateway.id);
            gone(ask.set("VpcId", vpc)).await?;
        }
        gone(Ask::ec2(session, "DeleteInternetGateway").set("InternetGatewayId", &gateway.id)).await?;
    }
    for group in &pieces.groups {
        gone(Ask::ec2(session, "DeleteSecurityGroup").set("GroupId", &group.id)).await?;
    }
    Ok(())
}

/// Deleted now, or before.
async fn gone(ask: Ask<'_>) -> Result<(), CloudError> {
    settled(ask.done().await, ErrorClass::NotFound).map(drop)
}
