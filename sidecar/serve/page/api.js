// Requests to the HTTP API: session, errors with a cure, and what the page knows of the connection.
import { learnClock } from "./format.js";

// A request that takes longer has failed. The slowest one, a search in millions of lines, takes seconds.
const PATIENCE = 60_000;

/** Tells the rest of the page: `session` (its record changed), `signed` (another one signed in or out), `sign-in`
 * (the page should ask for a token), `refused` (one must sign in to read), `busy`, `reachable`. */
export const news = new EventTarget();
const tell = (what) => news.dispatchEvent(new Event(what));

/** The session as GET /api/session answers it. */
export let session = { name: null, can_act: false, tokens: false, csrf: null };

/** Whether the newest request got an answer, and since when none did (browser's clock). */
export let unreachableSince = null;

export let pending = 0;

/** An answer that is an error. `status` is 0 if there was no answer. */
export class ApiError extends Error {
  constructor(status, message, wait = null) {
    super(message);
    this.status = status;
    this.wait = wait;
  }

  /** What to do about it. */
  get cure() {
    if (this.status === 0) {
      return "Is the service running (docker compose ps zmban), and is the SSH tunnel open? The page tries again by itself.";
    }
    if (this.status === 401)
      return session.tokens
        ? "Sign in with a token."
        : "Set ZMBAN_TOKEN_FILE and restart zmban; see docs/page.md.";
    if (this.status === 403) return "Load the page again. Behind a proxy, see docs/page.md.";
    if (this.status === 429) return this.wait ? `Try again in ${this.wait} seconds.` : "Try again later.";
    if (this.status === 503) return "The service is starting or stopping, or has too much to do. Try again.";
    return this.status >= 500 ? "See the log of zmban: docker compose logs zmban." : null;
  }
}

function reachable(yes) {
  if (yes === (unreachableSince === null)) return;
  unreachableSince = yes ? null : Date.now() / 1000;
  tell("reachable");
}

async function failure(response) {
  const wait = Number(response.headers.get("Retry-After")) || null;
  const text = await response.text().catch(() => "");
  let message = text.length < 500 ? text.trim() : "";
  try {
    message = String(JSON.parse(text).error ?? message);
  } catch {
    // A proxy in between answers with a page of its own.
    if (message.startsWith("<")) message = "";
  }
  return new ApiError(
    response.status,
    message || `The service answered ${response.status} ${response.statusText}`,
    wait,
  );
}

async function request(method, path, { parameters = {}, body, signal, headers = {} } = {}) {
  const given = Object.entries(parameters).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  const query = new URLSearchParams(given).toString();
  const ending = new AbortController();
  const late = setTimeout(
    () => ending.abort(new ApiError(0, "The service did not answer within a minute.")),
    PATIENCE,
  );
  const leave = () => ending.abort(signal.reason);
  if (signal?.aborted) leave();
  signal?.addEventListener("abort", leave, { once: true });
  pending += 1;
  tell("busy");
  try {
    // Relative to the page, which a reverse proxy may serve under a path.
    const response = await fetch(`api/${path}${query ? `?${query}` : ""}`, {
      method,
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: ending.signal,
      credentials: "same-origin",
    });
    learnClock(response.headers.get("Date"));
    // A proxy that finds no service behind it says so with these.
    reachable(![502, 504].includes(response.status));
    if (!response.ok) {
      if (response.status === 401 && method === "GET") tell("refused");
      throw await failure(response);
    }
    return response.status === 204 ? null : await response.json();
  } catch (error) {
    if (error instanceof ApiError) {
      if (error.status === 0) reachable(false);
      throw error;
    }
    if (signal?.aborted) throw signal.reason;
    if (error instanceof SyntaxError) throw new ApiError(500, "The answer of the service is not JSON.");
    reachable(false);
    throw new ApiError(0, "The service does not answer.");
  } finally {
    clearTimeout(late);
    signal?.removeEventListener("abort", leave);
    pending -= 1;
    tell("busy");
  }
}

export const get = (path, parameters = {}, signal = undefined) =>
  request("GET", path, { parameters, signal });

function adopt(record) {
  const before = session;
  session = record;
  if (JSON.stringify(record) !== JSON.stringify(before)) tell("session");
  if (record.name !== before.name || record.can_act !== before.can_act) tell("signed");
  return record;
}

/** Ask the service who we are. */
export const refreshSession = async () => adopt(await get("session"));

/** Sign in; throws an ApiError if the token is wrong. */
export const signIn = async (token) => adopt(await request("POST", "session", { body: { token } }));

/** Send something that changes the service. If the session is over, it is read anew, and the error says so. */
export async function post(path, body, signal = undefined) {
  try {
    return await request("POST", path, { body, signal, headers: { "X-Zmban-CSRF": session.csrf ?? "-" } });
  } catch (error) {
    if (error.status === 401 || error.status === 403) await refreshSession().catch(() => {});
    throw error;
  }
}

/** Sign out. */
export async function signOut() {
  try {
    await request("DELETE", "session", { headers: { "X-Zmban-CSRF": session.csrf ?? "-" } });
  } finally {
    await refreshSession();
  }
}

/** Ask the page to open the sign-in dialog. */
export const wantSignIn = () => tell("sign-in");

/** Call `work` every `milliseconds` until the signal aborts, but not in a hidden tab. */
export function every(milliseconds, signal, work) {
  const timer = setInterval(() => document.hidden || work(), milliseconds);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}
