"use strict";
// Everything that comes from the document or from an answer is put on the page as text, never as markup.

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
const NDJSON = "application/x-ndjson";
const EVENTS = "text/event-stream";
// A stream has no end; a page has.
const MOST_SHOWN = 1 << 20;

const page = { api: null, base: "", headers: "" };

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== ""));
  return node;
}

function inline(line) {
  return (line ?? "").split(/(`[^`]+`)/).map((part) => /^`[^`]+`$/.test(part) ? el("code", {}, part.slice(1, -1)) : part);
}

/** As much of CommonMark as comments in .proto files use: paragraphs, lists, code. */
function prose(text) {
  return (text ?? "").split(/\n\s*\n/).filter((part) => part.trim()).map((paragraph) => {
    const lines = paragraph.split("\n");
    if (lines.every((line) => /^( {4}|\t)/.test(line))) return el("pre", {}, lines.map((l) => l.trim()).join("\n"));
    if (!/^\s*[-*] /.test(lines[0])) return el("p", {}, inline(lines.join(" ")));
    const items = [];
    for (const line of lines) {
      if (/^\s*[-*] /.test(line)) items.push(line.replace(/^\s*[-*] /, ""));
      else items[items.length - 1] += ` ${line.trim()}`;
    }
    return el("ul", {}, items.map((item) => el("li", {}, inline(item))));
  });
}

function resolve(value) {
  for (let hops = 0; value?.$ref && hops < 16; hops++) {
    const { $ref, ...beside } = value;
    const names = $ref.split("/").slice(1).map((name) => decodeURIComponent(name).replace(/~1/g, "/").replace(/~0/g, "~"));
    const target = names.reduce((at, name) => at?.[name], page.api);
    if (!target) return beside;
    value = { ...target, ...beside };
  }
  return value ?? {};
}

function refName(schema) {
  return schema?.$ref ? schema.$ref.split("/").pop() : "";
}

/** The type of a value in a few words. */
function kind(schema) {
  if (schema === true || schema === undefined) return "any";
  if (schema.$ref) return refName(schema);
  if (schema.anyOf) return schema.anyOf.map(kind).filter((k, i, all) => all.indexOf(k) === i).join(" | ");
  if (schema.type === "array") {
    const item = kind(schema.items ?? {});
    return item.includes(" ") ? `(${item})[]` : `${item}[]`;
  }
  if (schema.type === "object" && typeof schema.additionalProperties === "object") {
    return `map of ${kind(schema.additionalProperties)}`;
  }
  const types = [].concat(schema.type ?? "any");
  const format = schema.format ?? (schema.contentEncoding || "");
  return types.join(" | ") + (format ? ` (${format})` : "");
}

/** The messages and enums that a schema is made of, to open one by one. */
function named(schema) {
  if (!schema || typeof schema !== "object") return [];
  if (schema.$ref) return [schema];
  return [...(schema.anyOf ?? []), schema.items, schema.additionalProperties].flatMap(named);
}

function schemaView(schema, open) {
  return el("div", { class: "schema" },
    schema?.$ref ? "" : el("span", { class: "kind" }, kind(schema)),
    named(schema).map((part, index) => schemaDetails(part, open && index === 0 && isShort(part))));
}

function isShort(reference) {
  return Object.keys(resolve({ $ref: reference.$ref }).properties ?? {}).length <= 8;
}

function schemaDetails(reference, open) {
  const details = el("details", {}, el("summary", { class: "mono" }, refName(reference)));
  // Made when it is opened: messages may hold themselves.
  const fill = () => {
    if (details.childElementCount > 1) return;
    const schema = resolve({ $ref: reference.$ref });
    details.append(el("div", { class: "text" }, prose(schema.description)));
    if (schema.enum) details.append(el("p", {}, schema.enum.map((value) => [el("code", {}, String(value)), " "]).flat()));
    const fields = Object.entries(schema.properties ?? {});
    if (fields.length) details.append(el("ul", {}, fields.map(([name, field]) => propertyView(name, field))));
    else if (!schema.enum) details.append(el("p", { class: "soft" }, "It has no fields."));
  };
  details.addEventListener("toggle", () => details.open && fill());
  if (open) {
    fill();
    details.open = true;
  }
  return details;
}

function propertyView(name, field) {
  return el("li", {},
    el("span", { class: field.deprecated ? "mono old" : "mono" }, name), " ",
    field.$ref ? "" : el("span", { class: "kind" }, kind(field)),
    el("div", { class: "text" }, prose(field.description)),
    named(field).map((part) => schemaDetails(part, false)));
}

/** A value of a schema, to start a body from. */
function sample(schema, inside = []) {
  // An Any needs a type that the service knows, which nobody can guess here.
  if (schema?.$ref && (inside.includes(schema.$ref) || refName(schema) === "google.protobuf.Any")) return undefined;
  const within = schema?.$ref ? [...inside, schema.$ref] : inside;
  const s = resolve(schema);
  if (s.examples?.length) return s.examples[0];
  if (s.const !== undefined) return s.const;
  if (s.enum) return s.enum.find((value, index) => index > 0) ?? s.enum[0];
  if (s.anyOf) return sample(s.anyOf[0], within);
  const type = [].concat(s.type ?? "object")[0];
  if (type === "array") {
    const item = sample(s.items ?? {}, within);
    return item === undefined ? [] : [item];
  }
  if (type === "boolean") return false;
  if (type === "integer" || type === "number") return 0;
  if (type === "null") return null;
  if (type === "string") {
    if (s.format === "date-time") return "2026-01-02T03:04:05Z";
    return s.format === "int64" || s.format === "uint64" ? "1" : "";
  }
  const value = {};
  const excluded = new Set();
  for (const [name, field] of Object.entries(s.properties ?? {})) {
    if (excluded.has(name) || field === false) continue;
    const inner = sample(field, within);
    if (inner === undefined) continue;
    value[name] = inner;
    for (const other of Object.keys(s.dependentSchemas?.[name]?.properties ?? {})) excluded.add(other);
  }
  return value;
}

/** All operations, those in extensions included. */
function operations(api) {
  const found = [];
  for (const [path, item] of Object.entries(api.paths ?? {})) {
    const add = (method, operation) => found.push({ path, method, ...operation });
    for (const method of METHODS) if (item[method]) add(method.toUpperCase(), item[method]);
    for (const [method, operation] of Object.entries(item["x-kit-custom-methods"] ?? {})) add(method, operation);
    for (const more of item["x-kit-more-operations"] ?? []) add(more.method, { shown: more.template, ...more.operation });
  }
  return found;
}

function badge(method) {
  return el("span", { class: `badge ${METHODS.includes(method.toLowerCase()) ? method.toLowerCase() : ""}` }, method === "*" ? "ANY" : method);
}

function control(parameter) {
  const schema = resolve(parameter.schema);
  const choices = schema.enum ?? (schema.const ? [schema.const] : null) ?? (schema.type === "boolean" ? ["true", "false"] : null);
  if (schema.type === "array") return el("textarea", { rows: 2, placeholder: "one value a line" });
  if (parameter.style === "deepObject") return el("textarea", { rows: 2, placeholder: "key=value, one a line" });
  if (choices) {
    return el("select", {}, parameter.required ? [] : el("option", { value: "" }, "—"),
      choices.map((value) => el("option", {}, String(value))));
  }
  const example = schema.examples?.[0] ?? (schema.format === "date-time" ? "2026-01-02T03:04:05Z" : kind(parameter.schema));
  return el("input", { type: "text", placeholder: example, autocomplete: "off", spellcheck: "false" });
}

/** What the form says, as a request. */
function requestOf(operation, form) {
  let path = operation.path;
  const query = [];
  const pair = (name, value) => query.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  for (const [parameter, input] of form.parameters) {
    const text = input.value;
    const lines = text.split("\n").filter((line) => line.trim());
    if (parameter.in === "path") {
      const rest = parameter["x-kit-rest-of-path"];
      const escaped = rest ? text.split("/").map(encodeURIComponent).join("/") : encodeURIComponent(text);
      const hole = `{${parameter.name}}`;
      // `**` with nothing in it takes the slash before it away too.
      path = rest && !text ? path.replace(`/${hole}`, "") : path.replace(hole, () => escaped || hole);
    } else if (parameter.style === "deepObject") {
      for (const line of lines) {
        const [key, ...value] = line.split("=");
        pair(`${parameter.name}[${key.trim()}]`, value.join("="));
      }
    } else if (parameter.schema?.type === "array") lines.forEach((line) => pair(parameter.name, line));
    else if (text) pair(parameter.name, text);
  }
  const headers = page.headers.split("\n").map((line) => line.match(/^\s*([^:\s]+)\s*:\s*(.*?)\s*$/)).filter(Boolean)
    .map(([, name, value]) => [name, value]);
  if (form.accept) headers.push(["Accept", form.accept.value]);
  const file = form.file?.files[0];
  const body = form.body ? file ?? form.body.value : undefined;
  if (body !== undefined) headers.push(["Content-Type", file?.type || form.type.value]);
  const method = operation.method === "*" ? "GET" : operation.method;
  return { method, url: page.base + (path || "/") + (query.length ? `?${query.join("&")}` : ""), headers, body };
}

function curl(request, streams) {
  const quote = (text) => `'${text.replace(/'/g, "'\\''")}'`;
  const parts = ["curl"];
  if (streams) parts.push("-N");
  // Brackets are escaped already, so that curl takes none of them for a range.
  if (request.method === "HEAD") parts.push("-I");
  else if (request.method !== (request.body === undefined ? "GET" : "POST")) parts.push("-X", request.method);
  parts.push(quote(request.url));
  for (const [name, value] of request.headers) parts.push("\\\n  -H", quote(`${name}: ${value}`));
  if (request.body instanceof File) parts.push("\\\n  --data-binary", quote(`@${request.body.name}`));
  else if (request.body !== undefined) parts.push("\\\n  --data-binary", quote(request.body));
  return parts.join(" ");
}

async function show(request, output, signal) {
  output.replaceChildren(el("p", { class: "soft", role: "status" }, "Waiting…"));
  const start = performance.now();
  const past = () => `${Math.round(performance.now() - start)} ms`;
  const status = el("span", { class: "status" });
  const measure = el("span", { class: "soft small" });
  const body = el("pre", { tabindex: "0", "aria-label": "Response body" });
  try {
    const { url, method, headers } = request;
    const sent = ["GET", "HEAD"].includes(method) ? undefined : request.body;
    const response = await fetch(url, { method, headers, body: sent, signal, cache: "no-store" });
    status.textContent = `${response.status} ${response.statusText}`;
    status.classList.add(response.ok ? "ok" : "bad");
    measure.textContent = past();
    const head = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    output.replaceChildren(el("p", { class: "row", role: "status" }, status, measure),
      el("details", { class: "extra" }, el("summary", {}, "Headers"), el("pre", {}, head)), body);
    await read(response, body, (size, done) => {
      measure.textContent = `${past()}, ${size.toLocaleString()} bytes${done ? "" : " so far"}`;
    });
  } catch (error) {
    const text = error.name === "AbortError" ? "Stopped" : `No answer: ${error.message}`;
    if (!status.textContent) output.replaceChildren(el("p", { class: "status bad", role: "status" }, text));
    else measure.textContent += ` — ${error.name === "AbortError" ? "stopped" : `broken off: ${error.message}`}`;
  }
}

async function read(response, body, measure) {
  const type = (response.headers.get("content-type") ?? "").toLowerCase();
  if (!/^text\/|json|xml|javascript|^$/.test(type)) {
    const blob = await response.blob();
    measure(blob.size, true);
    body.replaceChildren(el("a", { href: URL.createObjectURL(blob), download: "response" }, `Save ${type}`));
    return;
  }
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for (let part = await reader?.read(); part && !part.done; part = await reader.read()) {
    size += part.value.length;
    const piece = decoder.decode(part.value, { stream: true });
    text = (text + piece).slice(-MOST_SHOWN);
    if (text.length < MOST_SHOWN) body.append(piece);
    else body.textContent = text;
    body.scrollTop = body.scrollHeight;
    measure(size, false);
  }
  measure(size, true);
  if (/[/+]json/.test(type) && text.length < MOST_SHOWN) {
    try {
      body.textContent = JSON.stringify(JSON.parse(text), null, 2);
      body.scrollTop = 0;
    } catch {
      // What is not JSON after all stays as it came.
    }
  }
}

function parameterTable(parameters) {
  const row = (p) => el("tr", {},
    el("td", { class: p.deprecated ? "old" : "" }, p.name),
    el("td", {}, p.in, p.required ? el("span", { class: "soft" }, ", required") : ""),
    el("td", {}, schemaView(p.schema, false)),
    el("td", {}, prose(p.description ?? resolve(p.schema).description)));
  return el("div", { class: "table" }, el("table", {},
    el("thead", {}, el("tr", {}, ["Name", "In", "Type", "Description"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, parameters.map(row))));
}

function contentView(content, open) {
  const seen = new Map();
  for (const [type, media] of Object.entries(content ?? {})) {
    const key = JSON.stringify(media.schema);
    seen.set(key, { types: [...(seen.get(key)?.types ?? []), type], schema: media.schema });
  }
  return [...seen.values()].map(({ types, schema }, index) =>
    el("div", { class: "content" }, el("span", { class: "small soft" }, types.join(", ")),
      schemaView(schema, open && index === 0)));
}

function tryIt(operation, parameters, body, streams) {
  const form = { parameters: parameters.map((parameter) => [parameter, control(parameter)]) };
  const field = (label, input, wide) =>
    el("label", wide ? { class: "wide" } : {}, el("span", {}, label), input);
  const rows = form.parameters.map(([p, input]) => {
    if (p.required) input.required = !p["x-kit-rest-of-path"];
    return field([el("span", { class: "mono" }, p.name), p.in === "path" ? " (path)" : ""], input);
  });
  if (body) {
    const [type, media] = Object.entries(body.content)[0];
    const value = type === "*/*" ? undefined : sample(media.schema) ?? null;
    form.type = { value: type === "*/*" ? "application/octet-stream" : type };
    form.body = el("textarea", { rows: 8, spellcheck: "false" });
    form.body.value = value === undefined ? "" : JSON.stringify(value, null, type === NDJSON ? 0 : 2);
    rows.push(field(`Body (${type})`, form.body, true));
    if (type === "*/*") rows.push(field("or a file", form.file = el("input", { type: "file" }), true));
  }
  const types = Object.keys(resolve(operation.responses?.["200"]).content ?? {});
  if (types.length > 1) {
    form.accept = el("select", { class: "accept", "aria-label": "Accept" }, types.map((type) => el("option", {}, type)));
    form.accept.value = types.includes(NDJSON) ? NDJSON : types[0];
  }

  const output = el("div", { "aria-live": "polite" });
  const line = el("pre", { tabindex: "0", "aria-label": "curl command" });
  const update = () => { line.textContent = curl(requestOf(operation, form), streams); };
  const copy = el("button", { type: "button", onclick: () => copyText(line.textContent, copy) }, "Copy");
  const send = el("button", { type: "submit", class: "main" }, "Send");
  const stop = el("button", { type: "button", disabled: true, onclick: () => running?.abort() }, "Stop");
  let running = null;
  const submit = async (event) => {
    event.preventDefault();
    running?.abort();
    const mine = running = new AbortController();
    stop.disabled = false;
    await show(requestOf(operation, form), output, mine.signal);
    if (running === mine) stop.disabled = true;
  };
  const node = el("form", { onsubmit: submit, oninput: update, onchange: update },
    rows.length ? el("div", { class: "fields" }, rows) : "",
    el("div", { class: "row" }, send, stop, form.accept ?? ""));
  document.addEventListener("kit-headers", update);
  update();
  return [el("h3", {}, "curl"), el("div", { class: "curl" }, line, copy),
    el("details", { class: "extra", open: true }, el("summary", {}, "Try it"), node, output)];
}

async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Outside of https and localhost there is no clipboard: leave the text selected, one key away from it.
    getSelection().selectAllChildren(button.previousElementSibling);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

function inside(operation) {
  const parameters = (operation.parameters ?? []).map(resolve);
  const body = operation.requestBody && resolve(operation.requestBody);
  const types = Object.keys(resolve(operation.responses?.["200"]).content ?? {});
  const streams = types.includes(EVENTS) || types.includes(NDJSON);
  const template = operation["x-kit-template"];
  return el("div", { class: "inside" },
    prose(operation.description),
    template ? el("p", { class: "small soft" }, "Template: ", el("code", {}, template)) : "",
    parameters.length ? [el("h3", {}, "Parameters"), parameterTable(parameters)] : [],
    body ? [el("h3", {}, "Body"), prose(body.description), contentView(body.content, true)].flat() : [],
    el("h3", {}, "Responses"),
    Object.entries(operation.responses ?? {}).map(([code, answer]) => {
      const response = resolve(answer);
      return el("div", { class: "response" }, el("code", {}, code),
        el("div", {}, prose(response.description), contentView(response.content, code === "200")));
    }),
    tryIt(operation, parameters, body, streams));
}

function operationView(operation) {
  const details = el("details", { class: "op", id: operation.operationId },
    el("summary", {}, badge(operation.method),
      el("span", { class: operation.deprecated ? "mono old" : "mono" }, operation.shown ?? operation.path),
      el("span", { class: "about" }, inline(operation.summary)),
      operation.deprecated ? el("span", { class: "tag" }, "deprecated") : ""));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(inside(operation));
  });
  return details;
}

function openHash() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target?.classList.contains("op")) return;
  target.open = true;
  target.scrollIntoView();
  target.querySelector("summary").focus({ preventScroll: true });
}

function headersView() {
  const input = el("textarea", { rows: 2, placeholder: "authorization: Bearer …", spellcheck: "false" });
  input.addEventListener("input", () => {
    page.headers = input.value;
    document.dispatchEvent(new Event("kit-headers"));
  });
  return el("details", { class: "extra" }, el("summary", {}, "Headers to send with every request"),
    el("label", {}, el("span", {}, "One a line; kept until the page is left."), input));
}

function render(api, source) {
  page.api = api;
  const server = new URL(api.servers?.[0]?.url ?? "/", source);
  page.base = server.href.replace(/\/$/, "");
  document.title = api.info.title;
  const all = operations(api);
  const known = (api.tags ?? []).map((tag) => tag.name);
  const others = [...new Set(all.flatMap((op) => op.tags ?? ["Others"]))].filter((name) => !known.includes(name));
  const tags = [...(api.tags ?? []), ...others.map((name) => ({ name }))];
  const links = [];
  const sections = [];
  for (const tag of tags) {
    const own = all.filter((op) => (op.tags ?? ["Others"]).includes(tag.name));
    const pairs = own.map((op) => {
      const label = (op.operationId ?? op.path).replace(`${tag.name.replace(/\./g, "_")}_`, "");
      const link = el("li", {}, el("a", { href: `#${encodeURIComponent(op.operationId)}` }, badge(op.method),
        el("span", { class: op.deprecated ? "old" : "" }, label)));
      const text = `${op.method} ${op.path} ${op.operationId} ${op.summary ?? ""}`.toLowerCase();
      return { text, link, view: operationView(op) };
    });
    const heading = el("h2", {}, tag.name);
    const section = el("section", {}, el("h2", {}, tag.name), prose(tag.description), pairs.map((pair) => pair.view));
    links.push(heading, el("ul", {}, pairs.map((pair) => pair.link)));
    sections.push({ pairs, parts: [heading, section], section });
  }
  document.getElementById("nav").replaceChildren(...links);
  document.getElementById("content").replaceChildren(
    el("h1", {}, api.info.title),
    el("p", { class: "soft" }, `Version ${api.info.version}. `, el("a", { href: source }, "OpenAPI document")),
    ...prose(api.info.description), headersView(), ...sections.map(({ section }) => section));

  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { pairs, parts } of sections) {
      let any = false;
      for (const { text, link, view } of pairs) {
        const fits = words.every((word) => text.includes(word));
        link.hidden = view.hidden = !fits;
        any ||= fits;
      }
      for (const part of parts) part.hidden = !any;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    filter.focus();
  });
  // A second click on the same link changes no hash.
  document.getElementById("nav").addEventListener("click", () => setTimeout(openHash));
  addEventListener("hashchange", openHash);
  openHash();
}

async function main() {
  const source = new URL(document.body.dataset.openapi || "openapi.json", document.baseURI).href;
  try {
    const response = await fetch(source);
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    render(await response.json(), source);
  } catch (error) {
    document.getElementById("content").replaceChildren(
      el("h1", {}, "No documentation"),
      el("p", { role: "alert" }, "The OpenAPI document ", el("a", { href: source }, source), ` can't be read: ${error.message}.`));
  }
}

main();
