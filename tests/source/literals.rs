//! The texts in the sources.

/// A text in the sources.
#[derive(Debug)]
pub(crate) struct Literal {
    /// Its text, with `…` for what is filled in.
    pub(crate) text: String,
    /// The calls, macros and attributes that it is an argument of, the outermost first.
    pub(crate) calls: Vec<String>,
}

/// The string literals of product code.
pub(crate) fn literals(code: &str) -> Vec<Literal> {
    let mut reader = Reader {
        rest: code,
        word: String::new(),
        calls: Vec::new(),
        found: Vec::new(),
    };
    while reader.step() {}
    reader.found
}

struct Reader<'a> {
    rest: &'a str,
    /// The word that ends here.
    word: String,
    calls: Vec<String>,
    found: Vec<Literal>,
}

impl Reader<'_> {
    fn step(&mut self) -> bool {
        let Some(next) = self.rest.chars().next() else {
            return false;
        };
        let raw = raw_start(self.rest).filter(|_| self.word.is_empty());
        if let Some(hashes) = raw {
            let end = format!("\"{}", "#".repeat(hashes));
            let (text, rest) = self.rest[hashes + 2..].split_once(&end).unwrap();
            self.rest = rest;
            self.push(text.to_owned());
        } else if next == '"' {
            let (text, length) = unescaped(&self.rest[1..]);
            self.rest = &self.rest[length + 1..];
            self.push(text);
        } else if next == '\'' {
            self.rest = &self.rest[character(self.rest)..];
        } else {
            self.rest = &self.rest[next.len_utf8()..];
            self.other(next);
        }
        true
    }

    fn push(&mut self, text: String) {
        self.word.clear();
        self.found.push(Literal {
            text: filled(&text),
            calls: self.calls.clone(),
        });
    }

    fn other(&mut self, c: char) {
        match c {
            '(' => self.calls.push(std::mem::take(&mut self.word)),
            ')' => {
                self.calls.pop();
                self.word.clear();
            }
            '!' => {}
            c if c.is_alphanumeric() || c == '_' => self.word.push(c),
            _ => self.word.clear(),
        }
    }
}

/// How many hashes a raw string has that starts here.
fn raw_start(code: &str) -> Option<usize> {
    let rest = code.strip_prefix('r')?;
    let text = rest.trim_start_matches('#');
    text.starts_with('"').then(|| rest.len() - text.len())
}

/// The text up to the closing quote, and how long it is in the code, quote included.
fn unescaped(code: &str) -> (String, usize) {
    let mut text = String::new();
    let mut chars = code.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, at + 1),
            '\\' => match chars.next().unwrap().1 {
                'n' => text.push('\n'),
                // The line goes on with the next word.
                '\n' => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                other => text.push(other),
            },
            c => text.push(c),
        }
    }
    panic!("a string without an end: {text}")
}

/// How long the character or lifetime is that starts here.
fn character(code: &str) -> usize {
    let rest = &code[1..];
    match rest.strip_prefix('\\') {
        Some(escaped) => 3 + escaped[1..].find('\'').unwrap() + 1,
        None => match rest.char_indices().nth(1) {
            Some((at, '\'')) => at + 2,
            _ => 1,
        },
    }
}

/// The text with `…` for each placeholder.
fn filled(text: &str) -> String {
    let mut filled = String::new();
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                filled.push('…');
            }
            c if depth == 0 => filled.push(c),
            _ => {}
        }
    }
    filled
}

#[test]
fn the_reader_sees_texts_and_what_they_are_for() {
    let code = r##"
        #[error("a {b:?} of \
                 {}")]
        fn f<'a>(c: &'a str) { log.info(format!("g \"{c}\"", '"')); h(r#"i "j""#, "k\n") }
    "##;
    let found: Vec<_> = literals(code)
        .into_iter()
        .map(|literal| (literal.text, literal.calls))
        .collect();
    let expected = [
        ("a … of …", vec!["error"]),
        ("g \"…\"", vec!["info", "format"]),
        ("i \"j\"", vec!["h"]),
        ("k\n", vec!["h"]),
    ];
    for ((text, calls), expected) in found.iter().zip(&expected) {
        assert_eq!(
            (text.as_str(), calls),
            (
                expected.0,
                &expected.1.iter().map(|call| (*call).to_owned()).collect()
            )
        );
    }
    assert_eq!(found.len(), expected.len());
}
