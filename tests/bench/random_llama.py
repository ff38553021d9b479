"""Writes a Llama-shaped model folder with random weights, for measuring alone; its text is noise.

usage: random_llama.py FOLDER [--shape 100m|1b|8b|tiny|speck] [--dtype bfloat16|float16|float32]
                       [--torch DEVICE]

100m: 12 layers, 768 wide, 12 heads, 4 KV heads, 2,048 feed-forward, 32,000 words.
1b:   Llama-3.2-1B's: 16 layers, 2,048 wide, 32 heads, 8 KV heads, 8,192, 128,256 words.
8b:   Llama-3-8B's: 32 layers, 4,096 wide, 32 heads, 8 KV heads, 14,336, 128,256 words.
The first two with tied embeddings. Needs numpy (peer_llama_cpp.sh makes an environment that has
it). --torch makes the weights by PyTorch on that device: 16 GB by numpy take minutes.

The tokenizer is a byte-level BPE made so that `quire bench` sends the same prompts to any server,
also to one that it cannot ask for the length of a text: each of its words costs the one or two
tokens that it would guess. Rows of the embedding whose token is no printable text are zero: under
temperature 0 they are never chosen, so that every token gives a piece of text.
"""

import argparse
import json
import re
import struct
from pathlib import Path

import numpy as np

SHAPES = {
    "100m": {"layers": 12, "width": 768, "heads": 12, "kv_heads": 4, "ff": 2048, "words": 32000},
    "1b": {"layers": 16, "width": 2048, "heads": 32, "kv_heads": 8, "ff": 8192, "words": 128256},
    "8b": {"layers": 32, "width": 4096, "heads": 32, "kv_heads": 8, "ff": 14336, "words": 128256,
           "untied": True},
    "tiny": {"layers": 2, "width": 128, "heads": 4, "kv_heads": 2, "ff": 256, "words": 2048},
    "speck": {"layers": 1, "width": 64, "heads": 2, "kv_heads": 1, "ff": 128, "words": 2048},
}
DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
SPREAD = 0.02  # standard deviation
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>"]
CONTEXT = 8192
PIECE = 1 << 22  # values made at a time
WORDS_FILE = Path(__file__).resolve().parents[2] / "server/commands/bench_prompts.cpp"
GUESSED_ONE = 7  # bytes, with the space: estimate() there


def byte_alphabet() -> list[str]:
    """The character that stands for each byte in a byte-level vocabulary (GPT-2's)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    table = {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
    return [table[b] for b in range(256)]


def bench_words() -> list[str]:
    """The words of quire bench, without the space before them."""
    words = re.findall(r'" ([a-z]+)"', WORDS_FILE.read_text(encoding="utf-8"))
    if len(words) < 50:
        raise SystemExit(f"no list of words in {WORDS_FILE}")
    return words


def chain(text: str, merges: dict) -> None:
    """Merges that put `text` together from its first character on."""
    for end in range(1, len(text)):
        merges.setdefault((text[:end], text[end]))


def make_merges() -> list[tuple[str, str]]:
    space = byte_alphabet()[ord(" ")]
    merges: dict = {}
    long_words = []
    for word in bench_words():
        if len(word) + 1 <= GUESSED_ONE:
            chain(space + word, merges)
        else:
            long_words.append(space + word)
    known = {a + b for a, b in merges}
    for word in long_words:  # two tokens: the longest beginning that there is, and the rest
        cut = max(n for n in range(1, len(word)) if n == 1 or word[:n] in known)
        chain(word[cut:], merges)
    return list(merges)


def tokenizer(num_words: int) -> dict:
    merges = make_merges()
    tokens = dict.fromkeys(SPECIAL + byte_alphabet() + [a + b for a, b in merges])
    space = byte_alphabet()[ord(" ")]
    for i in range(num_words):  # what no text is encoded to, but the model may say
        tokens.setdefault(f"{space}w{i}")
    vocab = {token: i for i, token in enumerate(list(tokens)[:num_words])}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": True}
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": vocab[s], "content": s, "single_word": False, "lstrip": False,
                              "rstrip": False, "normalized": False, "special": True}
                             for s in SPECIAL],
            "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None,
            "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None,
                      "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": vocab, "merges": [list(m) for m in merges]}}


def mute_rows() -> list[int]:
    """Ids whose token gives no text by itself."""
    return list(range(len(SPECIAL))) + [len(SPECIAL) + b for b in range(256)
                                        if not 32 < b < 127]


def tensors(s: dict) -> dict[str, list[int]]:
    head = s["width"] // s["heads"]
    kv = s["kv_heads"] * head
    shapes = {"model.embed_tokens.weight": [s["words"], s["width"]]}
    for layer in range(s["layers"]):
        name = f"model.layers.{layer}."
        shapes |= {name + "input_layernorm.weight": [s["width"]],
                   name + "post_attention_layernorm.weight": [s["width"]],
                   name + "self_attn.q_proj.weight": [s["width"], s["width"]],
                   name + "self_attn.k_proj.weight": [kv, s["width"]],
                   name + "self_attn.v_proj.weight": [kv, s["width"]],
                   name + "self_attn.o_proj.weight": [s["width"], s["width"]],
                   name + "mlp.gate_proj.weight": [s["ff"], s["width"]],
                   name + "mlp.up_proj.weight": [s["ff"], s["width"]],
                   name + "mlp.down_proj.weight": [s["width"], s["ff"]]}
    if s.get("untied"):
        shapes["lm_head.weight"] = shapes["model.embed_tokens.weight"]
    return shapes | {"model.norm.weight": [s["width"]]}


def encode(values: np.ndarray, dtype: str) -> bytes:
    if dtype == "float32":
        return values.tobytes()
    if dtype == "float16":
        return values.astype(np.float16).tobytes()
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()


def write_tensor(out, name: str, shape: list[int], dtype: str, dice) -> None:
    if len(shape) == 1:
        out.write(encode(np.ones(shape, np.float32), dtype))
        return
    rows_at_once = max(1, PIECE // shape[1])
    for begin in range(0, shape[0], rows_at_once):
        rows = min(rows_at_once, shape[0] - begin)
        values = dice.standard_normal((rows, shape[1]), np.float32) * np.float32(SPREAD)
        if name.startswith(("model.embed", "lm_head")):
            values[[i - begin for i in mute_rows() if begin <= i < begin + rows]] = 0
        out.write(encode(values, dtype))


def torch_writer(device: str):
    """The same as write_tensor, with PyTorch's dice."""
    import torch
    generator = torch.Generator(device).manual_seed(1)

    def write(out, name: str, shape: list[int], dtype: str, _) -> None:
        kind = getattr(torch, dtype)
        if len(shape) == 1:
            values = torch.ones(shape, device=device, dtype=kind)
        else:
            values = torch.empty(shape, device=device, dtype=kind)
            values.normal_(0, SPREAD, generator=generator)
        if name.startswith(("model.embed", "lm_head")):
            values[mute_rows()] = 0
        values.view(torch.uint8).cpu().numpy().tofile(out)

    return write


def write_weights(path: Path, shape: dict, dtype: str, write=write_tensor) -> None:
    size = 4 if dtype == "float32" else 2
    header, at = {}, 0
    for name, dims in tensors(shape).items():
        nbytes = int(np.prod(dims)) * size
        header[name] = {"dtype": DTYPES[dtype], "shape": dims, "data_offsets": [at, at + nbytes]}
        at += nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    dice = np.random.default_rng(1)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        out.flush()
        for name, entry in header.items():
            write(out, name, entry["shape"], dtype, dice)


def config(s: dict, dtype: str) -> dict:
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama",
            "vocab_size": s["words"], "hidden_size": s["width"],
            "num_hidden_layers": s["layers"], "num_attention_heads": s["heads"],
            "num_key_value_heads": s["kv_heads"], "head_dim": s["width"] // s["heads"],
            "intermediate_size": s["ff"], "max_position_embeddings": CONTEXT,
            "rope_theta": 500000.0, "rms_norm_eps": 1e-5, "hidden_act": "silu",
            "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": not s.get("untied"),
            "torch_dtype": dtype, "bos_token_id": 0, "eos_token_id": 1}


def main() -> None:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="100m")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    parser.add_argument("--torch", metavar="DEVICE")
    arguments = parser.parse_args()
    write = torch_writer(arguments.torch) if arguments.torch else write_tensor
    shape, dtype, folder = SHAPES[arguments.shape], arguments.dtype, arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(shape["words"])), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config(shape, dtype), indent=1))
    write_weights(folder / "model.safetensors", shape, dtype, write)


if __name__ == "__main__":
    main()
