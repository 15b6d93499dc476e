// What a ban or an exemption of a network would cover, as a list and as the preview in a dialog.
import { get } from "../api.js";
import { badge, el, facts, mono, plain } from "../dom.js";
import { large, looksLikeNetwork, number } from "../format.js";

/** What a ban or an exemption of a network would cover. */
export function coverage(covers) {
  return facts([
    ["Addresses", large(covers.addresses)],
    ["Standing bans inside", number(covers.bans)],
    ["Networks inside that stay reachable", number(covers.kept_reachable)],
    [
      "Known-good clients (recent logins)",
      covers.good_logins ? badge("warn", number(covers.good_logins)) : "0",
    ],
    [
      "Mail servers that mail was exchanged with",
      covers.delivered_to ? badge("warn", number(covers.delivered_to)) : "0",
    ],
  ]);
}

/** The preview of a network in a dialog: loaded while somebody types; `consent` is what `yes` may say. */
export function previewing(input, what) {
  const consent = el("input", { type: "checkbox", id: "consent" });
  const agree = el(
    "p",
    { class: "check", hidden: true },
    consent,
    " ",
    el("label", { for: "consent" }, `I have read this; ${what} it anyway`),
  );
  const result = el("div", { class: "preview", "aria-live": "polite" });
  let asking = null;
  let timer = null;

  async function look() {
    asking?.abort();
    asking = new AbortController();
    const network = input.value.trim();
    agree.hidden = true;
    consent.checked = false;
    if (!looksLikeNetwork(network)) {
      result.replaceChildren(
        el("p", { class: "hint" }, "Write an address or a network, such as 203.0.113.7 or 203.0.113.0/24."),
      );
      return;
    }
    try {
      const preview = await get("preview", { network }, asking.signal);
      agree.hidden = !(preview.confirm && what === "ban");
      result.replaceChildren(
        preview.refused && what === "ban"
          ? el("p", {}, badge("bad", "would be refused"), " ", plain(preview.refused))
          : "",
        el("p", {}, "It covers ", mono(preview.network), ":"),
        coverage(preview.covers),
        preview.why.length && what === "ban"
          ? el(
              "ul",
              {},
              preview.why.map((one) => el("li", {}, plain(one))),
            )
          : "",
      );
    } catch (error) {
      if (asking.signal.aborted) return;
      result.replaceChildren(el("p", {}, "No preview: ", plain(error.message)));
    }
  }
  input.addEventListener("input", () => {
    // What was agreed to was another network.
    agree.hidden = true;
    consent.checked = false;
    clearTimeout(timer);
    timer = setTimeout(look, 250);
  });
  look();
  return { nodes: [result, agree], consent, agree };
}
