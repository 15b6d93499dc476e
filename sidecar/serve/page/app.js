// The shell of the page: which view is shown, its address and title, the header, the theme, the connection.
import { get, news, pending, refreshSession, session, signOut, unreachableSince, every } from "./api.js";
import { askSignIn, notice } from "./sign.js";
import { address, badge, button, el, plain, refreshAges, select } from "./dom.js";
import * as events from "./events.js";
import { clock, clockError, counted, duration, zone } from "./format.js";
import { closeDialogs } from "./parts/dialog.js";
import * as ban from "./views/ban.js";
import * as bans from "./views/bans.js";
import * as explain from "./views/explain.js";
import * as jails from "./views/jails.js";
import * as logs from "./views/logs.js";
import * as now from "./views/now.js";
import * as review from "./views/review.js";
import * as attempt from "./views/try.js";

// [name in the address, text, module]; a module's `show(context)` fills context.main.
const VIEWS = [
  ["now", "Now", now],
  ["bans", "Bans", bans],
  ["jails", "Jails", jails],
  ["logs", "Logs", logs],
  ["review", "Review", review],
  ["explain", "Explain", explain],
  ["try", "Try", attempt],
];

const main = document.getElementById("main");
const byId = (id) => document.getElementById(id);
let leaving = null;

/** The address as {parts, parameters}: `#/bans/203.0.113.7/32` has the parts bans, 203.0.113.7/32. */
function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [name, ...rest] = path.split("/");
  const decoded = (text) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  };
  return {
    parts: [name || "now", ...(rest.length ? [decoded(rest.join("/"))] : [])],
    parameters: Object.fromEntries(new URLSearchParams(query)),
  };
}

/** Show the view of the address; `first`: at the load of the page, which leaves the focus where it is. */
function go(first = false) {
  leaving?.abort();
  leaving = new AbortController();
  closeDialogs();
  const { parts, parameters } = route();
  const [name, , view] = VIEWS.find((one) => one[0] === parts[0]) ?? [];
  for (const link of byId("nav").querySelectorAll("a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const heading = el("h1", { tabindex: "-1" });
  main.replaceChildren(heading);
  main.className = `view-${name ?? "none"}`;
  const context = {
    main,
    parts,
    parameters,
    signal: leaving.signal,
    /** The heading of the view, and the title of the window. */
    title(text, ...more) {
      heading.replaceChildren(plain(text), ...more);
      document.title = `${heading.firstChild.textContent} · zmban`;
    },
    /** Change the parameters in the address without leaving the view; `push` makes a step for the back button. */
    readdress(changed, push = false) {
      const hash = address(parts, changed);
      if (hash !== location.hash) history[push ? "pushState" : "replaceState"](null, "", hash);
    },
  };
  if (parts[0] === "bans" && parts[1]) ban.show(context);
  else if (view) view.show(context);
  else {
    context.title("No such view");
    main.append(el("p", {}, "This address names no view. ", el("a", { href: "#/now" }, "Go to Now")));
  }
  if (!first) {
    heading.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
}

/** Somebody must sign in to read: one text instead of an error in each part of the view. */
function drawRefused() {
  if (main.className === "refused") return;
  leaving?.abort();
  main.className = "refused";
  const inside = main.contains(document.activeElement);
  const heading = el("h1", { tabindex: "-1" }, "Sign in to read");
  main.replaceChildren(
    heading,
    el("p", {}, "From another host, or through a proxy, only somebody with a token may read this page."),
    button(session.tokens ? "Sign in" : "How to get a token", askSignIn, { class: "primary" }),
  );
  if (inside) heading.focus();
  document.title = "Sign in · zmban";
}

function drawNav() {
  byId("nav").append(
    ...VIEWS.map(([name, text]) => el("li", {}, el("a", { href: `#/${name}`, "data-view": name }, text))),
  );
  document.querySelector(".skip").addEventListener("click", (event) => {
    // The fragment belongs to the views.
    event.preventDefault();
    main.focus();
  });
}

function drawSession() {
  const box = byId("session");
  if (session.can_act) {
    box.replaceChildren(
      plain(session.name ?? "signed in", { class: "name" }, 30),
      button("Sign out", () => signOut().catch((error) => notice(plain(`${error.message} `)))),
    );
  } else
    box.replaceChildren(
      el("span", { class: "name" }, "read only"),
      button(session.tokens ? "Sign in" : "Why?", askSignIn),
    );
}

let known = null;

/** Whether bans are enforced, in the header of every view. */
function drawState() {
  const box = byId("state");
  if (!known) {
    box.replaceChildren();
    return;
  }
  const word = known.dry_run
    ? badge("warn", "dry run")
    : known.enforced
      ? badge("ok", "enforced")
      : badge("bad", "NOT ENFORCED");
  const fresh = events.live
    ? el("span", { class: "fresh" }, "live")
    : el("span", { class: "fresh off" }, "not live");
  box.replaceChildren(
    word,
    known.ready ? "" : badge("warn", "not ready"),
    Number.isFinite(known.networks_banned)
      ? el("span", { class: "figure" }, counted(known.networks_banned, "network"), " banned")
      : "",
    fresh,
  );
}

const askState = () =>
  get("status").then(
    (status) => {
      known = status;
      drawState();
      drawClock();
    },
    () => {},
  );

let retry = null;

function drawConnection() {
  clearInterval(retry);
  const box = byId("connection");
  if (unreachableSince === null) {
    box.replaceChildren();
    return;
  }
  box.replaceChildren(
    el(
      "p",
      {},
      el(
        "strong",
        {},
        `No connection to the service since ${new Date(unreachableSince * 1000).toTimeString().slice(0, 8)}. `,
      ),
      "What you see may be old. Is zmban running (",
      el("code", {}, "docker compose ps zmban"),
      "), and is the SSH tunnel open? The page tries again every 5 seconds.",
    ),
  );
  retry = setInterval(() => refreshSession().catch(() => {}), 5000);
}

let busy = null;

function drawBusy() {
  clearTimeout(busy);
  if (pending)
    busy = setTimeout(() => {
      byId("busy").hidden = false;
    }, 300);
  else byId("busy").hidden = true;
}

function storedTheme() {
  try {
    return localStorage.getItem("zmban-theme") ?? "";
  } catch {
    // Storage may be forbidden; then the theme is that of the system.
    return "";
  }
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("zmban-theme", theme);
  } catch {
    // It is not remembered.
  }
}

function drawBottom() {
  const theme = select(
    [
      ["", "as the system"],
      ["light", "light"],
      ["dark", "dark"],
    ],
    storedTheme(),
    {
      id: "theme",
      on: { change: (event) => setTheme(event.target.value) },
    },
  );
  const wrong = el("span", { id: "clock" });
  byId("bottom").append(
    el("span", {}, "Times are in ", plain(zone()), "; point at one for the ISO time."),
    wrong,
    el("span", {}, el("label", { for: "theme" }, "Theme "), theme),
  );
  return () => {
    const error = clockError();
    wrong.textContent = error
      ? `The clock of this browser is ${duration(Math.abs(error))} ${error > 0 ? "slow" : "fast"}; ages are by the clock of the service, now ${clock(Date.now() / 1000 + error, false)}.`
      : "";
  };
}

setTheme(storedTheme());
drawNav();
drawSession();
const drawClock = drawBottom();
for (const name of ["session", "signed"]) news.addEventListener(name, drawSession);
news.addEventListener("sign-in", askSignIn);
news.addEventListener("refused", drawRefused);
news.addEventListener("signed", () => main.className === "refused" && go());
news.addEventListener("busy", drawBusy);
news.addEventListener("reachable", drawConnection);
events.stream.addEventListener("status", ({ detail }) => {
  known = detail;
  drawState();
});
events.stream.addEventListener("live", drawState);
window.addEventListener("hashchange", () => {
  notice();
  go();
});
const forever = new AbortController().signal;
every(15_000, forever, () => {
  refreshAges();
  drawClock();
});
// Behind a proxy that holds events back, the header must not show an old state.
every(30_000, forever, () => events.live || askState());
askState();
events.start();
// Who is signed in decides what a view offers; a slow answer does not hold the view up.
const late = new Promise((done) => {
  setTimeout(done, 300);
});
Promise.race([refreshSession().catch(() => {}), late]).then(() => go(true));
