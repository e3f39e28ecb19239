//! What lasts long outlives a reload that takes its backend away, or its whole pool.

use super::{Site, content, list, request, web};
use crate::harness::{Backend, Client, Conn, Cut, Framing, Gate, Pattern, ok};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                      Upgrade: echo\r\n\r\n";
const HALF: usize = 4_000_000;

/// Uploads, downloads, events and tunnels, each in two halves. The gate lies between those that the
/// backend sends.
fn lasting(gate: &Gate) -> Backend {
    let gate = gate.clone();
    Backend::start(move |mut conn: Conn| -> Result<(), Cut> {
        loop {
            let head = conn.head()?;
            match head.word(1) {
                "/upload" => {
                    let mut pattern = Pattern::new();
                    conn.content(head.request_framing()?, &mut |piece| pattern.check(piece))?;
                    conn.send(ok("taken"))?;
                }
                "/download" => {
                    let mut pattern = Pattern::new();
                    let length = 2 * HALF;
                    conn.send(format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
                    ))?;
                    conn.send(pattern.take(HALF))?;
                    gate.pass()?;
                    conn.send(pattern.take(HALF))?;
                }
                "/events" => {
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
                    conn.send(format!(
                        "{head}Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
                    ))?;
                    gate.pass()?;
                    conn.send("3\r\ntwo\r\n0\r\n\r\n")?;
                }
                "/tunnel" => {
                    conn.send(SWITCH)?;
                    loop {
                        let mut three = Vec::new();
                        let taken = conn.content(Framing::Sized(3), &mut |piece| {
                            three.extend_from_slice(piece);
                        });
                        if let Err(cut) = taken {
                            conn.note(format!("{cut:?}"));
                            return Ok(());
                        }
                        conn.send(three)?;
                    }
                }
                _ => conn.send(ok("old"))?,
            }
        }
    })
}

#[track_caller]
fn echo(client: &mut Client, three: &str) {
    client.send(three);
    assert_eq!(client.take(3).as_deref(), Ok(three.as_bytes()));
}

/// Four clients, each in the middle of something.
struct Lasting {
    upload: Client,
    pattern: Pattern,
    download: Client,
    events: Client,
    tunnel: Client,
}

impl Lasting {
    #[track_caller]
    fn begin(site: &Site, prefix: &str, old: &Backend) -> Self {
        let mut upload = site.client();
        let mut pattern = Pattern::new();
        upload.send(format!(
            "POST {prefix}/upload HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n",
            2 * HALF
        ));
        upload.send(pattern.take(HALF));
        let ask = |target: &str| {
            let mut client = site.client();
            client.send(request(&format!("{prefix}/{target}")));
            let head = client.head().expect("its head comes");
            assert_eq!(head.word(1), "200", "{head:?}");
            client
        };
        let download = ask("download");
        let mut events = ask("events");
        assert_eq!(events.chunk().as_deref(), Ok(&b"one"[..]));
        let mut tunnel = site.client();
        tunnel.send(format!(
            "GET {prefix}/tunnel HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\n\
             Upgrade: echo\r\n\r\n"
        ));
        let head = tunnel.head().expect("the backend switches");
        assert_eq!(head.word(1), "101", "{head:?}");
        echo(&mut tunnel, "one");
        old.await_requests(4);
        Self {
            upload,
            pattern,
            download,
            events,
            tunnel,
        }
    }

    /// The second half of each, whole, and the connection goes on.
    #[track_caller]
    fn finish(mut self, gate: &Gate, prefix: &str) {
        echo(&mut self.tunnel, "two");
        self.upload.send(self.pattern.take(HALF));
        assert_eq!(self.upload.answer().text(), "taken");
        gate.open();
        let taken = self.download.take(2 * HALF).expect("all of it comes");
        assert!(taken == Pattern::new().take(2 * HALF));
        assert_eq!(self.events.chunk().as_deref(), Ok(&b"two"[..]));
        assert_eq!(self.events.chunk().as_deref(), Ok(&b""[..]));
        echo(&mut self.tunnel, "end");
        for mut client in [self.upload, self.download, self.events] {
            assert_eq!(content(&mut client, &format!("{prefix}/")), "new");
        }
    }
}

#[test]
fn they_outlive_a_reload_that_takes_their_backend() {
    // Goal: upload, download, events and a tunnel go on to their ends, with every byte. Trick: each
    // is half-way when its backend goes, and goes on only afterwards.
    let gate = Gate::closed();
    let (old, new) = (lasting(&gate), Backend::answering("new"));
    let site = Site::start("lasting", &web("", &[("old", &old, "")]));
    let lasting = Lasting::begin(&site, "", &old);
    site.reload(&web("", &[("new", &new, "")]));
    site.threadbare.await_line("backend web/old is gone: ");
    assert_eq!(site.get("/"), "new");
    lasting.finish(&gate, "");
    old.await_note("Closed");
    site.threadbare.stop();
}

#[test]
fn they_outlive_a_reload_that_takes_their_pool() {
    // Goal and trick: as above; the route goes too, and several reloads come behind.
    let gate = Gate::closed();
    let (old, new) = (lasting(&gate), Backend::answering("new"));
    let one = web("", &[("new", &new, "")]);
    let two = format!(
        "{one}[pool.old]\n{}[[route]]\npool = \"web\"\n[[route]]\npath = \"/old\"\n\
         pool = \"old\"\nstrip_prefix = true\n",
        list(&[("old", &old, "")])
    );
    let site = Site::start("lasting-pool", &two);
    let lasting = Lasting::begin(&site, "/old", &old);
    let lines = site.reload(&one);
    assert_eq!(lines, ["- route /old to old", "- pool old"]);
    assert_eq!(site.get("/old"), "new");
    site.reload(&two);
    site.reload(&one);
    lasting.finish(&gate, "/old");
    old.await_note("Closed");
    site.threadbare.stop();
}

#[test]
fn a_request_waits_in_the_queue_over_a_reload() {
    // Goal: what was queued before the reload is served after it, by the new configuration. Trick:
    // the one worker is held by the backend that goes.
    let gate = Gate::closed();
    let (old, new) = (Backend::holding("old", &gate), Backend::answering("new"));
    let site = Site::start_with("queued", &web("", &[("old", &old, "")]), |command| {
        let options = [
            "--workers",
            "1",
            "--long-haul",
            "0",
            "--queue-timeout",
            "1h",
        ];
        command.args(options);
    });
    let mut held = site.client();
    held.send(request("/slow"));
    old.await_requests(1);
    let mut queued = site.client();
    queued.send(request("/"));
    site.reload(&web("", &[("new", &new, "")]));
    site.threadbare.await_line("backend web/old is gone: ");
    gate.open();
    assert_eq!(held.answer().text(), "old");
    assert_eq!(queued.answer().text(), "new");
}

#[test]
fn a_request_that_waits_for_room_takes_the_backend_that_comes() {
    // Goal: all are full, and a reload brings another: who waits takes it at once, and not the
    // queue's timeout. Trick: the full one is never free.
    let gate = Gate::closed();
    let (old, new) = (Backend::holding("old", &gate), Backend::answering("new"));
    let full = ("old", &old, ",max_connections=1");
    let settings = "health_interval = \"1h\"\n";
    let site = Site::start_with("room", &web(settings, &[full]), |command| {
        command.args(["--queue-timeout", "1h"]);
    });
    let mut held = site.client();
    held.send(request("/slow"));
    old.await_requests(1);
    let mut waiting = site.client();
    waiting.send(request("/"));
    site.reload(&web(settings, &[full, ("new", &new, "")]));
    assert_eq!(waiting.answer().text(), "new");
    gate.open();
    assert_eq!(held.answer().text(), "old");
}
