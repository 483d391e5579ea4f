"""boto3 drives a cluster through its whole life: `python life.py URL`. Every request and reply is checked on its way."""
import base64
import json
import sys
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import ServiceId
from botocore.signers import RequestSigner
from shapes import Shapes

URL = sys.argv[1]
REGION = "eu-west-1"
ROLE = "arn:aws:iam::123456789012:role/x/control-plane"
NODE_ROLE = "arn:aws:iam::123456789012:role/x/nodes"
WAIT = {"Delay": 0, "MaxAttempts": 100_000}

session = boto3.Session(aws_access_key_id="AK", aws_secret_access_key="testing", region_name=REGION)
eks = session.client("eks", endpoint_url=URL, config=Config(retries={"max_attempts": 0}))
shapes = Shapes(eks.meta.service_model)

# A judge that finds nothing wrong with this judges nothing.
probe = Shapes(eks.meta.service_model)
probe.reply("DescribeCluster", 200, {}, {"cluster": {"status": "ASLEEP", "colour": 1, "version": 1.33}})
probe.reply("DescribeCluster", 400, {"x-amzn-errortype": "ResourceNotFoundException"}, {"message": "x"})
probe.request("CreateCluster", {"name": "x", "roleArn": "y"})
assert len(probe.problems) == 5, probe.problems


def on_request(model, params, **_):
    body = params["body"]
    body = json.loads(body) if body else {}
    shapes.request(model.name, body) if body else None


def on_reply(event_name, response_dict, **_):
    operation = event_name.split(".")[-1]
    body = json.loads(response_dict["body"])
    shapes.reply(operation, response_dict["status_code"], response_dict["headers"], body)


eks.meta.events.register("before-call.eks", on_request)
eks.meta.events.register("response-received.eks", on_reply)


def wait(waiter, **kwargs):
    eks.get_waiter(waiter).wait(WaiterConfig=WAIT, **kwargs)


def refused(code, call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
    else:
        raise AssertionError(f"{code} was expected of {call}")


def update_done(update, **more):
    while eks.describe_update(name="life-1", updateId=update["id"], **more)["update"]["status"] == "InProgress":
        pass
    assert eks.describe_update(name="life-1", updateId=update["id"], **more)["update"]["status"] == "Successful"


def token(cluster):
    signer = RequestSigner(ServiceId("sts"), REGION, "sts", "v4", session.get_credentials(), session.events)
    request = {"method": "GET", "url": f"https://sts.{REGION}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
               "body": {}, "headers": {"x-k8s-aws-id": cluster}, "context": {}}
    url = signer.generate_presigned_url(request, region_name=REGION, expires_in=60, operation_name="")
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def kubernetes(endpoint, path, method="GET", body=None, cluster="life-1", kind="application/json"):
    headers = {"Authorization": f"Bearer {token(cluster)}", "Content-Type": kind}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"{endpoint}/{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def serving(endpoint):
    _, pods = kubernetes(endpoint, "api/v1/pods?fieldSelector=metadata.namespace!=kube-system")
    return pods["items"]


def cluster():
    wanted = dict(name="life-1", version="1.33", roleArn=ROLE, clientRequestToken="t1", deletionProtection=True,
                  resourcesVpcConfig={"subnetIds": ["subnet-1", "subnet-2"], "endpointPrivateAccess": True},
                  logging={"clusterLogging": [{"types": ["api", "audit"], "enabled": True}]},
                  accessConfig={"authenticationMode": "API"}, bootstrapSelfManagedAddons=False,
                  tags={"fleetwright.dev/set": "prod/aws/eu-west-1/Serving", "fleetwright.dev/ordinal": "1"})
    made = eks.create_cluster(**wanted)["cluster"]
    assert made["status"] == "CREATING" and "endpoint" not in made
    assert eks.create_cluster(**wanted)["cluster"]["arn"] == made["arn"]
    refused("InvalidParameterException", eks.create_cluster, **{**wanted, "version": "1.34"})
    refused("ResourceInUseException", eks.create_cluster, **{**wanted, "clientRequestToken": "t2"})
    refused("InvalidRequestException", eks.create_nodegroup, clusterName="life-1", nodegroupName="a",
            subnets=["subnet-1"], nodeRole=NODE_ROLE)
    wait("cluster_active", name="life-1")
    made = eks.describe_cluster(name="life-1")["cluster"]
    assert base64.b64decode(made["certificateAuthority"]["data"]).startswith(b"-----BEGIN CERTIFICATE-----")
    assert made["createdAt"].year > 2000 and made["endpoint"] == f"{URL}/kubernetes/life-1"
    assert "life-1" in eks.list_clusters()["clusters"]
    return made


def tags(arn):
    eks.tag_resource(resourceArn=arn, tags={"fleetwright.dev/applied": "f1", "owner": "me"})
    eks.untag_resource(resourceArn=arn, tagKeys=["owner"])
    found = eks.list_tags_for_resource(resourceArn=arn)["tags"]
    assert found["fleetwright.dev/applied"] == "f1" and "owner" not in found
    refused("NotFoundException", eks.list_tags_for_resource, resourceArn=arn + "x")
    refused("BadRequestException", eks.tag_resource, resourceArn="arn:aws:eks:us-east-1:1:cluster/x", tags={"a": "b"})


def inside():
    addon = eks.create_addon(clusterName="life-1", addonName="vpc-cni")["addon"]
    assert addon["status"] == "CREATING"
    wait("addon_active", clusterName="life-1", addonName="vpc-cni")
    group = dict(clusterName="life-1", nodegroupName="default", subnets=["subnet-1", "subnet-2"], nodeRole=NODE_ROLE,
                 instanceTypes=["m7i.large"], scalingConfig={"minSize": 2, "maxSize": 5, "desiredSize": 3})
    refused("InvalidParameterException", eks.create_nodegroup, **group, version="1.34")
    eks.create_nodegroup(**group, clientRequestToken="g1")
    assert eks.create_nodegroup(**group, clientRequestToken="g1")["nodegroup"]["status"] == "CREATING"
    refused("ResourceInUseException", eks.create_nodegroup, **group, clientRequestToken="g2")
    wait("nodegroup_active", clusterName="life-1", nodegroupName="default")
    eks.create_addon(clusterName="life-1", addonName="coredns", resolveConflicts="OVERWRITE")
    wait("addon_active", clusterName="life-1", addonName="coredns")
    newer = eks.describe_addon_versions(addonName="vpc-cni", kubernetesVersion="1.33")["addons"][0]["addonVersions"]
    update = eks.update_addon(clusterName="life-1", addonName="vpc-cni", addonVersion=newer[1]["addonVersion"])["update"]
    update_done(update, addonName="vpc-cni")
    assert eks.describe_addon(clusterName="life-1", addonName="vpc-cni")["addon"]["addonVersion"] == newer[1]["addonVersion"]
    assert eks.list_addons(clusterName="life-1")["addons"] == ["coredns", "vpc-cni"]
    scaled = eks.update_nodegroup_config(clusterName="life-1", nodegroupName="default", labels={"addOrUpdateLabels": {"a": "b"}},
                                         scalingConfig={"desiredSize": 4})["update"]
    refused("ResourceInUseException", eks.delete_nodegroup, clusterName="life-1", nodegroupName="default")
    update_done(scaled, nodegroupName="default")
    found = eks.describe_nodegroup(clusterName="life-1", nodegroupName="default")["nodegroup"]
    assert found["scalingConfig"]["desiredSize"] == 4 and found["labels"] == {"a": "b"}


def access():
    admin = "arn:aws:iam::123456789012:role/Admin"
    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    eks.create_access_entry(clusterName="life-1", principalArn=admin, tags={"a": "b"})
    eks.associate_access_policy(clusterName="life-1", principalArn=admin, policyArn=policy, accessScope={"type": "cluster"})
    assert eks.describe_access_entry(clusterName="life-1", principalArn=admin)["accessEntry"]["type"] == "STANDARD"
    found = eks.list_associated_access_policies(clusterName="life-1", principalArn=admin)["associatedAccessPolicies"]
    assert [known["policyArn"] for known in found] == [policy]
    assert eks.list_access_entries(clusterName="life-1")["accessEntries"] == [admin, NODE_ROLE]
    eks.delete_access_entry(clusterName="life-1", principalArn=admin)
    refused("ResourceNotFoundException", eks.describe_access_entry, clusterName="life-1", principalArn=admin)
    wanted = dict(clusterName="life-1", namespace="infra", serviceAccount="agent", roleArn=NODE_ROLE)
    made = eks.create_pod_identity_association(**wanted)["association"]
    refused("ResourceInUseException", eks.create_pod_identity_association, **wanted)
    assert len(eks.list_pod_identity_associations(clusterName="life-1")["associations"]) == 1
    key = dict(clusterName="life-1", associationId=made["associationId"])
    assert eks.describe_pod_identity_association(**key)["association"]["roleArn"] == NODE_ROLE
    eks.delete_pod_identity_association(**key)
    refused("ResourceNotFoundException", eks.describe_pod_identity_association, **key)


def versions():
    refused("InvalidParameterException", eks.update_cluster_version, name="life-1", version="1.35")
    refused("InvalidRequestException", eks.update_cluster_version, name="life-1", version="1.32")
    update = eks.update_cluster_version(name="life-1", version="1.34", clientRequestToken="u1")["update"]
    assert eks.update_cluster_version(name="life-1", version="1.34", clientRequestToken="u1")["update"]["id"] == update["id"]
    refused("ResourceInUseException", eks.update_cluster_version, name="life-1", version="1.34")
    update_done(update)
    wait("cluster_active", name="life-1")
    update = eks.update_cluster_version(name="life-1", version="1.33")["update"]
    assert update["type"] == "VersionRollback"
    update_done(update)
    update_done(eks.update_cluster_version(name="life-1", version="1.34")["update"])
    refused("InvalidParameterException", eks.update_cluster_version, name="life-1", version="1.35")
    update = eks.update_nodegroup_version(clusterName="life-1", nodegroupName="default", version="1.34")["update"]
    update_done(update, nodegroupName="default")
    assert len(eks.list_updates(name="life-1")["updateIds"]) == 3
    assert eks.describe_cluster_versions(defaultOnly=True)["clusterVersions"][0]["clusterVersion"] == "1.35"


def configuration():
    refused("InvalidParameterException", eks.update_cluster_config, name="life-1", deletionProtection=False,
            upgradePolicy={"supportType": "STANDARD"})
    update_done(eks.update_cluster_config(name="life-1", upgradePolicy={"supportType": "STANDARD"})["update"])
    network = {"endpointPublicAccess": True, "publicAccessCidrs": ["10.0.0.0/8"]}
    update_done(eks.update_cluster_config(name="life-1", resourcesVpcConfig=network)["update"])
    logs = {"clusterLogging": [{"types": ["scheduler"], "enabled": True}]}
    update_done(eks.update_cluster_config(name="life-1", logging=logs)["update"])
    refused("InvalidParameterException", eks.update_cluster_config, name="life-1", logging=logs)
    found = eks.describe_cluster(name="life-1")["cluster"]
    assert found["resourcesVpcConfig"]["publicAccessCidrs"] == ["10.0.0.0/8"]
    assert found["logging"]["clusterLogging"][0]["types"] == ["api", "audit", "scheduler"]


def emptied(endpoint):
    assert kubernetes(endpoint, "version")[1]["minor"] == "34"
    assert kubernetes(endpoint, "version", cluster="other")[0] == 401
    while not serving(endpoint):
        pass
    _, page = kubernetes(endpoint, "api/v1/pods?limit=3")
    assert len(page["items"]) == 3 and page["metadata"]["remainingItemCount"] > 0
    _, rest = kubernetes(endpoint, f"api/v1/pods?limit=500&continue={page['metadata']['continue']}")
    assert not {p["metadata"]["uid"] for p in page["items"]} & {p["metadata"]["uid"] for p in rest["items"]}
    _, nodes = kubernetes(endpoint, "api/v1/nodes")
    assert len(nodes["items"]) == 4
    for node in nodes["items"]:
        status, closed = kubernetes(endpoint, f"api/v1/nodes/{node['metadata']['name']}", "PATCH",
                                    {"spec": {"unschedulable": True}}, kind="application/merge-patch+json")
        assert status == 200 and closed["spec"]["unschedulable"], closed
    while pods := serving(endpoint):
        meta = pods[0]["metadata"]
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": meta["name"], "namespace": meta["namespace"]}}
        status, _ = kubernetes(endpoint, f"api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/eviction", "POST", eviction)
        assert status in (201, 404)


def gone():
    refused("ResourceInUseException", eks.delete_cluster, name="life-1")
    eks.delete_nodegroup(clusterName="life-1", nodegroupName="default")
    wait("nodegroup_deleted", clusterName="life-1", nodegroupName="default")
    eks.delete_addon(clusterName="life-1", addonName="coredns")
    wait("addon_deleted", clusterName="life-1", addonName="coredns")
    refused("InvalidRequestException", eks.delete_cluster, name="life-1")
    update_done(eks.update_cluster_config(name="life-1", deletionProtection=False)["update"])
    assert eks.delete_cluster(name="life-1")["cluster"]["status"] == "DELETING"
    wait("cluster_deleted", name="life-1")
    refused("ResourceNotFoundException", eks.describe_cluster, name="life-1")


made = cluster()
tags(made["arn"])
inside()
access()
versions()
configuration()
emptied(made["endpoint"])
gone()
if shapes.problems:
    sys.exit("\n".join(shapes.problems))
print(f"{shapes.checked} requests and replies have the shapes of the model")
