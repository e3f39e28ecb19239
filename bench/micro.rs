//! What one pick and one rewriting of fields cost, alone and under contention.
//!
//! The first bench is the baseline of the picks: the least that any shared round robin pays on
//! this machine, one atomic addition.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use divan::{Bencher, black_box};
use threadbare::exchange::fields::{Length, write_request_fields, write_response_fields};
use threadbare::intake::fields::Fields;
use threadbare::intake::{ClientRequest, ContentFraming, Version};
use threadbare::pool::{BackendUrl, Pool};

/// As many threads as a small machine has cores, and more than it has.
const THREADS: &[usize] = &[1, 2, 4, 8];

/// The pool of most users, and far more than a walk over all would take in its stride.
const POOL_SIZES: &[usize] = &[3, 1_000];

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
    // The drop of what was picked belongs to its price: it counts on a shared counter too.
    bencher.bench(|| pool.pick(black_box(&[])).is_some());
}

/// The second pick of an exchange whose first backend failed.
#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn pick_another(bencher: Bencher, n_backends: usize) {
    let pool = pool_of(n_backends);
    bencher.bench(|| pool.pick(black_box(&[1])).is_some());
}

#[divan::bench(args = N_FIELDS)]
fn rewrite_request_fields(bencher: Bencher, n_fields: usize) {
    let request = request_with(fields_of(n_fields));
    let mut out = Vec::with_capacity(32 * 1024);
    bencher.bench_local(|| {
        out.clear();
        write_request_fields(
            &mut out,
            black_box(&request),
            Length::Unannounced,
            "127.0.0.1:8081",
        );
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
        );
        out.len()
    });
}

fn pool_of(n_backends: usize) -> Pool {
    let url = |n: usize| BackendUrl::parse(&format!("http://127.0.0.1:{}", 10_000 + n));
    let urls = (0..n_backends).map(|n| url(n).expect("an address with a port is a backend"));
    Pool::new(urls.collect(), Instant::now())
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
        method: "GET".to_owned(),
        target: b"/".to_vec(),
        version: Version::Http11,
        fields,
        host: Some(b"www.example.org".to_vec()),
        framing: ContentFraming::Empty,
        expects_continue: false,
        keep_alive: true,
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    }
}
