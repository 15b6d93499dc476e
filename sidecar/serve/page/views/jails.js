// The view Jails: all jails with their counters, and one jail with settings, regexes and near misses.
import { switchDryRun } from "../act.js";
import { acting } from "../sign.js";
import { get, session } from "../api.js";
import {
  address,
  badge,
  button,
  el,
  facts,
  linkBan,
  linkJail,
  mono,
  plain,
  renew,
  section,
  table,
} from "../dom.js";
import { counted, duration, encoded, number } from "../format.js";
import { empty, load } from "../states.js";
import { explained } from "../words.js";

export function show(context) {
  if (context.parts[1]) showOne(context, context.parts[1]);
  else showAll(context);
}

const stateOf = (jail) => [
  badge(jail.state === "running" ? "ok" : "warn", jail.state),
  jail.dry_run ? [" ", badge("warn", "dry run")] : "",
];

const lengthOf = (seconds) => (seconds === null || seconds < 0 ? "for ever" : duration(seconds));

function showAll(context) {
  context.title("Jails");
  const box = el("div");
  context.main.append(box);
  const again = load(
    context,
    box,
    (signal) => get("jails", {}, signal),
    (found) =>
      renew(
        box,
        drawAll(found, () => again()),
      ),
    { text: "Loading the jails…", again: 10_000 },
  );
}

function drawAll({ jails, stopped }, again) {
  const columns = [
    { title: "Jail", cell: (one) => linkJail(one.jail) },
    { title: "State", class: "text", cell: stateOf },
    {
      title: "Banned",
      class: "num",
      cell: (one) => [number(one.banned), one.dry_bans ? ` + ${number(one.dry_bans)} dry` : ""],
    },
    { title: "Failing", class: "num", cell: (one) => number(one.failing) },
    { title: "Near misses", class: "num", cell: (one) => number(one.near_misses) },
    { title: "Matches", class: "num", cell: (one) => number(one.matches) },
    { title: "Failures", class: "num", cell: (one) => number(one.failures) },
    { title: "maxretry", class: "num", cell: (one) => number(one.maxretry) },
    { title: "findtime", class: "num", cell: (one) => duration(one.findtime) },
    { title: "bantime", class: "num", cell: (one) => lengthOf(one.bantime) },
    session.can_act && { title: "Action", cell: (one) => dryRun(one, again) },
  ].filter(Boolean);
  return [
    stopped.length
      ? section(
          "Stopped",
          el(
            "ul",
            { class: "problems" },
            stopped.map((one) =>
              el(
                "li",
                { class: "bad" },
                badge("bad", "stopped"),
                el(
                  "div",
                  {},
                  el("p", {}, mono(one.jail), ": ", plain(one.why)),
                  el(
                    "p",
                    { class: "hint" },
                    "Cure: correct the file, then zmban reload. zmban check prints every fault.",
                  ),
                ),
              ),
            ),
          ),
        )
      : null,
    section(
      "Running",
      jails.length
        ? [
            el(
              "p",
              { class: "hint" },
              "Failing: networks with failures that count now. Near miss: one failure short of a ban. Matches, failures: since the service started.",
            ),
            table({ caption: "Running jails", unseen: true, style: "dense", columns, rows: jails }),
          ]
        : empty(
            "No jail runs.",
            "Enable jails in jail.d/*.local and run zmban reload; zmban check prints every fault.",
          ),
    ),
  ];
}

const dryRun = (jail, again) =>
  button(
    jail.dry_run ? "Dry run is on…" : "Dry run is off…",
    async () => (await switchDryRun(jail)) && again(),
    {
      "data-key": `dry ${jail.jail}`,
      "aria-label": `Dry run of ${jail.jail} is ${jail.dry_run ? "on" : "off"}; switch`,
    },
  );

function showOne(context, name) {
  context.title(name);
  const box = el("div");
  context.main.prepend(el("p", { class: "path" }, el("a", { href: "#/jails" }, "Jails"), " / ", mono(name)));
  context.main.append(box);
  const again = load(
    context,
    box,
    (signal) => get(`jails/${encoded(name)}`, {}, signal),
    (found) =>
      renew(
        box,
        drawOne(found, () => again()),
      ),
    { text: "Loading the jail…", again: 10_000 },
  );
}

function drawOne(jail, again) {
  const refused = Object.entries(jail.refused ?? {});
  return [
    el(
      "p",
      { class: "verdict" },
      stateOf(jail),
      jail.switched === null ? "" : el("span", {}, "dry run was switched at run time"),
    ),
    jail.why.length
      ? el(
          "ul",
          { class: "problems" },
          jail.why.map((one) =>
            el("li", { class: "warn" }, badge("warn", "degraded"), el("p", {}, plain(one))),
          ),
        )
      : null,
    acting(dryRun(jail, again)),
    facts([
      ["Banned", el("a", { href: address(["bans"], { jail: jail.jail }) }, counted(jail.banned, "ban"))],
      ["Dry-run bans", jail.dry_bans ? number(jail.dry_bans) : null],
      ["Failing", counted(jail.failing, "network")],
      ["Matches", number(jail.matches)],
      ["Failures", number(jail.failures)],
      ["Bans since the start", number(jail.bans)],
      ["maxretry", `${number(jail.maxretry)} within ${duration(jail.findtime)}`],
      ["bantime", lengthOf(jail.bantime)],
    ]),
    section("Near misses", drawMissed(jail)),
    section(
      "Refused",
      refused.length
        ? table({
            caption: "Failures that were refused, since the start",
            unseen: true,
            rows: refused,
            columns: [
              { title: "Reason", class: "text", cell: ([reason]) => explained(reason) },
              { title: "Times", class: "num", cell: ([, times]) => number(times) },
            ],
          })
        : empty("No failure was refused since the start."),
    ),
    section("Regexes", drawRegexes(jail)),
    section(
      "Logs",
      jail.logs.length
        ? el(
            "ul",
            {},
            jail.logs.map((one) => el("li", {}, mono(one))),
          )
        : empty("No log of this jail is read.", "The Logs view says why."),
    ),
    section(
      "Settings in force",
      table({
        caption: "Settings in force",
        unseen: true,
        rows: jail.settings,
        columns: [
          { title: "Option", cell: (one) => mono(one.option) },
          {
            title: "Value",
            class: "text",
            cell: (one) =>
              el(
                "code",
                { class: "value" },
                String(one.value ?? "")
                  .split("\n")
                  .map((line, index) => [index ? el("br") : "", plain(line)]),
              ),
          },
          {
            title: "From",
            class: "text",
            cell: (one) => (one.file ? mono(one.line ? `${one.file}:${one.line}` : one.file) : "default"),
          },
        ],
      }),
    ),
  ];
}

function drawMissed(jail) {
  if (!jail.missed.length) return empty("No network is one failure short of a ban.");
  return [
    table({
      caption: "Networks one failure short of a ban",
      unseen: true,
      rows: jail.missed,
      columns: [
        { title: "Network", cell: (one) => linkBan(one.network) },
        {
          title: "Failures",
          class: "num",
          cell: (one) => `${number(one.failures)} of ${number(one.maxretry)}`,
        },
        {
          title: "Why",
          cell: (one) =>
            el(
              "a",
              { href: address(["explain"], { address: one.network }), "data-key": `why ${one.network}` },
              "explain",
              el("span", { class: "unseen" }, ` ${one.network}`),
            ),
        },
      ],
    }),
    jail.near_misses > jail.missed.length
      ? el("p", { class: "hint" }, `${number(jail.missed.length)} of ${number(jail.near_misses)} are shown.`)
      : null,
  ];
}

function drawRegexes(jail) {
  if (!jail.regexes.length) return empty("The filter has no failregex.");
  return table({
    caption: "failregexes and their hits since the start",
    unseen: true,
    rows: jail.regexes,
    lead: false,
    columns: [
      { title: "Hits", class: "num", cell: (one) => number(one.hits) },
      {
        title: "failregex",
        class: "text",
        cell: (one) => [
          el("code", { class: "value" }, plain(one.regex, {}, 4000)),
          one.file ? el("div", { class: "hint" }, mono(`${one.file}:${one.line}`)) : null,
        ],
      },
      {
        title: "Test",
        cell: (one) =>
          el(
            "a",
            {
              href: address(["try"], { log: jail.logs[0] ?? "", failregex: one.regex }),
              "data-key": `try ${one.regex}`,
            },
            "try",
          ),
      },
    ],
  });
}
