//! The actions, with what they are allowed on and when.

/// A statement of a policy.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its `Sid`.
    pub name: &'static str,
    /// Actions, each with the kinds of things that AWS looks at for it.
    pub allows: &'static [(&'static str, &'static [&'static str])],
    /// Conditions: operator, key, values.
    pub when: &'static [(&'static str, &'static str, &'static [&'static str])],
}

const ANY: &[&str] = &["*"];
const ROLE: &[&str] = &["iam::*:role/fleetwright/*"];
const STREAM: &[&str] = &["kinesis:*:*:stream/fleetwright-*"];
const VPC: &[&str] = &["ec2:*:*:vpc/*"];
const SUBNET: &[&str] = &["ec2:*:*:subnet/*"];
const GATEWAY: &[&str] = &["ec2:*:*:internet-gateway/*"];
const NAT: &[&str] = &["ec2:*:*:natgateway/*"];
const TABLE: &[&str] = &["ec2:*:*:route-table/*"];
const GROUP: &[&str] = &["ec2:*:*:security-group/*"];
const ADDRESS: &[&str] = &["ec2:*:*:elastic-ip/*"];
const PIECES: &[&str] = &[
    "ec2:*:*:vpc/*",
    "ec2:*:*:subnet/*",
    "ec2:*:*:internet-gateway/*",
    "ec2:*:*:natgateway/*",
    "ec2:*:*:route-table/*",
    "ec2:*:*:security-group/*",
    "ec2:*:*:elastic-ip/*",
];
const CLUSTER: &[&str] = &["eks:*:*:cluster/*"];
const NODE_GROUP: &[&str] = &["eks:*:*:nodegroup/*"];
const ADDON: &[&str] = &["eks:*:*:addon/*"];
const ENTRY: &[&str] = &["eks:*:*:access-entry/*"];
const ASSOCIATION: &[&str] = &["eks:*:*:podidentityassociation/*"];
const OF_EKS: &[&str] = &[
    "eks:*:*:cluster/*",
    "eks:*:*:nodegroup/*",
    "eks:*:*:addon/*",
    "eks:*:*:access-entry/*",
    "eks:*:*:podidentityassociation/*",
];
const BALANCER: &[&str] = &["elasticloadbalancing:*:*:loadbalancer/*"];

/// What is made names its cluster.
const NAMES_A_CLUSTER: (&str, &str, &[&str]) = ("Null", "aws:RequestTag/fleetwright.dev/cluster", &["false"]);
/// What is touched names its cluster.
const IS_OURS: (&str, &str, &[&str]) = ("Null", "aws:ResourceTag/fleetwright.dev/cluster", &["false"]);

/// Looking.
pub(crate) const READING: &[Rule] = &[
    Rule {
        name: "Look",
        allows: &[
            ("ec2:DescribeAddresses", ANY),
            ("ec2:DescribeAvailabilityZones", ANY),
            ("ec2:DescribeInstances", ANY),
            ("ec2:DescribeInternetGateways", ANY),
            ("ec2:DescribeNatGateways", ANY),
            ("ec2:DescribeNetworkInterfaces", ANY),
            ("ec2:DescribeRouteTables", ANY),
            ("ec2:DescribeSecurityGroupRules", ANY),
            ("ec2:DescribeSecurityGroups", ANY),
            ("ec2:DescribeSubnets", ANY),
            ("ec2:DescribeTags", ANY),
            ("ec2:DescribeVolumes", ANY),
            ("ec2:DescribeVpcs", ANY),
            ("eks:DescribeAddonVersions", ANY),
            ("eks:ListClusters", ANY),
            ("elasticloadbalancing:DescribeLoadBalancers", ANY),
            ("elasticloadbalancing:DescribeTags", ANY),
            ("elasticloadbalancing:DescribeTargetGroups", ANY),
            ("iam:GetAccountSummary", ANY),
            ("iam:ListRoles", ANY),
            ("iam:SimulatePrincipalPolicy", ANY),
            ("kinesis:DescribeLimits", ANY),
            ("kinesis:ListStreams", ANY),
            ("servicequotas:GetServiceQuota", ANY),
        ],
        when: &[],
    },
    Rule {
        name: "LookAtClusters",
        allows: &[
            ("eks:DescribeAccessEntry", ENTRY),
            ("eks:DescribeAddon", ADDON),
            ("eks:DescribeCluster", CLUSTER),
            ("eks:DescribeNodegroup", NODE_GROUP),
            ("eks:DescribePodIdentityAssociation", ASSOCIATION),
            ("eks:ListAccessEntries", CLUSTER),
            ("eks:ListAddons", CLUSTER),
            ("eks:ListAssociatedAccessPolicies", ENTRY),
            ("eks:ListNodegroups", CLUSTER),
            ("eks:ListPodIdentityAssociations", CLUSTER),
        ],
        when: &[],
    },
    // Which of our roles carry them.
    Rule {
        name: "LookAtWhatRolesCarry",
        allows: &[(
            "iam:ListEntitiesForPolicy",
            &[
                "iam::aws:policy/AmazonEKSClusterPolicy",
                "iam::aws:policy/AmazonEKSWorkerNodePolicy",
                "iam::aws:policy/AmazonEKS_CNI_Policy",
                "iam::aws:policy/AmazonEC2ContainerRegistryPullOnly",
            ],
        )],
        when: &[],
    },
    Rule {
        name: "LookAtOurs",
        allows: &[
            ("iam:GetRole", ROLE),
            ("iam:ListAttachedRolePolicies", ROLE),
            ("iam:ListRolePolicies", ROLE),
            ("kinesis:DescribeStreamSummary", STREAM),
            ("kinesis:ListTagsForStream", STREAM),
        ],
        when: &[],
    },
];

/// Making, changing and deleting.
pub(crate) const WRITING: &[Rule] = &[
    Rule {
        name: "Make",
        allows: &[
            ("ec2:AllocateAddress", ADDRESS),
            ("ec2:CreateInternetGateway", GATEWAY),
            ("ec2:CreateNatGateway", NAT),
            ("ec2:CreateRouteTable", TABLE),
            ("ec2:CreateSecurityGroup", GROUP),
            ("ec2:CreateSubnet", SUBNET),
            ("ec2:CreateVpc", VPC),
            ("eks:CreateCluster", CLUSTER),
            // EKS asks it of whoever makes something with tags, and does not tell that from a tagging by itself.
            ("eks:TagResource", OF_EKS),
        ],
        when: &[NAMES_A_CLUSTER],
    },
    // With nothing but what is made in the same call: nobody's network becomes ours by a tag.
    Rule {
        name: "TagWhatIsMade",
        allows: &[("ec2:CreateTags", PIECES)],
        when: &[(
            "StringEquals",
            "ec2:CreateAction",
            &[
                "AllocateAddress",
                "CreateInternetGateway",
                "CreateNatGateway",
                "CreateRouteTable",
                "CreateSecurityGroup",
                "CreateSubnet",
                "CreateVpc",
            ],
        )],
    },
    Rule {
        name: "ChangeOurs",
        allows: &[
            ("ec2:AssociateRouteTable", TABLE),
            ("ec2:AttachInternetGateway", GATEWAY),
            ("ec2:AuthorizeSecurityGroupIngress", GROUP),
            ("ec2:CreateNatGateway", &["ec2:*:*:subnet/*", "ec2:*:*:elastic-ip/*"]),
            ("ec2:CreateRoute", TABLE),
            ("ec2:CreateRouteTable", VPC),
            ("ec2:CreateSecurityGroup", VPC),
            ("ec2:CreateSubnet", VPC),
            ("ec2:CreateTags", PIECES),
            ("ec2:DeleteInternetGateway", GATEWAY),
            ("ec2:DeleteNatGateway", NAT),
            ("ec2:DeleteRouteTable", TABLE),
            ("ec2:DeleteSubnet", SUBNET),
            ("ec2:DeleteTags", PIECES),
            ("ec2:DeleteVpc", VPC),
            ("ec2:DetachInternetGateway", GATEWAY),
            ("ec2:DisassociateRouteTable", TABLE),
            ("ec2:ModifyVpcAttribute", VPC),
            ("ec2:ReleaseAddress", ADDRESS),
            ("ec2:ReplaceRoute", TABLE),
            ("eks:AssociateAccessPolicy", ENTRY),
            ("eks:CreateAccessEntry", CLUSTER),
            ("eks:CreateAddon", CLUSTER),
            ("eks:CreateNodegroup", CLUSTER),
            ("eks:CreatePodIdentityAssociation", CLUSTER),
            ("eks:DeleteAccessEntry", ENTRY),
            ("eks:DeleteAddon", ADDON),
            ("eks:DeleteCluster", CLUSTER),
            ("eks:DeleteNodegroup", NODE_GROUP),
            ("eks:DeletePodIdentityAssociation", ASSOCIATION),
            ("eks:DisassociateAccessPolicy", ENTRY),
            ("eks:TagResource", OF_EKS),
            ("eks:UntagResource", OF_EKS),
            ("eks:UpdateAddon", ADDON),
            ("eks:UpdateClusterConfig", CLUSTER),
            ("eks:UpdateClusterVersion", CLUSTER),
            ("eks:UpdateNodegroupConfig", NODE_GROUP),
            ("eks:UpdateNodegroupVersion", NODE_GROUP),
            ("eks:UpdatePodIdentityAssociation", ASSOCIATION),
        ],
        when: &[IS_OURS],
    },
    // Of a given network nothing but who uses it.
    Rule {
        name: "SayWhoUsesANetwork",
        allows: &[("ec2:CreateTags", VPC), ("ec2:DeleteTags", VPC)],
        when: &[("ForAllValues:StringLike", "aws:TagKeys", &["fleetwright.dev/used-by/*"])],
    },
    // Controllers in the cluster made these, and their tags are not ours.
    Rule {
        name: "SweepWhatClustersLeave",
        allows: &[
            ("ec2:DeleteNetworkInterface", &["ec2:*:*:network-interface/*"]),
            ("ec2:DeleteSecurityGroup", GROUP),
            ("ec2:DeleteVolume", &["ec2:*:*:volume/*"]),
            ("ec2:RevokeSecurityGroupEgress", GROUP),
            ("ec2:RevokeSecurityGroupIngress", GROUP),
            ("elasticloadbalancing:DeleteLoadBalancer", BALANCER),
            ("elasticloadbalancing:DeleteTargetGroup", &["elasticloadbalancing:*:*:targetgroup/*"]),
        ],
        when: &[],
    },
    Rule {
        name: "RolesAndStreams",
        allows: &[
            ("iam:CreateRole", ROLE),
            ("iam:DeleteRole", ROLE),
            ("iam:DeleteRolePolicy", ROLE),
            ("iam:DetachRolePolicy", ROLE),
            ("iam:PutRolePolicy", ROLE),
            ("iam:TagRole", ROLE),
            ("iam:UntagRole", ROLE),
            ("iam:UpdateAssumeRolePolicy", ROLE),
            ("iam:UpdateRole", ROLE),
            ("kinesis:AddTagsToStream", STREAM),
            ("kinesis:CreateStream", STREAM),
            ("kinesis:DeleteStream", STREAM),
            ("kinesis:RemoveTagsFromStream", STREAM),
            ("kinesis:StartStreamEncryption", STREAM),
        ],
        when: &[],
    },
    Rule {
        name: "RolesGetTheirPolicies",
        allows: &[("iam:AttachRolePolicy", ROLE)],
        when: &[(
            "ArnEquals",
            "iam:PolicyARN",
            &[
                "arn:{partition}:iam::aws:policy/AmazonEKSClusterPolicy",
                "arn:{partition}:iam::aws:policy/AmazonEKSWorkerNodePolicy",
                "arn:{partition}:iam::aws:policy/AmazonEKS_CNI_Policy",
                "arn:{partition}:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly",
            ],
        )],
    },
    // EKS asks the next four of whoever makes a cluster, its nodes or its identities; they are not called from here.
    Rule {
        name: "HandRolesToEks",
        allows: &[("iam:PassRole", ROLE)],
        when: &[(
            "StringLike",
            "iam:PassedToService",
            &["eks.amazonaws.com", "eks-nodegroup.amazonaws.com", "ec2.amazonaws.com*", "pods.eks.amazonaws.com"],
        )],
    },
    Rule { name: "LookAtEksOwnRoles", allows: &[("iam:GetRole", &["iam::*:role/aws-service-role/eks*"])], when: &[] },
    Rule {
        name: "EksMakesItsOwnRoles",
        allows: &[("iam:CreateServiceLinkedRole", &["iam::*:role/aws-service-role/eks*"])],
        when: &[("StringEquals", "iam:AWSServiceName", &["eks.amazonaws.com", "eks-nodegroup.amazonaws.com"])],
    },
    Rule {
        name: "EksUsesTheAccountsKey",
        allows: &[("kms:CreateGrant", &["kms:*:*:key/*"]), ("kms:DescribeKey", &["kms:*:*:key/*"])],
        when: &[],
    },
];
