//! What is done to speech, in the order and with the meaning of ESPnet's `CommonPreprocessor`.

use anyhow::{Result, bail};

use crate::speech::convolve::convolve;
use crate::speech::power::{active_power, power};

/// The power of the speech, which reverberation keeps and noise is measured by.
///
/// # Errors
/// When there is none.
pub(super) fn speech_power(samples: &[f64]) -> Result<f64> {
    match active_power(samples) {
        0.0 => bail!("the utterance is digital silence; no noise has a ratio to that"),
        power => Ok(power),
    }
}

/// The speech in a room: convolved with its impulse response, no longer than before, with the power
/// `wanted`.
///
/// # Errors
/// When nothing is heard before the end of the utterance.
pub(super) fn reverberate(speech: &[f64], rir: &[f64], wanted: f64) -> Result<Vec<f64>> {
    let mut wet = convolve(speech, rir);
    // FFTs leave rounding errors where nothing should be; no response is so weak.
    let tiny = 1e-20 * power(speech) * rir.iter().map(|tap| tap * tap).sum::<f64>();
    let found = active_power(&wet);
    if found <= tiny {
        bail!("of the room nothing is heard before the utterance ends");
    }
    let scale = (wanted / found).sqrt();
    wet.iter_mut().for_each(|sample| *sample *= scale);
    Ok(wet)
}

/// Adds noise, `snr` dB below speech of this power.
pub(super) fn add_noise(speech: &mut [f64], noise: &[f64], speech_power: f64, snr: f64) {
    let scale = (speech_power / power(noise)).sqrt() * 10_f64.powf(-snr / 20.0);
    for (speech, noise) in speech.iter_mut().zip(noise) {
        *speech += scale * noise;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_ratio_that_was_asked_for() {
        let clean: Vec<f64> = (0..8000).map(|i| 0.3 * f64::from(i).sin()).collect();
        let noise: Vec<f64> = (0..8000).map(|i| f64::from(i * i % 17) - 8.0).collect();
        for snr in [-5.0, 0.0, 13.37] {
            let mut noisy = clean.clone();
            add_noise(&mut noisy, &noise, speech_power(&clean).expect("a tone"), snr);
            let added: Vec<f64> =
                noisy.iter().zip(&clean).map(|(noisy, clean)| noisy - clean).collect();
            let found = 10.0 * (power(&clean) / power(&added)).log10();
            assert!((found - snr).abs() < 1e-9, "{found} dB for {snr} dB");
        }
        assert!(speech_power(&[0.0; 5000]).is_err());
    }

    #[test]
    fn a_room_delays_and_keeps_length_and_power() {
        let clean: Vec<f64> = (0..8000).map(|i| 0.3 * f64::from(i).sin()).collect();
        let mut rir = vec![0.0; 101];
        rir[100] = 0.02;
        let wet = reverberate(&clean, &rir, 0.01).expect("a room");
        assert_eq!(wet.len(), clean.len());
        assert!((active_power(&wet) - 0.01).abs() < 1e-12);
        // One echo after 100 samples: the same sound, at another scale.
        let scale = wet[200] / clean[100];
        for at in 100..8000 {
            assert!((wet[at] - scale * clean[at - 100]).abs() < 1e-9, "{at}");
        }
        let error = reverberate(&clean[..100], &rir, 0.01).expect_err("too late to be heard");
        assert!(error.to_string().contains("before the utterance ends"), "{error}");
        assert!(reverberate(&clean, &[0.0; 5], 0.01).is_err());
    }
}
