//! Log-mel filterbank features that agree with Kaldi's `compute-fbank-feats --dither=0`: povey
//! window, pre-emphasis 0.97, DC removed, power spectrum, whole frames only (`snip-edges`).

use std::sync::Arc;

use anyhow::{Result, bail};
use realfft::{RealFftPlanner, RealToComplex};

use super::mel::{self, Filter};

/// What Kaldi calls the options of the same names.
///
/// ```
/// use espnet3_par::speech::Fbank;
/// use espnet3_par::speech::fbank::Options;
///
/// let kaldi = Options {
///     sample_rate: 16_000,
///     num_mel_bins: 23,
///     frame_length: 25.0,
///     frame_shift: 10.0,
///     low_freq: 20.0,
///     high_freq: 0.0,
/// };
/// // For telephone speech up to 3600 Hz: 400 Hz less than the Nyquist frequency.
/// let telephone = Options { sample_rate: 8_000, high_freq: -400.0, ..kaldi };
/// assert_eq!(Fbank::new(&telephone)?.frame_length(), 200);
/// // There is nothing above 4000 Hz.
/// assert!(Fbank::new(&Options { high_freq: 5_000.0, ..telephone }).is_err());
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Hz.
    pub sample_rate: u32,
    /// Values per frame.
    pub num_mel_bins: usize,
    /// Milliseconds.
    pub frame_length: f64,
    /// Milliseconds.
    pub frame_shift: f64,
    /// Hz.
    pub low_freq: f64,
    /// Hz; zero or negative counts from the Nyquist frequency.
    pub high_freq: f64,
}

/// A matrix of features, row by row.
///
/// ```
/// use espnet3_par::speech::fbank::Features;
///
/// let features = Features { values: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0], dim: 3 };
/// assert_eq!(features.num_frames(), 2);
/// assert_eq!(features.frames().last(), Some([3.0, 4.0, 5.0].as_slice()));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// `num_frames * dim` values.
    pub values: Vec<f32>,
    /// Values per frame.
    pub dim: usize,
}

impl Features {
    /// The number of frames.
    #[must_use]
    pub fn num_frames(&self) -> usize {
        self.values.len() / self.dim
    }

    /// The frames, `dim` values each.
    pub fn frames(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.dim)
    }
}

/// Computes [`Features`]; its tables are made once.
///
/// ```
/// use espnet3_par::speech::Fbank;
/// use espnet3_par::speech::fbank::Options;
///
/// let fbank = Fbank::new(&Options {
///     sample_rate: 16_000, // Hz
///     num_mel_bins: 80,
///     frame_length: 25.0, // ms
///     frame_shift: 10.0,  // ms
///     low_freq: 20.0,     // Hz
///     high_freq: 0.0,     // the Nyquist frequency
/// })?;
/// assert_eq!((fbank.frame_length(), fbank.dim()), (400, 80));
///
/// // One second of a 1 kHz tone, samples in `[-1, 1)`.
/// let step = std::f32::consts::TAU * 1_000.0 / 16_000.0;
/// let samples: Vec<f32> = (0..16_000).map(|i| 0.5 * (step * i as f32).sin()).collect();
/// let features = fbank.compute(&samples);
/// // The last frame starts at the last multiple of 160 samples that leaves 400.
/// assert_eq!((features.num_frames(), features.dim), (98, 80));
/// assert_eq!(features.values.len(), 98 * 80);
/// // Natural logarithms of energies: the tone stands out.
/// for frame in features.frames() {
///     assert!(frame[28] > frame[60]);
/// }
/// # Ok::<(), anyhow::Error>(())
/// ```
pub struct Fbank {
    sample_rate: u32,
    window: Vec<f32>,
    shift: usize,
    filters: Vec<Filter>,
    fft: Arc<dyn RealToComplex<f32>>,
}

const PREEMPHASIS: f32 = 0.97;
/// Kaldi's samples are 16-bit integers.
const SCALE: f32 = 32768.0;

impl Fbank {
    /// Makes the tables.
    ///
    /// # Errors
    /// When the options contradict each other, or leave a filter without any FFT bin.
    pub fn new(options: &Options) -> Result<Self> {
        let rate = f64::from(options.sample_rate);
        let samples = |milliseconds: f64| (rate * 0.001 * milliseconds) as usize;
        let (length, shift) = (samples(options.frame_length), samples(options.frame_shift));
        if length < 2 || shift == 0 {
            bail!("frames of {length} samples every {shift} samples");
        }
        let nyquist = rate / 2.0;
        let (low, mut high) = (options.low_freq, options.high_freq);
        if high <= 0.0 {
            high += nyquist;
        }
        if !(0.0 <= low && low < high && high <= nyquist) || options.num_mel_bins == 0 {
            bail!("{} mel bins from {low} Hz to {high} Hz at {rate} Hz", options.num_mel_bins);
        }
        let points = length.next_power_of_two();
        let band = (low as f32, high as f32);
        let filters = mel::filters(options.num_mel_bins, band, options.sample_rate, points);
        if let Some(empty) = filters.iter().position(|filter| filter.weights.is_empty()) {
            bail!("mel bin {empty} of {} is narrower than one FFT bin", options.num_mel_bins);
        }
        let fft = RealFftPlanner::new().plan_fft_forward(points);
        let (sample_rate, window) = (options.sample_rate, povey(length));
        Ok(Self { sample_rate, window, shift, filters, fft })
    }

    /// Hz of the audio that it takes.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Samples in one frame; shorter audio has no frame.
    #[must_use]
    pub fn frame_length(&self) -> usize {
        self.window.len()
    }

    /// Values per frame.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.filters.len()
    }

    /// The features of samples in `[-1, 1)`.
    ///
    /// # Panics
    /// Never: the buffers fit the plan.
    #[must_use]
    pub fn compute(&self, samples: &[f32]) -> Features {
        let length = self.window.len();
        let starts = (0..(samples.len() + 1).saturating_sub(length)).step_by(self.shift);
        let mut frame = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let mut power = vec![0.0; spectrum.len()];
        let mut values = Vec::with_capacity(starts.len() * self.dim());
        for start in starts {
            self.prepare(&samples[start..start + length], &mut frame);
            self.fft
                .process_with_scratch(&mut frame, &mut spectrum, &mut scratch)
                .expect("the buffers were made by this plan");
            for (power, bin) in power.iter_mut().zip(&spectrum) {
                *power = bin.norm_sqr();
            }
            values.extend(self.filters.iter().map(|filter| {
                let bins = &power[filter.first..];
                let energy: f32 = filter.weights.iter().zip(bins).map(|(w, p)| w * p).sum();
                energy.max(f32::EPSILON).ln()
            }));
        }
        Features { values, dim: self.dim() }
    }

    /// One frame: DC removed, pre-emphasised, windowed, padded with zeros.
    fn prepare(&self, samples: &[f32], frame: &mut [f32]) {
        frame.fill(0.0);
        let mean = samples.iter().map(|s| s * SCALE).sum::<f32>() / samples.len() as f32;
        let mut previous = samples[0] * SCALE - mean;
        for ((out, sample), window) in frame.iter_mut().zip(samples).zip(&self.window) {
            let sample = sample * SCALE - mean;
            *out = (sample - PREEMPHASIS * previous) * window;
            previous = sample;
        }
    }
}

/// A Hann window to the power 0.85, Kaldi's default; it goes to zero at the edges.
fn povey(length: usize) -> Vec<f32> {
    let step = std::f64::consts::TAU / (length - 1) as f64;
    (0..length).map(|i| (0.5 - 0.5 * (step * i as f64).cos()).powf(0.85) as f32).collect()
}
