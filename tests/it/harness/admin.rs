//! A balancer with its admin API, and the requests to it.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;

use super::client::{Answer, Client};
use super::threadbare::Threadbare;

pub struct Admin {
    pub threadbare: Threadbare,
    pub at: SocketAddr,
}

impl Admin {
    /// Before these backends, with the API on a free port of the loopback.
    #[track_caller]
    pub fn before(backends: &[SocketAddr], options: &[&str]) -> Self {
        let options = [options, &["--admin", "127.0.0.1:0"]].concat();
        Self::of(Threadbare::before(backends, &options))
    }

    /// One that runs a file which says nothing of the API.
    #[track_caller]
    pub fn with_file(path: &str) -> Self {
        Self::of(Threadbare::start(&[
            "--config",
            path,
            "--admin",
            "127.0.0.1:0",
        ]))
    }

    /// One that was started with `--admin`, on an address.
    #[track_caller]
    pub fn of(threadbare: Threadbare) -> Self {
        let line = threadbare.await_line("admin API on ");
        let (_, at) = line
            .split_once("admin API on ")
            .expect("the line was found by this");
        let at: SocketAddr = at.parse().expect("an address follows");
        Self { threadbare, at }
    }

    /// Sends a request with these field lines, on a connection of its own.
    #[track_caller]
    pub fn ask_with(&self, method: &str, path: &str, fields: &[&str], content: &str) -> Answer {
        ask(self.at, method, path, fields, content)
    }

    /// Sends a request; content is JSON.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, content: &str) -> (u16, Value) {
        told(&self.ask_with(method, path, json_fields(content), content))
    }

    /// The same, in a thread of its own: it may take as long as a test lasts.
    pub fn ask_later(
        &self,
        method: &'static str,
        path: &str,
        content: &'static str,
    ) -> Receiver<(u16, Value)> {
        let (sender, answers) = channel();
        let (at, path) = (self.at, path.to_owned());
        thread::spawn(move || {
            let mut client = Client::connect(at);
            let wait = client.0.set_patience(None);
            client.send(request(at, method, &path, json_fields(content), content));
            // The test may be over, and the balancer with it.
            if let (Ok(()), Ok(answer)) = (wait, client.try_answer(method)) {
                let _ = sender.send(told(&answer));
            }
        });
        answers
    }

    /// A GET that must succeed.
    #[track_caller]
    pub fn see(&self, path: &str) -> Value {
        let (status, value) = self.ask("GET", path, "");
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    /// A backend of the default pool.
    #[track_caller]
    pub fn backend(&self, name: impl ToString) -> Value {
        self.see(&backend_path(name))
    }

    /// A POST about a backend of the default pool that must succeed. Whether it changed anything.
    #[track_caller]
    pub fn change(&self, name: impl ToString, verb: &str, content: &str) -> bool {
        let path = format!("{}/{verb}", backend_path(name));
        let (status, value) = self.ask("POST", &path, content);
        assert_eq!(status, 200, "{path}: {value}");
        value["changed"].as_bool().expect("it says so")
    }
}

#[allow(clippy::needless_pass_by_value)] // an address and a name are told alike
pub fn backend_path(name: impl ToString) -> String {
    format!("/pools/default/backends/{}", name.to_string())
}

/// Sends a request on a connection of its own, and takes the whole answer.
#[track_caller]
pub fn ask(at: SocketAddr, method: &str, path: &str, fields: &[&str], content: &str) -> Answer {
    let mut client = Client::connect(at);
    client.send(request(at, method, path, fields, content));
    client.answer_to(method)
}

/// Fields without Host say it of `at`.
pub fn request(at: SocketAddr, method: &str, path: &str, fields: &[&str], content: &str) -> String {
    let mut lines = vec![format!("{method} {path} HTTP/1.1")];
    if !fields.iter().any(|field| field.starts_with("Host:")) {
        lines.push(format!("Host: {at}"));
    }
    lines.extend(fields.iter().map(|field| (*field).to_owned()));
    if !content.is_empty() {
        lines.push(format!("Content-Length: {}", content.len()));
    }
    lines.join("\r\n") + "\r\n\r\n" + content
}

fn json_fields(content: &str) -> &'static [&'static str] {
    match content {
        "" => &[],
        _ => &["Content-Type: application/json"],
    }
}

/// The status, and what the content says.
#[track_caller]
fn told(answer: &Answer) -> (u16, Value) {
    let value = serde_json::from_slice(&answer.content);
    let value = value.unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    (answer.status, value)
}
