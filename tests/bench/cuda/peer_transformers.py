"""transformers' continuous batching under the loads of serve.py, as rows of its table.

usage: peer_transformers.py FOLDER LOAD... [--device cuda]     LOAD: IN/OUT/REQUESTS/AT_ONCE, tokens

Greedy, end tokens ignored, prompts of random tokens, all requests handed over at once with at most
AT_ONCE under way. No server and no network in between, which is to its advantage.
"""

import argparse
import random

import torch
import transformers


def parse():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("folder")
    parser.add_argument("loads", nargs="+")
    parser.add_argument("--device", default="cuda")
    return parser.parse_args()


def measure(model, load: str) -> None:
    inputs, outputs, requests, at_once = (int(word) for word in load.split("/"))
    dice = random.Random(inputs * 1000 + at_once)
    words = model.config.vocab_size
    prompts = [[dice.randrange(300, words) for _ in range(inputs)] for _ in range(requests)]
    config = transformers.GenerationConfig(max_new_tokens=outputs, do_sample=False,
                                           eos_token_id=-1, pad_token_id=0)
    batching = transformers.ContinuousBatchingConfig(max_requests_per_batch=at_once)
    done = model.generate_batch(inputs=prompts, generation_config=config,
                                continuous_batching_config=batching, progress_bar=False)
    # From the first request that began to the last that ended: without making the cache and
    # capturing graphs, which a server does once.
    taken = max(one.lifespan[1] for one in done.values()) - min(one.lifespan[0]
                                                                for one in done.values())
    tokens = sum(len(one.generated_tokens) for one in done.values())
    if tokens != requests * outputs:
        print(f"transformers: {tokens} tokens instead of {requests * outputs}")
    name = f"transformers: {inputs} in, {outputs} out, {at_once} at once"
    print(f"| {name:<44} | {tokens / taken:10.0f} | {'':10} | {'':9} | {'':9} | {'':9} | {'':11} |",
          flush=True)


def main() -> None:
    options = parse()
    if not hasattr(transformers, "ContinuousBatchingConfig"):
        print(f"skipped: transformers {transformers.__version__} is older than its batching's "
              "settings")
        return
    model = transformers.AutoModelForCausalLM.from_pretrained(options.folder,
                                                              dtype=torch.bfloat16)
    model = model.to(options.device).eval()
    for load in options.loads:
        try:
            measure(model, load)
        except (RuntimeError, ValueError) as error:  # out of memory, too: the next may fit
            print(f"transformers, {load}: {error}", flush=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # each load makes a cache of its own


if __name__ == "__main__":
    main()
