// Who stands where: a box for each person, at the start, at moments between, and at the end.
import { byId, state, make, drawn, fill, option } from "./base.js";

const SPOTS = ["left", "middle", "right"];
const OWN_BOX = "box";
export const START = { id: "start", at: 0 }, END = { id: "end", at: 1 }; // `at` is a part of the video, whatever its length
let moment = START;
state.moments = [START, END];

const lastFrame = () => Math.max(0, Number(byId("length").value) - 1);
const frameOf = ({ at }) => Math.round(at * lastFrame());
export const isPlaced = () => state.people.some((person) => Object.keys(person.places).length);
const secondsAt = (each) => `${(frameOf(each) / state.model.fps).toFixed(2).replace(/0$/, "")} s`;
const when = (each) => (each === START ? "at the start" : each === END ? "at the end" : `at ${secondsAt(each)}`);

// The edges left, top, right, bottom, in parts of the picture, as the server understands a place.
function edgesOf(place, index) {
  if (Array.isArray(place)) return place;
  const number = Math.max(state.people.length, 2), width = 1 / number;
  const left = place === "left" ? 0 : place === "right" ? 1 - width : place === "middle" ? 0.5 - width / 2 : state.people.length === 1 ? 0.25 : freeColumn(index, number) * width;
  return [left, 0, left + width, 1];
}

// A column for whoever may be anywhere: one that nobody was put into.
function freeColumn(index, number) {
  const middles = state.people.map((each) => Object.values(each.places)[0]).filter(Boolean).map((place) => edgesOf(place)).map(([left, , right]) => Math.floor((left + right) / 2 * number));
  const free = [...Array(number).keys()].filter((column) => !middles.includes(column));
  const before = state.people.slice(0, index).filter((each) => !Object.keys(each.places).length).length;
  return free[before] ?? index;
}

// Takes moments beside start and end, each with the part of the video at which it is.
export function setMoments(between) {
  state.moments = [START, ...between, END].sort((one, other) => one.at - other.at);
  moment = START;
}

// Where somebody is at a moment: between two that were said on the straight way, before and after them where the nearest says.
function placeAt(person, index, each) {
  if (person.places[each.id]) return person.places[each.id];
  const said = state.moments.filter(({ id }) => person.places[id]), after = said.find(({ at }) => at > each.at), before = said.findLast(({ at }) => at < each.at);
  if (!before || !after) return person.places[(before || after || each).id] ?? null;
  const [from, to] = [before, after].map(({ id }) => edgesOf(person.places[id], index)), share = (each.at - before.at) / (after.at - before.at);
  return from.map((edge, number) => edge + share * (to[number] - edge));
}

function setPlace(person, place) {
  if (place !== null) { person.places[START.id] ??= edgesOf(null, state.people.indexOf(person)); person.places[moment.id] = place; }
  else if (moment === START) person.places = {};
  else delete person.places[moment.id];
}

export function placesAsked() {
  const asked = {};
  for (const person of state.people) for (const each of state.moments) if (person.places[each.id] && (each === START || frameOf(each))) (asked[person.name.trim()] ??= {})[frameOf(each)] = person.places[each.id];
  return Object.keys(asked).length ? JSON.stringify(asked) : "";
}

// A frame in the middle of the widest gap between moments; none where they stand side by side.
function freeFrame() {
  const frames = state.moments.map(frameOf);
  let [widest, from] = [1, 0];
  for (const [number, frame] of frames.slice(0, -1).entries()) if (frames[number + 1] - frame > widest) [widest, from] = [frames[number + 1] - frame, frame];
  return widest > 1 ? from + Math.floor(widest / 2) : null;
}

function addMoment(at) {
  const made = { id: `m${Math.random()}`, at };
  state.moments = [...state.moments, made].sort((one, other) => one.at - other.at);
  return made;
}

function momentRow() {
  const buttons = state.moments.map((each) => make("button", { "aria-pressed": String(each === moment), onclick: () => { moment = each; showPlaces(); focusMoment(); } }, `${when(each)[0].toUpperCase()}${when(each).slice(1)}`));
  const free = freeFrame();
  buttons.splice(-1, 0, make("button", { disabled: free === null, "aria-label": "Add a moment between", title: "Add a moment between", onclick: () => { moment = addMoment(free / lastFrame()); placeChanged(); focusMoment(); } }, "+"));
  return buttons;
}

function focusMoment() { byId("moments").querySelector("[aria-pressed=true]").focus(); }

function momentTools() {
  if (moment === START || moment === END) return null;
  const slider = make("input", { type: "range", min: 1, max: lastFrame() - 1, value: frameOf(moment), "aria-label": "When this moment is", "aria-valuetext": secondsAt(moment), oninput: () => {
    if (state.moments.some((each) => each !== moment && frameOf(each) === Number(slider.value))) return;
    moment.at = Number(slider.value) / lastFrame();
    state.moments.sort((one, other) => one.at - other.at);
    placeChanged();
    byId("when").querySelector("input").focus();
  } });
  return make("div.row", {}, make("label.moment", {}, "When ", slider), make("button", { onclick: () => {
    for (const person of state.people) delete person.places[moment.id];
    state.moments = state.moments.filter((each) => each !== moment);
    moment = START;
    placeChanged();
    focusMoment();
  } }, "Remove this moment"));
}

function clampBox([left, top, right, bottom]) {
  const round = (share) => Math.round(share * 100) / 100, least = 0.1;
  const width = Math.min(1, Math.max(least, right - left)), height = Math.min(1, Math.max(least, bottom - top));
  left = Math.min(Math.max(0, left), 1 - width); top = Math.min(Math.max(0, top), 1 - height);
  return [round(left), round(top), round(left + width), round(top + height)];
}

function put(box, [left, top, right, bottom]) {
  for (const [name, share] of Object.entries({ left, top, width: right - left, height: bottom - top })) box.style[name] = `${share * 100}%`;
}

export function showPlaces() {
  byId("places").hidden = !state.people.length || !state.model;
  if (byId("places").hidden) return;
  const [width, height] = byId("size").value.split("x").map(Number);
  byId("scene").style.aspectRatio = `${width} / ${height}`;
  fill("moments", ...momentRow());
  fill("when", momentTools());
  fill("scene", ways(), ...state.people.map((person, index) => sceneBox(person, index)));
  fill("spots", ...state.people.map((person, index) => spotRow(person, index)), overlapNote());
  const placed = state.people.filter((person) => Object.keys(person.places).length).length;
  byId("places-told").textContent = placed ? `${placed} of ${state.people.length} placed` : "anywhere; the model decides";
}

// Lines along which people move.
function ways() {
  const svg = drawn("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const [index, person] of state.people.entries()) {
    const said = state.moments.filter(({ id }) => person.places[id]).map(({ id }) => edgesOf(person.places[id], index));
    if (said.length < 2) continue;
    const line = drawn("polyline", { points: said.map(([left, top, right, bottom]) => `${50 * (left + right)},${50 * (top + bottom)}`).join(" ") });
    line.style.setProperty("--person", `var(--person-${index % 8})`);
    svg.append(line);
  }
  return svg;
}

// Two people in one place is what the model can least do.
function overlapNote() {
  const area = ([left, top, right, bottom]) => Math.max(0, right - left) * Math.max(0, bottom - top);
  for (const each of state.moments) {
    const boxes = state.people.map((person, index) => [person.name, placeAt(person, index, each), index]).filter(([, place]) => place).map(([name, place, index]) => [name, edgesOf(place, index)]);
    for (const [number, [name, one]] of boxes.entries()) for (const [otherName, other] of boxes.slice(number + 1)) {
      const shared = area([Math.max(one[0], other[0]), Math.max(one[1], other[1]), Math.min(one[2], other[2]), Math.min(one[3], other[3])]);
      if (shared > 0.5 * Math.min(area(one), area(other))) return make("p.doubt", {}, `⚠ ${name} and ${otherName} stand in the same place ${when(each)}; move one of them.`);
    }
  }
  return null;
}

function placeChanged() { document.dispatchEvent(new Event("placed")); }

function sceneBox(person, index) {
  const place = placeAt(person, index, moment), isOwn = Boolean(person.places[moment.id]);
  const handle = make("i.corner", { "aria-hidden": "true" });
  const box = make("div", { class: `place${isOwn ? "" : " anywhere"}`, person: index, tabindex: 0, role: "group", "data-place": index, "aria-label": `Box of ${person.name} ${when(moment)}${place ? "" : ", anywhere"}` },
    make("img", { src: person.photos[0].crop, alt: "", draggable: "false" }), make("span", {}, person.name), handle);
  let edges = edgesOf(place, index);
  put(box, edges);
  box.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    box.focus();
    box.setPointerCapture(event.pointerId);
    const from = [event.clientX, event.clientY], before = edges, resizes = event.target === handle, whole = byId("scene").getBoundingClientRect();
    let moved = false;
    box.onpointermove = (move) => {
      const right = (move.clientX - from[0]) / whole.width, down = (move.clientY - from[1]) / whole.height;
      if (!moved && Math.abs(right) + Math.abs(down) < 0.01) return;
      moved = true;
      edges = clampBox([before[0] + (resizes ? 0 : right), before[1] + (resizes ? 0 : down), resizes ? Math.min(1, before[2] + right) : before[2] + right, resizes ? Math.min(1, before[3] + down) : before[3] + down]);
      put(box, edges);
      box.classList.remove("anywhere");
    };
    box.onpointerup = box.onpointercancel = () => { box.onpointermove = null; if (moved) { setPlace(person, edges); placeChanged(); focusBox(index); } };
  });
  box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, -0.05], ArrowDown: [0, 0.05] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [left, top, right, bottom] = edges;
    setPlace(person, clampBox(event.shiftKey ? [left, top, Math.min(1, right + step[0]), Math.min(1, bottom + step[1])] : [left + step[0], top + step[1], right + step[0], bottom + step[1]]));
    placeChanged();
    focusBox(index);
  });
  return box;
}

function focusBox(index) { byId("scene").querySelector(`[data-place="${index}"]`).focus(); }

function spotRow(person, index) {
  const own = person.places[moment.id] ?? null, nothing = moment === START || !Object.keys(person.places).length ? "anywhere" : moment === END ? "stays" : "on the way";
  const choose = (event) => {
    const value = event.target.value;
    setPlace(person, value === "" ? null : value === OWN_BOX ? clampBox(edgesOf(placeAt(person, index, moment), index)) : value);
    placeChanged();
    byId("spots").querySelectorAll("select")[index].focus();
  };
  const select = make("select", { "aria-label": `Place of ${person.name} ${when(moment)}`, onchange: choose },
    option("", nothing, own === null), ...SPOTS.map((spot) => option(spot, spot, own === spot)), option(OWN_BOX, "a box", Array.isArray(own)));
  const fields = !Array.isArray(own) ? [] : ["left", "top", "right", "bottom"].map((edge, number) => make("label", {}, edge,
    make("input", { type: "number", min: 0, max: 100, step: 5, value: Math.round(own[number] * 100), "aria-label": `${edge} edge of ${person.name}, in percent`, onchange: (event) => {
      const edges = [...own];
      edges[number] = Number(event.target.value) / 100;
      setPlace(person, clampBox(edges));
      placeChanged();
      byId("spots").children[index].querySelectorAll("input")[number].focus();
    } })));
  return make("div.spot", { person: index }, make("span.who", {}, person.name), select, ...fields);
}

for (const id of ["size", "length"]) byId(id).addEventListener("change", showPlaces);

