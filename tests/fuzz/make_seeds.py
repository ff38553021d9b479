"""Writes the seeds of the fuzzers' corpora: small, one per form or trap. Run it again after a change
and commit what changed; seeds that a fuzzer found are files beside these and are not touched."""

import json
import struct
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus"


def write(target: str, name: str, data: bytes) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def http(line: str, *fields: str, body: bytes = b"") -> bytes:
    return "\r\n".join((line, *fields, "", "")).encode("latin-1") + body


def make_http() -> None:
    post, host, chunked = "POST /v1/completions HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"
    body = b'{"prompt":"a"}'
    length = f"Content-Length: {len(body)}"
    pieces = b"5\r\n" + body[:5] + b"\r\n9;x=1\r\n" + body[5:] + b"\r\n0\r\n"
    seeds = {
        "get": http("GET /health HTTP/1.1", host),
        "get-1.0": http("GET /health?a=b HTTP/1.0", host, "Connection: keep-alive"),
        "post": http(post, host, length, "Content-Type: application/json", body=body),
        "two": http("GET / HTTP/1.1", host) * 2,
        "expect": http(post, host, length, "Expect: 100-continue", body=body),
        "chunked": http(post, host, chunked, body=pieces + b"\r\n"),
        "trailer": http(post, host, chunked, body=pieces + b"X-Tenant: evil\r\n\r\n"),
        "trailer-long": http(post, host, chunked,
                             body=pieces + b"X-T: " + b"a" * 20000 + b"\r\n\r\n"),
        "gzip-then-length": http(post, host, "Transfer-Encoding: gzip", length, body=body),
        "both": http(post, host, chunked, length, body=pieces + b"\r\n"),
        "length-list": http(post, host, "Content-Length: 14, 14", body=body),
        "length-twice": http(post, host, length, length, body=body),
        "length-huge": http(post, host, "Content-Length: 18446744073709551617"),
        "chunk-huge": http(post, host, chunked, body=b"fffffffffffffffff\r\n"),
        "chunk-bad": http(post, host, chunked, body=b"-1\r\n"),
        "no-host": http("GET / HTTP/1.1"),
        "two-hosts": http("GET / HTTP/1.1", host, host),
        "folded": http("GET / HTTP/1.1", host, "X-A: 1", " 2"),
        "bare-lf": b"GET / HTTP/1.1\nHost: a\n\n",
        "nul": http("GET / HTTP/1.1", host, "X-A: a\0b"),
        "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "fields": http("GET / HTTP/1.1", host, *(f"X-{i}: 1" for i in range(120))),
    }
    for name, data in seeds.items():
        write("http", name, data)


def make_completion() -> None:
    whole = {"model": "m", "prompt": "a", "max_tokens": 1, "min_tokens": 0, "temperature": 0.5,
             "top_p": 0.9, "top_k": 3, "min_p": 0.1, "repetition_penalty": 1.1,
             "presence_penalty": -1, "frequency_penalty": 1, "logit_bias": {"1": -100}, "seed": 7,
             "logprobs": 2, "n": 2, "stop": ["x", "yz"], "stop_token_ids": [1], "echo": True,
             "stream": True, "stream_options": {"include_usage": True}, "priority": -1,
             "ignore_eos": False, "user": "u", "cache_salt": "s", "best_of": 2}
    seeds = {
        "whole": json.dumps(whole), "nulls": json.dumps(dict.fromkeys(whole, None)),
        "text": '{"prompt":"caf\\u00e9 \\ud83d\\ude00"}', "texts": '{"prompt":["a","b"]}',
        "ids": '{"prompt":[1,2,3]}', "ids-2": '{"prompt":[[1,2],[3]]}',
        "duplicate": '{"prompt":"a","n":1,"n":99}', "huge": '{"prompt":"a","temperature":1e999}',
        "big": '{"prompt":"a","n":9223372036854775808}', "nan": '{"prompt":"a","top_p":NaN}',
        "surrogate": '{"prompt":"\\ud800"}', "deep": '{"a":' * 40 + "1" + "}" * 40,
        "digits": '{"prompt":"a","seed":' + "9" * 400 + "}",
        "fraction": '{"prompt":"a","n":1.0,"max_tokens":1e1}', "empty": "", "array": "[]",
        "format": '{"prompt":"a","response_format":{"type":"json_object"}}',
        "tokens": '{"tokens":[1,2,3]}', "detokenize-bad": '{"tokens":[-1]}',
    }
    for name, text in seeds.items():
        write("completion_request", name, text.encode())
    write("completion_request", "utf8", b'{"prompt":"\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80"}')


def make_chat() -> None:
    hello = {"messages": [{"role": "user", "content": "hi"}]}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":[1,2.5]}'}}
    whole = {"messages": [{"role": "system", "content": [{"type": "text", "text": "a"}]},
                          {"role": "user", "content": "b", "name": "n"},
                          {"role": "assistant", "content": None, "tool_calls": [call]},
                          {"role": "tool", "content": "c", "tool_call_id": "c"}],
             "tools": [tool], "documents": [{"title": "t"}], "tool_choice": "none",
             "chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "low",
             "add_generation_prompt": False, "max_completion_tokens": 2, "max_tokens": 1,
             "logprobs": True, "top_logprobs": 3, "n": 2, "stop": ["x"], "modalities": ["text"],
             "stream": True, "stream_options": {"include_usage": True}}
    seeds = {
        "hello": hello, "whole": whole, "nulls": {**dict.fromkeys(whole), **hello},
        "empty": {"messages": []}, "image": {"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "http://a/"}}]}]},
        "role": {"messages": [{"role": 1, "content": "a"}]},
        "kwargs": {**hello, "chat_template_kwargs": {"tokenize": True}},
        "tool": {**hello, "tools": [{"function": {}}]}, "many": {**hello, "tools": [tool] * 129},
        "arguments": {"messages": [{"role": "assistant", "tool_calls": [{"function": {
            "name": "f", "arguments": '{"a":' * 30 + "1" + "}" * 30}}]}]},
        "template": {**hello, "chat_template": "{{ 1 }}"}, "top": {**hello, "top_logprobs": 1},
    }
    for name, value in seeds.items():
        write("chat_request", name, json.dumps(value).encode())
    twice = b'{"messages":[{"role":"user","role":"tool","content":"a"}]}'
    write("chat_request", "twice", twice)
    write("chat_request", "utf8", b'{"messages":[{"role":"user","content":"\xff\xed\xa0\x80"}]}')


def make_safetensors() -> None:
    def file(header: str, data: bytes = b"", size: int | None = None) -> bytes:
        text = header.encode()
        return struct.pack("<Q", len(text) if size is None else size) + text + data

    one = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    seeds = {
        "one": file(one, b"\0" * 8),
        "metadata": file('{"__metadata__":{"format":"pt"},' + one[1:], b"\0" * 8),
        "two": file('{"a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},'
                    '"b":{"dtype":"F16","shape":[],"data_offsets":[4,6]}}', b"\0" * 6),
        "none": file("{}"), "empty": b"", "short": b"\x01", "truncated": file(one, b"\0" * 7),
        "longer": file(one, b"\0" * 9), "size-huge": file(one, b"\0" * 8, 2**63),
        "size-max": file(one, b"", 2**64 - 1),
        "shape-huge": file('{"a":{"dtype":"F32","shape":[4294967296,4294967296],'
                           '"data_offsets":[0,8]}}', b"\0" * 8),
        "shape-negative": file('{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}',
                               b"\0" * 8),
        "hole": file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', b"\0\0"),
        "backwards": file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[1,0]}}', b"\0"),
        "overlap": file('{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},'
                        '"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}', b"\0" * 3),
        "twice": file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
                      '"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', b"\0" * 2),
        "dtype": file('{"a":{"dtype":"F8","shape":[2],"data_offsets":[0,8]}}', b"\0" * 8),
        "deep": file('{"a":' + "[" * 200 + "]" * 200 + "}"), "not-json": file("{]"),
        "zero": file('{"a":{"dtype":"F32","shape":[0,4294967295],"data_offsets":[0,0]}}'),
    }
    for name, data in seeds.items():
        write("safetensors", name, data)


def tokenizer(model: dict, **parts) -> dict:
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
            "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None,
            **parts, "model": model}


def make_tokenizer() -> None:
    def bpe(vocab, merges, **more):
        return {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False,
                "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": merges,
                **more}

    plain = bpe({"a": 0, "b": 1, "ab": 2, "\u0120": 3, "\u0120a": 4}, ["a b", "\u0120 a"])
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": True}
    special = {"id": 5, "content": "<s>", "single_word": False, "lstrip": False, "rstrip": False,
               "normalized": False, "special": True}
    llama = bpe({"<unk>": 0, "<s>": 1, "<0x61>": 2, "\u2581": 3, "a": 4, "\u2581a": 5},
                [["\u2581", "a"]], byte_fallback=True, unk_token="<unk>", fuse_unk=True)
    split = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex":
         "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
         "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
         "behavior": "Isolated", "invert": False},
        {**byte_level, "use_regex": False}]}
    template = {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                           {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}}}
    seeds = {
        "gpt2": tokenizer(plain, pre_tokenizer=byte_level, decoder=byte_level,
                          added_tokens=[special]),
        "llama3": tokenizer(plain, pre_tokenizer=split, decoder=byte_level,
                            added_tokens=[special], post_processor=template),
        "llama2": tokenizer(llama, normalizer={"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
            decoder={"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}),
        "nfc": tokenizer(plain, normalizer={"type": "NFC"}, pre_tokenizer=byte_level),
        "merge-unknown": tokenizer(bpe({"a": 0}, ["a z"])),
        "id-huge": tokenizer(bpe({"a": 2**62}, [])),
        "id-negative": tokenizer(bpe({"a": -1}, [])),
        "id-twice": tokenizer(bpe({"a": 0, "b": 0}, [])),
        "wordpiece": tokenizer({"type": "WordPiece", "vocab": {}}),
        "regex-wild": tokenizer(plain, pre_tokenizer={
            "type": "Split", "pattern": {"Regex": "(a+)+b"}, "behavior": "Isolated"}),
        "empty-token": tokenizer(plain, added_tokens=[{**special, "content": ""}]),
        "deep": {"model": json.loads("[" * 60 + "]" * 60)},
    }
    for name, value in seeds.items():
        write("tokenizer", name, json.dumps(value, ensure_ascii=False).encode())
    write("tokenizer", "empty", b"")
    write("tokenizer", "not-json", b'{"model":')


def make_model_config() -> None:
    llama = {"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 128,
             "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
             "head_dim": 16, "vocab_size": 300, "max_position_embeddings": 128,
             "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False,
             "eos_token_id": [1, 2], "torch_dtype": "float32", "hidden_act": "silu"}
    gpt2 = {"architectures": ["GPT2LMHeadModel"], "n_layer": 2, "n_embd": 64, "n_head": 4,
            "n_positions": 128, "vocab_size": 300, "layer_norm_epsilon": 1e-5,
            "activation_function": "gelu_new", "eos_token_id": 0}
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
               "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    seeds = {
        "llama": llama, "gpt2": gpt2, "llama3": {**llama, "rope_scaling": scaling},
        "linear": {**llama, "rope_scaling": {"type": "linear", "factor": 2.0}},
        "rope-unknown": {**llama, "rope_scaling": {"rope_type": "yarn", "factor": 2.0}},
        "architecture": {**llama, "architectures": ["Mystery"]}, "none": {},
        "zero-heads": {**llama, "num_attention_heads": 0},
        "odd-heads": {**llama, "num_key_value_heads": 3},
        "huge": {**llama, "hidden_size": 2**62, "num_hidden_layers": 2**62},
        "negative": {**gpt2, "n_layer": -1}, "fraction": {**gpt2, "n_embd": 64.5},
        "other-spelling": {**llama, "n_layer": 1}, "window": {**gpt2, "sliding_window": 16},
        "inside": {**llama, "text_config": {**llama, "num_hidden_layers": 1}},
        "experts": {**llama, "architectures": ["Mystery"], "n_routed_experts": 16384,
                    "n_shared_experts": 16384, "moe_intermediate_size": 2**22},
        "latent": {**llama, "architectures": ["Mystery"], "kv_lora_rank": 32, "q_lora_rank": 48,
                   "sliding_window": 16, "max_window_layers": 1},
        "text": {**gpt2, "n_head": "4"}, "list": {**llama, "vocab_size": [300]},
    }
    for name, value in seeds.items():
        write("model_config", name, json.dumps(value).encode())


def make_text() -> None:
    seeds = {
        "words": "the river, and the  rivers", "newlines": "a\n\n b\r\n", "digits": "1 12 123 12345",
        "contractions": "it's WE'LL l'\u00e9t\u00e9", "cjk": "\u4e16\u754c\u3000\uff01",
        "marks": "e\u0301\u0323 \u1100\u1161", "emoji": "\U0001f469\u200d\U0001f680\U0001f1e9",
        "special": "<s>a</s><|endoftext|>", "spaces": " \t \u00a0\u2003",
    }
    for name, text in seeds.items():
        write("encode", name, text.encode())
        write("detokenize", name, text.encode())
    for target in ("encode", "detokenize"):
        write(target, "broken", b"\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80a\xe4\xb8")


def make_template() -> None:
    seeds = {
        "chatml": "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n'}}{{ m.content }}{% endfor %}",
        "blocks": "  {%- if a -%} x {% elif b +%}\n{% else %}{# c #}{% endif %}\n{% raw %}{{{% endraw %}",
        "macro": "{% macro f(a, b=1) %}{{ a ~ b }}{{ caller() }}{% endmacro %}{% call f(1) %}x{% endcall %}",
        "recursive": "{% for x in messages recursive %}{{ loop(x.content) }}{% endfor %}",
        "namespace": "{% set ns = namespace(a=1) %}{% set ns.a = ns.a + 1 %}{% set x, y = 1, 2 %}{{ ns.a }}",
        "filters": "{{ messages|map(attribute='role')|unique|sort|join(',')|upper|indent(2)|tojson }}",
        "tests": "{{ messages is sequence and 1 is odd and 'a' in 'abc' or x is not defined }}",
        "slices": "{{ messages[::-1][0]['role'][1:3:2] }}{{ -1 ** 2 // 3 % 4 }}",
        "format": "{{ '%05d %s' % (1, 'a') }}{{ '{:>5}{}'.format(1, 'b') }}",
        "strings": "{{ 'a\\x41\\u00e9\\n' \"b\" }}{{ 1_0 }}{{ 1.5e3 }}",
        "filter-block": "{% filter trim %} a {% endfilter %}{% set b %}x{% endset %}{% with c=1 %}{% endwith %}",
        "escape": "{{ messages.__class__.__mro__ }}{{ cycler.__init__.__globals__ }}",
        "nested": "{{ " + "(" * 150 + " }}", "loops": "{% for a in range(99999) %}" * 3,
        "huge": "{{ '-' * 10000000000 }}", "unclosed": "{% if", "empty": "",
    }
    for name, text in seeds.items():
        write("template_parse", name, text.encode())
    conversations = {
        "plain": [{"role": "user", "content": "hi #<s>"}],
        "parts": [{"role": "user", "content": [{"type": "text", "text": "#"}]}],
        "calls": [{"role": "assistant", "content": None, "tool_calls": [
            {"function": {"name": "#", "arguments": {"a": [1, 2.5, None, True]}}}]}],
        "unicode": [{"role": "\u00df", "content": "\u4e16 \U0001f600 e\u0301#\u2028"}],
        "odd": [{"a": 1, "A": "#"}, 3, "#", None], "map": {"#": "#"}, "text": "#", "none": [],
        "deep": [[[[[[[["#"]]]]]]]], "numbers": [{"content": "1e5"}, {"content": "-12"}],
    }
    for name, value in conversations.items():
        write("template_run", name, json.dumps(value, ensure_ascii=False).encode())


if __name__ == "__main__":
    make_text()
    make_template()
    make_model_config()
    make_http()
    make_completion()
    make_chat()
    make_safetensors()
    make_tokenizer()
