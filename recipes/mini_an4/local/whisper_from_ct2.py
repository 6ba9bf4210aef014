#!/usr/bin/env python3
"""Makes a Whisper checkpoint in Hugging Face's layout of one that CTranslate2 has converted.

usage: local/whisper_from_ct2.py CT2_DIR HF_DIR

Reads CT2_DIR/{model.bin,config.json,tokenizer.json} and writes HF_DIR/{config.json,
generation_config.json,tokenizer.json,model.safetensors}. Weights must be 32- or 16-bit floats, and stay
what they are; only their names change, and matrices that CTranslate2 has joined are parted.
"""

import json
import os
import shutil
import struct
import sys
import tempfile
from pathlib import Path

# CTranslate2's numbers of data types, and safetensors' names.
TYPES = {0: "F32", 4: "F16", 5: "BF16"}


def read_model(path: Path) -> dict:
    """Returns {name: (shape, type, bytes)} of CTranslate2's model.bin, version 6."""
    with open(path, "rb") as file:

        def number(form):
            return struct.unpack(form, file.read(struct.calcsize(form)))[0]

        def text():
            return file.read(number("<H")).rstrip(b"\0").decode()

        version, spec, _revision = number("<I"), text(), number("<I")
        if version != 6 or spec != "WhisperSpec":
            sys.exit(f"{path}: version {version} of a {spec}; expected version 6 of a WhisperSpec")
        variables = {}
        for _ in range(number("<I")):
            name = text()
            shape = [number("<I") for _ in range(number("<B"))]
            kind, size = number("<B"), number("<I")
            variables[name] = (shape, kind, file.read(size))
    return variables


class Weights:
    """CTranslate2's variables, taken under Hugging Face's names."""

    def __init__(self, variables: dict):
        self.variables = variables
        self.tensors = {}

    def take(self, source: str, *targets: str) -> None:
        """Takes a variable; with several targets, an equal part of its rows for each, None for no one."""
        shape, kind, data = self.variables[source]
        if kind not in TYPES:
            sys.exit(f"{source}: weights of CTranslate2's type {kind} are no plain floats")
        rows, part = shape[0] // len(targets), len(data) // len(targets)
        for index, target in enumerate(targets):
            taken = data[index * part : (index + 1) * part]
            if target is not None:
                self.tensors[target] = ([rows, *shape[1:]], TYPES[kind], taken)
            elif any(taken):
                sys.exit(f"{source}: something that Hugging Face's layout has no place for")

    def linear(self, source: str, *targets: str) -> None:
        """Takes a matrix and its bias, of which Hugging Face has none for keys."""
        self.take(f"{source}/weight", *(f"{target}.weight" for target in targets))
        biases = (None if target.endswith("k_proj") else f"{target}.bias" for target in targets)
        self.take(f"{source}/bias", *biases)

    def layer_norm(self, source: str, target: str) -> None:
        self.take(f"{source}/layer_norm/gamma", f"{target}.weight")
        self.take(f"{source}/layer_norm/beta", f"{target}.bias")

    def layers(self, side: str) -> int:
        """Takes the layers of the encoder or the decoder, and returns how many there are."""
        count = 0
        while f"{side}/layer_{count}/ffn/linear_0/weight" in self.variables:
            source, target = f"{side}/layer_{count}", f"model.{side}.layers.{count}"
            attention, to = f"{source}/self_attention", f"{target}.self_attn"
            self.layer_norm(attention, f"{to}_layer_norm")
            self.linear(f"{attention}/linear_0", *(f"{to}.{x}_proj" for x in "qkv"))
            self.linear(f"{attention}/linear_1", f"{to}.out_proj")
            if side == "decoder":
                attention, to = f"{source}/attention", f"{target}.encoder_attn"
                self.layer_norm(attention, f"{to}_layer_norm")
                self.linear(f"{attention}/linear_0", f"{to}.q_proj")
                self.linear(f"{attention}/linear_1", f"{to}.k_proj", f"{to}.v_proj")
                self.linear(f"{attention}/linear_2", f"{to}.out_proj")
            self.layer_norm(f"{source}/ffn", f"{target}.final_layer_norm")
            self.linear(f"{source}/ffn/linear_0", f"{target}.fc1")
            self.linear(f"{source}/ffn/linear_1", f"{target}.fc2")
            count += 1
        self.layer_norm(side, f"model.{side}.layer_norm")
        positions = f"model.{side}.embed_positions.weight"
        self.take(f"{side}/position_encodings/encodings", positions)
        return count


def write_safetensors(path: Path, tensors: dict) -> None:
    """Writes 8 bytes of length, a header in JSON, and the tensors."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (shape, kind, data) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)


def main(ct2: Path, folder: Path) -> None:
    if folder.exists():
        sys.exit(f"{folder} is there already")
    variables = read_model(ct2 / "model.bin")
    weights = Weights(variables)
    for layer in ("conv1", "conv2"):
        weights.linear(f"encoder/{layer}", f"model.encoder.{layer}")
    layers = {side: weights.layers(side) for side in ("encoder", "decoder")}
    weights.take("decoder/embeddings/weight", "model.decoder.embed_tokens.weight")

    def heads(side):
        return struct.unpack("<h", variables[f"{side}/num_heads"][2])[0]

    shapes = {name: shape for name, (shape, _, _) in weights.tensors.items()}
    vocabulary, width = shapes["model.decoder.embed_tokens.weight"]
    config = {
        "model_type": "whisper",
        "architectures": ["WhisperForConditionalGeneration"],
        "vocab_size": vocabulary,
        "d_model": width,
        "num_mel_bins": shapes["model.encoder.conv1.weight"][1],
        "max_source_positions": shapes["model.encoder.embed_positions.weight"][0],
        "max_target_positions": shapes["model.decoder.embed_positions.weight"][0],
        "encoder_layers": layers["encoder"],
        "decoder_layers": layers["decoder"],
        "encoder_attention_heads": heads("encoder"),
        "decoder_attention_heads": heads("decoder"),
        "encoder_ffn_dim": shapes["model.encoder.layers.0.fc1.weight"][0],
        "decoder_ffn_dim": shapes["model.decoder.layers.0.fc1.weight"][0],
    }
    tokens = json.loads((ct2 / "config.json").read_text())
    generation = {
        "suppress_tokens": tokens["suppress_ids"],
        "begin_suppress_tokens": tokens["suppress_ids_begin"],
        # As OpenAI's code tells them apart.
        "is_multilingual": vocabulary >= 51865,
    }
    # Under another name first: an interrupted conversion leaves nothing that looks whole.
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name, content in [("config.json", config), ("generation_config.json", generation)]:
            (temporary / name).write_text(json.dumps(content, indent=2) + "\n")
        shutil.copyfile(ct2 / "tokenizer.json", temporary / "tokenizer.json")
        write_safetensors(temporary / "model.safetensors", weights.tensors)
        temporary.chmod(0o755)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    print(f"{folder}: {len(weights.tensors)} tensors", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
