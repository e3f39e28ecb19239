//! How a pool chooses: pure functions that pick a place in a slice.
//!
//! No locks, no input or output, no clocks: counters, loads and lots come in as arguments. All of
//! them keep one contract with their caller:
//!
//! - `is_open` says whether a place may have the exchange. A policy asks only about the place that
//!   it would choose, and never twice about the same in one call.
//! - The first place for which it says yes is the one that is picked, so it may claim it at once.
//! - Some place is picked if any is open, whatever is closed, also of none or one.
//!
//! The share of a place that is closed goes to all others that are open, by their weights, and
//! never to a neighbour alone: a backend that fails must not take the next one with it.

mod hash;
mod load;
mod turn;
mod warm;

use siphasher::sip::SipHasher13;

pub use self::hash::{is_within_bound, rendezvous};
pub use self::load::{least_connections, random_two_choices};
pub use self::turn::{round_robin, weighted_round_robin};
pub use self::warm::{FULL_SHARE, admit, warm_load, warm_share};

use super::BackendSpec;

/// What a policy sees of one backend that may be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its part of the picks beside the others', 1 to [`Seat::MAX_WEIGHT`]. 0 counts as 1.
    pub weight: u32,
    /// Of its name, by [`identity_of`]: the same over restarts, and no other's in its pool.
    pub identity: u64,
}

/// The keys of the hashes. Any would do, and none may ever change: with other keys every client
/// would change its backend at an update. They differ, so that a name that is asked for is not
/// tied to the backend of the same name.
const IDENTITY_KEYS: (u64, u64) = (0x7468_7265_6164_6261, 0x7265_2062_6163_6b65);
const KEY_KEYS: (u64, u64) = (0x7468_7265_6164_6261, 0x7265_2072_6571_7565);

/// 2^64 by the golden ratio. Its multiples, taken as fractions of 2^64, lie as evenly as multiples
/// of one number can, and so does every second, third or n-th of them.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Closed places for which all others are looked through again. Where more are closed, the rest is
/// put in order once, which costs an allocation and is the cheaper way from here on.
const N_QUICK: usize = 4;

/// The identity of the backend of this name; the same in every version, on every machine.
pub fn identity_of(name: &str) -> u64 {
    let (first, second) = IDENTITY_KEYS;
    SipHasher13::new_with_keys(first, second).hash(name.as_bytes())
}

/// The key by which these bytes of a request are hashed; the same in every version, on every
/// machine.
pub fn key_of(bytes: &[u8]) -> u64 {
    let (first, second) = KEY_KEYS;
    SipHasher13::new_with_keys(first, second).hash(bytes)
}

impl Seat {
    /// The largest weight there is.
    pub const MAX_WEIGHT: u32 = BackendSpec::MAX_WEIGHT;

    fn weight(&self) -> u64 {
        u64::from(self.weight.max(1))
    }
}

/// Whether all have the same weight.
pub fn are_even(seats: &[Seat]) -> bool {
    seats
        .windows(2)
        .all(|pair| pair[0].weight == pair[1].weight)
}

/// A fraction of 2^64 as a number below `n`, and the fraction that is left within that number:
/// together they say as much as the fraction did. 0 if `n` is 0.
fn scaled(fraction: u64, n: u64) -> (u64, u64) {
    let wide = u128::from(fraction) * u128::from(n);
    (high(wide), low(wide))
}

/// The same for a place.
fn scaled_place(fraction: u64, n: usize) -> (usize, u64) {
    let (place, rest) = scaled(fraction, n as u64);
    // It is below `n`.
    (usize::try_from(place).unwrap_or_default(), rest)
}

/// Scatters numbers that are close together or share their low bits (`SplitMix64`).
pub fn scatter(number: u64) -> u64 {
    let mut bits = number.wrapping_add(GOLDEN);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[allow(clippy::cast_possible_truncation)] // what is wanted
fn low(wide: u128) -> u64 {
    wide as u64
}

fn high(wide: u128) -> u64 {
    low(wide >> 64)
}

#[cfg(test)]
mod tests;
