//! Files that grow.

use std::time::Duration;

use base::{Clock, http::Http};
use bytes::Bytes;
use emulator::ConditionalWrites;
use futures_util::future::join;
use object_store::PutMode;

use super::{World, text};
use crate::{
    deadline::Deadline,
    storage::{
        Storage,
        object::{
            ObjectBackend,
            client::{Client, PATIENTLY},
            files::PART,
        },
    },
};

impl World {
    /// How many objects a file is.
    async fn objects(&self, name: &str) -> usize {
        let parts = self.client().list(&format!(".parts/{name}/")).await;
        1 + parts.unwrap().len()
    }

    fn client(&self) -> Client {
        Client::new(
            Self::settings(&[]),
            Http::new(self.net.clone()),
            Clock::system(),
            PATIENTLY,
        )
        .unwrap()
    }

    fn reader(&self) -> Storage {
        let http = Http::new(self.net.clone());
        Storage::new(ObjectBackend::look(Self::settings(&[]), http, Clock::system()).unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_few_objects_and_an_addition_costs_few_requests() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    let mut whole = String::new();
    world.requests();
    for n in 0..100 {
        let addition = format!("{n:>2000}");
        first.storage.append("log", addition.clone()).await.unwrap();
        whole += &addition;
        if n % 10 == 9 {
            assert!(world.objects("log").await <= 64);
        }
    }
    let requests = world.requests();
    let puts = requests.iter().filter(|note| note.starts_with("PUT"));
    let puts = puts.filter(|note| note.contains("log")).count();
    assert!(puts < 100 + 5, "{puts}");
    assert_eq!(text(&first.storage, "log").await, whole);
    first.backend.close(&Deadline::default()).await.unwrap();

    // Starts that add little each go on with what is not joined.
    for _ in 0..8 {
        let next = world.open().await;
        for n in 0..9 {
            next.storage.append("log", n.to_string()).await.unwrap();
            whole += &n.to_string();
        }
        next.backend.close(&Deadline::default()).await.unwrap();
    }
    assert_eq!(text(&world.reader(), "log").await, whole);
    assert!(world.objects("log").await <= 64);
}

#[tokio::test(start_paused = true)]
async fn a_file_of_an_earlier_version_is_read_and_goes_on() {
    let world = World::new(ConditionalWrites::Checked);
    let client = world.client();
    let put = async |key: &str, content: &str, generation: &str| {
        let content = Bytes::from(content.to_owned());
        let put = client.put(key, content, PutMode::Overwrite, Some(generation));
        put.await.unwrap();
    };
    let generation = "0123456789abcdef0123456789abcdef";
    let (first, second, last) = ("a".repeat(256 << 10), "b".repeat(300 << 10), "c".repeat(9));
    put("log", &first, generation).await;
    let part = |number: u32| format!(".parts/log/.{generation}/{number:08}");
    put(&part(1), &second, generation).await;
    put(&part(2), &last, generation).await;
    put("short", "one,", generation).await;

    let instance = world.open().await;
    let mut whole = first + &second + &last;
    assert_eq!(text(&instance.storage, "log").await, whole);
    assert_eq!(text(&instance.storage, "short").await, "one,");
    for n in 0..50 {
        let addition = format!("{n:>20000}");
        instance
            .storage
            .append("log", addition.clone())
            .await
            .unwrap();
        whole += &addition;
    }
    instance.storage.append("short", "two").await.unwrap();
    assert_eq!(text(&instance.storage, "log").await, whole);
    assert_eq!(text(&instance.storage, "short").await, "one,two");
    instance.storage.delete("log").await.unwrap();
    assert_eq!(instance.storage.list("").await.unwrap(), ["short"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_meanwhile_finds_all_that_was_there() {
    let world = World::new(ConditionalWrites::Checked);
    let instance = world.open().await;
    instance.storage.append("log", "x").await.unwrap();
    let reader = world.reader();
    let grows = async {
        for _ in 0..100 {
            instance.storage.append("log", "x").await.unwrap();
        }
    };
    let reads = async {
        let mut seen = 0;
        while seen < 101 {
            let now = text(&reader, "log").await.len();
            assert!(now >= seen, "{now} after {seen}");
            seen = now;
        }
    };
    let both = tokio::time::timeout(Duration::from_secs(600), join(grows, reads));
    both.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reader_meanwhile_finds_no_half_of_a_replaced_file() {
    let world = World::new(ConditionalWrites::Checked);
    let instance = world.open().await;
    instance.storage.write("log", "000").await.unwrap();
    let reader = world.reader();
    let writes = async {
        for n in 1..40 {
            for _ in 0..4 {
                instance.storage.append("log", "x").await.unwrap();
            }
            let next = format!("{n:03}");
            instance.storage.write("log", next).await.unwrap();
        }
    };
    let reads = async {
        let mut seen = Bytes::from("000");
        while !seen.starts_with(b"039") {
            // That it was changed all the time may be said, and is no content.
            let Ok(Some(now)) = reader.read("log").await else {
                continue;
            };
            assert!(now >= seen, "{now:?} after {seen:?}");
            seen = now;
        }
    };
    let both = tokio::time::timeout(Duration::from_secs(600), join(writes, reads));
    both.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_left_of_a_join_is_taken_away() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    for n in 0..3 {
        first.storage.append("log", n.to_string()).await.unwrap();
    }
    first.backend.close(&Deadline::default()).await.unwrap();
    let client = world.client();
    let parts = client.list(".parts/log/").await.unwrap();
    let joined = parts[0].replace("00000001", "00000001-00000002");
    let put = client.put(&joined, Bytes::from("12"), PutMode::Create, None);
    put.await.unwrap();

    let second = world.open().await;
    assert_eq!(text(&second.storage, "log").await, "012");
    second.storage.append("log", "3").await.unwrap();
    assert_eq!(text(&second.storage, "log").await, "0123");
    let left = client.list(".parts/log/").await.unwrap();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_add_the_same_number_one_is_refused() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    for addition in ["0", "1"] {
        first.storage.append("log", addition).await.unwrap();
    }
    // The first instance believes that its lease is still alive.
    std::fs::remove_file(world.path("play/book/7/.lease")).unwrap();
    let second = world.open().await;
    second.storage.append("log", "2").await.unwrap();
    first.storage.append("log", "stale").await.unwrap_err();
    assert_eq!(text(&second.storage, "log").await, "012");
    let long = "x".repeat(PART);
    second.storage.append("log", long.clone()).await.unwrap();
    assert_eq!(text(&second.storage, "log").await, format!("012{long}"));
}
