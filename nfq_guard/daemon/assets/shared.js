// What all parts of the page share: elements, questions to the guard, and how things are spelled.
//
// Names, labels and interfaces come from files and from the kernel: all of it is put in as text, never as markup.

const PATIENCE = 8000;
export const byId = (id) => document.getElementById(id);

export function make(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export function button(text, act) {
  const made = make("button", { type: "button" }, text);
  made.addEventListener("click", act);
  return made;
}

export function show(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

export async function ask(path, parameters) {
  const query = new URLSearchParams(parameters ?? {}).toString();
  const answer = await fetch(query ? `${path}?${query}` : path, {
    headers: { "X-Requested-With": "nfq-guard" }, // no other site's page may send it: that is how it is told from ours
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `HTTP ${answer.status}`);
  return answer.json();
}

export const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
export const number = (value) => Number(value).toLocaleString("en");
export const full = (one) => (one.namespace ? `${one.namespace}/${one.name}` : one.name);
export const titled = (one) => `${one.kind}(${full(one)})`;
export const placed = (place) => (place.line ? `${place.file}:${place.line}` : place.file);
export const worded = (verdict) => (verdict === "allow" || verdict === "deny" ? `${verdict}-word` : "other-word");
