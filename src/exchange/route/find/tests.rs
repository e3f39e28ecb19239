//! Which route a request takes: a table, and any routes against a search that tries them all.

use super::*;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::exchange::route::Action;

fn spec(host: Option<&str>, path: &str) -> RouteSpec {
    RouteSpec {
        host: host.map(str::to_owned),
        path: path.to_owned(),
        action: Action::RedirectToHttps { port: 443 },
    }
}

fn request(host: Option<&str>, target: &str) -> ClientRequest {
    ClientRequest {
        host: host.map(|host| host.as_bytes().to_vec()),
        target: target.as_bytes().to_vec(),
        ..ClientRequest::example("GET")
    }
}

#[test]
fn the_most_exact_host_and_then_the_longest_path_win() {
    let specs = [
        spec(None, "/"),                          // 0
        spec(None, "/api"),                       // 1
        spec(None, "/api/v1/"),                   // 2
        spec(None, "/api-x"),                     // 3
        spec(Some("www.example.org"), "/api"),    // 4
        spec(Some("*.example.org"), "/"),         // 5
        spec(Some("*.deep.example.org"), "/one"), // 6
        spec(Some("[2001:db8::7]"), "/"),         // 7
        spec(Some("10.0.0.7"), "/"),              // 8
        spec(None, "/api/"),                      // 9: never, 1 is the same
        spec(None, "/%7eadmin"),                  // 10
    ];
    let routes = Routes::new(&specs);
    let www = "www.example.org";
    let long = format!("{}.example.org", "a.".repeat(200));
    let cases = [
        (None, "/", 0),
        (None, "/api", 1),
        (None, "/api/", 1),
        (None, "/api/x", 1),
        (None, "/api?q", 1),
        (None, "/apix", 0),
        (None, "/API", 0),
        (None, "/api-x/y", 3),
        (None, "/api-y", 0),
        (None, "/api/v1", 2),
        (None, "/api/v1/x", 2),
        (None, "/api/v10", 1),
        (None, "/x?/../api", 0),
        (None, "*", 0),
        // As the backend will understand it.
        (None, "/x/../api", 1),
        (None, "/api/../x", 0),
        (None, "/%61pi", 1),
        (None, "/%2E%2e/api", 1),
        (None, "/api%2fv1", 0),
        (None, "/~admin", 10),
        (None, "//api", 0),
        // By host.
        (Some(www), "/api", 4),
        (Some("WWW.Example.ORG.:8080"), "/api/x", 4),
        (Some(www), "/apix", 5),
        (Some(www), "*", 5),
        (Some("www.example.org.."), "/api", 1),
        (Some("a.b.example.org"), "/api", 5),
        (Some("a.deep.example.org"), "/one/x", 6),
        (Some("a.deep.example.org"), "/two", 5),
        (Some("deep.example.org"), "/one", 5),
        (Some("example.org"), "/api", 1),
        (Some("wwwexample.org"), "/", 0),
        (Some(&long), "/", 0),
        (Some(""), "/api", 1),
        (Some("[2001:DB8:0::7]:80"), "/api", 7),
        (Some("[2001:db8::8]"), "/api", 1),
        (Some("10.0.0.7:80"), "/api", 8),
    ];
    for (host, target, wanted) in cases {
        let found = routes.find(&request(host, target));
        assert_eq!(found, Some(wanted), "{host:?} {target}");
    }
}

#[test]
fn what_no_route_is_for_is_found_by_none() {
    assert_eq!(Routes::new(&[]).find(&request(Some("a"), "/")), None);
    let routes = Routes::new(&[spec(Some("a"), "/"), spec(None, "/x")]);
    for (host, target) in [(None, "/"), (Some("b"), "/"), (Some("b"), "*")] {
        let found = routes.find(&request(host, target));
        assert_eq!(found, None, "{host:?} {target}");
    }
}

/// How well a route fits, by the sentences of the doc and nothing clever: the length of what it
/// says of the host, then of the path. None: not at all.
fn fit(spec: &RouteSpec, host: Option<&str>, segments: &[&str]) -> Option<(usize, usize, usize)> {
    let (kind, n_labels) = match (spec.host.as_deref(), host) {
        (None, _) => (0, 0),
        (Some(_), None) => return None,
        (Some(wanted), Some(host)) => {
            let host = host.split(':').next()?.to_lowercase();
            match wanted.strip_prefix('*') {
                Some(end) => (host.ends_with(end)).then_some((1, end.len()))?,
                None => (host == wanted).then_some((2, 0))?,
            }
        }
    };
    let wanted: Vec<_> = spec.path.split('/').filter(|s| !s.is_empty()).collect();
    segments
        .starts_with(&wanted)
        .then_some((kind, n_labels, wanted.len()))
}

/// What is meant by segments with dots and other spellings.
fn meant(spelt: &[&'static str]) -> Vec<&'static str> {
    let mut meant = Vec::new();
    for &segment in spelt {
        match segment {
            "." | "%2e" => {}
            ".." | ".%2E" => drop(meant.pop()),
            "%61" => meant.push("a"),
            segment => meant.push(segment),
        }
    }
    meant
}

/// The trick: few hosts and segments, so that many routes fit a request and differ in little.
#[test]
fn the_search_finds_what_trying_all_finds() {
    let host = prop::sample::select(vec![
        "a.b", "*.b", "c.a.b", "*.a.b", "b", "*.c.a.b", "A.B:80", "d.c.a.b",
    ]);
    let path = prop::collection::vec(prop::sample::select(vec!["a", "aa", "b", "a-a"]), 0..4);
    let spec_host = host
        .clone()
        .prop_map(|host| host.to_lowercase().replace(":80", ""));
    let specs = prop::collection::vec((prop::option::of(spec_host), path), 0..12);
    let spelt = vec!["a", "aa", "b", "a-a", ".", "..", "%61", "%2e", ".%2E"];
    let target = prop::collection::vec(prop::sample::select(spelt), 0..5);
    let host = host.prop_map(|host| host.replace('*', "x"));
    let made = (specs, prop::option::of(host), target);
    let config = Config {
        failure_persistence: None,
        cases: 2000,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&made, |(specs, host, target)| {
        let specs: Vec<_> = specs
            .iter()
            .map(|(host, path)| spec(host.as_deref(), &format!("/{}", path.join("/"))))
            .collect();
        let segments = meant(&target);
        let fits = |spec: &RouteSpec| fit(spec, host.as_deref(), &segments);
        let best = specs.iter().filter_map(fits).max();
        let wanted = best.and_then(|best| specs.iter().position(|spec| fits(spec) == Some(best)));
        let target = format!("/{}", target.join("/"));
        let found = Routes::new(&specs).find(&request(host.as_deref(), &target));
        prop_assert_eq!(found, wanted, "{}", target);
        Ok(())
    });
    result.expect("the search agrees with the trial of all");
}
