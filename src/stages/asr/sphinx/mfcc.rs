//! Mel-frequency cepstra as SphinxBase computes them (`fe_sigproc.c`, without dither): pre-emphasis,
//! Hamming window, power spectrum, mel filters, logarithm, cosine transform.

use std::f64::consts::PI;
use std::sync::Arc;

use anyhow::Result;
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use super::mel::{self, Filter};
use super::params::{Params, Transform};

/// Its samples are 16-bit integers.
const SCALE: f64 = 32768.0;
const FLOOR: f64 = 1e-4;

/// Computes cepstra; its tables are made once. In double precision, as there: where scores are rounded
/// to a tenth of a nat, a small error can become one of a whole unit.
pub(super) struct Mfcc {
    preemphasis: f64,
    remove_dc: bool,
    shift: usize,
    window: Vec<f64>,
    fft: Arc<dyn RealToComplex<f64>>,
    filters: Vec<Filter>,
    /// A row of weights of the log energies for each cepstrum.
    transform: Vec<Vec<f64>>,
}

impl Mfcc {
    /// Makes the tables.
    ///
    /// # Errors
    /// As [`mel::filters`].
    pub(super) fn new(params: &Params) -> Result<Self> {
        let size = params.frame_size();
        let hamming = |i: usize| 0.54 - 0.46 * (2.0 * PI * i as f64 / (size as f64 - 1.0)).cos();
        Ok(Self {
            preemphasis: f64::from(params.preemphasis),
            remove_dc: params.remove_dc,
            shift: params.frame_shift(),
            window: (0..size).map(hamming).collect(),
            fft: RealFftPlanner::new().plan_fft_forward(params.fft_size()),
            filters: mel::filters(params)?,
            transform: transform(params),
        })
    }

    /// Values per frame.
    pub(super) fn dim(&self) -> usize {
        self.transform.len()
    }

    /// Frames of so many samples: the whole windows, and one with what is left and zeros.
    pub(super) fn num_frames(&self, samples: usize) -> usize {
        match samples.checked_sub(self.window.len()) {
            Some(more) => more / self.shift + 2,
            None => usize::from(samples > 0),
        }
    }

    /// The cepstra of mono samples in `[-1, 1)`, frame by frame.
    pub(super) fn compute(&self, samples: &[f32]) -> Vec<f32> {
        let frames = self.num_frames(samples.len());
        let mut frame = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let mut energies = vec![0.0; self.filters.len()];
        let mut cepstra = Vec::with_capacity(frames * self.dim());
        for start in (0..frames).map(|index| index * self.shift) {
            self.cut(samples, start, &mut frame);
            self.fft
                .process_with_scratch(&mut frame, &mut spectrum, &mut scratch)
                .expect("the vectors are the planner's own");
            for (energy, filter) in energies.iter_mut().zip(&self.filters) {
                *energy = (filter.energy(&spectrum) + FLOOR).ln();
            }
            cepstra.extend(self.transform.iter().map(|weights| {
                weights.iter().zip(&energies).map(|(weight, energy)| weight * energy).sum::<f64>()
                    as f32
            }));
        }
        cepstra
    }

    /// The window at `start`, ready for the FFT; zeros after the last sample and after the window.
    fn cut(&self, samples: &[f32], start: usize, frame: &mut [f64]) {
        let size = self.window.len();
        let samples_here = &samples[start..samples.len().min(start + size)];
        let mut previous = start.checked_sub(1).map_or(0.0, |at| f64::from(samples[at]) * SCALE);
        for (value, &sample) in frame.iter_mut().zip(samples_here) {
            let sample = f64::from(sample) * SCALE;
            *value = sample - previous * self.preemphasis;
            previous = sample;
        }
        frame[samples_here.len()..].fill(0.0);
        if self.remove_dc {
            let mean = frame[..size].iter().sum::<f64>() / size as f64;
            frame[..size].iter_mut().for_each(|value| *value -= mean);
        }
        for (value, weight) in frame.iter_mut().zip(&self.window) {
            *value *= weight;
        }
    }
}

impl Filter {
    fn energy(&self, spectrum: &[Complex<f64>]) -> f64 {
        let bins = spectrum[self.first..].iter().zip(&self.weights);
        bins.map(|(value, weight)| value.norm_sqr() * weight).sum()
    }
}

/// The cosine transform and the lifter in one.
fn transform(params: &Params) -> Vec<Vec<f64>> {
    let count = params.filters as f64;
    let weight = |row: usize, column: usize| {
        let cosine = (PI / count * row as f64 * (column as f64 + 0.5)).cos();
        match params.transform {
            // Sphinx's own, which counts the first filter half.
            Transform::Legacy if column == 0 => cosine / count / 2.0,
            Transform::Legacy => cosine / count,
            Transform::Dct if row == 0 => (1.0 / count).sqrt(),
            Transform::Dct | Transform::Htk => cosine * (2.0 / count).sqrt(),
        }
    };
    let lifter = |row: usize| match params.lifter {
        0 => 1.0,
        // An integer is halved there.
        period => 1.0 + f64::from(period / 2) * (row as f64 * PI / f64::from(period)).sin(),
    };
    (0..params.cepstra)
        .map(|row| (0..params.filters).map(|column| lifter(row) * weight(row, column)).collect())
        .collect()
}
