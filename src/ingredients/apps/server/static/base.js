// What every part of the page needs: its state, making elements, words for times, talking to the server.
export const state = { model: null, people: [], moments: [], refused: [], current: null, stream: null, compared: [], videos: [], hasMore: false, key: sessionStorage.getItem("key") || "", isOffline: false };
const SECONDS_OF_COMPLAINT = 10;
export const byId = (id) => document.getElementById(id);
export const on = (id, event, action) => byId(id).addEventListener(event, action);

// ---- Making elements ----

// `p.hint` is an element p of the class hint.
export function make(what, attributes = {}, ...children) {
  const [name, ...classes] = what.split("."), made = document.createElement(name);
  if (classes.length) made.className = classes.join(" ");
  if (name === "button") made.type = name; // sends no form
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false || value === null) continue;
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "person") made.style.setProperty("--person", `var(--person-${value % 8})`);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const figure = (picture, words) => make("figure", {}, picture, make("figcaption", {}, words));
export const hint = (...words) => make("p.hint", {}, ...words);
export function option(value, text, selected = false) { return make("option", { value, selected }, text); }

export function fill(parent, ...children) { (parent.replaceChildren ? parent : byId(parent)).replaceChildren(...children.filter(Boolean)); }

// With it a request is taken once, however often it is sent.
export const newKey = () => ({ "Idempotency-Key": crypto.randomUUID ? crypto.randomUUID() : String(Math.random()) });

export function say(text) { byId("said").textContent = text; }

// Shows what went wrong; that the server is away is said already.
export function complain(error) {
  if (error.status === 0) return;
  banner(error.message);
  setTimeout(() => { if (byId("banner").textContent === error.message) banner(""); }, SECONDS_OF_COMPLAINT * 1000);
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1.5) return "a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function ago(moment) {
  const seconds = Date.now() / 1000 - moment;
  if (seconds < 60) return "just now";
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return new Date(moment * 1000).toLocaleDateString();
}

export function later(action, wait) {
  let timer = 0;
  return (...given) => { clearTimeout(timer); timer = setTimeout(() => action(...given), wait); };
}

export function drawn(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// ---- Files ----

export const nameOf = (file) => (file.name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N} '-]+/gu, " ").trim().slice(0, 40) || "person");

export async function asDataUrl(blob) {
  return new Promise((done, failed) => { const reader = new FileReader(); reader.onload = () => done(reader.result); reader.onerror = failed; reader.readAsDataURL(blob); });
}

export function fromDataUrl(url) {
  const bytes = Uint8Array.from(atob(url.split(",")[1]), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: "image/png" });
}

// ---- Talking to the server ----

class Refusal extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

export async function ask(path, options = {}) {
  const headers = { ...(options.headers || {}) };
  if (state.key) headers.Authorization = `Bearer ${state.key}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    setOffline(true);
    throw new Refusal(0, "The server cannot be reached. It may have been stopped; what waits is kept and goes on when it is back.");
  }
  setOffline(false);
  if (response.ok) return response;
  let message = `The server answers ${response.status}.`;
  try { message = (await response.json()).error.message; } catch { /* no sentence came */ }
  if (response.status === 401) {
    byId("key-form").hidden = false;
    if (state.key) banner("The server does not know this key; give another one.");
  }
  throw new Refusal(response.status, message);
}

// The events of a stream, parsed; they are read by hand, for EventSource sends no key.
export async function* readEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").find((line) => line.startsWith("data: "));
      if (data) yield JSON.parse(data.slice(6));
    }
  }
}

export const askJson = async (path, options) => (await ask(path, options)).json();

export function postJson(path, values, headers = {}) {
  return askJson(path, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(values) });
}

// A picture's or a video's address; with a key it is fetched first, for tags cannot send one.
const fetched = new Map();
async function media(path) {
  if (!state.key) return path;
  if (!fetched.has(path)) fetched.set(path, ask(path).then((response) => response.blob()).then((blob) => URL.createObjectURL(blob)));
  return fetched.get(path);
}

export function show(element, path) { media(path).then((url) => { element.src = url; }, () => {}); return element; }

export function banner(text, isCalm = false) {
  const box = byId("banner");
  box.hidden = !text;
  box.classList.toggle("calm", isCalm);
  box.textContent = text || "";
}

export function setOffline(isOffline) {
  if (isOffline === state.isOffline) return;
  state.isOffline = isOffline;
  banner(isOffline ? "The server cannot be reached. Nothing is lost: what waits goes on when it is back, and this page tries again by itself." : "");
  document.dispatchEvent(new Event("reachable"));
}

