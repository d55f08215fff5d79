// The page of charts: asks the service for what is new each second, and draws it.
"use strict";

(() => {
  const history = new ChartHistory();
  const byId = (id) => document.getElementById(id);
  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  let minutes = 5;
  let paused = false;
  let status = "connecting";
  let since = null;
  let hover = { chart: null, t: null, x: 0, y: 0 };
  const off = new Set();
  // The method whose line stands out, because its row is pointed at.
  let focused = null;
  const counts = { polls: 0, failures: 0, failed: 0, draws: 0 };

  // The colours as the browser has them now: light or dark.
  let palette = null;
  const readPalette = () => {
    const probe = element("i", { hidden: true });
    document.body.append(probe);
    const colour = (name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    palette = {
      grid: colour("--grid"),
      soft: colour("--soft"),
      card: colour("--card"),
      lines: Array.from({ length: Chart.COLOURS }, (_, i) => colour(`--c${i}`)),
      font: getComputedStyle(document.body).fontFamily,
    };
    probe.remove();
  };

  // A short stroke as the line of a method has it.
  const swatch = (style) => {
    const ns = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(ns, "svg");
    const line = document.createElementNS(ns, "line");
    const attributes = { x1: 1, x2: 21, y1: 5, y2: 5, "stroke-width": 3 };
    const dash = Chart.DASHES[Math.floor(style / Chart.COLOURS) % Chart.DASHES.length];
    for (const [name, value] of Object.entries(attributes)) line.setAttribute(name, value);
    line.setAttribute("stroke-dasharray", dash.join(" "));
    line.style.stroke = `var(--c${style % Chart.COLOURS})`;
    svg.setAttribute("width", 22);
    svg.setAttribute("height", 10);
    svg.setAttribute("aria-hidden", "true");
    svg.append(line);
    return svg;
  };

  const last = (values, reach = 1) => {
    for (let i = values.length - 1; i >= Math.max(0, values.length - reach); i -= 1) {
      if (values[i] !== null) return values[i];
    }
    return null;
  };
  const methods = () => [...history.methods.values()];
  const nameOf = (method) => `${method.method}${method.side === "client" ? " (client)" : ""}`;
  const clock = (t) => new Date((history.epoch + t) * 1000).toLocaleTimeString([], { hourCycle: "h23" });

  // ---- charts

  // Where the pointer is: in all charts the same moment is marked.
  const onHover = (chart, t = null, event = null) => {
    hover = { chart, t, x: event?.clientX ?? 0, y: event?.clientY ?? 0 };
    schedule();
  };

  const charts = [];
  const add = (options) => {
    const chart = new Chart({ ...options, onHover });
    charts.push(chart);
    byId("charts").append(chart.root);
    new ResizeObserver(() => schedule()).observe(chart.plot);
    return chart;
  };
  const ofMethods = (column) => () =>
    methods().map((method) => ({
      name: nameOf(method),
      style: method.style,
      values: method[column()],
      hidden: off.has(method.id),
      faded: focused !== null && focused !== method.id,
    }));
  const choice = (label, names, chosen, choose) => {
    const group = element("div", { className: "choice small" });
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", label);
    for (const name of names) {
      const button = element("button", { type: "button", textContent: name });
      button.setAttribute("aria-pressed", name === chosen);
      button.addEventListener("click", () => {
        for (const other of group.children) other.setAttribute("aria-pressed", other === button);
        choose(name);
        schedule();
      });
      group.append(button);
    }
    return group;
  };

  let quantile = "p99";
  add({ title: "Calls", note: "per second", unit: "count", least: 1, half: true, lines: ofMethods(() => "calls") });
  const latency = add({ title: "Duration", unit: "seconds", least: 1e-4, half: true, lines: ofMethods(() => quantile) });
  // Methods differ by orders of magnitude.
  latency.log = true;
  latency.header.append(
    choice("Share of calls", ["p50", "p90", "p99"], quantile, (name) => (quantile = name)),
    choice("Scale", ["linear", "log"], "log", (name) => (latency.log = name === "log")),
  );
  add({ title: "Errors", note: "per second", unit: "count", least: 1, lines: ofMethods(() => "errors") });
  add({ title: "In flight", unit: "count", least: 1, lines: ofMethods(() => "active") });

  const panels = new Map();
  const addPanels = () => {
    history.panels.forEach((told, i) => {
      if (panels.has(told.title)) return;
      const lines = () => (history.panels[i]?.lines ?? []).map((line, style) => ({ ...line, style }));
      const alone = told.lines.length === 1;
      const least = { percent: 10, bytes: 1024, seconds: 1e-4 }[told.unit] ?? 1;
      const note = alone && told.lines[0].name !== told.title.toLowerCase() ? told.lines[0].name : "";
      const chart = add({ title: told.title, note, unit: told.unit, least, lines });
      if (!alone) {
        const key = told.lines.map((line, style) => element("span", {}, swatch(style), line.name));
        chart.header.append(element("div", { className: "key" }, ...key));
      }
      panels.set(told.title, chart);
    });
  };

  // ---- the pointer

  const tip = byId("tip");
  const nearest = (t) => {
    const times = history.t;
    if (t === null || times.length === 0) return -1;
    let low = 0;
    let high = times.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (times[middle] < t) low = middle;
      else high = middle;
    }
    return t - times[low] < times[high] - t ? low : high;
  };
  const showTip = (index) => {
    const { chart } = hover;
    if (!chart || index < 0) {
      tip.hidden = true;
      return;
    }
    const lines = chart.lines().filter((line) => !line.hidden && line.values[index] !== null);
    lines.sort((a, b) => b.values[index] - a.values[index]);
    const most = 12;
    const rows = lines
      .slice(0, most)
      .map((line) =>
        element(
          "div",
          {},
          swatch(line.style),
          element("span", { textContent: line.name }),
          element("strong", { textContent: Units.text(chart.unit, line.values[index]) }),
        ),
      );
    if (lines.length > most) rows.push(element("p", { textContent: `and ${lines.length - most} more` }));
    if (lines.length === 0) rows.push(element("div", {}, "no value"));
    tip.replaceChildren(element("p", { textContent: clock(history.t[index]) }), ...rows);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const left = hover.x + 16 + width > window.innerWidth ? hover.x - 16 - width : hover.x + 16;
    const top = Math.min(hover.y + 12, window.innerHeight - height - 8);
    tip.style.transform = `translate(${Math.max(8, left)}px, ${Math.max(8, top)}px)`;
  };

  // ---- figures as text

  const tiles = {};
  const tile = (id, title) => {
    const value = element("span");
    const root = element("div", { className: "tile", id: `tile-${id}` }, element("b", { textContent: title }), value);
    byId("tiles").append(root);
    tiles[id] = (number, unit = "", bad = false) => {
      value.replaceChildren(number);
      if (unit) value.append(element("small", { textContent: unit }));
      root.classList.toggle("bad", bad);
    };
  };
  tile("calls", "Calls");
  tile("errors", "Errors");
  tile("p99", "Slowest p99");
  tile("active", "In flight");
  tile("cpu", "CPU");
  tile("memory", "Memory");

  const showTiles = () => {
    const all = methods();
    // What is served; in a program that only calls, what it calls.
    const served = all.filter((method) => method.side === "server");
    const counted = served.length > 0 ? served : all;
    const sum = (column) => counted.reduce((total, method) => total + (last(method[column]) ?? 0), 0);
    const [calls, errors] = [sum("calls"), sum("errors")];
    const known = history.t.length > 0;
    tiles.calls(known ? Units.text("count", calls) : "–", "/s");
    if (calls > 0) tiles.errors(Units.parts("percent", (100 * errors) / calls)[0], "%", errors > 0);
    else tiles.errors("–");
    const p99 = counted.map((method) => last(method.p99, 5)).filter((value) => value !== null);
    tiles.p99(...Units.parts("seconds", p99.length > 0 ? Math.max(...p99) : null));
    tiles.active(known ? Units.text("count", sum("active")) : "–");
    const line = (title) => history.panels.find((panel) => panel.title === title)?.lines[0];
    const cpu = line("CPU");
    tiles.cpu(...Units.parts("percent", cpu ? last(cpu.values) : null));
    const memory = line("Memory");
    tiles.memory(...Units.parts("bytes", memory ? last(memory.values) : null));
  };

  const rows = new Map();
  const row = (method) => {
    const service = method.service.split(".").pop();
    const name = element("span", { className: "name" }, element("span", { className: "service" }, `${service}/`), method.method);
    const button = element("button", { type: "button", title: `${method.service}/${method.method}: show or hide` });
    button.append(swatch(method.style), name);
    if (method.side === "client") button.append(element("span", { className: "tag", textContent: "client" }));
    const head = element("th", { scope: "row" }, button);
    const cells = Array.from({ length: 6 }, () => element("td", { className: "number" }));
    const root = element("tr", {}, head, ...cells);
    const focus = (id) => {
      focused = id;
      schedule();
    };
    root.addEventListener("pointerenter", () => focus(method.id));
    root.addEventListener("pointerleave", () => focus(null));
    button.addEventListener("focus", () => focus(method.id));
    button.addEventListener("blur", () => focus(null));
    button.addEventListener("click", () => {
      if (off.has(method.id)) off.delete(method.id);
      else off.add(method.id);
      schedule();
    });
    return { root, button, cells };
  };
  const showLegend = () => {
    const legend = byId("legend");
    const all = methods();
    byId("methods").classList.toggle("none", all.length === 0);
    for (const [id, { root }] of rows) {
      if (history.methods.has(id)) continue;
      root.remove();
      rows.delete(id);
      if (focused === id) focused = null;
    }
    for (const method of all) {
      if (!rows.has(method.id)) {
        const made = row(method);
        rows.set(method.id, made);
        legend.append(made.root);
      }
      const { root, button, cells } = rows.get(method.id);
      root.classList.toggle("off", off.has(method.id));
      button.setAttribute("aria-pressed", !off.has(method.id));
      ChartHistory.COLUMNS.forEach((column, i) => {
        const value = last(method[column], i < 3 ? 1 : 5);
        cells[i].textContent = Units.text(i < 3 ? "count" : "seconds", value);
      });
      cells[1].classList.toggle("bad", last(method.errors) > 0);
    }
    byId("left-out").hidden = history.leftOut === 0;
    byId("left-out").textContent = `${history.leftOut} more methods are called and not drawn: there is room for ${all.length}.`;
  };

  const shown = (value) => (value === null ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value));
  const showStates = () => {
    byId("layers").hidden = history.states.length === 0;
    const cards = history.states.map(({ side, service, method, layer, label, tone, state }) => {
      const head = element("p", {}, element("b", { textContent: layer }));
      if (label !== null) head.append(element("span", { className: `chip ${tone}`, textContent: label }));
      const of = `${service.split(".").pop()}/${method}${side === "client" ? " (client)" : ""}`;
      head.append(element("span", { className: "of", textContent: of }));
      const members = state !== null && typeof state === "object" && !Array.isArray(state) ? Object.entries(state) : [];
      const fields = members
        .filter(([name]) => name !== "state")
        .map(([name, value]) =>
          element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: shown(value) })),
        );
      if (members.length === 0 && label === null) fields.push(element("div", {}, element("dd", { textContent: shown(state) })));
      return element("li", {}, head, element("dl", {}, ...fields));
    });
    byId("states").replaceChildren(...cards);
  };

  const showStatus = () => {
    const root = byId("status");
    root.className = `status ${status}`;
    document.body.classList.toggle("lost", status === "lost");
    const newest = history.t.length > 0 ? clock(history.t[history.t.length - 1]) : "";
    const texts = {
      connecting: "Connecting…",
      live: newest ? `Live, ${newest}` : "Live, waiting for the first second",
      paused: `Paused at ${newest}`,
      lost: `No answer since ${since}, trying again`,
    };
    const text = texts[status];
    if (root.lastElementChild.textContent !== text) root.lastElementChild.textContent = text;
  };

  // ---- drawing

  const draw = () => {
    counts.draws += 1;
    const to = history.t.length > 0 ? history.t[history.t.length - 1] : 0;
    // A service that was started just now has no more to show.
    const from = to - Math.min(minutes * 60, Math.max(60, to - (history.t[0] ?? to)));
    let first = history.t.findIndex((t) => t >= from);
    if (first < 0) first = history.t.length;
    const index = nearest(hover.t);
    const view = { t: history.t, first, from, to, hover: hover.t, index, epoch: history.epoch, palette };
    for (const chart of charts) chart.draw(view);
    showTip(index);
    showTiles();
    showLegend();
    showStatus();
  };
  let waiting = false;
  const schedule = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };

  // ---- the service

  let timer = null;
  let running = false;
  const poll = async () => {
    clearTimeout(timer);
    if (paused || document.hidden || running) return;
    running = true;
    let wait = 1000;
    try {
      const query = new URLSearchParams({ since: history.seq, boot: history.boot });
      const response = await fetch(`data?${query}`, { signal: AbortSignal.timeout(5000) });
      if (!response.ok) throw new Error(`status ${response.status}`);
      const data = await response.json();
      counts.polls += 1;
      counts.failed = 0;
      history.take(data);
      addPanels();
      showStates();
      if (!paused) status = "live";
      // Shortly after the next moment.
      const newest = data.t.length > 0 ? data.t[data.t.length - 1] : data.uptime - 0.75;
      wait = Math.min(1000, Math.max(250, (newest + data.step + 0.05 - data.uptime) * 1000));
    } catch {
      counts.failures += 1;
      counts.failed += 1;
      if (status !== "lost") since = new Date().toLocaleTimeString([], { hourCycle: "h23" });
      if (!paused) status = "lost";
      wait = Math.min(5000, 1000 * counts.failed);
    }
    running = false;
    schedule();
    timer = setTimeout(poll, wait);
  };

  // ---- what can be pressed

  const chooseRange = (wanted) => {
    minutes = wanted;
    for (const button of byId("range").children) {
      button.setAttribute("aria-pressed", Number(button.dataset.minutes) === minutes);
    }
    schedule();
  };
  for (const button of byId("range").children) {
    button.addEventListener("click", () => chooseRange(Number(button.dataset.minutes)));
  }
  byId("pause").addEventListener("click", () => {
    paused = !paused;
    byId("pause").textContent = paused ? "Go on" : "Pause";
    byId("pause").setAttribute("aria-pressed", paused);
    status = paused ? "paused" : "connecting";
    schedule();
    poll();
  });
  // A page that nobody sees asks for nothing; the service remembers for it.
  document.addEventListener("visibilitychange", poll);
  window.addEventListener("online", poll);
  const recolour = () => {
    readPalette();
    schedule();
  };
  document.addEventListener("themechange", recolour);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);

  // For tests and for those who look with the console.
  window.__kitCharts = {
    counts,
    history,
    get status() {
      return status;
    },
  };

  readPalette();
  chooseRange(minutes);
  poll();
})();
