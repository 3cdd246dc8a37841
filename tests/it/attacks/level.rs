//! The levels at which the attacks are run, and what each needs of the machine.

use nix::unistd::geteuid;

use crate::support::have;

/// A strength of the sandbox, and who runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    BwrapRoot,
    BwrapUser,
    BasicRoot,
    BasicUser,
    /// No sandbox, as a plain user: for what harms nothing, to show that the harness sees what leaks.
    None,
}

/// A plain user that no machine has, and no other run of these tests at the same time.
pub fn plain_user() -> u32 {
    40_000 + std::process::id() % 10_000
}

/// How many users tasks may be lent.
pub const TASK_USERS: u32 = 64;

/// The first of the users that tasks run as where the runner is root; no other test uses them.
pub fn first_task_user() -> u32 {
    71_000 + std::process::id() % 1_000 * TASK_USERS
}

impl Level {
    /// Those at which every attack must be held.
    pub const CONFINED: [Self; 4] = [Self::BwrapRoot, Self::BwrapUser, Self::BasicRoot, Self::BasicUser];

    /// As in an annotation.
    pub fn name(self) -> &'static str {
        match self {
            Self::BwrapRoot => "bwrap-root",
            Self::BwrapUser => "bwrap-user",
            Self::BasicRoot => "basic-root",
            Self::BasicUser => "basic-user",
            Self::None => "none",
        }
    }

    /// The level of that name.
    pub fn read(text: &str) -> Option<Self> {
        Self::CONFINED.into_iter().chain([Self::None]).find(|level| level.name() == text)
    }

    /// The value of `--sandbox`.
    pub fn sandbox(self) -> &'static str {
        self.name().split('-').next().unwrap_or_default()
    }

    /// The user to run the runner as; none: the one who runs the tests.
    pub fn user(self) -> Option<u32> {
        let other = !matches!(self, Self::BwrapRoot | Self::BasicRoot) && geteuid().is_root();
        other.then(plain_user)
    }

    /// Whether it can be had here. Where it cannot, that is said loudly; in CI it fails.
    pub fn available(self) -> bool {
        let root = matches!(self, Self::BwrapRoot | Self::BasicRoot);
        if root && !geteuid().is_root() {
            let line = format!("{} needs root", self.name());
            assert!(std::env::var_os("RUNNER_TEST_NO_SKIP").is_none(), "{line}");
            eprintln!("\n!!! SKIPPED: {line}\n");
            return false;
        }
        let bwrap = !matches!(self, Self::BwrapRoot | Self::BwrapUser) || have("bwrap", "bubblewrap");
        // The system's, since a plain user does not reach one in somebody's home.
        bwrap && have("cc", "gcc") && have("make", "make") && have("/usr/bin/python3", "python3 python3-venv")
    }
}
