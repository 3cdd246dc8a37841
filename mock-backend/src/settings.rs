//! The settings of a mock backend. The defaults are the deployed backend's, without authentication, on a port
//! that the system chooses; the program's own default is port 5000.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

/// How a backend is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port; 0 lets the system choose one.
    pub port: u16,
    /// Where the four endpoints are.
    pub paths: Paths,
    /// Whether the two task routes ask for a token. Login and refresh answer in either case.
    pub auth: bool,
    /// Who may log in.
    pub users: Vec<User>,
    /// How long an access token lives. May be below a second: `exp` is in whole seconds, rounded down, but the
    /// backend itself counts milliseconds.
    pub access_lifetime: Duration,
    /// How long a refresh token lives.
    pub refresh_lifetime: Duration,
    /// What the storage takes.
    pub limits: Limits,
    /// When a claimed attempt is given up.
    pub sweep: Sweep,
    /// What kind of `id` a task gets that comes without one.
    pub ids: IdKind,
    /// By how many milliseconds the backend's clock is ahead of this machine's; negative when it is behind.
    pub clock_offset_ms: i64,
    /// How many requests are remembered, bodies included; the oldest go first.
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
    /// `POST`: name and password for tokens.
    pub login: String,
    /// `POST`: a refresh token for new tokens.
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

/// Someone who may log in.
#[derive(Debug, Clone)]
pub struct User {
    /// The name to log in with.
    pub name: String,
    /// The password.
    pub password: String,
    /// The role; only `ADMIN` may claim tasks and post results.
    pub role: String,
}

impl User {
    /// A user who may use the task routes.
    pub fn admin(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self { name: name.into(), password: password.into(), role: "ADMIN".into() }
    }

    /// The same user in another role.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = role.into();
        self
    }
}

impl FromStr for User {
    type Err = String;

    /// Reads `NAME:PASSWORD[:ROLE]`; the role is ADMIN unless it is given.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(name), Some(password), role) if !name.is_empty() => {
                Ok(Self::admin(name, password).role(role.unwrap_or("ADMIN")))
            }
            _ => Err(format!("`{text}` is no user: it is NAME:PASSWORD[:ROLE]")),
        }
    }
}

/// What the storage of the backend takes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most characters (code points) of `errorDetails`, a `VARCHAR(255)`; one more makes a 500.
    pub error_details: usize,
    /// The most bytes of a result's body; one more makes a 413. `None` sets no limit.
    pub body: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { error_details: 255, body: None }
    }
}

/// The sweep marks attempts TIMEOUT that are `IN_PROGRESS` and were **created** too long ago.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The time between two sweeps.
    pub every: Duration,
    /// The age, since its creation, from which an attempt is given up.
    pub age: Duration,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { every: Duration::from_secs(60), age: Duration::from_secs(600) }
    }
}

/// What kind of `id` a task gets that comes without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// A random UUID as a string, as the deployed backend does.
    Uuid,
    /// 1, 2, 3, …
    Integer,
}
