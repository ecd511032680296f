//! How long to wait before something that failed is tried again.

use std::time::Duration;

/// No pause is longer: who mends a fault should not have to wait for Wharf much longer than that.
pub const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Each pause is so many times as long as the one before.
const FACTOR: u32 = 4;

/// The pause after so many failures, at least one. `chance` spreads what failed together: up to a quarter is added.
#[must_use]
pub fn pause(first: Duration, failures: u32, chance: u8) -> Duration {
    let factor = FACTOR.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let pause = first.saturating_mul(factor).min(LONGEST);
    pause + pause.mul_f64(f64::from(chance) / f64::from(u8::MAX) / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_chance_adds_up_to_a_quarter() {
        let ten = Duration::from_secs(10);
        let of = |failures| pause(ten, failures, 0).as_secs();
        assert_eq!([of(0), of(1), of(2), of(3), of(4), of(5), of(99)], [10, 10, 40, 160, 640, 900, 900]);
        assert_eq!(pause(ten, 1, 255), Duration::from_millis(12_500));
        assert!(pause(ten, 2, 128) > pause(ten, 2, 127));
    }
}
