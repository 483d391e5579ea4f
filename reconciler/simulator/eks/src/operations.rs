//! Which function answers which call.

use serde_json::Value;

use crate::call::Call;
use crate::errors::{Code, Refusal, refused};
use crate::{access, addon, cluster, nodegroup, pod_identity, tags, updates, versions};

/// Answers a call.
pub fn answer(call: &Call<'_>) -> Result<Value, Refusal> {
    match call.operation {
        "CreateCluster" => cluster::create(call),
        "DescribeCluster" => cluster::describe(call),
        "ListClusters" => cluster::list(call),
        "DeleteCluster" => cluster::delete(call),
        "UpdateClusterVersion" => updates::cluster_version(call),
        "UpdateClusterConfig" => updates::cluster_config(call),
        "DescribeUpdate" => updates::describe(call),
        "ListUpdates" => updates::list(call),
        "TagResource" => tags::tag(call),
        "UntagResource" => tags::untag(call),
        "ListTagsForResource" => tags::list(call),
        "DescribeClusterVersions" => versions::describe(call),
        "CreateNodegroup" => nodegroup::create(call),
        "DescribeNodegroup" => nodegroup::describe(call),
        "ListNodegroups" => nodegroup::list(call),
        "UpdateNodegroupConfig" => updates::nodegroup_config(call),
        "UpdateNodegroupVersion" => updates::nodegroup_version(call),
        "DeleteNodegroup" => nodegroup::delete(call),
        "CreateAddon" => addon::create(call),
        "DescribeAddon" => addon::describe(call),
        "ListAddons" => addon::list(call),
        "UpdateAddon" => addon::update(call),
        "DeleteAddon" => addon::delete(call),
        "DescribeAddonVersions" => addon::versions(call),
        "CreateAccessEntry" => access::create(call),
        "DescribeAccessEntry" => access::describe(call),
        "ListAccessEntries" => access::list(call),
        "UpdateAccessEntry" => access::update(call),
        "DeleteAccessEntry" => access::delete(call),
        "AssociateAccessPolicy" => access::associate(call),
        "DisassociateAccessPolicy" => access::disassociate(call),
        "ListAssociatedAccessPolicies" => access::list_associated(call),
        "ListAccessPolicies" => access::list_policies(call),
        "CreatePodIdentityAssociation" => pod_identity::create(call),
        "DescribePodIdentityAssociation" => pod_identity::describe(call),
        "ListPodIdentityAssociations" => pod_identity::list(call),
        "UpdatePodIdentityAssociation" => pod_identity::update(call),
        "DeletePodIdentityAssociation" => pod_identity::delete(call),
        other => Err(refused(Code::UnknownOperation, format!("this front does not speak {other}"))),
    }
}
