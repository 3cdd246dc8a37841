//! The environment of the git child.

use std::path::Path;

use super::protocol::CERTIFICATES;

/// Variables of the runner's environment that the child inherits: paths of programs and configuration, proxies,
/// certificates, the ssh agent. Those that start with `GIT_CONFIG_` are inherited too.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// Builds the environment of the child from that of the runner.
pub(super) fn of_child() -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| INHERITED.contains(&name.as_str()) || name.starts_with("GIT_CONFIG_"))
        .collect();
    let find = |wanted: &str| variables.iter().position(|(name, _)| name == wanted);
    if let Some(file) = find("SSL_CERT_FILE") {
        // At its initialization, OpenSSL 3 takes 40 ms to read all authorities from one file, even if the repository needs
        // none. The child reads the file only before a connection that may use TLS.
        let file = std::mem::replace(&mut variables[file].1, NO_CERTIFICATES.to_owned());
        variables.push((CERTIFICATES.to_owned(), file));
    } else if find("SSL_CERT_DIR").is_none() && has_hashed_certificates(Path::new(CERTIFICATES_FOLDER)) {
        // OpenSSL reads single authorities from this folder when it needs them.
        let value = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        variables
            .extend([value("SSL_CERT_DIR", CERTIFICATES_FOLDER), value("SSL_CERT_FILE", NO_CERTIFICATES)]);
    }
    variables
}

/// An empty file of certificates.
const NO_CERTIFICATES: &str = "/dev/null";

/// The folder where Debian stores the certificate of each authority under its hash, as OpenSSL expects.
const CERTIFICATES_FOLDER: &str = "/etc/ssl/certs";

/// Whether `folder` contains a certificate under its hash.
fn has_hashed_certificates(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name.as_encoded_bytes().ends_with(b".0"))
}
