// Builds the DOM from data. Data becomes text nodes and attributes only, never markup, with control characters visible.
import * as format from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
// Characters of an untrusted text that are shown before somebody asks for the rest.
const SHOWN = 600;

// Attributes that are read out or shown.
const SHOWN_ATTRIBUTES = ["title", "aria-label"];

/** Whoever builds an element, no text of it has control characters or turns the direction of the text around it. */
function built(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on")
      for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (SHOWN_ATTRIBUTES.includes(name)) node.setAttribute(name, format.printable(value));
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const one of children.flat(Infinity))
    if (one !== null && one !== undefined && one !== false)
      node.append(one instanceof Node ? one : format.printable(one));
  return node;
}

/** An HTML element. `attributes.on` holds event listeners; children are nodes or texts, null is left out. */
export const el = (tag, attributes = {}, ...children) =>
  built(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) =>
  built(document.createElementNS(SVG, tag), attributes, children);

export const button = (text, action, attributes = {}) =>
  el("button", { type: "button", ...attributes, on: { click: action } }, text);

/** Untrusted text on one line: isolated from the direction of the text around it, control characters visible. */
export function plain(text, attributes = {}, most = SHOWN) {
  const shown = format.pieces(format.shortened(text, most));
  return el(
    "bdi",
    attributes,
    shown.map(([piece, escape]) => (escape ? el("span", { class: "escape" }, piece) : piece)),
  );
}

/** A network, jail or other name, in the font of code. */
export const mono = (text, attributes = {}) => plain(text, { class: "mono", ...attributes });

/** A log line, or another long untrusted text; the rest of a very long one is shown on request. */
export function logLine(text) {
  const whole = String(text ?? "");
  const box = el("div", { class: "line" }, plain(whole));
  if (whole.length > SHOWN) {
    const rest = button(
      `Show all ${format.number(whole.length)} characters`,
      () => {
        // One text node: a span for each of 100,000 escapes would make the page slow.
        box.replaceChildren(el("bdi", {}, format.printable(whole)));
        box.tabIndex = -1;
        box.focus();
      },
      { class: "small" },
    );
    box.append(" ", rest);
  }
  return box;
}

/** A time as <time>: local, with the ISO time as title. `relative` shows an age that the page keeps up to date. */
export function time(at, { relative = false } = {}) {
  const iso = format.iso(at);
  if (!iso) return el("span", {}, "unknown time");
  const title = relative ? `${format.local(at)} (${iso})` : iso;
  const text = relative ? format.relative(at) : format.local(at);
  return el("time", { datetime: iso, title, "data-relative": relative ? String(at) : null }, text);
}

/** The end of a ban: null is for ever. */
export const until = (at) => (at === null ? "for ever" : [time(at), " (", time(at, { relative: true }), ")"]);

/** Bring all ages on the page up to date. */
export function refreshAges(root = document) {
  for (const node of root.querySelectorAll("time[data-relative]")) {
    const text = format.relative(Number(node.dataset.relative));
    if (node.textContent !== text) node.textContent = text;
  }
}

/** A word with a sign in front, so that its colour is not the only information. `kind`: ok, warn, bad, none. */
export function badge(kind, text) {
  const sign = { ok: "✓", warn: "!", bad: "✕", none: "–" }[kind];
  return el(
    "span",
    { class: `badge ${kind}` },
    el("span", { "aria-hidden": "true", class: "sign" }, sign),
    format.shortened(text, 32),
  );
}

/** A table. A column is {title, cell: (row) => node, class}; the first one is the row's header. Explicit roles,
 * because in a narrow window CSS shows each row as a card, and browsers then forget that it is a table. */
export function table({ caption, unseen = false, columns, rows, lead = true, style = "" }) {
  const body = rows.map((row) =>
    el(
      "tr",
      { role: "row" },
      columns.map((column, index) => {
        const header = lead && index === 0;
        return el(
          header ? "th" : "td",
          {
            role: header ? "rowheader" : "cell",
            scope: header ? "row" : null,
            class: column.class,
            "data-title": column.title,
          },
          el("div", { class: "cell" }, column.cell(row)),
        );
      }),
    ),
  );
  return el(
    "table",
    { role: "table", class: `cards ${style}` },
    el("caption", { class: unseen ? "unseen" : null }, caption),
    el(
      "thead",
      { role: "rowgroup" },
      el(
        "tr",
        { role: "row" },
        columns.map((column) =>
          el("th", { role: "columnheader", scope: "col", class: column.class }, column.title),
        ),
      ),
    ),
    el("tbody", { role: "rowgroup" }, body),
  );
}

/** Names and values as <dl>; a value of null is left out. */
export function facts(pairs) {
  return el(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== false)
      .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
  );
}

/** A section with a heading. */
export function section(title, ...children) {
  const id = `section-${title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
  return el("section", { "aria-labelledby": id }, el("h2", { id }, title), children);
}

let fields = 0;

/** A label and its input, with an optional hint. */
export function field(label, input, hint = null) {
  input.id ||= `field-${(fields += 1)}`;
  if (hint) input.setAttribute("aria-describedby", `${input.id}-hint`);
  return el(
    "div",
    { class: "field" },
    el("label", { for: input.id }, label),
    input,
    hint && el("p", { class: "hint", id: `${input.id}-hint` }, hint),
  );
}

export const select = (options, chosen, attributes = {}) =>
  el(
    "select",
    attributes,
    options.map(([value, text]) =>
      el("option", { value, selected: value === chosen }, format.shortened(text, 120)),
    ),
  );

/** Give a select other options; the chosen one stays. */
export function refill(input, options, chosen) {
  input.replaceChildren(...select(options).childNodes);
  input.value = chosen;
  if (input.selectedIndex < 0) input.selectedIndex = 0;
}

const keyOf = (node) => node.dataset.key || node.id || node.getAttribute("href") || node.textContent;

/** Replace the content of a box that is refreshed from time to time. What had the focus keeps it, and what was
 * opened stays open, if it is still there (by data-key, id, href or text); if it is gone, the heading of the view
 * gets the focus, so that it is not lost. */
export function renew(box, ...content) {
  const focused = box.contains(document.activeElement) ? keyOf(document.activeElement) : null;
  const open = new Set([...box.querySelectorAll("details[open]")].map(keyOf));
  box.replaceChildren(...content.flat(Infinity).filter(Boolean));
  for (const node of box.querySelectorAll("details")) if (open.has(keyOf(node))) node.open = true;
  if (focused === null) return;
  const found = [...box.querySelectorAll("a, button, input, select, summary")].find(
    (node) => keyOf(node) === focused,
  );
  (found ?? document.querySelector("h1")).focus({ preventScroll: true });
}

/** The address of a view, from its parts and its parameters. */
export function address(parts, parameters = {}) {
  const given = Object.entries(parameters).filter(
    ([, value]) => value !== "" && value !== null && value !== undefined,
  );
  const query = new URLSearchParams(given).toString();
  return `#/${parts.map(format.encoded).join("/")}${query ? `?${query}` : ""}`;
}

export const linkBan = (network, attributes = {}) =>
  el("a", { href: address(["bans", network]), class: "mono", ...attributes }, plain(network));

export const linkJail = (jail) => el("a", { href: address(["jails", jail]), class: "mono" }, plain(jail));
