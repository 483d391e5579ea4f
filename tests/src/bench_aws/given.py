"""Makes what the clusters of "control planes only" are given: a network of two subnets with a group, and a role.

Usage: given.py NAME. Prints them as JSON. Endpoints, region and credentials are the environment's.
"""

import json
import sys

import boto3

name = sys.argv[1]
ec2, iam = boto3.client("ec2"), boto3.client("iam")
vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]][:2]
subnets = [
    ec2.create_subnet(VpcId=vpc, AvailabilityZone=zone, CidrBlock=f"10.0.{n}.0/24")["Subnet"]["SubnetId"]
    for n, zone in enumerate(zones)
]
group = ec2.create_security_group(GroupName=name, Description="Who reaches the control planes", VpcId=vpc)["GroupId"]
statement = {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}
trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
json.dump({"subnets": subnets, "group": group, "role": role}, sys.stdout)
