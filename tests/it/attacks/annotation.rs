//! What the attacks' files say about themselves: see `tests/attacks/README.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::level::Level;

/// Where the attacks are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks")
}

/// How a task can end, as the attacks see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure,
    Leaked,
    Error,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Success, Self::Failure, Self::Leaked, Self::Error];

    /// As in an annotation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Leaked => "LEAKED",
            Self::Error => "ERROR",
        }
    }

    fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == text)
    }
}

/// One attack.
#[derive(Debug, Clone, Default)]
pub struct Attack {
    /// Its folder's name.
    pub name: String,
    /// What it tries.
    pub what: String,
    /// How it may end at each level.
    pub expect: BTreeMap<Level, Vec<Outcome>>,
    /// Words that must be in the answer; without a level: at each.
    pub says: Vec<(Option<Level>, String)>,
    /// Cases that pass.
    pub passes: Vec<String>,
    /// Whether another task runs beside it.
    pub neighbour: bool,
    /// Whether no other attack may run at the same time.
    pub alone: bool,
}

impl Attack {
    /// Whether it ends by the time limit of the runner only.
    pub fn is_endless(&self) -> bool {
        self.says.iter().any(|(_, words)| words == "timed out")
    }
}

/// All attacks, by name.
pub fn all() -> Vec<Attack> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.iter().filter_map(|folder| read(folder)).collect()
}

/// The attack in `folder`; none where no file of it says that it is one.
fn read(folder: &Path) -> Option<Attack> {
    let files = fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path());
    let texts = files.filter_map(|file| fs::read_to_string(file).ok());
    let text = texts.into_iter().find(|text| text.contains("@ATTACK:"))?;
    let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
    let mut attack = Attack { name, ..Attack::default() };
    for line in text.lines().filter_map(|line| line.split_once('@').map(|(_, rest)| rest)) {
        // Beyond the head there may be other at signs.
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, level) = key.split_once(' ').map_or((key, None), |(key, level)| (key, Level::read(level)));
        let value = value.trim();
        match key {
            "ATTACK" => value.clone_into(&mut attack.what),
            "EXPECT" => attack.expect = expectations(value, &attack.name),
            "SAYS" => attack.says.push((level, value.to_owned())),
            "PASSES" => attack.passes.extend(value.split(' ').map(str::to_owned)),
            "NEIGHBOUR" => attack.neighbour = true,
            "ALONE" => attack.alone = true,
            _ => {}
        }
    }
    Some(attack)
}

fn expectations(text: &str, name: &str) -> BTreeMap<Level, Vec<Outcome>> {
    let mut expect = BTreeMap::new();
    for word in text.split_ascii_whitespace() {
        let (level, outcomes) = word.split_once('=').unwrap_or_else(|| panic!("{name}: {word}"));
        let outcomes: Vec<Outcome> = outcomes
            .split('|')
            .map(|outcome| Outcome::read(outcome).unwrap_or_else(|| panic!("{name}: {outcome}")))
            .collect();
        if level == "all" {
            expect.extend(Level::CONFINED.map(|level| (level, outcomes.clone())));
        } else {
            let level = Level::read(level).unwrap_or_else(|| panic!("{name}: {level}"));
            expect.insert(level, outcomes);
        }
    }
    expect
}

#[test]
fn every_attack_says_what_it_is_and_how_it_ends_at_each_level() {
    let all = all();
    assert!(all.len() > 50, "{}", all.len());
    for attack in all {
        assert!(!attack.what.is_empty(), "{}", attack.name);
        for level in Level::CONFINED {
            assert!(attack.expect.contains_key(&level), "{} at {}", attack.name, level.name());
        }
    }
    let no_attacks = ["beside", "holds-on", "honest", "shared", "suite"];
    for entry in fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            entry.is_dir() && read(&entry).is_none(),
            no_attacks.contains(&name),
            "{name} says nothing about itself"
        );
    }
}
