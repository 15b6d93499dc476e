// The view Bans: search, and a list of any length.
import { ban as banDialog } from "../act.js";
import { acting } from "../sign.js";
import { get, news, unreachableSince } from "../api.js";
import { address, button, el, field, plain, refill, renew, select, time } from "../dom.js";
import { stream } from "../events.js";
import { counted } from "../format.js";
import { Grid, gridKeys } from "../parts/grid.js";
import { PAGE } from "../parts/pages.js";
import { empty, failed, loading } from "../states.js";
import { stateOf } from "../words.js";

const COLUMNS = [
  { title: "Network", class: "network" },
  { title: "Jail", class: "jail" },
  { title: "Since", class: "since" },
  { title: "Until", class: "until" },
  { title: "Reason", class: "reason" },
  { title: "State", class: "status" },
];

// Where the list was when it was left, so that the way back from a ban leads to the same place.
let remembered = null;

/** Records of bans as rows: the bans of one network by several jails are one row. */
function rowsOf(bans) {
  const rows = [];
  for (const ban of bans) {
    const last = rows.at(-1);
    if (last?.network === ban.network) last.bans.push(ban);
    else rows.push({ network: ban.network, bans: [ban] });
  }
  return rows;
}

function cells({ network, bans }) {
  const [ban] = bans;
  const more = bans.length > 1 ? ` + ${bans.length - 1}` : "";
  const folded = ban.folded ? ` (${counted(ban.folded, "ban")} inside)` : "";
  return [
    // Out of the tab order: the list itself has the focus, and Enter opens the row.
    el("a", { href: address(["bans", network]), tabindex: "-1", class: "mono" }, plain(network)),
    [plain(ban.jail, {}, 60), more && el("span", { title: bans.map((one) => one.jail).join(", ") }, more)],
    time(ban.since),
    ban.until === null ? "for ever" : time(ban.until, { relative: true }),
    [plain(ban.reason ?? "", {}, 300), folded],
    stateOf(ban),
  ];
}

export function show(context) {
  context.title("Bans");
  const { q = "", jail = "" } = context.parameters;
  const input = el("input", {
    type: "search",
    value: q,
    spellcheck: "false",
    autocapitalize: "none",
    autocomplete: "off",
    class: "mono",
  });
  const choice = select([["", "all jails"], ...(jail ? [[jail, jail]] : [])], jail);
  const found = el("p", { class: "found", role: "status" });
  const place = el("div", { class: "place" });
  const missing = el("div", { class: "changed" });
  let current = { q, jail };
  let grid = null;
  let ending = null;
  let typing = false;
  let timer = null;
  let changed = 0;
  let refocus = false;
  let broken = false;
  let renewed = false;

  /** Show the list of a search; `push`: as a step for the back button. */
  function search(push) {
    clearTimeout(timer);
    const wanted = { q: input.value.trim(), jail: choice.value };
    if (grid && wanted.q === current.q && wanted.jail === current.jail) return;
    current = wanted;
    context.readdress(current, push);
    list();
  }

  function list(memory = null) {
    ending?.abort();
    const mine = (ending = new AbortController());
    changed = 0;
    broken = false;
    renewed = false;
    refocus ||= missing.contains(document.activeElement) || grid?.element === document.activeElement;
    missing.replaceChildren();
    const searched = current;
    const made = (grid = new Grid({
      label: "Bans",
      columns: COLUMNS,
      cells,
      signal: mine.signal,
      ask: async (offset, view, signal) => {
        const answer = await get("bans", { ...searched, offset, limit: PAGE, view }, signal);
        return { rows: rowsOf(answer.bans), total: answer.total, view: answer.view };
      },
      open: ({ network }) => {
        location.hash = address(["bans", network]);
      },
      told: ({ total, error, renewed: dropped }) => {
        renewed ||= Boolean(dropped);
        if (error) {
          broken = true;
          found.textContent = "";
          place.replaceChildren(failed(error, () => list(made.memory())));
        } else drawTotal(made, total);
      },
    }));
    if (!place.querySelector(".grid")) place.replaceChildren(loading("Loading bans…"));
    made.start(memory);
  }

  function drawTotal(made, total) {
    found.textContent = `${counted(total, "network")}${current.q || current.jail ? " found" : ""}, newest ban first.${renewed ? " The list was made anew." : ""}`;
    if (total === 0) {
      place.replaceChildren(
        current.q || current.jail
          ? empty(
              "No ban fits this search.",
              "Search for an address, a network, the beginning of an address (203.0.113.), an account (bob@example.com, account:bob), or words of the reason. To see why an address is not banned, use ",
              el("a", { href: address(["explain"], { address: current.q }) }, "Explain"),
              ".",
            )
          : empty(
              "Nobody is banned.",
              "If logs are read (view Logs) and jails run (view Jails), the first attack will show here.",
            ),
      );
    } else if (made.element.parentNode !== place) {
      // Somebody may have gone into the old list meanwhile.
      refocus ||= place.contains(document.activeElement);
      place.replaceChildren(made.element);
      made.arrange();
      if (refocus) made.element.focus({ preventScroll: true });
      refocus = false;
    }
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    // What is typed in one go is one step for the back button.
    timer = setTimeout(() => {
      search(!typing);
      typing = true;
    }, 300);
  });
  input.addEventListener("blur", () => {
    typing = false;
  });
  choice.addEventListener("change", () => search(true));
  const act = el("div", { class: "act" });
  const drawAct = () =>
    renew(
      act,
      acting(button("Ban a network…", async () => (await banDialog()) && list(), { "data-key": "act" })),
    );
  drawAct();
  news.addEventListener("session", drawAct, { signal: context.signal });
  const form = el(
    "form",
    {
      role: "search",
      class: "search",
      on: {
        submit: (event) => {
          event.preventDefault();
          search(!typing);
          typing = false;
        },
      },
    },
    field("Search", input, "Address, network, 203.0.113., account, or words of the reason"),
    field("Jail", choice),
    el("button", { type: "submit" }, "Search"),
  );
  context.main.append(
    el("div", { class: "bar wide" }, form, act),
    el("div", { class: "bar" }, found, missing),
    place,
    gridKeys(),
  );

  get("jails", {}, context.signal).then(
    ({ jails }) => {
      const names = [
        ...new Set([
          ...jails.map((one) => one.jail),
          "manual",
          "import",
          ...(choice.value ? [choice.value] : []),
        ]),
      ];
      const chosen = choice.value;
      refill(choice, [["", "all jails"], ...names.map((one) => [one, one])], chosen);
    },
    () => {},
  );

  // The list is frozen, so that its rows stay where they are. What happened since is one press away.
  const happened = () => {
    changed += 1;
    if (changed === 1) missing.replaceChildren(button("", () => list(), { class: "small" }));
    missing.firstChild.textContent = `${counted(changed, "change")} since: load anew`;
  };
  for (const type of ["ban", "unban"]) stream.addEventListener(type, happened, { signal: context.signal });
  const anew = () => list(grid.memory());
  stream.addEventListener("reset", anew, { signal: context.signal });
  news.addEventListener("signed", anew, { signal: context.signal });
  news.addEventListener("reachable", () => broken && unreachableSince === null && anew(), {
    signal: context.signal,
  });
  context.signal.addEventListener(
    "abort",
    () => {
      clearTimeout(timer);
      remembered = { ...current, memory: grid.memory() };
      ending?.abort();
    },
    { once: true },
  );
  const back = remembered && remembered.q === q && remembered.jail === jail ? remembered.memory : null;
  list(back);
}
