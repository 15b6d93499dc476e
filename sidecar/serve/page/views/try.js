// The view Try: a failregex against the last lines of a log that is followed. It changes nothing.
import { get, post } from "../api.js";
import {
  badge,
  button,
  el,
  facts,
  field,
  linkBan,
  logLine,
  mono,
  plain,
  refill,
  section,
  select,
  table,
} from "../dom.js";
import { counted, duration, number } from "../format.js";
import { empty, failed, loading } from "../states.js";

const LINES = [
  ["1000", "1,000"],
  ["10000", "10,000"],
  ["100000", "100,000"],
];

export function show(context) {
  context.title("Try");
  const { log = "", failregex = "", lines = "10000" } = context.parameters;
  const which = select(log ? [[log, log]] : [], log, { required: true });
  const regex = el("textarea", {
    rows: "3",
    spellcheck: "false",
    autocapitalize: "none",
    class: "mono",
    required: true,
  });
  regex.value = failregex;
  const many = select(LINES.some(([value]) => value === lines) ? LINES : [...LINES, [lines, lines]], lines);
  const answer = el("div", { class: "answer", "aria-live": "polite" });
  const run = el("button", { type: "submit", class: "primary" }, "Try");
  const stop = button("Stop", () => asking?.abort(), { hidden: true });
  let asking = null;

  async function attempt(event) {
    event.preventDefault();
    if (!which.value || !regex.value.trim()) return;
    const body = { log: which.value, failregex: regex.value.trim(), lines: Number(many.value) };
    context.readdress(body, true);
    asking?.abort();
    const mine = (asking = new AbortController());
    const leave = () => mine.abort();
    context.signal.addEventListener("abort", leave, { once: true });
    stop.hidden = false;
    answer.replaceChildren(loading(`Reading the last ${number(body.lines)} lines…`));
    try {
      const found = await post("try", body, mine.signal);
      if (!mine.signal.aborted) answer.replaceChildren(...draw(found).filter(Boolean));
    } catch (error) {
      if (context.signal.aborted || asking !== mine) return;
      answer.replaceChildren(mine.signal.aborted ? empty("Stopped.") : failed(error));
    } finally {
      context.signal.removeEventListener("abort", leave);
      if (asking === mine) stop.hidden = true;
    }
  }

  context.main.append(
    el(
      "form",
      { class: "ask", on: { submit: attempt } },
      field("Log", which),
      field(
        "failregex",
        regex,
        "As in a filter, with <HOST> or <ADDR> where the client stands. Nothing is banned or changed.",
      ),
      field("Last lines", many),
      el("div", { class: "buttons" }, run, stop),
    ),
    answer,
  );
  answer.append(
    empty(
      "Shows which lines the failregex matches, who would be banned, and whether good clients are among them.",
    ),
  );
  get("logs", {}, context.signal).then(
    ({ logs }) => {
      const names = logs.filter((one) => one.followed).map((one) => one.source);
      if (log && !names.includes(log)) names.push(log);
      refill(
        which,
        names.map((one) => [one, one]),
        which.value,
      );
      if (!names.length)
        answer.replaceChildren(
          empty("No log is followed, so there is nothing to try on.", "See the Logs view."),
        );
    },
    (error) => context.signal.aborted || answer.replaceChildren(failed(error)),
  );
}

function draw(found) {
  return [
    found.aborted ? el("p", {}, badge("warn", "aborted"), " ", plain(found.aborted)) : null,
    section(
      "Result",
      facts([
        ["Lines read", `${number(found.lines)} in ${duration(found.seconds)}`],
        ["Matched", number(found.matched)],
        ["Framed", found.framed ? badge("warn", number(found.framed)) : "0"],
        [
          "Known-good clients hit",
          found.known_good ? badge("bad", number(found.known_good)) : badge("ok", "0"),
        ],
      ]),
      found.framed
        ? el(
            "p",
            { class: "hint" },
            "Framed: the failregex blames another host than the client that the server itself names. Such lines ban nobody.",
          )
        : null,
    ),
    section(
      "Who would be banned",
      found.hosts.length
        ? table({
            caption: "Hosts, most failures first",
            unseen: true,
            rows: found.hosts,
            columns: [
              { title: "Network", cell: (one) => linkBan(one.network) },
              { title: "Failures", class: "num", cell: (one) => number(one.failures) },
              {
                title: "Good or protected",
                class: "text",
                cell: (one) => [
                  one.known_good ? badge("bad", "known-good") : "",
                  one.protected ? [" ", badge("ok", "protected"), " ", plain(one.protected)] : "",
                  one.known_good || one.protected ? "" : "no",
                ],
              },
            ],
          })
        : empty(
            "Nobody: the failregex blames no host.",
            found.matched
              ? ""
              : "Does it match the part of the line behind the date? zmban regex on the host shows how each line is read.",
          ),
    ),
    section(
      "Hits",
      found.hits.length
        ? [
            el("p", { class: "hint" }, `${counted(found.hits.length, "line")} of ${number(found.matched)}.`),
            el(
              "ol",
              { class: "lines" },
              found.hits.map((one) =>
                el(
                  "li",
                  {},
                  el(
                    "span",
                    { class: "host" },
                    one.host ? mono(one.host) : "no host",
                    one.framed ? [" ", badge("warn", "framed")] : "",
                  ),
                  logLine(one.line),
                ),
              ),
            ),
          ]
        : empty("No line matches."),
    ),
  ];
}
