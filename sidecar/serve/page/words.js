// What the words of the service mean: reasons for not banning, states of a ban, and cures that the service does not name.
import { badge, plain } from "./dom.js";

const REASONS = {
  "admin-session": "It is the client of an SSH session on this host that is older than five minutes.",
  brake: "Several known-good clients were banned shortly before, so the server is probably at fault.",
  framed:
    "The failregex blames another host than the client that the server itself names. Somebody forged the line.",
  gateway: "It is a gateway of this host.",
  ignored: "It is in ignoreip of the jail, or an allowed network.",
  "invalid-address": "The filter found no valid address in the line.",
  "kept-reachable": "It is a network that stays reachable, such as one that this host is connected to.",
  "known-good": "A login from there succeeded recently, or mail was exchanged with it.",
  "line-too-long": "Lines over 16 KiB are refused whole: a cut line could match something else.",
  masked: "A trusted proxy hides the client. The Now view names the proxy and the cure.",
  "no-address": "The host name in the line has no address.",
  "no-client": "The line names no client.",
  "no-jail": "No enabled jail reads this log.",
  "no-match": "Jails read this log, but no failregex matches the line.",
  "not-a-network": "Write an address or a network, such as 203.0.113.0/24.",
  "not-counted": "The login failed through no fault of the client.",
  outage: "At that time the server was at fault: a report-only jail reported it.",
  "own-address": "It is an address of this host.",
  "report-only": "The jail only reports (zmban.report_only).",
  reserved: "It is in a range that is never banned, such as loopback or multicast.",
  "slow-regex": "The regex was too slow on this line, and was aborted.",
  "too-wide": "The network is wider than [kernel] widest_ipv4 or widest_ipv6.",
  "trusted-proxy": "It is a trusted proxy ([trust] proxies).",
  unconfirmed: "Only a log that clients can write to reports it, so it is counted separately.",
  "untrusted-proxy": "It is probably a proxy that is missing in [trust] proxies: it names other clients.",
};

/** The meaning of a reason such as `framed` or `too-wide: …`, null if it is none that we know. */
export const meaning = (reason) =>
  REASONS[
    String(reason ?? "")
      .split(":")[0]
      .trim()
  ] ?? null;

/** The state of one ban, as a badge. */
export function stateOf(ban) {
  if (ban.dry) return badge("warn", "dry run");
  if (ban.suspended) return badge("warn", "suspended");
  return ban.enforced ? badge("ok", "enforced") : badge("bad", "not enforced");
}

/** The state of one ban as plain text, for the title of a row. */
export const wordOf = (ban) =>
  ban.dry ? "dry run" : ban.suspended ? "suspended" : ban.enforced ? "enforced" : "not enforced";

const ENFORCEMENT = "zmban status on the host says more; docs/enforcement.md says what each reason means.";

/** The problems that a status reports, worst first: {kind, text, cure}. `kind` is bad, warn or none. */
export function problems(status) {
  const found = [];
  const add = (kind, texts, cure = null) => {
    for (const text of texts ?? [])
      if (!found.some((one) => one.text === text)) found.push({ kind, text, cure });
  };
  if (status.dry_run)
    add("warn", ["Dry run: bans are recorded, and not enforced."], "Start zmban without --dry-run.");
  else add("bad", status.not_enforced_because, ENFORCEMENT);
  if (!status.enforced && !found.length) add("bad", ["Bans are not enforced."], ENFORCEMENT);
  add(
    "bad",
    status.not_ready_because,
    "A problem that stays after a minute is in the log: docker compose logs zmban.",
  );
  add(
    "bad",
    (status.jails_stopped ?? []).map((jail) => `The jail ${jail} is stopped.`),
    "The Jails view says why; zmban check names file and line.",
  );
  add("warn", status.doubts, ENFORCEMENT);
  add(
    "warn",
    (status.sources ?? []).filter((one) => one.error).map((one) => `${one.source}: ${one.error}`),
    "A log that does not exist on this server: set logpath of its jail, or mount its directory. The Logs view shows all.",
  );
  if (status.store && status.store !== "good")
    add(
      status.store.startsWith("good") ? "none" : "warn",
      [`Database: ${status.store}`],
      status.store.startsWith("good")
        ? null
        : "Free disk space, and see docs/guarantees.md. Bans are enforced meanwhile.",
    );
  if (status.prefilter && status.prefilter !== "good")
    add("warn", [status.prefilter], "Reading is slower, and nothing is lost.");
  add(
    "warn",
    (status.slow_regexes ?? []).map(
      (one) =>
        `${one.jail}: a regex is too slow on lines of ${one.source}, and is left out for a time: ${one.regex}`,
    ),
    "Anchor the regex with ^, and avoid nested repetition such as (.*)*.",
  );
  add(
    "warn",
    (status.jails_degraded ?? []).map((jail) => `The jail ${jail} is degraded.`),
    "The Jails view says why; zmban check names file and line.",
  );
  add("warn", status.faults, "Correct the file, then zmban reload.");
  for (const one of status.masked ?? [])
    add("warn", [`${one.proxy} hides clients (${one.lines} lines).`], one.cure);
  for (const one of status.suspected_proxies ?? [])
    add("warn", [one.told], `If it is your proxy, write into [trust] of zmban.toml: ${one.proxies}`);
  return found;
}

/** What log lines show and no jail bans: {word, text, line}. */
export function findings(status) {
  return [
    ...(status.spread ?? []).map((one) => ({
      word: "password spray",
      text: `${one.subject}: ${one.accounts} account(s) tried from ${one.from} address(es) within a day`,
    })),
    ...(status.spared ?? []).map((one) => ({
      word: "spared",
      text: `${one.client}: logins succeeded recently and now fail; a device with an old password?`,
      line: one.line,
    })),
    ...(status.framed ?? []).map((one) => ({
      word: "framed",
      text: `the filter names ${one.named}, the client is ${one.client}`,
      line: one.line,
    })),
    ...(status.reported ?? []).map((one) => ({
      word: "reported",
      text: `${one.jail} only reports: ${one.client ?? one.named ?? "no client"}`,
      line: one.line,
    })),
  ];
}

/** A reason, with its meaning if it is known. */
export function explained(reason) {
  const text = meaning(reason);
  return [plain(reason), text ? `: ${text}` : ""];
}
