use fleetwright_clouds::Quota;
use fleetwright_core::fleet::{FleetCache, desired, read_fleet};
use fleetwright_core::record::Record;
use fleetwright_core::snapshot::{CommitId, Snapshot};
use fleetwright_schema::document::read;

use super::quotas::PlaceQuotas;
use super::sides::{Base, merged, newest};
use super::summary::{SetAction, demand, summarise, trusted_config};
use super::*;
use crate::cli::testing::{self, ORIGINAL, TestRepo};

const SET: &str = "clustersets/prod/azure/westeurope/ModelServing.yaml";

fn sides(head: Snapshot, base: Option<Snapshot>, record: Record) -> Sides {
    let now = newest(&record).unwrap_or_else(testing::built_at);
    let commit = CommitId::parse(&"a".repeat(40)).unwrap();
    let base = base.map(|files| Base { commit: CommitId::parse(&"b".repeat(40)).unwrap(), files });
    Sides { commit: Some(commit), working_tree: false, head, base, record, now }
}

fn against_template(head: Snapshot) -> Sides {
    let template = testing::template();
    let record = testing::built(&template);
    sides(head, Some(template), record)
}

fn plan_of(sides: &Sides) -> Summary {
    summarise(sides).unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"))
}

fn text_of(sides: &Sides) -> String {
    rendered(&plan_of(sides), Format::Text, false).unwrap()
}

#[test]
fn a_fresh_fleet_is_created_wave_by_wave() {
    insta::assert_snapshot!(text_of(&sides(testing::template(), None, Record::default())));
}

#[test]
fn a_fleet_that_is_as_written_has_nothing_to_do() {
    assert_eq!(text_of(&against_template(testing::template())), "Nothing to do; 4 sets stay as they are.\n");
    let template = testing::template();
    let record = testing::built(&template);
    assert_eq!(text_of(&sides(template, None, record)), "Nothing to do; 4 sets stay as they are.\n");
}

#[test]
fn a_new_version_for_all_rotates_and_waits_for_waves() {
    let head = testing::edited(&testing::template(), "fleet.yaml", "\"1.33\"", "\"1.34\"");
    insta::assert_snapshot!(text_of(&against_template(head)));
}

#[test]
fn a_larger_set_is_a_change_that_touches_no_cluster() {
    let head = testing::edited(&testing::template(), SET, "count: 5", "count: 7");
    insta::assert_snapshot!(text_of(&against_template(head)));
}

#[test]
fn too_many_removals_print_the_approval_to_write() {
    let strict =
        testing::edited(&testing::template(), "fleet.yaml", "maxClusters: 5, maxPercent", "maxClusters: 3, maxPercent");
    let head = testing::edited(&strict, SET, "count: 5", "count: 1");
    let plan = plan_of(&against_template(head));
    insta::assert_snapshot!(rendered(&plan, Format::Text, false).unwrap());
    let approval = plan.removal_approval.unwrap();
    assert_eq!((approval.clusters, approval.allowed), (4, 3));
    let parsed = read(&approval.path, approval.document.as_bytes()).unwrap();
    assert_eq!(parsed.warnings, Vec::new());
}

#[test]
fn the_printed_approval_lets_the_removals_go_on() {
    let strict =
        testing::edited(&testing::template(), "fleet.yaml", "maxClusters: 5, maxPercent", "maxClusters: 3, maxPercent");
    let head = testing::edited(&strict, SET, "count: 5", "count: 1");
    let approval = plan_of(&against_template(head.clone())).removal_approval.unwrap();
    let mut approved = head;
    approved.files.extend(testing::snapshot([(approval.path, approval.document.into_bytes())]).files);
    let plan = plan_of(&against_template(approved));
    assert_eq!(plan.removal_approval, None);
    assert_eq!(plan.totals.remove, 4);
}

#[test]
fn a_set_whose_file_is_removed_stays_unless_its_policy_says_otherwise() {
    let template = testing::template();
    let plan = plan_of(&against_template(testing::without(&template, SET)));
    assert_eq!((plan.sets.len(), plan.sets[0].action, plan.totals.remove), (1, SetAction::Retain, 0));
    assert_eq!(plan.sets[0].waiting[0].reason, "Retained");

    let declared = testing::edited(&template, SET, "count: 5", "count: 2\n  deletionPolicy: Delete");
    let record = testing::built(&declared);
    let plan = plan_of(&sides(testing::without(&declared, SET), Some(declared), record));
    insta::assert_snapshot!(rendered(&plan, Format::Text, false).unwrap());
}

#[test]
fn the_original_spelling_is_planned() {
    let location = |text: &str| ORIGINAL.replace("prod/azure/westeurope", text);
    for (path, text) in [
        ("clustersets/prod/azure/westeurope/ModelServing.yaml", location("prod/azure/westeurope")),
        ("clustersets/prod/azure/northeurope/ModelServing.yaml", location("prod/azure/northeurope")),
        (
            "clustersets/prod/gcp/europe-west3/Training.yaml",
            location("prod/gcp/europe-west3").replace("ModelServing", "Training"),
        ),
        ("clustersets/prod/aws/eu-west-1/ModelServing.yaml", location("prod/aws/eu-west-1")),
    ] {
        let plan = plan_of(&sides(testing::template_with(&[(path, &text)]), None, Record::default()));
        let id = path.trim_start_matches("clustersets/").trim_end_matches(".yaml").parse().unwrap();
        let set = plan.sets.iter().find(|set| set.set == id).unwrap();
        assert_eq!((set.action, set.create), (SetAction::Create, 5), "{path}");
    }
}

#[test]
fn shared_files_tell_how_many_sets_they_change() {
    let head = testing::edited(&testing::template(), "infra-services/rbac/service.yaml", "1.0.0", "1.1.0");
    let head = testing::edited(&head, "cluster-types/Training.yaml", "team: training", "team: research");
    let plan = plan_of(&against_template(head));
    let shared: Vec<(&str, usize)> = plan.shared.iter().map(|shared| (shared.path.as_str(), shared.sets)).collect();
    assert_eq!(shared, [("cluster-types/Training.yaml", 1), ("infra-services/rbac", 4)]);
}

#[test]
fn a_freeze_holds_what_it_selects_at_the_time_that_is_asked_about() {
    let freeze = "  freezes:\n    - name: year-end\n      from: \"2026-12-18T00:00:00Z\"\n      until: \"2027-01-04T00:00:00Z\"\n";
    let head = testing::edited(&testing::template(), "fleet.yaml", "  budgets:\n", &format!("{freeze}  budgets:\n"));
    let head = testing::edited(&head, "cluster-types/Training.yaml", "team: training", "team: research");
    let mut sides = against_template(head);
    let waits = |sides: &Sides| {
        let plan = plan_of(sides);
        let training = plan.sets.iter().find(|set| set.set.cluster_type.as_str() == "Training").unwrap();
        training.waiting.iter().any(|waiting| waiting.r#type == "Frozen")
    };
    assert!(!waits(&sides));
    sides.now = "2026-12-24T12:00:00Z".parse().unwrap();
    assert!(waits(&sides));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let head = || testing::edited(&testing::template(), "fleet.yaml", "\"1.33\"", "\"1.34\"");
    for format in [Format::Text, Format::Markdown, Format::Json] {
        let once = rendered(&plan_of(&against_template(head())), format, false).unwrap();
        let twice = rendered(&plan_of(&against_template(head())), format, false).unwrap();
        assert_eq!(once, twice);
    }
}

#[test]
fn the_json_and_the_comment_of_a_change() {
    // AWS takes no such tag, so a set elsewhere has it.
    let hostile = testing::edited(&testing::template(), SET, "count: 5", "count: 5\n  tags: { team: '|<b>@all' }");
    let head = testing::edited(&hostile, "cluster-types/Training.yaml", "team: training", "team: teaching");
    let plan = plan_of(&against_template(head));
    insta::assert_snapshot!("json", rendered(&plan, Format::Json, false).unwrap());
    insta::assert_snapshot!("markdown", rendered(&plan, Format::Markdown, false).unwrap());
}

#[test]
fn a_comment_is_never_longer_than_a_host_takes() {
    let head = testing::edited(&testing::template(), "fleet.yaml", "\"1.33\"", "\"1.34\"");
    let mut plan = plan_of(&against_template(head));
    let one = plan.sets[0].clone();
    plan.sets = vec![one; 1000];
    let comment = rendered(&plan, Format::Markdown, false).unwrap();
    assert!(comment.chars().count() <= 60_000, "{}", comment.chars().count());
    assert!(comment.contains("more sets are left out here"));
}

#[test]
fn errors_are_told_instead_of_a_plan() {
    let broken = testing::edited(&testing::template(), SET, "count: 5", "count: five");
    let diagnostics = summarise(&against_template(broken)).unwrap_err();
    let comment = refusal(&diagnostics, Format::Markdown, false);
    assert!(comment.contains("clustersets/prod/azure/westeurope/ModelServing.yaml:8"), "{comment}");
    assert!(serde_json::from_str::<serde_json::Value>(&refusal(&diagnostics, Format::Json, true)).is_ok());
}

#[test]
fn a_merge_takes_each_file_from_the_side_that_changed_it() {
    let old = testing::template();
    let base = testing::edited(&old, "fleet.yaml", "maxClusters: 200", "maxClusters: 300");
    let head = testing::without(&testing::edited(&old, SET, "count: 5", "count: 6"), "cluster-types/Training.yaml");
    let both = merged(&old, &base, &head);
    assert_eq!(both.files["fleet.yaml"], base.files["fleet.yaml"]);
    assert_eq!(both.files[SET], head.files[SET]);
    assert!(!both.files.contains_key("cluster-types/Training.yaml"));
}

#[test]
fn a_branch_that_lags_behind_takes_nothing_back() {
    let repo = TestRepo::new();
    let template = testing::template();
    repo.commit(&template);
    repo.git(&["switch", "--quiet", "--create", "topic"]);
    repo.commit(&testing::edited(&template, "cluster-types/Training.yaml", "team: training", "team: research"));
    repo.git(&["switch", "--quiet", "main"]);
    let grown = testing::edited(&template, SET, "count: 5", "count: 6");
    repo.commit(&testing::with_status(&grown, &testing::built(&grown)));
    let sides = Sides::read(repo.path(), Some("main"), Some("topic"), None).unwrap();
    insta::assert_snapshot!(text_of(&sides));
    assert_eq!(sides.now, "2026-11-20T08:12:00Z".parse().unwrap());
}

#[test]
fn files_that_are_not_committed_are_planned() {
    let repo = TestRepo::new();
    let template = testing::template();
    repo.commit(&testing::with_status(&template, &testing::built(&template)));
    let edited = testing::edited(&template, SET, "count: 5", "count: 6");
    std::fs::write(repo.path().join(SET), &edited.files[SET].content).unwrap();
    for base in [None, Some("HEAD")] {
        let plan = plan_of(&Sides::read(repo.path(), base, None, None).unwrap());
        assert!(plan.working_tree);
        assert_eq!((plan.sets.len(), plan.totals.create), (1, 1), "{base:?}");
    }
}

#[test]
fn quotas_are_asked_for_what_stands_at_once_and_told_with_the_plan() {
    let template = testing::template();
    let larger = testing::edited(&template, SET, "count: 5", "count: 7");
    let head = testing::edited(&larger, "fleet.yaml", "\"1.33\"", "\"1.35\"");
    let sides = against_template(head);
    let mut summary = plan_of(&sides);
    let wish = desired(&read_fleet(&sides.head, &mut FleetCache::default()), &sides.record, None, None);
    let demand = demand(&wish, &summary.sets);
    let told: Vec<(String, u32, u32)> =
        demand.iter().map(|(place, demand)| (place.to_string(), demand.in_own, demand.in_given)).collect();
    insta::assert_debug_snapshot!(told);
    let quota = |name: &str, limit: u32, used: u32| Quota {
        name: name.to_owned(),
        code: "eks/L-1194D53C".to_owned(),
        limit: Some(limit),
        used: Some(used),
        per_cluster: 1,
        of_network: false,
    };
    let asked = demand.iter().enumerate().map(|(at, (place, demand))| {
        let used = if at == 0 { 100 } else { 3 };
        PlaceQuotas::new(place, *demand, Ok(vec![quota("EKS clusters per region", 100, used)]))
    });
    summary.quotas = Some(asked.collect());
    let text = rendered(&summary, Format::Text, false).unwrap();
    insta::assert_snapshot!(text[text.find("quotas of").unwrap()..]);
    let markdown = rendered(&summary, Format::Markdown, false).unwrap();
    assert!(markdown.contains("> [!WARNING]\n> quotas of "), "{markdown}");
}

#[test]
fn a_change_does_not_choose_by_which_roles_accounts_are_entered() {
    let template = testing::template();
    let head = testing::edited(&template, "fleet.yaml", "222222222222", "999999999999");
    let ids = |sides: &Sides| {
        let environments = trusted_config(sides).unwrap().environments;
        let accounts = environments.into_iter().flat_map(|environment| environment.accounts.into_values());
        accounts.map(|account| account.id).collect::<Vec<_>>()
    };
    let change = ids(&sides(head.clone(), Some(template), Record::default()));
    assert!(change.contains(&"222222222222".to_owned()) && !change.contains(&"999999999999".to_owned()), "{change:?}");
    assert!(ids(&sides(head, None, Record::default())).contains(&"999999999999".to_owned()), "one's own files");
}
