// Why a flow is allowed or denied: asks /api/explain, and shows the answer in the dialog.

import { ask, byId, make, number, pause, placed, titled, worded } from "/shared.js";

const MOST_STEPS = 40, AGAIN = 300, EXPLAIN = 90000;
let asked = 0;

export async function explain(entry) {
  const mine = ++asked;
  const into = byId("explanation");
  byId("why-title").textContent = `Why ${entry.event.verdict}? ${entry.cells.packet}`;
  const wait = make("p", { role: "status" }, "asking: the first answer takes longest, as all policy is read for it …");
  into.replaceChildren(make("p", { class: "quiet" }, `${entry.cells.time}Z, ${entry.cells.way}: ${entry.cells.decided || entry.cells.reason}`), wait);
  if (!byId("why").open) byId("why").showModal();
  if (entry.event.src === null) {
    wait.textContent = "This packet could not be read, so no policy was asked about it.";
    return;
  }
  try {
    const answer = await answered(entry.event, () => mine === asked && byId("why").open);
    if (mine === asked && answer) wait.replaceWith(...explanationOf(answer));
  } catch (error) {
    wait.textContent = `no explanation: ${error.message}`;
  }
}

async function answered(event, wanted) {
  for (const until = Date.now() + EXPLAIN; wanted() && Date.now() < until; await pause(AGAIN)) {
    const answer = await ask("/api/explain", { flow: JSON.stringify(event) });
    if (answer.state === "failed") throw new Error(answer.error);
    if (answer.state === "done") return answer.explanation;
  }
  if (wanted()) throw new Error("it takes too long; nfq-guard explain has all the time it needs");
  return null;
}

const listed = (title, lines) => (lines.length ? [make("h3", null, title), make("ul", null, ...lines.map((line) => make("li", null, line)))] : []);

function explanationOf(found) {
  if (found.error) return [make("p", { class: "wrong" }, found.error)];
  const by = found.policy ? `${titled(found.policy)} rule ${found.rule}` : found.tier ? `end of tier ${found.tier}` : found.reason;
  const verdict = make("p", { class: `verdict ${found.verdict}` }, make("b", { class: worded(found.verdict) }, found.verdict),
    ` by the files as they are: ${by}${found.endpoint ? `, at ${found.endpoint}` : ""} (${[found.reason, found.direction, found.stage].filter(Boolean).join(", ")})`);
  return [
    found.differs ? make("p", { class: "differs" }, found.differs) : null, verdict,
    ...listed("Causes", found.causes), ...listed("What would change it", found.remedies),
    ...found.steps.flatMap(stageOf), othersOf(found.not_asked),
  ].filter(Boolean);
}

function stageOf(step) {
  const lines = step.tiers.flatMap((tier) => [
    make("li", null, make("b", null, `tier ${tier.name}`), policiesOf(tier.policies),
      make("span", { class: tier.end }, `end of tier: ${tier.default_action} `, make("span", { class: "outcome" }, `[${tier.end}]`))),
  ]);
  if (step.spared) lines.push(make("li", null, `let by ahead of policy: ${step.spared}`));
  if (step.profiles.length) lines.push(make("li", null, make("b", null, "profiles"), policiesOf(step.profiles)));
  if (!step.decision && !step.spared) lines.push(make("li", null, "no opinion: the next stage is asked"));
  return [make("h3", null, `${titled(step.endpoint)}, ${step.stage} stage, ${step.side}`), make("ul", { class: "way" }, ...lines)];
}

const matched = new Set(["decided", "passed", "logged"]);

function policiesOf(policies) {
  const telling = policies.length <= MOST_STEPS ? policies : policies.filter((policy) => policy.rules.some((rule) => matched.has(rule.outcome)));
  const shown = telling.slice(0, MOST_STEPS);
  const lines = shown.map((policy) => make("li", null, titled(policy.title), rulesOf(policy.rules)));
  if (policies.length > shown.length) lines.push(make("li", null, `${number(policies.length - shown.length)} more policies, none of which matched`));
  return make("ul", { class: "way" }, ...lines);
}

function rulesOf(rules) {
  const told = rules.filter((rule) => rule.outcome !== "not-reached");
  const lines = told.slice(0, MOST_STEPS).map((rule) => {
    const misses = rule.misses.map((miss) => `${miss.path}: found ${miss.found}, wanted ${miss.wanted}${miss.notes.length ? ` (${miss.notes.join("; ")})` : ""}`);
    return make("li", { class: rule.outcome }, `rule ${rule.rule} ${rule.action} `,
      make("span", { class: "outcome" }, `[${rule.outcome}] ${placed(rule.position)}`), misses.length ? make("div", null, misses.join("; ")) : null);
  });
  if (rules.length > lines.length) lines.push(make("li", null, `${number(rules.length - lines.length)} more rules, not reached or not shown`));
  return make("ul", { class: "way" }, ...lines);
}

function othersOf(others) {
  if (!others.length) return null;
  const lines = others.slice(0, MOST_STEPS).map((one) => make("li", null, `${titled(one.title)} (${placed(one.title.position)}): ${one.why}`));
  if (others.length > MOST_STEPS) lines.push(make("li", null, `${number(others.length - MOST_STEPS)} more`));
  return make("details", null, make("summary", null, `${number(others.length)} policies were not asked`), make("ul", null, ...lines));
}
