"""The story grammar: everything the default model ever reads is written here.

A document is a list of parts, each a (role, text) pair; `render` turns it into the exact string
that is tokenised.  All randomness comes from one `random.Random`, so a seed fixes the corpus.

The world is small on purpose.  Its characters are mostly called by their kind ("the fox"), the pronoun
of a kind never changes, and a plot has two or three characters and at most one thing, so that a model
of two million parameters can learn to keep hold of all of them.  The words are in `grammar.py`.
"""
import argparse
import random
import re
import zlib

from grammar import (
    ASK, ASKS, COLORS, ENDINGS, FACTS, FAREWELLS, FIRST_DAYS, FOODS, FRIEND_TRAITS, GREETINGS, HABITS, HOBBIES,
    KINDS, LEADS, MEET, MINI, MINI_BEATS, NAMES, NEXT_DAYS, OPENINGS, OPEN_ASKS, PLACES, PLOTS, SAD, SMALL_FACTS,
    SYLLABLES, THANK, TOYS, TRAITS, WEATHER)

BOS, EOS = "<|begin_of_text|>", "<|end_of_text|>"
USER, ASSISTANT, END_OF_TURN = "<|user|>", "<|assistant|>", "<|end_of_turn|>"
SPECIAL_TOKENS = [BOS, EOS, USER, ASSISTANT, END_OF_TURN]

CHOICE = re.compile(r"\{([^{}]*)\}")
SLOT = re.compile(r"<([A-Za-z0-9]+)>")


def held_out(trait, kind):
    """One (trait, kind) pair in ten is never the hero of a training text; the check uses only those."""
    return zlib.crc32(f"{trait} {kind}".encode()) % 10 == 0


def article(words):
    """Put "a" or "an" before the words."""
    return ("an " if words[0] in "aeiou" and not words.startswith("uni") else "a ") + words


def expand(template, slots, rng):
    """Choose among {a|b}, fill <slots>, then mend articles and capitals."""
    text = template
    while (match := CHOICE.search(text)):
        text = text[:match.start()] + rng.choice(match.group(1).split("|")) + text[match.end():]
    for _ in range(3):  # a slot's value may hold a slot or a choice again
        text = SLOT.sub(lambda m: str(slots[m.group(1)]), text)
        if (match := CHOICE.search(text)):
            text = text[:match.start()] + rng.choice(match.group(1).split("|")) + text[match.end():]
    text = re.sub(r"\b([Aa]) (?=[aeio]|un(?!i)|um)", r"\1n ", re.sub(r"\s+", " ", text)).strip()
    # Only a name in a slot can begin a sentence in lower case; `"Oh no!" said` must stay as it is.
    return re.sub(r'(^"?|[.!?]"? "?)(the|an?)\b', lambda m: m.group(1) + m.group(2).capitalize(), text)


def pronouns(gender, prefix=""):
    """The slots he, him, his, He (with a prefix: fhe, ...)."""
    he, him, his = ("he", "him", "his") if gender == "m" else ("she", "her", "her")
    return {prefix + "he": he, prefix + "him": him, prefix + "his": his,
            (prefix + "he").capitalize(): he.capitalize(), (prefix + "his").capitalize(): his.capitalize()}


class World:
    """One hero in one place, and the friends met so far: the slots that all sentences share."""

    def __init__(self, rng, opening_pair=None):
        self.rng = rng
        self.kind, self.trait = opening_pair or self._draw_hero()
        self.gender, places, self.eats = KINDS[self.kind]
        self.place = rng.choice(places.split())
        self.name = self._draw_name() if rng.random() < 0.15 else None
        self.friends = []
        self.slots = self._hero_slots()

    def _draw_hero(self):
        """A kind and a trait, never a pair that is held out."""
        while True:
            kind, trait = self.rng.choice(list(KINDS)), self.rng.choice(TRAITS)
            if not held_out(trait, kind):
                return kind, trait

    def _draw_name(self):
        """Mostly a name of the list; sometimes one of made-up syllables, so that any name is copied."""
        if self.rng.random() < 0.7:
            return self.rng.choice(NAMES[self.gender])
        syllables = [self.rng.choice(SYLLABLES) for _ in range(self.rng.randint(1, 3))]
        return ("".join(syllables) + self.rng.choice(["", "", "n", "s", "x", "ck", "y"])).capitalize()

    def _hero_slots(self):
        """The slots that stay the same through the whole story."""
        home, inside, spots, path = PLACES[self.place]
        home = expand(home, {}, self.rng)
        who = self.name or "the " + self.kind
        intro = article(f"{self.trait} {self.kind}") + (f" named {self.name}" if self.name else "")
        slots = {"N": who, "Ns": who + "'s", "k": self.kind, "trait": self.trait, "aN": intro, "call": self.name or self.kind,
                 "home": home, "Home": home[0].upper() + home[1:], "in": inside, "path": path,
                 "ak": article(self.kind), "Ak": article(self.kind).capitalize(), "eats": self.eats}
        slots.update(pronouns(self.gender))
        slots["hobby"], slots["hobby2"] = self.rng.sample(HOBBIES, 2)
        return slots

    def _friend(self, old=()):
        """A new friend, three times in four from the same place, or (in a long story) one of the `old`."""
        if old and (len(self.friends) >= 4 or self.rng.random() < 0.5):
            kind = self.rng.choice(old)
            return kind, "the " + kind
        near = [k for k, (_, places, _) in KINDS.items() if self.place in places.split()]
        pool = near if self.rng.random() < 0.75 else list(KINDS)
        new = lambda kinds: [k for k in kinds if k != self.kind and k not in self.friends]
        kind = self.rng.choice(new(pool) or new(KINDS))
        self.friends.append(kind)
        return kind, article(f"{self.rng.choice(FRIEND_TRAITS)} {kind}")

    def episode(self, plot, days=FIRST_DAYS):
        """The sentences of one plot, with its slots drawn afresh."""
        slots, rng = self.slots, self.rng
        kind, intro = self._friend(list(self.friends))
        if any("<aG>" in beat for beat in plot.beats):  # a third character
            other, other_intro = self._friend([f for f in self.friends if f != kind])
            slots.update(G="the " + other, aG=other_intro)
        slots.update(pronouns(KINDS[kind][0], "f"))
        slots.update(F="the " + kind, fk=kind, aF=intro, afk=article(kind), Day=rng.choice(days))
        for i, spot in enumerate(rng.sample(PLACES[self.place][2].split(","), 3), 1):
            slots[f"spot{i}"] = spot
        for names, options in plot.draws.items():
            drawn = rng.choice(options)
            slots.update(zip(names.split(","), drawn) if isinstance(drawn, tuple) else [(names, drawn)])
        beats = [rng.choice(b) if isinstance(b, list) else b for b in plot.beats]
        return [self.say(b) for b in beats]

    def say(self, template):
        """One expanded template."""
        return expand(template, self.slots, self.rng)


def story(rng, mini=False, days=1, **world):
    """Returns (world, plot, text). A story of several days is one episode a day, a paragraph each."""
    w = World(rng, **world)
    lines = [w.say(rng.choice(OPENINGS))]
    if not mini and rng.random() < 0.2:
        lines.append(w.say(rng.choice(WEATHER)))
    if not mini and rng.random() < 0.5:
        lines.append(w.say(rng.choice(HABITS)))
    paragraphs, used = [], []
    for day in range(days):
        plot = MINI if mini else rng.choice([p for p in PLOTS if p not in used])
        used = (used + [plot])[-12:]
        lines += w.episode(plot, NEXT_DAYS if day else FIRST_DAYS)
        paragraphs.append(" ".join(line for line in lines if line))
        lines = []
    text = "\n\n".join(paragraphs)
    end = "The end." if days > 1 else rng.choice(ENDINGS)
    return w, plot, (text + " " + end).strip()


def request(rng, w, plot, days):
    """What a reader asks for to be told this story."""
    if rng.random() < 0.06 and days == 1:
        return w.say(rng.choice(OPEN_ASKS))
    s = w.slots
    asks = [s["ak"]] * 4 + [s["ak"] + " " + s["in"], f"{s['ak']} and {s['afk']}", article(f"{w.trait} {w.kind}")]
    if plot.who and days == 1:
        asks.append(s["ak"] + " " + w.say(plot.who))
    ask = w.slots["aN"] if w.name else rng.choice(asks)
    text = rng.choice(ASKS).replace("<ask>", ask)
    if days > 1:
        text = text.replace("Tell me about", "Tell me a story about").replace("a short story", "a story")
        text = text.replace("a story", "a long story").replace("A story", "A long story")
    return text


def questions(rng, w, plot, days, most):
    """Questions about the story just told, with their answers."""
    pairs = [("Who was the story about?", "The story was about <aN>."), ("Where did <N> live?", "<N> lived <in>.")]
    pairs += plot.questions * 2 if days == 1 else []
    return [(w.say(q), w.say(a)) for q, a in rng.sample(pairs, rng.randint(1, most))]


def fact(rng, w):
    """A small question about the world and its answer."""
    return rng.choice(SMALL_FACTS) if rng.random() < 0.4 else tuple(w.say(t) for t in rng.choice(FACTS))


def plain_document(rng, mini, days):
    """A story as plain text, sometimes with questions and answers below it."""
    w, plot, text = story(rng, mini, days)
    if rng.random() < 0.15:
        text += "".join(f"\n\nQuestion: {q}\nAnswer: {a}" for q, a in questions(rng, w, plot, days, 2))
    return [("text", text)]


def question_document(rng, mini, days):
    """The question-and-answer form: a request or a small question, and its answer."""
    if rng.random() < 0.25:
        w = World(rng)
        pairs = [rng.choice(GREETINGS)] if rng.random() < 0.3 else [fact(rng, w)]
    else:
        w, plot, text = story(rng, mini, days)
        pairs = [(request(rng, w, plot, days), text)]
        if rng.random() < 0.3:
            pairs += questions(rng, w, plot, days, 2)
    return [("text", "\n\n".join(f"Question: {q}\nAnswer: {a}" for q, a in pairs))]


def chat_document(rng, mini, days):
    """A conversation: perhaps a greeting, one to three stories with questions, perhaps a farewell."""
    turns = [rng.choice(GREETINGS)] if rng.random() < 0.12 else []
    if rng.random() < 0.05:
        turns.append(fact(rng, World(rng)))
    for _ in range(1 if days > 1 else rng.choice([1, 1, 1, 1, 2, 3])):
        w, plot, text = story(rng, mini, days)
        lead = w.say(rng.choice(LEADS))
        turns.append((request(rng, w, plot, days), (lead + " " + text).strip()))
        if rng.random() < 0.4:
            turns += questions(rng, w, plot, days, 2)
    if rng.random() < 0.08:
        turns.append(fact(rng, w))
    if rng.random() < 0.12:
        turns.append(rng.choice(FAREWELLS))
    return [part for q, a in turns for part in (("user", q), ("assistant", a))]


def document(rng, mini_share=0.05, long_share=0.0):
    """One document of the training mix; a long story has three to fourteen days."""
    mini = rng.random() < mini_share
    days = rng.randint(3, 14) if not mini and rng.random() < long_share else 1
    draw = rng.random()
    form = plain_document if draw < 0.4 else chat_document if draw < 0.82 else question_document
    return form(rng, mini, days)


def render(parts):
    """The exact training string, special tokens included; it agrees with the chat template."""
    if parts[0][0] == "text":
        return BOS + parts[0][1] + EOS
    return BOS + "".join((USER if role == "user" else ASSISTANT) + text + END_OF_TURN for role, text in parts)


def documents(seed, count, **shares):
    """`count` rendered documents; the same seed gives the same documents."""
    rng = random.Random(seed)
    return [render(document(rng, **shares)) for _ in range(count)]


def main():
    """Print a few documents, to read what the model reads."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--mini-share", type=float, default=0.05)
    parser.add_argument("--long-share", type=float, default=0.0)
    args = parser.parse_args()
    for text in documents(args.seed, args.count, mini_share=args.mini_share, long_share=args.long_share):
        print(text, end="\n----\n")


if __name__ == "__main__":
    main()
