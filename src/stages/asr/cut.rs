//! Long audio, cut into pieces that a recogniser takes.

use std::ops::Range;

/// How loud it is, is looked at in stretches of 200 ms, every 50 ms: a short pause between words.
const STRETCH: f64 = 0.2;
const STEP: f64 = 0.05;

/// Cuts audio into pieces of at most `longest` seconds, as ranges of its samples. `speech`, in seconds,
/// is where somebody speaks: then pieces begin and end there, and neighbours join while they fit.
/// Without it, and where somebody speaks for longer, it is cut where it is quietest.
pub(crate) fn pieces(
    samples: &[f32],
    sample_rate: u32,
    longest: f64,
    speech: Option<&[(f64, f64)]>,
) -> Vec<Range<usize>> {
    let rate = f64::from(sample_rate);
    let longest = (longest * rate) as usize;
    let whole = 0..samples.len();
    let stretches = match speech {
        Some([]) => Vec::new(),
        _ if samples.is_empty() => Vec::new(),
        // As it is: a recogniser may be better where speech begins than what found the segments.
        _ if samples.len() <= longest => vec![whole],
        Some(speech) => joined(speech, rate, samples.len(), longest),
        None => vec![whole],
    };
    let mut pieces = Vec::new();
    for stretch in stretches {
        let mut rest = stretch;
        while rest.len() > longest {
            // In the last third, for pieces should be long: words at a cut lose their context.
            let cut = quietest(samples, rest.start + longest * 2 / 3..rest.start + longest, rate);
            pieces.push(rest.start..cut);
            rest.start = cut;
        }
        pieces.push(rest);
    }
    pieces
}

/// Neighbouring segments as one stretch, while it is at most `longest`.
fn joined(speech: &[(f64, f64)], rate: f64, length: usize, longest: usize) -> Vec<Range<usize>> {
    let mut stretches: Vec<Range<usize>> = Vec::new();
    for (start, end) in speech {
        let [start, end] = [start, end].map(|seconds| ((seconds * rate) as usize).min(length));
        match stretches.last_mut() {
            Some(last) if end.saturating_sub(last.start) <= longest => last.end = end,
            _ if start < end => stretches.push(start..end),
            _ => (),
        }
    }
    stretches
}

/// The middle of the quietest stretch within a range.
fn quietest(samples: &[f32], within: Range<usize>, rate: f64) -> usize {
    let [stretch, step] = [STRETCH, STEP].map(|seconds| ((seconds * rate) as usize).max(1));
    let energy = |start: usize| -> f32 {
        samples[start..start + stretch].iter().map(|sample| sample * sample).sum()
    };
    let starts = within.clone().step_by(step).take_while(|start| start + stretch <= within.end);
    let best = starts.map(|start| (energy(start), start)).min_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or(within.end, |(_, start)| start + stretch / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 1000;

    /// Noise of amplitude 1 with silent stretches, in seconds.
    fn audio(seconds: usize, silent: &[(f64, f64)]) -> Vec<f32> {
        let sample = |at: usize| {
            let time = at as f64 / f64::from(RATE);
            let silent = silent.iter().any(|(start, end)| (*start..*end).contains(&time));
            if silent { 0.0 } else { [1.0, -1.0][at % 2] }
        };
        (0..seconds * RATE as usize).map(sample).collect()
    }

    #[test]
    fn short_audio_stays_whole() {
        let audio = audio(30, &[]);
        for speech in [None, Some([(1.0, 2.0)].as_slice())] {
            assert_eq!(pieces(&audio, RATE, 30.0, speech), std::slice::from_ref(&(0..30_000)));
        }
        assert!(pieces(&audio, RATE, 30.0, Some(&[])).is_empty());
        assert!(pieces(&[], RATE, 30.0, None).is_empty());
    }

    #[test]
    fn long_audio_is_cut_in_pauses() {
        // The pause at 5 s is too early for a cut, the one at 41 s is in the second piece's last third.
        let audio = audio(70, &[(5.0, 6.0), (24.0, 24.4), (46.0, 46.4)]);
        let cuts = pieces(&audio, RATE, 30.0, None);
        assert_eq!(cuts.len(), 3);
        assert!((24_000..24_400).contains(&cuts[0].end), "{cuts:?}");
        assert!((46_000..46_400).contains(&cuts[1].end), "{cuts:?}");
        assert_eq!((cuts[0].start, cuts[2].end), (0, 70_000));
        assert!(cuts.windows(2).all(|pair| pair[0].end == pair[1].start), "{cuts:?}");
    }

    #[test]
    fn pieces_are_never_too_long_nor_lost() {
        // As loud everywhere, or not a number anywhere.
        for value in [0.0, 1.0, f32::NAN] {
            let audio = vec![value; 200_001];
            let cuts = pieces(&audio, RATE, 30.0, None);
            assert!(
                cuts.iter().all(|piece| !piece.is_empty() && piece.len() <= 30_000),
                "{cuts:?}"
            );
            assert_eq!(cuts.iter().map(ExactSizeIterator::len).sum::<usize>(), audio.len());
        }
    }

    #[test]
    fn neighbouring_segments_join_while_they_fit() {
        let audio = audio(100, &[]);
        let speech = [(1.0, 10.0), (11.0, 31.0), (31.5, 40.0), (50.0, 61.5), (70.0, 71.0)];
        let cuts = pieces(&audio, RATE, 30.0, Some(&speech));
        // 1 to 31 are exactly 30 s; 31.5 to 61.5 too.
        assert_eq!(cuts, [1000..31_000, 31_500..61_500, 70_000..71_000]);
    }

    #[test]
    fn a_long_segment_is_cut_where_it_is_quietest() {
        let audio = audio(100, &[(35.0, 35.4)]);
        let cuts = pieces(&audio, RATE, 30.0, Some(&[(10.0, 50.0), (200.0, 300.0)]));
        assert_eq!(cuts.len(), 2, "{cuts:?}");
        assert!((35_000..35_400).contains(&cuts[0].end));
        assert_eq!((cuts[0].start, cuts[1].end), (10_000, 50_000));
    }
}
