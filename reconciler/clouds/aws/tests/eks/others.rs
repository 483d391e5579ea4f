//! What EKS is not: a door that answers for EC2, IAM and Kinesis with one network of four subnets and nothing else.

use std::net::Ipv4Addr;

use axum::Router;
use axum::http::HeaderMap;

/// The network that clusters are made in.
pub const VPC: &str = "vpc-0123456789abcdef0";

/// Opens the door; where it is.
pub async fn open() -> String {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(|headers: HeaderMap, body: String| async move { answer(&headers, &body) });
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn answer(headers: &HeaderMap, body: &str) -> String {
    if headers.contains_key("x-amz-target") {
        return r#"{"StreamNames":[],"StreamSummaries":[],"HasMoreStreams":false}"#.to_owned();
    }
    let action = body.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or_default();
    let inner = match action {
        "DescribeSubnets" => format!("<subnetSet>{}</subnetSet>", subnets()),
        "DescribeVpcs" => "<vpcSet/>".to_owned(),
        "DescribeSecurityGroups" => "<securityGroupInfo/>".to_owned(),
        "ListRoles" => "<ListRolesResult><IsTruncated>false</IsTruncated><Roles/></ListRolesResult>".to_owned(),
        "GetCallerIdentity" => {
            let who = "<Account>123456789012</Account><Arn>arn:aws:iam::123456789012:user/x</Arn><UserId>x</UserId>";
            format!("<GetCallerIdentityResult>{who}</GetCallerIdentityResult>")
        }
        _ => String::new(),
    };
    format!("<{action}Response>{inner}</{action}Response>")
}

fn subnets() -> String {
    let subnet = |id: &str, zone: &str, role: &str| {
        format!(
            "<item><subnetId>{id}</subnetId><availabilityZone>{zone}</availabilityZone><vpcId>{VPC}</vpcId>\
             <tagSet><item><key>kubernetes.io/role/{role}</key><value>1</value></item></tagSet></item>"
        )
    };
    [
        subnet("subnet-0a", "eu-west-1a", "internal-elb"),
        subnet("subnet-0b", "eu-west-1b", "internal-elb"),
        subnet("subnet-1a", "eu-west-1a", "elb"),
        subnet("subnet-1b", "eu-west-1b", "elb"),
    ]
    .concat()
}
