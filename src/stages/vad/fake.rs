//! An ONNX file of Silero's shapes, with weights that are only numbers.

/// A protobuf field of bytes.
pub(super) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    let mut out = vec![number << 3 | 2];
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
    out
}

/// A TensorProto of 32-bit floats.
pub(super) fn tensor(name: &str, shape: &[usize], values: &[f32]) -> Vec<u8> {
    let dims = shape.iter().flat_map(|&size| [8, (size & 0x7f) as u8 | 0x80, (size >> 7) as u8]);
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    [dims.collect(), vec![2 << 3, 1], field(8, name.as_bytes()), field(9, &raw)].concat()
}

/// A NodeProto that makes a constant.
pub(super) fn constant(output: &str, tensor: &[u8]) -> Vec<u8> {
    [field(2, output.as_bytes()), field(5, &field(5, tensor))].concat()
}

/// A whole model: the 16 kHz weights in one branch of an `If`, as in `silero_vad.onnx`.
pub(super) fn silero() -> Vec<u8> {
    let layers: [(&str, &[usize]); 15] = [
        ("stft.forward_basis_buffer", &[258, 1, 256]),
        ("encoder.0.reparam_conv.weight", &[128, 129, 3]),
        ("encoder.0.reparam_conv.bias", &[128]),
        ("encoder.1.reparam_conv.weight", &[64, 128, 3]),
        ("encoder.1.reparam_conv.bias", &[64]),
        ("encoder.2.reparam_conv.weight", &[64, 64, 3]),
        ("encoder.2.reparam_conv.bias", &[64]),
        ("encoder.3.reparam_conv.weight", &[128, 64, 3]),
        ("encoder.3.reparam_conv.bias", &[128]),
        ("decoder.rnn.weight_ih", &[512, 128]),
        ("decoder.rnn.weight_hh", &[512, 128]),
        ("decoder.rnn.bias_ih", &[512]),
        ("decoder.rnn.bias_hh", &[512]),
        ("decoder.decoder.2.weight", &[1, 128, 1]),
        ("decoder.decoder.2.bias", &[1]),
    ];
    let mut seed: u32 = 1;
    let mut number = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / 2.0_f32.powi(24) - 0.5
    };
    let mut branch = |prefix: &str| -> Vec<u8> {
        let nodes = layers.iter().flat_map(|(name, shape)| {
            let size: usize = shape.iter().product();
            let scale = if shape.len() > 1 { 0.3 } else { 1.0 };
            let values: Vec<f32> = (0..size).map(|_| scale * number()).collect();
            field(1, &constant(&format!("{prefix}{name}"), &tensor("", shape, &values)))
        });
        nodes.collect()
    };
    let (eight, sixteen) = (branch("else_"), branch("then_"));
    // An 8 kHz branch has another basis; the name is what must not match.
    let eight = eight.replace_once(b"stft.forward", b"stft.backwar");
    let node = [field(5, &field(6, &eight)), field(5, &field(6, &sixteen))].concat();
    field(7, &field(1, &node))
}

trait ReplaceOnce {
    fn replace_once(self, from: &[u8], to: &[u8]) -> Self;
}

impl ReplaceOnce for Vec<u8> {
    fn replace_once(mut self, from: &[u8], to: &[u8]) -> Self {
        let at = self.windows(from.len()).position(|window| window == from).expect("it is there");
        self[at..at + to.len()].copy_from_slice(to);
        self
    }
}
