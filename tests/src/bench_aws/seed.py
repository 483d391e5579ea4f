"""Makes networks, roles and log streams by plain calls, with the tags and marks by which Fleetwright's adapter knows its own.

A thousand clusters are there in a minute this way. Usage: seed.py FILE: lines of {"step", "cluster", "set", "ordinal",
"applied", "cidr"}. A network has two private subnets and nothing else.
"""

import ipaddress
import json
import os
import sys
import time

import boto3
from botocore.config import Config

region = os.environ["AWS_REGION"]
config = Config(retries={"max_attempts": 1})
ec2, iam, kinesis = (boto3.client(service, config=config) for service in ["ec2", "iam", "kinesis"])
OURS = "fleetwright.dev/"
ROLES = {"control-plane": "eks.amazonaws.com", "nodes": "ec2.amazonaws.com", "services": "pods.eks.amazonaws.com"}


def tags_of(part, /, **more):
    tags = {OURS + key: str(part[key]) for key in ["cluster", "set", "ordinal", "step"]}
    return tags | {"Name": part["cluster"]} | {OURS + key.replace("_", "-"): value for key, value in more.items()}


def listed(tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def network(part):
    # The list of the set's own tags is empty.
    tags = tags_of(part, created_at=str(int(time.time())), set_tags="", applied=part["applied"])
    specification = [{"ResourceType": "vpc", "Tags": listed(tags)}]
    vpc = ec2.create_vpc(CidrBlock=part["cidr"], TagSpecifications=specification)["Vpc"]["VpcId"]
    blocks = ipaddress.ip_network(part["cidr"]).subnets(prefixlen_diff=2)
    for letter, block in zip("ab", blocks):
        tags = tags_of(part, network=vpc, part=f"private-{letter}")
        specification = [{"ResourceType": "subnet", "Tags": listed(tags)}]
        zone = region + letter
        ec2.create_subnet(VpcId=vpc, CidrBlock=str(block), AvailabilityZone=zone, TagSpecifications=specification)


def identity(part):
    for suffix, service in ROLES.items():
        applied = part["applied"] if suffix == "control-plane" else ""
        whose = f"cluster={part['cluster']} set={part['set']} ordinal={part['ordinal']}"
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        iam.create_role(
            RoleName=f"{part['cluster']}-{suffix}",
            Path=f"/fleetwright/{region}/",
            Description=f"fleetwright {whose} applied={applied}",
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
            Tags=listed(tags_of(part)),
        )


def log_stream(part):
    name = f"fleetwright-{part['cluster']}"
    kinesis.create_stream(StreamName=name, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    kinesis.add_tags_to_stream(StreamName=name, Tags=tags_of(part, applied=part["applied"]))


MAKERS = {"network": network, "identity": identity, "logStream": log_stream}


# One after another: moto stumbles over calls that come side by side, now and then.
with open(sys.argv[1]) as lines:
    for line in lines:
        part = json.loads(line)
        MAKERS[part["step"]](part)
