// A list of any length: only the rows in sight are in the DOM, and pages of data are loaded as they come into sight.
//
// A browser limits the height of an element (Firefox to 17 million pixels). So the scrolled element has at most LIMIT
// pixels, and the position in the list (`top`, in pixels of the whole list) is kept apart from the scrollbar's: small
// steps of the scrollbar move the list by as many pixels, a leap moves it by its share of the whole.
import { el } from "../dom.js";
import { PAGE, Pages } from "./pages.js";

const LIMIT = 6_000_000;
// Rows rendered above and below what is in sight.
const SPARE = 4;

let grids = 0;

export class Grid {
  /** `columns`: [{title, class}]. `cells(row)`: the content of each column. `ask(offset, view, signal)`: a page,
   * {rows, total, view}. `open(row)`: Enter or a click. `told({total, renewed, error})`: the list has changed. The
   * list ends with `signal`. */
  constructor({ label, columns, cells, ask, open, told, signal }) {
    Object.assign(this, { columns, cells, openRow: open, told });
    this.name = `grid-${(grids += 1)}`;
    this.pages = new Pages(ask, (news) => this.#taken(news));
    this.rows = new Map();
    this.wanted = null;
    this.top = 0;
    this.at = 0;
    this.active = -1;
    const head = el(
      "div",
      { role: "row", "aria-rowindex": "1", class: "row head" },
      columns.map((one) => el("div", { role: "columnheader", class: one.class }, one.title)),
    );
    this.layer = el("div", { role: "rowgroup", class: "layer" });
    this.head = el("div", { role: "rowgroup", class: "heads" }, head);
    this.spacer = el(
      "div",
      { role: "presentation", class: "spacer" },
      el("div", { role: "presentation", class: "window" }, this.layer),
    );
    this.element = el(
      "div",
      {
        role: "grid",
        class: "grid",
        tabindex: "0",
        "aria-label": label,
        "aria-readonly": "true",
        "aria-colcount": columns.length,
        "aria-rowcount": "-1",
        "aria-describedby": "grid-keys",
        "data-key": "grid",
        on: {
          scroll: () => this.#scrolled(),
          keydown: (event) => this.#key(event),
          click: (event) => this.#clicked(event),
          focus: () => this.#focused(),
        },
      },
      this.head,
      this.spacer,
    );
    this.resize = new ResizeObserver(() => this.#measure());
    this.resize.observe(this.element);
    signal.addEventListener("abort", () => this.#end(), { once: true });
  }

  /** Load the list anew, from a position that was remembered, or from its beginning. */
  start(memory = null) {
    this.active = memory?.active ?? -1;
    this.wanted = memory?.row ?? 0;
    this.pages.view = memory?.view ?? "";
    this.pages.load(this.wanted);
  }

  /** The position, for `start`. */
  memory() {
    return { view: this.pages.view, active: this.active, row: this.height ? this.top / this.height : 0 };
  }

  /** Arrange the rows, after the list was put into the page. */
  arrange() {
    this.#measure();
    if (this.wanted !== null && this.height) {
      this.#move(this.wanted * this.height);
      this.wanted = null;
    }
  }

  #end() {
    this.resize.disconnect();
    this.pages.end();
    clearTimeout(this.settling);
  }

  get total() {
    return this.pages.total;
  }

  /** A page has come, or an error instead of it. */
  #taken({ offset, renewed, error }) {
    if (error) {
      this.told({ error });
      return;
    }
    for (const [index, node] of this.rows) {
      if (!renewed && (index < offset || index >= offset + PAGE)) continue;
      node.remove();
      this.rows.delete(index);
    }
    this.active = Math.min(this.active, this.total - 1);
    this.element.setAttribute("aria-rowcount", String(this.total + 1));
    this.arrange();
    this.told({ total: this.total, renewed });
  }

  /** Sizes, which change with the window, the font and the zoom. */
  #measure() {
    const row = this.height ? this.top / this.height : 0;
    const probe = this.#row(-1);
    this.layer.append(probe);
    this.height = probe.getBoundingClientRect().height;
    probe.remove();
    this.sight = Math.max(0, this.element.clientHeight - this.head.offsetHeight);
    if (!this.height || !this.sight) return;
    const whole = Math.min(this.total * this.height, LIMIT);
    this.most = Math.max(0, this.total * this.height - this.sight);
    this.mostBar = Math.max(0, whole - this.sight);
    this.spacer.style.height = `${whole}px`;
    this.spacer.firstChild.style.top = `${this.head.offsetHeight}px`;
    this.spacer.firstChild.style.height = `${Math.min(this.sight, whole)}px`;
    this.#move(row * this.height);
  }

  /** Go to a position in the list, and let the scrollbar follow. */
  #move(top) {
    this.top = Math.max(0, Math.min(top, this.most ?? 0));
    this.element.scrollTop = this.most ? (this.top / this.most) * this.mostBar : 0;
    // As the browser has rounded it: the scroll event that follows has nothing to add.
    this.at = this.element.scrollTop;
    this.#render();
  }

  #scrolled() {
    const at = this.element.scrollTop;
    const moved = at - this.at;
    if (!moved) return;
    this.at = at;
    const exact = this.most === this.mostBar;
    const step = Math.abs(moved) < 3 * this.sight;
    if (exact) this.top = at;
    else if (step) this.top = Math.max(0, Math.min(this.top + moved, this.most));
    // The browser rounds the place of a scrollbar at its end.
    else this.top = at > this.mostBar - 1 ? this.most : (at / this.mostBar) * this.most;
    if (!exact && step) {
      // The scrollbar is put where it belongs when it rests, or when it has come to its end too early.
      clearTimeout(this.settling);
      if (at <= 0 || at >= this.mostBar - 1) this.#move(this.top);
      else this.settling = setTimeout(() => this.#move(this.top), 150);
    }
    this.#render();
  }

  #render() {
    if (!this.height || !this.sight) return;
    const first = Math.max(0, Math.floor(this.top / this.height) - SPARE);
    const last = Math.min(this.total - 1, Math.ceil((this.top + this.sight) / this.height) + SPARE);
    for (const [index, node] of this.rows) {
      if (index >= first && index <= last) continue;
      node.remove();
      this.rows.delete(index);
    }
    let before = null;
    for (let index = first; index <= last; index += 1) {
      let node = this.rows.get(index);
      if (!node) this.rows.set(index, (node = this.#row(index)));
      const place = before ? before.nextSibling : this.layer.firstChild;
      if (node !== place) this.layer.insertBefore(node, place);
      before = node;
    }
    this.layer.style.transform = `translateY(${first * this.height - this.top}px)`;
    this.#mark();
    this.pages.want(first, last);
  }

  #row(index) {
    const data = this.pages.at(index);
    const cells = data ? this.cells(data) : this.columns.map(() => "…");
    return el(
      "div",
      {
        role: "row",
        class: data ? "row" : "row waiting",
        id: `${this.name}-${index}`,
        "aria-rowindex": String(index + 2),
        "aria-busy": data ? null : "true",
        "data-index": String(index),
      },
      this.columns.map((one, at) => el("div", { role: "gridcell", class: one.class }, cells[at])),
    );
  }

  /** Show which row is active; with a new row in its place, tell it to screen readers again. */
  #mark() {
    for (const [index, node] of this.rows) node.classList.toggle("active", index === this.active);
    const node = this.rows.get(this.active);
    if (this.marked === node) return;
    this.marked = node;
    this.element.removeAttribute("aria-activedescendant");
    if (node) this.element.setAttribute("aria-activedescendant", node.id);
  }

  #activate(index) {
    if (!this.total) return;
    this.active = Math.max(0, Math.min(index, this.total - 1));
    const place = this.active * this.height;
    if (place < this.top) this.#move(place);
    else if (place + this.height > this.top + this.sight) this.#move(place + this.height - this.sight);
    else this.#render();
  }

  #focused() {
    if (this.active < 0 && this.total) this.#activate(Math.ceil(this.top / this.height));
  }

  #key(event) {
    if (event.altKey || event.metaKey || event.shiftKey) return;
    const sight = Math.max(1, Math.floor(this.sight / this.height) - 1);
    const steps = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: sight,
      PageUp: -sight,
      Home: -Infinity,
      End: Infinity,
    };
    if (event.key in steps) {
      event.preventDefault();
      this.#activate(this.active + steps[event.key]);
    } else if (event.key === "Enter" && event.target === this.element) {
      const data = this.pages.at(this.active);
      if (data) this.openRow(data);
    }
  }

  #clicked(event) {
    const node = event.target.closest("[data-index]");
    if (!node) return;
    this.active = Number(node.dataset.index);
    this.#mark();
    const data = this.pages.at(this.active);
    // A link acts by itself, and somebody who selects text does not want to go elsewhere.
    if (data && !event.target.closest("a") && getSelection().isCollapsed) this.openRow(data);
  }
}

/** The hint that describes the keys to everybody, screen readers included. */
export const gridKeys = () =>
  el("p", { id: "grid-keys", class: "hint" }, "Keys: ↑ ↓ Page Up Page Down Home End move, Enter opens.");
