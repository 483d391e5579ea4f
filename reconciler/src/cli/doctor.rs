//! `doctor`: whether each account of a fleet is fit for its clusters, and what stands there that no record names.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::ValueEnum;
use fleetwright_clouds::{Access, Cloud, CloudError, Finding, Verdict};
use fleetwright_core::desired::Wish;
use fleetwright_core::fleet::{FleetCache, desired, read_fleet};
use fleetwright_core::inventory::{Listing, Place};
use fleetwright_core::orphans::{self, NamePattern};
use fleetwright_core::record::{Record, RecordCache, place_of};
use fleetwright_schema::documents::{Account, FleetSpec, Provider};
use fleetwright_schema::names::{Cloud as CloudName, ClusterName, Region};
use serde_json::json;

use super::error::{CliError, Exit};
use super::output::{BAD, GOOD, MOVING, Out};
use super::source::{everything, working_tree};
use super::table::{Cell, Table};
use crate::assembly::{Clouds, real_clouds};

const EXAMPLES: &str = "\
Examples:
  fleetwright doctor                       may the daemon make and change clusters in each account?
  fleetwright doctor --region eu-west-1    before there is a set in it
  fleetwright doctor --read-only           may plans look at them?
  fleetwright doctor my-fleet -o json

It changes nothing. Accounts whose provider is Simulated need no doctor. Exit code 1 tells that something is broken.";

/// The arguments of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The fleet repository
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Examine every real account in this region too, as before its first set
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<Region>,
    /// Enter accounts by the roles that may only look
    #[arg(long)]
    read_only: bool,
    /// How findings are printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// A list of objects
    Json,
}

/// What was found in a place.
pub type Examined = (Place, Vec<Finding>);

/// Examines each place of a real account, and prints what was found.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit, CliError> {
    let snapshot = working_tree(&args.dir, &everything)?;
    let reading = read_fleet(&snapshot, &mut FleetCache::default());
    let record = Record::parse(&snapshot, &mut RecordCache::new());
    let desired = desired(&reading, &record, None, None);
    let Some(config) = desired.config.clone() else {
        return Err(CliError::problem("fleet.yaml can't be read").hint("`fleetwright validate` says why"));
    };
    let wished = desired.sets.values().filter_map(|wish| match wish {
        Wish::Wanted(wanted) => Some(wanted.place.clone()),
        Wish::Held(_) => None,
    });
    let recorded = record.clusters().map(|(id, cluster)| place_of(id, cluster));
    let asked = real_accounts(&config).flat_map(|(cloud, id)| {
        args.regions.iter().map(move |region| Place { cloud, account: id.into(), region: region.clone() })
    });
    let in_use = wished.chain(recorded).filter(|place| is_real(&config, place));
    let places: BTreeSet<Place> = in_use.chain(asked).collect();
    if places.is_empty() {
        return nothing_to_examine(&config, out);
    }
    let access = if args.read_only { Access::ReadOnly } else { Access::ReadWrite };
    let clouds = real_clouds(access);
    clouds.values().for_each(|cloud| cloud.learn(&config));
    let names: BTreeSet<ClusterName> = record.clusters().map(|(_, cluster)| cluster.metadata.name.clone()).collect();
    let known = Known { names, config: &config };
    let examined = examine_all(&clouds, places, &known)?;
    out.print(&rendered(&examined, args.output, out.color))?;
    let broken = examined.iter().flat_map(|(_, findings)| findings).any(|f| f.verdict == Verdict::Broken);
    Ok(if broken { Exit::Problems } else { Exit::Sound })
}

fn real_accounts(config: &FleetSpec) -> impl Iterator<Item = (CloudName, &str)> {
    let accounts = config.environments.iter().flat_map(|environment| &environment.accounts);
    let real = accounts.filter(|(_, account)| account.provider == Provider::Real);
    real.map(|(cloud, account)| (*cloud, account.id.as_str()))
}

pub(super) fn is_real(config: &FleetSpec, place: &Place) -> bool {
    real_accounts(config).any(|(cloud, id)| cloud == place.cloud && *id == *place.account)
}

fn nothing_to_examine(config: &FleetSpec, out: &mut Out) -> Result<Exit, CliError> {
    match real_accounts(config).next() {
        None => {
            out.note("every account is simulated: there is nothing to examine");
            Ok(Exit::Sound)
        }
        Some((cloud, id)) => Err(CliError::usage(format!("account {id} of {cloud} is real, and no set is in it yet"))
            .hint("name a region: `fleetwright doctor --region eu-west-1`")),
    }
}

/// What the fleet names.
struct Known<'a> {
    /// Its clusters.
    names: BTreeSet<ClusterName>,
    config: &'a FleetSpec,
}

impl Known<'_> {
    /// How its clusters in a place are called.
    fn pattern(&self, place: &Place) -> NamePattern {
        let here = |account: &Account| *account.id == *place.account;
        let of_place = self.config.environments.iter().filter(|one| one.accounts.get(&place.cloud).is_some_and(here));
        NamePattern::of(place, of_place.map(|environment| &environment.name))
    }
}

fn examine_all(clouds: &Clouds, places: BTreeSet<Place>, known: &Known<'_>) -> Result<Vec<Examined>, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::io("no calls can be made", &error))?;
    let examined = places.into_iter().map(|place| {
        let findings = match clouds.get(&place.cloud) {
            Some(cloud) => runtime.block_on(examine(&**cloud, &place, known)),
            None => {
                let detail = format!("this build has no adapter for {}", place.cloud);
                vec![Finding::new("adapter", Verdict::Broken, detail, "use a build with it, or provider: Simulated")]
            }
        };
        (place, findings)
    });
    Ok(examined.collect())
}

/// What the adapter finds, and what stands there that no record names.
async fn examine(cloud: &dyn Cloud, place: &Place, known: &Known<'_>) -> Vec<Finding> {
    let mut findings = cloud.examine(place).await.unwrap_or_else(|error| vec![unreadable("account", &error)]);
    match cloud.observe(place, &BTreeSet::new()).await {
        Err(error) => findings.push(unreadable("reading", &error)),
        Ok(listing) => {
            let clusters = listing.resources.len();
            findings.push(Finding::new("reading", Verdict::Fine, format!("{clusters} clusters with our tags"), ""));
            findings.extend(orphans::find(&listing, &known.names).iter().map(|found| orphan(found.to_string())));
            findings.extend(strays(cloud, place, &listing, known).await);
        }
    }
    findings
}

/// What is left of clusters beside what a reading tells.
async fn strays(cloud: &dyn Cloud, place: &Place, listing: &Listing, known: &Known<'_>) -> Vec<Finding> {
    match cloud.tagged(place).await {
        Err(error) => vec![unreadable("tags", &error)],
        Ok(tagged) => {
            let strays = orphans::strays(&tagged, listing, &known.names, &known.pattern(place));
            strays.iter().map(|stray| orphan(stray.to_string())).collect()
        }
    }
}

fn orphan(detail: String) -> Finding {
    let hint = "if no other fleet keeps it, delete it by hand; nothing here ever will";
    Finding::new("orphan", Verdict::Warning, detail, hint)
}

fn unreadable(what: &str, error: &CloudError) -> Finding {
    Finding::new(what, Verdict::Broken, error.to_string(), "look at credentials, roles and network of the daemon")
}

/// The findings in a format.
pub fn rendered(examined: &[Examined], format: Format, color: bool) -> String {
    let all = examined.iter().flat_map(|(place, findings)| findings.iter().map(move |finding| (place, finding)));
    if format == Format::Json {
        let items: Vec<_> = all
            .map(|(place, finding)| {
                let mut item = json!(finding);
                item["place"] = json!(place.to_string());
                item
            })
            .collect();
        return format!("{}\n", serde_json::to_string_pretty(&items).unwrap_or_default());
    }
    let mut table = Table::new(&["PLACE", "WHAT", "VERDICT", "DETAIL"]);
    for (place, finding) in all {
        let Finding { what, verdict, detail, hint } = finding;
        let (word, style) = match verdict {
            Verdict::Fine => ("fine", GOOD),
            Verdict::Warning => ("warning", MOVING),
            Verdict::Broken => ("broken", BAD),
        };
        let told = if hint.is_empty() { detail.clone() } else { format!("{detail} (hint: {hint})") };
        let cells: Vec<Cell> = vec![
            place.to_string().into(),
            what.clone().into(),
            Cell::styled(word, style),
            super::output::plain(&told).into(),
        ];
        table.row(cells);
    }
    table.render(color)
}

#[cfg(test)]
mod tests {
    use fleetwright_clouds::{CloudFuture, Progress};
    use fleetwright_core::action::Action;
    use fleetwright_core::inventory::ErrorClass;
    use fleetwright_core::orphans::Tagged;

    use super::*;

    fn examined() -> Vec<Examined> {
        let place = Place {
            cloud: fleetwright_schema::names::Cloud::Aws,
            account: "123456789012".into(),
            region: "eu-west-1".parse().unwrap(),
        };
        let findings = vec![
            Finding::new("account", Verdict::Fine, "123456789012", ""),
            Finding::new("quota", Verdict::Warning, "VPCs: 5 of 5", "have it raised"),
        ];
        vec![(place, findings)]
    }

    #[test]
    fn findings_are_a_table_and_a_list() {
        let table = rendered(&examined(), Format::Table, false);
        let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["aws/123456789012/eu-west-1", "account", "fine", "123456789012"]);
        assert_eq!(words[2][2..], ["warning", "VPCs:", "5", "of", "5", "(hint:", "have", "it", "raised)"]);
        let list: Vec<serde_json::Value> = serde_json::from_str(&rendered(&examined(), Format::Json, false)).unwrap();
        assert_eq!(list[1]["verdict"], "Warning");
        assert_eq!(list[1]["place"], "aws/123456789012/eu-west-1");
    }

    /// A cloud in which nothing stands but these things; where there are none, their list fails.
    struct Lone(Option<Vec<Tagged>>);

    impl Cloud for Lone {
        fn observe<'a>(&'a self, _: &'a Place, _: &'a BTreeSet<ClusterName>) -> CloudFuture<'a, Listing> {
            Box::pin(async { Ok(Listing::default()) })
        }
        fn tagged<'a>(&'a self, _: &'a Place) -> CloudFuture<'a, Vec<Tagged>> {
            let (class, code, message) = (ErrorClass::Denied, "UnauthorizedOperation".into(), "not you".into());
            let failed = CloudError { class, code, message, retry_after: None };
            Box::pin(async { self.0.clone().ok_or(failed) })
        }
        fn perform<'a>(&'a self, _: &'a Action) -> CloudFuture<'a, Progress> {
            panic!("a doctor does nothing")
        }
    }

    fn told(cloud: &Lone) -> String {
        let config = "builtinDefaults: 1\nenvironments: [{ name: prod, accounts: { aws: { id: \"123456789012\", provider: \
                      Real } } }]\naddressPools: []";
        let (config, names) = (serde_saphyr::from_str(config).unwrap(), BTreeSet::new());
        let place = examined().remove(0).0;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let findings = runtime.block_on(examine(cloud, &place, &Known { names, config: &config }));
        rendered(&[(place, findings)], Format::Json, false)
    }

    #[test]
    fn a_thing_that_only_its_tags_tell_is_an_orphan_and_a_list_that_failed_is_told() {
        let disk = |id: &str, of: &str| Tagged {
            kind: "volume".to_owned(),
            id: id.to_owned(),
            ours: None,
            made_by: [of.to_owned()].into(),
        };
        let text = told(&Lone(Some(vec![disk("vol-1", "serving-prod-aws-euw1-3"), disk("vol-2", "billing")])));
        assert!(text.contains("volume of serving-prod-aws-euw1-3: vol-1"), "{text}");
        assert!(text.contains("\"what\": \"orphan\"") && !text.contains("vol-2"), "{text}");
        let text = told(&Lone(None));
        assert!(text.contains("UnauthorizedOperation: not you") && text.contains("\"what\": \"tags\""), "{text}");
    }
}
