"""Clusters by a straight script: each part is looked for, and made if it is not there.

Usage: clusters.py planes COUNT PACE GIVEN   control planes only, in the given network, with the given role
       clusters.py whole COUNT PACE          network, roles, log stream, control plane, nodes, add-ons

PACE is how much faster than the machine's the time of the clusters runs: waiters ask that much more often than they
usually do. Endpoints, region and credentials are the environment's.
"""

import ipaddress
import json
import sys

import boto3
from botocore.exceptions import ClientError

what, count, pace = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
VERSION = "1.33"
POLICY = "arn:aws:iam::aws:policy/"
ROLES = {
    "control-plane": ("eks.amazonaws.com", ["AmazonEKSClusterPolicy"]),
    "nodes": (
        "ec2.amazonaws.com",
        ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"],
    ),
    "services": ("pods.eks.amazonaws.com", []),
}
ADDONS = ["vpc-cni", "kube-proxy", "coredns", "eks-pod-identity-agent"]
LOGS = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
ec2, iam, kinesis, eks = (boto3.client(service) for service in ["ec2", "iam", "kinesis", "eks"])


def found(call, **arguments):
    """What a call tells; nothing, where it says that there is no such thing."""
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchEntity", "ResourceNotFoundException"):
            return None
        raise


def tagged(kind, name, **more):
    tags = [{"Key": key, "Value": value} for key, value in {"Name": name, "team": "bench", **more}.items()]
    return [{"ResourceType": kind, "Tags": tags}]


def wait(waiter, **arguments):
    waiter = eks.get_waiter(waiter)
    waiter.wait(WaiterConfig={"Delay": waiter.config.delay / pace}, **arguments)


def vpc_of(name, cidr):
    filters = [{"Name": "tag:Name", "Values": [name]}]
    there = ec2.describe_vpcs(Filters=filters)["Vpcs"]
    if there:
        return there[0]["VpcId"]
    vpc = ec2.create_vpc(CidrBlock=cidr, TagSpecifications=tagged("vpc", name))["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsSupport={"Value": True})
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    return vpc


def subnets_of(vpc, name, cidr, zones):
    there = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    there = {tag["Value"]: subnet["SubnetId"] for subnet in there for tag in subnet["Tags"] if tag["Key"] == "Name"}
    block = ipaddress.ip_network(cidr)
    quarters = list(block.subnets(prefixlen_diff=2))
    blocks = {"private": quarters[:3], "public": list(quarters[3].subnets(prefixlen_diff=4))[:3]}
    ids = {}
    for kind in blocks:
        role = {"kubernetes.io/role/" + ("elb" if kind == "public" else "internal-elb"): "1"}
        for zone, part in zip(zones, blocks[kind]):
            part_name = f"{name}-{kind}-{zone}"
            if part_name not in there:
                tags = tagged("subnet", part_name, **role)
                made = ec2.create_subnet(
                    VpcId=vpc, AvailabilityZone=zone, CidrBlock=str(part), TagSpecifications=tags
                )
                there[part_name] = made["Subnet"]["SubnetId"]
            ids.setdefault(kind, []).append(there[part_name])
    return ids


def internet_gateway_of(vpc, name):
    filters = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
    there = ec2.describe_internet_gateways(Filters=filters)["InternetGateways"]
    if there:
        return there[0]["InternetGatewayId"]
    made = ec2.create_internet_gateway(TagSpecifications=tagged("internet-gateway", name))
    gateway = made["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    return gateway


def nat_of(vpc, name, subnet):
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "state", "Values": ["pending", "available"]}]
    there = ec2.describe_nat_gateways(Filters=filters)["NatGateways"]
    if there:
        return there[0]["NatGatewayId"]
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip", name))["AllocationId"]
    made = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address, TagSpecifications=tagged("natgateway", name))
    nat = made["NatGateway"]["NatGatewayId"]
    ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=[nat], WaiterConfig={"Delay": 15 / pace})
    return nat


def tables_of(vpc, name, subnets, ways):
    there = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    there = {tag["Value"] for table in there for tag in table["Tags"] if tag["Key"] == "Name"}
    for kind, way in ways.items():
        if f"{name}-{kind}" in there:
            continue
        tags = tagged("route-table", f"{name}-{kind}")
        table = ec2.create_route_table(VpcId=vpc, TagSpecifications=tags)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **way)
        for subnet in subnets[kind]:
            ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)


def group_of(vpc, name, cidr):
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": [f"{name}-control-plane"]}]
    there = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    if there:
        return there[0]["GroupId"]
    about = {"GroupName": f"{name}-control-plane", "Description": "Who reaches the control plane", "VpcId": vpc}
    group = ec2.create_security_group(TagSpecifications=tagged("security-group", name), **about)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": cidr}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    return group


def network_of(name, cidr, zones):
    vpc = vpc_of(name, cidr)
    subnets = subnets_of(vpc, name, cidr, zones)
    gateway = internet_gateway_of(vpc, name)
    nat = nat_of(vpc, name, subnets["public"][0])
    tables_of(vpc, name, subnets, {"public": {"GatewayId": gateway}, "private": {"NatGatewayId": nat}})
    return {"subnets": subnets["private"], "group": group_of(vpc, name, cidr)}


def role_of(name, suffix, stream):
    service, policies = ROLES[suffix]
    name = f"{name}-{suffix}"
    there = found(iam.get_role, RoleName=name)
    if there is None:
        actions = ["sts:AssumeRole", "sts:TagSession"] if suffix == "services" else "sts:AssumeRole"
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": actions}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        tags = [{"Key": "team", "Value": "bench"}]
        there = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, Tags=tags)
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    for policy in {POLICY + policy for policy in policies} - {policy["PolicyArn"] for policy in attached}:
        iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    if suffix == "services" and found(iam.get_role_policy, RoleName=name, PolicyName="log-stream") is None:
        statement = {"Effect": "Allow", "Action": ["kinesis:PutRecord", "kinesis:PutRecords"], "Resource": stream}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=name, PolicyName="log-stream", PolicyDocument=document)
    return there["Role"]["Arn"]


def stream_of(name):
    there = found(kinesis.describe_stream_summary, StreamName=name)
    if there is None:
        mode = {"StreamMode": "ON_DEMAND"}
        kinesis.create_stream(StreamName=name, StreamModeDetails=mode, Tags={"team": "bench"})
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 10 / pace})
        kinesis.start_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
        there = kinesis.describe_stream_summary(StreamName=name)
    return there["StreamDescriptionSummary"]["StreamARN"]


def plane_of(name, given):
    if found(eks.describe_cluster, name=name) is not None:
        return False
    eks.create_cluster(
        name=name,
        version=VERSION,
        roleArn=given["role"],
        resourcesVpcConfig={"subnetIds": given["subnets"], "securityGroupIds": [given["group"]]},
        tags={"team": "bench"},
        **given.get("more", {}),
    )
    return True


def pool_of(name, role, subnets):
    if found(eks.describe_nodegroup, clusterName=name, nodegroupName="default") is not None:
        return False
    eks.create_nodegroup(
        clusterName=name,
        nodegroupName="default",
        nodeRole=role,
        subnets=subnets,
        instanceTypes=["m6i.large"],
        scalingConfig={"minSize": 1, "maxSize": 3, "desiredSize": 1},
        tags={"team": "bench"},
    )
    return True


def addons_of(name):
    made = [addon for addon in ADDONS if found(eks.describe_addon, clusterName=name, addonName=addon) is None]
    for addon in made:
        eks.create_addon(clusterName=name, addonName=addon, tags={"team": "bench"})
    return made


def pod_identity_of(name, role):
    about = {"clusterName": name, "namespace": "fleetwright-system", "serviceAccount": "log-writer"}
    if not eks.list_pod_identity_associations(**about)["associations"]:
        eks.create_pod_identity_association(roleArn=role, **about)


def planes(names, given):
    made = [name for name in names if plane_of(name, given)]
    for name in made:
        wait("cluster_active", name=name)
    return len(made)


def whole(names):
    zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]][:3]
    blocks = ipaddress.ip_network("10.0.0.0/8").subnets(new_prefix=20)
    more = {
        "logging": {"clusterLogging": [{"types": LOGS, "enabled": True}]},
        "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True},
        "bootstrapSelfManagedAddons": False,
        "deletionProtection": True,
    }
    given = {}
    for name, block in zip(names, blocks):
        stream = stream_of(name)
        roles = {suffix: role_of(name, suffix, stream) for suffix in ROLES}
        given[name] = {"role": roles["control-plane"], "roles": roles, "more": more, **network_of(name, str(block), zones)}
    made = [name for name in names if plane_of(name, given[name])]
    for name in made:
        wait("cluster_active", name=name)
    pools = [name for name in names if pool_of(name, given[name]["roles"]["nodes"], given[name]["subnets"])]
    addons = {name: addons_of(name) for name in names}
    for name in names:
        pod_identity_of(name, given[name]["roles"]["services"])
    for name in pools:
        wait("nodegroup_active", clusterName=name, nodegroupName="default")
    for name, addon in ((name, addon) for name in names for addon in addons[name]):
        wait("addon_active", clusterName=name, addonName=addon)
    return len(made)


names = [f"boto3-{number}" for number in range(count)]
made = whole(names) if what == "whole" else planes(names, json.loads(sys.argv[4]))
print(json.dumps({"made": made}))
