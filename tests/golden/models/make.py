#!/usr/bin/env python3
"""Writes the tiny model folders beside this file, and what transformers computes with them.

Needs torch, transformers and safetensors; the tests need only what is written here:

  NAME/config.json, model.safetensors   random weights from a fixed seed, as transformers saves them
  NAME/golden.json                      prompts, greedy tokens with their top-2 margins, logit rows
  NAME/logits.f32                       little-endian float32 [row][vocab]: float32 arithmetic on the
                                        stored (rounded) weights
  NAME/logits_native.f32                the same in the weights' own dtype (bfloat16, float16 only)

The weights are large (the largest logits are about 15), so that greedy margins are wide: prompts are
kept only where every one of the 64 steps has a margin above MIN_MARGIN.
"""

import json
import pathlib
import shutil

import torch
import transformers
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel
from transformers import LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
MIN_MARGIN = 1e-3
MIN_DISTINCT = 10  # a loop of a few tokens tells little
GREEDY_STEPS = 64
GREEDY_PROMPTS = 20
LOGIT_ROWS = 40  # kept of each folder


def randomize(model, generator, gain, table_size):
    """Matrices multiply the size of what they are given by `gain`; no vector is all one or zero.

    With tied embeddings the token just read would win every time, unless the tables are small
    beside what the layers add.
    """
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.dim() == 2:
                table = "embed" in name or "wte" in name or "wpe" in name or "lm_head" in name
                fan_in = weight.shape[0] if "c_" in name else weight.shape[1]
                weight.copy_(noise * (table_size if table else gain / fan_in**0.5))
            elif name.endswith("bias"):
                weight.copy_(noise * 0.2)
            else:
                weight.copy_(1.0 + noise * 0.2)


def random_prompts(count, lengths, vocab, generator):
    for i in range(count):
        length = lengths[i % len(lengths)]
        yield torch.randint(0, vocab, (length,), generator=generator).tolist()


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].float()


def greedy(model, prompt, steps):
    ids, margins = list(prompt), []
    for _ in range(steps):
        best = torch.topk(logits_of(model, ids)[-1], 2)
        margins.append(round(float(best.values[0] - best.values[1]), 6))
        ids.append(int(best.indices[0]))
    return ids[len(prompt):], margins


def greedy_golden(model, vocab, generator):
    lengths = [1, 2, 3, 5, 8, 13, 16, 17, 21, 33]
    chosen = []
    for prompt in random_prompts(1000, lengths, vocab, generator):
        tokens, margins = greedy(model, prompt, GREEDY_STEPS)
        if min(margins) > MIN_MARGIN and len(set(tokens)) >= MIN_DISTINCT:
            chosen.append({"prompt": prompt, "tokens": tokens, "margins": margins})
        if len(chosen) == GREEDY_PROMPTS:
            return chosen
    raise SystemExit("too few prompts with wide margins")


def logit_golden(folder, prompts, dtype):
    """Logits of the last rows of each prompt."""
    kept = LOGIT_ROWS // len(prompts)
    rows = []
    for p, prompt in enumerate(prompts):
        rows += [[p, i] for i in range(max(0, len(prompt) - kept), len(prompt))]
    computed = {"logits.f32": torch.float32}
    if dtype != torch.float32:
        computed["logits_native.f32"] = dtype
    for name, compute in computed.items():
        model = load(folder, compute)
        by_prompt = [logits_of(model, prompt) for prompt in prompts]
        values = torch.stack([by_prompt[p][i] for p, i in rows])
        (folder / name).write_bytes(values.numpy().astype("<f4").tobytes())
    return rows


def load(folder, dtype):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    return model.eval()


def write_folder(name, model, dtype, seed, lengths, with_greedy=False, shards=None, rename=None,
                 edit_config=None):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model = model.to(dtype)
    state = {rename(k): v.clone() for k, v in model.state_dict().items()} if rename else None
    model.save_pretrained(folder, max_shard_size=shards or "1GB")
    if rename:
        import safetensors.torch
        state.pop("lm_head.weight", None)
        safetensors.torch.save_file(state, folder / "model.safetensors", {"format": "pt"})
    if edit_config:
        config = json.loads((folder / "config.json").read_text())
        edit_config(config)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    generator = torch.Generator().manual_seed(seed)
    vocab = model.config.vocab_size
    prompts = list(random_prompts(len(lengths), lengths, vocab, generator))
    golden = {"transformers": transformers.__version__, "torch": torch.__version__,
              "dtype": str(dtype).removeprefix("torch."), "prompts": prompts,
              "logit_rows": logit_golden(folder, prompts, dtype)}
    if with_greedy:
        golden["greedy"] = greedy_golden(load(folder, torch.float32), vocab, generator)
        distinct = [len(set(g["tokens"])) for g in golden["greedy"]]
        print(name, "distinct tokens of 64:", min(distinct), "to", max(distinct), "least margin",
              min(min(g["margins"]) for g in golden["greedy"]))
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)
    text = json.dumps(golden, separators=(",", ":")).replace('"prompt', '\n"prompt')
    (folder / "golden.json").write_text(text + "\n")
    print(name, sum(f.stat().st_size for f in folder.iterdir()), "bytes")


def llama(seed, **fields):
    sizes = dict(vocab_size=300, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
                 num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
                 rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=None)
    model = LlamaForCausalLM(LlamaConfig(**(sizes | fields)))
    randomize(model, torch.Generator().manual_seed(seed),
              *((2.0, 0.4) if model.config.tie_word_embeddings else (1.2, 0.6)))
    return model


def gpt2(seed):
    model = GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=48, n_layer=2, n_head=3, n_inner=96,
                                       n_positions=160, bos_token_id=1, eos_token_id=2))
    randomize(model, torch.Generator().manual_seed(seed), 1.5, 0.4)
    return model


def old_linear(config):
    """The spelling before rope_parameters."""
    config.pop("rope_parameters")
    config["rope_theta"] = 5000.0
    config["rope_scaling"] = {"type": "linear", "factor": 4.0}


def main():
    torch.set_num_threads(1)
    short = [1, 7, 17, 40]
    small = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2)
    # Head size 16 where hidden / heads is 12; biases everywhere; a head of its own.
    biased = dict(hidden_size=48, head_dim=16, attention_bias=True, mlp_bias=True,
                  rope_parameters={"rope_type": "default", "rope_theta": 500000.0})
    write_folder("llama-tied-f32", llama(1, tie_word_embeddings=True), torch.float32, 11, short,
                 with_greedy=True)
    write_folder("llama-f32", llama(2, **biased), torch.float32, 12, short, with_greedy=True)
    write_folder("llama-bf16", llama(2, **biased), torch.bfloat16, 12, short)
    write_folder("llama-f16", llama(2, **biased), torch.float16, 12, short)
    llama3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
              "high_freq_factor": 4.0, "original_max_position_embeddings": 128}
    write_folder("llama3-rope-f32", llama(3, **small, max_position_embeddings=1024,
                                          rope_parameters=llama3),
                 torch.float32, 13, [900, 140], shards="50KB")
    linear = {"rope_type": "linear", "rope_theta": 5000.0, "factor": 4.0}
    write_folder("llama-linear-rope-f32", llama(4, **small, max_position_embeddings=512,
                                                rope_parameters=linear),
                 torch.float32, 14, [300, 9], edit_config=old_linear)
    write_folder("gpt2-f32", gpt2(5), torch.float32, 15, short, with_greedy=True)
    write_folder("gpt2-bf16", gpt2(5), torch.bfloat16, 15, short)
    write_folder("gpt2-f16", gpt2(5), torch.float16, 15, short,
                 rename=lambda k: k.removeprefix("transformer."))


if __name__ == "__main__":
    main()
