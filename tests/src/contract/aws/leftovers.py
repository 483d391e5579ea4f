"""Puts what controllers in a cluster make into an account, tagged as they tag it: into the network that carries the
cluster's tag, or, where there is none, into the default network. Beside it, things with no tag at all are put into the
default network.

Usage: leftovers.py REGION URL CLUSTER
"""

import sys

import boto3

region, url, cluster = sys.argv[1:4]


def client(service):
    return boto3.client(
        service, region_name=region, endpoint_url=url, aws_access_key_id="x", aws_secret_access_key="x"
    )


ec2, v2, classic = client("ec2"), client("elbv2"), client("elb")


def tags(pairs):
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def specified(kind, pairs):
    return [{"ResourceType": kind, "Tags": tags(pairs)}] if pairs else []


def networks(name, value):
    return ec2.describe_vpcs(Filters=[{"Name": name, "Values": [value]}])["Vpcs"]


OF_LEGACY = {f"kubernetes.io/cluster/{cluster}": "owned"}
OF_BALANCERS = {"elbv2.k8s.aws/cluster": cluster}
OF_PODS = {"cluster.k8s.amazonaws.com/name": cluster}
own = networks("tag:fleetwright.dev/cluster", cluster)
default = networks("is-default", "true")[0]["VpcId"]


def rule(of, to):
    ec2.authorize_security_group_ingress(
        GroupId=of,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": to}]}],
    )


def put(vpc, name, legacy, of_balancers, of_pods):
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    # Load balancers take one of a zone.
    subnets = sorted({s["AvailabilityZone"]: s["SubnetId"] for s in subnets}.values())[:2]
    groups = [
        ec2.create_security_group(
            GroupName=f"k8s-{name}-{n}",
            Description="made by a controller",
            VpcId=vpc,
            TagSpecifications=specified("security-group", pairs),
        )["GroupId"]
        for n, pairs in enumerate([legacy, of_balancers])
    ]
    # Two that name one another, and, where the network is the cluster's, its own group and one of them.
    rule(groups[0], groups[1])
    rule(groups[1], groups[0])
    part = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "tag:fleetwright.dev/part", "Values": ["group"]}]
    for group in ec2.describe_security_groups(Filters=part)["SecurityGroups"]:
        rule(group["GroupId"], groups[0])
        rule(groups[0], group["GroupId"])
    balancer = v2.create_load_balancer(Name=name, Subnets=subnets, SecurityGroups=[groups[1]])["LoadBalancers"][0]
    target = v2.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0]
    v2.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": target["TargetGroupArn"]}],
    )
    classic.create_load_balancer(
        LoadBalancerName=name,
        Listeners=[{"Protocol": "tcp", "LoadBalancerPort": 80, "InstanceProtocol": "tcp", "InstancePort": 30080}],
        Subnets=subnets,
        SecurityGroups=[groups[0]],
    )
    if of_balancers:
        arns = [balancer["LoadBalancerArn"], target["TargetGroupArn"]]
        v2.add_tags(ResourceArns=arns, Tags=tags(of_balancers))
        classic.add_tags(LoadBalancerNames=[name], Tags=tags(legacy))
    ec2.create_network_interface(
        SubnetId=subnets[0], Groups=[groups[0]], TagSpecifications=specified("network-interface", of_pods)
    )
    ec2.create_volume(Size=1, AvailabilityZone=f"{region}a", TagSpecifications=specified("volume", legacy))


# Names of load balancers are short.
short = cluster[:10] + cluster[-10:] if len(cluster) > 20 else cluster
put(own[0]["VpcId"] if own else default, short.replace("--", "-"), OF_LEGACY, OF_BALANCERS, OF_PODS)
if not own:
    put(default, "nobodys", {}, {}, {})
