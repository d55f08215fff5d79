//! The rules of matching one by one.

use kit_template::Found;

use crate::{gets, matched, router, template};

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_branch_that_leads_nowhere_is_left_again() {
    let router = gets(&["/a/b/c", "/a/*/d", "/a/**/e", "/**"]);
    assert_eq!(matched(&router, "GET", "/a/b/c").0, "/a/b/c");
    assert_eq!(matched(&router, "GET", "/a/b/d").0, "/a/*/d");
    assert_eq!(matched(&router, "GET", "/a/b/e").0, "/a/**/e");
    assert_eq!(matched(&router, "GET", "/a/b/f").0, "/**");
}

#[test]
fn rest_matches_nothing_and_empty_segments() {
    let router = gets(&["/a/{x=**}", "/b/{x=**}/c", "/d/{x=e/**/f}/g"]);
    for (path, value) in [("/a", ""), ("/a/", ""), ("/a//", "/"), ("/a/b", "b"), ("/a//b/", "/b/")] {
        assert_eq!(matched(&router, "GET", path).1, pairs(&[("x", value)]), "{path}");
    }
    for (path, value) in [("/b/c", ""), ("/b//c", ""), ("/b///c", "/"), ("/b/c/c", "c")] {
        assert_eq!(matched(&router, "GET", path).1, pairs(&[("x", value)]), "{path}");
    }
    assert_eq!(matched(&router, "GET", "/d/e/f/g").1, pairs(&[("x", "e/f")]));
    assert_eq!(matched(&router, "GET", "/d/e//f/g").1, pairs(&[("x", "e//f")]));
    assert_eq!(router.find("GET", "/b"), Found::NotFound);
    assert_eq!(router.find("GET", "/d/e/g"), Found::NotFound);
}

#[test]
fn the_root_is_matched_by_itself_and_by_rest_alone() {
    assert_eq!(matched(&gets(&["/", "/{x=**}"]), "GET", "/").0, "/");
    assert_eq!(matched(&gets(&["/{x=**}"]), "GET", "/"), ("/{x=**}", pairs(&[("x", "")])));
    assert_eq!(gets(&["/"]).find("GET", "//"), Found::NotFound);
    assert_eq!(gets(&["/*", "/{x}/a"]).find("GET", "/"), Found::NotFound);
}

#[test]
fn a_trailing_slash_and_an_empty_segment_count() {
    let router = gets(&["/v1/simple", "/v1/simple/{name}", "/v1/*/z"]);
    assert_eq!(router.find("GET", "/v1/simple/"), Found::NotFound);
    assert_eq!(router.find("GET", "/v1/simple/a/"), Found::NotFound);
    assert_eq!(router.find("GET", "/v1//z"), Found::NotFound);
}

#[test]
fn literals_match_in_any_spelling() {
    let router = gets(&["/caf%C3%A9/a", "/x%2Fy", "/{v}/a"]);
    assert_eq!(matched(&router, "GET", "/%63af%c3%a9/%61").0, "/caf%C3%A9/a");
    assert_eq!(matched(&router, "GET", "/x%2fy").0, "/x%2Fy");
    assert_eq!(router.find("GET", "/x/y"), Found::NotFound);
    assert_eq!(matched(&router, "GET", "/caf/a").1, pairs(&[("v", "caf")]));
}

#[test]
fn escapes_are_decoded_once_and_a_plus_is_a_plus() {
    let router = gets(&["/s/{x}", "/m/{x=**}", "/f/{x=a/*}"]);
    assert_eq!(matched(&router, "GET", "/s/a%2Fb+%252F%25").1, pairs(&[("x", "a/b+%2F%")]));
    assert_eq!(matched(&router, "GET", "/m/a%2Fb/%2f%20c+%252F").1, pairs(&[("x", "a%2Fb/%2f c+%2F")]));
    assert_eq!(matched(&router, "GET", "/f/%61/%C3%A9").1, pairs(&[("x", "a/é")]));
}

#[test]
fn a_verb_goes_before_a_value() {
    let router = gets(&["/ops/{id}", "/ops/{id}:watch", "/ops/{id}:a:watch", "/ops/now:stop", "/{x=**}:stop"]);
    assert_eq!(matched(&router, "GET", "/ops/7:watch"), ("/ops/{id}:watch", pairs(&[("id", "7")])));
    assert_eq!(matched(&router, "GET", "/ops/7:b:watch"), ("/ops/{id}:watch", pairs(&[("id", "7:b")])));
    assert_eq!(matched(&router, "GET", "/ops/7:a:watch"), ("/ops/{id}:a:watch", pairs(&[("id", "7")])));
    assert_eq!(matched(&router, "GET", "/ops/:a:watch"), ("/ops/{id}:watch", pairs(&[("id", ":a")])));
    assert_eq!(matched(&router, "GET", "/ops/7:%77atch").0, "/ops/{id}:watch");
    assert_eq!(matched(&router, "GET", "/ops/7%3Awatch"), ("/ops/{id}", pairs(&[("id", "7:watch")])));
    assert_eq!(matched(&router, "GET", "/ops/7:other"), ("/ops/{id}", pairs(&[("id", "7:other")])));
    assert_eq!(matched(&router, "GET", "/ops/:watch"), ("/ops/{id}", pairs(&[("id", ":watch")])));
    assert_eq!(matched(&router, "GET", "/ops/now:stop").0, "/ops/now:stop");
    assert_eq!(matched(&router, "GET", "/ops/7:stop"), ("/{x=**}:stop", pairs(&[("x", "ops/7")])));
    assert_eq!(matched(&router, "GET", "/:stop"), ("/{x=**}:stop", pairs(&[("x", "")])));
}

#[test]
fn a_verb_stands_in_the_last_segment_only() {
    let router = gets(&["/a/{x}:v", "/a/{x}/b"]);
    assert_eq!(matched(&router, "GET", "/a/1:v/b").1, pairs(&[("x", "1:v")]));
    assert_eq!(router.find("GET", "/a/1:v/c"), Found::NotFound);
}

#[test]
fn methods_are_told_apart_as_written() {
    let router = router(&[("PUT", "/a/{x}"), ("GET", "/a/*"), ("GET", "/b"), ("get", "/a/b")]);
    assert_eq!(router.find("POST", "/a/c"), Found::MethodNotAllowed(vec!["GET", "PUT"]));
    assert_eq!(router.find("PUT", "/b"), Found::MethodNotAllowed(vec!["GET"]));
    assert_eq!(router.find("POST", "/c"), Found::NotFound);
    assert_eq!(matched(&router, "get", "/a/b").0, "/a/b");
}

#[test]
fn the_any_method_answers_what_no_other_does() {
    let router = router(&[("*", "/a/b"), ("GET", "/a/{x}")]);
    assert_eq!(matched(&router, "GET", "/a/b").0, "/a/{x}");
    assert_eq!(matched(&router, "LINK", "/a/b").0, "/a/b");
    assert_eq!(router.find("LINK", "/a/c"), Found::MethodNotAllowed(vec!["GET"]));
}

#[test]
fn a_bad_path_is_told_from_an_unknown_one() {
    let router = gets(&["/s/{sub.name}", "/m/{x=**}", "/u/*"]);
    let bad = |path| match router.find("GET", path) {
        Found::BadPath(error) => error.to_string(),
        other => panic!("{path}: {other:?}"),
    };
    assert!(bad("").contains("start with `/`") && bad("s/a").contains("start with `/`"));
    assert!(bad("/s/a%zz").ends_with("byte 4") && bad("/unknown/%").ends_with("byte 9"));
    assert!(bad("/s/%ff").contains("`sub.name`") && bad("/m/a/%C3").contains("`x`"));
    // Nobody asks for the text of these bytes, so nobody is hurt by them.
    assert_eq!(matched(&router, "GET", "/u/%ff").0, "/u/*");
    assert_eq!(router.find("GET", "/%ff"), Found::NotFound);
}

#[test]
fn a_conflict_names_both_and_changes_nothing() {
    let mut router = gets(&["/a/{x}"]);
    let conflict = router.insert("GET", template("/a/{y=*}"), "new").unwrap_err();
    assert_eq!((conflict.method(), conflict.template().to_string()), ("GET", "/a/{y=*}".to_owned()));
    assert_eq!(conflict.existing().to_string(), "/a/{x}");
    assert!(conflict.to_string().contains("GET `/a/{y=*}` matches the same requests as GET `/a/{x}`"));
    assert_eq!(matched(&router, "GET", "/a/1").0, "/a/{x}");
    assert!(router.insert("POST", template("/a/{y}"), "post").is_ok());
    for text in ["/a/**/b", "/a/**/c/b", "/a/**/b:v", "/a/*/b:v"] {
        assert!(router.insert("GET", template(text), text).is_ok());
        assert!(router.insert("GET", template(text), text).is_err());
    }
}

#[test]
fn hostile_paths_cost_little() {
    let router = gets(&["/a/**/b", "/a/*/**/b", "/*/a/**/c", "/{x=**}:v:w", "/a/*/a/*/a/*/z", "/*/a/*/a/*/a/y"]);
    for path in ["/a".repeat(20_000), "/:".repeat(20_000), format!("/{}", ":v".repeat(20_000)), "/".repeat(40_000)] {
        let _ = router.find("GET", &path);
    }
}
