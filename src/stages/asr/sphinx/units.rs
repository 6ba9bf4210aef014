//! PocketSphinx's unit of log-probability. Scores are integers there, logarithms to the base
//! 1.0001¹⁰²⁴ ≈ 1.108, and so they are here. A tenth of a nat is coarse; but rounded in the same
//! places, a path has the same score to the last unit, and no mistake can hide behind rounding.

/// A unit is 2^`SHIFT` of [`fine`]'s.
pub(super) const SHIFT: u32 = 10;

/// Worse than any path: nothing is added to it twice before it is compared with itself again.
pub(super) const NEVER: i32 = -(1 << 29);

fn log_base() -> f64 {
    1.0001_f64.ln()
}

/// A natural logarithm to the base 1.0001, without its fraction.
pub(super) fn fine(ln: f64) -> i32 {
    (ln * (1.0 / log_base())) as i32
}

/// log₁₀ `p` to the base 1.0001.
pub(super) fn fine_from_log10(log10: f32) -> f32 {
    (f64::from(log10) * (1.0 / 1.0001_f64.log10())) as f32
}

/// The units of probability `p`.
pub(super) fn units(p: f64) -> i32 {
    fine(p.ln()) >> SHIFT
}

/// Natural logarithms from units.
pub(super) fn nats(units: i64) -> f64 {
    units as f64 * f64::from(1 << SHIFT) * log_base()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_rounded_down() {
        assert_eq!((units(1.0), units(0.65), units(0.005), units(1e-8)), (0, -5, -52, -180));
        assert!((nats(units(0.005).into()) - 0.005_f64.ln()).abs() < 0.1024);
    }
}
