//! What works on this machine, and the plans made of it.

use std::path::{Path, PathBuf};

use super::cgroup::Groups;
use super::users::Users;
use super::{
    Enforcement, Feature, Level, Limits, Mechanism, Network, Plan, Settings, SuiteView, ToolView, TrialError,
    View,
};

/// The confinement that works on this machine, as a [trial](crate::trial) found it.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// The level in force.
    pub level: Level,
    /// Failed trials of stronger levels.
    pub failed_trials: Vec<TrialError>,
    /// Users for tasks, if the runner may change its user.
    pub users: Option<Users>,
    /// Where control groups can be made.
    pub groups: Option<Groups>,
    /// ABI version of Landlock; 0: not available.
    pub landlock: i32,
    /// Whether the kernel supports a broker of files.
    pub broker: bool,
    /// Folder on which tasks' disks are mounted; none: a folder below the task's own.
    pub mountpoint: Option<PathBuf>,
    /// Paths that tools must not see.
    pub hidden: Vec<PathBuf>,
    /// The settings.
    pub settings: Settings,
    /// Prefix of the names of control groups.
    pub prefix: String,
}

impl Sandbox {
    /// Makes a sandbox that confines and measures nothing.
    pub fn off(settings: Settings) -> Self {
        Self {
            level: Level::None,
            failed_trials: Vec::new(),
            users: None,
            groups: None,
            landlock: 0,
            broker: false,
            mountpoint: None,
            hidden: Vec::new(),
            settings,
            prefix: String::new(),
        }
    }

    /// Returns what is enforced, feature by feature.
    pub fn enforcement(&self) -> Enforcement {
        let bwrap = self.level == Level::Bwrap;
        let confined = self.level > Level::None;
        let yes = |holds: bool| if holds { Mechanism::Yes } else { Mechanism::No };
        let inet = match (confined, self.settings.network) {
            (true, Network::None) if bwrap => None,
            (true, Network::None) => Some(Mechanism::Denied),
            _ => Some(Mechanism::Host),
        };
        let landlock =
            if confined && self.landlock > 0 { Mechanism::LandlockAbi(self.landlock) } else { Mechanism::No };
        let mut features =
            vec![(Feature::PidNamespace, yes(bwrap)), (Feature::NetworkNamespace, yes(inet.is_none()))];
        features.extend(inet.map(|inet| (Feature::Inet, inet)));
        features.extend([
            (Feature::MountNamespace, yes(bwrap)),
            (Feature::UserDrop, yes(confined && self.users.is_some())),
            (Feature::Landlock, landlock),
            (Feature::Seccomp, yes(confined)),
            (Feature::Memory, self.memory()),
            (Feature::Pids, self.pids()),
            (Feature::Cpu, self.cpu()),
            (Feature::Disk, self.disk()),
            (Feature::Suite, self.protection()),
        ]);
        Enforcement { features }
    }

    /// Returns how memory is limited and measured: by a control group or by sampling.
    pub fn memory(&self) -> Mechanism {
        self.groups.as_ref().map_or(Mechanism::Sampled, Groups::mechanism)
    }

    fn pids(&self) -> Mechanism {
        match &self.groups {
            _ if self.level == Level::None => Mechanism::No,
            Some(groups) if groups.count_processes() => Mechanism::Cgroup,
            _ => Mechanism::Rlimit,
        }
    }

    fn cpu(&self) -> Mechanism {
        match &self.groups {
            Some(Groups::V1 { cpu: Some(_), .. } | Groups::V2(_)) if self.level > Level::None => {
                Mechanism::Cgroup
            }
            _ => Mechanism::No,
        }
    }

    fn disk(&self) -> Mechanism {
        match self.level {
            Level::Bwrap => Mechanism::Tmpfs,
            Level::Basic => Mechanism::Watched,
            Level::None => Mechanism::No,
        }
    }

    fn protection(&self) -> Mechanism {
        match self.level {
            Level::None => Mechanism::No,
            _ if self.users.is_none() && !self.broker => Mechanism::Watched,
            Level::Bwrap | Level::Basic => Mechanism::ReadOnly,
        }
    }

    /// Returns why the level is not a stronger one, in one line; none if no stronger level was tried.
    pub fn weaker_because(&self) -> Option<String> {
        (!self.failed_trials.is_empty()).then(|| TrialError::list(&self.failed_trials))
    }

    /// Makes the plan for a suite; `user` is one of [`Self::users`].
    pub fn suite(&self, name: &str, user: Option<u32>, mut view: SuiteView) -> Plan {
        let confined = self.level > Level::None;
        let limits = if confined { self.settings.limits } else { Limits::none() };
        let group = self.groups.clone().map(|groups| (groups, format!("{}{name}", self.prefix)));
        if let Some(mountpoint) = &self.mountpoint {
            view.mountpoint.clone_from(mountpoint);
        }
        view.readable.extend(self.settings.sandbox_readable.iter().cloned());
        Plan {
            level: self.level,
            user,
            limits,
            network: self.settings.network,
            group,
            view: View::Suite(view),
            events: true,
            brokered: confined && self.broker && user.is_none(),
            own_shared: false,
        }
    }

    /// Makes the plan for a tool that writes to `writable`.
    pub fn tool(&self, writable: &[&Path]) -> Plan {
        if self.level == Level::None {
            return Plan::default();
        }
        let writable = writable.iter().map(|path| path.to_path_buf()).collect();
        let view = View::Tool(ToolView { writable, hidden: self.hidden.clone() });
        Plan { level: self.level, network: Network::Host, view, ..Plan::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enforcement_is_written_as_words() {
        let off = Sandbox::off(Settings::default());
        assert_eq!(
            off.enforcement().to_string(),
            "pidns=no netns=no inet=host mountns=no uid-drop=no landlock=no seccomp=no memory=sampled pids=no cpu=no disk=no suite=no"
        );
        let groups = Some(Groups::V2("/sys/fs/cgroup".into()));
        let bwrap = Sandbox { level: Level::Bwrap, landlock: 7, broker: true, groups, ..off.clone() };
        assert_eq!(
            bwrap.enforcement().to_string(),
            "pidns=yes netns=yes mountns=yes uid-drop=no landlock=abi7 seccomp=yes memory=cgroup-v2 pids=cgroup cpu=cgroup disk=tmpfs suite=read-only"
        );
        let basic = Sandbox { level: Level::Basic, ..off };
        assert_eq!(
            basic.enforcement().to_string(),
            "pidns=no netns=no inet=denied mountns=no uid-drop=no landlock=no seccomp=yes memory=sampled pids=rlimit cpu=no disk=watched suite=watched"
        );
    }
}
