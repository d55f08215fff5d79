//! The charts of details in a real browser, while both services are called.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bookcomments::proto::comments::{BookComments, BookCommentsClient, PostReq};
use bookdetails::proto::details::{BookDetails, BookDetailsClient, DetailReq};
use kit::{Context, client::Channel};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    chromium::Browser,
    support::{Demo, get},
};

/// How many readers there are at most: few beside other tests, more where pictures are made.
const READERS: [usize; 2] = [2, 12];

/// Where `KIT_PICTURES` names a folder for the pictures of `docs/images/`, so long is called first: there is more to be seen.
const PICTURED: Duration = Duration::from_secs(150);

/// Readers that come and go, each with a pause between two books. Some ask for books that are not there.
fn load(demo: &Demo, count: usize, over: &Arc<AtomicBool>) -> JoinSet<()> {
    let details = BookDetailsClient::new(&Channel::new(&format!("grpc://{}", demo.addresses.details_grpc)).unwrap());
    let comments = BookCommentsClient::new(&Channel::new(&format!("grpc://{}", demo.addresses.comments_grpc)).unwrap());
    let http = demo.addresses.details_http;
    let started = Instant::now();
    let mut readers = JoinSet::new();
    for reader in 0..count {
        let (details, comments, over) = (details.clone(), comments.clone(), Arc::clone(over));
        readers.spawn(async move {
            let cx = Context::background();
            for book in 0.. {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                // A tide with a period of a minute: the first readers are always there.
                let tide = (started.elapsed().as_secs_f64() * std::f64::consts::TAU / 60.0).sin().mul_add(-0.5, 0.5);
                if reader as f64 <= 2.0 + tide * count as f64 {
                    details.detail(&cx, DetailReq { id: 1 + book % 3 }).await.unwrap();
                    if book % 10 == 0 {
                        assert_eq!(get(http, "/v1/detail?id=1", &[]).await.status, 200);
                    }
                    if book % 40 == 0 {
                        details.detail(&cx, DetailReq { id: 99 }).await.unwrap_err();
                        let content = "Again, please.".to_owned();
                        comments.post(&cx, PostReq { id: 100 + book, content }).await.unwrap();
                    }
                }
                tokio::time::sleep(Duration::from_millis(8 + 3 * (book as u64 % 5))).await;
            }
        });
    }
    readers
}

/// Pictures of the page as people have it.
async fn photograph(browser: &Browser, folder: &Path) {
    for (kind, scheme, width, height, phone) in
        [("light", "light", 1360, 900, false), ("dark", "dark", 1360, 900, false), ("phone", "light", 390, 844, true)]
    {
        browser.prefers(scheme).await;
        browser.size(width, height, if phone { 2.0 } else { 1.0 }, phone).await;
        let draws = browser.run("return __kitCharts.counts.draws").await;
        browser.wait_until(&format!("__kitCharts.counts.draws > {draws} + 1 && innerWidth === {width}")).await;
        browser.picture(&folder.join(format!("charts-{kind}.png")), !phone).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_charts_of_details_show_what_is_called() {
    let Some(browser) = Browser::start().await else { return };
    let demo = Demo::start(|_| {}).await;
    let url = format!("http://{}/debug/charts/", demo.addresses.details_debug.unwrap());
    browser.size(1360, 900, 1.0, false).await;
    browser.open(&url).await;
    browser.wait_until("__kitCharts.status === 'live' && __kitCharts.history.seq >= 2").await;
    let tile = |name: &str| format!("parseFloat(document.querySelector('#tile-{name} span').textContent)");
    browser.wait_until(&format!("{} > 0", tile("memory"))).await;

    let over = Arc::<AtomicBool>::default();
    let pictures = std::env::var_os("KIT_PICTURES").map(PathBuf::from);
    let readers = load(&demo, READERS[usize::from(pictures.is_some())], &over);
    browser.wait_until(&format!("{} > 10", tile("calls"))).await;
    let names = "[...document.querySelectorAll('#legend .name')].map((name) => name.textContent).join()";
    // What it serves, and what it asks for.
    browser
        .wait_until(&format!("{names}.includes('BookDetails/Detail') && {names}.includes('BookComments/Get')"))
        .await;
    if let Some(folder) = pictures {
        tokio::time::sleep(PICTURED).await;
        photograph(&browser, &folder).await;
    }

    over.store(true, Ordering::Relaxed);
    readers.join_all().await;
    browser.wait_until(&format!("{} === 0", tile("calls"))).await;
    assert_eq!(browser.complaints().await, [] as [String; 0]);
    demo.stop().await;
    browser.close().await;
}
