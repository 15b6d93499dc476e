// The view Logs: which logs are read, how far behind, in which time zone, and what is wrong.
import { get } from "../api.js";
import { badge, el, linkJail, mono, plain, renew, section, table, time } from "../dom.js";
import { duration, number } from "../format.js";
import { empty, load } from "../states.js";

export function show(context) {
  context.title("Logs");
  const box = el("div");
  context.main.append(box);
  load(
    context,
    box,
    (signal) => get("logs", {}, signal),
    ({ logs }) => renew(box, draw(logs)),
    { text: "Loading the logs…", again: 5000 },
  );
}

function stateOf(log) {
  if (log.error) return [badge("bad", "not read"), " ", plain(log.error)];
  if (!log.followed) return badge("none", "read under another name");
  return log.caught_up ? badge("ok", "live") : badge("warn", "catching up");
}

const size = (bytes) => {
  const power = Math.min(4, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** power).toFixed(power ? 1 : 0)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
};

function zone(log) {
  if (!log.followed) return "–";
  return [plain(log.zone ?? "in the dates"), log.zone_learnt ? " (learned)" : ""];
}

function draw(logs) {
  if (!logs.length)
    return empty(
      "No jail names a log.",
      "Set logpath in a jail, then zmban reload; zmban check prints every fault.",
    );
  const broken = logs.filter((one) => one.error).length;
  return [
    broken
      ? el(
          "p",
          {},
          badge("bad", `${number(broken)} not read`),
          " Attacks that only these logs show are not seen. ",
          el(
            "span",
            { class: "hint" },
            "Cure: mount the directory of the log, permit zmban to read it, or correct logpath of the jail.",
          ),
        )
      : null,
    section(
      "Logs of the jails",
      table({
        caption: "Logs that jails name",
        style: "dense",
        unseen: true,
        rows: logs,
        columns: [
          { title: "Log", cell: (one) => mono(one.source) },
          { title: "State", class: "text", cell: stateOf },
          {
            title: "Lag",
            class: "num",
            cell: (one) => (one.lag === null || one.lag === undefined ? "–" : duration(one.lag)),
          },
          {
            title: "Last line",
            cell: (one) => (one.last_line ? time(one.last_line, { relative: true }) : "–"),
          },
          { title: "Zone", cell: zone },
          { title: "Lines", class: "num", cell: (one) => number(one.lines) },
          { title: "Candidates", class: "num", cell: (one) => number(one.candidates) },
          { title: "Read", class: "num", cell: (one) => size(one.bytes ?? 0) },
          {
            title: "Jails",
            class: "text",
            cell: (one) => one.jails.map((jail, index) => [index ? ", " : "", linkJail(jail)]),
          },
        ],
      }),
      el(
        "p",
        { class: "hint" },
        "Lag: age of the last line when it was read. Candidates: lines that pass the prefilter. Counted since the service started.",
      ),
    ),
  ];
}
