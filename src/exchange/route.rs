//! Routes as they are configured: which requests go to which pool, and what is changed on the way.
//!
//! The rules that read them are pure: [`Routes`] finds the route of a request, [`rewrite_target`]
//! puts another prefix in place, [`redirect_location`] says where https is. What is changed in
//! fields is in `edits`.

mod find;
mod path;
mod target;

pub use self::find::Routes;
pub use self::target::{redirect_location, rewrite_target};

/// One route. Of those that fit a request, the one with the most exact host counts, then the one
/// with the longest path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// `www.example.org`, or `*.example.org` for all names below it, in lower case, without port.
    /// None: any host.
    pub host: Option<String>,
    /// A prefix of the path that ends where a segment ends; begins with `/`, which fits all.
    pub path: String,
    /// What is done.
    pub action: Action,
}

impl RouteSpec {
    /// All requests go to this pool, as they are.
    pub fn all_to(pool: &str) -> RouteSpec {
        RouteSpec {
            host: None,
            path: "/".to_owned(),
            action: Action::Forward {
                pool: pool.to_owned(),
                prefix: Prefix::Keep,
                request_fields: FieldEdits::default(),
                response_fields: FieldEdits::default(),
            },
        }
    }
}

/// What is done with the requests of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// They go to a pool.
    Forward {
        /// Its name.
        pool: String,
        /// What becomes of the prefix that the route is for.
        prefix: Prefix,
        /// What is changed in the backend's request.
        request_fields: FieldEdits,
        /// What is changed in the client's response.
        response_fields: FieldEdits,
    },
    /// The client is sent to the same place by https, with 308; with this port if it is not 443.
    RedirectToHttps {
        /// The port.
        port: u16,
    },
}

/// What becomes of the prefix that a route is for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Prefix {
    /// It stays.
    #[default]
    Keep,
    /// This stands in its place: a path that begins with `/`. To strip is to put `/` there.
    Replace(String),
}

/// What is changed in the fields of a message.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FieldEdits {
    /// Lines of these names are taken out …
    pub remove: Vec<String>,
    /// … and of these names too, and a line is written for each.
    pub set: Vec<(String, String)>,
}
