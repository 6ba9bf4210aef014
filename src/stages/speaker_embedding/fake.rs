//! A file of the encoder's shapes, with weights that are only numbers.

use candle_core::safetensors::save;
use candle_core::{Device, Tensor};

/// A whole model as safetensors. PyTorch's `nn.LSTM(40, 256, 3)` and `nn.Linear(256, 256)` have these
/// weights in this order.
pub(super) fn ge2e() -> Vec<u8> {
    let mut shapes = Vec::new();
    for (layer, inputs) in [40, 256, 256].into_iter().enumerate() {
        shapes.extend([
            (format!("lstm.weight_ih_l{layer}"), vec![1024, inputs]),
            (format!("lstm.weight_hh_l{layer}"), vec![1024, 256]),
            (format!("lstm.bias_ih_l{layer}"), vec![1024]),
            (format!("lstm.bias_hh_l{layer}"), vec![1024]),
        ]);
    }
    shapes.push(("linear.weight".to_owned(), vec![256, 256]));
    shapes.push(("linear.bias".to_owned(), vec![256]));
    let mut seed: u32 = 1;
    let mut number = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.3 * ((seed >> 8) as f32 / 2.0_f32.powi(24) - 0.5)
    };
    let tensors = shapes.into_iter().map(|(name, shape)| {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| number()).collect();
        (name, Tensor::from_vec(values, shape, &Device::Cpu).expect("as many as its shape has"))
    });
    file(tensors)
}

/// A safetensors file of these tensors.
pub(super) fn file(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("fake.safetensors");
    save(&tensors.into_iter().collect(), &path).expect("writes");
    std::fs::read(path).expect("reads")
}
