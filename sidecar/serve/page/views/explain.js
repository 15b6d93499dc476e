// The view Explain: why an address or account is or is not banned, and what one log line does, step by step.
import { get } from "../api.js";
import { address, el, field, refill, select } from "../dom.js";
import { empty, load } from "../states.js";
import { drawLine, drawSubject } from "../parts/steps.js";

// The service names them in its answer; this is what it knew when the page was written.
const KINDS = [
  "zimbra.log",
  "carbonio.log",
  "maillog",
  "mailbox.log",
  "audit.log",
  "sync.log",
  "nginx.log",
  "nginx.access.log",
  "access_log",
  "zmmailboxd.out",
];
// Without a kind the service tries all.
const kindsOf = (kinds) => [["", "find out"], ...kinds.map((one) => [one, one])];
// A longer request line is refused by the service.
const LONGEST = 3500;

const SUBJECTS = [
  ["address", "Address or network"],
  ["account", "Account"],
  ["line", "Log line"],
];

export function show(context) {
  context.title("Explain");
  const { parameters } = context;
  const chosen = SUBJECTS.map(([name]) => name).find((name) => parameters[name]) ?? "address";
  const answer = el("div", { class: "answer" });
  const kind = select(kindsOf(KINDS), parameters.log ?? "");
  const inputs = {
    address: el("input", {
      type: "text",
      value: parameters.address ?? "",
      spellcheck: "false",
      autocapitalize: "none",
      autocomplete: "off",
      class: "mono",
    }),
    account: el("input", {
      type: "text",
      value: parameters.account ?? "",
      spellcheck: "false",
      autocapitalize: "none",
      autocomplete: "off",
      class: "mono",
    }),
    line: el("textarea", { rows: "4", spellcheck: "false", class: "mono" }),
  };
  inputs.line.value = parameters.line ?? "";
  const fields = {
    address: field("Address or network", inputs.address),
    account: field("Account", inputs.account, "As the log names it, such as bob@example.com"),
    line: el("div", {}, field("Log line", inputs.line), field("Log that it is from", kind)),
  };
  const radios = SUBJECTS.map(([name, text]) =>
    el(
      "span",
      { class: "check" },
      el("input", {
        type: "radio",
        name: "subject",
        id: `subject-${name}`,
        value: name,
        checked: name === chosen,
        on: { change: () => choose(name) },
      }),
      " ",
      el("label", { for: `subject-${name}` }, text),
    ),
  );
  let subject = chosen;

  function choose(name) {
    subject = name;
    for (const [one, node] of Object.entries(fields)) node.hidden = one !== name;
  }

  function ask(event) {
    event.preventDefault();
    const text = inputs[subject].value.trim();
    if (!text) {
      inputs[subject].focus();
      return;
    }
    const asked = subject === "line" ? { line: text, log: kind.value } : { [subject]: text };
    const hash = address(["explain"], asked);
    // The same question again gets a new answer.
    if (location.hash === hash) explain(context, answer, asked, kind);
    else location.hash = hash;
  }

  choose(chosen);
  context.main.append(
    el(
      "form",
      { class: "ask", on: { submit: ask } },
      el("fieldset", {}, el("legend", { class: "unseen" }, "What to explain"), radios),
      Object.values(fields),
      el("button", { type: "submit", class: "primary" }, "Explain"),
    ),
    answer,
  );
  const given = Object.fromEntries(
    ["address", "account", "line", "log"]
      .filter((name) => parameters[name])
      .map((name) => [name, parameters[name]]),
  );
  if (given.address || given.account || given.line) explain(context, answer, given, kind);
  else
    answer.append(
      empty(
        "For the help desk: why is this address banned, what happens to this account, what does this log line do?",
      ),
    );
}

function explain(context, box, asked, kind) {
  const text = new URLSearchParams(asked).toString();
  if (text.length > LONGEST) {
    box.replaceChildren(
      empty(
        "This line is too long for a request.",
        "Use zmban explain --log KIND - on the host, which reads the line from standard input.",
      ),
    );
    return;
  }
  load(
    context,
    box,
    (signal) => get("explain", asked, signal),
    (found) => {
      if (found.kinds) {
        refill(kind, kindsOf(found.kinds), kind.value);
        box.replaceChildren(...found.lines.flatMap((one) => drawLine(one)));
      } else box.replaceChildren(...drawSubject(found, Boolean(asked.account)));
    },
    { text: "Asking…" },
  );
}
