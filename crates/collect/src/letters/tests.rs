use std::sync::Mutex;

use async_trait::async_trait;

use super::*;

/// Files in memory; after so many operations every other one fails, the first after doing half of it.
#[derive(Debug, Default)]
struct Files {
    content: Mutex<BTreeMap<String, Vec<u8>>>,
    left: Mutex<Option<usize>>,
}

impl Files {
    fn names(&self) -> Vec<String> {
        self.content.lock().unwrap().keys().cloned().collect()
    }

    fn text(&self) -> String {
        let content = self.content.lock().unwrap();
        String::from_utf8(content.values().flatten().copied().collect()).unwrap()
    }

    fn breaks_after(&self, operations: Option<usize>) {
        *self.left.lock().unwrap() = operations;
    }

    /// Counts a change; whether it happens.
    fn change(&self) -> io::Result<()> {
        match &mut *self.left.lock().unwrap() {
            Some(0) => Err(io::Error::other("broken")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Files {
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        let content = self.content.lock().unwrap();
        Ok(content.get(name).cloned().map(Bytes::from))
    }
    async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.change()?;
        let mut files = self.content.lock().unwrap();
        files.insert(name.to_owned(), content.to_vec());
        Ok(())
    }
    async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
        let done = self.change();
        let length = if done.is_ok() {
            content.len()
        } else {
            content.len() / 2
        };
        let mut files = self.content.lock().unwrap();
        files
            .entry(name.to_owned())
            .or_default()
            .extend(&content[..length]);
        done
    }
    async fn sync(&self, name: &str) -> io::Result<()> {
        assert!(self.content.lock().unwrap().contains_key(name));
        self.change()
    }
    async fn delete(&self, name: &str) -> io::Result<()> {
        self.change()?;
        self.content.lock().unwrap().remove(name);
        Ok(())
    }
    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let mut names = self.names();
        names.retain(|name| name.starts_with(prefix));
        Ok(names)
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn undelivered(text: &str) -> Undelivered {
    Undelivered {
        reason: "the intake says no".to_owned(),
        copy_sent: false,
        content: Content::Event(text.to_owned()),
    }
}

async fn keep(letters: &mut Letters, files: &Files, seconds: i64, text: &str) -> String {
    match letters
        .keep(files, at(seconds), undelivered(text))
        .await
        .unwrap()
    {
        Keeping::Kept(id) => id,
        Keeping::Full => panic!("full"),
    }
}

fn owner(intake: &str) -> Owner {
    Owner {
        intake: intake.to_owned(),
        identify: |text| Some(format!("<{}>", text.len())),
    }
}

async fn open(files: &Files) -> Letters {
    Letters::open(files, owner("f00d"), Room::WIDE)
        .await
        .unwrap()
}

async fn texts(files: &Files) -> Vec<String> {
    let mut texts = Vec::new();
    let look = |letter: Letter| texts.push(letter.content.text().to_owned());
    each(files, look).await.unwrap();
    texts
}

#[tokio::test]
async fn a_letter_says_all_there_is_to_say_and_is_found_again() {
    let files = Files::default();
    let mut letters = open(&files).await;
    let first = keep(&mut letters, &files, 0, "{\"a\":1}").await;
    let bytes = Undelivered {
        content: Content::bytes(b"\xe9\n"),
        copy_sent: true,
        ..undelivered("")
    };
    let Keeping::Kept(second) = letters.keep(&files, at(5), bytes).await.unwrap() else {
        panic!()
    };
    let lines = files.text();
    let expected = format!(
        "{{\"id\":\"{first}\",\"time\":\"2027-01-15T08:00:00Z\",\"reason\":\"the intake says no\",\
         \"intake\":\"f00d\",\"message_id\":\"<7>\",\"event\":\"{{\\\"a\\\":1}}\"}}\n\
         {{\"id\":\"{second}\",\"time\":\"2027-01-15T08:00:05Z\",\"reason\":\"the intake says no\",\
         \"intake\":\"f00d\",\"message_id\":null,\"copy_sent\":true,\"bytes\":\"6Qo=\"}}\n"
    );
    assert_eq!(lines, expected);
    let again = open(&files).await;
    let stock = Stock {
        letters: 2,
        bytes: lines.len() as u64,
        oldest: Some(at(0)),
    };
    assert_eq!((letters.stock(), again.stock()), (stock, stock));
    assert_eq!(again.ids(), [first.clone(), second]);
    let found = again.find(&files, &[first].into()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].content, Content::Event("{\"a\":1}".to_owned()));
}

#[tokio::test]
async fn the_same_content_is_kept_once_for_an_intake() {
    let files = Files::default();
    let mut letters = open(&files).await;
    let first = keep(&mut letters, &files, 0, "x").await;
    assert_eq!(keep(&mut letters, &files, 9, "x").await, first);
    assert_eq!(open(&files).await.ids(), std::slice::from_ref(&first));
    let mut other = Letters::open(&files, owner("beef"), Room::WIDE)
        .await
        .unwrap();
    assert_ne!(keep(&mut other, &files, 9, "x").await, first);
    assert_eq!(other.stock().letters, 2);
}

#[tokio::test]
async fn rotation_begins_a_new_file_and_deletes_nothing() {
    let files = Files::default();
    let mut letters = open(&files).await;
    let long = "y".repeat(7 << 20);
    for n in 0..3 {
        keep(&mut letters, &files, n, &format!("{n}{long}")).await;
    }
    let names = [
        "dead-letters/0000000001.jsonl",
        "dead-letters/0000000002.jsonl",
    ];
    assert_eq!(files.names(), names);
    assert_eq!(texts(&files).await.len(), 3);
    // What a restart finds may end with half a line.
    let mut again = open(&files).await;
    keep(&mut again, &files, 3, "z").await;
    assert_eq!(files.names().len(), 3);
}

#[tokio::test]
async fn at_the_bound_nothing_more_is_kept_until_there_is_room() {
    let files = Files::default();
    for room in [
        Room {
            letters: 2,
            ..Room::WIDE
        },
        Room {
            bytes: 300,
            ..Room::WIDE
        },
    ] {
        files.content.lock().unwrap().clear();
        let mut letters = Letters::open(&files, owner("f00d"), room).await.unwrap();
        let first = keep(&mut letters, &files, 0, "1").await;
        keep(&mut letters, &files, 0, "2").await;
        let full = letters.keep(&files, at(0), undelivered("3")).await.unwrap();
        assert_eq!((full, letters.stock().letters), (Keeping::Full, 2));
        let known = letters.keep(&files, at(0), undelivered("1")).await.unwrap();
        assert_eq!(known, Keeping::Kept(first.clone()), "it has its place");
        letters
            .settle(&files, &[first].into(), Settled::Dropped, at(1))
            .await
            .unwrap();
        keep(&mut letters, &files, 0, "3").await;
        assert_eq!(texts(&files).await, ["2", "3"]);
    }
}

/// With a failure at any moment, what was kept stays until it is settled, and what is settled
/// does not come back.
#[tokio::test]
async fn a_crash_at_any_moment_loses_no_letter_and_brings_none_back() {
    for operations in 0..12 {
        let files = Files::default();
        let mut letters = open(&files).await;
        let kept = keep(&mut letters, &files, 0, "kept").await;
        let gone = keep(&mut letters, &files, 0, "gone").await;
        files.breaks_after(Some(operations));
        let settled = letters
            .settle(&files, &[gone.clone()].into(), Settled::Accepted, at(1))
            .await;
        let added = letters.keep(&files, at(2), undelivered("added")).await;
        files.breaks_after(None);
        let mut again = open(&files).await;
        let texts = texts(&files).await;
        assert!(
            texts.contains(&"kept".to_owned()),
            "{operations}: {texts:?}"
        );
        assert!(again.ids().contains(&kept));
        if settled.is_ok() {
            assert!(
                !texts.contains(&"gone".to_owned()),
                "{operations}: {texts:?}"
            );
        }
        if added.is_ok() {
            assert!(
                texts.contains(&"added".to_owned()),
                "{operations}: {texts:?}"
            );
        }
        assert_eq!(texts.len(), again.ids().len());
        // And it goes on.
        keep(&mut again, &files, 9, "later").await;
        assert_eq!(again.stock().letters, texts.len() + 1);
    }
}

#[test]
fn a_fingerprint_tells_keys_apart_and_not_what_they_are() {
    let (one, other) = (fingerprint("key-1"), fingerprint("key-2"));
    assert!(one != other && one.len() == 16 && !one.contains("key"));
}

/// A full disk takes half of a note, and has room for the next one.
#[tokio::test]
async fn a_note_that_was_cut_short_takes_no_other_with_it() {
    let files = Files::default();
    let mut letters = Letters::open(&files, owner("f00d"), Room::WIDE)
        .await
        .unwrap();
    let ids = [keep(&mut letters, &files, 0, "accepted").await].into();
    for operations in [0, 2] {
        files.breaks_after(Some(operations));
        let settled = letters.settle(&files, &ids, Settled::Accepted, at(1)).await;
        assert!(settled.is_err());
    }
    files.breaks_after(None);
    let letters = Letters::open(&files, owner("f00d"), Room::WIDE).await;
    assert_eq!(letters.unwrap().stock().letters, 0);
}
