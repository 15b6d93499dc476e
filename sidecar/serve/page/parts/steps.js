// The answers of the view Explain, step by step.
import { address, badge, el, facts, linkBan, linkJail, logLine, mono, plain, time, until } from "../dom.js";
import { counted, number } from "../format.js";
import { explained, stateOf } from "../words.js";

const steps = (...list) =>
  el(
    "ol",
    { class: "steps" },
    list.filter(Boolean).map(([title, ...content]) => el("li", {}, el("h3", {}, title), content)),
  );

const VERDICTS = { banned: "bad", "concerned by bans": "bad", failing: "warn", protected: "ok" };

/** An address, network or account. */
export function drawSubject(found, account) {
  return [
    el("h2", {}, plain(found.subject, {}, 200), " ", badge(VERDICTS[found.verdict] ?? "none", found.verdict)),
    steps(
      account
        ? null
        : [
            "Is it protected?",
            found.protected.length
              ? el(
                  "ul",
                  {},
                  found.protected.map((one) => el("li", {}, explained(one))),
                )
              : el("p", {}, "No: it is not allowed, not ignored, and not known as a good client."),
          ],
      [
        "Do failures count?",
        found.failures.length
          ? el(
              "ul",
              {},
              found.failures.map((one) =>
                el(
                  "li",
                  {},
                  linkJail(one.jail),
                  ": ",
                  linkBan(one.network),
                  ` has ${number(one.failures)} of ${number(one.maxretry)} failures`,
                ),
              ),
            )
          : el(
              "p",
              {},
              account
                ? "No failures that count now name this account."
                : "No jail counts failures of it now.",
            ),
      ],
      [
        account ? "Which bans name it?" : "Which bans cover it?",
        found.bans.length
          ? found.bans.map(drawBan)
          : el("p", {}, account ? "No ban has a log line that names this account." : "None."),
      ],
    ),
  ];
}

function drawBan(ban) {
  return el(
    "section",
    { class: "ban", "aria-label": `Ban of ${ban.network} by ${ban.jail}` },
    el(
      "h4",
      {},
      linkBan(ban.network),
      " by ",
      linkJail(ban.jail),
      " ",
      "enforced" in ban ? stateOf(ban) : "",
    ),
    facts([
      ["Why", plain(ban.reason || "no reason was given")],
      ["Since", time(ban.since)],
      ["Until", until(ban.until)],
    ]),
    ban.evidence?.length
      ? el(
          "ol",
          { class: "lines" },
          ban.evidence.map((line) => el("li", {}, logLine(line))),
        )
      : null,
  );
}

/** One log line. */
export function drawLine(line) {
  const fields = Object.entries(line.fields ?? {});
  return [
    el(
      "h2",
      {},
      line.counts
        ? badge("bad", "it counts")
        : line.good
          ? badge("ok", "a successful login")
          : badge("none", "it does not count"),
      line.log ? [" as a line of ", mono(line.log)] : null,
    ),
    steps(
      [
        "Who is the client?",
        el(
          "p",
          {},
          line.client ? ["The log itself names ", linkBan(line.client), "."] : "The line names no client.",
        ),
        line.account
          ? el(
              "p",
              {},
              "Account: ",
              el(
                "a",
                { href: address(["explain"], { account: line.account }) },
                plain(line.account, {}, 200),
              ),
            )
          : null,
        fields.length ? facts(fields.map(([name, value]) => [plain(name), plain(value ?? "")])) : null,
      ],
      [
        "Which failregexes match?",
        line.matches.length
          ? el(
              "ul",
              {},
              line.matches.map((one) =>
                el(
                  "li",
                  {},
                  linkJail(one.jail),
                  " (filter ",
                  mono(one.filter),
                  ") blames ",
                  one.host ? mono(one.host) : "nobody",
                  one.framed ? [" ", badge("warn", "framed"), " ", explained("framed")] : "",
                  one.reason && one.reason !== "framed" ? ["; refused: ", explained(one.reason)] : "",
                ),
              ),
            )
          : el("p", {}, "None."),
      ],
      [
        "Does it count?",
        el(
          "p",
          {},
          line.counts
            ? `Yes: ${counted(line.matches.length, "jail")} would count a failure of the client.`
            : ["No. ", line.reason ? explained(line.reason) : ""],
        ),
      ],
    ),
  ];
}
