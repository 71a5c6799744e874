// The web page: shows what /api/ tells, and changes nothing. This part is the live view.
//
// Every list is bounded, so that the page may stay open for as long as it likes.

import { explain } from "/explanation.js";
import { governing, onLoss, showMap } from "/policymap.js";
import { ask, byId, make, number, show, worded } from "/shared.js";

const MOST_KEPT = 2000, MOST_ROWS = 300, MOST_DENIED = 5000, MOST_TOP = 5, MOST_TEXT = 1000, POINTS = 120;
const POLL = 1000, FIRST = 300, FIRST_POLLS = 6, MAP = 2000;

// -- how the guard fares ------------------------------------------------------

const seen = { guard: "", last: 0, skipped: 0, entries: [], denied: [], totals: null, rates: [], gone: "", lapsed: "", answered: false, cleared: false,
  kernel: null };  // what it had denied by itself when it was first asked, and when that was
let turn = 0, paused = false, generation = null, polls = 0;

function showState(state) {
  byId("node").textContent = state.node;
  byId("state").textContent = state.ready ? state.detail : `not ready: ${state.detail}`;
  byId("state").className = state.ready ? "" : "bad";
  const lines = state.load_errors.map((error) => make("li", null, `refused: ${error}`));
  if (state.more_errors) lines.push(make("li", null, `and ${number(state.more_errors)} more`));
  byId("errors").replaceChildren(...lines);
  byId("errors").hidden = !lines.length;
  if (state.generation !== generation) {
    generation = state.generation;
    showMap();
  }
}

function showTotals(totals) {
  const before = seen.totals;
  if (!totals || (before && totals.at === before.at)) return;
  seen.totals = totals;
  for (const verdict of ["deny", "allow"]) byId(`${verdict}-total`).textContent = `${number(totals.verdicts[verdict] ?? 0)} in all`;
  byId("depth").textContent = number(totals.queue_depth);
  byId("dropped").textContent = `${number(totals.queue_dropped)} found them full`;
  showKernel(totals.kernel);
  const denied = deniedByKernel(totals);
  seen.kernel ??= { denied, since: clock() };
  if (!before || denied !== deniedByKernel(before)) showTops();
  if (!before || totals.at < before.at) return;
  const seconds = totals.at - before.at;
  const rate = (verdict) => Math.max(0, ((totals.verdicts[verdict] ?? 0) - (before.verdicts[verdict] ?? 0)) / seconds);
  seen.rates.push({ allow: rate("allow"), deny: rate("deny") });
  if (seen.rates.length > POINTS) seen.rates.shift();
  showRates();
}

function showRates() {
  const last = seen.rates.at(-1);
  const peak = Math.max(1, ...seen.rates.flatMap((rate) => [rate.allow, rate.deny]));
  const shown = (rate) => (rate < 10 ? rate.toFixed(1) : number(Math.round(rate)));
  const lines = ["allow", "deny"].map((verdict) => {
    byId(`${verdict}-rate`).textContent = shown(last[verdict]);
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    const at = (rate, index) => `${240 - (seen.rates.length - 1 - index) * (240 / (POINTS - 1))},${46 - (rate[verdict] / peak) * 44}`;
    line.setAttribute("points", seen.rates.map(at).join(" "));
    line.setAttribute("class", verdict);
    return line;
  });
  byId("spark").replaceChildren(...lines);
  byId("spark-said").textContent = `denied (solid), allowed (dashed), the last two minutes; peak ${shown(peak)} /s`;
}

const clock = () => `${new Date().toISOString().slice(11, 19)} UTC`;
const deniedByKernel = (totals) => totals.kernel.filter((row) => row.verdict === "deny").reduce((sum, row) => sum + row.packets, 0);

function showKernel(rows) {
  const made = rows.map((row) => make("tr", null, make("td", null, row.learned ? `${row.reason} (learned)` : row.reason), make("td", { class: worded(row.verdict) }, row.verdict),
    make("td", null, `${row.direction}, ${row.stage}`), make("td", { class: "number" }, number(row.packets))));
  byId("kernel").tBodies[0].replaceChildren(...made);
}

// -- verdicts -----------------------------------------------------------------

function end(address, port) {
  if (port === null) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function packetOf(event) {
  if (event.src === null) return `${number(event.length)} bytes, unparsable`;
  const type = event.icmp_type === null ? "" : ` type ${event.icmp_type} code ${event.icmp_code}`;
  return `${event.protocol} ${end(event.src, event.sport)} > ${end(event.dst, event.dport)}${type}`;
}

function entryOf({ event, decided }) {
  const way = [event.direction, [event.in_interface, event.out_interface].filter(Boolean).join(" > ")].join(" ");
  const cells = { time: event.time.slice(11, 23), reason: event.reason ?? "", way, packet: packetOf(event), decided };
  return { event, cells, text: [event.verdict, ...Object.values(cells)].join(" ").toLowerCase(), row: null };
}

function rowOf(entry) {
  const { event, cells } = entry;
  entry.row = make("tr", null, make("td", { class: "time" }, cells.time),
    make("td", null, make("button", { type: "button", class: worded(event.verdict), "aria-haspopup": "dialog", title: "why?" }, event.verdict), ` ${cells.reason}`),
    make("td", null, cells.way), make("td", { class: "packet" }, cells.packet), make("td", null, cells.decided));
  entry.row.addEventListener("click", () => explain(entry));
  return entry.row;
}

const byFilter = () => byId("mode").value === "filter";
const needle = () => (byFilter() ? "" : byId("filter").value.trim().toLowerCase());
const isShown = (entry) => entry.text.includes(needle());

function add(told) {
  const fresh = told.map(entryOf);
  seen.entries.push(...fresh);
  seen.entries.splice(0, Math.max(0, seen.entries.length - MOST_KEPT));
  seen.denied.push(...fresh.filter((entry) => entry.event.verdict === "deny").map((entry) => entry.event));
  seen.denied.splice(0, Math.max(0, seen.denied.length - MOST_DENIED));
  const body = byId("verdicts").tBodies[0];
  body.prepend(...fresh.filter(isShown).reverse().slice(0, MOST_ROWS).map(rowOf));
  while (body.rows.length > MOST_ROWS) body.rows[body.rows.length - 1].remove();
  if (fresh.length) showTops();
}

function showAll() {
  byId("verdicts").tBodies[0].replaceChildren(...seen.entries.filter(isShown).slice(-MOST_ROWS).reverse().map(rowOf));
  say();
}

function nothing() {
  if (!seen.answered) return "asking the guard …";
  const what = byFilter() && byId("filter").value.trim() ? "nothing that this filter means" : byId("allowed").checked ? "nothing" : "no denial";
  return `${what} has been seen here ${seen.cleared ? "since this was cleared" : "yet"}`;
}

const found = () => byId("verdicts").tBodies[0].rows.length;

function outcome() {
  if (byFilter() && !byId("wrong").hidden) return "nothing is searched before the filter can be read";
  if (!seen.entries.length) return nothing();
  return found() ? `${number(found())} shown` : `none of the ${number(seen.entries.length)} seen here has “${byId("filter").value.trim()}”`;
}

function say(answer) {
  const parts = [outcome()];
  if (seen.skipped) parts.push(`${number(seen.skipped)} skipped${needle() ? " and not searched" : ""}: too many to show`);
  if (seen.lapsed) parts.push(`this page asked for nothing for a while before ${seen.lapsed}: what fell then is in the totals alone`);
  if (paused) parts.push("paused");
  if (answer?.hint) parts.push(answer.hint);
  byId("as-filter").hidden = !answer?.is_filter || byFilter() || found() > 0;
  if (!byId("as-filter").hidden) parts.push("it reads as a filter:");
  byId("told").textContent = parts.join("; ");
}

function unseen() {
  const more = seen.kernel && seen.totals ? deniedByKernel(seen.totals) - seen.kernel.denied : 0;
  return more > 0 ? `; ${number(more)} more since ${seen.kernel.since} were denied by the kernel itself, which does not say whose` : "";
}

function showTops() {
  const tops = {
    "source addresses": (event) => event.src,
    "destination ports": (event) => (event.dport === null ? null : `${event.protocol} ${event.dport}`),
    endpoints: (event) => {
      const name = (event.side === "egress" ? event.out_interface : event.in_interface) ?? event.in_interface ?? event.out_interface;
      return name === null ? null : `${name} ${governing(name)}`.trim();
    },
  };
  const made = Object.entries(tops).map(([title, of]) => {
    const counts = new Map();
    for (const key of seen.denied.map(of)) if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1);
    const first = [...counts].sort((one, other) => other[1] - one[1]).slice(0, MOST_TOP);
    return make("section", null, make("h3", null, `denied most: ${title}, of ${number(seen.denied.length)} denials seen here${unseen()}`),
      make("ol", null, ...first.map(([key, count]) => make("li", null, make("span", null, key), make("span", null, number(count))))));
  });
  byId("tops").replaceChildren(...made);
}

function forget() {
  turn += 1;
  polls = 0;
  Object.assign(seen, { last: 0, skipped: 0, lapsed: "", entries: [], denied: [], answered: false, cleared: false });
  showTops();
  showAll();
}

function turnMode() {
  byId("filter").placeholder = byFilter() ? "deny and dport 443" : "any text: 192.0.2.7, :443, eth0";
  forget();
}

function take(answer) {
  if (seen.gone) show(byId("wrong"), "");
  seen.gone = "";
  if (answer.guard !== seen.guard) Object.assign(seen, { guard: answer.guard, last: 0, totals: null, kernel: null });
  seen.answered = true;
  showState(answer.state);
  showTotals(answer.totals);
  show(byId("wrong"), answer.wrong);
  if (!answer.wrong && !paused) {
    seen.last = answer.last;
    seen.skipped += answer.skipped;
    if (answer.lapsed) seen.lapsed = clock();
    add(answer.events);
  }
  say(answer);
}

function lose(error) {
  seen.gone ||= clock();
  byId("state").textContent = `the guard does not answer since ${seen.gone} (${error.message}); trying again`;
  byId("state").className = "bad";
}

async function poll() {
  if (!document.hidden) {
    const mine = turn;
    const wish = { guard: seen.guard, after: seen.last, allowed: byId("allowed").checked ? 1 : 0, filter: byFilter() ? byId("filter").value : "" };
    if (paused) wish.most = 0;
    if (needle() && !found()) wish.text = byId("filter").value.slice(0, MOST_TEXT);
    try {
      const answer = await ask("/api/live", wish);
      if (mine === turn) take(answer);
    } catch (error) {
      lose(error);
    }
  }
  polls += 1;
  setTimeout(poll, seen.last || polls > FIRST_POLLS ? POLL : FIRST);
}

// -- what people do -------------------------------------------------------------

function choose(view) {
  for (const name of ["live", "map"]) {
    byId(name).hidden = name !== view;
    byId(`tab-${name}`).setAttribute("aria-selected", String(name === view));
  }
  if (view === "map") showMap();
}

for (const view of ["live", "map"]) byId(`tab-${view}`).addEventListener("click", () => choose(view));
byId("search").addEventListener("submit", (event) => event.preventDefault());
byId("filter").addEventListener("input", () => (byFilter() ? forget() : showAll()));
byId("mode").addEventListener("change", turnMode);
byId("as-filter").addEventListener("click", () => { byId("mode").value = "filter"; turnMode(); byId("filter").focus(); });
byId("allowed").addEventListener("change", forget);
byId("clear").addEventListener("click", () => {
  Object.assign(seen, { skipped: 0, entries: [], denied: [], cleared: true, kernel: seen.totals && { denied: deniedByKernel(seen.totals), since: clock() } });
  showTops();
  showAll();
});
byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  byId("pause").textContent = paused ? "Go on" : "Pause";
  say();
});

async function followMap() {
  if (!byId("map").hidden && !document.hidden) await showMap();
  setTimeout(followMap, MAP);
}

onLoss(lose);
turnMode();
poll();
followMap();
