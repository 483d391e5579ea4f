#!/usr/bin/env python3
"""Cuts data/eks.json out of botocore's service model: the served operations and the shapes of their requests.

python trim.py .../botocore/data/eks/2017-11-01/service-2.json.gz > eks.json
"""
import gzip
import json
import sys

OPERATIONS = """
CreateCluster DescribeCluster ListClusters DeleteCluster UpdateClusterVersion UpdateClusterConfig
DescribeUpdate ListUpdates TagResource UntagResource ListTagsForResource DescribeClusterVersions
CreateNodegroup DescribeNodegroup ListNodegroups UpdateNodegroupConfig UpdateNodegroupVersion DeleteNodegroup
CreateAddon DescribeAddon ListAddons UpdateAddon DeleteAddon DescribeAddonVersions
CreateAccessEntry DescribeAccessEntry ListAccessEntries UpdateAccessEntry DeleteAccessEntry
AssociateAccessPolicy DisassociateAccessPolicy ListAssociatedAccessPolicies ListAccessPolicies
CreatePodIdentityAssociation DescribePodIdentityAssociation ListPodIdentityAssociations
UpdatePodIdentityAssociation DeletePodIdentityAssociation
""".split()
KEPT = ("type", "required", "min", "max", "enum")

model = json.load(gzip.open(sys.argv[1]))
shapes = {}


def ref(member):
    return {key: member[key] for key in ("shape", "location", "locationName") if key in member}


def take(name):
    if name in shapes:
        return
    shape = model["shapes"][name]
    kept = shapes[name] = {key: shape[key] for key in KEPT if key in shape}
    if "members" in shape:
        kept["members"] = {key: ref(member) for key, member in shape["members"].items()}
    for key in ("member", "key", "value"):
        if key in shape:
            kept[key] = ref(shape[key])
    for member in [*kept.get("members", {}).values(), *(kept[k] for k in ("member", "key", "value") if k in kept)]:
        take(member["shape"])


operations = {}
for name in OPERATIONS:
    operation = model["operations"][name]
    take(operation["input"]["shape"])
    http = operation["http"]
    operations[name] = {"method": http["method"], "uri": http["requestUri"], "input": operation["input"]["shape"]}
print("{\n \"source\": \"botocore (Apache-2.0), data/eks/2017-11-01/service-2.json, cut by trim.py\",")
for title, table, last in (("operations", operations, False), ("shapes", shapes, True)):
    rows = [f"  {json.dumps(name)}: {json.dumps(table[name])}" for name in sorted(table)]
    print(f' "{title}": {{\n' + ",\n".join(rows) + ("\n }\n}" if last else "\n },"))
