//! Writes the sample repositories.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};
use serde_json::json;
use tempfile::TempDir;

/// A sample student: a change of the program that passes, and the verdict that it must lead to.
pub(in crate::cli::demo) struct Student {
    pub(in crate::cli::demo) name: &'static str,
    pub(in crate::cli::demo) expected: &'static str,
    /// The text to replace, and its replacement; empty for no change.
    replace: (&'static str, &'static str),
}

/// One student for each kind of verdict.
pub(in crate::cli::demo) const STUDENTS: &[Student] = &[
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

/// Writes the sample repositories and `tasks.json` for a backend and a runner elsewhere. If they exist they stay as they
/// are, so that this can run at each start.
pub(in crate::cli::demo) fn write_all(folder: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    let tasks = folder.join("tasks.json");
    if !tasks.exists() {
        // Written beside first, so that an interrupted run leaves nothing that looks complete.
        let temporary = TempDir::with_prefix_in(".samples-", &folder)?;
        suite(temporary.path())?;
        let mut lines = Vec::new();
        for student in STUDENTS {
            repository(temporary.path(), student)?;
            let url = format!("file://{}/students/{}", folder.display(), student.name);
            let task = json!({"repositoryUrl": url, "branch": "main", "laboratoryNumber": 1});
            writeln!(lines, "{task}")?;
        }
        std::fs::write(temporary.path().join("tasks.json"), lines)?;
        for name in ["suite", "students"] {
            // An existing folder may belong to the user, so it is not replaced.
            std::fs::rename(temporary.path().join(name), folder.join(name)).with_context(|| {
                let folder = folder.display();
                format!(
                    "demo: {folder} has a {name}, but no tasks.json; remove the former or name another folder"
                )
            })?;
        }
        // The last one: if it exists, the others do.
        std::fs::rename(temporary.path().join("tasks.json"), &tasks)?;
    }
    writeln!(out, "suite          file://{}/suite", folder.display())?;
    writeln!(out, "tasks          {}, one for each of {} students", tasks.display(), STUDENTS.len())?;
    Ok(())
}

/// Makes the suite's repository in `home` and returns its URL.
pub(in crate::cli::demo) fn suite(home: &Path) -> io::Result<String> {
    commit(&home.join("suite"), SUITE)
}

/// Makes a student's repository in `home` and returns its URL.
pub(in crate::cli::demo) fn repository(home: &Path, student: &Student) -> io::Result<String> {
    let program = PROGRAM.replace(student.replace.0, student.replace.1);
    let program = if student.replace.0.is_empty() { PROGRAM.to_owned() } else { program };
    commit(&home.join("students").join(student.name), &[("Makefile", MAKEFILE), ("calc.c", &program)])
}

/// Makes a repository with one commit of `files` and returns its URL.
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
