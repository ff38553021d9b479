"""A small Llama in plain PyTorch, and its Hugging Face folder form.

It computes what transformers' LlamaForCausalLM computes (rotary halves, grouped-query attention,
SwiGLU, tied embeddings); training on a CPU is faster without that library's generality.
"""
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file, save_file


@dataclass
class Config:
    """The shape of the model, under the names of a Hugging Face config.json."""
    vocab_size: int = 2048
    hidden_size: int = 192
    num_hidden_layers: int = 5
    num_attention_heads: int = 6
    num_key_value_heads: int = 2
    intermediate_size: int = 512
    max_position_embeddings: int = 2048
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5

    @property
    def head_dim(self):
        """The width of one attention head."""
        return self.hidden_size // self.num_attention_heads


def rotate(x, cos, sin):
    """Rotary position embedding of x [batch, heads, tokens, head_dim], first half against second."""
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Attention(nn.Module):
    """Causal grouped-query attention."""

    def __init__(self, c):
        super().__init__()
        self.c, width = c, c.num_key_value_heads * c.head_dim
        self.q_proj = nn.Linear(c.hidden_size, c.hidden_size, bias=False)
        self.k_proj = nn.Linear(c.hidden_size, width, bias=False)
        self.v_proj = nn.Linear(c.hidden_size, width, bias=False)
        self.o_proj = nn.Linear(c.hidden_size, c.hidden_size, bias=False)

    def forward(self, x, cos, sin, mask, past=None):
        """`past` is a [keys, values] list that grows while text is generated."""
        c, (batch, tokens, _) = self.c, x.shape
        split = lambda t, heads: t.view(batch, tokens, heads, c.head_dim).transpose(1, 2)
        q = rotate(split(self.q_proj(x), c.num_attention_heads), cos, sin)
        k = rotate(split(self.k_proj(x), c.num_key_value_heads), cos, sin)
        v = split(self.v_proj(x), c.num_key_value_heads)
        if past is not None:
            k, v = (torch.cat((p, n), 2) for p, n in zip(past, (k, v))) if past else (k, v)
            past[:] = [k, v]
        group = c.num_attention_heads // c.num_key_value_heads
        if mask is not None:
            y = self.masked(q, k, v, mask, group)
        else:
            k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=tokens > 1)
        return self.o_proj(y.transpose(1, 2).reshape(batch, tokens, c.hidden_size))

    def masked(self, q, k, v, mask, group):
        """Attention written out: on a CPU its backward pass is nearly twice as fast as the library's with a mask."""
        batch, heads, tokens, width = q.shape
        flat = (batch * heads // group, -1, width)
        scores = torch.bmm((q * width ** -0.5).reshape(flat), k.reshape(flat).transpose(1, 2)).view(batch, heads, tokens, -1)
        weights = (scores.float() + mask).softmax(-1).to(v.dtype)
        return torch.bmm(weights.view(flat[0], group * tokens, -1), v.reshape(flat)).view(batch, heads, tokens, width)


class Mlp(nn.Module):
    """SwiGLU feed-forward."""

    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.up_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x):
        """x [batch, tokens, hidden_size] -> the same shape."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention and feed-forward, each on a normed copy of the residual stream."""

    def __init__(self, c):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.mlp = Mlp(c)

    def forward(self, x, cos, sin, mask, past=None):
        """x [batch, tokens, hidden_size] -> the same shape."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask, past)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """The whole model; its parameter names are those of the Hugging Face checkpoint under "model."."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))
        self.norm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)
        inverse = c.rope_theta ** (-torch.arange(0, c.head_dim, 2).float() / c.head_dim)
        angles = torch.outer(torch.arange(c.max_position_embeddings).float(), inverse)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.initialise()

    def initialise(self):
        """A large embedding and small residual writes: else the embedding drowns and copying starts late."""
        nn.init.normal_(self.embed_tokens.weight, 0, 0.5)
        nn.init.constant_(self.norm.weight, 0.1)
        for name, p in self.layers.named_parameters():
            if p.dim() == 2:
                scale = 0.1 if name.endswith(("o_proj.weight", "down_proj.weight")) else 0.5
                nn.init.normal_(p, 0, scale * p.shape[1] ** -0.5)

    def forward(self, ids, mask=None, past=None, start=0):
        """ids [batch, tokens] -> logits [batch, tokens, vocab]; mask [batch, 1, tokens, tokens] is added to the scores."""
        cos, sin = self.cos[start:start + ids.shape[1]], self.sin[start:start + ids.shape[1]]
        x = self.embed_tokens(ids)
        for i, layer in enumerate(self.layers):
            x = layer(x, cos, sin, mask, past[i] if past is not None else None)
        return self.norm(x) @ self.embed_tokens.weight.t()


def save_folder(model, folder, bos, eos):
    """Write config.json, generation_config.json and model.safetensors (bfloat16)."""
    folder = Path(folder)
    tensors = {"model." + name: p.detach().to(torch.bfloat16).contiguous() for name, p in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **asdict(model.c), "head_dim": model.c.head_dim,
              "hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": True,
              "torch_dtype": "bfloat16", "bos_token_id": bos, "eos_token_id": eos}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    generation = {"bos_token_id": bos, "eos_token_id": eos, "do_sample": True, "temperature": 0.5, "top_p": 0.95}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


def load_folder(folder):
    """Read a folder that `save_folder` wrote; the arithmetic is then float32."""
    config = json.loads((Path(folder) / "config.json").read_text())
    model = Llama(Config(**{k: config[k] for k in Config.__dataclass_fields__}))
    tensors = load_file(Path(folder) / "model.safetensors")
    model.load_state_dict({name.removeprefix("model."): t.float() for name, t in tensors.items()})
    return model.eval()
