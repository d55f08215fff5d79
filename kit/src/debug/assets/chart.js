// One chart on a canvas: lines over time, and the values under the pointer.
"use strict";

// How values are written, and at which of them the lines of the grid are.
const Units = (() => {
  const digits = (value, count = 3) => {
    if (value === 0) return "0";
    const decimals = Math.min(6, Math.max(0, count - 1 - Math.floor(Math.log10(Math.abs(value)))));
    return value.toFixed(decimals).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
  };
  const scaled = (value, base, units) => {
    let i = 0;
    // Rounded to three digits it would be a thousand of the unit.
    while (i < units.length - 1 && Math.abs(value) >= (base === 1024 ? 1000 : 999.5)) {
      value /= base;
      i += 1;
    }
    return [digits(value), units[i]];
  };
  const seconds = (value) => {
    if (value === 0) return ["0", "s"];
    if (value < 0.9995e-3) return [digits(value * 1e6), "µs"];
    if (value < 0.9995) return [digits(value * 1e3), "ms"];
    return [digits(value), "s"];
  };
  const parts = (unit, value) => {
    if (value === null || value === undefined) return ["–", ""];
    switch (unit) {
      case "bytes": return scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
      case "percent": return [digits(value), "%"];
      case "seconds": return seconds(value);
      default: return scaled(value, 1000, ["", "k", "M", "G", "T"]);
    }
  };
  const text = (unit, value) => {
    const [number, name] = parts(unit, value);
    return name === "" || name === "k" || name === "M" || name === "G" || name === "T" ? number + name : `${number} ${name}`;
  };

  // The next of 1, 2, 5 times a power of ten, in the unit that bytes are written in.
  const step = (unit, rough) => {
    const base = unit === "bytes" ? 1024 ** Math.max(0, Math.floor(Math.log(rough) / Math.log(1024))) : 1;
    const size = rough / base;
    const power = 10 ** Math.floor(Math.log10(size));
    const whole = unit === "count" || unit === "bytes";
    const factors = whole ? [1, 2, 5, 10] : [1, 2, 2.5, 5, 10];
    const nice = factors.find((factor) => factor * power >= size * 0.999) ?? 10;
    return Math.max(nice * power * base, whole ? 1 : 0);
  };
  return { parts, text, step };
})();

class Chart {
  static DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
  static COLOURS = 7;
  // After this many seconds without a value a line is interrupted.
  static GAP = 2.6;
  static PAD = { top: 10, right: 4, bottom: 20 };

  // `lines()` gives what to draw: [{ name, style, values, hidden, faded }].
  constructor({ title, note, unit, least, half, lines, onHover }) {
    this.unit = unit;
    this.least = least;
    this.lines = lines;
    this.log = false;
    this.root = document.createElement("section");
    this.root.className = half ? "chart half" : "chart";
    const header = document.createElement("header");
    const heading = document.createElement("h2");
    heading.textContent = title;
    if (note) {
      const small = document.createElement("small");
      small.textContent = ` ${note}`;
      heading.append(small);
    }
    this.header = header;
    header.append(heading);
    this.plot = document.createElement("div");
    this.plot.className = "plot";
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "img");
    this.title = title;
    this.canvas = document.createElement("canvas");
    this.none = document.createElement("p");
    this.none.className = "none";
    this.none.textContent = "Nothing yet";
    this.plot.append(this.canvas, this.none);
    this.root.append(header, this.plot);
    this.box = { left: 0, right: 0, width: 0, height: 0 };
    this.#listen(onHover);
  }

  #listen(onHover) {
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const x = event.clientX - box.left;
      const share = (x - this.box.left) / Math.max(1, this.box.right - this.box.left);
      onHover(this, this.view.from + Math.min(1, Math.max(0, share)) * (this.view.to - this.view.from), event);
    };
    this.plot.addEventListener("pointermove", (event) => this.view && at(event));
    this.plot.addEventListener("pointerdown", (event) => this.view && at(event));
    this.plot.addEventListener("pointerleave", () => onHover(null));
    this.plot.addEventListener("blur", () => onHover(null));
    this.plot.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
      if (event.key === "Escape") onHover(null);
      if (!by || !this.view) return;
      event.preventDefault();
      const now = this.view.hover ?? this.view.to;
      const t = Math.min(this.view.to, Math.max(this.view.from, now + by));
      const box = this.canvas.getBoundingClientRect();
      onHover(this, t, { clientX: box.left + this.#x(t), clientY: box.top + box.height / 3 });
    });
  }

  #x(t) {
    const { from, to } = this.view;
    return this.box.left + ((t - from) / (to - from)) * (this.box.right - this.box.left);
  }

  #y(value) {
    const { top, bottom } = this.box;
    const { low, high } = this.scale;
    const share = this.log
      ? (Math.log(Math.max(value, low)) - Math.log(low)) / (Math.log(high) - Math.log(low))
      : (value - low) / (high - low);
    return bottom - share * (bottom - top);
  }

  // Draws what is between two moments. `view`: { t, first, from, to, hover, index, epoch, palette }.
  draw(view) {
    this.view = view;
    const ratio = window.devicePixelRatio || 1;
    const width = this.plot.clientWidth;
    const height = this.plot.clientHeight;
    if (width === 0 || height === 0) return;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const paint = this.canvas.getContext("2d");
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint.clearRect(0, 0, width, height);
    paint.font = `11px ${view.palette.font}`;

    const lines = this.lines().filter((line) => !line.hidden);
    const { ticks, some } = this.#scaleTo(lines);
    this.none.hidden = some;
    this.plot.setAttribute("aria-label", `${this.title}: ${this.#summary(lines)}`);
    const labels = ticks.map((tick) => Units.text(this.unit, tick));
    const left = Math.ceil(Math.max(...labels.map((label) => paint.measureText(label).width), 22)) + 8;
    const { top, right, bottom } = Chart.PAD;
    this.box = { left, right: width - right, top, bottom: height - bottom };

    this.#grid(paint, ticks, labels);
    if (!some) return;
    paint.save();
    paint.beginPath();
    paint.rect(left, 0, width - right - left, height - bottom + 2);
    paint.clip();
    for (const line of lines) this.#line(paint, line, lines.length === 1);
    paint.restore();
    this.#crosshair(paint, lines);
  }

  #summary(lines) {
    const last = (line) => Units.text(this.unit, line.values[line.values.length - 1]);
    return lines.length === 0 ? "nothing yet" : lines.map((line) => `${line.name} ${last(line)}`).join(", ");
  }

  #scaleTo(lines) {
    let high = 0;
    let low = Infinity;
    let some = false;
    for (const { values } of lines) {
      for (let i = this.view.first; i < values.length; i += 1) {
        const value = values[i];
        if (value === null) continue;
        some = true;
        if (value > high) high = value;
        if (value > 0 && value < low) low = value;
      }
    }
    if (this.log && high > 0) return { ticks: this.#logTicks(low, high), some };
    // A little room above the highest; per cent has its own end.
    high = Math.max(this.unit === "percent" ? high : high * 1.05, this.least);
    const step = Units.step(this.unit, high / 4);
    const ticks = [];
    for (let i = 0; i * step < high + step * 0.999; i += 1) ticks.push(i * step);
    this.scale = { low: 0, high: ticks[ticks.length - 1] };
    return { ticks, some };
  }

  #logTicks(low, high) {
    const first = Math.floor(Math.log10(low));
    const last = Math.max(Math.ceil(Math.log10(high * 1.01)), first + 1);
    this.scale = { low: 10 ** first, high: 10 ** last };
    const ticks = [];
    for (let power = first; power <= last; power += 1) ticks.push(10 ** power);
    return ticks;
  }

  #grid(paint, ticks, labels) {
    const { palette, from, to, epoch } = this.view;
    const { left, right, bottom } = this.box;
    paint.lineWidth = 1;
    paint.setLineDash([]);
    paint.strokeStyle = palette.grid;
    paint.fillStyle = palette.soft;
    paint.textBaseline = "middle";
    paint.textAlign = "right";
    ticks.forEach((tick, i) => {
      const y = Math.round(this.#y(tick)) + 0.5;
      paint.beginPath();
      paint.moveTo(left, y);
      paint.lineTo(right, y);
      paint.stroke();
      paint.fillText(labels[i], left - 7, y);
    });
    const span = to - from;
    // As many as there is room for, at times that people count in.
    const wide = right - left > 420;
    const every = [10, 20, 30, 60, 120, 180, 300].find((step) => step >= span / (wide ? 6.5 : 3.5)) ?? 600;
    const seconds = every < 60 ? { second: "2-digit" } : {};
    const format = { hour: "2-digit", minute: "2-digit", ...seconds, hourCycle: "h23" };
    paint.textBaseline = "alphabetic";
    for (let time = Math.ceil((from + epoch) / every) * every; time <= to + epoch; time += every) {
      const text = new Date(time * 1000).toLocaleTimeString([], format);
      const half = paint.measureText(text).width / 2;
      const x = this.#x(time - epoch);
      if (x - half < left - 4 || x + half > right + 4) continue;
      paint.textAlign = "center";
      paint.fillText(text, x, bottom + 15);
      paint.beginPath();
      paint.moveTo(Math.round(x) + 0.5, bottom);
      paint.lineTo(Math.round(x) + 0.5, bottom + 4);
      paint.stroke();
    }
  }

  #line(paint, { values, style, faded }, alone) {
    const { t, first, palette } = this.view;
    const colour = palette.lines[style % Chart.COLOURS];
    const runs = [];
    let run = [];
    // One point before the first, so that the line comes from the edge.
    for (let i = Math.max(0, first - 1); i < values.length; i += 1) {
      const ends = values[i] === null || (run.length > 0 && t[i] - t[i - 1] > Chart.GAP);
      if (ends && run.length > 0) {
        runs.push(run);
        run = [];
      }
      if (values[i] !== null) run.push([this.#x(t[i]), this.#y(values[i])]);
    }
    if (run.length > 0) runs.push(run);
    const strength = faded ? 0.15 : 1;
    paint.globalAlpha = strength;
    paint.strokeStyle = colour;
    paint.fillStyle = colour;
    paint.lineWidth = 1.75;
    paint.lineJoin = "round";
    paint.setLineDash(Chart.DASHES[Math.floor(style / Chart.COLOURS) % Chart.DASHES.length]);
    for (const points of runs) {
      if (points.length === 1) {
        paint.beginPath();
        paint.arc(...points[0], 1.6, 0, 7);
        paint.fill();
        continue;
      }
      paint.beginPath();
      points.forEach(([x, y], i) => (i === 0 ? paint.moveTo(x, y) : paint.lineTo(x, y)));
      paint.stroke();
      if (!alone) continue;
      paint.lineTo(points[points.length - 1][0], this.box.bottom);
      paint.lineTo(points[0][0], this.box.bottom);
      paint.globalAlpha = 0.12 * strength;
      paint.fill();
      paint.globalAlpha = strength;
    }
    paint.globalAlpha = 1;
    paint.setLineDash([]);
  }

  #crosshair(paint, lines) {
    const { hover, index, t, palette } = this.view;
    if (hover === null || index < 0) return;
    const x = this.#x(t[index]);
    if (x < this.box.left - 1) return;
    paint.strokeStyle = palette.soft;
    paint.lineWidth = 1;
    paint.beginPath();
    paint.moveTo(Math.round(x) + 0.5, this.box.top);
    paint.lineTo(Math.round(x) + 0.5, this.box.bottom);
    paint.stroke();
    for (const { values, style } of lines) {
      if (values[index] === null) continue;
      paint.beginPath();
      paint.arc(x, this.#y(values[index]), 3.5, 0, 7);
      paint.fillStyle = palette.lines[style % Chart.COLOURS];
      paint.fill();
      paint.strokeStyle = palette.card;
      paint.lineWidth = 1.5;
      paint.stroke();
    }
  }
}
