//! The order in which people read names.

use std::cmp::Ordering;

/// Names in the order people give them: runs of digits compare as numbers, so `orders_9` comes before `orders_10`.
#[must_use]
pub fn natural(one: &str, other: &str) -> Ordering {
    let (mut a, mut b) = (one, other);
    loop {
        let (x, y) = (token(a), token(b));
        if x.is_empty() || y.is_empty() {
            // Equal as numbers, such as 01 and 1: the texts decide, so that the order is always the same.
            return x.len().cmp(&y.len()).then_with(|| one.cmp(other));
        }
        let number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let order = if number(x) && number(y) {
            let (x, y) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            x.cmp(y)
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (a.get(x.len()..).unwrap_or_default(), b.get(y.len()..).unwrap_or_default());
    }
}

/// The digits or the other characters that a text begins with.
fn token(text: &str) -> &str {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn names_with_digits_come_in_the_order_of_the_numbers() {
        let mut names = [
            "orders_10.csv",
            "orders_9.csv",
            "orders_2026-01-02.csv",
            "a2b10",
            "a2b9",
            "a10",
            "orders_009.csv",
        ];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            [
                "a2b9",
                "a2b10",
                "a10",
                "orders_009.csv",
                "orders_9.csv",
                "orders_10.csv",
                "orders_2026-01-02.csv"
            ]
        );
    }

    #[test]
    fn digits_beyond_any_number_type_are_compared_too() {
        let (small, large) = (format!("x{}", "9".repeat(300)), format!("x1{}", "0".repeat(300)));
        assert_eq!(natural(&small, &large), std::cmp::Ordering::Less);
    }
}
