//! What stands in the simulated AWS, read beside the adapter, in lines that can be compared.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};

use crate::moto::Moto;

type Tags = BTreeMap<String, String>;

struct Thing {
    id: String,
    tags: Tags,
    about: String,
}

fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    node.children().find(|node| node.tag_name().name() == name)
}

fn text(node: Node<'_, '_>, path: &str) -> String {
    let found = node.descendants().find(|node| node.is_element() && node.tag_name().name() == path);
    found.and_then(|node| node.text()).unwrap_or_default().trim().to_owned()
}

fn all(node: Node<'_, '_>, name: &str) -> Vec<String> {
    let found = node.descendants().filter(|node| node.is_element() && node.tag_name().name() == name);
    let mut all: Vec<String> = found.filter_map(|node| node.text()).map(|text| text.trim().to_owned()).collect();
    all.sort();
    all
}

fn tags(node: Node<'_, '_>) -> Tags {
    let set = node.children().find(|node| node.tag_name().name() == "tagSet");
    let items = set.into_iter().flat_map(|set| set.children()).filter(Node::is_element);
    items.map(|item| (text(item, "key"), text(item, "value"))).collect()
}

async fn things(moto: &Moto, call: &str, set: &str, id: &str, about: &[&str]) -> Vec<Thing> {
    let reply = moto.ec2(call).await;
    let document = Document::parse(&reply).unwrap();
    let root = document.root_element();
    let items = child(root, set).into_iter().flat_map(|set| set.children()).filter(Node::is_element);
    let thing = |node: Node<'_, '_>| {
        let about: Vec<String> =
            about.iter().map(|name| all(node, name).join("+")).filter(|text| !text.is_empty()).collect();
        Thing { id: text(node, id), tags: tags(node), about: about.join(" ") }
    };
    items.map(thing).collect()
}

const KINDS: [(&str, &str, &str, &[&str]); 8] = [
    ("DescribeVpcs", "vpcSet", "vpcId", &["cidrBlock"]),
    ("DescribeSubnets", "subnetSet", "subnetId", &["cidrBlock", "availabilityZone", "vpcId"]),
    ("DescribeInternetGateways", "internetGatewaySet", "internetGatewayId", &["vpcId"]),
    (
        "DescribeRouteTables",
        "routeTableSet",
        "routeTableId",
        &["destinationCidrBlock", "gatewayId", "natGatewayId", "subnetId", "vpcId"],
    ),
    ("DescribeAddresses", "addressesSet", "allocationId", &[]),
    (
        "DescribeNatGateways&Filter.1.Name=state&Filter.1.Value.1=available",
        "natGatewaySet",
        "natGatewayId",
        &["subnetId", "allocationId"],
    ),
    ("DescribeSecurityGroups", "securityGroupInfo", "groupId", &["groupName", "fromPort", "cidrIp", "vpcId"]),
    ("DescribeSecurityGroupRules", "securityGroupRuleSet", "securityGroupRuleId", &["groupId"]),
];

/// Everything, with its ids and tags: the same before and after means that nothing was touched.
pub async fn everything(moto: &Moto) -> Vec<String> {
    let mut lines = Vec::new();
    for (call, set, id, about) in KINDS {
        for thing in things(moto, call, set, id, about).await {
            lines.push(format!("{} {} {:?}", thing.id, thing.about, thing.tags));
        }
    }
    lines.sort();
    lines
}

/// What carries the tags of a cluster, its ids written as names: the same for two networks that were made alike.
pub async fn shape(moto: &Moto, cluster: &str) -> Vec<String> {
    let (mut names, mut lines) = (BTreeMap::new(), Vec::new());
    for (call, set, id, about) in KINDS {
        for mut thing in things(moto, call, set, id, about).await {
            // A rule has no tags; it is told with its group.
            if thing.tags.get("fleetwright.dev/cluster").is_none_or(|tag| tag != cluster) {
                continue;
            }
            thing.tags.remove("fleetwright.dev/created-at");
            let kind = thing.id.split('-').next().unwrap_or_default().to_owned();
            let part = thing.tags.get("fleetwright.dev/part").cloned().unwrap_or_default();
            names.insert(thing.id.clone(), format!("{kind}:{part}"));
            lines.push(format!("{} {} {:?}", thing.id, thing.about, thing.tags));
        }
    }
    let mut named: Vec<String> = lines.into_iter().map(|line| by_name(line, &names)).collect();
    named.sort();
    named
}

fn by_name(line: String, names: &BTreeMap<String, String>) -> String {
    let named = names.iter().fold(line, |line, (id, name)| line.replace(id, name));
    let sorted = named.split(' ').map(|word| {
        let mut parts: Vec<&str> = word.split('+').collect();
        parts.sort();
        parts.join("+")
    });
    sorted.collect::<Vec<_>>().join(" ")
}
