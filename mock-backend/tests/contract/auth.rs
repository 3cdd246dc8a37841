//! Login, refresh, token expiry and roles, over HTTP.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mock_backend::{MockBackend, NewTask, Settings, User};
use serde_json::{Value, json};

use crate::client::{CLAIM, LOGIN, REFRESH, RESULT, Response, exchange, get, post};

async fn start(change: impl FnOnce(&mut Settings)) -> MockBackend {
    let mut settings = Settings { auth: true, ..Settings::default() };
    change(&mut settings);
    MockBackend::start(settings).await.unwrap()
}

async fn login(backend: &MockBackend, name: &str, password: &str) -> Response {
    post(backend, LOGIN, json!({"username": name, "password": password}).to_string()).await
}

async fn tokens(backend: &MockBackend) -> Value {
    login(backend, "dora_explorer", "dora_explorer").await.json()
}

async fn refresh(backend: &MockBackend, tokens: &Value) -> Response {
    post(backend, REFRESH, json!({"refreshToken": tokens["refreshToken"]}).to_string()).await
}

async fn claim(backend: &MockBackend, tokens: &Value) -> u16 {
    let bearer = format!("Bearer {}", tokens["accessToken"].as_str().unwrap());
    exchange(backend.address(), "GET", CLAIM, &[("Authorization", &bearer)], b"").await.unwrap().status
}

fn payload(tokens: &Value) -> Value {
    let payload = tokens["accessToken"].as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn claim_and_result_require_token() {
    let backend = start(|_| ()).await;
    let id = backend.submit(NewTask::new("u", "b"));
    assert_eq!(get(&backend, CLAIM).await.status, 401);
    assert_eq!(post(&backend, RESULT, "{}").await.status, 401);
    assert_eq!(backend.status_of(&id), Some(mock_backend::Status::Pending));
    let tokens = tokens(&backend).await;
    assert_eq!(tokens["type"], "Bearer");
    assert_eq!(claim(&backend, &tokens).await, 200);
    let recorded = backend.requests().pop().unwrap();
    assert_eq!(recorded.header("Authorization").unwrap()[..7], *"Bearer ");
}

#[tokio::test]
async fn rejects_unknown_user_wrong_password_other_role() {
    let backend = start(|_| ()).await;
    assert_eq!(login(&backend, "nobody", "x").await.status, 400);
    assert_eq!(login(&backend, "dora_explorer", "x").await.status, 401);
    assert_eq!(post(&backend, LOGIN, "{}").await.status, 400);
    backend.add_user(User::admin("guest", "guest").role("USER"));
    let guest = login(&backend, "guest", "guest").await.json();
    assert_eq!(claim(&backend, &guest).await, 403);
    let bearer = format!("Bearer {}", guest["accessToken"].as_str().unwrap());
    let posted =
        exchange(backend.address(), "POST", RESULT, &[("Authorization", &bearer)], b"{}").await.unwrap();
    assert_eq!(posted.status, 403);
}

#[tokio::test]
async fn refresh_replaces_expired_access_token() {
    let backend = start(|settings| settings.access_lifetime = Duration::from_millis(900)).await;
    let first = tokens(&backend).await;
    assert_eq!(claim(&backend, &first).await, 200);
    tokio::time::sleep(Duration::from_millis(920)).await;
    assert_eq!(claim(&backend, &first).await, 401);
    let second = refresh(&backend, &first).await;
    assert_eq!(second.status, 200);
    assert_eq!(claim(&backend, &second.json()).await, 200);
}

#[tokio::test]
async fn refresh_token_works_once_until_next_login() {
    let backend = start(|_| ()).await;
    let first = tokens(&backend).await;
    let second = refresh(&backend, &first).await.json();
    assert_eq!(refresh(&backend, &first).await.status, 401, "rotated");
    let other_runner = tokens(&backend).await;
    assert_eq!(refresh(&backend, &second).await.status, 401, "one refresh token for each user");
    assert_eq!(claim(&backend, &second).await, 200, "its access token is still valid");
    assert_eq!(refresh(&backend, &other_runner).await.status, 200);
    assert_eq!(post(&backend, REFRESH, "{}").await.status, 400);
}

#[tokio::test]
async fn restart_invalidates_only_refresh_tokens() {
    let backend = start(|_| ()).await;
    let first = tokens(&backend).await;
    backend.expire_tokens();
    assert_eq!(claim(&backend, &first).await, 401);
    let second = refresh(&backend, &first).await.json();
    assert_eq!(claim(&backend, &second).await, 200);
    backend.restart().await.unwrap();
    assert_eq!(refresh(&backend, &second).await.status, 401);
    assert_eq!(claim(&backend, &second).await, 200, "access tokens survive a restart");
}

#[tokio::test]
async fn exp_and_date_follow_backend_clock() {
    const HOUR: u64 = 3600;
    let backend = start(|settings| settings.clock_offset_ms = 3_600_000).await;
    let response = login(&backend, "dora_explorer", "dora_explorer").await;
    let date = httpdate::parse_http_date(response.header("date").unwrap()).unwrap();
    let ahead = date.duration_since(std::time::SystemTime::now()).unwrap().as_secs();
    assert!((HOUR - 5..=HOUR).contains(&ahead), "{ahead}");
    let date = date.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let exp = payload(&response.json())["exp"].as_u64().unwrap();
    assert!((899..=901).contains(&(exp - date)), "15 minutes after {date}: {exp}");
    let claims = payload(&response.json());
    assert_eq!(
        (&claims["sub"], &claims["roles"], claims.get("iat")),
        (&json!("dora_explorer"), &json!(["ADMIN"]), None)
    );

    backend.set_clock_offset_ms(3_600_000 + 901_000);
    assert_eq!(claim(&backend, &response.json()).await, 401);
}
