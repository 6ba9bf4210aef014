//! The weights of an ONNX file: its initialisers and the constants of its nodes, also inside the
//! branches of `If`. Of protobuf only what that takes, so that no user needs a converter.
//!
//! Field numbers: <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>; the wire format:
//! <https://protobuf.dev/programming-guides/encoding/>.

use anyhow::{Context, Result, bail};

/// A tensor of 32-bit floats.
pub(super) struct Weight {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// All float tensors of a model, in file order.
pub(super) fn weights(model: &[u8]) -> Result<Vec<Weight>> {
    const GRAPH: u64 = 7;
    let mut found = Vec::new();
    for field in Fields(model) {
        if let (GRAPH, Value::Bytes(graph)) = field? {
            walk_graph(graph, &mut found)?;
        }
    }
    if found.is_empty() {
        bail!("not an ONNX model: it holds no weights");
    }
    Ok(found)
}

fn walk_graph(graph: &[u8], found: &mut Vec<Weight>) -> Result<()> {
    const NODE: u64 = 1;
    const INITIALIZER: u64 = 5;
    for field in Fields(graph) {
        match field? {
            (NODE, Value::Bytes(node)) => walk_node(node, found)?,
            (INITIALIZER, Value::Bytes(tensor)) => found.extend(weight(tensor, None)?),
            _ => {}
        }
    }
    Ok(())
}

fn walk_node(node: &[u8], found: &mut Vec<Weight>) -> Result<()> {
    const OUTPUT: u64 = 2;
    const ATTRIBUTE: u64 = 5;
    const TENSOR: u64 = 5;
    const SUBGRAPH: u64 = 6;
    let mut output = None;
    for field in Fields(node) {
        let (number, Value::Bytes(bytes)) = field? else { continue };
        match number {
            OUTPUT => output = output.or_else(|| std::str::from_utf8(bytes).ok()),
            ATTRIBUTE => {
                for field in Fields(bytes) {
                    match field? {
                        (TENSOR, Value::Bytes(tensor)) => found.extend(weight(tensor, output)?),
                        (SUBGRAPH, Value::Bytes(graph)) => walk_graph(graph, found)?,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A tensor; `None` if it holds no 32-bit floats as raw data. A constant goes by its node's output.
fn weight(tensor: &[u8], output: Option<&str>) -> Result<Option<Weight>> {
    const DIMS: u64 = 1;
    const DATA_TYPE: u64 = 2;
    const NAME: u64 = 8;
    const RAW_DATA: u64 = 9;
    const FLOAT: u64 = 1;
    let (mut shape, mut data_type, mut raw, mut own) = (Vec::new(), 0, None, "");
    for field in Fields(tensor) {
        match field? {
            (DIMS, Value::Number(size)) => shape.push(usize::try_from(size)?),
            (DIMS, Value::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    shape.push(usize::try_from(varint(&mut packed)?)?);
                }
            }
            (DATA_TYPE, Value::Number(number)) => data_type = number,
            (NAME, Value::Bytes(bytes)) => own = std::str::from_utf8(bytes)?,
            (RAW_DATA, Value::Bytes(bytes)) => raw = Some(bytes),
            _ => {}
        }
    }
    let (FLOAT, Some(raw)) = (data_type, raw) else { return Ok(None) };
    let name = output.unwrap_or(own).to_owned();
    let (words, rest) = raw.as_chunks::<4>();
    let size = shape.iter().try_fold(1, |size: usize, &dim| size.checked_mul(dim));
    if !rest.is_empty() || size != Some(words.len()) {
        bail!("tensor `{name}` of shape {shape:?} has {} bytes", raw.len());
    }
    let values = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    Ok(Some(Weight { name, shape, values }))
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of one protobuf message.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>)> {
        let tag = varint(&mut self.0)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut self.0)?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let length = varint(&mut self.0)?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Bytes(self.take(4)?),
            kind => bail!("not an ONNX model: protobuf wire type {kind}"),
        };
        Ok((tag >> 3, value))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let split = usize::try_from(length).ok().and_then(|at| self.0.split_at_checked(at));
        let (taken, rest) = split.context("not an ONNX model, or a truncated one")?;
        self.0 = rest;
        Ok(taken)
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().context("not an ONNX model, or a truncated one")?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    bail!("not an ONNX model: a number of more than 64 bits")
}

#[cfg(test)]
mod tests {
    use super::super::fake::{constant, field, silero, tensor};
    use super::*;

    #[test]
    fn initialisers_and_constants_in_file_order() {
        let first = field(5, &tensor("own", &[2, 1], &[1.5, -2.0]));
        let inner = field(1, &constant("output", &tensor("own", &[1], &[3.0])));
        let outer = field(1, &field(5, &field(6, &inner)));
        let model = [vec![8, 9], field(7, &[first, outer].concat())].concat();
        let found = weights(&model).expect("a model");
        let names: Vec<_> = found.iter().map(|weight| weight.name.as_str()).collect();
        assert_eq!(names, ["own", "output"]);
        assert_eq!((&found[0].shape[..], &found[0].values[..]), (&[2, 1][..], &[1.5, -2.0][..]));
    }

    #[test]
    fn a_cut_file_is_an_error_wherever_it_is_cut() {
        let whole = field(7, &field(5, &tensor("w", &[2], &[1.0, 2.0])));
        assert!(weights(&whole).is_ok());
        for length in 0..whole.len() {
            assert!(weights(&whole[..length]).is_err(), "{length} bytes");
        }
        let model = silero();
        assert!(weights(&model[..model.len() / 2]).is_err());
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        let model = field(7, &field(5, &tensor("w", &[3], &[1.0, 2.0])));
        let error = weights(&model).map(|_| ()).expect_err("2 values for 3");
        assert_eq!(error.to_string(), "tensor `w` of shape [3] has 8 bytes");
        assert!(weights(&[0xff; 64]).is_err());
    }
}
