//! Large content that differs everywhere, and the hash by which both ends compare it.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::PathBuf;

use crate::peer::Folder;

const MIB: usize = 1024 * 1024;

/// A file of `n_mib` MiB, and its hash.
pub fn write_file(folder: &Folder, name: &str, n_mib: usize) -> (PathBuf, String) {
    let path = folder.path().join(name);
    let mut file = BufWriter::new(File::create(&path).expect("the test's folder takes a file"));
    let mut block = vec![0_u8; MIB];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut hash = Hash::new();
    for _ in 0..n_mib {
        for word in block.chunks_exact_mut(8) {
            // Marsaglia's xorshift64: no two blocks alike, so that none can be lost or swapped.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        hash.take(&block);
        file.write_all(&block)
            .expect("the disk has room for the content");
    }
    file.flush().expect("the disk has room for the content");
    (path, hash.text())
}

/// Reads to the end and tells how many bytes came, and their hash.
pub fn measure(mut reader: impl Read) -> (usize, String) {
    let mut block = vec![0_u8; MIB];
    let mut hash = Hash::new();
    let mut length = 0;
    loop {
        let n = reader
            .read(&mut block)
            .expect("the content can be read to its end");
        if n == 0 {
            return (length, hash.text());
        }
        hash.take(&block[..n]);
        length += n;
    }
}

/// FNV-1a with 64 bits: no cryptography, but two lines here and in Go's standard library.
struct Hash(u64);

impl Hash {
    fn new() -> Self {
        Hash(0xCBF2_9CE4_8422_2325)
    }

    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
}
