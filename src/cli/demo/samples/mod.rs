//! The demo's repositories: a small pytest suite, and a C program in four states.

use std::fs;
use std::io;
use std::path::Path;

use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};

/// A sample student: what is done to the program that passes, and the verdict that this must give.
pub(super) struct Student {
    pub(super) name: &'static str,
    pub(super) expected: &'static str,
    replace: (&'static str, &'static str),
}

/// One of each kind.
pub(super) const STUDENTS: &[Student] = &[
    Student { name: "passes", expected: "SUCCESS", replace: ("", "") },
    Student { name: "fails-a-test", expected: "FAILURE", replace: ("left - right", "right - left") },
    Student {
        name: "does-not-build",
        expected: "FAILURE",
        replace: ("return left + right;", "return left +;"),
    },
    Student { name: "never-ends", expected: "ERROR", replace: ("return left * right;", "for (;;) {}") },
];

const MAKEFILE: &str = include_str!("student/Makefile");
const PROGRAM: &str = include_str!("student/calc.c");
const SUITE: &[(&str, &str)] = &[
    ("run_tests.py", include_str!("suite/run_tests.py")),
    ("requirements.txt", include_str!("suite/requirements.txt")),
    ("tests/__init__.py", include_str!("suite/tests/__init__.py")),
    ("tests/conftest.py", include_str!("suite/tests/conftest.py")),
    ("tests/test_calc.py", include_str!("suite/tests/test_calc.py")),
];

/// Makes the suite's repository below `home`; returns its URL.
pub(super) fn suite(home: &Path) -> io::Result<String> {
    commit(&home.join("suite"), SUITE)
}

/// Makes a student's repository below `home`; returns its URL.
pub(super) fn repository(home: &Path, student: &Student) -> io::Result<String> {
    let program = PROGRAM.replace(student.replace.0, student.replace.1);
    let program = if student.replace.0.is_empty() { PROGRAM.to_owned() } else { program };
    commit(&home.join("students").join(student.name), &[("Makefile", MAKEFILE), ("calc.c", &program)])
}

fn commit(folder: &Path, files: &[(&str, &str)]) -> io::Result<String> {
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, content)?;
    }
    let commit = || -> Result<(), git2::Error> {
        let repository = Repository::init_opts(folder, RepositoryInitOptions::new().initial_head("main"))?;
        let mut index = repository.index()?;
        index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
        let tree = repository.find_tree(index.write_tree()?)?;
        let author = Signature::now("demo", "demo@example.org")?;
        repository.commit(Some("HEAD"), &author, &author, "A sample", &tree, &[])?;
        Ok(())
    };
    commit().map_err(io::Error::other)?;
    Ok(format!("file://{}", folder.display()))
}
