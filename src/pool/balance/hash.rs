//! The policy by hash: weighted rendezvous, and the bound on the load that it may bring.

use super::{N_QUICK, Seat, high, low, scatter};

/// Weighted rendezvous hashing: the same key always to the same place.
///
/// Each place runs a race for the key, which depends on nothing but the key, its identity and its
/// weight; the fastest wins, in proportion to weights. So if one is removed, only its own keys
/// move, and they go to all others; if one is added, only the keys that it wins move; and if the
/// winner is closed, the key goes to who would win without it.
pub fn rendezvous(
    seats: &[Seat],
    key: u64,
    mut is_open: impl FnMut(usize) -> bool,
) -> Option<usize> {
    let race = Race::of(key);
    let mut last = Finish::START;
    for _ in 0..N_QUICK / 2 {
        for finish in race.first_two_after(last, seats) {
            // Nobody is left.
            if finish.place >= seats.len() {
                return None;
            }
            if is_open(finish.place) {
                return Some(finish.place);
            }
            last = finish;
        }
    }
    let all = seats.iter().enumerate();
    let mut rest: Vec<Finish> = all
        .map(|(place, seat)| Finish {
            time: time(race.bits(seat), seat),
            place,
        })
        .filter(|finish| last.is_before(*finish))
        .collect();
    rest.sort_unstable_by(|left, right| {
        let times = left.time.total_cmp(&right.time);
        times.then(left.place.cmp(&right.place))
    });
    rest.into_iter()
        .map(|finish| finish.place)
        .find(|&place| is_open(place))
}

/// The race for one key: each place needs a time drawn from the exponential distribution whose rate
/// is its weight, so it is the first with the chance that its weight has in the sum of all.
struct Race {
    /// Odd, so that no two identities give the same low half of their product with it.
    multiplier: u64,
}

/// When a place is at its goal. Who is there at the same time comes in the order of places.
#[derive(Clone, Copy)]
struct Finish {
    time: f64,
    place: usize,
}

impl Finish {
    /// Before all others.
    const START: Finish = Finish {
        time: -1.0,
        place: 0,
    };

    /// After all others.
    const NEVER: Finish = Finish {
        time: f64::INFINITY,
        place: usize::MAX,
    };

    fn is_before(self, other: Finish) -> bool {
        self.time < other.time || self.time <= other.time && self.place < other.place
    }
}

impl Race {
    fn of(key: u64) -> Race {
        Race {
            multiplier: scatter(key) | 1,
        }
    }

    /// The first two after that finish. In one pass that takes logarithms only of those who may be
    /// among them: a time is never less than the draw by the weight. Two, because the second is
    /// nearly free, and spares the pass for it if the first is closed.
    fn first_two_after(&self, last: Finish, seats: &[Seat]) -> [Finish; 2] {
        let [mut first, mut second] = [Finish::NEVER; 2];
        let mut bound = bound_of(second.time);
        for (place, seat) in seats.iter().enumerate() {
            // In whole numbers: most are sorted out here.
            let bits = self.bits(seat);
            if bits >> 32 > seat.weight() * bound {
                continue;
            }
            let time = time(bits, seat);
            let finish = Finish { time, place };
            if !last.is_before(finish) || second.is_before(finish) {
                continue;
            }
            second = finish;
            if second.is_before(first) {
                (first, second) = (second, first);
            }
            bound = bound_of(second.time);
        }
        [first, second]
    }

    /// Even bits for a place: both halves of a product of the key and the identity, folded. One
    /// multiplication is enough, since the key is scattered and identities are hashes.
    fn bits(&self, seat: &Seat) -> u64 {
        let product = u128::from(self.multiplier) * u128::from(seat.identity);
        high(product) ^ low(product)
    }
}

/// When the place is at its goal, by these bits.
#[allow(clippy::cast_precision_loss)] // 53 bits have room
fn time(bits: u64, seat: &Seat) -> f64 {
    const ONE: f64 = (1_u64 << 53) as f64;
    // From 0 to below 1.
    let draw = (bits >> 11) as f64 / ONE;
    -libm::log1p(-draw) / f64::from(seat.weight.max(1))
}

/// The high half of the bits of a place of weight 1 that may be there at this time: rounded up, and
/// a little more, since the logarithm is rounded too.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it is from 0 to 2^32
fn bound_of(time: f64) -> u64 {
    const ONE: f64 = 4_294_967_296.0;
    (time * 1.000_001 * ONE).min(ONE) as u64 + 1
}

/// Whether a place with this load may take one more, so that it has no more than `percent` of the
/// average for its weight, rounded up (Mirrokni, Thorup and Zadimoghaddam: Consistent Hashing with
/// Bounded Loads).
///
/// `total_load` and `total_weight` are the sums of those who may be picked. Below 100 percent
/// counts as 100, so that at least one always may, if the loads were read together. If they change
/// meanwhile it can be that none may: then the caller asks again without a bound.
pub fn is_within_bound(
    load: usize,
    weight: u32,
    total_load: usize,
    total_weight: u64,
    percent: u32,
) -> bool {
    // load + 1 <= ⌈bound⌉ is load < bound; here both sides are multiplied by what the bound is
    // divided by. Nothing that a machine can hold saturates.
    let percent = u128::from(percent.max(100));
    let bound = percent * u128::from(weight.max(1));
    let bound = bound.saturating_mul(total_load as u128 + 1);
    let load = (load as u128 * 100).saturating_mul(u128::from(total_weight));
    load < bound
}

#[cfg(test)]
mod tests;
