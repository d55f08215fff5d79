//! One call through an endpoint with 0, 1 and 3 layers, against the bare function and against the same layers in a Tower
//! stack that is not erased.

use benches::{
    Failure, chain,
    measure::{Table, criterion, side},
    must, runtime,
};
use kit::{
    Endpoint,
    layer::{access_log::AccessLogLayer, recover::RecoverLayer, timeout::TimeoutLayer},
    middleware::StandardStack,
    telemetry::log::LogConfig,
};

use benches::proto::bench::{Book, FindRequest, ShelfEndpoints};

fn main() -> Result<(), Failure> {
    let mut criterion = criterion();
    let mut table = Table::new("endpoint", &mut criterion);
    let runtime = &runtime()?;

    let function = || side("function", |count| must(runtime.block_on(chain::call_function(count))));
    let bare = ShelfEndpoints::new(chain::nothing()).find;
    let one = bare.clone().layer(TimeoutLayer::server(Some(chain::LIMIT)));
    let standard = bare.clone().with(&StandardStack::default());
    let apart = bare
        .clone()
        .layer(TimeoutLayer::server(Some(chain::LIMIT)))
        .layer(RecoverLayer::new())
        .layer(AccessLogLayer::new());
    let kit = |endpoint: &Endpoint<FindRequest, Book>| {
        let endpoint = endpoint.clone();
        side("kit", move |count| must(runtime.block_on(chain::call_endpoint(&endpoint, count))))
    };
    let (handler, one_layer, three_layers) = (chain::handler(), chain::one_layer(), chain::three_layers());

    table.compare("the function, twice (noise)", function(), function());
    table.compare("0 layers", function(), kit(&bare));
    table.compare("1 layer", function(), kit(&one));
    table.compare("standard chain", function(), kit(&standard));
    let tower = side("tower", |count| must(runtime.block_on(chain::call_tower(&handler, count))));
    table.compare("0 layers", tower, kit(&bare));
    let tower = side("tower", |count| must(runtime.block_on(chain::call_tower(&one_layer, count))));
    table.compare("1 layer", tower, kit(&one));
    let tower = || side("tower", |count| must(runtime.block_on(chain::call_tower(&three_layers, count))));
    table.compare("standard chain", tower(), kit(&standard));
    table.compare("3 layers erased one by one", tower(), kit(&apart));

    // From here on the process logs, at a level that the access log is below.
    LogConfig { level: "warn".to_owned(), ..LogConfig::default() }.init()?;
    table.compare("standard chain, log at warn", function(), kit(&standard));
    table.compare("standard chain, log at warn", tower(), kit(&standard));

    table.finish();
    criterion.final_summary();
    Ok(())
}
