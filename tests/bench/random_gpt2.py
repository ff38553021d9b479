"""Writes a GPT-2-shaped model folder with random weights: 12 layers, 768 wide, 12 heads, 1,024
positions, a vocabulary of 50,257. For measuring alone; its text is noise.

usage: random_gpt2.py FOLDER [--dtype float32|bfloat16] [--tokenizer FOLDER]

The standard library only. The tokenizer is that of the default model, whose vocabulary is smaller:
ids beyond it decode to nothing.
"""

import argparse
import array
import json
import random
import shutil
import struct
from pathlib import Path

LAYERS, WIDTH, HEADS, POSITIONS, VOCABULARY = 12, 768, 12, 1024, 50257
SPREAD = 0.02  # standard deviation, as GPT-2 starts
TABLE = 1 << 19  # distinct random values; tensors take them at different offsets


def tensors() -> dict[str, list[int]]:
    shapes = {"transformer.wte.weight": [VOCABULARY, WIDTH],
              "transformer.wpe.weight": [POSITIONS, WIDTH]}
    for layer in range(LAYERS):
        name = f"transformer.h.{layer}."
        shapes |= {name + "ln_1.weight": [WIDTH], name + "ln_1.bias": [WIDTH],
                   name + "ln_2.weight": [WIDTH], name + "ln_2.bias": [WIDTH],
                   name + "attn.c_attn.weight": [WIDTH, 3 * WIDTH],
                   name + "attn.c_attn.bias": [3 * WIDTH],
                   name + "attn.c_proj.weight": [WIDTH, WIDTH],
                   name + "attn.c_proj.bias": [WIDTH],
                   name + "mlp.c_fc.weight": [WIDTH, 4 * WIDTH],
                   name + "mlp.c_fc.bias": [4 * WIDTH],
                   name + "mlp.c_proj.weight": [4 * WIDTH, WIDTH],
                   name + "mlp.c_proj.bias": [WIDTH]}
    return shapes | {"transformer.ln_f.weight": [WIDTH], "transformer.ln_f.bias": [WIDTH]}


def encode(values, dtype: str) -> bytes:
    floats = array.array("f", values)
    if dtype == "float32":
        return floats.tobytes()
    # The upper half of a float32: cut, not rounded, which is near enough for noise.
    return array.array("H", (bits >> 16 for bits in array.array("I", floats.tobytes()))).tobytes()


def write_weights(path: Path, dtype: str) -> None:
    size = 4 if dtype == "float32" else 2
    dice = random.Random(1)
    noise = encode((dice.gauss(0, SPREAD) for _ in range(TABLE)), dtype) * 2
    header, at = {}, 0
    for name, shape in tensors().items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F32" if size == 4 else "BF16", "shape": shape,
                        "data_offsets": [at, at + count * size]}
        at += count * size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name, entry in header.items():
            write_tensor(out, entry, noise, dtype, size, is_scale="ln_" in name and name.endswith("weight"))


def write_tensor(out, entry: dict, noise: bytes, dtype: str, size: int, is_scale: bool) -> None:
    left = entry["data_offsets"][1] - entry["data_offsets"][0]
    if is_scale:
        out.write(encode([1.0] * (left // size), dtype))
        return
    step = 0
    while left:
        begin = (step * 7919 * 64) % TABLE * size
        piece = noise[begin:begin + min(left, TABLE * size)]
        out.write(piece)
        left -= len(piece)
        step += 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--tokenizer", type=Path,
                        default=Path(__file__).resolve().parents[2] / "deploy/model")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(arguments.tokenizer / "tokenizer.json", arguments.folder / "tokenizer.json")
    config = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_layer": LAYERS,
              "n_embd": WIDTH, "n_head": HEADS, "n_positions": POSITIONS, "n_ctx": POSITIONS,
              "n_inner": None, "vocab_size": VOCABULARY, "layer_norm_epsilon": 1e-5,
              "activation_function": "gelu_new", "torch_dtype": arguments.dtype,
              "bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": True}
    (arguments.folder / "config.json").write_text(json.dumps(config, indent=1))
    write_weights(arguments.folder / "model.safetensors", arguments.dtype)


if __name__ == "__main__":
    main()
