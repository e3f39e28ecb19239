//! The demo: three small backends, each a process of its own, so that one can really be killed.
//!
//! Each runs `threadbare demo-backend`: our own listener and queue before a few threads that
//! answer. They end with the balancer, even if that is killed, because they watch the pipe to it.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use crate::intake::check::Limits;
use crate::intake::tiny::TinyListener;
use crate::intake::{Client, Ending, Job, Jobs, queue};
use crate::pool::BackendUrl;
use crate::process::shell;

/// Set for the backends that the demo starts: their name. It also tells them to end with us.
const NAME_VARIABLE: &str = "THREADBARE_DEMO_NAME";
/// Backends of the demo.
const N_BACKENDS: usize = 3;
/// Threads that answer in each of them.
const N_ANSWERERS: usize = 4;
/// Requests that may wait in a backend.
const QUEUE_CAPACITY: usize = 1024;
/// How long an idle connection of the balancer is kept, and how long a request may wait.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The demo's backends; killed when dropped.
pub struct Demo {
    backends: Vec<DemoBackend>,
}

struct DemoBackend {
    name: String,
    address: String,
    process: Child,
}

impl Demo {
    /// Starts the backends on free ports.
    pub fn start() -> io::Result<Demo> {
        let mut demo = Demo {
            backends: Vec::new(),
        };
        for n in 1..=N_BACKENDS {
            let name = format!("b{n}");
            let mut process = Command::new(std::env::current_exe()?)
                .args(["demo-backend", "--listen", "127.0.0.1:0"])
                .env(NAME_VARIABLE, &name)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                // Ctrl-C reaches all of the terminal's foreground group; the backends must live
                // until the balancer has answered what is in flight.
                .process_group(0)
                .spawn()?;
            let stdout = process.stdout.take().expect("it was asked for");
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line)?;
            let address = line
                .trim()
                .rsplit(' ')
                .next()
                .unwrap_or_default()
                .to_owned();
            demo.backends.push(DemoBackend {
                name,
                address,
                process,
            });
        }
        Ok(demo)
    }

    /// Where the backends are.
    pub fn urls(&self) -> Result<Vec<BackendUrl>, String> {
        let url = |backend: &DemoBackend| BackendUrl::parse(&format!("http://{}", backend.address));
        self.backends.iter().map(url).collect()
    }

    /// What runs, and what to type next.
    pub fn describe(&self, listen: &str) -> String {
        let mut lines = vec![format!(
            "threadbare listens on http://{listen}/ before three backends:"
        )];
        for DemoBackend {
            name,
            address,
            process,
        } in &self.backends
        {
            lines.push(format!("  {name}  http://{address}/  PID {}", process.id()));
        }
        let DemoBackend {
            name,
            address,
            process,
        } = &self.backends[0];
        lines.push("Try, in another terminal:".to_owned());
        let hints = [
            (
                format!("curl http://{listen}/hello"),
                "a few times: the turn goes round".to_owned(),
            ),
            (
                format!("kill {}", process.id()),
                format!("{name} is gone, and no request is lost"),
            ),
            (
                format!("{} demo-backend --listen {address}", this_program()),
                "brings it back".to_owned(),
            ),
        ];
        let width = hints.iter().map(|(command, _)| command.chars().count());
        let width = width.max().unwrap_or_default();
        for (command, effect) in hints {
            lines.push(format!("  {command:<width$}   {effect}"));
        }
        lines.push("Ctrl-C here stops gracefully.\n".to_owned());
        lines.join("\n")
    }
}

/// What to type for this program, in whatever folder: its name if it was found by that, else its
/// whole path.
fn this_program() -> String {
    let typed = std::env::args().next();
    let is_name = |word: &String| !word.is_empty() && !word.contains('/');
    let path = || Some(std::env::current_exe().ok()?.to_str()?.to_owned());
    let word = typed.filter(is_name).or_else(path);
    shell::quoted(word.as_deref().unwrap_or("threadbare"))
}

impl Drop for Demo {
    fn drop(&mut self) {
        for DemoBackend { process, .. } in &mut self.backends {
            let _ = process.kill(); // an error: it is gone already
            let _ = process.wait();
        }
    }
}

/// Runs one backend in the foreground. Returns only with an error, or when the demo is gone.
pub fn run_backend(listen: &str) -> io::Result<()> {
    let listener = TinyListener::bind(listen, TIMEOUT, Limits::default())?;
    let (queue, jobs, refusals) = queue(QUEUE_CAPACITY, TIMEOUT);
    let name = std::env::var(NAME_VARIABLE).ok();
    let address = listener.address().to_string();
    println!("demo backend listening on {address}");
    let who = format!("{} ({address})", name.as_deref().unwrap_or("backend"));
    for n in 1..=N_ANSWERERS {
        let (jobs, who) = (jobs.clone(), who.clone());
        let builder = thread::Builder::new().name(format!("answer-{n}"));
        builder.spawn(move || answer_all(&jobs, &who))?;
    }
    // Nothing ever stops a backend but the end of its process, so both flags stay as they are.
    let never = Arc::new(AtomicBool::new(false));
    if name.is_some() {
        let builder = thread::Builder::new().name("listener".to_owned());
        builder.spawn(move || listener.run(queue, &never, &never))?;
        // The pipe to the demo ends when the demo does, however it ends.
        io::stdin().read_to_end(&mut Vec::new())?;
    } else {
        let ended = listener.run(queue, &never, &never);
        return Err(io::Error::other(format!("{ended:?}")));
    }
    drop(refusals); // held until now: what the queue refuses is cut
    Ok(())
}

/// The body of a backend's threads `answer-N`. Ends with the listener.
fn answer_all(jobs: &Jobs, who: &str) {
    while let Ok(job) = jobs.recv() {
        let mut next = Some(job);
        while let Some(Job {
            request,
            refusal,
            mut client,
            ..
        }) = next
        {
            let thread = thread::current();
            let thread = thread.name().unwrap_or_default();
            let target = request.target.escape_ascii();
            let text = match refusal {
                Some(refusal) => format!("{} {}\n", refusal.status, refusal.reason),
                None => format!(
                    "hello from {who}, thread {thread}: {} {target}\n",
                    request.method
                ),
            };
            let status = refusal.map_or("200 OK".to_owned(), |r| format!("{} Refused", r.status));
            let length = text.len();
            let content = if request.is_head() { "" } else { &text };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n\
                 {content}"
            );
            let is_complete = read_all(client.as_mut()) && client.write(answer.as_bytes()).is_ok();
            let ending = if is_complete && refusal.is_none() {
                Ending::Keep
            } else {
                Ending::Close
            };
            next = client.finish(ending);
        }
    }
}

fn read_all(client: &mut dyn Client) -> bool {
    let mut scratch = [0; 4096];
    loop {
        match client.read_content(&mut scratch) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(_) => return false, // the balancer, or its client, went away
        }
    }
}
