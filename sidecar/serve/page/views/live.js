// The newest bans as they happen: loaded once, then from the stream of events. Can be paused.
import { get } from "../api.js";
import { badge, button, el, linkBan, linkJail, plain, renew, table, time } from "../dom.js";
import * as events from "../events.js";
import { counted, printable } from "../format.js";
import { empty, load } from "../states.js";

// Rows shown; older ones are in the view Bans.
const MOST = 20;
// Events are shown together every second, and told to screen readers at most every eight.
const DRAW = 1000;
const TELL = 8000;

const WORDS = { ban: "ban", extend: "extended", unban: "unban" };

/** The heading's content: a list, a pause button, the state of the stream. */
export function newestBans(context) {
  let rows = [];
  let paused = false;
  const waiting = [];
  let missed = 0;
  let news = [];
  let drawing = null;
  // What happens while the list is loaded may be missing in it.
  let meanwhile = null;
  const list = el("div", { class: "newest" });
  const state = el("span", { class: "hint" });
  const pause = button(
    "Pause",
    () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
      if (!paused) take(waiting.splice(0));
      missed = 0;
      drawState();
    },
    { "aria-pressed": "false" },
  );

  function drawState() {
    if (paused) state.textContent = missed ? `Paused; ${counted(missed, "new event")}` : "Paused";
    else
      state.textContent = events.live
        ? "Live"
        : "Not live: the page reconnects by itself. New bans are missing until then.";
  }

  function draw() {
    drawing = null;
    renew(
      list,
      rows.length
        ? table({
            caption: "Newest bans, newest first",
            unseen: true,
            rows,
            style: "brief",
            columns: [
              { title: "Network", cell: (one) => linkBan(one.network) },
              { title: "When", cell: (one) => time(one.at, { relative: true }) },
              {
                title: "Event",
                cell: (one) => [
                  one.event === "ban" ? "ban" : badge("none", WORDS[one.event]),
                  one.dry ? [" ", badge("warn", "dry run")] : "",
                ],
              },
              {
                title: "Jail",
                cell: (one) =>
                  ["manual", "import"].includes(one.jail) ? plain(one.jail) : linkJail(one.jail),
              },
              { title: "Reason", class: "text", cell: (one) => plain(one.reason ?? "", {}, 200) },
            ],
          })
        : empty(
            "No bans yet. If logs are read (view Logs) and jails run (view Jails), the first attack will show here.",
          ),
    );
  }

  function take(found) {
    if (!found.length) return;
    rows = [...found.toReversed(), ...rows].slice(0, MOST);
    meanwhile = meanwhile && [...found.toReversed(), ...meanwhile].slice(0, MOST);
    drawing ??= setTimeout(draw, rows.length > found.length ? DRAW : 0);
  }

  function happened({ type, detail }) {
    const one = { ...detail, event: type };
    if (paused) {
      missed += 1;
      waiting.push(one);
      if (waiting.length > MOST) waiting.shift();
      drawState();
      return;
    }
    if (type === "ban") news = [...news, one].slice(-100);
    take([one]);
  }

  function announce() {
    if (!news.length) return;
    const [last] = news.slice(-1);
    // One sentence for all: a flood of bans must not flood the ears.
    document.getElementById("live").textContent =
      news.length === 1
        ? `New ban: ${printable(last.network)} by ${printable(last.jail)}`
        : `${counted(news.length, "new ban")}, the last one ${printable(last.network)} by ${printable(last.jail)}`;
    news = [];
  }

  for (const type of Object.keys(WORDS))
    events.stream.addEventListener(type, happened, { signal: context.signal });
  events.stream.addEventListener("live", drawState, { signal: context.signal });
  const telling = setInterval(announce, TELL);
  context.signal.addEventListener(
    "abort",
    () => {
      clearInterval(telling);
      clearTimeout(drawing);
    },
    { once: true },
  );
  const again = load(
    context,
    list,
    (signal) => {
      meanwhile = [];
      return get("bans", { limit: MOST }, signal);
    },
    ({ bans }) => {
      const loaded = bans.map((ban) => ({ ...ban, event: "ban", at: ban.since }));
      const told = new Set(meanwhile.map((one) => `${one.network} ${one.jail}`));
      const others = loaded.filter((one) => !told.has(`${one.network} ${one.jail}`));
      rows = [...meanwhile, ...others].slice(0, MOST);
      meanwhile = null;
      draw();
    },
    { text: "Loading the newest bans…" },
  );
  events.stream.addEventListener("reset", again, { signal: context.signal });
  drawState();
  return [el("div", { class: "bar" }, pause, state), list];
}
