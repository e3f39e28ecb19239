//! The listener that was asked for.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::intake::Jobs;
use crate::intake::gate::{Gate, HandedOver, Told};
use crate::intake::tiny::TinyListener;
use crate::process::config::{Config, Listener};
use crate::server::StartError;
use crate::server::meant::gate_settings;
use crate::watch::access::AccessLog;

pub use crate::intake::{Listening, Waker};

/// Binds the listener that was asked for.
pub fn listen(
    config: &Config,
    jobs: &Jobs,
    stopping: &Arc<AtomicBool>,
    handed_over: &mut HandedOver,
    access_log: Option<Arc<AccessLog>>,
) -> Result<Listening, StartError> {
    if config.listener == Listener::Gate {
        let settings = gate_settings(config);
        let (jobs, stopping) = (jobs.clone(), Arc::clone(stopping));
        let told = Told {
            access_log,
            proxy_status: config.proxy_status.as_deref().map(Arc::from),
        };
        let gate = Gate::bind(&config.listen, settings, jobs, stopping, handed_over, told);
        return gate
            .map(Listening::from)
            .map_err(|e| StartError::Bind(e.at, e.error));
    }
    let text = config.listen[0].to_string();
    let bound = TinyListener::bind(&text, config.idle_timeout, config.limits);
    let listener = bound.map_err(|error| StartError::Bind(text, error))?;
    Ok(listener.into())
}
