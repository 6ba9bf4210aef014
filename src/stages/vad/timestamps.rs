//! From speech probabilities to segments, by the rules of `get_speech_timestamps` in silero-vad
//! 6.2.3.

use super::silero::{SAMPLE_RATE, WINDOW};

/// See [`VadProvider`](super::VadProvider).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Options {
    pub threshold: f64,
    pub neg_threshold: f64,
    pub min_speech_duration_ms: u32,
    pub max_speech_duration_s: Option<f64>,
    pub min_silence_duration_ms: u32,
    pub speech_pad_ms: u32,
}

/// Speech from sample `start` up to sample `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The first sample.
    pub start: u64,
    /// The sample after the last.
    pub end: u64,
}

/// A pause this long or shorter is no place to cut speech that is too long.
const MIN_SILENCE_AT_MAX_SPEECH_MS: u32 = 98;

fn samples(milliseconds: u32) -> u64 {
    u64::from(milliseconds) * u64::from(SAMPLE_RATE / 1000)
}

/// The segments of speech in audio of `length` samples, given the probability of every window.
#[must_use]
pub(crate) fn speech_timestamps(
    probabilities: &[f32],
    length: u64,
    options: &Options,
) -> Vec<Segment> {
    let mut segments = detect(probabilities, length, options);
    pad(&mut segments, length, samples(options.speech_pad_ms));
    segments
}

fn detect(probabilities: &[f32], length: u64, options: &Options) -> Vec<Segment> {
    let min_speech = samples(options.min_speech_duration_ms);
    let min_silence = samples(options.min_silence_duration_ms);
    let max_speech = options.max_speech_duration_s.map_or(f64::INFINITY, |seconds| {
        let pads = 2 * samples(options.speech_pad_ms);
        seconds * f64::from(SAMPLE_RATE) - WINDOW as f64 - pads as f64
    });
    let mut segments = Vec::new();
    // Where the current speech began, where its possible end is, and the pauses inside it.
    let (mut speech, mut silence) = (None, None);
    let mut pauses: Vec<Segment> = Vec::new();
    for (probability, now) in probabilities.iter().map(|&p| f64::from(p)).zip((0..).step_by(WINDOW))
    {
        if probability >= options.threshold
            && let Some(start) = silence.take()
            && now - start > samples(MIN_SILENCE_AT_MAX_SPEECH_MS)
        {
            pauses.push(Segment { start, end: now });
        }
        let Some(mut start) = speech else {
            if probability >= options.threshold {
                speech = Some(now);
            }
            continue;
        };
        if (now - start) as f64 > max_speech {
            silence = None;
            // The first of the longest, as Python's `max` takes it.
            let longest = pauses.drain(..).rev().max_by_key(|pause| pause.end - pause.start);
            let Some(pause) = longest else {
                segments.push(Segment { start, end: now });
                speech = None;
                continue;
            };
            segments.push(Segment { start, end: pause.start });
            start = pause.end;
            speech = Some(start);
        }
        if probability < options.neg_threshold {
            let end = *silence.get_or_insert(now);
            if now - end >= min_silence {
                if end - start > min_speech {
                    segments.push(Segment { start, end });
                }
                (speech, silence) = (None, None);
                pauses.clear();
            }
        }
    }
    if let Some(start) = speech
        && length.saturating_sub(start) > min_speech
    {
        segments.push(Segment { start, end: length });
    }
    segments
}

/// Widens every segment by `pad` samples; two with less than that between them meet halfway.
fn pad(segments: &mut [Segment], length: u64, pad: u64) {
    if let Some(first) = segments.first_mut() {
        first.start = first.start.saturating_sub(pad);
    }
    for i in 1..segments.len() {
        let gap = segments[i].start - segments[i - 1].end;
        let each = if gap < 2 * pad { gap / 2 } else { pad };
        segments[i - 1].end = length.min(segments[i - 1].end + each);
        segments[i].start -= each;
    }
    if let Some(last) = segments.last_mut() {
        last.end = length.min(last.end + pad);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::stages::vad::VadProvider;

    /// Made by `tests/reference/timestamps.py`: what silero-vad itself finds.
    const CASES: &str = include_str!("timestamps.jsonl");

    #[test]
    fn segments_are_silero_s_own() {
        for (case, number) in CASES.lines().zip(1..) {
            let mut case: Value = serde_json::from_str(case).expect("a JSON line");
            let mut parameters = case["options"].take();
            parameters["manifest"] = json!("");
            parameters["model"] = json!("");
            let provider: VadProvider = serde_json::from_value(parameters).expect("parameters");
            let options = provider.options().expect("thresholds in order");
            let levels: Vec<f32> = serde_json::from_value(case["levels"].take()).expect("levels");
            let probabilities: Vec<f32> = levels.iter().map(|level| level / 64.0).collect();
            let length = case["length"].as_u64().expect("a length");
            let found = speech_timestamps(&probabilities, length, &options);
            let found: Vec<_> = found.iter().map(|segment| [segment.start, segment.end]).collect();
            assert_eq!(json!(found), case["segments"], "case {number}, {options:?}");
        }
        assert_eq!(CASES.lines().count(), 20);
    }
}
