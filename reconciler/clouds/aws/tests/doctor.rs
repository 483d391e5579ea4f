//! What `doctor` finds out about an account, on a simulated AWS.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod moto;

use fleetwright_aws::policy;
use fleetwright_clouds::{Cloud, Finding, Verdict};
use fleetwright_core::inventory::Step;
use moto::{Fault, Lab, spec};

fn of<'a>(findings: &'a [Finding], what: &str) -> &'a Finding {
    let found = findings.iter().find(|finding| finding.what == what);
    found.unwrap_or_else(|| panic!("nothing on {what} in {findings:?}"))
}

fn assert_no_secret(findings: &[Finding]) {
    let text = format!("{findings:?}");
    assert!(!text.contains("secret") && !text.contains("AKIATEST"), "{text}");
}

#[tokio::test]
async fn an_account_that_answers_is_fit_as_far_as_can_be_seen() {
    let Some(lab) = Lab::new("an_account_that_answers") else { return };
    let findings = lab.aws.examine(&lab.place()).await.unwrap();
    assert_eq!(of(&findings, "account").verdict, Verdict::Fine, "{findings:?}");
    assert_eq!(of(&findings, "clock").verdict, Verdict::Fine, "{findings:?}");
    let permissions = of(&findings, "permissions");
    assert_eq!(permissions.verdict, Verdict::Warning, "moto does not simulate: {permissions:?}");
    assert!(permissions.detail.starts_with("all services answer"), "{permissions:?}");
    assert!(findings.iter().any(|finding| finding.what == "VPCs per region"), "{findings:?}");
    assert_no_secret(&findings);
    assert_eq!(policy::reader_covers(&lab.aws.calls()), Ok(()), "looking takes the reader's policy");
}

#[tokio::test]
async fn another_account_and_refused_credentials_are_broken() {
    let Some(lab) = Lab::new("another_account") else { return };
    let mut place = lab.place();
    place.account = "999999999999".into();
    assert_eq!(of(&lab.aws.examine(&place).await.unwrap(), "account").verdict, Verdict::Broken);
    for code in ["ExpiredToken", "InvalidClientTokenId", "AccessDenied"] {
        lab.wire.set(Some(Fault::Answer { operation: "GetCallerIdentity", status: 403, code }));
        let findings = lab.aws.examine(&lab.place()).await.unwrap();
        let account = of(&findings, "account");
        assert_eq!(account.verdict, Verdict::Broken);
        assert!(account.detail.contains(code) && !account.hint.is_empty(), "{account:?}");
        assert_no_secret(&findings);
    }
}

#[tokio::test]
async fn a_service_that_refuses_is_named() {
    let Some(lab) = Lab::new("a_service_that_refuses") else { return };
    lab.wire.set(Some(Fault::Answer { operation: "ListStreams", status: 400, code: "AccessDeniedException" }));
    let findings = lab.aws.examine(&lab.place()).await.unwrap();
    let permissions = of(&findings, "permissions");
    assert_eq!(permissions.verdict, Verdict::Broken);
    assert!(permissions.detail.starts_with("Kinesis: AccessDeniedException"), "{permissions:?}");
}

/// All that the policies name.
fn actions() -> Vec<String> {
    let policies = [include_str!("../policies/reader.json"), include_str!("../policies/writer.json")];
    let policies = policies.map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
    let statements = policies.iter().flat_map(|policy| policy["Statement"].as_array().unwrap());
    let named = statements.flat_map(|statement| statement["Action"].as_array().unwrap());
    named.map(|action| action.as_str().unwrap().to_owned()).collect()
}

/// What IAM's simulator answers of these actions, all of which it allows but those.
fn simulated(actions: &[String], denied: &[&str]) -> String {
    let result = |action: &String| {
        let decision = if denied.contains(&action.as_str()) { "implicitDeny" } else { "allowed" };
        format!(
            "<member><EvalActionName>{action}</EvalActionName><EvalResourceName>*</EvalResourceName>\
             <EvalDecision>{decision}</EvalDecision></member>"
        )
    };
    format!(
        "<SimulatePrincipalPolicyResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><SimulatePrincipalPolicyResult>\
         <IsTruncated>false</IsTruncated><EvaluationResults>{}</EvaluationResults></SimulatePrincipalPolicyResult>\
         </SimulatePrincipalPolicyResponse>",
        actions.iter().map(result).collect::<String>()
    )
}

#[tokio::test]
async fn what_the_simulator_denies_or_says_nothing_of_is_told_by_name() {
    let Some(lab) = Lab::new("what_the_simulator_denies") else { return };
    let permissions = async |body: String| {
        lab.wire.set(Some(Fault::Reply { operation: "SimulatePrincipalPolicy", body }));
        let findings = lab.aws.examine(&lab.place()).await.unwrap();
        of(&findings, "permissions").clone()
    };
    let all = actions();
    let allowed = permissions(simulated(&all, &[])).await;
    assert_eq!(allowed.verdict, Verdict::Fine, "{allowed:?}");
    let denied = permissions(simulated(&all, &["eks:CreateCluster", "iam:PassRole"])).await;
    assert_eq!(denied.verdict, Verdict::Broken);
    assert!(denied.detail.starts_with("IAM does not allow eks:CreateCluster"), "{denied:?}");
    let most: Vec<String> = all.into_iter().filter(|action| action != "ec2:DescribeVpcs").collect();
    let silent = permissions(simulated(&most, &[])).await;
    assert_eq!((silent.verdict, silent.detail.as_str()), (Verdict::Broken, "IAM does not allow ec2:DescribeVpcs"));
}

#[tokio::test]
async fn the_policies_hold_every_call_of_roles_and_streams() {
    let Some(lab) = Lab::new("the_policies_hold_every_call") else { return };
    for step in [Step::Identity, Step::LogStream] {
        lab.create("covered", step, &spec(&[("team", "a"), ("old", "b")])).await.unwrap();
        let id = lab.told("covered", step).await[0].id.to_string();
        lab.update("covered", step, &id, "f2", &spec(&[("team", "b")])).await.unwrap();
        lab.delete("covered", step, &id).await.unwrap();
    }
    let counts = lab.aws.calls().counts();
    for call in ["iam:UntagRole", "iam:DeleteRole", "kinesis:RemoveTagsFromStream", "kinesis:DeleteStream"] {
        assert!(counts.contains_key(call), "{call} was not called: {counts:?}");
    }
    assert_eq!(policy::covers(&lab.aws.calls()), Ok(()));
}
