// The view Review: the report of a day, with what a person can do about it.
import { adopt, ban, refuseDomain } from "../act.js";
import { get, session } from "../api.js";
import { address, button, el, facts, field, logLine, plain, renew, section, select, table, time } from "../dom.js";
import { shortened } from "../format.js";
import { Plot } from "../parts/plot.js";
import { acting } from "../sign.js";
import { empty, load } from "../states.js";

const ACTS = {
  ban: ["Ban…", (name) => ban(name)],
  domain: ["Refuse…", (name) => refuseDomain(name)],
};

export function show(context) {
  context.title("Review");
  const { day = "" } = context.parameters;
  const box = el("div");
  const bar = el("div", { class: "bar" });
  let fresh = false;
  context.main.append(bar, box);
  const again = load(
    context,
    box,
    (signal) => get("review", { day, fresh: fresh || null }, signal),
    (report) => {
      fresh = false;
      drawBar(bar, report, () => {
        fresh = true;
        again();
      });
      renew(box, draw(context, report));
    },
    { text: "Building the report…" },
  );
}

function drawBar(bar, report, anew) {
  const days = [...new Set([report.day, ...report.days])];
  const choice = select(
    days.map((one) => [one, shortened(one, 12)]),
    report.day,
    {
      on: {
        change: (event) => {
          location.hash = address(["review"], { day: event.target.value });
        },
      },
    },
  );
  renew(bar, field("Day", choice), el("p", {}, "Made ", time(report.made, { relative: true }), "."), button("Build it now", anew));
}

function draw(context, report) {
  const shown = report.sections.map((one) => drawSection(report, one));
  return [plots(context, report.day, report.hours), ...shown, shown.length ? null : empty("Nothing to report.")];
}

/** Traffic per hour. The hours are those of the log. */
function plots(context, day, hours) {
  const plot = new Plot({
    title: "Mail per hour",
    step: 3600,
    tick: 3 * 3600,
    signal: context.signal,
    series: [
      ["received", "message"],
      ["rejected", "rejection"],
    ],
  });
  const begin = new Date(`${day}T00:00:00`).getTime() / 1000;
  setTimeout(() => plot.show(hours.map((one, hour) => ({ at: begin + hour * 3600, ...one }))));
  return plot.element;
}

function drawSection(report, one) {
  const rows = one.rows.length ? (one.columns.some(Boolean) ? rowsOf(one) : factsOf(one)) : null;
  const lines = one.lines.map((line) => logLine(line));
  const note = one.note ? el("p", { class: "hint" }, plain(one.note)) : null;
  const act =
    one.act === "adopt"
      ? acting(button("Adopt as a dry-run jail…", () => adopt(report.day, one.subject), { "data-key": `adopt-${one.subject}` }))
      : null;
  return section(shortened(one.title, 120), note, rows, lines, act);
}

/** A table without titles: names and values. */
const factsOf = (one) => facts(one.rows.map(([name, value]) => [shortened(name, 60), plain(value)]));

function rowsOf(one) {
  const columns = one.columns.map((title, index) => ({
    title: shortened(title.replace(/^#/, ""), 16),
    class: title.startsWith("#") ? "num" : "text",
    cell: (row) => plain(row[index]),
  }));
  const act = ACTS[one.act];
  if (act && session.can_act)
    columns.push({
      title: "Act",
      cell: ([name]) => button(act[0], () => act[1](name), { class: "small", "data-key": `${one.act}-${name}` }),
    });
  return table({ caption: shortened(one.title, 120), unseen: true, style: "dense", rows: one.rows, columns });
}
