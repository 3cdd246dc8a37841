//! The admin API and the page at `/`, over HTTP.

use mock_backend::{MockBackend, Settings, Status, TaskId};
use serde_json::json;

use crate::client::{CLAIM, LOGIN, REFRESH, RESULT, claim, exchange, get, post, result};

async fn backend() -> MockBackend {
    MockBackend::start(Settings::default()).await.unwrap()
}

#[tokio::test]
async fn submits_tasks_and_lists_records() {
    let backend = backend().await;
    let tasks = r#"[{"id": 7, "repositoryUrl": "u", "branch": "b"}, {"repositoryUrl": "u", "branch": "b"}]"#;
    let response = post(&backend, "/mock/tasks", tasks).await;
    assert_eq!((response.status, &response.json()["ids"][0]), (201, &json!(7)));
    assert_eq!(post(&backend, "/mock/tasks", "[1]").await.status, 400);
    assert_eq!(claim(&backend).await["id"], 7);
    assert_eq!(post(&backend, RESULT, result(7).to_string()).await.status, 200);
    assert_eq!(post(&backend, RESULT, "nonsense").await.status, 400);

    let attempts = get(&backend, "/mock/attempts").await.json();
    assert_eq!((&attempts[0]["status"], &attempts[1]["status"]), (&json!("SUCCESS"), &json!("PENDING")));
    let results = get(&backend, "/mock/results").await.json();
    assert_eq!((&results[0]["id"], &results[0]["result"]["duration"]), (&json!(7), &json!(120)));
    assert_eq!(get(&backend, "/mock/refusals").await.json()[0]["body"], "nonsense");
    assert_eq!(get(&backend, "/mock/violations").await.json().as_array().unwrap().len(), 1);
    let requests = get(&backend, "/mock/requests").await.json();
    let paths: Vec<_> = requests.as_array().unwrap().iter().map(|request| &request["path"]).collect();
    assert_eq!(paths, [CLAIM, RESULT, RESULT], "requests of the admin API are not recorded");
}

#[tokio::test]
async fn submits_raw_claims_and_sets_faults() {
    let backend = backend().await;
    let response = post(&backend, "/mock/raw", r#"{"id": 1.50}"#).await;
    assert_eq!((response.status, response.json()), (201, json!({"id": "1.50"})));
    assert_eq!(backend.status_of(&TaskId::raw("1.50")), Some(Status::Pending));

    assert_eq!(post(&backend, "/mock/faults", "claim:503:2\n\nany:delay=1ms:forever\n").await.status, 204);
    assert_eq!(
        get(&backend, "/mock/faults").await.json(),
        json!(["claim:status=503:2", "any:delay=1ms:forever"])
    );
    let invalid = post(&backend, "/mock/faults", "claim:nonsense").await;
    assert_eq!(invalid.status, 400);
    assert!(invalid.json()["message"].as_str().unwrap().contains("nonsense"));
    assert_eq!(get(&backend, CLAIM).await.status, 503);
    let cleared = exchange(backend.address(), "DELETE", "/mock/faults", &[], b"").await.unwrap();
    assert_eq!(cleared.status, 204);
    assert_eq!(get(&backend, CLAIM).await.status, 200);
}

#[tokio::test]
async fn changes_users_tokens_and_clock() {
    let settings = Settings { auth: true, ..Settings::default() };
    let backend = MockBackend::start(settings).await.unwrap();
    assert_eq!(post(&backend, "/mock/users", "eve:secret").await.status, 204);
    assert_eq!(post(&backend, "/mock/users", "eve").await.status, 400);
    let tokens = post(&backend, LOGIN, r#"{"username":"eve","password":"secret"}"#).await.json();
    let bearer = format!("Bearer {}", tokens["accessToken"].as_str().unwrap());
    let claim =
        async || exchange(backend.address(), "GET", CLAIM, &[("Authorization", &bearer)], b"").await.unwrap();
    assert_eq!(claim().await.status, 200);
    assert_eq!(post(&backend, "/mock/expire-tokens", "").await.status, 204);
    assert_eq!(claim().await.status, 401);
    assert_eq!(post(&backend, "/mock/forget-refresh-tokens", "").await.status, 204);
    let refresh = json!({"refreshToken": tokens["refreshToken"]}).to_string();
    assert_eq!(post(&backend, REFRESH, refresh).await.status, 401);

    assert_eq!(post(&backend, "/mock/clock", "an hour").await.status, 400);
    assert_eq!(post(&backend, "/mock/clock", "-3600000").await.status, 204);
    let date = claim().await.header("date").map(httpdate::parse_http_date).unwrap().unwrap();
    let behind = std::time::SystemTime::now().duration_since(date).unwrap().as_secs();
    assert!((3600..3606).contains(&behind), "{behind}");
}

#[tokio::test]
async fn page_shows_state_requests_and_help() {
    let backend = backend().await;
    post(&backend, "/mock/tasks", r#"{"id": 7, "repositoryUrl": "u", "branch": "b"}"#).await;
    claim(&backend).await;
    let page = get(&backend, "/").await;
    assert!(page.header("content-type").unwrap().starts_with("text/plain"));
    let text = String::from_utf8(page.body).unwrap();
    for part in ["IN_PROGRESS 1", "GET /api/task/available -> 200", "POST   /mock/faults"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(get(&backend, "/mock/nonsense").await.status, 404);
}
