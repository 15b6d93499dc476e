// Bars over time, drawn as SVG with axes, and the same figures as a table.
import { el, svg, table, time } from "../dom.js";
import { clock, counted, local, number } from "../format.js";

const LEFT = 40;
const RIGHT = 4;
const PANEL = 74;
const GAP = 24;
const SERIES = [
  ["failures", "failure"],
  ["bans", "ban"],
];

/** The smallest round number that is not below the greatest value: 1, 2, 5, 10, 20, … */
function roundUp(value) {
  let power = 1;
  while (power * 10 <= value) power *= 10;
  return [1, 2, 5, 10].map((factor) => factor * power).find((round) => round >= value) ?? value;
}

const total = (points, key) => points.reduce((sum, point) => sum + point[key], 0);

/** One sentence that says what the bars show. */
function summary(points, [key, word]) {
  const peak = points.reduce((a, b) => (b[key] > a[key] ? b : a), points[0]);
  const most = total(points, key) ? `, at most ${number(peak[key])} at ${clock(peak.at, false)}` : "";
  return `${counted(total(points, key), word)}${most}`;
}

/** A figure of `points` ([{at, and a number for each series}], oldest first, `step` seconds apart). A series has a
 * key and the word that it counts. The figure draws itself anew if its width changes, until the signal aborts. */
export class Plot {
  constructor({ title, step, tick, signal, series = SERIES }) {
    Object.assign(this, { step, tick, series });
    this.points = [];
    this.drawing = el("div", { class: "drawing" });
    this.caption = el("p", { class: "reading", "aria-hidden": "true" });
    this.rows = el("div", {
      class: "scroll",
      tabindex: "0",
      role: "region",
      "aria-label": `${title}: table`,
    });
    this.details = el(
      "details",
      { "data-key": title, on: { toggle: () => this.#tabulate() } },
      el("summary", {}, "As a table"),
      this.rows,
    );
    this.title = title;
    this.element = el(
      "figure",
      { class: "plot" },
      el("figcaption", {}, title),
      this.drawing,
      this.caption,
      this.details,
    );
    const resized = new ResizeObserver(() => this.drawing.clientWidth !== this.width && this.#draw());
    resized.observe(this.drawing);
    signal.addEventListener("abort", () => resized.disconnect(), { once: true });
  }

  show(points) {
    this.points = points;
    this.#draw();
    this.#tabulate();
  }

  #tabulate() {
    if (!this.details.open) {
      this.rows.replaceChildren();
      return;
    }
    this.rows.replaceChildren(
      table({
        caption: `${this.title}, newest first`,
        unseen: true,
        columns: [
          { title: "From", cell: (point) => time(point.at) },
          ...this.series.map(([key]) => ({
            title: key[0].toUpperCase() + key.slice(1),
            class: "num",
            cell: (point) => number(point[key]),
          })),
        ],
        rows: [...this.points].reverse(),
      }),
    );
  }

  #read(point) {
    this.caption.textContent = point
      ? `${clock(point.at, false)}–${clock(point.at + this.step, false)}: ${this.series.map(([key, word]) => counted(point[key], word)).join(", ")}`
      : "";
  }

  #draw() {
    const width = Math.floor(this.drawing.clientWidth);
    if (!width || !this.points.length) return;
    this.width = this.drawing.clientWidth;
    const height = this.series.length * (PANEL + GAP) + 6;
    const bar = (width - LEFT - RIGHT) / this.points.length;
    const label = `${this.title}. ${this.series.map((one) => summary(this.points, one)).join("; ")}.`;
    const parts = this.series.flatMap((one, row) => this.#panel(one, row * (PANEL + GAP) + 16, bar, width));
    this.drawing.replaceChildren(
      svg(
        "svg",
        {
          role: "img",
          "aria-label": label,
          width,
          height,
          viewBox: `0 0 ${width} ${height}`,
          on: {
            pointermove: (event) => this.#read(this.points[Math.floor((event.offsetX - LEFT) / bar)]),
            pointerleave: () => this.#read(null),
          },
        },
        parts,
      ),
    );
  }

  /** One series: its name, two lines of the scale, its bars, and the times below the last one. */
  #panel([key, word], y, bar, width) {
    const most = roundUp(Math.max(1, ...this.points.map((point) => point[key])));
    const floor = y + PANEL - 8;
    const scale = [0, most].flatMap((value) => {
      const at = floor - (value / most) * (PANEL - 8) + 0.5;
      return [
        svg("line", { class: "scale", x1: LEFT, x2: width - RIGHT, y1: at, y2: at }),
        svg("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, number(value)),
      ];
    });
    const bars = this.points
      .filter((point) => point[key] > 0)
      .map((point) => {
        const tall = Math.max(1.5, (point[key] / most) * (PANEL - 8));
        const x = LEFT + this.points.indexOf(point) * bar;
        return svg(
          "rect",
          {
            class: `bar ${key}`,
            x: x + bar * 0.1,
            y: floor - tall,
            width: Math.max(1, bar * 0.8),
            height: tall,
          },
          svg("title", {}, `${local(point.at)}: ${counted(point[key], word)}`),
        );
      });
    const name = svg(
      "text",
      { class: "name", x: LEFT, y: y - 5 },
      `${key} (${number(total(this.points, key))})`,
    );
    const last = key === this.series.at(-1)[0];
    return [...scale, ...bars, name, ...this.#times(floor, bar, width, last)];
  }

  /** A mark at each full `tick` seconds of the local clock; the last panel also has the times. */
  #times(floor, bar, width, named) {
    const marks = [];
    for (const [index, point] of this.points.entries()) {
      const zone = new Date(point.at * 1000).getTimezoneOffset() * 60;
      if ((point.at - zone) % this.tick >= this.step) continue;
      const x = LEFT + index * bar;
      marks.push(svg("line", { class: "scale", x1: x, x2: x, y1: floor, y2: floor + 4 }));
      if (named && x > LEFT + 10 && x < width - 20)
        marks.push(svg("text", { x, y: floor + 15, "text-anchor": "middle" }, clock(point.at, false)));
    }
    return marks;
  }
}
