// The view of one network: its bans and why, evidence, what covers it, its neighbours, its history; and what to do.
import { allow, ban, unban } from "../act.js";
import { coverage } from "../parts/preview.js";
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
import { counted, duration, encoded, number } from "../format.js";
import { empty, load } from "../states.js";
import { explained, stateOf } from "../words.js";

export function show(context) {
  const network = context.parts[1];
  context.title(network);
  const box = el("div");
  let shown = network;
  context.main.prepend(el("p", { class: "path" }, el("a", { href: "#/bans" }, "Bans"), " / ", mono(network)));
  context.main.append(box);
  const again = load(
    context,
    box,
    (signal) => get(`bans/${encoded(network)}`, {}, signal),
    (found) => {
      shown = found.network;
      context.title(found.network);
      renew(
        box,
        draw(found, () => again()),
      );
    },
    { text: "Loading what is known of this network…" },
  );
  const concerned = ({ detail }) => detail.network === shown && again();
  for (const type of ["ban", "extend", "unban"])
    stream.addEventListener(type, concerned, { signal: context.signal });
  stream.addEventListener("reset", again, { signal: context.signal });
}

const jailOf = (one) => (one.origin === "log" ? linkJail(one.jail) : plain(one.jail));

/** Bans as a table, for those inside, around and beside. */
function bansTable(caption, bans, total = bans.length) {
  return [
    table({
      caption,
      unseen: true,
      rows: bans,
      style: "brief",
      columns: [
        { title: "Network", cell: (one) => linkBan(one.network) },
        { title: "Since", cell: (one) => time(one.since) },
        { title: "Jail", cell: jailOf },
        {
          title: "Until",
          cell: (one) => (one.until === null ? "for ever" : time(one.until, { relative: true })),
        },
        { title: "State", cell: stateOf },
        { title: "Reason", class: "text", cell: (one) => plain(one.reason ?? "", {}, 200) },
      ],
    }),
    total > bans.length
      ? el("p", { class: "hint" }, `${number(bans.length)} of ${number(total)} are shown.`)
      : null,
  ];
}

function draw(found, again) {
  const parts = [drawVerdict(found), actions(found, again), found.bans.map((one) => drawBan(one))];
  if (!found.bans.length) {
    parts.push(
      empty(
        "This network has no ban of its own.",
        found.covering.length ? "It is covered by a wider ban, see below. " : "",
        el("a", { href: address(["explain"], { address: found.network }) }, "Explain"),
        " says what jails know of it.",
      ),
    );
  }
  if (found.protected.length)
    parts.push(
      section(
        "Protected",
        el(
          "ul",
          {},
          found.protected.map((one) => el("li", {}, explained(one))),
        ),
      ),
    );
  if (found.covering.length)
    parts.push(section("Wider bans that cover it", bansTable("Wider bans that cover it", found.covering)));
  parts.push(drawFailures(found.failures), drawAccounts(found.accounts));
  if (found.inside.total)
    parts.push(section("Bans inside", bansTable("Bans inside", found.inside.bans, found.inside.total)));
  parts.push(drawHistory(found.history), drawNeighbours(found, again));
  if (found.covers.addresses > 1) parts.push(section("What a ban covers", coverage(found.covers)));
  return parts;
}

function drawVerdict({ bans, covering, kernel }) {
  const refused =
    kernel.refused === true
      ? badge("ok", "kernel refuses")
      : kernel.refused === false
        ? badge("none", "kernel does not refuse")
        : badge("none", "kernel not asked");
  const word =
    bans.length || covering.length
      ? bans.some((one) => one.enforced) || covering.some((one) => one.enforced)
        ? badge("bad", "banned")
        : badge("warn", "banned, not enforced")
      : badge("none", "not banned");
  return el("p", { class: "verdict" }, word, refused, " ", plain(kernel.told ?? ""));
}

function actions(found, again) {
  const done = async (what) => (await what) && again();
  return acting(
    found.bans.length
      ? button("Unban…", () =>
          done(
            unban(
              found.network,
              found.bans.map((one) => one.jail),
            ),
          ),
        )
      : null,
    button(found.bans.length ? "Ban by hand…" : "Ban…", () => done(ban(found.network)), { class: "danger" }),
    button("Allow…", () => done(allow(found.network))),
    el("span", { class: "hint" }, "as ", plain(session.name ?? "", {}, 30)),
  );
}

function drawBan(one) {
  const by = one.by ? [" by ", plain(one.by)] : "";
  return el(
    "section",
    { class: "ban", "aria-label": `Ban by ${one.jail}` },
    el("h2", {}, "Ban by ", jailOf(one), " ", stateOf(one)),
    facts([
      ["Why", plain(one.reason || "no reason was given")],
      ["Since", [time(one.since), " (", time(one.since, { relative: true }), ")"]],
      ["Until", until(one.until)],
      ["Length", one.until === null ? null : duration(one.until - one.since)],
      [
        "Origin",
        [
          plain(
            { log: "a log", manual: "by hand", import: "imported", cluster: "another host" }[one.origin] ??
              one.origin,
          ),
          by,
        ],
      ],
      ["Ban number", one.count > 1 ? `${number(one.count)} of this network by this jail` : null],
      ["Failures", one.failures ? number(one.failures) : null],
      ["Suspended because", one.suspended && plain(one.suspended)],
      ["Bans inside", one.folded ? counted(one.folded, "single ban") : null],
      ["Part of", one.folded_into && linkBan(one.folded_into)],
    ]),
    el("h3", {}, "Evidence"),
    one.evidence?.length
      ? el(
          "ol",
          { class: "lines" },
          one.evidence.map((line) => el("li", {}, logLine(line))),
        )
      : empty(
          "No log lines are kept with this ban.",
          one.origin === "log" ? "" : "Bans by hand and imports have lines only if somebody gave them.",
        ),
  );
}

function drawFailures(failures) {
  if (!failures.length) return null;
  return section(
    "Failures that count now",
    table({
      caption: "Failures that count now",
      unseen: true,
      rows: failures,
      columns: [
        { title: "Jail", cell: (one) => linkJail(one.jail) },
        { title: "Network", cell: (one) => mono(one.network) },
        {
          title: "Failures",
          class: "num",
          cell: (one) => `${number(one.failures)} of ${number(one.maxretry)}`,
        },
      ],
    }),
  );
}

function drawAccounts(accounts) {
  if (!accounts.length) return null;
  return section(
    "Accounts in the evidence",
    table({
      caption: "Accounts in the evidence",
      unseen: true,
      rows: accounts,
      columns: [
        {
          title: "Account",
          class: "text",
          cell: (one) =>
            el(
              "a",
              {
                href: address(["bans"], {
                  q: one.account.includes("@") ? one.account : `account:${one.account}`,
                }),
              },
              plain(one.account, {}, 200),
            ),
        },
        { title: "Lines", class: "num", cell: (one) => number(one.lines) },
      ],
    }),
  );
}

function drawNeighbours({ network, neighbours }, again) {
  if (!neighbours || neighbours.network === network) return null;
  const wide = neighbours.network;
  const content = neighbours.total
    ? [
        el("p", {}, `${counted(neighbours.total, "ban")} in `, linkBan(wide), "."),
        bansTable("Bans beside it", neighbours.bans, neighbours.total),
        session.can_act && button(["Ban all of ", mono(wide), "…"], async () => (await ban(wide)) && again()),
      ]
    : empty(`No other ban in ${wide}.`);
  return section("Neighbours", content);
}

function drawHistory(history) {
  if (!history.length) return section("History", empty("No earlier bans are known."));
  return section(
    "History",
    table({
      caption: "Earlier bans",
      unseen: true,
      rows: history,
      columns: [
        { title: "Since", cell: (one) => time(one.since) },
        { title: "Ended", cell: (one) => time(one.ended) },
        { title: "How", cell: (one) => [plain(one.why), one.ended_by ? [" by ", plain(one.ended_by)] : ""] },
        { title: "Jail", cell: (one) => linkJail(one.jail) },
        {
          title: "Reason",
          class: "text",
          cell: (one) => [plain(one.reason ?? "", {}, 200), one.by ? [" (by ", plain(one.by), ")"] : ""],
        },
      ],
    }),
  );
}
