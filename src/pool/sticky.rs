//! What a client's cookie calls a backend: a number that names no address.
//!
//! It is a hash of the backend's name under a secret key: nobody can make one up, and balancers
//! with the same secret make the same ones, also after a restart and whatever has become of the
//! other backends.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip::SipHasher24;
use siphasher::sip128::{Hasher128, SipHasher24 as SipHasher24Of128};

use crate::pool::settings::PoolSettings;
use crate::system::draw_key;

/// From which the tokens of a pool's backends are made.
#[derive(Clone, PartialEq, Eq)]
pub struct StickyKey([u8; 16]);

impl StickyKey {
    /// That of a sticky pool.
    pub fn of(settings: &PoolSettings) -> Option<StickyKey> {
        let sticky = settings.sticky.as_ref()?;
        Some(StickyKey::new(sticky.secret.as_deref()))
    }

    /// The key of this secret, always the same; without one, drawn by lot.
    pub fn new(secret: Option<&str>) -> StickyKey {
        let Some(secret) = secret else {
            return StickyKey(draw_key());
        };
        let mut hasher = SipHasher24Of128::new_with_keys(0, 0);
        hasher.write(secret.as_bytes());
        let hash = hasher.finish128();
        StickyKey(in_one(hash.h1.to_le_bytes(), hash.h2.to_le_bytes()))
    }

    /// What the cookie says of this backend. Two backends of a pool have the same with a
    /// probability that is not worth a thought: one in 2⁶⁴ for each two.
    pub fn token(&self, pool: &str, backend: &str) -> u64 {
        let StickyKey(key) = self;
        let mut hasher = SipHasher24::new_with_key(key);
        // The length says where one name ends. Bytes alone: they are the same on every machine.
        hasher.write(&(pool.len() as u64).to_le_bytes());
        hasher.write(pool.as_bytes());
        hasher.write(backend.as_bytes());
        hasher.finish()
    }
}

impl fmt::Debug for StickyKey {
    /// Without the key: who has it can make tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StickyKey(..)")
    }
}

fn in_one(low: [u8; 8], high: [u8; 8]) -> [u8; 16] {
    let mut both = [0; 16];
    both[..8].copy_from_slice(&low);
    both[8..].copy_from_slice(&high);
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pinned, and worked out with another implementation too: a release that made other tokens
    /// would move every client once.
    #[test]
    fn tokens_stay_the_same_over_restarts_and_versions() {
        let key = StickyKey::new(Some("secret"));
        let token = key.token("web", "10.0.0.7:80");
        assert_eq!(format!("{token:016x}"), "7ac1fc209a612f16");
        assert_eq!(
            token,
            StickyKey::new(Some("secret")).token("web", "10.0.0.7:80")
        );
    }

    #[test]
    fn tokens_differ_by_key_pool_and_backend() {
        let key = StickyKey::new(Some("secret"));
        let tokens = [
            key.token("web", "a"),
            key.token("web", "b"),
            key.token("we", "ba"),
            key.token("api", "a"),
            StickyKey::new(Some("other")).token("web", "a"),
            StickyKey::new(Some("")).token("web", "a"),
            StickyKey::new(None).token("web", "a"),
            StickyKey::new(None).token("web", "a"),
        ];
        let mut different = tokens.to_vec();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), tokens.len(), "{tokens:x?}");
        assert_eq!(format!("{key:?}"), "StickyKey(..)");
    }
}
