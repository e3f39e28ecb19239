//! The admin listener's page in a real browser, by its real buttons.

use serde_json::Value;

use crate::balancer::{Balancer, start_demo_backend};
use crate::peer::{Folder, Peer, free_addr};
use crate::plain::get;
use crate::webdriver::Browser;

/// A backend's name that is markup, should it ever be taken for it.
const NAME: &str = "<b/id=forged>web1</b>";

/// What the page says of the backend above.
const ROW: &str = "[...document.querySelectorAll('#rows tr')]\
                   .find((row) => row.textContent.includes('forged'))";

/// Two backends, one of them with a forged name, and the balancer; the admin address.
fn start(folder: &Folder, options: &[&str]) -> (Balancer, [Peer; 2], String) {
    let backends = [start_demo_backend(folder), start_demo_backend(folder)];
    let forged = format!("http://{},name={NAME}", backends[0].addr);
    let admin = free_addr().to_string();
    let more = ["--admin", &admin, "--backend", &forged];
    let balancer = Balancer::start(&[backends[1].addr], &[options, &more].concat());
    (balancer, backends, admin)
}

fn mode_at(admin: &str) -> Value {
    let addr = admin.parse().expect("an address was chosen");
    let status: Value =
        serde_json::from_slice(&get(addr, "/status", &[]).content).expect("the status is JSON");
    let backends = status["pools"][0]["backends"].as_array().cloned();
    let mut backends = backends.unwrap_or_default().into_iter();
    let forged = backends.find(|backend| backend["name"] == NAME);
    forged.expect("it is there")["mode"].clone()
}

/// The goal: live rows; Drain and Enable do what they say, in the page and in the balancer; text of
/// others stays text; nobody outside is asked, and the console is silent. The trick: buttons are
/// pressed where a user would, so that a covered or hidden one fails.
#[test]
fn the_page_shows_what_goes_on_and_its_buttons_drain_and_enable() {
    let folder = Folder::new();
    let Some(browser) = Browser::start(&folder) else {
        return;
    };
    let (balancer, _backends, admin) = start(&folder, &["--workers", "5"]);
    let url = format!("http://{admin}/");
    browser.open(&url);
    browser.await_value("document.getElementById('contact').textContent", "live");
    browser.await_value("document.querySelectorAll('#rows tr').length", 2);
    browser.await_value("document.querySelectorAll('#lanes li').length", 5);
    for _ in 0..10 {
        assert_eq!(get(balancer.addr, "/hello", &[]).status, 200);
    }
    // The exchanges arrive in the sums without a reload.
    let sums = "document.getElementById('totals').textContent";
    browser.await_that(sums, |text| {
        text.as_str()
            .is_some_and(|text| text.starts_with("exchanges10"))
    });

    let button = format!("{ROW}.querySelector('button').textContent");
    let state = format!("{ROW}.children[2].textContent");
    browser.run(&format!("{ROW}.querySelector('button').id = 'pressed'"));
    browser.await_value(&button, "Drain");
    // Behind a proxy that sends another Host no change would be taken, and none is offered.
    let hidden = format!("{ROW}.querySelector('button').hidden");
    let elsewhere = format!("(latest.host = 'elsewhere', show(), {hidden})");
    browser.await_value(&elsewhere, true);
    browser.await_value(&hidden, false); // the next look
    browser.press("#pressed");
    browser.await_value(&button, "Enable");
    browser.await_value(&state, "updrained");
    assert_eq!(mode_at(&admin), "drained");
    browser.await_that("document.getElementById('said').textContent", |said| {
        said.as_str()
            .is_some_and(|said| said.contains("is drained"))
    });
    // It is the same button, and still has the focus: a keyboard goes on from there.
    browser.await_value("document.activeElement.id", "pressed");
    browser.press("#pressed");
    browser.await_value(&button, "Drain");
    browser.await_value(&state, "up");
    assert_eq!(mode_at(&admin), "enabled");

    browser.await_value("document.getElementById('forged')", Value::Null);
    assert_eq!(browser.console(), [""; 0]);
    let asked = browser.asked_for();
    let is_ours = |asked: &String| asked.starts_with(&url) || asked.starts_with("data:image/");
    assert!(!asked.is_empty() && asked.iter().all(is_ours), "{asked:?}");
}

#[test]
fn a_request_is_played_in_slow_motion_step_by_step() {
    // Goal: "Next sampled" waits for a request and plays it to its end, over the threads and the
    // channel that it really went through; Back and Step move by one. Trick: nothing is asked of
    // the balancer until the page waits.
    let folder = Folder::new();
    let Some(browser) = Browser::start(&folder) else {
        return;
    };
    let (balancer, _backends, admin) = start(&folder, &[]);
    browser.open(&format!("http://{admin}/"));
    browser.await_value("document.getElementById('contact').textContent", "live");
    // More than 24 threads are a grid.
    browser.await_value("document.querySelectorAll('.cell').length", 64);
    browser.press("#next-sampled");
    let said = "document.getElementById('motion-said').textContent.slice(0, 7)";
    browser.await_value(said, "Waiting");
    browser.await_that("document.getElementById('player').hidden", |hidden| {
        let target = "/%3Cimg%20id=forged%20src=x%3E";
        assert_eq!(get(balancer.addr, target, &[]).status, 200);
        *hidden == false
    });
    let n_steps = browser.run("return document.querySelectorAll('#steps li').length");
    let n_steps = n_steps.as_u64().expect("a number");
    assert!(n_steps >= 5, "{n_steps} steps");
    let steps = browser.run("return document.getElementById('steps').textContent");
    let steps = steps.as_str().expect("text");
    for wanted in [
        "waiter",
        "worker-",
        "queue",
        "head complete",
        "picked",
        "done",
    ] {
        assert!(steps.contains(wanted), "{wanted} in {steps}");
    }
    browser.run("const s = document.getElementById('speed'); s.value = '4'");
    let at = "[...document.querySelectorAll('#steps li')].findIndex((n) => n.ariaCurrent) + 1";
    browser.await_value(at, n_steps);
    browser.await_value("document.getElementById('play').textContent", "Play");
    browser.press("#back");
    browser.await_value(at, n_steps - 1);
    browser.press("#step");
    browser.await_value(at, n_steps);
    browser.press("#first");
    browser.await_value(at, 1);
    browser.await_value("document.getElementById('forged')", Value::Null);
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn the_page_asks_for_the_token_and_says_when_contact_is_lost() {
    let folder = Folder::new();
    let Some(browser) = Browser::start(&folder) else {
        return;
    };
    let token = folder.write("token", "s3cret");
    let token = token.display().to_string();
    let (balancer, _backends, admin) = start(&folder, &["--admin-token-file", &token]);
    browser.open(&format!("http://{admin}/"));
    browser.await_value("document.activeElement.id", "secret");
    browser.await_value("document.getElementById('all').hidden", true);
    browser.enter("#secret", "wrong\n");
    let refused = "document.getElementById('refused').textContent";
    browser.await_value(refused, "this is not the token");
    browser.enter("#secret", "s3cret");
    browser.press("#token button");
    browser.await_value("document.querySelectorAll('#rows tr').length", 2);
    browser.await_value("document.getElementById('contact').textContent", "live");
    drop(balancer);
    let contact = "document.getElementById('contact').textContent";
    browser.await_value(contact, "lost contact");
    let lost = "document.getElementById('lost').textContent";
    browser.await_that(lost, |lost| {
        lost.as_str().is_some_and(|lost| lost.contains(" since "))
    });
}
