// Plot: lines over the last two minutes on one small canvas. Sizes and colours are read when they
// change, not when something is drawn: reading them makes the browser lay the page out anew.

const SECONDS = 120;

export class Plot {
  // lines: [{color: a CSS variable's name, fill: whether the area below is filled}]
  constructor(canvas, lines, format) {
    this.canvas = canvas;
    this.lines = lines;
    this.format = format;
    this.points = []; // {time, values}
    this.width = this.height = 0;
    new ResizeObserver(([{ contentRect }]) => this.resize(contentRect)).observe(canvas);
    this.readColors();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.readColors());
  }

  readColors() {
    const style = getComputedStyle(document.documentElement);
    this.colors = this.lines.map(({ color }) => style.getPropertyValue(color));
    this.quiet = style.getPropertyValue("--quiet");
  }

  resize({ width, height }) {
    const scale = devicePixelRatio || 1;
    this.width = Math.round(width * scale);
    this.height = Math.round(height * scale);
    Object.assign(this.canvas, { width: this.width, height: this.height });
    this.redraw();
  }

  add(time, values) {
    this.points.push({ time, values });
    while (this.points[0].time < time - SECONDS * 1000) this.points.shift();
  }

  redraw() {
    if (this.points.length > 0) this.draw(this.points.at(-1).time);
  }

  draw(now) {
    const { canvas, width, height } = this;
    const scale = devicePixelRatio || 1;
    if (width === 0) return;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    let top = 0;
    for (const { values } of this.points) {
      for (const value of values) if (value > top) top = value;
    }
    top = top || 1;
    const x = (time) => width * (1 - (now - time) / (SECONDS * 1000));
    const y = (value) => height - 2 - (value / top) * (height - 16 * scale);
    this.lines.forEach(({ fill }, line) => {
      context.strokeStyle = context.fillStyle = this.colors[line];
      context.lineWidth = 1.5 * scale;
      context.beginPath();
      let begun = false;
      let last = 0;
      for (const { time, values } of this.points) {
        if (values[line] == null) continue;
        begun ? context.lineTo(x(time), y(values[line])) : context.moveTo(x(time), y(values[line]));
        begun = true;
        last = x(time);
      }
      if (!begun) return;
      context.stroke();
      if (!fill) return;
      context.lineTo(last, height);
      context.lineTo(x(this.points[0].time), height);
      context.globalAlpha = 0.18;
      context.fill();
      context.globalAlpha = 1;
    });
    context.fillStyle = this.quiet;
    context.font = `${10 * scale}px system-ui, sans-serif`;
    context.fillText(this.format(top), 2, 10 * scale);
  }
}
