"""A Llama folder of ours as a GGUF file for llama.cpp: the same weights and the same tokenizer.

usage: write_gguf.py FOLDER FILE.gguf [--type auto|f32|f16|bf16|q8_0]

For what random_llama.py writes: one safetensors file, tied embeddings, byte-level BPE under GPT-2's
pattern. auto: the file's own type. Norms stay float32, as llama.cpp keeps them; q8_0 quantises every
matrix, the embedding too, as its llama-quantize does. Needs the PyPI packages numpy and gguf.
"""

import argparse
import json
import struct
from pathlib import Path

import gguf
import numpy as np

NAMES = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
         "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
TYPES = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16,
         "bf16": gguf.GGMLQuantizationType.BF16, "q8_0": gguf.GGMLQuantizationType.Q8_0}
FILE_TYPES = {"f32": gguf.LlamaFileType.ALL_F32, "f16": gguf.LlamaFileType.MOSTLY_F16,
              "bf16": gguf.LlamaFileType.MOSTLY_BF16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}
OWN = {"F32": "f32", "F16": "f16", "BF16": "bf16"}


def read_safetensors(path: Path):
    """(name, dtype, array) of each tensor; bfloat16 as its bits."""
    with path.open("rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
    data = np.memmap(path, np.uint8, "r", 8 + size)
    kinds = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        yield name, entry["dtype"], data[begin:end].view(kinds[entry["dtype"]]).reshape(
            entry["shape"])


def as_float(values: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)


def gguf_name(name: str) -> str:
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, *rest = name.split(".")
    return f"blk.{layer}.{NAMES['.'.join(rest[:-1])]}.weight"


def pairs_together(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rotary pairs i, i + d/2 (Hugging Face) as 2i, 2i + 1, the order of llama.cpp's llama."""
    return (rows.reshape(heads, 2, rows.shape[0] // heads // 2, rows.shape[1])
            .swapaxes(1, 2).reshape(rows.shape))


def add_tensors(writer: gguf.GGUFWriter, folder: Path, config: dict, kind: str) -> None:
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, dtype, values in read_safetensors(folder / "model.safetensors"):
        if values.ndim == 1:
            writer.add_tensor(gguf_name(name), as_float(values, dtype))
            continue
        part = name.split(".")[-2]
        if part in heads:
            values = pairs_together(values, heads[part])
        if OWN[dtype] == kind:
            raw = np.ascontiguousarray(values)
            raw = raw.view(np.uint8) if kind == "bf16" else raw
        else:
            raw = gguf.quants.quantize(as_float(values, dtype), TYPES[kind])
        writer.add_tensor(gguf_name(name), raw, raw_dtype=TYPES[kind])


def add_tokenizer(writer: gguf.GGUFWriter, folder: Path, config: dict) -> None:
    described = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocab = described["model"]["vocab"]
    special = {token["content"] for token in described["added_tokens"]}
    tokens = sorted(vocab, key=vocab.get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL
                            for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in described["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(False)


def add_shape(writer: gguf.GGUFWriter, config: dict, kind: str) -> None:
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])


def main() -> None:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--type", choices=["auto", *TYPES], default="auto")
    arguments = parser.parse_args()
    config = json.loads((arguments.folder / "config.json").read_text())
    own = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}[config["torch_dtype"]]
    kind = own if arguments.type == "auto" else arguments.type
    writer = gguf.GGUFWriter(arguments.file, "llama")
    add_shape(writer, config, kind)
    add_tokenizer(writer, arguments.folder, config)
    add_tensors(writer, arguments.folder, config, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
