//! Wherever the process ends, the next one goes on as if nothing had happened: the same end, by as many creates and
//! deletes. At every point where it reaches outside, in every way; and at every two of them in the smallest story.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::time::Instant;

use fleetwright_tests::simulation::sweep::{Blow, Ending, Kind, Story, Sweep, Way, stories, sweep, tell};

fn undisturbed(story: &Story) -> Ending {
    tell(story, &[], true).unwrap_or_else(|failure| {
        failure.trace.iter().for_each(|line| println!("{line}"));
        panic!("{}: {}", story.name, failure.what)
    })
}

fn judge(sweep: &Sweep) {
    let failures = &sweep.failures;
    failures.iter().take(20).for_each(|failure| println!("{failure}"));
    assert!(failures.is_empty(), "{} of {} crashes changed something: {}", failures.len(), sweep.runs, failures[0]);
}

/// All kinds of points, and how often a process ended there in each way.
fn print_coverage(ended: &BTreeMap<(Kind, Way), u32>) {
    println!("{:<28}{:>8}{:>12}{:>8}", "", "before", "reply lost", "heard");
    for kind in Kind::all() {
        let [before, lost, heard] = Way::ALL.map(|way| ended.get(&(kind, way)).copied().unwrap_or_default());
        println!("{:<28}{before:>8}{lost:>12}{heard:>8}", kind.to_string());
    }
}

/// `FLEETWRIGHT_STORY` names a part of the names of the stories that are told; kinds are only asked for with all of them.
#[test]
fn a_crash_at_any_point_changes_neither_the_end_nor_what_is_done() {
    let (began, mut total) = (Instant::now(), Sweep::default());
    let part = std::env::var("FLEETWRIGHT_STORY").unwrap_or_default();
    for story in stories::all().into_iter().filter(|story| story.name.contains(&part)) {
        let reference = undisturbed(&story);
        let points = reference.points.len();
        let all: Vec<Vec<Blow>> = (0..points).flat_map(|point| Way::ALL.map(|way| vec![(point, way)])).collect();
        let swept = sweep(&story, &reference, &all);
        println!("{}: {points} points, {} crashes", story.name, swept.runs);
        total.add(swept);
    }
    print_coverage(&total.ended);
    println!("{} crashes in {:.0} s", total.runs, began.elapsed().as_secs_f64());
    judge(&total);
    assert_eq!(total.missed, 0, "every process ends where it was to end");
    if part.is_empty() {
        is_covered(&total);
    }
}

fn is_covered(total: &Sweep) {
    for kind in Kind::all() {
        let missed: Vec<_> = Way::ALL.into_iter().filter(|way| !total.ended.contains_key(&(kind, *way))).collect();
        assert!(missed.is_empty(), "no process ended {missed:?} at a {kind}");
    }
    let unlisted = total.ended.keys().find(|(kind, _)| !Kind::all().contains(kind));
    assert_eq!(unlisted, None, "the program does what it is said to be unable to do");
}

#[test]
fn two_crashes_change_neither_the_end_nor_what_is_done() {
    let began = Instant::now();
    let story = &stories::all()[0];
    let reference = undisturbed(story);
    let points = reference.points.len();
    // To have heard or not is the same to a process that is gone: for two crashes the first two ways are enough.
    let ways = [Way::Before, Way::ReplyLost];
    let blows = |point| ways.map(|way| (point, way));
    let firsts = (0..points).flat_map(blows);
    let all: Vec<Vec<Blow>> =
        firsts.flat_map(|first| (first.0 + 1..points).flat_map(blows).map(move |second| vec![first, second])).collect();
    let swept = sweep(story, &reference, &all);
    println!("{}: {} pairs of crashes in {:.0} s", story.name, swept.runs, began.elapsed().as_secs_f64());
    judge(&swept);
    // The second point is missed where the run ends with fewer, or where it was reached before the first took effect.
    println!("in {} of them the second one found no such point any more", swept.missed);
    assert!(swept.missed * 50 < swept.runs, "in {} of {} runs only one process ended", swept.missed, swept.runs);
}
