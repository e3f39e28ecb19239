//! Routes that are wrong or lead nowhere, and every line that is said of them.

use super::{POOL, faults};

#[test]
fn pools_and_routes_that_nothing_gets_to_are_told() {
    let cases: [(&str, &[&str]); 8] = [
        (
            "",
            &["1: no pool; want [pool.NAME] with backends = [\"http://HOST:PORT\"]"],
        ),
        ("pool = 3", &["1: pool is 3; want tables [pool.NAME]"]),
        (
            "pool.web = 3",
            &["1: pool.web is 3; want a table [pool.web]"],
        ),
        (
            "[pool.web]",
            &["1: pool web has no backend; want backends = [\"http://HOST:PORT\"]"],
        ),
        (
            "[pool.a]\nbackends=['http://a']\n[pool.b]\nbackends=['http://a']",
            &["3: 2 pools and no route; want [[route]] to each"],
        ),
        (
            "[pool.a]\nbackends=['http://a']\n[pool.b]\nbackends=['http://a']\n[[route]]\npool='a'",
            &["3: no route to pool b; want [[route]] with pool = \"b\""],
        ),
        (
            "[pool.a]\nbackends='http://a'\n[[route]]\npool='b'",
            &["4: there is no pool \"b\"; want one of: a"],
        ),
        (
            "[pool.a]\nbackends='http://a'\n[[route]]\npool='a'\n[[route]]\nhost='b'\npool='a'\n\
             [[route]]\npath='/'\npool='a'\n[[route]]\nhost='b'\nredirect='https'",
            &[
                "8: no request gets to this route: line 3 has the same host and path; want \
                 another of them",
                "11: no request gets to this route: line 5 has the same host and path; want \
                 another of them",
            ],
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(faults(text), wanted, "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_route_is_told_with_its_line() {
    let frames = "want another field: this one frames the message or its connection";
    let cases = [
        (
            "host = \"A.org\"",
            "host is \"A.org\"; want it in lower case: a.org",
        ),
        (
            "path = \"api\"",
            "path is \"api\"; want a path that begins with /, as in /api",
        ),
        (
            "strip_prefix = true\nreplace_prefix = \"/\"",
            "replace_prefix does not go with strip_prefix; want one or the other",
        ),
        (
            "strip = true",
            "unknown key strip; want host, path, pool, strip_prefix, \
             replace_prefix, set_fields, remove_fields, set_response_fields, \
             remove_response_fields, redirect",
        ),
        ("set_field = {}", "unknown key set_field; want set_fields"),
        (
            "set_fields = \"a\"",
            "set_fields is \"a\"; want a table, as in { \"X-Api\" = \"1\" }",
        ),
        (
            "set_fields = { TE = \"1\" }",
            &format!("set_fields has \"TE\"; {frames}"),
        ),
        ("set_fields = { A = 1 }", "A is 1; want a string"),
        (
            "set_fields = { A = \"a\\u0000\" }",
            "A is \"a\\0\"; want a text without control bytes, and without blanks around it",
        ),
        (
            "set_fields = { A = \"1\", a = \"2\" }",
            "set_fields has a twice; give each field once, whatever its case",
        ),
        (
            "remove_response_fields = [\"Content-Length\"]",
            &format!("remove_response_fields has \"Content-Length\"; {frames}"),
        ),
        (
            "remove_fields = \"Host\"",
            "remove_fields is \"Host\"; want Host in set_fields: no request goes without it",
        ),
        (
            "redirect = \"https\"",
            "pool does not go with redirect; want one or the other",
        ),
    ];
    for (text, wanted) in cases {
        let text = format!("{POOL}[[route]]\npool = \"web\"\n{text}");
        let lines = faults(&text);
        assert_eq!(lines.len(), 1, "{text}: {lines:?}");
        let (_, line) = lines[0].split_once(": ").expect("a number comes first");
        assert_eq!(line, wanted, "{text}");
    }
    let lines = faults(&format!("{POOL}[[route]]\nredirect = \"http\"\n[[route]]"));
    let wanted = [
        "5: redirect is \"http\"; want https or https:PORT, as in https:8443",
        "6: a route to nowhere; want pool = \"NAME\" or redirect = \"https\"",
    ];
    assert_eq!(lines, wanted);
}
