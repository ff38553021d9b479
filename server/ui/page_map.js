// PageMap: every block of the pool as a cell of one canvas, and marks on a second one above it.
//
// A change touches the pixels of the cells that changed and nothing else.

export const STATES = [
  { letter: "f", name: "free" },
  { letter: "c", name: "cached" },
  { letter: "r", name: "running" },
  { letter: "s", name: "shared" },
  { letter: "o", name: "swapped" }, // in host memory: no cell of the pool, a number alone
];
const INDEX = new Map(STATES.map(({ letter }, i) => [letter.charCodeAt(0), i]));
const LARGEST_CELL = 18; // device-independent pixels

// "#rrggbb" as the little-endian pixel of ImageData.
function pixel(color) {
  const value = parseInt(color.trim().slice(1), 16);
  return (0xff << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16);
}

export class PageMap {
  constructor(box, cells, marks) {
    this.box = box;
    this.cells = cells;
    this.marks = marks;
    this.states = new Uint8Array(0);
    this.counts = STATES.map(() => 0);
    this.lit = []; // [first, count] runs
    this.selected = -1;
    new ResizeObserver(() => this.layout()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.layout());
  }

  get size() {
    return this.states.length;
  }

  setAll(size, runs) {
    this.states = new Uint8Array(size);
    this.counts = STATES.map(() => 0);
    this.counts[0] = size;
    this.pixels = null; // layout() paints all of it
    this.write(0, runs);
    this.layout();
  }

  // [[first, runs], ...]
  change(changes) {
    if (!this.pixels || changes.length === 0) return;
    let low = this.size;
    let high = 0;
    for (const [first, runs] of changes) {
      low = Math.min(low, first);
      high = Math.max(high, this.write(first, runs));
    }
    this.show(low, high);
  }

  // Writes "r3fc12" from block `first` on, into the pixels too; returns the block after the last.
  write(first, runs) {
    const { states, counts, size } = this;
    let at = first;
    for (let i = 0; i < runs.length && at < size; ) {
      const state = INDEX.get(runs.charCodeAt(i++));
      let count = 0;
      for (let code; (code = runs.charCodeAt(i)) >= 48 && code <= 57; ++i) count = count * 10 + code - 48;
      const end = Math.min(size, at + (count || 1));
      for (let block = at; block < end; ++block) --counts[states[block]];
      states.fill(state, at, end);
      counts[state] += end - at;
      if (this.pixels) this.paint(at, end, this.colors[state]);
      at = end;
    }
    return at;
  }

  layout() {
    const scale = devicePixelRatio || 1;
    const width = Math.floor(this.box.clientWidth * scale);
    const height = Math.floor(this.box.clientHeight * scale);
    if (this.size === 0 || width < 4 || height < 4) return;
    for (const canvas of [this.cells, this.marks]) {
      canvas.width = width;
      canvas.height = height;
    }
    let cell = Math.min(Math.floor(Math.sqrt((width * height) / this.size)), LARGEST_CELL * scale);
    while (cell > 1 && Math.ceil(this.size / Math.floor(width / cell)) * cell > height) --cell;
    this.cell = Math.max(1, cell);
    this.columns = Math.floor(width / this.cell);
    this.gap = this.cell >= 5 ? Math.max(1, Math.round(scale)) : 0;
    const style = getComputedStyle(document.documentElement);
    this.colors = STATES.map(({ name }) => pixel(style.getPropertyValue(`--${name}`)));
    this.markColor = style.getPropertyValue("--mark");
    this.context = this.cells.getContext("2d");
    this.image = this.context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.paintAll();
    this.drawMarks();
  }

  paintAll() {
    const { states, size, colors } = this;
    for (let first = 0, end; first < size; first = end) {
      for (end = first + 1; end < size && states[end] === states[first]; ++end);
      this.paint(first, end, colors[states[first]]);
    }
    this.show(0, size);
  }

  // Blocks [first, end) in one colour, a row of cells at a time. Cells without a gap make one line.
  paint(first, end, color) {
    const { cell, columns, pixels, gap } = this;
    const { width } = this.image;
    const side = cell - gap;
    while (first < end) {
      const row = Math.floor(first / columns);
      const stop = Math.min(end, (row + 1) * columns);
      const left = row * cell * width + (first - row * columns) * cell;
      const pieces = gap === 0 ? 1 : stop - first;
      const length = gap === 0 ? (stop - first) * cell : side;
      for (let piece = 0, at = left; piece < pieces; ++piece, at += cell) {
        for (let y = 0, from = at; y < side; ++y, from += width) pixels.fill(color, from, from + length);
      }
      first = stop;
    }
  }

  // The rows that blocks [low, high) stand in, to the canvas.
  show(low, high) {
    const top = Math.floor(low / this.columns) * this.cell;
    const bottom = (Math.floor((high - 1) / this.columns) + 1) * this.cell;
    this.context.putImageData(this.image, 0, 0, 0, top, this.image.width, bottom - top);
  }

  light(runs) {
    this.lit = runs;
    this.drawMarks();
  }

  select(block) {
    this.selected = block;
    this.drawMarks();
  }

  drawMarks() {
    const context = this.marks.getContext("2d");
    context.clearRect(0, 0, this.marks.width, this.marks.height);
    if (!this.columns) return;
    const side = Math.max(2, this.cell - this.gap);
    const at = (block) => [(block % this.columns) * this.cell, Math.floor(block / this.columns) * this.cell];
    context.fillStyle = this.markColor;
    for (const [first, count] of this.lit) {
      for (let block = first; block < first + count; ++block) context.fillRect(...at(block), side, side);
    }
    if (this.selected < 0) return;
    const [x, y] = at(this.selected);
    context.strokeStyle = this.markColor;
    context.lineWidth = 2;
    context.strokeRect(x - 2, y - 2, side + 4, side + 4);
  }

  // The block at a pointer event; -1 beside all.
  blockAt(event) {
    const box = this.cells.getBoundingClientRect();
    const scale = this.cells.width / box.width;
    const column = Math.floor(((event.clientX - box.left) * scale) / this.cell);
    const row = Math.floor(((event.clientY - box.top) * scale) / this.cell);
    const block = row * this.columns + column;
    return column >= 0 && column < this.columns && row >= 0 && block < this.size ? block : -1;
  }
}
