//! Tests of the status page and its JSON form.

use std::time::{Duration, Instant};

use mock_backend::Settings;
use serde_json::Value;
use tokio::time::sleep;

use super::http::{LISTEN, address, page, status};
use crate::support::{PATIENCE, World, eventually, student};

#[tokio::test]
async fn status_shows_tasks_and_escapes_input() {
    let world = World::with(Settings::default(), &LISTEN).await;
    let address = address(&world.runner).await;
    let hostile = "<script>alert(\"x\")</script>&\u{202e}";
    let repository = student(&world.fresh("hostile"), "sleep 3; exit 7");
    let claim = serde_json::json!({"id": hostile, "status": "PENDING", "repositoryUrl": repository.url(),
        "branch": "main", "laboratories": [], "connectedTests": []});
    let find = |status: &Value| status["working"].as_array().unwrap().first().cloned();
    world.backend.submit_raw(claim.to_string());
    let end = Instant::now() + PATIENCE;
    loop {
        let status = status(address).await;
        // The runner counts the spool's files once per second.
        let spooled = status["spool"]["claimed"] == 1;
        if find(&status).is_some_and(|task| task["progress"] == "execute") && spooled {
            assert_eq!(status["working"][0]["task"], hostile);
            assert_eq!(status["slots"]["busy"], 1);
            break;
        }
        assert!(Instant::now() < end, "{status:#}");
        sleep(Duration::from_millis(50)).await;
    }
    let running = page(address).await;
    eventually("the task is answered", || !world.backend.results().is_empty()).await;
    let last = loop {
        let status = status(address).await;
        if status["last"][0]["delivery"]["state"] == "accepted" {
            break status["last"][0].clone();
        }
        assert!(Instant::now() < end, "{status:#}");
        sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(
        (&last["verdict"], &last["fault"]["progress"]),
        (&"ERROR".into(), &"report".into()),
        "{last:#}"
    );
    assert!(last["times"]["execute"].as_f64().unwrap() > 1.5, "{last:#}");
    for page in [running, page(address).await] {
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        assert!(
            !page.contains('\u{202e}') && !page.contains("http://") && !page.contains("https://"),
            "{page}"
        );
    }
}
