// Playground: one completion or one turn of a chat at a time, streamed, with token probabilities.

import { events } from "./api.js";

const byId = (id) => document.getElementById(id);
const ALTERNATIVES = 5;

// Fields left empty are left to the daemon.
function parameters() {
  const body = { max_tokens: Number(byId("max_tokens").value) || 200 };
  for (const name of ["temperature", "top_p", "top_k", "seed"]) {
    if (byId(name).value !== "") body[name] = Number(byId(name).value);
  }
  if (byId("stop_text").value !== "") body.stop = byId("stop_text").value;
  return body;
}

// Both endpoints' chunks as {text, tokens: [{text, logprob, top: [[text, logprob]]}], finish}.
function readChoice(choice) {
  const told = choice.logprobs;
  let tokens = [];
  if (told?.content) {
    tokens = told.content.map((t) => ({ text: t.token, logprob: t.logprob,
                                        top: t.top_logprobs.map((o) => [o.token, o.logprob]) }));
  } else if (told?.tokens) {
    tokens = told.tokens.map((text, i) => ({ text, logprob: told.token_logprobs[i],
                                             top: Object.entries(told.top_logprobs?.[i] ?? {}) }));
  }
  return { text: choice.text ?? choice.delta?.content ?? "", tokens, finish: choice.finish_reason };
}

export class Playground {
  constructor() {
    this.messages = [];
    byId("run").addEventListener("click", () => this.generate());
    byId("stop").addEventListener("click", () => this.abort?.abort());
    byId("clear").addEventListener("click", () => this.clear());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.generate();
      if (event.key === "Escape") this.abort?.abort();
    });
    for (const radio of document.querySelectorAll("input[name=mode]")) {
      radio.addEventListener("change", () => this.clear());
    }
    const output = byId("output");
    for (const kind of ["pointerover", "focusin"]) output.addEventListener(kind, (e) => this.tip(e.target));
    for (const kind of ["pointerout", "focusout"]) output.addEventListener(kind, () => this.tip(null));
  }

  get chatting() {
    return document.querySelector("input[name=mode]:checked").value === "chat";
  }

  clear() {
    this.abort?.abort();
    this.messages = [];
    byId("conversation").replaceChildren();
    byId("conversation").hidden = !this.chatting;
    byId("output").replaceChildren();
    byId("usage").textContent = "";
    if (this.chatting && byId("prompt").value === "Once upon a time") byId("prompt").value = "";
  }

  turn(role, text) {
    this.messages.push({ role, content: text });
    const element = document.createElement("div");
    element.className = `turn ${role}`;
    element.textContent = text;
    byId("conversation").append(element);
  }

  request() {
    const prompt = byId("prompt").value;
    const body = { ...parameters(), stream: true, stream_options: { include_usage: true } };
    const wants = byId("logprobs").checked;
    if (this.chatting) {
      this.turn("user", prompt);
      byId("prompt").value = "";
      Object.assign(body, { messages: this.messages }, wants && { logprobs: true, top_logprobs: ALTERNATIVES });
      return ["/v1/chat/completions", body, ""];
    }
    return ["/v1/completions", Object.assign(body, { prompt }, wants && { logprobs: ALTERNATIVES }), prompt];
  }

  async generate() {
    if (this.abort || byId("prompt").value === "") return;
    this.abort = new AbortController();
    byId("run").disabled = true;
    byId("stop").disabled = false;
    const prompt = byId("prompt").value;
    const [path, body, given] = this.request();
    const messages = this.messages;
    const output = byId("output");
    output.replaceChildren(Object.assign(document.createElement("span"), { className: "given", textContent: given }));
    this.text = "";
    let ended = false;
    try {
      await this.stream(path, body, output);
      ended = true;
    } catch (error) {
      if (error.name !== "AbortError") {
        output.append(Object.assign(document.createElement("p"), { className: "error", textContent: error.message }));
      }
    }
    if (this.chatting && messages === this.messages) this.settle(prompt, ended);
    this.abort = null;
    byId("run").disabled = false;
    byId("stop").disabled = true;
  }

  // What was said stays, though it was stopped or failed; a turn that got no answer is taken back, or
  // the next one would be the second question in a row.
  settle(prompt, ended) {
    if (ended || this.text) return this.turn("assistant", this.text);
    this.messages.pop();
    byId("conversation").lastElementChild.remove();
    if (byId("prompt").value === "") byId("prompt").value = prompt;
  }

  async stream(path, body, output) {
    const begin = performance.now();
    let first = null;
    let finish = "";
    for await (const event of events(path, { body, signal: this.abort.signal })) {
      if (event.error) throw new Error(event.error.message);
      if (event.usage) this.usage(event.usage, begin, first, finish);
      for (const choice of event.choices) {
        const part = readChoice(choice);
        if (part.text && first === null) first = performance.now();
        finish = part.finish ?? finish;
        this.text += part.text;
        part.tokens.length ? output.append(...part.tokens.map((t) => this.token(t))) : output.append(part.text);
      }
      output.scrollTop = output.scrollHeight;
    }
  }

  usage(usage, begin, first, finish) {
    const now = performance.now();
    const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
    const rate = first === null ? 0 : ((usage.completion_tokens - 1) * 1000) / Math.max(1, now - first);
    byId("usage").textContent =
      `${usage.prompt_tokens} prompt tokens (${cached} from the cache), ${usage.completion_tokens} generated` +
      (first === null ? "" : `, first text after ${Math.round(first - begin)} ms, ${rate.toFixed(0)} tokens a second`) +
      (finish ? `, ended by ${finish}` : "");
  }

  // The less likely a token was, the stronger its background.
  token({ text, logprob, top }) {
    const element = document.createElement("span");
    element.className = "token";
    element.textContent = text;
    if (logprob == null) return element;
    const doubt = Math.round((1 - Math.exp(logprob)) * 45);
    element.style.background = `color-mix(in srgb, var(--shared) ${doubt}%, transparent)`;
    element.tabIndex = -1;
    element.told = { text, logprob, top };
    return element;
  }

  tip(target) {
    const tip = byId("tip");
    tip.hidden = !target?.told;
    if (tip.hidden) return;
    const { text, logprob, top } = target.told;
    const rows = top.some(([other]) => other === text) ? top : [[text, logprob], ...top];
    const table = document.createElement("table");
    for (const [word, value] of rows) {
      const row = table.insertRow();
      row.insertCell().textContent = JSON.stringify(word);
      row.insertCell().textContent = `${(Math.exp(value) * 100).toFixed(1)} %`;
      if (word === text) row.style.fontWeight = "600";
    }
    tip.replaceChildren(table);
    const box = target.getBoundingClientRect();
    tip.style.left = `${Math.min(box.left, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${box.bottom + 4 + tip.offsetHeight > innerHeight ? box.top - tip.offsetHeight - 4 : box.bottom + 4}px`;
  }
}
