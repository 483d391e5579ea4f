//! A campaign: the corpus replayed, then changes of it for so many cases or so long, from one seed. What reaches something
//! new is changed further; what fails is made smaller and kept in a file.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::mutate::mutate;
use super::{Reached, Target};
use crate::wishes::Dice;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Where the numbers come from: `FLEETWRIGHT_SEED`.
    pub seed: u64,
    /// At most so many changed inputs: `FLEETWRIGHT_FUZZ_CASES`.
    pub cases_max: u64,
    /// At most so long: `FLEETWRIGHT_FUZZ_SECONDS`, with which the number of cases has no limit of its own.
    pub time_max: Duration,
}

/// What a campaign came to.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Inputs of the corpus.
    pub corpus: usize,
    /// Changed inputs.
    pub cases: u64,
    /// What was reached.
    pub reached: Reached,
    /// The most bytes that an input let be allocated beyond what any may, for each of its bytes.
    pub allocated_per_byte: u64,
    /// How long it took.
    pub took: Duration,
}

/// What one input came to.
struct Case {
    reached: Reached,
    allocated_per_byte: u64,
}

/// How often a failing input is made smaller before it is shown.
const SMALLER_TRIES_MAX: usize = 3_000;

impl Scope {
    /// What the environment asks for; a few seconds otherwise.
    pub fn from_env() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        let seconds = number("FLEETWRIGHT_FUZZ_SECONDS");
        let cases = number("FLEETWRIGHT_FUZZ_CASES");
        Self {
            seed: number("FLEETWRIGHT_SEED").unwrap_or(1),
            cases_max: cases.unwrap_or(if seconds.is_some() { u64::MAX } else { 1_500 }),
            time_max: Duration::from_secs(seconds.unwrap_or(if cases.is_some() { 86_400 } else { 15 })),
        }
    }
}

impl Target {
    /// Its corpus, with the names of the files.
    pub fn corpus(&self) -> Vec<(String, Vec<u8>)> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name);
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let named =
            |path: PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap());
        let mut corpus: Vec<_> = files.map(named).collect();
        corpus.sort();
        corpus
    }

    /// Replays and changes the corpus. `measured` runs a case and returns the bytes that it allocated, where that is known.
    pub fn campaign(&self, scope: Scope, measured: &dyn Fn(&mut dyn FnMut()) -> u64) -> Tally {
        let began = Instant::now();
        let (mut reached, mut allocated_per_byte) = (BTreeSet::new(), 0);
        let corpus = self.corpus();
        for (name, input) in &corpus {
            match self.case(input, measured) {
                Ok(case) => {
                    reached.extend(case.reached);
                    allocated_per_byte = allocated_per_byte.max(case.allocated_per_byte);
                }
                Err(why) => panic!("corpus/{}/{name}: {why}", self.name),
            }
        }
        let mut pool: Vec<Vec<u8>> = corpus.iter().map(|(_, input)| input.clone()).collect();
        let mut dice = Dice::new(scope.seed);
        let mut cases = 0;
        while cases < scope.cases_max && began.elapsed() < scope.time_max {
            cases += 1;
            let input = mutate(&dice.pick(&pool), &dice.pick(&pool), &mut dice);
            match self.case(&input, measured) {
                Ok(case) => {
                    allocated_per_byte = allocated_per_byte.max(case.allocated_per_byte);
                    if !case.reached.is_subset(&reached) {
                        reached.extend(case.reached);
                        pool.push(input);
                    }
                }
                Err(why) => self.fail(scope, cases, &input, &why, measured),
            }
        }
        Tally { corpus: corpus.len(), cases, reached, allocated_per_byte, took: began.elapsed() }
    }

    /// One case: what it reached, or how it failed.
    fn case(&self, input: &[u8], measured: &dyn Fn(&mut dyn FnMut()) -> u64) -> Result<Case, String> {
        let mut outcome = Err("it was not run".to_owned());
        let allocated = measured(&mut || {
            outcome = catch_unwind(AssertUnwindSafe(|| (self.run)(input))).map_err(|panic| words(&*panic));
        });
        let beyond = allocated.saturating_sub(ALLOCATED_BASE_MAX);
        let (length, per_byte) = (input.len() as u64, self.allocated_per_byte_max);
        match outcome {
            Ok(_) if beyond > per_byte * length => {
                Err(format!("{allocated} bytes allocated, {ALLOCATED_BASE_MAX} and {per_byte} a byte allowed"))
            }
            Ok(reached) => Ok(Case { reached, allocated_per_byte: beyond / length.max(1) }),
            Err(why) => Err(why),
        }
    }

    fn fail(&self, scope: Scope, case: u64, input: &[u8], why: &str, measured: &dyn Fn(&mut dyn FnMut()) -> u64) -> ! {
        let small = self.smaller(input, why, measured);
        let kept = std::env::temp_dir().join(format!("fleetwright-{}-{}-{case}.txt", self.name, scope.seed));
        std::fs::write(&kept, &small).unwrap();
        let last = self.case(&small, measured).err().unwrap_or_default();
        panic!(
            "FLEETWRIGHT_SEED={} case {case} of {}: {why}\nmade smaller, in {}: {last}\n{}",
            scope.seed,
            self.name,
            kept.display(),
            String::from_utf8_lossy(&small)
        );
    }

    /// Fewer lines that fail in the same words: blocks go first, then single ones.
    fn smaller(&self, input: &[u8], why: &str, measured: &dyn Fn(&mut dyn FnMut()) -> u64) -> Vec<u8> {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let mut lines: Vec<&[u8]> = input.split_inclusive(|byte| *byte == b'\n').collect();
        let (mut size, mut tries) = (lines.len().div_ceil(2), 0);
        while size > 0 && tries < SMALLER_TRIES_MAX {
            let mut at = 0;
            while at < lines.len() && tries < SMALLER_TRIES_MAX {
                let fewer = [&lines[..at], &lines[(at + size).min(lines.len())..]].concat();
                tries += 1;
                match self.case(&fewer.concat(), measured) {
                    Err(other) if beginning(&other) == beginning(why) => lines = fewer,
                    Ok(_) | Err(_) => at += size,
                }
            }
            size /= 2;
        }
        std::panic::set_hook(hook);
        lines.concat()
    }
}

/// What two failures of one cause have in common.
fn beginning(why: &str) -> String {
    why.chars().filter(|c| !c.is_ascii_digit()).take(30).collect()
}

/// What a small input may allocate: schemas, tables and the template, which are read whatever the input is.
const ALLOCATED_BASE_MAX: u64 = 16 << 20;

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
