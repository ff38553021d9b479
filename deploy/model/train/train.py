"""Train the default model from nothing: write the corpus, train its tokenizer, train the model, export it.

    python train.py --work WORK --tokens 4.75e6

Everything is seeded.  A run that was stopped goes on from WORK/state.pt when the same command is given
again; a larger --tokens then trains further.  Each export is a Hugging Face folder, WORK/export.
"""
import argparse
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import corpus
from llama import Config, Llama, save_folder

CHAT_TEMPLATE = (
    "{{ '<|begin_of_text|>' }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '<|user|>' + message['content'] + '<|end_of_turn|>' }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|assistant|>' + message['content'] + '<|end_of_turn|>' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclass(frozen=True)
class Stage:
    """A part of the run, up to the fraction `until` of its tokens."""
    name: str
    until: float
    rows: int
    length: int
    mini_share: float
    long_share: float
    alone: bool  # whether a document sees only itself, not those before it in its row


STAGES = [
    Stage("mini", 0.08, 4, 256, 0.7, 0.0, True),    # names met and used again within a few words
    Stage("short", 0.72, 5, 384, 0.05, 0.0, True),
    Stage("long", 1.00, 1, 2048, 0.05, 0.45, False),  # rotary positions do not stretch by themselves
]


def train_tokenizer(path, vocab_size):
    """Byte-level BPE on the corpus; the 256 byte symbols are always in, so any text can be encoded."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=corpus.SPECIAL_TOKENS,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    texts = corpus.documents(1, 20000, mini_share=0.1, long_share=0.05)
    for token in corpus.SPECIAL_TOKENS:
        texts = [t.replace(token, "\n") for t in texts]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{corpus.BOS} $A", pair=f"{corpus.BOS} $A $B", special_tokens=[(corpus.BOS, tokenizer.token_to_id(corpus.BOS))])
    tokenizer.save(str(path))


def write_tokenizer_config(folder):
    """The transformers side of the tokenizer: special tokens and the chat template."""
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": corpus.BOS, "eos_token": corpus.EOS, "pad_token": corpus.EOS,
              "model_max_length": 2048, "clean_up_tokenization_spaces": False, "chat_template": CHAT_TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def tokens_of(tokenizer, path, seed, wanted, stage):
    """The token stream of a stage, written once to a file of 16-bit ids."""
    if not path.exists():
        parts, have, chunk = [], 0, 0
        while have < wanted:
            texts = corpus.documents(seed * 100003 + chunk, 2000, mini_share=stage.mini_share, long_share=stage.long_share)
            encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
            parts.append(np.concatenate([np.array(e.ids, np.uint16) for e in encoded]))
            have, chunk = have + len(parts[-1]), chunk + 1
        np.concatenate(parts).tofile(path)
    return np.fromfile(path, np.uint16)


class Rows:
    """Packs whole documents into rows, so that no row begins amid a story and hides an introduction."""

    def __init__(self, stream, bos, stage):
        self.stream, self.bos, self.stage, self.next = stream, bos, stage, 0
        starts = np.flatnonzero(stream == bos)
        self.rows = self.pack(starts, np.diff(np.append(starts, len(stream))), stage.length + 1)

    @staticmethod
    def pack(starts, sizes, room, ahead=64):
        """Lists of (start, size): the next document, then of the 64 after it always the longest that still fits."""
        waiting = [(int(a), min(int(n), room)) for a, n in zip(starts, sizes)]
        waiting.reverse()
        rows = []
        while waiting:
            row = [waiting.pop()]
            left = room - row[0][1]
            while True:
                near = range(max(0, len(waiting) - ahead), len(waiting))
                best = max((i for i in near if waiting[i][1] <= left), key=lambda i: (waiting[i][1], i), default=None)
                if best is None:
                    break
                row.append(waiting.pop(best))
                left -= row[-1][1]
            rows.append(row)
        return rows

    def batch(self):
        """Inputs, targets (-100 where a row is not full) and, where documents stay alone, the attention mask."""
        length, count = self.stage.length, self.stage.rows
        ids = torch.full((count, length + 1), -100)
        for row in ids:
            parts = self.rows[self.next % len(self.rows)]
            tokens = np.concatenate([self.stream[a:a + n] for a, n in parts]).astype(np.int64)
            row[:len(tokens)] = torch.from_numpy(tokens)
            self.next += 1
        x, y = ids[:, :-1].clamp(min=0).contiguous(), ids[:, 1:].contiguous()
        if not self.stage.alone:
            return x, y, None
        document = (x == self.bos).cumsum(1)
        seen = (document[:, :, None] == document[:, None, :]).tril()
        return x, y, torch.zeros(seen.shape).masked_fill_(~seen, -1e9)[:, None]


def orthogonalise(g):
    """The Newton-Schulz steps of Muon on a stack of matrices [n, rows, columns], in bfloat16."""
    tall = g.shape[1] > g.shape[2]
    x = (g.transpose(1, 2) if tall else g).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.transpose(1, 2) if tall else x).float()


class Muon:
    """Momentum whose step is made orthogonal, for the matrices inside the layers; equal shapes go together."""

    def __init__(self, params, momentum=0.95):
        self.groups, self.momentum, self.moments = {}, momentum, []
        for p in params:
            self.groups.setdefault(tuple(p.shape), []).append(p)
        self.moments = [torch.zeros(len(ps), *shape) for shape, ps in self.groups.items()]

    @torch.no_grad()
    def step(self, rate, decay=0.01):
        """One update at the given learning rate."""
        for moment, (shape, params) in zip(self.moments, self.groups.items()):
            grad = torch.stack([p.grad for p in params])
            moment.mul_(self.momentum).add_(grad, alpha=1 - self.momentum)
            update = orthogonalise(grad * (1 - self.momentum) + moment * self.momentum)
            for p, u in zip(params, update):
                p.mul_(1 - rate * decay).add_(u, alpha=-rate * max(1, shape[0] / shape[1]) ** 0.5)


def schedule(progress, step):
    """Warm up, stay, then fall linearly over the second half."""
    return min(1.0, (step + 1) / 50) * max(0.01, min(1.0, (1 - progress) / 0.5))


class Run:
    """The model, its optimisers and where the run stands."""

    def __init__(self, args, tokenizer):
        self.args, self.tokenizer, self.bos = args, tokenizer, tokenizer.token_to_id(corpus.BOS)
        torch.manual_seed(args.seed)
        self.model = Llama(Config(vocab_size=tokenizer.get_vocab_size()))
        matrices = [p for p in self.model.layers.parameters() if p.dim() == 2]
        known = {id(p) for p in matrices}
        self.muon = Muon(matrices)
        self.adam = torch.optim.AdamW([p for p in self.model.parameters() if id(p) not in known],
                                      lr=args.adam_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
        self.seen = self.step = 0
        self.rows, self.average = None, None
        compiled = torch.compile(self.loss, dynamic=False) if args.compile else self.loss
        self.compiled = compiled

    def loss(self, x, y, mask):
        """Mean cross-entropy, the products in bfloat16."""
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model(x, mask)
        return F.cross_entropy(logits.float().view(-1, logits.shape[-1]), y.view(-1))

    def train_step(self, stage):
        """One batch, one update; returns the loss."""
        rate = schedule(self.seen / self.args.tokens, self.step)
        x, y, mask = self.rows.batch()
        loss = self.compiled(x, y, mask)
        loss.backward()
        for group in self.adam.param_groups:
            group["lr"] = self.args.adam_rate * rate
        self.adam.step()
        self.muon.step(self.args.muon_rate * rate)
        self.model.zero_grad(set_to_none=True)
        self.seen, self.step = self.seen + x.numel(), self.step + 1
        return loss.item()

    def save(self):
        """A state from which the run can go on, and an export of the weights."""
        state = {"model": self.model.state_dict(), "adam": self.adam.state_dict(), "muon": self.muon.moments, "seen": self.seen,
                 "step": self.step, "row": self.rows.next, "stage": self.rows.stage.name}
        torch.save(state, self.args.work / "state.tmp")
        (self.args.work / "state.tmp").replace(self.args.work / "state.pt")
        self.export(self.args.work / "export")

    def export(self, folder):
        """The Hugging Face folder."""
        folder.mkdir(exist_ok=True)
        ids = [self.tokenizer.token_to_id(t) for t in (corpus.EOS, corpus.END_OF_TURN)]
        save_folder(self.model, folder, self.bos, ids)
        shutil.copy(self.args.work / "tokenizer.json", folder / "tokenizer.json")
        write_tokenizer_config(folder)

    def load(self):
        """Go on from the last state, if there is one; returns the row within the stage and the stage's name."""
        path = self.args.work / "state.pt"
        if not path.exists():
            return 0, None
        state = torch.load(path)
        self.model.load_state_dict(state["model"])
        self.adam.load_state_dict(state["adam"])
        self.muon.moments, self.seen, self.step = state["muon"], state["seen"], state["step"]
        return state["row"], state["stage"]


@torch.no_grad()
def held_out_loss(run, stage):
    """Mean loss per token of documents of the same grammar under a seed that training never uses."""
    rows = Rows(tokens_of(run.tokenizer, run.args.work / f"held_out_{stage.name}.bin", 9, 60000, stage), run.bos, stage)
    total, count = 0.0, 16384 // (stage.rows * stage.length)
    for _ in range(count):
        x, y, mask = rows.batch()
        logits = run.model(x, mask)
        total += F.cross_entropy(logits.view(-1, logits.shape[-1]), y.view(-1)).item()
    return total / count


def train(run):
    """All stages in order, with a line of log every 50 steps and a state every 250."""
    row, resumed = run.load()
    share, began, cpu, first = 0.0, time.time(), time.process_time(), run.seen
    for number, stage in enumerate(STAGES):
        wanted, end = (stage.until - share) * run.args.tokens, stage.until * run.args.tokens
        share = stage.until
        if run.seen >= end:
            continue
        path = run.args.work / f"train_{stage.name}.bin"
        stream = tokens_of(run.tokenizer, path, run.args.seed + 10 + number, wanted, stage)
        run.rows = Rows(stream, run.bos, stage)
        run.rows.next = row if stage.name == resumed else 0
        print(f"stage {stage.name}: {len(stream)} tokens of corpus", flush=True)
        while run.seen < end:
            loss = run.train_step(stage)
            run.average = loss if run.average is None else 0.98 * run.average + 0.02 * loss
            if run.step % 50 == 0:
                speed, busy = [(run.seen - first) / t for t in (time.time() - began, time.process_time() - cpu)]
                print(f"step {run.step} tokens {run.seen / 1e6:.2f}M loss {run.average:.4f} "
                      f"tokens/s {speed:.0f} wall {busy:.0f} cpu", flush=True)
            if run.step % 250 == 0:
                run.save()
                print(f"held-out loss {held_out_loss(run, STAGES[1]):.4f}", flush=True)
        run.save()
    print(f"done; held-out loss at 384 tokens {held_out_loss(run, STAGES[1]):.4f}, "
          f"at 2048 tokens {held_out_loss(run, STAGES[2]):.4f}", flush=True)


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for corpus, states and exports")
    parser.add_argument("--tokens", type=float, default=4.75e6, help="length of the whole run in tokens")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vocab-size", type=int, default=2048)
    parser.add_argument("--muon-rate", type=float, default=0.02)
    parser.add_argument("--adam-rate", type=float, default=4e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="use torch.compile (needs a C++ compiler; half again as fast)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    args.work.mkdir(parents=True, exist_ok=True)
    if not (args.work / "tokenizer.json").exists():
        train_tokenizer(args.work / "tokenizer.json", args.vocab_size)
    run = Run(args, Tokenizer.from_file(str(args.work / "tokenizer.json")))
    print(f"{sum(p.numel() for p in run.model.parameters())} parameters, vocabulary {run.model.c.vocab_size}", flush=True)
    train(run)


if __name__ == "__main__":
    main()
