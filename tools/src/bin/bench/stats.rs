//! Quantiles, and conversion of counts.

/// The quantile of the values at `share` (0 to 1), by the nearest rank; 0 without values.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is an index"
    )]
    let index = (to_f64(sorted.len().saturating_sub(1)) * share).round() as usize;
    sorted.get(index).copied().unwrap_or(0.0)
}

/// The median of the values; 0 without values.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The median of one number of each item.
pub(crate) fn median_by<T>(items: &[T], number: impl Fn(&T) -> f64) -> f64 {
    median(&items.iter().map(number).collect::<Vec<_>>())
}

/// A count as a floating-point number.
#[expect(clippy::cast_precision_loss, reason = "the counts of a bench are far below 2^52")]
pub(crate) fn to_f64(count: impl TryInto<u64>) -> f64 {
    count.try_into().unwrap_or(u64::MAX) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_uses_the_nearest_rank() {
        let values: Vec<f64> = (1..=11).rev().map(f64::from).collect();
        let of = |share| format!("{}", quantile(&values, share));
        assert_eq!([of(0.0), of(0.5), of(0.9), of(1.0)], ["1", "6", "10", "11"]);
        assert_eq!(format!("{}", median(&[])), "0");
    }
}
