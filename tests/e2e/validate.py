"""Every kind of answer and chunk against proto/openapi.yaml and, where it is there, OpenAI's own.

    python -m tests.e2e.validate

Prints what does not fit; exit status 1 where anything does not but for the accepted differences
below.
"""

import json
import sys

import jsonschema
import yaml

from tests.e2e.daemon import REPOSITORY, Daemon
from tests.e2e.wire import ask, get, post

OURS = REPOSITORY / "proto/openapi.yaml"
THEIRS = REPOSITORY / "../shared/data/openai/openapi.yaml"
HELLO = [{"role": "user", "content": "Tell me a story about a cat."}]
ERROR = ("Error", "ErrorResponse")
# Bodies, then what an answer is called in our description and in theirs, whole and as a chunk.
COMPLETION = [{}, {"n": 3}, {"logprobs": 3}, {"logprobs": 0}, {"echo": True, "logprobs": 2},
              {"stop": ["e"]}, {"prompt": ["a", "b"]}, {"max_tokens": 1}, {"prompt": [5, 6]}]
CHAT = [{}, {"n": 2}, {"logprobs": True, "top_logprobs": 3}, {"stop": "e"},
        {"max_completion_tokens": 1}]
STREAM = [{}, {"stream_options": {"include_usage": True}},
          {"stream_options": {"include_usage": True, "continuous_usage_stats": True}}]
ROUTES = (
    ("/v1/completions", {"prompt": "Once"}, COMPLETION, ("Completion", "CreateCompletionResponse"),
     ("Completion", "CreateCompletionResponse")),
    ("/v1/chat/completions", {"messages": HELLO}, CHAT,
     ("ChatCompletion", "CreateChatCompletionResponse"),
     ("ChatCompletionChunk", "CreateChatCompletionStreamResponse")),
)


def with_null(schema):
    """OpenAPI 3.0's `nullable: true` in the words of JSON Schema."""
    if isinstance(schema, list):
        return [with_null(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: with_null(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


# Where WIRE.md and OpenAI's own description differ, by the last part of the place and what is there:
# its rules hold, as the official service itself answers so.
ACCEPTED = (
    # 3: "The key finish_reason is always there, null until the last."
    ("CreateCompletionResponse", "finish_reason", None),
    # 4: "usage":null on all chunks but the last, under include_usage.
    ("CreateCompletionResponse", "usage", None),
    # 12: "with echo the first is null": nothing comes before a prompt's first token.
    ("CreateCompletionResponse", "token_logprobs/0", None),
    ("CreateCompletionResponse", "top_logprobs/0", None),
)


def leaves(error) -> list:
    """The errors at the bottom: those of the alternatives that come nearest, where there are any."""
    if not error.context:
        return [error]
    branches: dict = {}
    for part in error.context:
        branches.setdefault(part.schema_path[0], []).extend(leaves(part))
    # The alternative that is merely `null` always fails with one error at the place itself.
    depth = max(len(e.absolute_path) for errors in branches.values() for e in errors)
    return next(errors for errors in branches.values()
                if any(len(e.absolute_path) == depth for e in errors))


def accepted(name: str, error) -> bool:
    place = "/".join(map(str, error.absolute_path))
    return any(name == where and (place == tail or place.endswith("/" + tail))
               and error.instance is value for where, tail, value in ACCEPTED)


class Checker:
    def __init__(self):
        self.documents = [yaml.safe_load(OURS.read_text(encoding="utf-8"))]
        if THEIRS.exists():
            self.documents.append(with_null(yaml.safe_load(THEIRS.read_text(encoding="utf-8"))))
        else:
            print("left out: OpenAI's description is not there")
        self.validators: dict = {}
        self.checked = self.failed = 0
        self.accepted = 0  # places that differ as WIRE.md asks

    def check(self, answer, names, what: str) -> None:
        for which, document in enumerate(self.documents):
            name = names[which]
            if name is None or name not in document["components"]["schemas"]:
                continue
            if (which, name) not in self.validators:
                schema = {**document, "$ref": f"#/components/schemas/{name}"}
                self.validators[which, name] = jsonschema.Draft202012Validator(schema)
            self.checked += 1
            problems = [leaf for error in self.validators[which, name].iter_errors(answer)
                        for leaf in leaves(error)]
            wrong = [p for p in problems if which == 0 or not accepted(name, p)]
            self.accepted += len(problems) - len(wrong)
            self.failed += bool(wrong)
            for problem in wrong[:1]:
                print(f"{('ours', 'theirs')[which]} {name}: {what}: "
                      f"{'/'.join(map(str, problem.absolute_path))}: {problem.message[:200]}")


def check_route(checker, port, path, base, bodies, whole, chunk) -> None:
    for fields in bodies:
        body = {"max_tokens": 8, **base, **fields}
        answer = ask(port, post(path, body))
        assert answer.status == 200, answer.body
        checker.check(answer.json(), whole, f"{path} {fields}")
        for more in STREAM:
            events = ask(port, post(path, {**body, **more, "stream": True})).body.split(b"\n\n")
            payloads = [e.removeprefix(b"data: ") for e in events if e.startswith(b"data: ")]
            assert payloads[-1] == b"[DONE]"
            for payload in payloads[:-1]:
                checker.check(json.loads(payload), chunk, f"{path} {fields} {more} streamed")
    for fields in ({"temperature": 9}, {"model": "other"}, {"n": "x"}):
        answer = ask(port, post(path, {**base, **fields}))
        assert 400 <= answer.status < 500
        checker.check(answer.json(), ERROR, f"{path} {fields}")


def main() -> int:
    checker = Checker()
    with Daemon() as daemon:
        for path, base, bodies, whole, chunk in ROUTES:
            check_route(checker, daemon.port, path, base, bodies, whole, chunk)
        models = ask(daemon.port, get("/v1/models")).json()
        checker.check(models, ("ModelList", "ListModelsResponse"), "/v1/models")
        checker.check(models["data"][0], ("Model", "Model"), "a model")
        answer = ask(daemon.port, post("/v1/completions", {"prompt": "a"},
                                       headers="X-Request-Id: told\r\n"))
        assert answer.status == 200
        told = ask(daemon.port, get("/v1/requests/told"))
        checker.check(told.json(), ("RequestRecord", None), "/v1/requests")
    print(f"{checker.checked} checked, {checker.failed} failed; "
          f"{checker.accepted} places differ from OpenAI's description as WIRE.md asks")
    return 1 if checker.failed else 0


if __name__ == "__main__":
    sys.exit(main())
