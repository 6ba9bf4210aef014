//! An utterance's record, of what was said in its pieces.

use std::ops::Range;

use serde::Serialize;

use super::recogniser::Hypothesis;
use crate::speech::Audio;

/// The fields of a record.
#[derive(Serialize)]
pub(crate) struct Transcript<'a> {
    utt_id: &'a str,
    text: String,
    duration: f64,
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Vec<u32>>,
    /// Where the audio was cut, or something cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pieces: Option<Vec<Piece>>,
}

/// Seconds, and what was said there.
#[derive(Serialize)]
struct Piece {
    start: f64,
    end: f64,
    text: String,
}

impl<'a> Transcript<'a> {
    /// Joins what was said in the pieces, one hypothesis each.
    pub(crate) fn new(
        utt_id: &'a str,
        audio: &Audio,
        pieces: &[Range<usize>],
        hypotheses: &[Hypothesis],
    ) -> Self {
        let said: Vec<&str> =
            hypotheses.iter().map(|hypothesis| hypothesis.text.as_str()).collect();
        let said: Vec<&str> = said.into_iter().filter(|text| !text.is_empty()).collect();
        // Four digits are more than two machines agree upon.
        let score = hypotheses.iter().map(|hypothesis| hypothesis.score).sum::<f64>();
        let score = (score * 1e4).round() / 1e4;
        let tokens = hypotheses.iter().map(|hypothesis| hypothesis.tokens.as_deref());
        let tokens = tokens.collect::<Option<Vec<_>>>().map(|tokens| tokens.concat());
        let seconds = |sample: usize| sample as f64 / f64::from(audio.sample_rate);
        let piece = |(piece, hypothesis): (&Range<usize>, &Hypothesis)| Piece {
            start: seconds(piece.start),
            end: seconds(piece.end),
            text: hypothesis.text.clone(),
        };
        let whole = 0..audio.samples.len();
        let cut = pieces != std::slice::from_ref(&whole);
        let pieces = cut.then(|| pieces.iter().zip(hypotheses).map(piece).collect());
        Self { utt_id, text: said.join(" "), duration: audio.duration(), score, tokens, pieces }
    }

    /// Without the tokens.
    pub(crate) fn without_tokens(self) -> Self {
        Self { tokens: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WHOLE: [Range<usize>; 1] = [Range { start: 0, end: 80 }];

    fn hypothesis(text: &str, tokens: Option<&[u32]>) -> Hypothesis {
        Hypothesis { text: text.into(), score: -0.250_04, tokens: tokens.map(<[u32]>::to_vec) }
    }

    fn record(pieces: &[Range<usize>], hypotheses: &[Hypothesis]) -> serde_json::Value {
        let audio = Audio { samples: vec![0.0; 80], sample_rate: 10 };
        serde_json::to_value(Transcript::new("utt1", &audio, pieces, hypotheses)).expect("JSON")
    }

    #[test]
    fn one_piece_is_the_utterance() {
        let found = record(&WHOLE, &[hypothesis("Yes.", Some(&[1, 2]))]);
        let expected = json!({
            "utt_id": "utt1", "text": "Yes.", "duration": 8.0, "score": -0.25, "tokens": [1, 2],
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn pieces_are_joined_in_order() {
        let said = [("a b", Some(&[1, 2][..])), ("", Some(&[])), ("c", Some(&[3]))];
        let said = said.map(|(text, tokens)| hypothesis(text, tokens));
        let found = record(&[5..30, 30..40, 45..80], &said);
        let expected = json!({
            "utt_id": "utt1", "text": "a b c", "duration": 8.0, "score": -0.7501, "tokens": [1, 2, 3],
            "pieces": [
                {"start": 0.5, "end": 3.0, "text": "a b"},
                {"start": 3.0, "end": 4.0, "text": ""},
                {"start": 4.5, "end": 8.0, "text": "c"},
            ],
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_said_and_no_tokens() {
        let found = record(&[], &[]);
        assert_eq!((&found["text"], &found["pieces"]), (&json!(""), &json!([])));
        let found = record(&WHOLE, &[hypothesis("YES", None)]);
        assert!(found.get("tokens").is_none() && found.get("pieces").is_none(), "{found}");
    }
}
