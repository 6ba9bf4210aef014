//! Names in messages: which known one a mistyped one is near to, and lists of them.

/// The known name that `given` is most likely meant to be.
pub(crate) fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    known
        .into_iter()
        .filter(|known| is_near(given, known))
        .min_by_key(|known| (strsim::damerau_levenshtein(given, known), *known))
}

/// Whether one name can be the other mistyped: up to two slips, but not most of the word.
pub(crate) fn is_near(one: &str, other: &str) -> bool {
    let length = one.chars().count().max(other.chars().count());
    let allowed = if length <= 4 { 1 } else { 2 };
    one != other
        && strsim::damerau_levenshtein(&one.to_lowercase(), &other.to_lowercase()) <= allowed
}

/// `a`, `b` and so on for the end of a message.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
