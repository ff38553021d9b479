#!/usr/bin/env python3
"""Makes the small tokenizers and the goldens beside this file.

Needs the `tokenizers` package (made with 0.23.3); running the tests does not. Everything is seeded:
the same package gives the same files.

<name>.json is a tokenizer.json; cases.json holds the strings; <name>.golden.json what the package
makes of them: per string the ids ("ids"), with the post-processor's tokens ("with", for the first
strings only), with the text of special tokens taken as text ("literal", where that differs), and
the decoded text with and without special tokens ("text", "plain", where they differ from the
string).
"""

import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
NUM_WITH = 40

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def training_text():
    """Small sentences in several scripts, drawn from word lists."""
    rng = random.Random(20261122)
    lists = [
        ("the a one my your".split(), "fox river stone garden letter window horse winter".split(),
         "sees finds carries follows doesn't forget it's they'll know we've".split()),
        ("der die das ein".split(), "Straße Bäume Flüsse Häuser Äpfel".split(),
         "läuft über grüßt weiß".split()),
        ("мой твой этот".split(), "дом река лес снег".split(), "видит знает помнит".split()),
        ("这 那 一只".split(), "狐狸 河流 花园 石头".split(), "看见 知道 记得".split()),
        ("この その".split(), "きつね 川 庭 いし".split(), "みます しります".split()),
        ("هذا ذلك".split(), "ثعلب نهر بيت".split(), "يرى يعرف".split()),
        ("यह वह".split(), "नदी घर पेड़".split(), "देखता जानता".split()),
    ]
    lines = []
    for _ in range(4000):
        words = rng.choices(lists, weights=[8, 2, 2, 1, 1, 1, 1])[0]
        line = " ".join(rng.choice(part) for part in (words[0], words[1], words[2], words[1]))
        line += rng.choice([".", "!", "?", ", 😀", " 12", " 2024.", "...", "\n", "\n\n  x = 1;"])
        lines.append(line.capitalize() if rng.random() < 0.5 else line)
    return lines


def trained(tokenizer, vocab_size, **options):
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, show_progress=False, **options)
    tokenizer.train_from_iterator(training_text(), trainer)
    return tokenizer


def byte_level(split, vocab_size, special, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return trained(tokenizer, vocab_size, special_tokens=special,
                   initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def split_then_bytes(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def template(tokenizer, bos, eos=None):
    single = f"{bos} $A" + (f" {eos}" if eos else "")
    return processors.TemplateProcessing(
        single=single, pair=f"{single} {bos} $B:1",
        special_tokens=[(t, tokenizer.token_to_id(t)) for t in (bos, eos) if t])


def gpt2():
    return json.loads(byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), 600,
                                 ["<|endoftext|>"]).to_str())


def llama3():
    tree = json.loads(byte_level(split_then_bytes(LLAMA3), 700, [], ignore_merges=True).to_str())
    # Words that no merge makes: only ignore_merges finds them.
    for word in ("Ġgardenriver", "zzz", "123"):
        tree["model"]["vocab"][word] = len(tree["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(tree))
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), template(tokenizer, "<|begin_of_text|>")])
    return json.loads(tokenizer.to_str())


def qwen2():
    tokenizer = byte_level(split_then_bytes(QWEN2), 700, [])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tree = json.loads(tokenizer.to_str())
    tree["model"]["merges"] = [" ".join(pair) for pair in tree["model"]["merges"]]
    return tree


def sentencepiece_model():
    """A vocabulary as in Llama 2: three special tokens, 256 bytes, pieces by rank, characters; and
    for each piece every pair of pieces that makes it, as the converter from SentencePiece does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trained(tokenizer, 520, limit_alphabet=90)
    model = json.loads(tokenizer.to_str())["model"]
    pieces = [left + right for left, right in model["merges"]]
    characters = sorted(t for t in model["vocab"] if len(t) == 1)
    words = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + pieces + characters
    vocab = {}
    for word in words:
        vocab.setdefault(word, len(vocab))
    merges = []
    for piece in dict.fromkeys(pieces):
        pairs = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        pairs = [p for p in pairs if p[0] in vocab and p[1] in vocab]
        merges += sorted(pairs, key=lambda p: (vocab[p[0]], vocab[p[1]]))
    return {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True,
            "ignore_merges": False, "vocab": vocab, "merges": [list(p) for p in merges]}


def added(ids):
    return [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True} for t, i in ids]


def llama2():
    single = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    pair = [{"SpecialToken": {"id": "<s>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": added([("<unk>", 0), ("<s>", 1), ("</s>", 2)]),
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing", "single": single, "pair": single + pair,
                           "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": sentencepiece_model()}


def metaspace_first():
    tree = llama2()
    tree["normalizer"] = None
    tree["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first",
                             "split": False}
    return tree


def metaspace_split():
    tree = llama2()
    tree["normalizer"] = {"type": "Strip", "strip_left": False, "strip_right": True}
    tree["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always",
                             "split": True}
    tree["decoder"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always",
                       "split": True}
    tree["model"]["byte_fallback"] = False
    tree["model"]["fuse_unk"] = False
    return tree


def unknowns():
    """Characters without tokens: partial byte fallback, fused unk, no decoder."""
    tree = llama2()
    tree["decoder"] = None
    tree["post_processor"] = None
    for byte in range(0x80, 0xA0):
        del tree["model"]["vocab"][f"<0x{byte:02X}>"]
    tree["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFD"}]}
    return tree


def flags():
    tokenizer = byte_level(
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                 pre_tokenizers.ByteLevel(add_prefix_space=True)]),
        500, ["[PAD]", "[BOS]", "[EOS]"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.add_tokens([
        AddedToken("Monday", normalized=True), AddedToken("[DAY]", normalized=False),
        AddedToken("word", single_word=True, normalized=False),
        AddedToken("wort", single_word=True, normalized=True),
        AddedToken("[L]", lstrip=True, normalized=False),
        AddedToken("[R]", rstrip=True, normalized=False),
        AddedToken("[LR]", lstrip=True, rstrip=True, normalized=False),
        AddedToken("[L", normalized=False), AddedToken("  ", normalized=True)])
    tokenizer.add_special_tokens([AddedToken("<m>", lstrip=True, rstrip=True, special=True),
                                  AddedToken("<n>", normalized=True, special=True)])
    tokenizer.post_processor = template(tokenizer, "[BOS]", "[EOS]")
    return json.loads(tokenizer.to_str())


def ordinary_cases():
    return [
        "", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n", "\n ", "  \n  \n  ", "a", " a", "a ",
        "  a  ", "Hello world", "Hello, world! It's a fox.", "I'll, you'd, we've, they're, it's, I'm",
        "I'LL, YOU'D, WE'VE, THEY'RE, IT'S, I'M, it'ſ", "don''t 's 'sam 'x '", "o'clock rock'n'roll",
        "1", "12", "123", "1234", "1234567890", " 1 22 333 4444", "3.14159 and 1,000,000", "x2y3z",
        "٣٤٥٦٧", "१२३४", "Ⅷ ½ ² ₃ ㊿", "the fox sees the river", "The  fox   sees    the     river",
        "def f(x):\n    return x + 1\n\n\n", "if (a && b) { c(); }\r\n\t\t// done\r\n", "a\tb\t\tc",
        "... !!! ??? --- === ///\n\n", "$100 #tag @name a@b.c http://x.y/z?q=1&r=2#s", "a_b_c __init__",
        "Straße Äpfel ÄÖÜ naïve café", "cafe\u0301 nai\u0308ve A\u030a \u212b \u1e9b\u0323",
        "Мой дом видит реку", "Ελληνικά Ωμέγα", "שלום עולם", "هذا نهر", "यह नदी देखता है", "ไทยไม่เว้นวรรค",
        "这一只狐狸看见花园。", "このきつねは川をみます", "한국어 문장입니다", "\u1112\u1161\u11ab\u1100\u1173\u11af",
        "😀", "😀😀😀", "👨‍👩‍👧‍👦", "👍🏽", "🇩🇪🇫🇷", "a😀b 😀 c", "❤️", "1️⃣",
        "\u00a0a\u00a0b", "\u3000全角　空白", "\u2003\u2002\u2009", "\u200b\u200c\u200d\ufeff", "a\u2028b\u2029c",
        "\u0085\u000b\u000c", "\u0000", "a\u0000b", "\u001b[0m", "\u007f", "\ufffd", "\ufffe\uffff", "\U0010ffff",
        "\u0301", "\u0301\u0301\u0301", "a" + "\u0301" * 20, "q\u0307\u0323", "q\u0323\u0307",
        "\u0344\u0f73\u0f75\ufb1d", "ﬁ ﬃ ﷺ ㍿ ① Ａ", "İ ı ẞ ß ǅ Σς", "a" * 100, " " * 100, "\n" * 50, "1" * 50,
        "." * 100, "的" * 60, "ab" * 60, "a " * 50, " \n" * 30, "é" * 50, "😀" * 30, "\u0301" * 60, "▁" * 20,
        "▁", " ▁", "▁ ", "a▁b", "▁▁▁a", "<0x41>", "<0x0A>", "the <0xE4> river",
        "<|endoftext|>", "a<|endoftext|>b", " <|endoftext|> ", "<|endoftext|><|endoftext|>",
        "<|endoftext", "|endoftext|>", "<|<|endoftext|>|>", "<|im_start|>user\nHi<|im_end|>\n",
        "<|begin_of_text|>a<|eot_id|>", "<s>", "</s>", "<s>Hello</s>", " <s> Hello </s> ", "<s", "<unk>",
        "a<unk>b", "<s><s>", "[BOS]a[EOS]", "[PAD]", "Monday", "monday", "MONDAY monday Mondays",
        "[DAY] [day]", "word words sword word.", "a word", "wort WORT worte", "a [L] b", "a [R] b",
        "a  [LR]  b", "a [LR] [LR] b", "[L[L]", "[L]", "[R] [L]", "  a    b ", "x <m> y", "x<m>y<m>", "<n>",
        " <n> <M> <N>", "word\u0301", "ⓦword", "123 zzz zzzz", " gardenriver gardenriver",
    ]


def random_cases(rng, count):
    def character():
        kind = rng.random()
        if kind < 0.35:
            return chr(rng.randrange(0x20, 0x7F))
        if kind < 0.5:
            return rng.choice(" \n\r\t  \u00a0\u3000\u2003'▁")
        if kind < 0.6:
            return chr(rng.randrange(0x300, 0x370))
        if kind < 0.75:
            return chr(rng.randrange(0x80, 0x600))
        if kind < 0.85:
            return chr(rng.choice([rng.randrange(0x4E00, 0x9FFF), rng.randrange(0x1F300, 0x1FAFF),
                                   rng.randrange(0xAC00, 0xD7A4)]))
        while True:
            value = rng.randrange(0x110000)
            if not 0xD800 <= value < 0xE000:
                return chr(value)

    return ["".join(character() for _ in range(rng.randrange(1, 24))) for _ in range(count)]


def mixed_cases(rng, count):
    parts = ["the", " river", "<s>", "<|endoftext|>", " ", "  ", "\n", "'ll", "12", "狐狸", "é", "😀",
             "word", "[LR]", "<m>", "Monday", "▁", "doesn't", "<|im_end|>", "[EOS]", ".", "grüßt"]
    return ["".join(rng.choices(parts, k=rng.randrange(2, 9))) for _ in range(count)]


def golden(tree, cases):
    tokenizer = Tokenizer.from_str(json.dumps(tree))
    results = []
    for index, text in enumerate(cases):
        tokenizer.encode_special_tokens = False
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        result = {"ids": ids}
        if index < NUM_WITH:
            result["with"] = tokenizer.encode(text, add_special_tokens=True).ids
        for key, skip in (("text", False), ("plain", True)):
            decoded = tokenizer.decode(ids, skip_special_tokens=skip)
            if decoded != text:
                result[key] = decoded
        tokenizer.encode_special_tokens = True
        literal = tokenizer.encode(text, add_special_tokens=False).ids
        if literal != ids:
            result["literal"] = literal
        results.append(result)
    return results


def write(name, lines):
    body = ",\n".join(json.dumps(line, ensure_ascii=True, separators=(",", ":")) for line in lines)
    (HERE / name).write_text(f"[\n{body}\n]\n")


def main():
    rng = random.Random(7)
    cases = ordinary_cases() + random_cases(rng, 90) + mixed_cases(rng, 40)
    write("cases.json", cases)
    for make in (gpt2, llama3, qwen2, llama2, metaspace_first, metaspace_split, unknowns, flags):
        tree = make()
        text = json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
        (HERE / f"{make.__name__}.json").write_text(text + "\n")
        write(f"{make.__name__}.golden.json", golden(tree, cases))


if __name__ == "__main__":
    main()
