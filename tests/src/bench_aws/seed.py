"""Makes networks, roles and log streams by plain calls, with the tags and marks by which Fleetwright's adapter knows its own.

Usage: seed.py FILE, of lines {"step", "cluster", "set", "ordinal", "applied", "cidr"}. A network is in two zones. What the
adapter's lists do not show is left out: attributes of VPCs, and what the role of the services may.
"""

import functools
import ipaddress
import json
import sys
import time

import boto3

iam = boto3.client("iam")


@functools.cache
def client(service, region):
    return boto3.client(service, region_name=region)


OURS = "fleetwright.dev/"
POLICY = "arn:aws:iam::aws:policy/"
ROLES = {
    "control-plane": ("eks.amazonaws.com", "sts:AssumeRole", ["AmazonEKSClusterPolicy"]),
    "nodes": (
        "ec2.amazonaws.com",
        "sts:AssumeRole",
        ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"],
    ),
    "services": ("pods.eks.amazonaws.com", ["sts:AssumeRole", "sts:TagSession"], []),
}


def region_of(part):
    return part["set"].split("/")[2]


def tags_of(part, /, **more):
    tags = {OURS + key: str(part[key]) for key in ["cluster", "set", "ordinal", "step"]}
    return tags | {"Name": part["cluster"]} | {OURS + key.replace("_", "-"): value for key, value in more.items()}


def listed(tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def network(part):
    region = region_of(part)
    ec2 = client("ec2", region)
    # The list of the set's own tags is empty.
    tags = tags_of(part, created_at=str(int(time.time())), set_tags="", zones="2", applied=part["applied"])
    specification = [{"ResourceType": "vpc", "Tags": listed(tags)}]
    vpc = ec2.create_vpc(CidrBlock=part["cidr"], TagSpecifications=specification)["Vpc"]["VpcId"]

    def tagged(kind, name):
        return [{"ResourceType": kind, "Tags": listed(tags_of(part, network=vpc, part=name))}]

    gateway = ec2.create_internet_gateway(TagSpecifications=tagged("internet-gateway", "gateway"))
    gateway = gateway["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    quarters = list(ipaddress.ip_network(part["cidr"]).subnets(prefixlen_diff=2))
    blocks = {"public": list(quarters[3].subnets(prefixlen_diff=4)), "private": quarters}
    for kind in blocks:
        ids = []
        for letter, block in zip("ab", blocks[kind]):
            made = ec2.create_subnet(
                VpcId=vpc,
                CidrBlock=str(block),
                AvailabilityZone=region + letter,
                TagSpecifications=tagged("subnet", f"{kind}-{letter}"),
            )
            ids.append(made["Subnet"]["SubnetId"])
        way = {"GatewayId": gateway} if kind == "public" else {"NatGatewayId": nat}
        table = ec2.create_route_table(VpcId=vpc, TagSpecifications=tagged("route-table", kind))
        table = table["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **way)
        for subnet in ids:
            ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        if kind == "public":
            address = ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip", "nat-address"))
            tags = tagged("natgateway", "nat")
            nat = ec2.create_nat_gateway(SubnetId=ids[0], AllocationId=address["AllocationId"], TagSpecifications=tags)
            nat = nat["NatGateway"]["NatGatewayId"]
    group = ec2.create_security_group(
        GroupName=f"{part['cluster']}-control-plane",
        Description="Who reaches the control plane",
        VpcId=vpc,
        TagSpecifications=tagged("security-group", "group"),
    )
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": part["cidr"]}]}
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])


def identity(part):
    for suffix, (service, actions, policies) in ROLES.items():
        applied = part["applied"] if suffix == "control-plane" else ""
        whose = f"cluster={part['cluster']} set={part['set']} ordinal={part['ordinal']}"
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": actions}
        name = f"{part['cluster']}-{suffix}"
        iam.create_role(
            RoleName=name,
            Path=f"/fleetwright/{region_of(part)}/",
            Description=f"fleetwright {whose} applied={applied}",
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
            Tags=listed(tags_of(part)),
        )
        for policy in policies:
            iam.attach_role_policy(RoleName=name, PolicyArn=POLICY + policy)


def log_stream(part):
    name = f"fleetwright-{part['cluster']}"
    kinesis = client("kinesis", region_of(part))
    kinesis.create_stream(StreamName=name, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    kinesis.add_tags_to_stream(StreamName=name, Tags=tags_of(part, applied=part["applied"]))


MAKERS = {"network": network, "identity": identity, "logStream": log_stream}


# One after another: moto stumbles over calls that come side by side, now and then.
with open(sys.argv[1]) as lines:
    for line in lines:
        part = json.loads(line)
        MAKERS[part["step"]](part)
