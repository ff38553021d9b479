"""Forty calls that people's programs make: the official openai client, LangChain and LlamaIndex.

    python -m tests.e2e.clients

Starts the daemon with the default model. Each call must come back as the library's own typed
answer. LangChain and LlamaIndex are left out, and said to be, where they are not installed
(tests/e2e/requirements-clients.txt). Exit status 1 where a call failed.
"""

import asyncio
import importlib.util
import sys
import traceback

import openai

from tests.e2e.daemon import Daemon

HELLO = [{"role": "user", "content": "Tell me a story about a cat."}]
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.",
                                         "parameters": {"type": "object", "properties": {}}}}


def joined(chunks) -> str:
    return "".join(c.choices[0].text for c in chunks if c.choices)


def chat_joined(chunks) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def refused(kind, call) -> bool:
    try:
        call()
    except kind as error:
        return error.body["message"] and set(error.body) == {"message", "type", "param", "code"}
    return False


def completion_calls(client, model):
    def create(**fields):
        return client.completions.create(**{"model": model, "prompt": "Once upon a time",
                                            "max_tokens": 12, "temperature": 0, **fields})
    whole = create()
    streamed = create(stream=True)
    yield "completion", lambda: whole.choices[0].text and whole.usage.completion_tokens <= 12
    yield "completion, streamed", lambda: joined(streamed) == whole.choices[0].text
    yield "several prompts", lambda: [c.index for c in create(
        prompt=["a", "b", "c"]).choices] == [0, 1, 2]
    yield "a prompt of token ids", lambda: create(prompt=[5, 6, 7]).usage.prompt_tokens >= 3
    yield "n", lambda: len(create(n=3, temperature=1).choices) == 3
    yield "best_of", lambda: len(create(n=1, best_of=3, temperature=1).choices) == 1
    yield "echo", lambda: create(echo=True).choices[0].text.startswith("Once upon a time")
    yield "logprobs", lambda: len(create(logprobs=3).choices[0].logprobs.top_logprobs[0]) >= 3
    yield "echo with logprobs", lambda: create(
        echo=True, logprobs=1).choices[0].logprobs.token_logprobs[0] is None
    yield "stop", lambda: "e" not in create(stop=["e"]).choices[0].text
    yield "seed", lambda: create(seed=7, temperature=1).choices[0].text == create(
        seed=7, temperature=1).choices[0].text
    yield "logit_bias", lambda: create(logit_bias={"5": -100}).choices
    yield "penalties", lambda: create(presence_penalty=1, frequency_penalty=1).choices
    yield "usage in a stream", lambda: list(create(
        stream=True, stream_options={"include_usage": True}))[-1].usage.completion_tokens <= 12
    yield "extra_body", lambda: create(extra_body={"top_k": 5, "min_p": 0.1}).choices
    yield "raw answer with its id", lambda: client.completions.with_raw_response.create(
        model=model, prompt="a", extra_headers={"x-request-id": "mine"}
    ).headers["x-request-id"] == "mine"
    yield "bad request", lambda: refused(openai.BadRequestError, lambda: create(temperature=9))
    yield "wrong model", lambda: refused(openai.NotFoundError, lambda: create(model="other"))
    yield "a deadline of its own", lambda: create(
        extra_headers={"x-request-timeout-ms": "60000"}).choices
    yield "no deadline", lambda: refused(openai.BadRequestError, lambda: create(
        extra_headers={"x-request-timeout-ms": "0"}))


def chat_calls(client, model):
    def create(**fields):
        return client.chat.completions.create(**{"model": model, "messages": HELLO,
                                                 "max_completion_tokens": 12, "temperature": 0,
                                                 **fields})
    whole = create()
    streamed = create(stream=True)
    yield "chat", lambda: whole.choices[0].message.role == "assistant"
    yield "chat, streamed", lambda: chat_joined(streamed) == whole.choices[0].message.content
    yield "system message", lambda: create(
        messages=[{"role": "system", "content": "Be short."}, *HELLO]).choices
    yield "text parts", lambda: create(messages=[{"role": "user", "content": [
        {"type": "text", "text": "Hello"}]}]).choices
    yield "top_logprobs", lambda: len(create(
        logprobs=True, top_logprobs=2).choices[0].logprobs.content[0].top_logprobs) == 2
    yield "chat n", lambda: len(create(n=2, temperature=1).choices) == 2
    yield "tools that may not be called", lambda: create(tools=[TOOL], tool_choice="none").choices
    yield "a tool that must be called", lambda: refused(
        openai.BadRequestError, lambda: create(tools=[TOOL], tool_choice="required"))
    yield "json mode", lambda: refused(
        openai.BadRequestError, lambda: create(response_format={"type": "json_object"}))
    # Ended by the model or a stop string: the helper refuses answers that were cut off.
    until = {"max_completion_tokens": 300, "stop": ["."]}
    yield "the stream helper", lambda: stream_helper(client, model, until) == create(
        **until).choices[0].message.content


def stream_helper(client, model, until) -> str:
    with client.chat.completions.stream(model=model, messages=HELLO, temperature=0,
                                        **until) as stream:
        return stream.get_final_completion().choices[0].message.content


def other_calls(client, model, url):
    async def ask_async():
        async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="none") as other:
            answers = await asyncio.gather(*(other.completions.create(
                model=model, prompt=f"{i}", max_tokens=4) for i in range(8)))
            return len(answers)
    yield "models", lambda: [m.id for m in client.models.list()] == [model]
    yield "one model", lambda: client.models.retrieve(model).id == model
    yield "eight at once, asynchronously", lambda: asyncio.run(ask_async()) == 8


def langchain_calls(model, url):
    from langchain_openai import ChatOpenAI, OpenAI
    settings = {"model": model, "base_url": url + "/v1", "api_key": "none", "temperature": 0}
    chat, text = ChatOpenAI(max_tokens=12, **settings), OpenAI(max_tokens=12, **settings)
    said = chat.invoke("Tell me a story about a cat.")
    yield "LangChain chat", lambda: said.content and said.usage_metadata["output_tokens"] <= 12
    yield "LangChain chat, streamed", lambda: "".join(
        c.content for c in chat.stream("Tell me a story about a cat.")) == said.content
    yield "LangChain batch", lambda: len(chat.batch(["a", "b"])) == 2
    yield "LangChain completion", lambda: isinstance(text.invoke("Once"), str)


def llama_index_calls(model, url):
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.openai_like import OpenAILike
    settings = {"model": model, "api_base": url + "/v1", "api_key": "none", "temperature": 0,
                "max_tokens": 12}
    chat = OpenAILike(is_chat_model=True, **settings)
    text = OpenAILike(is_chat_model=False, **settings)
    messages = [ChatMessage(role="user", content="Tell me a story about a cat.")]
    yield "LlamaIndex chat", lambda: chat.chat(messages).message.content
    yield "LlamaIndex chat, streamed", lambda: list(chat.stream_chat(messages))[-1].message.content
    yield "LlamaIndex completion", lambda: text.complete("Once").text


def calls(daemon):
    client = daemon.client()
    model = client.models.list().data[0].id
    yield from completion_calls(client, model)
    yield from chat_calls(client, model)
    yield from other_calls(client, model, daemon.url)
    for library, more in (("langchain_openai", langchain_calls), ("llama_index", llama_index_calls)):
        if importlib.util.find_spec(library) is None:
            print(f"left out: {library} is not installed")
        else:
            yield from more(model, daemon.url)


def main() -> int:
    made = failed = 0
    with Daemon() as daemon:
        for name, call in calls(daemon):
            made += 1
            try:
                good = bool(call())
            except Exception:
                traceback.print_exc()
                good = False
            failed += not good
            print(f"{'ok  ' if good else 'FAIL'} {name}")
    print(f"{made} calls, {failed} failed")
    return 1 if failed or made < 33 else 0


if __name__ == "__main__":
    sys.exit(main())
