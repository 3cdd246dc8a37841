//! The levels at which the attacks are run, and what each needs of the machine.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

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

/// How many users tasks may be lent.
const TASK_USERS: u32 = 64;

/// The users of one arena, which no other arena has: so each can tell what its own tasks have left, and what the kernel
/// counts for each user is not shared.
#[derive(Debug, Clone, Copy)]
pub struct Users {
    /// The user that runs the runner; none: the one who runs the tests.
    pub runner: Option<u32>,
    /// The first of the users that tasks run as where the runner is root.
    pub first_task: u32,
}

impl Users {
    /// Users that no machine has, and no other run of these tests at the same time.
    pub fn new(level: Level) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = std::process::id() % 250 * 40 + COUNT.fetch_add(1, Relaxed) % 40;
        let plain = !matches!(level, Level::BwrapRoot | Level::BasicRoot) && geteuid().is_root();
        Self { runner: plain.then_some(40_000 + number), first_task: 71_000 + number * TASK_USERS }
    }

    /// Whether `uid` is a user of the arena's tasks.
    pub fn has_task(self, uid: u32) -> bool {
        match self.runner {
            Some(runner) => uid == runner,
            None => (self.first_task..self.first_task + TASK_USERS).contains(&uid),
        }
    }
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

    /// The strongest level that this machine can give.
    pub fn strongest() -> Self {
        let here = |level: &Self| {
            let root = matches!(level, Self::BwrapRoot | Self::BasicRoot);
            (!root || geteuid().is_root()) && (level.sandbox() != "bwrap" || have("bwrap", "bubblewrap"))
        };
        Self::CONFINED.into_iter().find(here).unwrap_or(Self::BasicUser)
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
