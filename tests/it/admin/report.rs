//! What the API tells: the shape of its JSON, by keys and kinds, and what stands in it.

use std::time::Instant;

use serde_json::Value;

use crate::harness::{Admin, Backend, DEADLINE, Folder, Gate, backend_path};

const STATUS: &[&str] = &["pid", "pools", "uptime_seconds", "version"];
const POOL: &[&str] = &["backends", "in_flight", "name", "policy", "requests"];
const BACKEND: &[&str] = &[
    "address",
    "backup",
    "cause",
    "failures",
    "forced",
    "in_flight",
    "max_connections",
    "mode",
    "name",
    "requests",
    "since_seconds",
    "state",
    "url",
    "weight",
];

#[track_caller]
fn assert_keys(value: &Value, wanted: &[&str]) {
    let object = value.as_object().expect("it is an object");
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, wanted, "{value}");
}

#[test]
fn status_has_the_process_and_all_pools_with_all_backends() {
    // Goal: exactly the documented keys, and true numbers. Trick: one request answered, one held,
    // so that no count is zero by accident.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let admin = Admin::before(&[backend.addr], &[]);
    assert_eq!(admin.threadbare.get("/").status, 200);
    let mut client = admin.threadbare.client();
    client.send("GET /slow HTTP/1.1\r\nHost: front.test\r\n\r\n");
    backend.await_requests(2);

    let status = admin.see("/status");
    assert_keys(&status, STATUS);
    assert_eq!(status["pid"], admin.threadbare.pid());
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["uptime_seconds"].as_f64() >= Some(0.0), "{status}");
    let pool = &status["pools"][0];
    assert_keys(pool, POOL);
    assert_eq!(
        (&pool["name"], &pool["policy"]),
        (&"default".into(), &"round-robin".into())
    );
    assert_eq!(
        (&pool["requests"], &pool["in_flight"]),
        (&2.into(), &1.into()),
        "{status}"
    );
    let told = &pool["backends"][0];
    assert_keys(told, BACKEND);
    assert_eq!(told["name"], backend.addr.to_string());
    assert_eq!(told["url"], backend.url());
    assert_eq!(told["address"], backend.addr.to_string());
    assert_eq!(
        (&told["mode"], &told["weight"]),
        (&"enabled".into(), &1.into())
    );
    assert_eq!(
        (&told["in_flight"], &told["requests"]),
        (&1.into(), &2.into())
    );
    assert_eq!(
        (&told["failures"], &told["backup"]),
        (&0.into(), &false.into())
    );
    assert!(
        told["forced"].is_null() && told["max_connections"].is_null(),
        "{told}"
    );
    gate.open();
    assert_eq!(client.answer().status, 200);
    admin.threadbare.stop();
}

#[test]
fn each_place_shows_a_part_of_the_same() {
    // Goal: /pools, /pools/POOL and /pools/POOL/backends/NAME agree with /status. Trick: two
    // pools, and a name that has to be encoded in a path.
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let folder = Folder::new();
    let file = folder.write(
        "two.toml",
        &format!(
            "[pool.web]\nbackends = \"{}/app\"\n[pool.api]\npolicy = \"ip-hash\"\n\
             backends = \"{},name=x,max_connections=7,backup\"\n\
             [[route]]\npool = \"web\"\n[[route]]\npath = \"/b\"\npool = \"api\"\n",
            a.url(),
            b.url()
        ),
    );
    let admin = Admin::with_file(&file);
    let names = |value: &Value| -> Vec<String> {
        let pools = value["pools"].as_array().expect("it has pools");
        pools.iter().map(|pool| pool["name"].to_string()).collect()
    };
    let pools = admin.see("/pools");
    assert_keys(&pools, &["pools"]);
    assert_eq!(names(&pools), ["\"web\"", "\"api\""]);
    assert_eq!(names(&pools), names(&admin.see("/status")));
    let pool = admin.see("/pools/%61pi");
    assert_keys(&pool, POOL);
    assert_eq!(pool["policy"], "ip-hash");
    let backend = admin.see("/pools/%61pi/backends/x");
    assert_keys(&backend, BACKEND);
    assert_eq!(
        (&backend["backup"], &backend["max_connections"]),
        (&true.into(), &7.into())
    );
    let encoded = format!("/pools/web/backends/{}%2Fapp", a.addr);
    assert_eq!(admin.see(&encoded)["url"], format!("{}/app", a.url()));
    for missing in [
        "/pools/none",
        "/pools/web/backends/x",
        "/pools/none/backends/x",
    ] {
        let (status, problem) = admin.ask("GET", missing, "");
        assert_eq!(status, 404, "{missing}: {problem}");
    }
    admin.threadbare.stop();
}

#[test]
fn a_backend_tells_its_state_and_why() {
    // Goal: up, then down with the cause in words. Trick: a port that refuses.
    let mut backend = Backend::answering("a");
    let other = Backend::answering("b");
    let options = [
        "--health-interval",
        "100ms",
        "--health-fast-interval",
        "50ms",
    ];
    let admin = Admin::before(&[backend.addr, other.addr], &options);
    backend.stop();
    admin.threadbare.await_line(&backend.is("down"));
    let told = admin.backend(backend.addr);
    assert_eq!(told["state"], "down", "{told}");
    let cause = told["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("refused"), "{told}");
    backend.restart();
    admin.threadbare.await_line(&backend.is("up"));
    assert_eq!(admin.backend(backend.addr)["state"], "up");
}

#[test]
fn head_tells_the_same_without_content_and_answers_say_what_they_are() {
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    let path = backend_path(backend.addr);
    let get = admin.ask_with("GET", &path, &[], "");
    let head = admin.ask_with("HEAD", &path, &[], "");
    assert_eq!((get.status, head.status), (200, 200));
    assert_eq!(head.content, b"");
    for answer in [&get, &head] {
        let one = |name| answer.head.one(name).unwrap_or_default();
        assert_eq!(one("Content-Type"), "application/json");
        assert_eq!(one("Cache-Control"), "no-store");
        assert_eq!(one("X-Content-Type-Options"), "nosniff");
    }
    assert!(get.content.ends_with(b"}\n"), "for people at a terminal");
    let missing = admin.ask_with("GET", "/pools/none", &[], "");
    assert_eq!(
        missing.head.one("Content-Type").as_deref(),
        Some("application/problem+json")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn its_threads_have_names_and_there_are_none_without_it() {
    // Goal: `admin` and `admin-1` to `admin-4`, and not one of them unless asked for.
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    admin.see("/status");
    let named = |pid: i32| -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
        let names = tasks.map_while(Result::ok).filter_map(|task| {
            // An error: it has ended meanwhile.
            let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
            let name = name.trim_end().to_owned();
            name.starts_with("admin").then_some(name)
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    let wanted = ["admin", "admin-1", "admin-2", "admin-3", "admin-4"];
    // Each takes its name once it runs.
    let begun = Instant::now();
    while named(admin.threadbare.pid()) != wanted && begun.elapsed() < DEADLINE {
        admin.see("/status");
    }
    assert_eq!(named(admin.threadbare.pid()), wanted);
    let without = crate::harness::Threadbare::before(&[backend.addr], &[]);
    assert_eq!(without.get("/").status, 200);
    assert_eq!(named(without.pid()), [""; 0]);
}
