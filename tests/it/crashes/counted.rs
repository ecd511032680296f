//! Counts through the reference run: for every point and every time that it is reached, a copy of the site is killed there,
//! started again, and brought to its end; then everything is compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use wharf::wire::fail::Point;

use super::{
    database::{Database, OnPostgres, Sqlite},
    reference::{Reference, disturbed, recorded},
    story::STEPS,
};
use crate::{postgres::Postgres, support::Site};

/// The most occurrences of a target in an ordinary run of the tests; `WHARF_CRASH=all` takes all of them, and a number as
/// many.
const MOST: usize = 120;
/// What an engine does beside its work, such as looking whether more has come, it does not do in every run. A moment that is
/// not reached in so many is not one.
const MOST_RUNS: usize = 20;
/// Failures that are told one by one.
const TOLD: usize = 5;

/// Points that the reference run does not reach, and the test that is killed there.
const ELSEWHERE: &[(Point, &str)] = &[
    (Point::LeftoverRemove, "killed_again_at_every_point_while_it_recovers_it_ends_the_same"),
    (Point::ClaimBack, "killed_while_files_are_put_back_as_the_disk_failed_it_ends_the_same"),
    (Point::LedgerAsk, "whoever_asks_an_engine_and_is_killed_has_asked_or_has_not"),
    (Point::LedgerAsked, "whoever_asks_an_engine_and_is_killed_has_asked_or_has_not"),
    (Point::RequestFound, "an_engine_killed_at_every_point_of_a_request_leaves_it_to_whoever_asked"),
];

/// One moment of the reference run.
struct Occurrence {
    step: usize,
    point: String,
    /// Counted from 1 in the step's process.
    nth: u64,
}

impl fmt::Display for Occurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, point, nth } = self;
        write!(f, "{point}, time {nth} of step {step}, {}", STEPS[*step].name)
    }
}

fn occurrences(reference: &Reference<'_>) -> Vec<Occurrence> {
    let mut found = Vec::new();
    for (step, points) in reference.reached.iter().enumerate() {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for point in points {
            let nth = counts.entry(point).or_default();
            *nth += 1;
            found.push(Occurrence { step, point: point.clone(), nth: *nth });
        }
    }
    found
}

/// Of `occurrences`, so many at most, evenly spread, and no point left out.
fn spread(occurrences: Vec<Occurrence>, most: usize) -> Vec<Occurrence> {
    let mut seen = BTreeSet::new();
    let firsts: Vec<bool> = occurrences.iter().map(|one| seen.insert(one.point.clone())).collect();
    let (others, room) = (occurrences.len() - seen.len(), most.saturating_sub(seen.len()));
    let mut passed = 0;
    let mut takes = |is_first: bool| {
        if is_first || others <= room {
            return true;
        }
        passed += 1;
        // True `room` times in all.
        passed * room / others != (passed - 1) * room / others
    };
    occurrences.into_iter().zip(firsts).filter(|(_, is_first)| takes(*is_first)).map(|(one, _)| one).collect()
}

/// A copy of the site that was killed at a moment.
fn killed(reference: &Reference<'_>, moment: &Occurrence) -> Option<Site> {
    let kill = format!("{}@{}=kill", moment.point, moment.nth);
    (0..MOST_RUNS).find_map(|_| {
        let site = reference.before(moment.step);
        if disturbed(&site, &STEPS[moment.step], &kill) {
            return Some(site);
        }
        reference.database.discard(&site);
        None
    })
}

/// How many moments are taken: as the environment says, or else `usual`.
fn most(usual: usize) -> usize {
    match std::env::var("WHARF_CRASH") {
        Ok(asked) => asked.parse().unwrap_or(usize::MAX),
        Err(_) => usual,
    }
}

/// Tries every moment, as many at a time as there are cores; gives what failed.
fn each<T: Sync>(moments: &[T], tries: impl Fn(&T) -> Result<(), String> + Sync) -> Vec<String> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(moment) = moments.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = tries(moment) {
                        failures.lock().unwrap().push(why);
                    }
                }
            });
        }
    });
    failures.into_inner().unwrap()
}

#[track_caller]
fn assert_none(failures: &[String], of: usize) {
    let told = failures.iter().take(TOLD).map(|failure| format!("\n{failure}")).collect::<String>();
    assert!(failures.is_empty(), "{} of {of} end otherwise:{told}", failures.len());
}

fn count_through(database: &dyn Database) {
    let reference = Reference::new(database);
    let reached: BTreeSet<&str> = reference.reached.iter().flatten().map(String::as_str).collect();
    for point in Point::ALL {
        let elsewhere = ELSEWHERE.iter().any(|(other, _)| other == point);
        assert!(elsewhere || reached.contains(point.name()), "no run reaches {}", point.name());
    }
    let all = occurrences(&reference);
    let total = all.len();
    let moments = spread(all, most(MOST));
    let failures = each(&moments, |moment| {
        let site = killed(&reference, moment).ok_or_else(|| format!("{moment} was not reached"))?;
        reference.finish(&site, moment.step).map_err(|why| format!("killed at {moment}: {why}"))
    });
    let (points, counted) = (reached.len(), moments.len());
    println!(
        "{}: points {points}, occurrences {counted}, identical {} (the reference run has {total})",
        database.name(),
        counted - failures.len()
    );
    assert_none(&failures, counted);
}

#[test]
fn killed_at_every_point_a_site_with_sqlite_ends_as_one_that_was_never_killed() {
    count_through(&Sqlite);
}

#[test]
fn killed_at_every_point_a_site_with_postgresql_ends_as_one_that_was_never_killed() {
    count_through(&OnPostgres(Postgres::start()));
}

/// So many first kills are followed by second ones in an ordinary run of the tests.
const MOST_FIRST_KILLS: usize = 1;

/// (step, where the first kill was): each leaves something else to recover from.
const FIRST_KILLS: &[(usize, &str)] = &[
    (1, "file.sync@1=kill"),
    (0, "claim.secure@1=kill"),
    (1, "target.committed@2=kill"),
    (2, "report.between@1=kill"),
    (5, "correction.write@1=kill"),
];

#[test]
fn killed_again_at_every_point_while_it_recovers_it_ends_the_same() {
    let reference = Reference::new(&Sqlite);
    let (mut points, mut moments) = (BTreeSet::new(), Vec::new());
    for (step, kill) in FIRST_KILLS.iter().take(most(MOST_FIRST_KILLS)) {
        let site = reference.before(*step);
        assert!(disturbed(&site, &STEPS[*step], kill), "{kill}");
        let reached: BTreeSet<String> = recorded(&site, &STEPS[*step]).1.into_iter().collect();
        moments.extend(reached.iter().map(|point| (*step, *kill, format!("{point}@1=kill"))));
        points.extend(reached);
    }
    assert!(points.contains(Point::LeftoverRemove.name()));
    let failures = each(&moments, |(step, first, second)| {
        let site = (0..MOST_RUNS).find_map(|_| {
            let site = reference.before(*step);
            let kills = [first, second.as_str()].iter().all(|kill| disturbed(&site, &STEPS[*step], kill));
            kills.then_some(site)
        });
        let site = site.ok_or_else(|| format!("{first}, then {second} was not reached"))?;
        reference.finish(&site, *step).map_err(|why| format!("{first}, then {second}: {why}"))
    });
    println!(
        "SQLite, killed twice: points {}, occurrences {}, identical {}",
        points.len(),
        moments.len(),
        moments.len() - failures.len()
    );
    assert_none(&failures, moments.len());
}

#[test]
fn killed_while_files_are_put_back_as_the_disk_failed_it_ends_the_same() {
    let reference = Reference::new(&Sqlite);
    let site = reference.before(0);
    assert!(disturbed(&site, &STEPS[0], "copy.sync@1=eio;claim.back@1=kill"));
    reference.finish(&site, 0).unwrap();
}
