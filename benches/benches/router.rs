//! The router of HTTP paths, with 1 to 10,000 routes: what a look-up takes should not depend on how many there are.

use std::hint::black_box;

use benches::{
    Failure,
    added::{Costs, way},
    allocations::Counting,
    measure::criterion,
    results::{Results, Row, Unit},
};
use kit_template::{Found, Router, Template};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUTES: [usize; 5] = [1, 10, 100, 1_000, 10_000];

/// The cost of a look-up may grow by a tenth.
const FLAT: f64 = 1.10;

fn main() -> Result<(), Failure> {
    let mut criterion = criterion();
    let mut costs = Costs::new("router", &mut criterion);
    let mut results = Results::of("router");
    let mut found = Vec::new();
    for routes in ROUTES {
        let router = router(routes)?;
        // All routes in turn, in an order that no cache foresees: as calls of many methods come.
        let paths: Vec<String> = (0..routes)
            .map(|place| format!("/v1/service{}/shelves/classics/notes/42", place * 7919 % routes))
            .collect();
        for path in &paths {
            if !matches!(router.find("GET", path), Found::Match(_)) {
                return Err(format!("{path} is not found").into());
            }
        }
        let nothing = way("the path alone", |count| {
            paths.iter().cycle().take(count as usize).for_each(|path| _ = black_box(path));
        });
        let find = way("kit", |count| {
            paths.iter().cycle().take(count as usize).for_each(|path| _ = black_box(router.find("GET", path)));
        });
        found.push(costs.compare(format!("{routes} routes"), nothing, find, []));
    }
    costs.finish();
    for (routes, cost) in ROUTES.iter().zip(&found) {
        let row =
            Row::new(format!("router, {routes} routes"), "a look-up with two variables", cost.added, Unit::Nanoseconds);
        results.record(row.spread(cost.spread.0, cost.spread.1).measured_in("in process, all routes in turn"));
    }
    if let [one, .., most] = found.as_slice() {
        let row = Row::new(
            "router, 10,000 routes",
            "against 1 route, time of a look-up",
            most.added / one.added,
            Unit::Ratio,
        );
        results.record(row.at_most(FLAT).measured_in("in process, all routes in turn"));
    }
    results.write()?;
    criterion.final_summary();
    Ok(())
}

fn router(routes: usize) -> Result<Router<usize>, Failure> {
    let mut router = Router::new();
    for place in 0..routes {
        router.insert("GET", Template::parse(&format!("/v1/service{place}/shelves/{{shelf}}/notes/{{id}}"))?, place)?;
    }
    Ok(router)
}
