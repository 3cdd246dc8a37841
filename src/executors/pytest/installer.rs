//! The program that creates an environment and installs packages into it: `uv` if it is installed, else Python's `venv`
//! and pip.
//!
//! `python3 -m venv` spends most of its time in ensurepip, which installs pip into the environment. Python carries pip as
//! a wheel for that; pip runs from the wheel as well, and then the environment holds the suite's packages only.

use std::path::{Path, PathBuf};

use sandbox::command::{Spec, find_program};

/// A script that prints the path of the wheel of pip that ensurepip installs. Some distributions keep it in a separate folder.
pub(super) const FIND_WHEEL: &str = "
import glob, os, sysconfig
folders = os.path.join(os.path.dirname(os.__file__), 'ensurepip', '_bundled'), sysconfig.get_config_var('WHEEL_PKG_DIR')
wheels = [wheel for folder in folders if folder for wheel in sorted(glob.glob(os.path.join(folder, 'pip-*.whl')))]
print(''.join(wheels[:1]))
";

/// The program that creates environments on this machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Installer {
    /// The `uv` at this path.
    Uv(PathBuf),
    /// `python3 -m venv --without-pip`, and pip from this wheel.
    Wheel(PathBuf),
    /// `python3 -m venv` with the pip that it installs.
    Ensurepip,
}

impl Installer {
    /// Returns `uv` if it is installed.
    pub(super) fn uv() -> Option<Self> {
        find_program("uv").map(Self::Uv)
    }

    /// The installer for a Python for which [`FIND_WHEEL`] has printed `output`.
    pub(super) fn of_python(output: &str) -> Self {
        let wheel = output.trim();
        if wheel.is_empty() { Self::Ensurepip } else { Self::Wheel(wheel.into()) }
    }

    /// The command that creates an environment at `home` for the interpreter `base`. `packages`: whether packages are
    /// installed into it.
    pub(super) fn create(&self, base: &Path, home: &Path, packages: bool) -> Spec {
        let (base_text, home) = (base.display().to_string(), home.display().to_string());
        match self {
            Self::Uv(uv) => command(uv, &["venv", "--quiet", "--python", &base_text, &home]),
            Self::Ensurepip if packages => command(base, &["-m", "venv", &home]),
            Self::Wheel(_) | Self::Ensurepip => command(base, &["-m", "venv", "--without-pip", &home]),
        }
    }

    /// The command that installs `requirements.txt` of the current folder into the environment of the interpreter `python`.
    pub(super) fn install(&self, python: &Path) -> Spec {
        const PIP: [&str; 6] =
            ["install", "--quiet", "--no-input", "--disable-pip-version-check", "-r", "requirements.txt"];
        let text = python.display().to_string();
        match self {
            Self::Uv(uv) => {
                let options = ["pip", "install", "--quiet", "--compile-bytecode", "--python", &text];
                command(uv, &[&options[..], &["-r", "requirements.txt"]].concat())
            }
            Self::Wheel(wheel) => {
                let pip = wheel.join("pip").display().to_string();
                command(python, &[&[pip.as_str()], &PIP[..]].concat())
            }
            Self::Ensurepip => command(python, &[&["-m", "pip"], &PIP[..]].concat()),
        }
    }
}

/// A command with default settings.
pub(super) fn command(program: &Path, args: &[&str]) -> Spec {
    Spec {
        program: program.display().to_string(),
        args: args.iter().map(ToString::to_string).collect(),
        ..Spec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(spec: &Spec) -> String {
        format!("{} {}", spec.program, spec.args.join(" "))
    }

    #[test]
    fn runs_pip_from_wheel() {
        let (base, home) = (Path::new("/usr/bin/python3"), Path::new("/e"));
        let installer = Installer::of_python("/wheels/pip-23.0.1-py3-none-any.whl\n");
        assert_eq!(line(&installer.create(base, home, true)), "/usr/bin/python3 -m venv --without-pip /e");
        let install = line(&installer.install(Path::new("/e/bin/python")));
        assert!(
            install.starts_with("/e/bin/python /wheels/pip-23.0.1-py3-none-any.whl/pip install "),
            "{install}"
        );
    }

    #[test]
    fn without_wheel_uses_ensurepip_for_packages_only() {
        let (base, home) = (Path::new("/usr/bin/python3"), Path::new("/e"));
        let installer = Installer::of_python("\n");
        assert_eq!(line(&installer.create(base, home, true)), "/usr/bin/python3 -m venv /e");
        assert_eq!(line(&installer.create(base, home, false)), "/usr/bin/python3 -m venv --without-pip /e");
        let install = line(&installer.install(Path::new("/e/bin/python")));
        assert!(install.starts_with("/e/bin/python -m pip install "), "{install}");
    }
}
