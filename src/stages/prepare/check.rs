//! What is wrong with the audio of one utterance.

use std::path::Path;

use super::PrepareProvider;
use crate::speech::Utterance;
use crate::speech::fault::Fault;
use crate::speech::inspect::{Inspected, inspect};

/// What the audio is; its faults join the others.
pub(super) fn look_at(
    path: &Path,
    utterance: &Utterance,
    params: &PrepareProvider,
    faults: &mut Vec<(Fault, String)>,
) -> Option<Inspected> {
    let found = match inspect(path, utterance.span, params.decode) {
        Ok(found) => found,
        Err(error) => {
            faults.push((Fault::of(&error, Fault::Damaged), format!("{error:#}")));
            return None;
        }
    };
    let Inspected { sample_rate, num_channels, frames, .. } = found;
    let mut wrong = |fault, is: String, wanted: String| {
        faults.push((fault, format!("{is}, and not {wanted}")));
    };
    if let Some(wanted) = params.sample_rate.filter(|wanted| *wanted != sample_rate) {
        wrong(Fault::WrongSampleRate, format!("{sample_rate} Hz"), format!("{wanted} Hz"));
    }
    if let Some(wanted) = params.num_channels.filter(|wanted| *wanted != num_channels) {
        wrong(Fault::WrongNumChannels, num_channels.to_string(), wanted.to_string());
    }
    let seconds = frames as f64 / f64::from(sample_rate.max(1));
    if frames == 0 {
        faults.push((Fault::Empty, "no samples".to_owned()));
    } else if let Some(shortest) = params.min_wav_duration.filter(|limit| seconds < *limit) {
        wrong(Fault::TooShort, format!("{seconds} s"), format!("{shortest} s at least"));
    } else if let Some(longest) = params.max_wav_duration.filter(|limit| seconds > *limit) {
        wrong(Fault::TooLong, format!("{seconds} s"), format!("{longest} s at most"));
    }
    Some(found)
}
