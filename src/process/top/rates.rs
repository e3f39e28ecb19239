//! What two successive reports say about the time between them.

use std::collections::HashMap;

use serde_json::Value;

/// How often things happened between two reports. None without an earlier report of the same
/// process: the balancer's own figures of its last seconds have to do then.
#[derive(Debug, Default)]
pub struct Rates {
    /// Exchanges a second.
    pub exchanges: Option<f64>,
    /// Of each backend: requests and failures a second.
    backends: HashMap<Key, (f64, f64)>,
}

/// Pool, name and address: a name may stand for several addresses.
type Key = (String, String, String);

impl Rates {
    /// From these two reports, the later one second.
    pub fn between(before: Option<&Value>, now: &Value) -> Rates {
        let Some(before) = before.filter(|before| before["pid"] == now["pid"]) else {
            return Rates::default();
        };
        let uptime = |live: &Value| live["uptime_seconds"].as_f64().unwrap_or_default();
        let seconds = uptime(now) - uptime(before);
        if seconds <= 0.0 {
            return Rates::default();
        }
        let earlier: HashMap<Key, &Value> = backends(before).collect();
        let rate = |before: &Value, now: &Value, name: &str| {
            let n = now[name].as_f64()? - before[name].as_f64()?;
            (n >= 0.0).then_some(n / seconds)
        };
        let of_backend = |(key, now): (Key, &Value)| {
            let before = earlier.get(&key)?;
            let rates = (
                rate(before, now, "requests")?,
                rate(before, now, "failures")?,
            );
            Some((key, rates))
        };
        Rates {
            exchanges: rate(&before["totals"], &now["totals"], "exchanges"),
            backends: backends(now).filter_map(of_backend).collect(),
        }
    }

    /// Requests and failures a second of a backend of this pool.
    pub fn of(&self, pool: &Value, backend: &Value) -> (Option<f64>, Option<f64>) {
        match self.backends.get(&key(pool, backend)) {
            Some(&(requests, failures)) => (Some(requests), Some(failures)),
            None => (backend["rate"].as_f64(), backend["error_rate"].as_f64()),
        }
    }
}

fn backends(live: &Value) -> impl Iterator<Item = (Key, &Value)> {
    let pools = live["pools"].as_array().into_iter().flatten();
    pools.flat_map(|pool| {
        let backends = pool["backends"].as_array().into_iter().flatten();
        backends.map(move |backend| (key(pool, backend), backend))
    })
}

fn key(pool: &Value, backend: &Value) -> Key {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, address) = (text(&backend["name"]), text(&backend["address"]));
    (text(&pool["name"]), name, address)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(pid: u32, uptime: f64, requests: u64) -> Value {
        let backend = json!({"name": "b", "address": "a:1", "requests": requests, "failures": 1,
            "rate": 7.0, "error_rate": 0.5});
        json!({"pid": pid, "uptime_seconds": uptime, "totals": {"exchanges": 2 * requests},
            "pools": [{"name": "p", "backends": [backend]}]})
    }

    fn of_backend(rates: &Rates, live: &Value) -> (Option<f64>, Option<f64>) {
        let pool = &live["pools"][0];
        rates.of(pool, &pool["backends"][0])
    }

    #[test]
    fn a_rate_is_the_difference_over_the_balancers_own_time() {
        let (before, now) = (report(1, 10.0, 100), report(1, 12.0, 130));
        let rates = Rates::between(Some(&before), &now);
        assert_eq!(rates.exchanges, Some(30.0));
        assert_eq!(of_backend(&rates, &now), (Some(15.0), Some(0.0)));
    }

    #[test]
    fn without_an_earlier_report_of_this_process_its_own_figures_count() {
        let now = report(2, 12.0, 130);
        let others = [
            None,
            Some(report(1, 10.0, 100)), // another process
            Some(report(2, 12.0, 130)), // no time has passed
            Some(json!({})),
        ];
        for before in others {
            let rates = Rates::between(before.as_ref(), &now);
            assert_eq!(rates.exchanges, None, "{before:?}");
            let wanted = (Some(7.0), Some(0.5));
            assert_eq!(of_backend(&rates, &now), wanted, "{before:?}");
        }
        // A backend that is new, by its counts: it was removed and added again.
        let rates = Rates::between(Some(&report(2, 10.0, 500)), &now);
        assert_eq!(of_backend(&rates, &now), (Some(7.0), Some(0.5)));
        assert_eq!(
            of_backend(&Rates::default(), &json!({})),
            (None, None),
            "nothing is known"
        );
    }
}
