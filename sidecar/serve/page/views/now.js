// The view Now: whether bans are enforced and what is wrong, plots, newest bans, proposals, allowed networks.
import { allow, ban, disallow } from "../act.js";
import { acting } from "../sign.js";
import { get, session } from "../api.js";
import {
  badge,
  button,
  el,
  facts,
  linkBan,
  logLine,
  mono,
  plain,
  renew,
  section,
  table,
  time,
  until,
} from "../dom.js";
import { stream } from "../events.js";
import { large, number } from "../format.js";
import { Plot } from "../parts/plot.js";
import { empty, load } from "../states.js";
import { newestBans } from "./live.js";
import { findings, problems } from "../words.js";

export function show(context) {
  context.title("Now");
  const health = el("div");
  const finds = el("div");
  const proposed = el("div");
  const allowed = el("div");
  context.main.append(
    section("Health", health),
    section("Last hour and day", ...plots(context)),
    section("Newest bans", ...newestBans(context)),
    section("Proposals", proposed),
    section("Allowed networks", allowed),
    section("Findings", finds),
  );
  let shown = "";
  let enforced = null;
  const again = load(
    context,
    health,
    (signal) => get("status", {}, signal),
    (status) => {
      // Counters change all the time; what nobody would see is not drawn anew.
      const text = JSON.stringify([
        session.can_act,
        status.enforced,
        status.ready,
        problems(status),
        status.networks_banned,
        status.dry_bans,
        status.bans_suspended,
        status.known_good,
        hosts(status.cluster),
        status.mail_servers,
        status.proposals,
        findings(status),
      ]);
      if (text === shown && health.querySelector(".facts")) return;
      shown = text;
      renew(health, ...drawHealth(status));
      renew(proposed, drawProposals(status.proposals ?? []));
      renew(finds, drawFindings(findings(status)));
    },
    { text: "Asking for the state of the service…", again: 10_000 },
  );
  stream.addEventListener(
    "status",
    ({ detail }) => {
      // A change of the state is shown at once.
      if (enforced !== null && enforced !== detail.enforced) again();
      enforced = detail.enforced;
    },
    { signal: context.signal },
  );
  stream.addEventListener("reset", again, { signal: context.signal });
  drawAllowed(context, allowed);
}

/** The other hosts of the group; null without a cluster. */
function hosts(cluster) {
  if (!cluster) return null;
  const away = cluster.up ? "" : "cannot be reached; ";
  const due = cluster.due ? `, ${number(cluster.due)} decisions to tell` : "";
  const waiting = cluster.waiting ? `, ${number(cluster.waiting)} of theirs beyond their quota` : "";
  return `${away}${number(cluster.here)} of ${number(cluster.peers)} in ${cluster.group}${due}${waiting}`;
}

function drawHealth(status) {
  const found = problems(status);
  const word = status.enforced ? badge("ok", "enforced") : badge("bad", "NOT ENFORCED");
  return [
    facts([
      [
        "Bans",
        [
          status.dry_run ? badge("warn", "dry run") : word,
          status.ready ? "" : [" ", badge("warn", "not ready")],
        ],
      ],
      ["Networks banned", number(status.networks_banned)],
      ["Dry-run bans", status.dry_bans ? number(status.dry_bans) : null],
      ["Suspended bans", status.bans_suspended ? number(status.bans_suspended) : null],
      ["Known-good clients", number(status.known_good)],
      ["Known mail servers", number(status.mail_servers)],
      ["Other hosts", hosts(status.cluster)],
      ["Running since", [time(status.since, { relative: true })]],
    ]),
    found.length
      ? el("ul", { class: "problems", "aria-label": "Problems" }, found.map(drawProblem))
      : el(
          "p",
          { class: "good" },
          badge("ok", "no problems"),
          " All logs are read, and the kernel refuses the banned.",
        ),
  ];
}

function drawProblem({ kind, text, cure }) {
  const word = { bad: "problem", warn: "warning", none: "note" }[kind];
  return el(
    "li",
    { class: kind },
    badge(kind, word),
    el("div", {}, el("p", {}, plain(text)), cure ? el("p", { class: "hint" }, "Cure: ", plain(cure)) : null),
  );
}

function drawFindings(found) {
  if (!found.length)
    return empty("No findings: no forged lines, no password sprays, no clients that were spared.");
  return el(
    "ul",
    { class: "findings" },
    found.map(({ word, text, line }) =>
      el("li", {}, el("strong", {}, word), " ", plain(text), line ? logLine(line) : null),
    ),
  );
}

/** Failures and bans of the last hour and of the last day, drawn anew every half minute. */
function plots(context) {
  const hour = new Plot({ title: "Last hour, by minute", step: 60, tick: 600, signal: context.signal });
  const day = new Plot({
    title: "Last day, by quarter of an hour",
    step: 900,
    tick: 4 * 3600,
    signal: context.signal,
  });
  const box = el("div");
  const both = el("div", { class: "plots" }, hour.element, day.element);
  load(
    context,
    box,
    (signal) => get("rates", {}, signal),
    (rates) => {
      if (both.parentNode !== box) box.replaceChildren(both);
      hour.show(rates.hour);
      day.show(rates.day);
    },
    { again: 30_000 },
  );
  return [box];
}

function drawProposals(proposals) {
  if (!proposals.length)
    return empty("No network has so many banned addresses that a ban of the whole network is worth it.");
  return [
    el(
      "p",
      { class: "hint" },
      "Networks with many banned addresses. To ban one as a whole also bans its other addresses.",
    ),
    table({
      caption: "Networks worth a ban as a whole",
      unseen: true,
      rows: proposals,
      columns: [
        { title: "Network", cell: (one) => linkBan(one.network) },
        { title: "Banned", class: "num", cell: (one) => number(one.banned) },
        { title: "Addresses", class: "num", cell: (one) => large(one.addresses) },
        { title: "Stay reachable", class: "num", cell: (one) => number(one.kept_reachable) },
        {
          title: "Good logins",
          class: "num",
          cell: (one) => (one.good_logins ? badge("warn", number(one.good_logins)) : "0"),
        },
        {
          title: "Mail exchanged",
          class: "num",
          cell: (one) => (one.delivered_to ? badge("warn", number(one.delivered_to)) : "0"),
        },
        session.can_act && {
          title: "Action",
          cell: (one) =>
            button(["Ban ", mono(one.network), "…"], () => ban(one.network), {
              "data-key": `ban ${one.network}`,
            }),
        },
      ].filter(Boolean),
    }),
  ];
}

function drawAllowed(context, box) {
  const again = load(
    context,
    box,
    (signal) => get("allowed", {}, signal),
    ({ allowed }) => {
      const content = allowed.length
        ? table({
            caption: "Allowed networks",
            unseen: true,
            rows: allowed,
            columns: [
              { title: "Network", cell: (one) => mono(one.network) },
              { title: "Until", cell: (one) => until(one.until) },
              { title: "Reason", class: "text", cell: (one) => plain(one.reason) },
              { title: "By", cell: (one) => plain(one.by ?? "–") },
              session.can_act && {
                title: "Action",
                cell: (one) =>
                  button(
                    ["Remove ", mono(one.network), "…"],
                    async () => (await disallow(one.network)) && again(),
                    { "data-key": `remove ${one.network}` },
                  ),
              },
            ].filter(Boolean),
          })
        : empty(
            "No network is allowed. An allowed network is not banned, for a time: for a security test, or a customer on the telephone.",
          );
      renew(
        box,
        content,
        acting(button("Allow a network…", async () => (await allow()) && again(), { "data-key": "allow" })),
      );
    },
    { again: 60_000 },
  );
}
