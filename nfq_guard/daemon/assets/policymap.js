// The policy map: endpoints, and the rules of those that somebody opens, with their counts.

import { ask, button, byId, full, make, number, titled, worded } from "/shared.js";

const opened = new Map();  // what each open chain shows, by its key
let drawn = "", greeted = false, interfaces = new Map(), lose = () => {};

// What an interface is governed by, as far as the map has been asked for.
export const governing = (name) => interfaces.get(name) ?? interfaces.get("*") ?? "";

export const onLoss = (tell) => { lose = tell; };

export async function showMap() {
  try {
    const found = await ask("/api/map");
    interfaces = new Map(found.endpoints.flatMap((endpoint) => endpoint.interfaces.map((each) => [each.name, full(endpoint)])));
    const text = JSON.stringify(found);
    if (text !== drawn) drawMap(found);
    drawn = text;
    greet();
    if (!byId("map").hidden) await Promise.all([...opened.values()].map((chain) => chain.load()));
  } catch (error) {
    lose(error);
  }
}

// Whoever looks for the first time sees rules, not how to get at them.
function greet() {
  const first = document.querySelector("#endpoints > details > details");
  if (greeted || byId("map").hidden || !first) return;
  first.parentElement.open = first.open = greeted = true;
}

function drawMap(found) {
  const open = new Set([...document.querySelectorAll("#endpoints details[open]")].map((each) => each.dataset.key));
  opened.clear();
  const made = found.endpoints.map((endpoint) => endpointOf(endpoint, open));
  if (found.more) made.push(make("p", null, `${number(found.more)} more endpoints are not shown: see nfq-guard status`));
  if (!made.length) made.push(make("p", null, "No endpoint is for this node: nothing is guarded."));
  byId("endpoints").replaceChildren(...made);
}

function folded(key, open, summary, ...children) {
  const made = make("details", { "data-key": key }, summary, ...children);
  made.open = open.has(key);
  return made;
}

function endpointOf(endpoint, open) {
  const where = endpoint.interfaces.map((each) => [each.name, ...each.addresses].join(" ")).join(", ");
  const states = { up: "governs", down: "governs, and is down:", error: "governs nothing:" };
  const summary = make("summary", null, make("b", null, titled(endpoint)), `${states[endpoint.status] ?? endpoint.status} ${where || endpoint.reason}`);
  const key = JSON.stringify([endpoint.kind, endpoint.namespace, endpoint.name]);
  return folded(key, open, summary, ...endpoint.chains.map((chain) => chainOf(endpoint, chain, open)));
}

function chainOf(endpoint, chain, open) {
  const { kind, name, namespace } = endpoint;
  const wish = { kind, name, namespace, stage: chain.stage, side: chain.side, staged: chain.staged ? 1 : 0 };
  const key = JSON.stringify(Object.values(wish));
  const into = make("div", null, "…");
  const shown = { start: 0, counts: new Map() };
  const load = async () => rulesInto(into, shown, await ask("/api/rules", { ...wish, start: shown.start }), load);
  const tried = chain.staged ? ", staged: never enforced" : "";
  const made = folded(key, open, make("summary", null, `${chain.side}, ${chain.stage} stage${tried}`), into);
  const follow = () => {
    if (made.open) opened.set(key, { load });
    else opened.delete(key);
  };
  made.addEventListener("toggle", () => { follow(); if (made.open) load().catch(lose); });
  follow();
  return made;
}

function rulesInto(into, shown, found, load) {
  if (found.gone) return into.replaceChildren("no such rules any more");
  let tier = null, policy = null;
  const rows = found.rules.flatMap((rule) => {
    const made = [];
    const [isEnd, isDefault] = [rule.kind === "Tier", rule.kind === "HostEndpoint" || rule.kind === "WorkloadEndpoint"];
    if (rule.tier !== tier && !isEnd && !isDefault) made.push(headed("tier", rule.tier ? `tier ${rule.tier}` : "profiles"));
    if (rule.tier !== tier) [tier, policy] = [rule.tier, null];
    if (!isEnd && !isDefault && `${rule.kind} ${rule.policy}` !== policy) {
      policy = `${rule.kind} ${rule.policy}`;
      made.push(headed("policy", `${rule.kind}(${rule.policy})`));
    }
    const title = isEnd ? `end of tier ${rule.policy}` : isDefault ? "nothing matched" : `rule ${rule.rule}`;
    const text = make("td", { class: "text" }, rule.text ? make("pre", null, rule.text) : null, rule.file ? make("small", null, `${rule.file}:${rule.line}`) : null);
    const key = [rule.tier, rule.kind, rule.policy, rule.rule].join(" ");
    const grown = shown.counts.has(key) && rule.packets > shown.counts.get(key);
    shown.counts.set(key, rule.packets);
    const count = make("td", { class: grown ? "number grown" : "number" }, `${number(rule.packets)} packet${rule.packets === 1 ? "" : "s"}`);
    return [...made, make("tr", { class: isEnd || isDefault ? "end" : "rule" }, make("td", null, title), make("td", { class: worded(rule.action) }, rule.action), text, count)];
  });
  const pages = make("p", null);
  const turnTo = (start) => () => { shown.start = start; shown.counts.clear(); load().catch(lose); };
  if (found.start) pages.append(button("the first ones", turnTo(0)), " ");
  if (found.more) pages.append(button(`the next of ${number(found.more)} more rules`, turnTo(found.start + found.rules.length)));
  return into.replaceChildren(make("table", { class: "rules" }, make("tbody", null, ...rows)), pages);
}

const headed = (kind, text) => make("tr", { class: kind }, make("th", { colspan: "4", scope: "rowgroup" }, text));
