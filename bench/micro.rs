//! What one pick and one rewriting of fields cost, alone and under contention.
//!
//! The first bench is the baseline of the picks: the least that any shared round robin pays on
//! this machine, one atomic addition.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use divan::{Bencher, black_box};
use threadbare::exchange::fields::{
    Added, Changes, Length, write_request_fields, write_response_fields,
};
use threadbare::intake::check::Limits;
use threadbare::intake::fields::Fields;
use threadbare::intake::gate::content::Decoder;
use threadbare::intake::gate::head::{HeadScan, parse};
use threadbare::intake::{ClientRequest, ContentFraming, Version};
use threadbare::pool::{
    BackendSpec, BackendUrl, HashKey, Policy, Pool, PoolSettings, PoolSpec, Wish,
};

/// As many threads as a small machine has cores, and more than it has.
const THREADS: &[usize] = &[1, 2, 4, 8];

/// The pool of most users, and far more than a walk over all would take in its stride.
const POOL_SIZES: &[usize] = &[3, 1_000];

const POLICIES: &[&str] = &[
    "round-robin",
    "weighted-round-robin",
    "least-connections",
    "random-two-choices",
    "hash",
    "hash with a bound",
];

/// What curl sends, what a browser sends, and close to the limit of 100.
const N_FIELDS: &[usize] = &[3, 12, 90];

/// Picks in a sample: long enough that the threads of a sample run side by side.
const N_PICKS: u32 = 10_000;

fn main() {
    divan::main();
}

#[divan::bench(threads = THREADS, sample_size = N_PICKS)]
fn baseline_one_atomic_addition(bencher: Bencher) {
    let turn = AtomicUsize::new(0);
    // Relaxed: publishes nothing else, as in the pool.
    bencher.bench(|| turn.fetch_add(1, Ordering::Relaxed));
}

#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn pick(bencher: Bencher, n_backends: usize) {
    let pool = pool_of(n_backends);
    // The drop of what was picked belongs to its price: it counts on shared counters too.
    let now = Instant::now();
    bencher.bench(|| pool.pick(black_box(&Wish::plain(now))).is_ok());
}

/// The whole of a pick, claim and all, by every policy: at 1,000 backends below 2 microseconds.
#[divan::bench(threads = [1, 4], args = POLICIES, consts = [3, 1_000], sample_size = 1_000)]
fn pick_by_policy<const N: usize>(bencher: Bencher, name: &str) {
    let pool = pool_by(name, N);
    let turn = AtomicUsize::new(0);
    let now = Instant::now();
    bencher.bench(|| {
        // Another key for each: one alone would always be in the cache.
        let key = turn.fetch_add(1, Ordering::Relaxed) as u64;
        let wish = Wish {
            key: Some(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            is_worker: true,
            ..Wish::plain(now)
        };
        pool.pick(black_box(&wish)).is_ok()
    });
}

/// The second pick of an exchange whose first backend failed.
#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn pick_another(bencher: Bencher, n_backends: usize) {
    let pool = pool_of(n_backends);
    let tried = [pool.backends()[1].id];
    let now = Instant::now();
    bencher.bench(|| {
        let wish = Wish {
            tried: &tried,
            ..Wish::plain(now)
        };
        pool.pick(black_box(&wish)).is_ok()
    });
}

#[divan::bench(args = N_FIELDS)]
fn rewrite_request_fields(bencher: Bencher, n_fields: usize) {
    let request = request_with(fields_of(n_fields));
    let mut out = Vec::with_capacity(32 * 1024);
    bencher.bench_local(|| {
        out.clear();
        let added = Added::plain(Length::Unannounced, "127.0.0.1:8081");
        write_request_fields(&mut out, black_box(&request), &added);
        out.len()
    });
}

#[divan::bench(args = N_FIELDS)]
fn rewrite_response_fields(bencher: Bencher, n_fields: usize) {
    let fields = fields_of(n_fields);
    let mut out = Vec::with_capacity(32 * 1024);
    bencher.bench_local(|| {
        out.clear();
        write_response_fields(
            &mut out,
            black_box(&fields).iter(),
            Length::Sized(21),
            false,
            &Changes::default(),
        );
        out.len()
    });
}

/// What a head costs when all of it comes at once: looked through, read, checked.
#[divan::bench(args = N_FIELDS)]
fn read_head(bencher: Bencher, n_fields: usize) {
    let (head, limits) = (head_of(n_fields), Limits::default());
    bencher.bench(|| {
        let end = HeadScan::default().scan(black_box(&head), &limits);
        assert_eq!(end, Ok(Some(head.len())));
        parse(&head, None, &limits, None)
    });
}

/// The part of it that finds the end.
#[divan::bench(args = N_FIELDS)]
fn scan_head(bencher: Bencher, n_fields: usize) {
    let (head, limits) = (head_of(n_fields), Limits::default());
    bencher.bench(|| HeadScan::default().scan(black_box(&head), &limits));
}

/// The baseline of these: `httparse` alone, which looks neither for bare LF nor at limits.
#[divan::bench(args = N_FIELDS)]
fn baseline_httparse(bencher: Bencher, n_fields: usize) {
    let head = head_of(n_fields);
    bencher.bench(|| {
        let mut lines = [httparse::EMPTY_HEADER; 100];
        httparse::Request::new(&mut lines)
            .parse(black_box(&head))
            .is_ok()
    });
}

/// 64 KiB, in chunks so long.
#[divan::bench(args = [16, 1024, 65_536])]
fn decode_chunks(bencher: Bencher, length: usize) {
    let chunk = format!("{length:x}\r\n{}\r\n", "v".repeat(length));
    let content = chunk.repeat(65_536 / length) + "0\r\n\r\n";
    let mut output = vec![0; 65_536];
    bencher.bench_local(|| {
        let mut decoder = Decoder::new(ContentFraming::Chunked);
        decoder.decode(black_box(content.as_bytes()), &mut output)
    });
}

fn head_of(n_fields: usize) -> Vec<u8> {
    let mut head = b"GET /a/path?and=query HTTP/1.1\r\n".to_vec();
    for (name, value) in fields_of(n_fields).iter() {
        head.extend([name, b": ", value, b"\r\n"].concat());
    }
    [&head[..], b"\r\n"].concat()
}

/// With weights from 1 to 10 where there are any.
fn pool_by(name: &str, n_backends: usize) -> Pool {
    let hash = |max_load_percent| Policy::Hash {
        key: HashKey::Uri,
        max_load_percent,
    };
    let policy = match name {
        "round-robin" => Policy::RoundRobin,
        "weighted-round-robin" => Policy::WeightedRoundRobin,
        "least-connections" => Policy::LeastConnections,
        "random-two-choices" => Policy::RandomTwoChoices,
        "hash" => hash(None),
        _ => hash(Some(125)),
    };
    let has_weights = policy != Policy::RoundRobin;
    let backend = |(n, url): (u32, BackendUrl)| BackendSpec {
        weight: if has_weights { 1 + n % 10 } else { 1 },
        ..BackendSpec::new(url)
    };
    let settings = PoolSettings {
        policy,
        ..PoolSettings::default()
    };
    let spec = PoolSpec {
        name: "default".to_owned(),
        settings,
        backends: (0..).zip(urls(n_backends)).map(backend).collect(),
    };
    Pool::new(&spec, &Arc::new(AtomicU64::new(1)), Instant::now())
}

fn urls(n_backends: usize) -> Vec<BackendUrl> {
    let url = |n: usize| BackendUrl::parse(&format!("http://127.0.0.1:{}", 10_000 + n));
    let urls = (0..n_backends).map(|n| url(n).expect("an address with a port is a backend"));
    urls.collect()
}

fn pool_of(n_backends: usize) -> Pool {
    Pool::of(urls(n_backends), Instant::now())
}

/// Among them what ends at a hop: Connection, and the field that it names.
fn fields_of(n_fields: usize) -> Fields {
    let mut fields = Fields::default();
    fields.push(b"Host", b"www.example.org");
    fields.push(b"Connection", b"keep-alive, X-Hop");
    fields.push(b"X-Hop", b"1");
    for n in 3..n_fields {
        fields.push(format!("X-Field-{n}").as_bytes(), &[b'v'; 40]);
    }
    fields
}

fn request_with(fields: Fields) -> ClientRequest {
    ClientRequest {
        method: "GET".into(),
        target: b"/".to_vec(),
        version: Version::Http11,
        fields,
        host: Some(b"www.example.org".to_vec()),
        framing: ContentFraming::Empty,
        expects_continue: false,
        upgrade: false,
        keep_alive: true,
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    }
}
