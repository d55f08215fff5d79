// The figures that the page has: columns of values, one for each moment, as the service sends them.
"use strict";

class ChartHistory {
  static COLUMNS = ["calls", "errors", "active", "p50", "p90", "p99"];

  constructor() {
    this.clear("");
  }

  clear(boot) {
    this.boot = boot;
    this.seq = 0;
    this.points = 900;
    // When each moment was, in seconds since the start of the process, and what to add for seconds since 1970.
    this.t = [];
    this.epoch = 0;
    this.methods = new Map();
    this.panels = [];
    this.states = [];
    this.leftOut = 0;
  }

  // Adds an answer of the service. One that does not continue what is here takes its place: the process is another one, or
  // the page slept for longer than the service remembers.
  take(data) {
    if (data.boot !== this.boot || data.from !== this.seq + 1) this.clear(data.boot);
    const had = this.t.length;
    this.points = data.points;
    this.epoch = data.now - data.uptime;
    this.t.push(...data.t);

    const methods = new Map();
    for (const told of data.methods) {
      const id = `${told.side} ${told.service}/${told.method}`;
      const method = this.methods.get(id) ?? this.#newMethod(id, told, had);
      for (const column of ChartHistory.COLUMNS) method[column].push(...told[column]);
      methods.set(id, method);
    }
    this.methods = methods;

    data.panels.forEach((told, i) => {
      const lines = told.lines.map((line) => ({ name: line.name, values: new Array(had).fill(null) }));
      const panel = (this.panels[i] ??= { title: told.title, unit: told.unit, lines });
      told.lines.forEach((line, j) => panel.lines[j].values.push(...line.values));
    });

    this.states = data.states;
    this.leftOut = data.left_out;
    this.seq = data.seq;
    this.#trim();
  }

  #newMethod(id, told, had) {
    // The lowest style that no other line has.
    const taken = new Set([...this.methods.values()].map((method) => method.style));
    let style = 0;
    while (taken.has(style)) style += 1;
    const method = { id, side: told.side, service: told.service, method: told.method, style };
    for (const column of ChartHistory.COLUMNS) method[column] = new Array(had).fill(null);
    this.methods.set(id, method);
    return method;
  }

  #trim() {
    const old = this.t.length - this.points;
    if (old <= 0) return;
    this.t.splice(0, old);
    for (const method of this.methods.values()) {
      for (const column of ChartHistory.COLUMNS) method[column].splice(0, old);
    }
    for (const panel of this.panels) for (const line of panel.lines) line.values.splice(0, old);
  }
}
