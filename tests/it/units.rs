//! Tests of the unit files in systemd/. tests/vm/scenarios/service.sh runs them with a real systemd.

use std::fs;
use std::path::Path;

fn lines(unit: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(unit);
    let text = fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn template_differs_only_in_instance_settings() {
    let (unit, template) = (lines("ostest-runner.service"), lines("ostest-runner@.service"));
    let only = |these: &[String], those: &[String]| {
        these.iter().filter(|line| !those.contains(line)).cloned().collect::<Vec<_>>()
    };
    let own = [
        "Description=OSTEST runner",
        "LoadCredential=ostest-runner.password",
        "StateDirectory=ostest-runner",
        "Environment=HOME=%S/ostest-runner",
    ];
    assert_eq!(only(&unit, &template), own);
    let of_instances = only(&template, &unit);
    let shared = "LoadCredential=password:ostest-runner.password";
    let stray: Vec<_> = of_instances.iter().filter(|line| !line.contains("%i") && *line != shared).collect();
    assert!(stray.is_empty(), "{stray:?}");
    assert_eq!(of_instances.len(), 6, "{of_instances:#?}");
}

#[test]
fn unit_does_not_restart_after_exit_2() {
    for unit in ["ostest-runner.service", "ostest-runner@.service"] {
        let lines = lines(unit);
        for line in ["Restart=on-failure", "RestartPreventExitStatus=2"] {
            assert!(lines.iter().any(|found| found == line), "{unit} lacks the line {line}");
        }
    }
}

#[test]
fn example_names_only_existing_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/environment.example");
    let text = fs::read_to_string(path).unwrap();
    let setting = |line: &str| {
        let name = line.trim_start_matches('#').split_once('=')?.0.to_owned();
        name.starts_with("RUNNER_").then_some(name)
    };
    let names: Vec<_> = text.lines().filter_map(setting).collect();
    assert!(names.len() >= 6, "{names:?}");
    let command = ostest_runner::cli::command();
    let known: Vec<_> = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str()).collect();
    let unknown: Vec<_> = names.iter().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
