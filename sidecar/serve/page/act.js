// What changes something: ban, unban, allow, dry run. Each asks in a dialog, and shows the service's answer.
import { ApiError, post } from "./api.js";
import { el, field, mono, select } from "./dom.js";
import { dialog } from "./parts/dialog.js";
import { previewing } from "./parts/preview.js";
import { notice } from "./sign.js";
import { meaning } from "./words.js";
import { counted, encoded, local, now } from "./format.js";

const DAY = 86400;
const LENGTHS = [
  ["", "for ever"],
  [String(3600), "1 hour"],
  [String(DAY), "1 day"],
  [String(7 * DAY), "1 week"],
  [String(30 * DAY), "30 days"],
  [String(365 * DAY), "1 year"],
];

/** Throw the reason if the service refused. */
function checked(answer) {
  if (answer.result !== "refused") return answer;
  const why = [meaning(answer.reason), ...(answer.why ?? [])].filter(Boolean).join(" ");
  throw new ApiError(409, `refused: ${answer.reason ?? "no reason given"}. ${why}`);
}

const endOf = (length) => (length ? now() + Number(length) : null);

const networkInput = (network) =>
  el("input", {
    type: "text",
    value: network,
    required: true,
    spellcheck: "false",
    autocapitalize: "none",
    autocomplete: "off",
    class: "mono",
    autofocus: !network,
  });

// With a network given, the reason is what is left to write.
const reasonInput = (network) =>
  el("input", { type: "text", required: true, maxlength: "1000", autofocus: Boolean(network) });

/** Ban a network by hand. Gives the answer of the service, undefined if cancelled. */
export async function ban(network = "") {
  const target = networkInput(network);
  const reason = reasonInput(network);
  const length = select(LENGTHS, "");
  const evidence = el("textarea", { rows: "3", spellcheck: "false", class: "mono" });
  const preview = previewing(target, "ban");
  const answer = await dialog({
    title: "Ban a network",
    does: "Ban",
    dangerous: true,
    content: [
      field("Address or network", target),
      ...preview.nodes,
      field("Reason", reason, "Kept with the ban, one line."),
      field("Duration", length),
      field("Log lines as evidence (optional)", evidence),
    ],
    submit: async (signal) => {
      if (!preview.agree.hidden && !preview.consent.checked)
        throw new ApiError(400, "This ban needs your confirmation: tick the box under the preview.");
      const lines = evidence.value.split("\n").filter((line) => line.trim());
      const { answers } = await post(
        "ban",
        {
          networks: [target.value.trim()],
          reason: reason.value.trim(),
          until: endOf(length.value),
          yes: preview.consent.checked,
          evidence: lines,
        },
        signal,
      );
      const refused = answers.find((one) => one.result === "refused");
      // The service may want a confirmation that the preview did not know of.
      if (refused) preview.agree.hidden = false;
      return checked(refused ?? answers[0]);
    },
  });
  if (answer) {
    const did =
      { standing: "was banned already", extended: "was banned already; its ban is longer now" }[
        answer.result
      ] ?? "is banned";
    notice(mono(answer.network), ` ${did}. `);
  }
  return answer;
}

/** Lift the bans of a network; with several jails, one can be chosen. */
export async function unban(network, jails) {
  const jail = select([["", "all jails"], ...jails.map((one) => [one, one])], "");
  const answer = await dialog({
    title: "Unban",
    does: "Unban",
    content: [
      el(
        "p",
        {},
        "Lift the ban of ",
        mono(network),
        " and forget its failures. If it attacks again, it is banned again; to prevent this, allow it.",
      ),
      jails.length > 1 ? field("Ban of", jail) : null,
    ].filter(Boolean),
    submit: async (signal) =>
      checked((await post("unban", { networks: [network], jail: jail.value || null }, signal)).answers[0]),
  });
  if (answer) {
    const wide = answer.still_covered_by ?? [];
    notice(
      mono(network),
      answer.result === "unbanned" ? " is unbanned. " : " had no ban. ",
      wide.length ? ["It is still covered by the ban of ", mono(wide.join(", ")), ". "] : "",
    );
  }
  return answer;
}

/** Exempt a network from bans for a time. */
export async function allow(network = "") {
  const target = networkInput(network);
  const reason = reasonInput(network);
  const length = select(LENGTHS, String(DAY));
  const preview = previewing(target, "allow");
  const answer = await dialog({
    title: "Allow a network",
    does: "Allow",
    content: [
      el("p", {}, "No jail bans it until then, and its bans are suspended."),
      field("Address or network", target),
      ...preview.nodes,
      field("Reason", reason),
      field("Duration", length),
    ],
    submit: async (signal) => {
      const body = {
        networks: [target.value.trim()],
        reason: reason.value.trim(),
        until: endOf(length.value),
        yes: preview.consent.checked,
      };
      const [first] = (await post("allow", body, signal)).answers;
      if (first.result === "refused") preview.agree.hidden = false;
      return checked(first);
    },
  });
  if (answer)
    notice(
      mono(answer.network ?? target.value),
      ` is allowed ${length.value ? `until ${local(endOf(length.value))}` : "for ever"}. `,
    );
  return answer;
}

/** End an exemption. */
export async function disallow(network) {
  const answer = await dialog({
    title: "Remove from the allowed networks",
    does: "Remove",
    content: [
      el("p", {}, "Jails may ban ", mono(network), " again, and its suspended bans are enforced again."),
    ],
    submit: async (signal) => checked((await post("disallow", { networks: [network] }, signal)).answers[0]),
  });
  if (answer) notice(mono(network), " is no longer allowed. ");
  return answer;
}

/** Refuse mail from a sender domain. */
export async function refuseDomain(domain) {
  const reason = reasonInput(domain);
  const length = select(LENGTHS, "");
  const consent = el("input", { type: "checkbox", id: "provider" });
  const agree = el("p", { class: "check", hidden: true }, consent, " ", el("label", { for: "provider" }, "Refuse it anyway"));
  const answer = await dialog({
    title: "Refuse a sender domain",
    does: "Refuse",
    dangerous: true,
    content: [
      el("p", {}, "Postfix rejects mail from ", mono(domain), " and its sub-domains, and mail that shows it in From."),
      field("Reason", reason, "Kept with the domain, one line."),
      field("Duration", length),
      agree,
    ],
    submit: async (signal) => {
      const body = { domains: [domain], reason: reason.value.trim(), until: endOf(length.value), yes: consent.checked };
      const [first] = (await post("domains", body, signal)).answers;
      if (first.result !== "rejected") return first;
      agree.hidden = !first.confirmable;
      throw new ApiError(409, `refused: ${first.reason}`);
    },
  });
  if (answer) notice(mono(answer.domain), ` ${answer.reason}. `);
  return answer;
}

/** Write a new pattern of a report as a filter and a dry-run jail. */
export async function adopt(day, number) {
  const answer = await dialog({
    title: "Adopt a new pattern",
    does: "Write",
    content: [
      el("p", {}, "zmban writes a filter, a dry-run jail and samples into its state directory. Nothing is banned by them."),
    ],
    submit: (signal) => post("review/adopt", { day, number }, signal),
  });
  if (answer) notice(mono(answer.name), " is written to ", mono(answer.directory), ": copy it into your configuration. ");
  return answer;
}

/** Switch dry run of a jail: on, off, or as configured. */
export async function switchDryRun(jail) {
  const chosen = String(jail.switched ?? "");
  const choice = [
    ["", "as configured"],
    ["true", "on: bans are recorded, and not enforced"],
    ["false", "off: bans are enforced"],
  ];
  const radios = choice.map(([value, text], index) =>
    el(
      "p",
      { class: "check" },
      el("input", {
        type: "radio",
        name: "dry",
        id: `dry-${index}`,
        value,
        checked: value === chosen,
        autofocus: value === chosen,
      }),
      " ",
      el("label", { for: `dry-${index}` }, text),
    ),
  );
  const set = el("fieldset", {}, el("legend", {}, "Dry run of ", mono(jail.jail)), radios);
  const answer = await dialog({
    title: "Dry run",
    does: "Switch",
    content: [
      set,
      el(
        "p",
        { class: "hint" },
        `Standing bans stay as they are (${counted(jail.banned, "ban")}, ${counted(jail.dry_bans, "dry-run ban")}).`,
      ),
    ],
    submit: async (signal) => {
      const { value } = set.querySelector("input:checked");
      return post(
        `jails/${encoded(jail.jail)}/dry_run`,
        { dry_run: value === "" ? null : value === "true" },
        signal,
      );
    },
  });
  if (answer)
    notice(
      mono(answer.jail),
      `: dry run is ${answer.dry_run ? "on" : "off"}${answer.switched === null ? ", as configured" : ""}. `,
    );
  return answer;
}
