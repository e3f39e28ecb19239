//! Who is woken.

use super::*;

use crossbeam_channel::{TryRecvError, unbounded};

#[test]
fn who_fell_asleep_last_is_woken_and_nobody_else() {
    let (idle, (jobs, waiting)) = (Idle::default(), unbounded());
    let (served, answers) = unbounded();
    thread::scope(|scope| {
        for name in ["first", "second", "third"] {
            let n_asleep = || idle.state.lock().sleepers.len();
            let n_before = n_asleep();
            let (served, waiting, idle) = (served.clone(), &waiting, &idle);
            scope.spawn(move || {
                let look = || match waiting.try_recv() {
                    Err(TryRecvError::Empty) => None,
                    found => Some(found),
                };
                while let Ok(job) = idle.wait(look, || !waiting.is_empty()) {
                    served.send((name, job)).expect("somebody listens");
                }
            });
            while n_asleep() == n_before {
                thread::yield_now();
            }
        }
        for job in 0..100 {
            jobs.send(job).expect("they wait");
            idle.call();
            assert_eq!(answers.recv(), Ok(("third", job)));
            while idle.state.lock().sleepers.len() < 3 {
                thread::yield_now();
            }
        }
        drop(jobs);
        idle.call_all();
    });
    assert!(idle.state.lock().sleepers.is_empty());
}
