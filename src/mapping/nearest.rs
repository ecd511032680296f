//! "Did you mean": the known word that a mistyped one most likely stands for.

/// The word of `known` that is nearest to `word`, if one is near enough to be meant: few letters wrong for its
/// length, or cut short.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.trim().to_lowercase().replace(['-', ' '], "_");
    let written = plain(word);
    let length = written.chars().count();
    let allowed = (length / 3).max(1);
    known
        .into_iter()
        .filter_map(|candidate| {
            let compared = plain(candidate);
            let distance = strsim::osa_distance(&written, &compared);
            let cut_short = length >= 3 && (compared.starts_with(&written) || written.starts_with(&compared));
            let near = distance <= allowed && distance < compared.chars().count();
            (near || cut_short).then_some((if near { distance } else { allowed + 1 }, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KEYS: [&str; 7] = ["match", "format", "target", "is", "min", "delimiter", "min_length"];

    #[test]
    fn a_mistyped_word_finds_its_neighbour() {
        assert_eq!(nearest("formt", KEYS), Some("format"));
        assert_eq!(nearest("Target", KEYS), Some("target"));
        assert_eq!(nearest("mathc", KEYS), Some("match"));
        assert_eq!(nearest("min-lenght", KEYS), Some("min_length"));
        assert_eq!(nearest("delim", KEYS), Some("delimiter"));
    }

    #[test]
    fn an_unrelated_word_finds_nothing() {
        assert_eq!(nearest("source", KEYS), None);
        assert_eq!(nearest("xy", KEYS), None);
        assert_eq!(nearest("", KEYS), None);
    }
}
