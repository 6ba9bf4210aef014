//! How well scores tell target trials from others: equal error rate and minimum detection cost.

/// A score and whether its trial is a target.
pub(super) type Scored = (f32, bool);

/// What a threshold does: trials with its score or a higher one are accepted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub threshold: f32,
    /// The share of targets that are refused.
    pub miss: f64,
    /// The share of other trials that are accepted.
    pub false_alarm: f64,
}

/// The points of every threshold that makes a difference, from one that refuses all trials to one that
/// accepts all. There must be trials of both kinds.
pub(super) fn points(mut scores: Vec<Scored>) -> Vec<Point> {
    scores.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
    let targets = scores.iter().filter(|(_, target)| *target).count();
    let others = scores.len() - targets;
    let (mut accepted, mut alarms) = (0, 0);
    let mut points = vec![Point { threshold: f32::INFINITY, miss: 1.0, false_alarm: 0.0 }];
    // Trials of one score are accepted together.
    for same in scores.chunk_by(|(a, _), (b, _)| a == b) {
        let hits = same.iter().filter(|(_, target)| *target).count();
        accepted += hits;
        alarms += same.len() - hits;
        points.push(Point {
            threshold: same[0].0,
            miss: 1.0 - accepted as f64 / targets as f64,
            false_alarm: alarms as f64 / others as f64,
        });
    }
    points
}

/// The rate at which misses and false alarms are equally frequent, on a straight line between the two
/// points where they change places; and the threshold of the second.
pub(super) fn equal_error_rate(points: &[Point]) -> (f64, f32) {
    let more = |point: &Point| point.miss - point.false_alarm;
    let second = points.iter().position(|point| more(point) <= 0.0).unwrap_or(points.len() - 1);
    let (a, b) = (points[second.saturating_sub(1)], points[second]);
    let share = more(&a) / (more(&a) - more(&b));
    (a.miss + share * (b.miss - a.miss), b.threshold)
}

/// The smallest detection cost of NIST's speaker recognition evaluations: both errors cost 1, and the
/// share `p_target` of trials are targets. 1 is what it costs to look at no score.
pub(super) fn min_dcf(points: &[Point], p_target: f64) -> f64 {
    let unit = p_target.min(1.0 - p_target);
    let [miss, false_alarm] = [p_target, 1.0 - p_target].map(|weight| weight / unit);
    let cost = |point: &Point| miss * point.miss + false_alarm * point.false_alarm;
    points.iter().map(cost).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(targets: &[f32], others: &[f32]) -> Vec<Point> {
        let scored = |target| move |score: &f32| (*score, target);
        points(targets.iter().map(scored(true)).chain(others.iter().map(scored(false))).collect())
    }

    #[test]
    fn apart_or_the_wrong_way_round() {
        let apart = of(&[0.8, 0.9], &[0.1, 0.2, 0.3]);
        assert_eq!(equal_error_rate(&apart), (0.0, 0.8));
        assert_eq!(min_dcf(&apart, 0.01), 0.0);
        let swapped = of(&[0.1, 0.2], &[0.8, 0.9]);
        assert_eq!(equal_error_rate(&swapped).0, 1.0);
        assert_eq!(min_dcf(&swapped, 0.01), 1.0);
    }

    #[test]
    fn one_of_four_each_way() {
        let points = of(&[0.9, 0.8, 0.7, 0.3], &[0.6, 0.2, 0.1, 0.0]);
        assert_eq!(equal_error_rate(&points), (0.25, 0.6));
        // No false alarm and one miss: p_target * 0.25, divided by p_target.
        assert_eq!(min_dcf(&points, 0.05), 0.25);
    }

    #[test]
    fn equal_scores_cannot_be_told_apart() {
        let points = of(&[0.5, 0.5], &[0.5, 0.5, 0.5]);
        assert_eq!(points.len(), 2);
        assert_eq!(equal_error_rate(&points).0, 0.5);
        // 2/3 of the way from (1, 0) to (0.5, 0.5) is none of the points: the line matters.
        let points = of(&[0.9, 0.1, 0.1], &[0.5, 0.1]);
        let (eer, _) = equal_error_rate(&points);
        assert!((eer - 4.0 / 7.0).abs() < 1e-12, "{eer}");
    }
}
