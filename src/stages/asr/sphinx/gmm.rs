//! What the states of a continuous model make of each frame: mixtures of Gaussians with diagonal
//! covariances, all states and frames at once as one product of matrices.

use std::f64::consts::PI;
use std::path::Path;

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};

use super::s3file::S3File;
use super::units::{SHIFT, fine};

/// PocketSphinx's `-varfloor` and `-mixwfloor`.
const VARIANCE_FLOOR: f32 = 1e-4;
const WEIGHT_FLOOR: f32 = 1e-7;

/// The mixtures of a model's states.
pub(super) struct Mixtures {
    /// Values of a frame's features.
    pub dim: usize,
    /// Distinct states, which Sphinx calls senones.
    pub senones: usize,
    densities: usize,
    /// (2 dim + 1, senones · densities): the factors of x², x and 1 in log-densities to the base
    /// 1.0001, weights of the mixture included.
    factors: Tensor,
}

/// How unlikely each state makes each frame, in units, less the least of the frame.
pub(super) struct Scores {
    /// Frame by frame, one for each senone.
    pub penalties: Vec<i32>,
    /// The log-probabilities of the best states, all frames together.
    pub best: i64,
}

/// `means` or `variances`: codebooks, densities and values of each.
fn gaussians(path: &Path) -> Result<([usize; 3], Vec<f32>)> {
    let mut file = S3File::read(path)?;
    let [codebooks, streams, densities] = file.counts()?;
    ensure!(
        streams == 1,
        "{}: {streams} streams of features: only models with one are read",
        path.display()
    );
    let [dim] = file.counts()?;
    Ok(([codebooks, densities, dim], file.floats(&[codebooks, densities, dim])?))
}

impl Mixtures {
    /// Reads `means`, `variances` and `mixture_weights` of a folder.
    ///
    /// # Errors
    /// Names the file that is missing, damaged or not of the same model.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let files = ["means", "variances", "mixture_weights"].map(|name| folder.join(name));
        let (shape, means) = gaussians(&files[0])?;
        let (other, variances) = gaussians(&files[1])?;
        let place = files[1].display();
        ensure!(shape == other, "{place}: variances of {other:?}, means of {shape:?}");
        let mut file = S3File::read(&files[2])?;
        let counts: [usize; 3] = file.counts()?;
        let [codebooks, densities, dim] = shape;
        let [senones, ..] = counts;
        let place = files[2].display();
        ensure!(
            codebooks == senones,
            "{place}: {senones} states share {codebooks} codebooks: only continuous models are \
             read, whose states have Gaussians of their own"
        );
        let fits = counts == [codebooks, 1, densities];
        ensure!(fits, "{place}: weights of {counts:?}, means of {shape:?}");
        let weights = file.floats(&counts)?;
        let zero = codebooks == 0 || densities == 0 || dim == 0;
        ensure!(!zero, "{}: no Gaussians", files[0].display());

        let columns = senones * densities;
        let mut factors = vec![0_f32; (2 * dim + 1) * columns];
        let gaussians = means.chunks_exact(dim).zip(variances.chunks_exact(dim));
        let weights = weights.chunks_exact(densities).flat_map(log_weights);
        for (column, ((means, variances), weight)) in gaussians.zip(weights).enumerate() {
            let mut constant = f64::from(weight);
            for (row, (&mean, &variance)) in means.iter().zip(variances).enumerate() {
                let (factor, normaliser) = density(variance.max(VARIANCE_FLOOR));
                factors[row * columns + column] = -factor as f32;
                factors[(dim + row) * columns + column] = (2.0 * factor * f64::from(mean)) as f32;
                constant += normaliser - factor * f64::from(mean).powi(2);
            }
            factors[2 * dim * columns + column] = constant as f32;
        }
        let factors = Tensor::from_vec(factors, (2 * dim + 1, columns), &Device::Cpu)?;
        Ok(Self { dim, senones, densities, factors })
    }

    /// Scores frames of features.
    ///
    /// # Errors
    /// None are expected: shapes were checked when the model was loaded.
    pub(super) fn score(&self, features: &[f32]) -> Result<Scores> {
        let count = features.len() / self.dim;
        let mut rows = Vec::with_capacity(count * (2 * self.dim + 1));
        for frame in features.chunks_exact(self.dim) {
            rows.extend(frame.iter().map(|value| value * value));
            rows.extend_from_slice(frame);
            rows.push(1.0);
        }
        let rows = Tensor::from_vec(rows, (count, 2 * self.dim + 1), &Device::Cpu)?;
        let logs = rows.matmul(&self.factors)?.flatten_all()?.to_vec1::<f32>()?;
        let mut penalties: Vec<i32> = match self.densities {
            1 => logs.iter().map(|&log| penalty(log)).collect(),
            densities => logs.chunks_exact(densities).map(|logs| penalty(log_sum(logs))).collect(),
        };
        let mut best = 0;
        for frame in penalties.chunks_exact_mut(self.senones) {
            let least = frame.iter().copied().min().unwrap_or_default();
            best -= i64::from(least);
            // They are 16-bit integers there.
            frame.iter_mut().for_each(|value| *value = (*value - least).min(i16::MAX.into()));
        }
        Ok(Scores { penalties, best })
    }
}

/// The factor of (x - mean)² and the normaliser of a Gaussian of one dimension, both without their
/// fractions, as there.
fn density(variance: f32) -> (f64, f64) {
    let variance = f64::from(variance);
    let normaliser = fine((1.0 / (variance * 2.0 * PI).sqrt()).ln());
    (fine(1.0 / (2.0 * variance)).into(), normaliser.into())
}

/// The logarithms of a mixture's weights, rounded to units as there.
fn log_weights(counts: &[f32]) -> Vec<i32> {
    let sum: f32 = counts.iter().sum();
    let share =
        |count: &f32| if sum > 0.0 { (count / sum).max(WEIGHT_FLOOR) } else { WEIGHT_FLOOR };
    let shares: Vec<f32> = counts.iter().map(share).collect();
    let sum: f32 = shares.iter().sum();
    let log = |share: &f32| {
        let units = (-fine(f64::from(share / sum).ln()) + (1 << (SHIFT - 1)) - 1) >> SHIFT;
        -(units.min(255) << SHIFT)
    };
    shares.iter().map(log).collect()
}

/// Units from a logarithm to the base 1.0001.
fn penalty(log: f32) -> i32 {
    let units = (log as i32).saturating_add((1 << SHIFT) - 1) >> SHIFT;
    (-units).clamp(i16::MIN.into(), i16::MAX.into())
}

/// log Σ 1.0001^x to the same base. All densities count; PocketSphinx adds its best four.
fn log_sum(logs: &[f32]) -> f32 {
    let base = 1.0001_f64.ln();
    let largest = logs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logs.iter().map(|log| (f64::from(log - largest) * base).exp()).sum();
    largest + (sum.ln() / base) as f32
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::s3_bytes;
    use super::super::units::nats;
    use super::*;

    /// Two states of one or two Gaussians in two dimensions.
    fn write(folder: &Path, densities: u32, means: &[f32], variances: &[f32], weights: &[f32]) {
        for (name, values) in [("means", means), ("variances", variances)] {
            let header = [2, 1, densities, 2, values.len() as u32];
            fs::write(folder.join(name), s3_bytes(&header, values)).expect("a file");
        }
        let header = [2, 1, densities, weights.len() as u32];
        fs::write(folder.join("mixture_weights"), s3_bytes(&header, weights)).expect("a file");
    }

    /// In double precision, without rounding.
    fn expected(x: &[f64], means: &[f32], variances: &[f32]) -> f64 {
        let parts = x.iter().zip(means).zip(variances).map(|((x, &mean), &variance)| {
            let (mean, variance) = (f64::from(mean), f64::from(variance));
            -0.5 * (2.0 * PI * variance).ln() - (x - mean).powi(2) / (2.0 * variance)
        });
        parts.sum()
    }

    #[test]
    fn scores_are_log_densities() {
        let folder = tempfile::tempdir().expect("a directory");
        let (means, variances) = ([1.0, -2.0, 0.5, 4.0], [0.5, 2.0, 1.5, 0.25]);
        write(folder.path(), 1, &means, &variances, &[3.0, 900.0]);
        let mixtures = Mixtures::read(folder.path()).expect("mixtures");
        assert_eq!((mixtures.dim, mixtures.senones), (2, 2));
        let scores = mixtures.score(&[0.8, 1.0, 0.3, 2.5]).expect("scores");
        let frames = [[0.8, 1.0], [0.3, 2.5]];
        let mut sum = 0.0;
        for (x, found) in frames.iter().zip(scores.penalties.chunks(2)) {
            let [first, second] =
                [0, 2].map(|at| expected(x, &means[at..at + 2], &variances[at..]));
            let difference = nats((found[1] - found[0]).into());
            assert!((first - second - difference).abs() < 0.11, "{first} {second} {found:?}");
            assert_eq!(*found.iter().min().expect("two"), 0);
            sum += first.max(second);
        }
        assert!((nats(scores.best) - sum).abs() < 0.22, "{sum} {}", nats(scores.best));
    }

    #[test]
    fn densities_of_a_mixture_add_up() {
        let folder = tempfile::tempdir().expect("a directory");
        let means = [1.0, -2.0, 1.5, 0.0, 0.5, 4.0, 0.0, 0.0];
        let variances = [0.5, 2.0, 1.0, 1.0, 1.5, 0.25, 1.0, 3.0];
        write(folder.path(), 2, &means, &variances, &[1.0, 3.0, 2.0, 2.0]);
        let scores = Mixtures::read(folder.path()).expect("mixtures").score(&[1.2, -0.8]);
        let found = scores.expect("scores").penalties;
        let density =
            |at: usize| expected(&[1.2, -0.8], &means[2 * at..][..2], &variances[2 * at..]);
        let first = (0.25 * density(0).exp() + 0.75 * density(1).exp()).ln();
        let second = (0.5 * density(2).exp() + 0.5 * density(3).exp()).ln();
        let difference = nats((found[1] - found[0]).into());
        assert!((first - second - difference).abs() < 0.2, "{first} {second} {found:?}");
    }

    #[test]
    fn files_of_different_models_are_told_apart() {
        let folder = tempfile::tempdir().expect("a directory");
        let error = || {
            let error = format!("{:#}", Mixtures::read(folder.path()).err().expect("an error"));
            error.replace(&folder.path().display().to_string(), "")
        };
        write(folder.path(), 1, &[0.0; 4], &[1.0; 2], &[1.0; 2]);
        assert_eq!(error(), "/variances: the header counts 2 values, for an array of [2, 1, 2]");
        write(folder.path(), 1, &[0.0; 4], &[1.0; 4], &[1.0; 2]);
        let weights = s3_bytes(&[4, 1, 1, 4], &[1.0; 4]);
        fs::write(folder.path().join("mixture_weights"), weights).expect("a file");
        assert!(
            error().starts_with("/mixture_weights: 4 states share 2 codebooks: "),
            "{}",
            error()
        );
        fs::remove_file(folder.path().join("variances")).expect("a file");
        assert!(error().starts_with("failed to read `/variances`: "), "{}", error());
    }
}
