// The pages of a long list that is frozen on the server: which are at hand, which are asked for, which are dropped.

export const PAGE = 100;
// Pages kept: a tab left open must not grow.
const MOST = 40;
// While somebody drags the scrollbar, pages that only fly by are not asked for (milliseconds).
const REST = 80;

const pageOf = (index) => Math.floor(index / PAGE) * PAGE;

export class Pages {
  #pages = new Map();
  #asked = new Map();
  #resting = null;

  /** `ask(offset, view, signal)` gets a page, {rows, total, view}; `told({offset, renewed, error})` hears of each. */
  constructor(ask, told) {
    this.ask = ask;
    this.told = told;
    this.view = "";
    this.total = 0;
  }

  /** The row at a place, undefined while it is not at hand. */
  at(index) {
    const offset = pageOf(index);
    return this.#pages.get(offset)?.[index - offset];
  }

  /** These rows are in sight: get what is missing of them, and nothing else any more. */
  want(first, last) {
    clearTimeout(this.#resting);
    const wanted = new Set();
    for (let offset = pageOf(first); offset <= last; offset += PAGE) wanted.add(offset);
    for (const [offset, asking] of this.#asked) {
      if (wanted.has(offset)) continue;
      asking.abort();
      this.#asked.delete(offset);
    }
    const missing = [...wanted].filter((offset) => !this.#pages.has(offset) && !this.#asked.has(offset));
    if (missing.length)
      this.#resting = setTimeout(() => missing.forEach((offset) => this.load(offset)), REST);
  }

  /** Get the page of a row. */
  async load(index) {
    const offset = pageOf(index);
    if (this.#asked.has(offset) || this.#pages.has(offset)) return;
    const asking = new AbortController();
    this.#asked.set(offset, asking);
    try {
      const page = await this.ask(offset, this.view, asking.signal);
      if (asking.signal.aborted) return;
      this.#asked.delete(offset);
      this.#take(offset, page);
    } catch (error) {
      if (asking.signal.aborted) return;
      this.#asked.delete(offset);
      this.told({ offset, error });
    }
  }

  #take(offset, { rows, total, view }) {
    const renewed = this.view !== "" && view !== this.view;
    // The server has dropped the view: the pages at hand belong to another list.
    if (renewed) this.#pages.clear();
    this.view = view;
    this.total = total;
    this.#pages.set(offset, rows);
    if (this.#pages.size > MOST) {
      const far = [...this.#pages.keys()].reduce((a, b) =>
        Math.abs(a - offset) >= Math.abs(b - offset) ? a : b,
      );
      this.#pages.delete(far);
    }
    this.told({ offset, renewed });
  }

  /** Ask for nothing more. */
  end() {
    clearTimeout(this.#resting);
    for (const asking of this.#asked.values()) asking.abort();
    this.#asked.clear();
  }
}
