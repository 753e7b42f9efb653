//! Enumerations whose values have a word: for people, files and the labels of metrics.

/// Lists the values of an enumeration, and gives each its word.
macro_rules! words {
    ($type:ident: $($value:ident = $word:literal),+ $(,)?) => {
        impl $type {
            /// All of them, in the order in which they are told.
            pub const ALL: [Self; [$($word),+].len()] = [$(Self::$value),+];

            /// Its word, for people and labels.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word),+
                }
            }
        }
    };
}
pub(crate) use words;
