"""What stands in an account and a region, as boto3 sees it: a JSON list of {kind, id, cluster, team}.

The cluster is that of our own tag, or the one that its controllers' tags name, if it has a name as ours have; what has
neither is a stranger's.

Usage: audit.py REGION EC2_URL EKS_URL
"""

import json
import re
import sys

import boto3
from botocore.config import Config

region, url, eks_url = sys.argv[1:4]
quiet = Config(retries={"max_attempts": 1})


def client(service, at=url):
    return boto3.client(
        service, region_name=region, endpoint_url=at, aws_access_key_id="audit", aws_secret_access_key="audit", config=quiet
    )


def cluster_of(tags):
    tags = {t.get("Key", t.get("key")): t.get("Value", t.get("value")) for t in tags or []}
    prefix = "kubernetes.io/cluster/"
    owners = [key.removeprefix(prefix) for key, value in tags.items() if key.startswith(prefix) and value == "owned"]
    keys = ["aws:eks:cluster-name", "elbv2.k8s.aws/cluster", "cluster.k8s.amazonaws.com/name"]
    makers = owners + [tags[key] for key in keys if key in tags]
    ours = [name for name in makers if re.fullmatch(r"[a-z].*-aws-[a-z0-9]+-[0-9]+", name)]
    return tags.get("fleetwright.dev/cluster", ours[0] if ours else None), tags.get("team")


found = []


def note(kind, id, owner):
    found.append({"kind": kind, "id": id, "cluster": owner[0], "team": owner[1]})


ec2 = client("ec2")
default = {v["VpcId"] for v in ec2.describe_vpcs()["Vpcs"] if v["IsDefault"]}
for v in ec2.describe_vpcs()["Vpcs"]:
    if v["VpcId"] not in default:
        note("VPC", v["VpcId"], cluster_of(v.get("Tags")))
# The interface of a NAT gateway is part of it, and goes with it.
of_nats = {
    a.get("NetworkInterfaceId")
    for n in ec2.describe_nat_gateways()["NatGateways"]
    if n["State"] != "deleted"
    for a in n["NatGatewayAddresses"]
}
owners = {}
for kind, call, key, id in [
    ("subnet", "describe_subnets", "Subnets", "SubnetId"),
    ("security group", "describe_security_groups", "SecurityGroups", "GroupId"),
    ("route table", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("NAT gateway", "describe_nat_gateways", "NatGateways", "NatGatewayId"),
    ("network interface", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
]:
    for r in getattr(ec2, call)()[key]:
        made_with_vpc = (
            r.get("DefaultForAz")
            or r.get("GroupName") == "default"
            or any(a.get("Main") for a in r.get("Associations", []))
        )
        if made_with_vpc or r[id] in of_nats or r.get("State") in ("deleted",):
            continue
        owners[r[id]] = cluster_of(r.get("Tags", r.get("TagSet")))
        note(kind, r[id], owners[r[id]])
# A rule has no tags: it is its group's.
for r in ec2.describe_security_group_rules()["SecurityGroupRules"]:
    if r["GroupId"] in owners:
        note("security group rule", r["SecurityGroupRuleId"], owners[r["GroupId"]])
for a in ec2.describe_addresses()["Addresses"]:
    note("elastic IP", a["AllocationId"], cluster_of(a.get("Tags")))
for g in ec2.describe_internet_gateways()["InternetGateways"]:
    if not any(a["VpcId"] in default for a in g["Attachments"]):
        note("internet gateway", g["InternetGatewayId"], cluster_of(g.get("Tags")))
for v in ec2.describe_volumes()["Volumes"]:
    note("volume", v["VolumeId"], cluster_of(v.get("Tags")))

v2 = client("elbv2")
for kind, call, key, id in [
    ("load balancer", "describe_load_balancers", "LoadBalancers", "LoadBalancerArn"),
    ("target group", "describe_target_groups", "TargetGroups", "TargetGroupArn"),
]:
    for r in getattr(v2, call)()[key]:
        note(kind, r[id], cluster_of(v2.describe_tags(ResourceArns=[r[id]])["TagDescriptions"][0]["Tags"]))
classic = client("elb")
for r in classic.describe_load_balancers()["LoadBalancerDescriptions"]:
    name = r["LoadBalancerName"]
    tagged = classic.describe_tags(LoadBalancerNames=[name])["TagDescriptions"]
    note("classic load balancer", name, cluster_of(tagged[0]["Tags"] if tagged else []))

iam = client("iam")
for page in iam.get_paginator("list_roles").paginate(PathPrefix=f"/fleetwright/{region}/"):
    for role in page["Roles"]:
        owner = cluster_of(iam.list_role_tags(RoleName=role["RoleName"])["Tags"])
        note("IAM role", role["RoleId"], owner)
        for policy in iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]:
            note("IAM policy of a role", f"{role['RoleId']}/{policy['PolicyName']}", owner)
        for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            note("IAM policy of a role", f"{role['RoleId']}/{name}", owner)

kinesis = client("kinesis")
for name in kinesis.list_streams()["StreamNames"]:
    note("Kinesis stream", name, cluster_of(kinesis.list_tags_for_stream(StreamName=name)["Tags"]))

eks = client("eks", eks_url)
for page in eks.get_paginator("list_clusters").paginate():
    for name in page["clusters"]:
        cluster = eks.describe_cluster(name=name)["cluster"]
        owner = cluster["tags"].get("fleetwright.dev/cluster"), cluster["tags"].get("team")
        note("EKS cluster", f"{name}@{cluster['createdAt'].timestamp()}", owner)
        for group in eks.list_nodegroups(clusterName=name)["nodegroups"]:
            tags = eks.describe_nodegroup(clusterName=name, nodegroupName=group)["nodegroup"]["tags"]
            note("EKS node group", f"{name}/{group}", (owner[0], tags.get("team")))
        for addon in eks.list_addons(clusterName=name)["addons"]:
            note("EKS add-on", f"{name}/{addon}", owner)
        for association in eks.list_pod_identity_associations(clusterName=name)["associations"]:
            note("EKS pod identity association", association["associationId"], owner)

json.dump(sorted(found, key=lambda f: (f["kind"], f["id"])), sys.stdout)
