//! Reads JSON in one pass, just far enough to find the stretches that matter.
//!
//! What it passes it checks as strictly as `serde_json` does.

mod extent;

use std::borrow::Cow;

pub(crate) use self::extent::Extent;

/// Brackets that may be open at once in a value that is passed; `serde_json` parses as deep.
const MAX_DEPTH: u32 = u128::BITS;

/// A place in a text. Where one of its methods gives nothing, the text is not what was asked for,
/// and the place is where that was noticed.
#[derive(Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// A value as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// Its JSON.
    pub json: &'a str,
    /// Whether it is a string with an escape.
    pub(crate) is_escaped: bool,
}

impl<'a> Raw<'a> {
    /// What stands between the quotes; none when it is no string.
    #[inline]
    fn inside(self) -> Option<&'a str> {
        // What begins with a quote ends with one.
        if self.json.as_bytes().first() != Some(&b'"') {
            return None;
        }
        self.json.get(1..self.json.len() - 1)
    }

    /// The text of a string; none when it is no string, or one with half a surrogate pair.
    #[inline]
    pub fn string(self) -> Option<Cow<'a, str>> {
        let inside = self.inside()?;
        if self.is_escaped {
            return self.unescaped();
        }
        Some(Cow::Borrowed(inside))
    }

    #[cold]
    fn unescaped(self) -> Option<Cow<'a, str>> {
        serde_json::from_str(self.json).ok().map(Cow::Owned)
    }

    /// The text of a scalar value; none for null and the empty text.
    #[inline]
    pub fn text(self) -> Option<Cow<'a, str>> {
        let text = match self.inside() {
            // Half a surrogate pair cannot be unescaped; then the escaped form identifies as well.
            Some(inside) => self.string().unwrap_or(Cow::Borrowed(inside)),
            None if self.json == "null" => return None,
            None => Cow::Borrowed(self.json),
        };
        (!text.is_empty()).then_some(text)
    }
}

impl<'a> Scanner<'a> {
    /// At the beginning of a text.
    pub fn new(text: &'a str) -> Self {
        Self::starting_at(text, 0)
    }

    /// At a place in a text.
    pub fn starting_at(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    /// Where it is, in bytes.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Goes to a place, as where it was before.
    pub fn go_to(&mut self, place: usize) {
        self.at = place;
    }

    /// What it has passed since it was at a place.
    pub fn since(&self, place: usize) -> Option<&'a str> {
        self.text.get(place..self.at)
    }

    /// The whole text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The next byte that is no space; it is not passed.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            // Most bytes are told from spaces by the first comparison.
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Passes this byte.
    #[inline]
    pub fn pass(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Passes an array; `each` passes an element.
    #[inline]
    pub fn array(&mut self, each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.list(b'[', b']', each)
    }

    /// Passes an array of strings that are not blank, and nothing else; how many they are. One that
    /// begins with a space or an escaped character may be blank.
    pub fn strings(&mut self) -> Option<usize> {
        let mut count = 0;
        self.array(|scanner| {
            if scanner.peek()? != b'"' {
                return None;
            }
            let first = *scanner.text.as_bytes().get(scanner.at + 1)?;
            if matches!(first, b'"' | b' ' | b'\\') {
                return None;
            }
            scanner.at = Extent::of_string(scanner.text, scanner.at)?.end;
            count += 1;
            Some(())
        })?;
        Some(count)
    }

    /// Passes an object; `each` gets the name of a member and passes its value.
    #[inline]
    pub fn object(&mut self, mut each: impl FnMut(&mut Self, &str) -> Option<()>) -> Option<()> {
        self.list(b'{', b'}', |scanner| {
            let name = scanner.name()?.string()?;
            each(scanner, &name)
        })
    }

    #[inline]
    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut each: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.pass(open)?;
        if self.pass(close).is_some() {
            return Some(());
        }
        loop {
            each(self)?;
            if self.pass(b',').is_none() {
                return self.pass(close);
            }
        }
    }

    /// Passes the name of a member and its colon.
    #[inline]
    fn name(&mut self) -> Option<Raw<'a>> {
        if self.peek()? != b'"' {
            return None;
        }
        let name = self.string()?;
        self.pass(b':')?;
        Some(name)
    }

    /// Reads any value.
    #[inline]
    pub fn value(&mut self) -> Option<Raw<'a>> {
        self.peek()?;
        let start = self.at;
        self.extent()?.since(start, self.text)
    }

    /// Passes the value that begins here.
    #[inline]
    pub(crate) fn extent(&mut self) -> Option<Extent> {
        let extent = Extent::of_value(self.text, self.at)?;
        self.at = extent.end;
        Some(extent)
    }

    /// Passes any value.
    #[inline]
    pub fn pass_value(&mut self) -> Option<()> {
        self.peek()?;
        self.extent().map(|_| ())
    }

    /// Passes any value without recursion: a bit tells for each open bracket whether it is an
    /// object's.
    fn nested(&mut self) -> Option<()> {
        let (mut objects, mut depth) = (0_u128, 0);
        loop {
            match self.peek()? {
                b'{' | b'[' if depth == MAX_DEPTH => return None,
                open @ (b'{' | b'[') => {
                    self.at += 1;
                    let is_object = open == b'{';
                    // In ASCII, both brackets close two places behind where they open.
                    if self.peek()? != open + 2 {
                        objects = objects << 1 | u128::from(is_object);
                        depth += 1;
                        if is_object {
                            self.name()?;
                        }
                        continue;
                    }
                    self.at += 1;
                }
                _ => self.scalar()?,
            }
            // A value has ended, and perhaps what is around it.
            loop {
                if depth == 0 {
                    return Some(());
                }
                let is_object = objects & 1 == 1;
                if self.pass(b',').is_some() {
                    if is_object {
                        self.name()?;
                    }
                    break;
                }
                self.pass(if is_object { b'}' } else { b']' })?;
                objects >>= 1;
                depth -= 1;
            }
        }
    }

    #[inline]
    fn scalar(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        rest.starts_with(word).then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        self.passes(b"-");
        if !self.passes(b"0") {
            self.digits()?;
        }
        if self.passes(b".") {
            self.digits()?;
        }
        if self.passes(b"eE") {
            self.passes(b"+-");
            self.digits()?;
        }
        Some(())
    }

    /// Passes one of these bytes, when it is here.
    #[inline]
    fn passes(&mut self, any: &[u8]) -> bool {
        let byte = self.text.as_bytes().get(self.at);
        let found = byte.is_some_and(|byte| any.contains(byte));
        self.at += usize::from(found);
        found
    }

    fn digits(&mut self) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        let count = digits.count();
        self.at += count;
        (count > 0).then_some(())
    }

    /// Reads the string whose opening quote is here.
    #[inline]
    fn string(&mut self) -> Option<Raw<'a>> {
        let extent = Extent::of_string(self.text, self.at)?;
        let start = std::mem::replace(&mut self.at, extent.end);
        extent.since(start, self.text)
    }

    fn escape(&mut self) -> Option<()> {
        self.at += 1;
        if self.passes(b"u") {
            for _ in 0..4 {
                self.passes(b"0123456789abcdefABCDEF").then_some(())?;
            }
            return Some(());
        }
        self.passes(b"\"\\/bfnrt").then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    /// The value of a text that has nothing else.
    fn value(text: &str) -> Option<&str> {
        let mut scanner = Scanner::new(text);
        let value = scanner.value()?;
        scanner.peek().is_none().then_some(value.json)
    }

    #[track_caller]
    fn agrees(text: &str) {
        let theirs = serde_json::from_str::<&RawValue>(text).ok();
        assert_eq!(value(text), theirs.map(RawValue::get), "{text}");
    }

    #[test]
    fn judges_as_serde_json_does() {
        let long = "x".repeat(150);
        for text in [
            "",
            " ",
            "1",
            "-",
            "-0",
            "01",
            "1.",
            "1.5e",
            "1.5E-07 ",
            "+1",
            ".5",
            "1e5x",
            "tru",
            "true",
            "nulll",
            " null ",
            "\"",
            "\"a",
            "\"\\\"",
            "\"\\u00e9\"",
            "\"\\u00g9\"",
            "\"\\x\"",
            "\"\\u12",
            "\"\t\"",
            "\"é\u{1f389}\"",
            "{",
            "}",
            "{}",
            "{ }",
            "[ ]",
            "[",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1}",
            "{1:2}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":[{}, [ ]],\"b\" : {\"c\":null}}",
            "{\"a\":1]",
            "[[[]",
            "[]]",
            "{\"a\":1 \"b\":2}",
            "\u{feff}1",
            "\"\u{7f}\"",
            "\"\u{0}\"",
        ] {
            agrees(text);
            agrees(&format!("[{{\"{long}\":{text}}},\"{long}\"]"));
        }
    }

    #[test]
    fn members_and_elements_are_handed_out() {
        let text = r#" { "a" : 1.5 , "\u0062":["x\n",{"c":[]}] , "é":"" } "#;
        let mut found = Vec::new();
        let mut scanner = Scanner::new(text);
        let passed = scanner.object(|scanner, name| {
            let value = scanner.value()?;
            found.push((name.to_owned(), value.json));
            Some(())
        });
        assert!(passed.is_some() && scanner.peek().is_none());
        let expected = [("a", "1.5"), ("b", r#"["x\n",{"c":[]}]"#), ("é", "\"\"")];
        assert_eq!(found, expected.map(|(name, json)| (name.to_owned(), json)));
    }

    #[test]
    fn strings_are_counted_and_nothing_else() {
        let strings = |text: &str| {
            let mut scanner = Scanner::new(text);
            let count = scanner.strings()?;
            scanner.peek().is_none().then_some(count)
        };
        let many = vec!["9f1c0f52-6f0e-4c5c-8a3e-5d0c0f1b2a3d"; 5000];
        for (text, count) in [
            ("[]", Some(0)),
            (r#" ["a" , "b\"","9"] "#, Some(3)),
            (r#"["a",""]"#, None),
            (r#"["a"," "]"#, None),
            (r#"["a","\u0020"]"#, None),
            (&serde_json::to_string(&many).unwrap(), Some(many.len())),
            (
                &serde_json::to_string_pretty(&many).unwrap(),
                Some(many.len()),
            ),
            (r#"["a",null]"#, None),
            (r#"["a",]"#, None),
            (r#"["a" "b"]"#, None),
            (r#"["a\"]"#, None),
            ("[\"a\u{1}\"]", None),
            (r#"{"a":"b"}"#, None),
            (r#""a""#, None),
        ] {
            assert_eq!(strings(text), count, "{text}");
        }
    }

    #[test]
    fn texts_are_unescaped() {
        let text = |json: &str| {
            Scanner::new(json)
                .value()
                .unwrap()
                .text()
                .map(Cow::into_owned)
        };
        assert_eq!(text(r#""a\u00e9\"""#).as_deref(), Some("aé\""));
        assert_eq!(text(r#""\ud83d""#).as_deref(), Some(r"\ud83d"));
        assert_eq!(text("12").as_deref(), Some("12"));
        assert_eq!((text("null"), text("\"\"")), (None, None));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(value(&nested(MAX_DEPTH as usize)).is_some());
        assert!(value(&nested(MAX_DEPTH as usize + 2)).is_none());
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,80}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((".{0,9}", inner), 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_about_texts_whole_and_damaged(
            json in json(), at in any::<prop::sample::Index>(), with in "[\\[\\]{}:,\"\\\\0-9a.eé\t ]{0,2}"
        ) {
            let text = json.to_string();
            agrees(&text);
            let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
            let place = *at.get(&places);
            let mut damaged = text.clone();
            let length = text.get(place..).unwrap().chars().next().map_or(0, char::len_utf8);
            damaged.replace_range(place..place + length, &with);
            agrees(&damaged);
            agrees(text.get(..place).unwrap());
        }
    }
}
