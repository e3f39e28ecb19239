//! As a service: what the manager is told, what it hands over, what it is given to read.

mod healthcheck;
mod notify;
mod printed;
