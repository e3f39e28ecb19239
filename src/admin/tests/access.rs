//! Who is let in, with what content, and where a token is needed.

use super::*;

use crate::intake::ListenAt;

#[test]
fn content_has_a_longest_length_and_one_media_type() {
    let api = Api::new();
    let padded = |n: usize| format!("{{{}}}", " ".repeat(n - 2));
    assert_eq!(api.ask("POST", "/reload", &padded(64 * 1024)).status, 200);
    let got = api.ask("POST", "/reload", &padded(64 * 1024 + 1));
    assert_eq!((got.status, got.ending), (413, Some(Ending::Close)));
    assert!(
        got.head.ends_with("\r\nConnection: close\r\n"),
        "{}",
        got.head
    );
    let host = "Host: 127.0.0.1:9901";
    let rows = [
        (200, "Content-Type: application/json", "{}"),
        (200, "Content-Type: Application/JSON; charset=utf-8", "{}"),
        (415, "Content-Type: text/plain", "{}"),
        (415, "Content-Type: application/x-www-form-urlencoded", ""),
        (415, "Content-Type: application/jsonx", "{}"),
        (415, "X: y", "{}"),
        (200, "X: y", ""),
    ];
    for (status, line, content) in rows {
        let got = api.ask_with("POST", "/reload", &[host, line], content);
        assert_eq!(got.status, status, "{line} {content}");
        let is_unread = status == 415 && !content.is_empty();
        let ending = if is_unread {
            Ending::Close
        } else {
            Ending::Keep
        };
        assert_eq!(got.ending, Some(ending), "{line} {content}");
    }
}

#[test]
fn pages_of_other_origins_are_kept_out() {
    let api = Api::new();
    let rows: [(u16, &[&str]); 17] = [
        (200, &["Host: 127.0.0.1:9901"]),
        (200, &["Host: 127.0.0.1"]),
        (200, &["Host: [::1]:9901"]),
        (200, &["Host: LOCALHOST:9901"]),
        (421, &["Host: localhost.evil.example"]),
        (421, &["Host: evil.example:9901"]),
        (421, &["Host: 127.0.0.1.evil.example"]),
        (421, &["Host: "]),
        (
            200,
            &["Host: localhost:9901", "Origin: http://localhost:9901"],
        ),
        (
            403,
            &["Host: localhost:9901", "Origin: http://localhost:8080"],
        ),
        (
            403,
            &["Host: localhost:9901", "Origin: http://127.0.0.1:9901"],
        ),
        (403, &["Host: localhost:9901", "Origin: null"]),
        (403, &["Host: localhost:9901", "Origin: "]),
        (
            200,
            &["Host: localhost:9901", "Sec-Fetch-Site: same-origin"],
        ),
        (200, &["Host: localhost:9901", "Sec-Fetch-Site: none"]),
        (403, &["Host: localhost:9901", "Sec-Fetch-Site: same-site"]),
        (403, &["Host: localhost:9901", "Sec-Fetch-Site: cross-site"]),
    ];
    for (status, lines) in rows {
        for (method, target) in [("GET", "/status"), ("POST", "/reload")] {
            let got = api.ask_with(method, target, lines, "");
            assert_eq!(got.status, status, "{method} {lines:?}");
        }
    }
    let n_good = rows.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(
        api.site.orders().len(),
        n_good,
        "a refused one does nothing"
    );
}

#[test]
fn with_a_token_only_who_shows_it_is_let_in_under_any_name() {
    let token = Token::new(" s3cret-token\n").expect("a good token");
    assert_eq!(token.authorization(), "Bearer s3cret-token");
    assert_eq!(format!("{token:?}"), "Token(…)");
    let api = Api::with(Some(token), |_| ());
    let rows: [(u16, &[&str]); 10] = [
        (401, &[]),
        (200, &["Authorization: Bearer s3cret-token"]),
        (200, &["Authorization: bearer  s3cret-token "]),
        (401, &["Authorization: Bearer s3cret-tokem"]),
        (401, &["Authorization: Bearer s3cret-toke"]),
        (401, &["Authorization: Bearer s3cret-token1"]),
        (401, &["Authorization: Bearer "]),
        (401, &["Authorization: Basic s3cret-token"]),
        (401, &["Authorization: s3cret-token"]),
        (
            401,
            &[
                "Authorization: Bearer s3cret-token",
                "Authorization: Bearer x",
            ],
        ),
    ];
    for (status, lines) in rows {
        let lines = [&["Host: lb.example"], lines].concat();
        let got = api.ask_with("POST", "/reload", &lines, "");
        assert_eq!(got.status, status, "{lines:?}");
        let asks = got.head.contains("\r\nWWW-Authenticate: Bearer\r\n");
        assert_eq!(asks, status == 401);
    }
    let lines = [
        "Host: a",
        "Authorization: Bearer s3cret-token",
        "Origin: http://b",
    ];
    assert_eq!(api.ask_with("POST", "/reload", &lines, "").status, 403);
    for bad in ["", " \n", "two words", "t\u{f6}ken", &"x".repeat(4097)] {
        assert!(Token::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_link_of_another_origin_leads_to_the_page_and_to_nothing_else() {
    // Goal: a link may stand anywhere; frames, pictures, scripts and forms of others are kept out,
    // and so is a link to anything but the page. Trick: as browsers say it of each.
    let token = Token::new("s3cret-token").expect("a good token");
    let apis = [Api::new(), Api::with(Some(token), |_| ())];
    let site = "Sec-Fetch-Site: cross-site";
    let (navigate, document) = ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document");
    let rows: [(u16, &[&str]); 6] = [
        (200, &["Sec-Fetch-Site: none", navigate, document]),
        (200, &[site, navigate, document]),
        (403, &[site, navigate, "Sec-Fetch-Dest: iframe"]),
        (
            403,
            &[site, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
        ),
        (
            403,
            &[site, "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"],
        ),
        (
            403,
            &[site, navigate, document, "Origin: http://evil.example"],
        ),
    ];
    for (status, lines) in rows {
        let lines = [&["Host: 127.0.0.1:9901"], lines].concat();
        for api in &apis {
            let got = api.ask_with("GET", "/", &lines, "");
            assert_eq!(got.status, status, "{lines:?}");
            if lines.contains(&site) {
                assert_eq!(api.ask_with("GET", "/status", &lines, "").status, 403);
                assert_eq!(api.ask_with("POST", "/reload", &lines, "").status, 403);
                assert_eq!(api.ask_with("POST", "/", &lines, "").status, 403);
            }
        }
    }
    let elsewhere = ["Host: evil.example", site, navigate, document];
    assert_eq!(apis[0].ask_with("GET", "/", &elsewhere, "").status, 421);
    assert_eq!(
        apis[1]
            .ask_with("HEAD", "/", &["Host: lb.example"], "")
            .status,
        200
    );
}

#[test]
fn only_where_nobody_else_can_come_is_no_token_needed() {
    let tcp = |text: &str| ListenAt::Tcp(text.to_owned());
    for text in ["127.0.0.1:9901", "127.9.9.9:0", "[::1]:9901"] {
        assert!(!needs_token(&tcp(text)), "{text}");
    }
    for text in [
        "0.0.0.0:9901",
        "[::]:9901",
        "192.0.2.1:1",
        "localhost:9901",
        "a.example:1",
    ] {
        assert!(needs_token(&tcp(text)), "{text}");
    }
    assert!(!needs_token(&ListenAt::Unix("/run/a".into())));
    assert!(needs_token(&ListenAt::Systemd(None)));
}
