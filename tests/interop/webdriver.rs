//! Chromium by way of chromedriver: `WebDriver`, which is JSON over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::peer::{DEADLINE, Folder, Peer, find, free_addr, installed, wait};
use crate::plain::{read_head, send};
use crate::websocket::BROWSER_OPTIONS;

/// How long to wait before looking at the page again.
const PAUSE: Duration = Duration::from_millis(50);
/// What a browser that stays is not told to do.
const ONE_SHOT: &str = "--dump-dom";
/// The key of an element's id in the JSON of `WebDriver`.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window, that is closed when this is dropped.
pub struct Browser {
    driver: Peer,
    /// The path of its session; empty until it has one.
    session: String,
}

impl Browser {
    /// None, after a line that says why, where it is not installed.
    pub fn start(folder: &Folder) -> Option<Browser> {
        let driver = installed("chromedriver")?;
        let program = find("chromium").or_else(|| installed("chromium-browser"))?;
        let addr = free_addr();
        let mut command = Command::new(driver);
        command.arg(format!("--port={}", addr.port()));
        let mut browser = Browser {
            driver: Peer::start(command, addr, folder),
            session: String::new(),
        };
        let profile = folder.path().join("profile");
        let profile = format!("--user-data-dir={}", profile.display());
        let options = BROWSER_OPTIONS.iter().filter(|option| **option != ONE_SHOT);
        let more = ["--window-size=1280,1000", &profile];
        let options = options.chain(&more);
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"binary": program, "args": options.collect::<Vec<_>>()},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let begun = browser.order("POST", "/session", &wanted);
        let id = begun["sessionId"].as_str().expect("a session has an id");
        browser.session = format!("/session/{id}");
        Some(browser)
    }

    pub fn open(&self, url: &str) {
        self.order("POST", "/url", &json!({ "url": url }));
    }

    /// What a script returns.
    pub fn run(&self, script: &str) -> Value {
        self.order(
            "POST",
            "/execute/sync",
            &json!({"script": script, "args": []}),
        )
    }

    /// What an expression says, once it is true of `is`.
    #[track_caller]
    pub fn await_that(&self, expression: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let value = self.run(&format!("return {expression}"));
            if is(&value) {
                return value;
            }
            let is_late = begun.elapsed() >= DEADLINE;
            assert!(!is_late, "{expression} is still {value}");
            wait(PAUSE);
        }
    }

    /// Waits until an expression says this.
    #[track_caller]
    pub fn await_value(&self, expression: &str, wanted: impl Into<Value>) {
        let wanted = wanted.into();
        self.await_that(expression, |value| *value == wanted);
    }

    /// Presses the one element of a selector with the mouse, where a user would: what is hidden,
    /// disabled or below something else is an error.
    pub fn press(&self, selector: &str) {
        let element = self.find(selector);
        self.order("POST", &format!("{element}/click"), &json!({}));
    }

    /// Types into the one element of a selector.
    pub fn enter(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.order("POST", &format!("{element}/value"), &json!({"text": text}));
    }

    fn find(&self, selector: &str) -> String {
        let wanted = json!({"using": "css selector", "value": selector});
        let found = self.order("POST", "/element", &wanted);
        let id = found[ELEMENT].as_str().expect("an element has an id");
        format!("/element/{id}")
    }

    /// What its console has said since this was last asked.
    pub fn console(&self) -> Vec<String> {
        let entries = self.order("POST", "/se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries.iter().map(ToString::to_string).collect()
    }

    /// The URLs that were asked for since this was last asked, but for those of its own first page.
    pub fn asked_for(&self) -> Vec<String> {
        let entries = self.order("POST", "/se/log", &json!({"type": "performance"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let url = |entry: &Value| {
            let text = entry["message"].as_str()?;
            let message: Value = serde_json::from_str(text).ok()?;
            let message = &message["message"];
            let is_request = message["method"] == "Network.requestWillBeSent";
            let url = message["params"]["request"]["url"].as_str()?;
            let is_own = url.starts_with("chrome://");
            (is_request && !is_own).then(|| url.to_owned())
        };
        entries.iter().filter_map(url).collect()
    }

    fn order(&self, method: &str, path: &str, content: &Value) -> Value {
        let path = format!("{}{path}", self.session);
        let content = content.to_string();
        let fields = ["Content-Type: application/json"];
        let mut reader = send(self.driver.addr, method, &path, &fields, content.as_bytes());
        let head = read_head(&mut reader);
        // It closes no connection, whatever is asked of it, but tells all lengths.
        let length = head.values("Content-Length")[0].parse();
        let mut text = vec![0; length.expect("a length is a number")];
        let read = reader.read_exact(&mut text);
        read.expect("an answer is as long as it says");
        let value: Value = serde_json::from_slice(&text).expect("WebDriver speaks JSON");
        assert_eq!(head.status, 200, "{path} {content}: {value}");
        value["value"].clone()
    }
}

impl Drop for Browser {
    /// The driver dies by SIGKILL, which its browser would outlive.
    fn drop(&mut self) {
        let session = &self.session;
        let order =
            format!("DELETE {session} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        // A browser that is gone needs no goodbye.
        let _ = TcpStream::connect(self.driver.addr).and_then(|mut stream| {
            stream.set_read_timeout(Some(DEADLINE))?;
            stream.write_all(order.as_bytes())?;
            stream.read(&mut [0; 1024]) // it answers when the browser has ended
        });
    }
}
