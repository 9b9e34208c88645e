//! How many access tokens were issued, by day, month and hour.

use std::collections::BTreeMap;

use chancery_ledger::actor::Principal;
use chancery_ledger::body::token::Profile;
use chancery_ledger::time::Micros;
use chancery_projections::command::{OrganisationRef, RegisterAgent};
use chancery_projections::token::usage::{Day, by_agent, by_day, by_hour, issued_in_month, issued_on};
use chancery_projections::views::View;

use crate::lane::access;
use crate::world::*;

#[test]
fn counts_are_those_of_the_log_by_organisation_and_time() {
    let mut w = World::new();
    let command = RegisterAgent { organisation: Some(OrganisationRef::Slug("else".into())), ..register("c") };
    let (a, b, c) = (w.agent("a"), w.agent("b"), registered(&w.when(command).then_decided()));
    // A Friday, 2026-01-02 03:04:05; then at other hours, days and in another month.
    let times = [0, 60, 3_600, 86_400, 86_400 * 7, 86_400 * 40].map(|secs| START.plus_secs(secs));
    let mut n = 0;
    for (index, time) in times.into_iter().enumerate() {
        w.now = time;
        for (agent, every) in [(a, 1), (b, 2), (c, 3)] {
            if index % every == 0 {
                n += 1;
                w.given(w.root, Principal::Agent(agent), access(agent, n, Profile::Access));
                w.given(w.root, Principal::Agent(agent), access(agent, 1_000 + n, Profile::Passport));
            }
        }
    }
    let rows = w.views.get(View::Token);
    let (ours, elses) = (w.agent_view(a).organisation, w.agent_view(c).organisation);
    let month = |agent, time| issued_in_month(rows, agent, time).unwrap();
    assert_eq!((month(a, START), month(b, START), month(c, START)), (5, 3, 2));
    assert_eq!((month(a, times[5]), month(b, times[5]), month(a, times[5].plus_secs(86_400 * 30))), (1, 0, 0));
    let day = |organisation, time| issued_on(rows, organisation, Day::of(time)).unwrap();
    assert_eq!((day(ours, START), day(elses, START), day(ours, times[3]), day(elses, times[3])), (5, 1, 1, 1));

    let week = by_day(rows, ours, times[4], 8).unwrap();
    let dates: Vec<_> = week.iter().map(|day| (day.date.as_str(), day.count)).collect();
    assert_eq!(
        (dates[0], dates[1], dates[2], dates[7]),
        (("2026-01-02", 5), ("2026-01-03", 1), ("2026-01-04", 0), ("2026-01-09", 2))
    );

    assert_eq!(by_agent(rows, ours, START, 10).unwrap(), [(a, 5), (b, 3)]);
    assert_eq!(by_agent(rows, ours, START, 1).unwrap(), [(a, 5)], "the busiest");
    assert_eq!(by_agent(rows, elses, START, 10).unwrap(), [(c, 2)]);
    assert_eq!(by_agent(rows, elses, Micros(0), 10).unwrap(), []);

    let hours = by_hour(rows, ours, 100).unwrap();
    let found: BTreeMap<_, _> = hours.iter().map(|it| ((it.agent, it.weekday, it.hour), it.count)).collect();
    // Fridays at three: the first day twice for `a`, and a week later.
    assert_eq!(found.get(&(a, 5, 3)), Some(&3));
    assert_eq!(found.get(&(a, 5, 4)), Some(&1));
    assert_eq!(found.values().sum::<u64>(), 6 + 3);
    assert_eq!(by_hour(rows, ours, 1).unwrap(), hours[..1]);
}
