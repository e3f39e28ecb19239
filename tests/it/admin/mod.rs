//! The admin API over real sockets: what it tells, what it changes, whom it lets in, and that
//! nothing there hurts what is served.

mod access;
mod changes;
mod drains;
mod life;
mod report;
mod requests;
mod robust;

/// The letters in order: who answered how often, whosever turn it was first.
fn sorted(answers: &str) -> String {
    let mut letters: Vec<char> = answers.chars().collect();
    letters.sort_unstable();
    letters.into_iter().collect()
}
