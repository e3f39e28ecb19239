//! The state file: what an operator and the health thread did, kept over a restart.
//!
//! Written whole, into a file beside it that then takes its name, so that a reader, or a machine
//! that loses power, has either the old or the new one. What can't be believed is left out: a file
//! of another format or a torn one in all, health that is too old in part. One thread writes; a
//! write blocks as long as the disk does.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{self, Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use log::{info, warn};
use serde::{Deserialize, Serialize};

use crate::pool::Forced;
use crate::system::plain;

/// The format of the file. Another one is not read.
const FORMAT: u32 = 1;
/// No more than this is read; a thousand backends take a hundredth of it.
const MAX_BYTES: u64 = 16 << 20;
/// Health is believed no longer than this: probes find out soon enough, and a backend that is well
/// by now should not be refused for what was. Drains and weights hold whatever their age: a person
/// wanted them, and nobody has taken them back.
pub const MAX_HEALTH_AGE: Duration = Duration::from_secs(60);
/// Between two writes lies at least this: flash wears out.
const MIN_INTERVAL: Duration = Duration::from_secs(2);

/// All that is kept: of each pool, by name, each backend, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The pools.
    pub pools: SavedPools,
}

type SavedPools = BTreeMap<String, SavedPool>;

/// What is kept of one pool: its backends, by name.
pub type SavedPool = BTreeMap<String, SavedBackend>;

/// What is kept of one backend; each is left out where there is nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SavedBackend {
    /// It was drained by an operator.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
    /// The weight that it was given at run time; none: as configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The state that it was forced into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced: Option<Forced>,
    /// Its health; none: unknown, or too old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<SavedHealth>,
}

/// How a backend was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SavedHealth {
    /// Up.
    Up,
    /// Down, because probes said so.
    DownByProbes,
    /// Down, because exchanges failed.
    DownByExchanges,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sheet {
    format: u32,
    /// Milliseconds since 1970.
    written_at_ms: u64,
    pools: SavedPools,
}

/// Only the format, which says whether the rest can be read.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Reads the state file; none where there is none, or none that can be used, of which a line in
/// the log tells.
///
/// Health is left out if it is older than `max_health_age`, or from the future: then the clock was
/// wrong, then or now, and nobody knows its age. (A small machine without a clock starts in the
/// past until it has asked for the time; its drains must hold all the same.)
pub fn read(path: &Path, max_health_age: Duration, now: SystemTime) -> Option<Saved> {
    let sheet = match read_sheet(path) {
        Ok(sheet) => sheet?,
        Err(reason) => {
            warn!("state file {}: {reason}; it is ignored", path.display());
            return None;
        }
    };
    let Sheet {
        written_at_ms,
        pools,
        ..
    } = sheet;
    let mut saved = Saved { pools };
    let written_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(written_at_ms));
    let age = written_at.and_then(|written_at| now.duration_since(written_at).ok());
    let path = path.display();
    match age {
        Some(age) if age <= max_health_age => {
            info!("state file {path}: {:.0}s old", age.as_secs_f64());
        }
        Some(age) => {
            saved.forget_health();
            let age = age.as_secs_f64();
            info!("state file {path}: {age:.0}s old, too old to believe who was up");
        }
        None => {
            saved.forget_health();
            warn!("state file {path}: it is from the future; who was up is not believed");
        }
    }
    Some(saved)
}

fn read_sheet(path: &Path) -> Result<Option<Sheet>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(plain(&error)),
    };
    let mut text = Vec::new();
    let limited = &mut file.take(MAX_BYTES + 1);
    limited.read_to_end(&mut text).map_err(|e| plain(&e))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes"));
    }
    let Format { format } = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    if format != FORMAT {
        return Err(format!("its format is {format}, and not {FORMAT}"));
    }
    let sheet = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    Ok(Some(sheet))
}

impl Saved {
    fn forget_health(&mut self) {
        for backend in self.pools.values_mut().flat_map(BTreeMap::values_mut) {
            backend.health = None;
        }
    }
}

/// Writes the state file: all of it or nothing.
pub fn write(path: &Path, saved: &Saved, now: SystemTime) -> io::Result<()> {
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH);
    let ms = since_epoch.map_or(0, |since| since.as_millis());
    let sheet = Sheet {
        format: FORMAT,
        written_at_ms: u64::try_from(ms).unwrap_or(u64::MAX),
        pools: saved.pools.clone(),
    };
    let mut text = serde_json::to_vec_pretty(&sheet)?;
    text.push(b'\n');
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = File::create(&beside)?;
    file.write_all(&text)?;
    // Before the rename: else a loss of power could leave the new name with nothing in it.
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// Keeps the file in step with the state: writes only what has changed, and not too often.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    last_tried: Option<Instant>,
    last_written: Option<Saved>,
}

impl Keeper {
    /// Keeps this file.
    pub fn new(path: PathBuf) -> Keeper {
        Keeper {
            path,
            last_tried: None,
            last_written: None,
        }
    }

    /// Which, for people.
    pub fn path(&self) -> path::Display<'_> {
        self.path.display()
    }

    /// Writes the state, if it is not the one in the file and the last attempt was long enough
    /// ago; what is too early now is written by a later call. True: it was written.
    pub fn keep(&mut self, now: Instant, saved: &Saved) -> io::Result<bool> {
        let is_early = self
            .last_tried
            .is_some_and(|last| now.saturating_duration_since(last) < MIN_INTERVAL);
        if is_early || self.last_written.as_ref() == Some(saved) {
            return Ok(false);
        }
        self.last_tried = Some(now);
        self.keep_last(saved)?;
        Ok(true)
    }

    /// Writes it in any case, at the end: with this the health of a state that has not changed for
    /// long is as young as it is.
    pub fn keep_last(&mut self, saved: &Saved) -> io::Result<()> {
        write(&self.path, saved, SystemTime::now())?;
        self.last_written = Some(saved.clone());
        Ok(())
    }
}

#[cfg(test)]
pub mod tests;
