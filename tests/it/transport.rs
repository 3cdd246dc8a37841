//! Tests of the connection to the backend: a proxy from the environment, and TLS with a private authority.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mock_backend::{MockBackend, NewTask, Settings};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{PATIENCE, Runner, eventually, have};

/// Starts a proxy that forwards requests for the host `backend.invalid` to `backend`. Returns its URL.
async fn proxy(backend: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let backend = backend.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 16 << 10];
                let count = client.read(&mut head).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&head[..count]).into_owned();
                // A request to a proxy has the whole URL in its first line. Each connection has one request.
                if !text.contains(" http://backend.invalid/") {
                    return;
                }
                let text = text.replacen("http://backend.invalid/", "/", 1);
                let text = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                let mut server = TcpStream::connect(backend).await.unwrap();
                server.write_all(text.as_bytes()).await.ok();
                copy_bidirectional(&mut client, &mut server).await.ok();
            });
        }
    });
    url
}

#[tokio::test]
async fn uses_proxy_from_environment() {
    let backend = MockBackend::start(Settings::default()).await.unwrap();
    let address = backend.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let proxy = proxy(address).await;
    let home = TempDir::new().unwrap();
    let arguments = ["--mock", "--check-interval", "50ms"];
    let environment = [("http_proxy", proxy.as_str())];
    let runner = Runner::with_environment(home.path(), "http://backend.invalid", &arguments, &environment);
    let id = backend.submit(NewTask::new("https://example.org/x.git", "main"));
    let answer = backend.wait_for("an answer through the proxy", PATIENCE, |backend| backend.result_of(&id));
    answer.await.unwrap_or_else(|error| panic!("{error}\n{}", runner.log()));
}

/// Starts a TLS server in front of `backend`, with a certificate for `localhost` from a private authority.
struct Tls {
    child: Child,
    url: String,
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

const TERMINATOR: &str = r#"
import socket, ssl, sys, threading

def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for one in (source, target):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

def serve(client, port):
    try:
        client = context.wrap_socket(client, server_side=True)
    except (ssl.SSLError, OSError):
        return
    server = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
    pump(client, server)

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    threading.Thread(target=serve, args=(client, int(sys.argv[3])), daemon=True).start()
"#;

#[expect(clippy::disallowed_methods, reason = "the test starts a TLS server")]
fn tls(folder: &Path, backend: &str) -> Tls {
    let made = Command::new("sh")
        .arg("-c")
        .arg(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem \
               -addext basicConstraints=critical,CA:TRUE &&
             openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem &&
             printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n' > extensions &&
             openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
               -extfile extensions -out cert.pem",
        )
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let port = backend.trim_end_matches('/').rsplit(':').next().unwrap();
    let mut child = Command::new("python3")
        .args(["-c", TERMINATOR, "cert.pem", "key.pem", port])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Tls { child, url: format!("https://localhost:{}", line.trim()) }
}

#[tokio::test]
async fn private_certificate_needs_named_authority() {
    if !have("openssl", "openssl") || !have("python3", "python3") {
        return;
    }
    let backend = MockBackend::start(Settings::default()).await.unwrap();
    let home = TempDir::new().unwrap();
    let server = tls(home.path(), &backend.url());
    let arguments = ["--mock", "--check-interval", "50ms"];
    let mut runner = Runner::start(home.path(), &server.url, &arguments);
    eventually("the certificate is refused", || runner.log().contains("invalid peer certificate")).await;
    assert!(backend.requests().is_empty(), "the runner sent a request to an untrusted server");
    runner.kill();
    let authority = home.path().join("ca.pem");
    assert!(fs::exists(&authority).unwrap());
    let environment = [("SSL_CERT_FILE", authority.to_str().unwrap())];
    let runner = Runner::with_environment(home.path(), &server.url, &arguments, &environment);
    let id = backend.submit(NewTask::new("https://example.org/x.git", "main"));
    let answer = backend.wait_for("an answer through TLS", PATIENCE, |backend| backend.result_of(&id));
    answer.await.unwrap_or_else(|error| panic!("{error}\n{}", runner.log()));
}
