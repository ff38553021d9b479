"""Measure the default model on openings it has never seen, and hold it to its thresholds.

    python check.py [--model FOLDER]

The openings name (trait, kind) pairs that the corpus holds back from training (`corpus.held_out`).
Prints every figure of the model card; the exit status is 1 if a figure misses its threshold.
"""
import argparse
import random
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

import corpus
from llama import load_folder

KIND = r"(" + "|".join(sorted(corpus.KINDS, key=len, reverse=True)) + r")(?:'s)?\b"
NAME = r"\b(" + "|".join(corpus.NAMES["m"] + corpus.NAMES["f"]) + r")\b"
INTRODUCTION = re.compile(r"\b[Aa]n? (?:[a-z]+ )?(?:[a-z]+ )?" + KIND)
SPECIAL = re.compile(r"<\|[a-z_]+\|>")


class Story:
    """One prompt and what the model made of it."""

    def __init__(self, prompt, opening, asked):
        self.prompt, self.opening, self.asked = prompt, opening, asked
        self.text, self.ended = "", False


def make_openings(rng, count):
    """Two fifths plain first sentences, two fifths chat requests, one fifth in question form."""
    pairs = [(k, t) for k in corpus.KINDS for t in corpus.TRAITS if corpus.held_out(t, k)]
    stories = []
    for i in range(count):
        world = corpus.World(rng, opening_pair=rng.choice(pairs))
        animal = corpus.article(f"{world.trait} {world.kind}")
        ask = rng.choice(corpus.ASKS).replace("<ask>", animal)
        if i % 5 < 2:
            opening = world.say(rng.choice(corpus.OPENINGS))
            stories.append(Story(corpus.BOS + opening, opening, None))
        elif i % 5 < 4:
            stories.append(Story(f"{corpus.BOS}{corpus.USER}{ask}{corpus.END_OF_TURN}{corpus.ASSISTANT}", ask, world.kind))
        else:
            stories.append(Story(f"{corpus.BOS}Question: {ask}\nAnswer:", ask, world.kind))
    return stories


def sample(logits, temperature, top_p, generator):
    """One token for each row; temperature 0 takes the most likely."""
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    probs, order = (logits / temperature).softmax(-1).sort(-1, descending=True)
    probs[probs.cumsum(-1) - probs > top_p] = 0
    return order.gather(-1, torch.multinomial(probs, 1, generator=generator))


@torch.no_grad()
def generate(model, prompts, tokens, stops, args, generator):
    """Continue prompts of one length by `tokens` tokens; each row is cut at its first stop token."""
    past = [[] for _ in model.layers]
    ids, start, out = torch.tensor(prompts), 0, []
    for _ in range(tokens):
        logits = model(ids, past=past, start=start)[:, -1].float()
        start += ids.shape[1]
        ids = sample(logits, args.temperature, args.top_p, generator)
        out.append(ids)
    rows = torch.cat(out, 1).tolist()
    return [row[:next((i + 1 for i, t in enumerate(row) if t in stops), len(row))] for row in rows]


def write_stories(model, tokenizer, stories, tokens, stops, args):
    """Fill in the text of every story, in batches of equal prompt length."""
    generator = torch.Generator().manual_seed(args.seed)
    lengths = defaultdict(list)
    for story in stories:
        ids = tokenizer.encode(story.prompt, add_special_tokens=False).ids
        lengths[len(ids)].append((ids, story))
    for group in lengths.values():
        rows = generate(model, [ids for ids, _ in group], tokens, stops, args, generator)
        for row, (_, story) in zip(rows, group):
            story.ended = row[-1] in stops
            story.text = tokenizer.decode(row[:-1] if story.ended else row, skip_special_tokens=False)


def sentences(text):
    """Cut where a capital or a quotation mark follows an end mark, outside quotation marks."""
    flat, found = re.sub(r"\s+", " ", text).strip(), []
    for part in re.split(r'(?<=[.!?]) (?=["A-Z])|(?<=[.!?]") (?=["A-Z])', flat):
        if found and found[-1].count('"') % 2:
            found[-1] += " " + part
        elif part:
            found.append(part)
    return found


def finished_sentences(text, ended):
    """All sentences, without the last where the token limit cut it."""
    found = sentences(text)
    cut = not ended and found and not re.search(r'[.!?]"?$', found[-1])
    return found[:-1] if cut else found


def invented_names(text):
    """The names that a text or its opening introduces."""
    return set(re.findall(r"\bnamed ([A-Z][a-z]+)", text))


def whole(found, words):
    """At least two sentences, each begun and ended properly, quotation marks paired, all words known."""
    def good(s):
        shape = re.match(r'"?[A-Z]', s) and re.search(r'[.!?]"?$', s) and s.count('"') % 2 == 0
        return shape and all(w in words for w in re.findall(r"[A-Za-z']+", s))
    return len(found) >= 2 and all(good(s) for s in found)


def loops(found):
    """A sentence said twice running, or eight words in a row that come three times."""
    if any(a == b for a, b in zip(found, found[1:])):
        return True
    words = " ".join(found).split()
    grams = Counter(tuple(words[i:i + 8]) for i in range(len(words) - 7))
    return any(n >= 3 for n in grams.values())


def keeps_characters(opening, text, most=4):
    """No animal or name before it is introduced ("a wise owl", "named Tom"), and at most `most` animals."""
    full = opening + "\n" + text
    start = len(opening)
    introduced, named = defaultdict(lambda: len(full)), defaultdict(lambda: len(full))
    for match in INTRODUCTION.finditer(full):
        introduced[match.group(1)] = min(introduced[match.group(1)], match.start())
    for match in re.finditer(r"named " + NAME, full):
        named[match.group(1)] = min(named[match.group(1)], match.start())
    animals = {m.group(1) for m in re.finditer(r"\b" + KIND, full)}
    if len(animals) > most:
        return False
    for pattern, known in ((r"\b" + KIND, introduced), (NAME, named)):
        if any(m.start(1) < known[m.group(1)] for m in re.finditer(pattern, full) if m.start() >= start):
            return False
    return True


FILLERS = [(re.compile(r"\b(?:" + "|".join(words) + r")\b"), label) for label, words in (
    ("COLOR", corpus.COLORS), ("TOY", corpus.TOYS), ("TRAIT", corpus.TRAITS + corpus.FRIEND_TRAITS))]
CHARACTER = re.compile(r"\b(?:[Tt]he )?" + KIND + "|" + NAME)


def skeleton(sentence, text):
    """A sentence of the text without its fillers, to ask whether the grammar could have written it."""
    s = re.sub(r" named [A-Z][a-z]+", "", sentence)
    for name in invented_names(text):
        s = s.replace(name, "KIND")
    s = CHARACTER.sub("KIND", s)
    for pattern, label in FILLERS:
        s = pattern.sub(label, s)
    return re.sub(r"\b([Aa])n\b", r"\1", s)


def training_language(count=6000):
    """The words and the sentence skeletons of the training corpus."""
    words, shapes = set(), set()
    for text in corpus.documents(77, count, mini_share=0.05, long_share=0.05):
        invented = invented_names(text) - set(corpus.NAMES["m"] + corpus.NAMES["f"])
        for part in SPECIAL.split(text):
            words.update(w for w in re.findall(r"[A-Za-z']+", part) if w.removesuffix("'s") not in invented)
            shapes.update(skeleton(s, text) for s in sentences(part))
    return words, shapes


def check_openings(model, tokenizer, stops, language, args):
    """The 200 openings; returns {figure: (percent, threshold)}."""
    words, shapes = language
    stories = make_openings(random.Random(args.seed), args.count)
    write_stories(model, tokenizer, stories, 200, stops, args)
    sound = animals = kept = grammatical = total = 0
    for s in stories:
        found = finished_sentences(s.text, s.ended)
        ok = whole(found, words | invented_names(s.opening + " " + s.text)) and not loops(found)
        keeps = keeps_characters(s.opening, s.text)
        present = s.asked is None or re.search(rf"\b{s.asked}\b", s.text) is not None
        sound, kept, animals = sound + ok, kept + keeps, animals + (present and s.asked is not None)
        grammatical, total = grammatical + sum(skeleton(x, s.opening + s.text) in shapes for x in found), total + len(found)
        if args.verbose or (args.failures and not (ok and keeps and present)):
            print(f"[sound {ok} characters {keeps} animal {present}] {s.opening} => {s.text}\n")
    asked = sum(s.asked is not None for s in stories)
    return {f"sentences whole and no loop within 200 tokens ({args.count} openings)": (100 * sound / args.count, 95),
            f"characters keep to those introduced ({args.count} openings)": (100 * kept / args.count, 80),
            f"the asked-for animal appears ({asked} requests)": (100 * animals / asked, 80),
            f"sentences of a shape the grammar writes ({total} sentences)": (100 * grammatical / total, None)}


def check_far(model, tokenizer, language, args):
    """Text past token 1,500: long stories that run on to 2,000 tokens whatever end tokens they write."""
    words, shapes = language
    rng, count = random.Random(args.seed + 1), args.far
    pairs = [(k, t) for k in corpus.KINDS for t in corpus.TRAITS if corpus.held_out(t, k)]
    stories = []
    for _ in range(count):
        kind, trait = rng.choice(pairs)
        ask = f"Tell me a long story about {corpus.article(trait + ' ' + kind)}."
        stories.append(Story(f"{corpus.BOS}{corpus.USER}{ask}{corpus.END_OF_TURN}{corpus.ASSISTANT}", ask, kind))
    write_stories(model, tokenizer, stories, 2000, (), args)
    sound = kept = grammatical = total = 0
    for s in stories:
        ids = tokenizer.encode(s.text, add_special_tokens=False).ids
        head = tokenizer.decode(ids[:1500], skip_special_tokens=False)
        cut = max(head.rfind(". "), head.rfind("|>")) + 2  # begin with a whole sentence
        far = [sentences(p) for p in SPECIAL.split(s.text[cut:])]
        found = [x for part in far for x in part]
        found = found if s.text.endswith((".", "!", "?", '"', ">")) else found[:-1]
        story = SPECIAL.split(s.text)[0]
        known = words | invented_names(s.opening + " " + s.text)
        sound, kept = sound + (whole(found, known) and not loops(found)), kept + keeps_characters(s.opening, story, most=5)
        grammatical, total = grammatical + sum(skeleton(x, s.opening + s.text) in shapes for x in found), total + len(found)
        if args.verbose:
            print(f"[far] {s.opening} => ...{s.text[cut:]}\n")
    return {f"tokens 1,500 to 2,000: sentences whole and no loop ({count} texts)": (100 * sound / count, 80),
            f"long stories keep to their characters ({count} texts)": (100 * kept / count, None),
            f"tokens 1,500 to 2,000: sentences of a shape the grammar writes ({total})": (100 * grammatical / total, None)}


def check_questions(model, tokenizer, stops, args):
    """Questions about unseen stories, answered greedily, must match word for word."""
    rng, right, count = random.Random(args.seed + 2), 0, args.questions
    greedy = argparse.Namespace(temperature=0, top_p=1.0)
    for _ in range(count):
        world, plot, text = corpus.story(rng)
        (question, answer), = corpus.questions(rng, world, plot, 1, 1)
        prompt = corpus.render([("user", "Tell me a story."), ("assistant", text), ("user", question)]) + corpus.ASSISTANT
        ids = tokenizer.encode(prompt, add_special_tokens=False).ids
        row = generate(model, [ids], 24, stops, greedy, None)[0]
        right += tokenizer.decode(row, skip_special_tokens=True).strip() == answer
    return {f"questions about a story answered right ({count} questions)": (100 * right / count, None)}


@torch.no_grad()
def losses(model, tokenizer, seed=4242, documents=200):
    """Held-out loss per token: ordinary documents alone, and long ones by position."""
    def nll(text):
        ids = torch.tensor(tokenizer.encode(text, add_special_tokens=False).ids[:2048])[None]
        return F.cross_entropy(model(ids[:, :-1])[0], ids[0, 1:], reduction="none")
    short = torch.cat([nll(t) for t in corpus.documents(seed, documents)])
    texts = [t for t in corpus.documents(seed + 1, 600, mini_share=0.0, long_share=0.5) if len(t) > 7200][:16]
    far = [nll(t) for t in texts]
    spans = [(100, 500), (500, 1000), (1000, 1500), (1500, 2047)]
    by_place = [torch.cat([n[a:b] for n in far if len(n) > a]).mean().item() for a, b in spans]
    return short.mean().item(), list(zip(spans, by_place))


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--count", type=int, default=200, help="openings")
    parser.add_argument("--far", type=int, default=20, help="texts of 2,000 tokens")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--top-p", type=float, default=0.95)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="print every text")
    parser.add_argument("--failures", action="store_true", help="print the openings that fail")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, tokenizer = load_folder(args.model), Tokenizer.from_file(str(args.model / "tokenizer.json"))
    stops = {tokenizer.token_to_id(t) for t in (corpus.EOS, corpus.END_OF_TURN)}
    language = training_language()
    figures = check_openings(model, tokenizer, stops, language, args)
    if args.far:
        figures |= check_far(model, tokenizer, language, args)
    if args.questions:
        figures |= check_questions(model, tokenizer, stops, args)
    missed = 0
    for name, (percent, threshold) in figures.items():
        verdict = "" if threshold is None else f" (wanted {threshold} %: {'met' if percent >= threshold else 'MISSED'})"
        missed += threshold is not None and percent < threshold
        print(f"{percent:6.1f} %  {name}{verdict}")
    short, places = losses(model, tokenizer)
    print(f"held-out loss {short:.4f} nats per token; long documents: "
          + ", ".join(f"tokens {a} to {b} {loss:.4f}" for (a, b), loss in places))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
