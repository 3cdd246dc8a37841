//! Settings of a mock backend. The defaults are those of the deployed backend, without authentication, on a port that the
//! system chooses; the program's default port is 5000.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

/// Settings of a backend.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port; 0 lets the system choose one.
    pub port: u16,
    /// The paths of the four endpoints.
    pub paths: Paths,
    /// Whether the claim and result endpoints require a token. Login and refresh work in either case.
    pub auth: bool,
    /// The users who may log in.
    pub users: Vec<User>,
    /// Lifetime of an access token. May be below a second: `exp` is rounded down to whole seconds, but the backend checks
    /// milliseconds.
    pub access_lifetime: Duration,
    /// Lifetime of a refresh token.
    pub refresh_lifetime: Duration,
    /// Limits of the storage.
    pub limits: Limits,
    /// Timeout of claimed attempts.
    pub sweep: Sweep,
    /// Kind of the `id` that is generated for a task without one.
    pub ids: IdKind,
    /// Offset of the backend's clock to this machine's clock in milliseconds; negative means behind.
    pub clock_offset_ms: i64,
    /// Number of requests to record, with bodies; the oldest are dropped first.
    pub kept_requests: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            paths: Paths::default(),
            auth: false,
            users: vec![User::admin("dora_explorer", "dora_explorer")],
            access_lifetime: Duration::from_secs(15 * 60),
            refresh_lifetime: Duration::from_secs(30 * 24 * 60 * 60),
            limits: Limits::default(),
            sweep: Sweep::default(),
            ids: IdKind::Uuid,
            clock_offset_ms: 0,
            kept_requests: 10_000,
        }
    }
}

/// The paths of the four endpoints, each with its leading slash.
#[derive(Debug, Clone)]
pub struct Paths {
    /// `GET`: claims a task.
    pub claim: String,
    /// `POST`: takes a result.
    pub result: String,
    /// `POST`: exchanges name and password for tokens.
    pub login: String,
    /// `POST`: exchanges a refresh token for new tokens.
    pub refresh: String,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            claim: "/api/task/available".into(),
            result: "/api/task/result".into(),
            login: "/api/v1/login".into(),
            refresh: "/api/v1/auth/refresh".into(),
        }
    }
}

/// A user who may log in.
#[derive(Debug, Clone)]
pub struct User {
    /// The login name.
    pub name: String,
    /// The password.
    pub password: String,
    /// The role; only `ADMIN` may claim tasks and post results.
    pub role: String,
}

impl User {
    /// A user with the role `ADMIN`.
    pub fn admin(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self { name: name.into(), password: password.into(), role: "ADMIN".into() }
    }

    /// The same user with another role.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = role.into();
        self
    }
}

impl FromStr for User {
    type Err = String;

    /// Parses `NAME:PASSWORD[:ROLE]`; the role defaults to ADMIN.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(name), Some(password), role) if !name.is_empty() => {
                Ok(Self::admin(name, password).role(role.unwrap_or("ADMIN")))
            }
            _ => Err(format!("invalid user `{text}`: expected NAME:PASSWORD[:ROLE]")),
        }
    }
}

/// Limits of the backend's storage.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Limit of `errorDetails` in characters (code points), as of a `VARCHAR(255)`; a longer text is answered with 500.
    pub error_details: usize,
    /// Limit of a result's body in bytes; a longer body is answered with 413. `None` means no limit.
    pub body: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { error_details: 255, body: None }
    }
}

/// Settings of the sweep, which marks attempts `TIMEOUT` that are `IN_PROGRESS` and were **created** too long ago.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Interval between two sweeps.
    pub interval: Duration,
    /// Age since creation from which an attempt is timed out.
    pub max_age: Duration,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { interval: Duration::from_secs(60), max_age: Duration::from_secs(600) }
    }
}

/// Kind of the `id` that is generated for a task without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// A random UUID as a string, as the deployed backend does.
    Uuid,
    /// 1, 2, 3, …
    Integer,
}
