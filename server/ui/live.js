// Live: the stream of the pool's changes, and everything that is drawn from it.

import { events, getJson, onKeyChange } from "./api.js";
import { PageMap, STATES } from "./page_map.js";
import { Plot } from "./plot.js";

const byId = (id) => document.getElementById(id);
const WINDOW = 5000; // ms: what a rate or a percentile is taken over
const RETRY = 2000; // ms
const SETTLED = 1000; // ms without an update
const REFUSALS = { 401: "needs an admin key", 403: "needs an admin key", 429: "too many watch" };

const seconds = (value) =>
  value == null ? "–" : value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 1 : 0)} s`;
const whole = (value) => (value == null ? "–" : Math.round(value).toLocaleString("en"));

// The value below which `share` of the observations between two states of a histogram lie.
function percentile(bounds, before, now, share) {
  const counts = now.map((count, i) => count - (before?.[i] ?? 0));
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let rank = share * total;
  for (let i = 0; i < counts.length; ++i) {
    if (rank > counts[i]) {
      rank -= counts[i];
      continue;
    }
    const low = i === 0 ? 0 : bounds[i - 1];
    const high = bounds[Math.min(i, bounds.length - 1)];
    return low + (high - low) * (rank / counts[i]);
  }
  return bounds.at(-1);
}

export class Live {
  constructor() {
    this.map = new PageMap(byId("map"), byId("cells"), byId("marks"));
    this.plots = {
      batch: new Plot(byId("plot-batch"), [{ color: "--running", fill: true }, { color: "--shared" }], whole),
      rate: new Plot(byId("plot-rate"), [{ color: "--running", fill: true }, { color: "--cached" }], whole),
      itl: new Plot(byId("plot-itl"), [{ color: "--running" }, { color: "--shared" }], seconds),
      ttft: new Plot(byId("plot-ttft"), [{ color: "--running" }, { color: "--shared" }], seconds),
    };
    this.history = []; // {time, stats} of the last WINDOW, of one connection
    this.rows = new Map(); // request id -> table row
    this.updateTimes = []; // ms of script per update, the newest 1,000: what the page costs
    this.legend();
    this.pointing();
    onKeyChange(() => this.abort?.abort());
  }

  async run() {
    for (;;) {
      this.abort = new AbortController();
      this.history = []; // a daemon that was restarted counts from 0
      try {
        for await (const event of events("/pages?stream=1", { signal: this.abort.signal })) this.update(event);
        this.say("disconnected", "bad");
      } catch (error) {
        this.say(REFUSALS[error.status] ?? (error.status ? error.message : "not reachable"), "bad");
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY));
    }
  }

  say(text, kind) {
    if (this.said === text) return;
    this.said = text;
    const badge = byId("health");
    badge.textContent = text;
    badge.className = `badge ${kind}`;
  }

  update(event) {
    const begin = performance.now();
    this.say("live", "good");
    if (event.all !== undefined) {
      this.map.setAll(event.num_blocks, event.all);
    } else {
      this.map.change(event.changes);
    }
    this.pool(event);
    this.requests(event);
    this.plot(event.time_ms, event.stats);
    this.drawPlots();
    this.updateTimes.push(performance.now() - begin);
    if (this.updateTimes.length > 1000) this.updateTimes.shift();
  }

  legend() {
    this.labels = STATES.map(({ name }) => {
      const item = document.createElement("li");
      const swatch = document.createElement("i");
      swatch.style.background = `var(--${name})`;
      const label = document.createElement("span");
      item.append(swatch, label);
      byId("legend").append(item);
      return label;
    });
  }

  pool(event) {
    const countOf = (name, i) => (name === "swapped" ? event.swapped.pages : this.map.counts[i]);
    STATES.forEach(({ name }, i) => (this.labels[i].textContent = `${name} ${whole(countOf(name, i))}`));
    const mib = (event.num_blocks * event.page_bytes) / 2 ** 20;
    byId("pool").textContent =
      `${whole(event.num_blocks)} blocks of ${event.block_size} tokens, ${mib >= 10 ? whole(mib) : mib.toFixed(1)} MiB`;
  }

  // ---- requests ----

  requests(event) {
    const body = byId("requests");
    const seen = new Set();
    for (const [id, state, prompt, tokens, computed, preempted, blocks] of event.requests) {
      seen.add(id);
      const row = this.rows.get(id) ?? this.newRow(id, body);
      const texts = [`#${id}`, { r: "running", p: "paused", s: "swapped", w: "waiting" }[state], prompt,
                     computed < tokens - 1 ? `${computed} of ${tokens}` : tokens, blocks, preempted];
      texts.forEach((text, i) => {
        if (row.shown[i] !== text) row.fields[i].textContent = row.shown[i] = text;
      });
    }
    for (const [id, row] of this.rows) {
      if (seen.has(id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    byId("request-count").textContent = event.num_requests === 0 ? "none" : whole(event.num_requests);
  }

  newRow(id, body) {
    const row = body.insertRow();
    row.tabIndex = 0;
    row.fields = Array.from({ length: 6 }, () => row.insertCell());
    row.shown = [];
    for (const kind of ["pointerenter", "focus"]) row.addEventListener(kind, () => this.lightRequest(id));
    for (const kind of ["pointerleave", "blur"]) row.addEventListener(kind, () => this.map.light([]));
    this.rows.set(id, row);
    return row;
  }

  async lightRequest(id) {
    this.pointed = `request ${id}`;
    try {
      const { request, runs } = await getJson(`/pages?request=${id}`);
      if (this.pointed !== `request ${id}`) return;
      this.map.light(runs);
      byId("about").textContent = `Request #${id}: ${request.blocks} blocks, ${request.tokens} tokens, ${request.state}.`;
    } catch {
      byId("about").textContent = `Request #${id} has ended.`;
    }
  }

  // ---- blocks ----

  pointing() {
    const box = byId("map");
    box.addEventListener("pointermove", (event) => {
      const block = this.map.blockAt(event);
      if (block !== this.map.selected) this.pointAt(block);
    });
    box.addEventListener("pointerleave", () => this.pointAt(-1));
    box.addEventListener("blur", () => this.pointAt(-1));
    box.addEventListener("keydown", (event) => {
      const { columns, size } = this.map;
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
      if (step === undefined || size === 0) return;
      event.preventDefault();
      this.pointAt(Math.min(size - 1, Math.max(0, this.map.selected + step)));
    });
  }

  pointAt(block) {
    this.map.select(block);
    this.pointed = `block ${block}`;
    for (const row of this.rows.values()) row.classList.remove("lit");
    clearTimeout(this.asking);
    if (block < 0) {
      byId("about").textContent = "Point at a block or a request.";
      return;
    }
    byId("about").textContent = `Block ${block}: ${STATES[this.map.states[block]].name}.`;
    this.asking = setTimeout(() => this.ask(block), 80); // a pointer that rests
  }

  async ask(block) {
    const told = await getJson(`/pages?block=${block}`).catch(() => null);
    if (!told || this.pointed !== `block ${block}`) return;
    const owners = told.owners.map((id) => `#${id}`).join(", ");
    byId("about").textContent =
      `Block ${block}: ${told.state}` + (owners ? `, held by ${owners}` : "") +
      (told.group == null ? "" : `, group ${told.group}`) + `, for ${whole(told.age_steps)} steps.`;
    for (const id of told.owners) this.rows.get(id)?.classList.add("lit");
  }

  // ---- plots ----

  plot(time, stats) {
    this.history.push({ time, stats });
    while (this.history.length > 2 && this.history[1].time < time - WINDOW) this.history.shift();
    const { time: since, stats: before } = this.history[0];
    const span = (time - since) / 1000;
    const rate = (name) => (span > 0 ? (stats[name] - before[name]) / span : null);
    const share = (name, part) => percentile(stats[`${name}_bounds`], before[name], stats[name], part);
    this.show("batch", time, [stats.running, stats.waiting], `${whole(stats.running)} run, ${whole(stats.waiting)} wait`);
    const rates = [rate("generation_tokens"), rate("prompt_tokens")];
    this.show("rate", time, rates, `${whole(rates[0])} out, ${whole(rates[1])} in`);
    for (const name of ["itl", "ttft"]) {
      const values = [share(name, 0.5), share(name, 0.99)];
      this.show(name, time, values, `p50 ${seconds(values[0])}, p99 ${seconds(values[1])}`);
    }
  }

  show(name, time, values, text) {
    this.plots[name].add(time, values);
    byId(`now-${name}`).textContent = text;
  }

  // One of them with each update, so each about once a second; all once updates cease.
  drawPlots() {
    const plots = Object.values(this.plots);
    this.drawn = ((this.drawn ?? 0) + 1) % plots.length;
    plots[this.drawn].redraw();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => plots.forEach((plot) => plot.redraw()), SETTLED);
  }
}
