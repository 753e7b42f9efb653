//! What every store must do. Each one's tests call [`check`] on an empty instance.

use super::Storage;

pub(super) async fn check(storage: Storage) {
    let text = async |name: &str| storage.read(name).await.unwrap().unwrap();
    assert_eq!(storage.read("absent").await.unwrap(), None);
    assert!(storage.list("").await.unwrap().is_empty());
    storage.delete("absent").await.unwrap();

    storage.write("context.json", "{}").await.unwrap();
    storage.write("context.json", r#"{"a":1}"#).await.unwrap();
    assert_eq!(text("context.json").await, r#"{"a":1}"#);
    for content in ["light", "lighter"] {
        storage
            .write_lightly("context.json", content)
            .await
            .unwrap();
        assert_eq!(text("context.json").await, content);
    }
    storage.write("empty", "").await.unwrap();
    assert_eq!(text("empty").await, "");

    storage.append("deep/er/log", "one ").await.unwrap();
    storage.append("deep/er/log", "two").await.unwrap();
    assert_eq!(text("deep/er/log").await, "one two");
    storage.sync("deep/er/log").await.unwrap();
    storage.write("deep/er/log", "one two").await.unwrap();
    storage.sync("deep/er/log").await.unwrap();
    storage.append("deep/er/log", " three").await.unwrap();
    storage.sync("deep/er/log").await.unwrap();
    assert_eq!(text("deep/er/log").await, "one two three");
    storage.write("deep/er/log", "new").await.unwrap();
    storage.append("deep/er/log", "er").await.unwrap();
    assert_eq!(text("deep/er/log").await, "newer");

    storage.write("deep/a", "x").await.unwrap();
    assert_eq!(
        storage.list("").await.unwrap(),
        ["context.json", "deep/a", "deep/er/log", "empty"]
    );
    assert_eq!(storage.list("deep/e").await.unwrap(), ["deep/er/log"]);
    assert_eq!(storage.list("nothing/").await.unwrap(), [""; 0]);
    storage.delete("deep/er/log").await.unwrap();
    assert_eq!(storage.read("deep/er/log").await.unwrap(), None);
    assert_eq!(storage.list("deep/").await.unwrap(), ["deep/a"]);

    let many = (0..20).map(|n| {
        let storage = storage.clone();
        async move { storage.write("raced", vec![b'0' + n; 1000]).await }
    });
    for result in futures_util::future::join_all(many).await {
        result.unwrap();
    }
    let raced = text("raced").await;
    assert!(raced.len() == 1000 && raced.iter().all(|byte| *byte == raced[0]));
}
