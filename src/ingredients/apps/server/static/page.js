// The page: photos become people, a sentence is added, a video is made, watched and judged. Text goes in as text.
import { byId, on, state, make, figure, hint, drawn, fill, newKey, say, complain, duration, ago, later, nameOf, asDataUrl, fromDataUrl, ask, askJson, readEvents, postJson, show, banner, setOffline, option } from "./base.js";
import { openDraw, openPaint } from "./dialogs.js";
import { END, START, isPlaced, placesAsked, setMoments, showPlaces } from "./places.js";
import { setTuning, showTuning, tellTuning, tuningAsked } from "./tuning.js";

const prompt = byId("prompt");
const SECONDS_BETWEEN_LISTS = 4;
const PAGE = 24;
const WORKING = ["queued", "in_progress"];
const SENTENCES = ["wave on a beach, smiling.", "nod in a park on a sunny day.", "talk in a room, with a serious face.", "walk in a street at night."];
const COUNTS = ["Nobody", "One person", "Two people", "Three people", "Four people"];
const COUNT_VERBS = { wave: "waves", nod: "nods", talk: "talks", walk: "walks" };

// ---- The start ----

async function start() {
  try {
    for (;;) {
      const health = await (await fetch("/healthz")).json();
      if (health.status === "failed") { banner("The model of this server could not be loaded; its operator finds the reason in the log."); return; }
      const models = await askJson("/v1/models");
      if (models.data.length) { state.model = models.data[0]; break; }
      banner("The model is being loaded. This takes some seconds; you can choose photos in the meantime.", true);
      await new Promise((done) => setTimeout(done, 700));
    }
  } catch (error) {
    if (error.status === 401) return;
    setOffline(true);
    setTimeout(start, 2000);
    return;
  }
  banner("");
  refreshMake();
  showOptions();
  showExamples();
  restore();
  await refreshVideos();
  const wanted = location.hash.slice(1);
  const working = state.videos.find((video) => WORKING.includes(video.status));
  if (/^video_[0-9a-f]{24}$/.test(wanted)) follow(wanted);
  else if (working) follow(working.id);
  else if (!state.current) showEmpty();
  refreshEstimate();
}

on("key-form", "submit", (event) => {
  event.preventDefault();
  state.key = byId("key").value.trim();
  sessionStorage.setItem("key", state.key);
  byId("key-form").hidden = true;
  start();
});

function showOptions() {
  const model = state.model, steps = model.sampling.num_inference_steps;
  fill("takes", ...[1, 2, 3, 4].map((number) => option(number, number > 1 ? `${number}, keep the best` : number)));
  fill("steps",
    option(Math.max(2, Math.round(steps / 3)), `quick: ${Math.max(2, Math.round(steps / 3))} steps`),
    option(steps, `usual: ${steps} steps`, true),
    option(steps * 2, `careful: ${steps * 2} steps`));
  const step = model.frame_step;
  const lengths = [...new Set([0.5, 1, 2].map((times) => Math.max(1, Math.round((model.num_frames * times - 1) / step)) * step + 1))];
  if (!lengths.includes(model.num_frames)) lengths.push(model.num_frames);
  fill("length", ...lengths.sort((one, other) => one - other).map((frames) =>
    option(frames, `${(frames / model.fps).toFixed(1)} s${frames === model.num_frames ? "" : " (not made for it)"}`, frames === model.num_frames)));
  const [width, height] = model.size.split("x").map(Number), multiple = model.size_multiple;
  const near = (length) => Math.round(length / multiple) * multiple;
  const sizes = [[width, height], [near(width * 1.5), near(height * 1.5)]];
  fill("size", ...sizes.map(([wide, high], index) => option(`${wide}x${high}`, `${wide} × ${high}${index ? " (not made for it)" : ""}`, !index)));
  showTuning();
  byId("tuning").hidden = false;
}

async function showExamples() {
  const names = await askJson("/v1/examples").catch(() => []);
  byId("start").hidden = state.model.reads_photographs || !names.length;
  const buttons = names.map((name) => make("button.link", { "data-example": name, onclick: () => addExample(name) }, name));
  buttons.push(make("button.link", { onclick: async () => { await addExample(names[0]); await addExample(names[1]); suggest(); } }, `${names[0]} and ${names[1]}`));
  fill("examples", ...buttons);
  markExamples();
}

// Who is there already is not offered again.
function markExamples() {
  for (const button of byId("examples").querySelectorAll("[data-example]")) button.disabled = state.people.some((person) => person.name === button.dataset.example);
}

function suggest() {
  if (!prompt.value.trim()) { prompt.value = sentence(SENTENCES[0]); changed(); }
}

async function addExample(name) {
  if (state.people.some((person) => person.name === name)) return;
  const blob = await (await ask(`/v1/examples/${name}`)).blob();
  await addPhoto(new File([blob], `${name}.png`, { type: "image/png" }));
}

// ---- People ----

const drop = byId("drop");
on("files", "change", (event) => { addPhotos([...event.target.files]); event.target.value = ""; });
for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => { event.preventDefault(); addPhotos([...event.dataTransfer.files]); });
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => event.preventDefault());
window.addEventListener("paste", (event) => addPhotos([...(event.clipboardData || { files: [] }).files]));

async function addPhotos(files, person = null) { for (const file of files) await addPhoto(file, person); }

function freeName(wanted) {
  const taken = new Set(state.people.map((person) => person.name));
  if (!taken.has(wanted)) return wanted;
  let number = 2;
  while (taken.has(`${wanted} ${number}`)) number += 1;
  return `${wanted} ${number}`;
}

// Each face becomes a person, or of a photo for a person one face another photo.
async function addPhoto(file, person = null) {
  say(`Looking at ${file.name}`);
  while (!state.model) await new Promise((done) => setTimeout(done, 300));
  const form = new FormData();
  form.append("input_references", file);
  let seen;
  try {
    seen = await askJson("/v1/faces", { method: "POST", body: form });
  } catch (error) {
    if (error.status !== 501) {
      refuse({ file, sentence: error.message });
      return;
    }
    seen = { faces: [{ number: "", crop: await asDataUrl(file), notes: [] }] }; // the models work elsewhere, and look when their turn comes
  }
  if (seen.is_photograph && !state.model.reads_photographs) {
    const offer = !seen.can_be_drawn ? "" : seen.faces.length > 1 ? " You can have one of these drawn instead:" : " You can have the person drawn instead.";
    refuse({ file, person, sentence: `This looks like a photograph, and the model of this server knows drawn people only.${offer}`, faces: seen.can_be_drawn ? seen.faces : [] });
    return;
  }
  if (seen.refusal) { refuse({ file, sentence: seen.refusal.replace("the photo", file.name) }); return; }
  const photoOf = (face) => ({ file, face: String(face.number), crop: face.crop, notes: face.notes });
  if (person && seen.faces.length > 1) { refuse({ file, person, sentence: "", faces: seen.faces, choose: (face) => addTo(person, photoOf(face)) }); return; }
  if (person) { addTo(person, photoOf(seen.faces[0])); return; }
  for (const face of seen.faces) {
    const name = seen.faces.length > 1 ? `${nameOf(file)} ${face.number}` : nameOf(file);
    state.people.push({ name: freeName(name), photos: [photoOf(face)], places: {} });
  }
  say(`${file.name}: ${seen.faces.length === 1 ? "one person" : `${seen.faces.length} people`} added`);
  showPeople();
  changed();
}

// The card of a person: their own, or that which theirs was joined with; none if it was removed.
function cardOf(person) {
  while (person.joined) person = person.joined;
  return state.people.includes(person) ? person : null;
}

// Adds photos to a person; of one whose card was removed in the meantime, they make a new one.
function addTo(person, ...photos) {
  const there = cardOf(person);
  if (there) {
    there.photos.push(...photos);
    say(`${there.name} has ${there.photos.length} photos`);
  } else {
    const name = freeName(person.name);
    state.people.push({ name, photos, places: {} });
    say(`${person.name} was removed in the meantime, and is added again as ${name}`);
  }
  showPeople();
  changed();
}

// What cannot be used as it is: a sentence, and faces of which one can be chosen, to be drawn or as the person's.
function refuse(photo) {
  state.refused.push({ faces: [], ...photo });
  say(`${photo.file.name}${photo.choose ? "" : " cannot be used"}: ${toldOf(photo)}`);
  showRefused();
}

function toldOf(photo) {
  if (!photo.choose) return photo.sentence;
  const there = cardOf(photo.person);
  return there ? `Which of these is ${there.name}?` : `Which of these is ${photo.person.name}, who was removed? Whom you choose is added again.`;
}

function showRefused() {
  fill("refused", ...state.refused.map((photo, index) => {
    const picture = make("img", { alt: "" });
    picture.src = photo.url || (photo.url = URL.createObjectURL(photo.file));
    const away = () => { state.refused.splice(index, 1); showRefused(); };
    const draws = photo.faces.map((face) => photo.faces.length > 1
      ? make("button.face", { "aria-label": `${photo.choose ? "Take" : "Draw"} person ${face.number} of ${photo.file.name}`, onclick: () => { if (photo.choose) { away(); photo.choose(face); } else drawInstead(photo, face.number); } }, make("img", { src: face.crop, alt: "" }))
      : make("button", { onclick: () => drawInstead(photo, face.number) }, "Draw this person"));
    return make("li", {}, picture, make("div", {}, make("p", {}, make("strong", {}, photo.file.name), ` ${toldOf(photo)}`),
      make("div.row", {}, ...draws, make("button", { onclick: away }, "Leave it out"))));
  }));
}

// Goes on with a drawing of who is in a photograph.
function drawInstead(photo, face) {
  openDraw(photo, face, (drawing) => {
    state.refused = state.refused.filter((each) => each !== photo || photo.faces.length > 1);
    showRefused();
    addPhoto(new File([drawing], `${nameOf(photo.file)}${photo.faces.length > 1 ? ` ${face}` : ""}.png`, { type: "image/png" }), photo.person);
  });
}

function showPeople() {
  markExamples();
  fill("cards", ...state.people.map(card));
  showRefused(); // whose sentences name people
  showChips();
  showPlaces();
}

function card(person, index) {
  const name = make("input", { type: "text", value: person.name, maxlength: 80, "aria-label": `Name of person ${index + 1}`,
    oninput: (event) => { person.name = event.target.value; showRefused(); showChips(); showPlaces(); refreshMake(); save(); } });
  const again = (focus) => { showPeople(); changed(); (focus() || byId("files")).focus(); };
  const nameOfCard = (number) => byId("cards").querySelectorAll("input[type=text]")[number];
  const remove = () => { state.people.splice(index, 1); if (!state.people.length) setMoments([]); again(() => nameOfCard(0)); };
  const left = () => { state.people.splice(index - 1, 0, ...state.people.splice(index, 1)); again(() => nameOfCard(index - 1)); };
  const join = () => {
    const other = state.people.find((each) => each !== person && each.name.trim() === person.name.trim());
    state.people.splice(index, 1);
    person.joined = other;
    addTo(other, ...person.photos);
    nameOfCard(state.people.indexOf(other)).focus();
  };
  const number = person.photos.length;
  const photos = number < 2 ? [] : person.photos.map((photo, at) => make("button.face", { "aria-label": `Remove photo ${at + 1} of ${person.name}`, title: "Remove this photo",
    onclick: () => { person.photos.splice(at, 1); again(() => nameOfCard(index)); } }, make("img", { src: photo.crop, alt: "" }), "✕"));
  const notes = person.photos.flatMap((photo, at) => photo.notes.map((note) => make("p.doubt", {}, `⚠ ${number > 1 ? `Photo ${at + 1}: ` : ""}${note}`)));
  const more = make("label.more-photos", {}, "+ photo", make("input", { type: "file", accept: "image/*", multiple: true, "aria-label": `Add photos of ${person.name}`, onchange: (event) => addPhotos([...event.target.files], person) }));
  const item = make("li.card", { person: index },
    make("img", { src: person.photos[0].crop, alt: `Face of ${person.name}` }), name,
    make("button.join", { hidden: true, onclick: join }, "The same person: one card"),
    photos.length ? make("div.row", { role: "group", "aria-label": `Photos of ${person.name}` }, ...photos) : null,
    ...(notes.length ? notes : [make("p.fine", {}, number > 1 ? `✓ ${number} good photos` : "✓ a good photo")]),
    make("div.card-foot", {},
      isPlaced() ? null : index ? make("button.link", { "aria-label": `Move ${person.name} to the left`, title: "Move to the left", onclick: left }, "◀") : null,
      more, make("button.link.remove", { "aria-label": `Remove ${person.name}`, onclick: remove }, "remove")));
  for (const kind of ["dragover", "dragleave", "drop"]) item.addEventListener(kind, (event) => {
    event.preventDefault();
    event.stopPropagation();
    item.classList.toggle("over", kind === "dragover");
    if (kind === "drop") addPhotos([...event.dataTransfer.files], person);
  });
  return item;
}

// ---- The sentence ----

function sentence(rest, number = Math.min(state.people.length || 2, 4)) {
  if (number === 1) rest = rest.replace(/^\w+/, (verb) => COUNT_VERBS[verb] || verb);
  return `${COUNTS[number]} ${rest}`;
}

function insert(text) {
  const before = prompt.value.slice(0, prompt.selectionStart), after = prompt.value.slice(prompt.selectionEnd);
  prompt.value = `${before}${before && !/\s$/.test(before) ? " " : ""}${text}${after && !/^\s|^[.,]/.test(after) ? " " : ""}${after}`;
  prompt.focus();
  changed();
}

// The suggestion that the prompt is, whatever number it begins with.
function suggestion() {
  return SENTENCES.find((rest) => [1, 2, 3, 4].some((number) => sentence(rest, number) === prompt.value.trim()));
}

function showChips() {
  const kept = suggestion();
  if (kept && state.people.length) prompt.value = sentence(kept); // as many people as there are
  const names = state.people.map((person, index) => make("button.name", { person: index, onclick: () => insert(person.name) }, person.name || "?"));
  const whole = (prompt.value.trim() && !kept) || !state.model || state.model.reads_photographs ? [] :
    SENTENCES.map((rest) => make("button", { "aria-pressed": String(rest === kept), onclick: () => { prompt.value = sentence(rest); changed(); } }, sentence(rest)));
  fill("chips", ...names, ...whole);
}

on("prompt", "input", () => changed());
on("prompt", "keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) begin(); });
for (const id of ["steps", "length", "size", "seed", "takes"]) byId(id).addEventListener("change", () => changed());
on("tuning-fields", "input", () => { tellTuning(); changed(); });
on("tuning-reset", "click", () => { setTuning({}); changed(); byId("tuning").querySelector("summary").focus(); });
document.addEventListener("placed", () => { showPeople(); save(); refreshMake(); refreshEstimate(); });
document.addEventListener("reachable", () => {
  refreshMake();
  if (state.isOffline && state.shown?.bar) state.shown.words.textContent = "The server is away. It goes on with this video when it is back.";
});
on("dice", "click", () => { byId("seed").value = Math.floor(Math.random() * 1000000); changed(); });

function changed() { showChips(); refreshMake(); save(); refreshEstimate(); }

function lacking() {
  if (state.isOffline) return "The server cannot be reached.";
  if (!state.model) return "The model is being loaded.";
  if (!state.people.length) return "Add at least one person.";
  if (state.people.some((person) => !person.name.trim())) return "Give everybody a name.";
  if (new Set(state.people.map((person) => person.name.trim())).size < state.people.length) return "Two people have the same name; make one card of them, or give another.";
  if (!prompt.value.trim()) return "Say what happens.";
  return state.cannot || "";
}

function refreshMake() {
  const reason = lacking();
  byId("make").disabled = Boolean(reason) || state.isSending;
  byId("missing").textContent = reason;
  const names = state.people.map((person) => person.name.trim());
  for (const [index, button] of byId("cards").querySelectorAll(".join").entries()) button.hidden = !names[index] || names.indexOf(names[index]) === index;
}

const refreshEstimate = later(async () => {
  if (!state.model) return;
  const [width, height] = byId("size").value.split("x").map(Number);
  let told;
  try {
    told = await postJson("/v1/estimates", { prompt: prompt.value, people: state.people.map((person) => person.name.trim()), width, height,
      num_frames: Number(byId("length").value), num_inference_steps: Number(byId("steps").value), takes: Number(byId("takes").value), place: JSON.parse(placesAsked() || "null"), ...tuningAsked() });
  } catch (error) {
    if (error.status !== 422) return;
    told = { error: error.message, notes: [] }; // a number that no video can have
  }
  state.cannot = told.error || "";
  fill("notes", ...told.notes.map((note) => make("li", {}, `⚠ ${note}`)));
  byId("words").hidden = !told.notes.length || !state.model.words.length;
  byId("words-told").textContent = state.model.words.join(", ");
  const time = told.seconds === null ? "How long it takes is known after the first video" : told.is_rough ? `Perhaps ${duration(told.seconds)}, for none was made like that yet` : `About ${duration(told.seconds)}`;
  const memory = told.bytes ? `, ${told.bytes < 2e9 ? `${Math.round(told.bytes / 1e6)} MB` : `${(told.bytes / 1e9).toFixed(1)} GB`} of memory` : "";
  const before = told.waiting ? ` ${told.waiting === 1 ? "One video is" : `${told.waiting} videos are`} made before it.` : "";
  byId("estimate").textContent = told.error ? "" : `${time}${memory}.${before}`;
  refreshMake();
}, 350);

const CHOICES = ["steps", "length", "size", "takes"];

// Chooses from a list what is in it.
function choose(id, value) { if ([...byId(id).options].some((each) => each.value === String(value))) byId(id).value = value; }

// What was begun survives a reload, as long as it is small.
const save = later(async () => {
  try {
    const people = [];
    for (const person of state.people) {
      for (const photo of person.photos) photo.url = photo.url || await asDataUrl(photo.file);
      people.push({ ...person, photos: person.photos.map((photo) => ({ ...photo, file: undefined, fileName: photo.file.name })) });
    }
    sessionStorage.setItem("draft", JSON.stringify({ people, between: state.moments.slice(1, -1), prompt: prompt.value, seed: byId("seed").value, ...Object.fromEntries(CHOICES.map((id) => [id, byId(id).value])), tuning: tuningAsked() }));
  } catch { sessionStorage.removeItem("draft"); }
}, 300);

function restore() {
  try {
    const draft = JSON.parse(sessionStorage.getItem("draft") || "null");
    if (!draft || state.people.length) return;
    prompt.value = draft.prompt;
    byId("seed").value = draft.seed;
    for (const id of CHOICES) choose(id, draft[id]);
    setTuning(draft.tuning || {});
    const people = draft.people.map((person) => ({ ...person, photos: person.photos.map((photo) => ({ ...photo, file: new File([fromDataUrl(photo.url)], photo.fileName, { type: photo.url.slice(5).split(";")[0] }) })) }));
    setMoments(draft.between);
    state.people = people;
  } catch { sessionStorage.removeItem("draft"); }
  showPeople();
  byId("places").open = isPlaced();
  refreshMake();
}

// ---- Making ----

on("make", "click", begin);

const scaleOf = (width) => Math.max(1, Math.min(4, Math.floor(512 / Number(width))));

async function begin() {
  if (lacking() || state.isSending) return;
  state.isSending = true;
  refreshMake();
  const form = new FormData();
  const [width, height] = byId("size").value.split("x");
  form.append("prompt", prompt.value);
  for (const person of state.people) for (const photo of person.photos) {
    form.append("people", person.name.trim());
    form.append("faces", photo.face);
    form.append("input_references", photo.file);
  }
  for (const [name, value] of Object.entries({ width, height, num_frames: byId("length").value, num_inference_steps: byId("steps").value, seed: byId("seed").value, takes: byId("takes").value, place: placesAsked(),
    scale: String(scaleOf(width)), ...tuningAsked() })) if (value !== "") form.append(name, value);
  try {
    const record = await askJson("/v1/videos", { method: "POST", body: form, headers: newKey() });
    say("The video is asked for");
    follow(record.id, record);
    refreshVideos();
    if (matchMedia("(max-width: 59.9rem)").matches) byId("stage").scrollIntoView({ behavior: "smooth" });
  } catch (error) {
    byId("missing").textContent = error.message;
    say(error.message);
    state.isSending = false;
    byId("make").disabled = Boolean(lacking());
    return;
  }
  state.isSending = false;
  refreshMake();
}

// Follows one video by its events.
async function follow(id, record = null) {
  if (state.stream) state.stream.abort();
  const stopping = state.stream = new AbortController();
  state.current = id;
  state.shown = null;
  document.title = "Ingredients";
  history.replaceState(null, "", `#${id}`);
  markCurrent();
  if (record) showVideo(record);
  for (;;) {
    try {
      const response = await ask(`/v1/videos/${id}/events`, { signal: stopping.signal });
      for await (const told of readEvents(response)) {
        if (state.current !== id) continue;
        if (told.object === "video") showVideo(told);
        else { refreshVideos(); refreshEstimate(); if (told.status === "deleted") showGone(); return; }
      }
    } catch (error) {
      if (error.name === "AbortError" || state.current !== id) return;
      if (error.status === 404) { showGone(); return; }
      if (error.status === 401) return;
      setOffline(true);
    }
    if (state.current !== id) return;
    await new Promise((done) => setTimeout(done, 1500));
  }
}

function showEmpty() {
  document.title = "Ingredients";
  fill("stage", make("div.empty", {}, drawing(), make("h3", {}, "Your video appears here"),
    make("p", {}, "Add people, say what happens, and press the button. You can watch it emerge, and see who became whom.")));
}

function drawing() {
  const svg = drawn("svg", { viewBox: "0 0 240 120", "aria-hidden": "true" });
  const shape = (name, attributes) => svg.append(drawn(name, { fill: "none", stroke: "currentColor", "stroke-width": 5, "stroke-linecap": "round", ...attributes }));
  shape("circle", { cx: 45, cy: 42, r: 17 }); shape("path", { d: "M20 96c0-24 50-24 50 0" });
  shape("circle", { cx: 105, cy: 42, r: 17 }); shape("path", { d: "M80 96c0-24 50-24 50 0" });
  shape("path", { d: "M146 62h22m-9-9 9 9-9 9" }); shape("rect", { x: 180, y: 36, width: 52, height: 52, rx: 8 }); shape("path", { d: "M200 52v20l16-10z" });
  return svg;
}

function showGone() {
  state.current = null;
  document.title = "Ingredients";
  history.replaceState(null, "", location.pathname);
  fill("stage", make("div.empty", {}, make("h3", {}, "This video is gone"), make("p", {}, "It was removed, here or in another window, or it expired.")));
  refreshVideos();
}

const pathOf = ({ id }) => `/v1/videos/${id}`;

const STATES = { queued: "waiting", in_progress: "being made", completed: "made", failed: "failed", cancelled: "cancelled" };

// The size that was chosen, also where the file has it enlarged.
function sizeTold({ size, scale }) {
  if (!size || scale < 2) return size;
  return `${size.split("x").map((side) => side / scale).join("x")}, shown ${scale} times larger`;
}

// How it came about, where it is not by people and sentence alone.
function originTold(record) {
  return record.redrawn.length ? `only ${record.redrawn.join(" and ")} made anew` : record.has_routing ? "by a given routing map" : "";
}

const joined = (...words) => words.filter(Boolean).join(" · ");

function head(record) {
  return make("div.stage-head", {}, make("p.sentence", {}, make("strong", {}, record.prompt), make("br"),
    make("span.hint", {}, joined(record.people.map((person) => person.name).join(", "), `seed ${record.seed}`, sizeTold(record), record.seconds ? `${Number(record.seconds).toFixed(1)} s` : "", originTold(record)))),
    make("span", { class: `state ${record.status}` }, STATES[record.status]));
}

function legend(record) {
  return make("div.legend", {}, ...record.people.map((person, index) => make("span", { person: index }, person.name)));
}

function showVideo(record) {
  const known = state.shown && state.shown.id === record.id ? state.shown : null;
  if (WORKING.includes(record.status)) {
    if (!known || !known.bar) state.shown = workingView(record);
    updateWorking(record);
    return;
  }
  if (known && known.status === record.status) return;
  if (known && known.status) { say(`The video is ${STATES[record.status]}`); document.title = `${record.status === "completed" ? "✓" : "!"} Ingredients`; setTimeout(() => { document.title = "Ingredients"; }, 6000); }
  state.shown = { id: record.id, status: record.status };
  if (record.status === "completed") showMade(record);
  else showNotMade(record);
}

function workingView(record) {
  const view = { id: record.id, status: record.status, step: -1, words: make("p.hint", { role: "status" }), bar: make("progress", { max: 100, "aria-label": "How far the video is" }),
    frames: make("img", { alt: "The frames so far", hidden: true }), routing: make("img", { alt: "Where the router sends each person", hidden: true }) };
  view.cancel = make("button", { onclick: async () => { view.cancel.disabled = true; view.words.textContent = "Cancelling; the step that is being taken ends first."; await ask(`${pathOf(record)}/cancel`, { method: "POST" }).catch((error) => { view.words.textContent = error.message; view.cancel.disabled = false; }); } }, "Cancel");
  view.live = make("div.live", { hidden: true }, figure(view.frames, "The picture, as this step guesses it"),
    make("div", {}, figure(view.routing, "The routing map: whose face each place is given to"), legend(record)));
  view.top = make("div");
  fill("stage", make("article", { "aria-label": "The video that is being made" }, view.top, view.bar, view.words, view.live, make("div.actions", {}, view.cancel)));
  return view;
}

async function updateWorking(record) {
  const view = state.shown;
  view.status = record.status;
  fill(view.top, head(record));
  if (record.status === "queued") {
    view.bar.removeAttribute("value");
    view.step = -1;
    view.frames.hidden = view.routing.hidden = view.live.hidden = true; // of an attempt that did not end
    view.words.textContent = (view.begun ? "What made it has ended; it is begun again with the same seed. " : "") + (record.place > 1 ? `${record.place - 1 === 1 ? "One video is" : `${record.place - 1} videos are`} made before it${record.seconds_left ? `; about ${duration(record.seconds_left)}` : ""}.` : "It is next.");
    return;
  }
  view.begun = true;
  view.bar.value = record.progress;
  document.title = `${record.progress} % · Ingredients`; // seen while another window is in front
  view.words.textContent = !record.step ? "Looking at the photos" : record.step >= record.num_steps ? `Step ${record.step} of ${record.num_steps}: decoding, and looking for each person` :
    `Step ${record.step} of ${record.num_steps}${record.seconds_left !== null ? `, ${duration(record.seconds_left)} left` : ""}`;
  if (record.step === view.step) return;
  view.step = record.step;
  for (const [variant, picture] of [["preview", view.frames], ["preview_routing", view.routing]]) {
    if (!record.variants.includes(variant)) continue;
    try {
      const response = await ask(`${pathOf(record)}/content?variant=${variant}&or_nothing=true`);
      if (response.status === 204) continue; // its worker was killed, or the video is done
      const blob = await response.blob();
      if (picture.src) URL.revokeObjectURL(picture.src);
      picture.src = URL.createObjectURL(blob);
      picture.hidden = view.live.hidden = false;
    } catch { /* the server is away, or the video was deleted */ }
  }
}

function showNotMade(record) {
  const reason = record.error ? record.error.message : "It was cancelled, and nothing of it is kept.";
  fill("stage", make("article", { "aria-label": "The video" }, head(record), make("p", { class: record.error ? "error" : "hint" }, reason),
    make("div.actions", {}, againButton(record, record.error ? "Try again with another seed" : "Make it after all", record.error ? {} : { seed: record.seed }), deleteButton(record))));
}

function againButton(record, text = "Again with another seed", changes = {}, title = undefined) {
  const button = make("button", { title, onclick: async () => {
    button.disabled = true;
    try {
      const made = await postJson(`${pathOf(record)}/remix`, changes, newKey());
      byId("paint").close();
      follow(made.id, made);
      refreshVideos();
    } catch (error) { say(error.message); button.disabled = false; button.after(make("p.error", {}, error.message)); }
  } }, text);
  return button;
}

function deleteButton(record, className = "danger") {
  const button = make("button", { class: className, "aria-label": `Delete the video ${record.prompt}` }, "Delete");
  button.addEventListener("click", async () => {
    if (!button.dataset.sure) {
      button.dataset.sure = "yes";
      button.textContent = "Really delete?";
      setTimeout(() => { delete button.dataset.sure; button.textContent = "Delete"; }, 4000);
      return;
    }
    button.disabled = true;
    await ask(pathOf(record), { method: "DELETE" }).catch((error) => { if (error.status !== 404) complain(error); });
    state.compared = state.compared.filter((id) => id !== record.id);
    if (state.current === record.id) { if (state.stream) state.stream.abort(); state.current = null; history.replaceState(null, "", location.pathname); showEmpty(); }
    refreshVideos();
  });
  return button;
}

function player(record, take = null) {
  const video = make("video", { loop: true, muted: true, playsinline: true, controls: true, "aria-label": `Video: ${record.prompt}` });
  video.muted = true;
  video.autoplay = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (video.autoplay) video.addEventListener("canplay", () => video.play().catch(() => {}), { once: true });
  return show(video, `${pathOf(record)}/content${take ? `?take=${take}` : ""}`);
}

const DOES = { stand: "stands still", wave: "waves", nod: "nods", sway: "sways", turn: "looks around", walk: "walks", talk: "talks", face: "turns around", come: "comes in", leave: "leaves" };

// What a person does, as the judge of actions sees it.
function actionTold(person) {
  if (!person.action) return null;
  const { seen, share, asked, as_asked } = person.action, does = (name) => DOES[name] || name;
  const sees = `${share < 0.5 ? "perhaps " : ""}${does(seen)}`;
  const words = as_asked === null ? `The judge sees: ${sees}` : as_asked ? `✓ as asked: ${sees}` : `Not as asked (${asked.map(does).join(", ")}): ${sees}`;
  return make("p", { class: `verdict ${as_asked === null ? "" : as_asked ? "fine" : "doubt"}`, title: `The judge of actions is ${Math.round(share * 100)} % sure` }, words);
}

function takesTold(record, screen) {
  const kept = record.kept_take;
  if (!kept) return null;
  const buttons = kept.all.filter((take) => take.has_video).map((take) => make("button", { "aria-pressed": String(take.number === kept.number), onclick: (event) => {
    for (const each of buttons) each.setAttribute("aria-pressed", String(each === event.currentTarget));
    fill(screen, player(record, take.number === kept.number ? null : take.number));
  } }, `Take ${take.number}${take.number === kept.number ? ", kept" : ""}: ${record.people.map((person, index) => `${person.name} ${take.likeness[index] === undefined ? "?" : take.likeness[index].toFixed(2)}`).join(", ")}`));
  return make("div.takes", {}, hint(kept.reason), make("div.row", { role: "group", "aria-label": "Takes" }, ...buttons),
    hint("These numbers are by the model's own face networks, which choose the take; the similarity below is the judge's."));
}

function download(record, variant, text, name) {
  const button = make("button", { onclick: async () => {
    try {
      const url = URL.createObjectURL(await (await ask(`${pathOf(record)}/content?variant=${variant}`)).blob());
      make("a", { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
    } catch (error) { complain(error); }
  } }, text);
  return button;
}

function firstPhoto(record, index) {
  return record.people.slice(0, index).reduce((sum, person) => sum + person.photos, 0);
}

function fared(record, canChange = false) {
  return make("ul.fared", { "aria-label": "How each person fared" }, ...record.people.map((person, index) => {
    const photo = show(make("img", { alt: `Photo of ${person.name}` }), `${pathOf(record)}/photos/${firstPhoto(record, index)}`);
    const best = person.has_best_face ? show(make("img", { alt: `${person.name} in the frame in which the face is most alike` }), `${pathOf(record)}/faces/${index}`) :
      make("div.nobody", {}, person.found === null ? "nobody looked" : "not in the video");
    const alike = person.similarity !== null ? person.similarity : person.distance !== null ? 1 - person.distance / 1.2 : null;
    const isGood = person.turns.some((turn) => turn.becomes !== null) ? false : person.similarity !== null ? person.similarity >= 0.5 : person.distance < 0.6;
    const meter = alike === null ? null : make("div", { class: `meter ${isGood ? "" : alike > 0.25 ? "doubtful" : "wrong"}`, role: "img", "aria-label": person.verdict });
    if (meter) { const bar = make("i"); bar.style.width = `${Math.max(2, Math.min(100, alike * 100))}%`; meter.append(bar); }
    return make("li", { person: index }, make("h3", {}, person.name), make("div.pair", {}, figure(photo, person.photos > 1 ? `photo, 1 of ${person.photos}` : "photo"), figure(best, "best frame")),
      meter, make("p", { class: `verdict ${person.turns.length ? "doubt" : ""}` }, person.verdict || "not measured"), actionTold(person),
      canChange && record.people.length > 1 && record.variants.includes("routing") ? againButton(record, `Only ${person.name} again`, { only: [person.name], takes: 1 },
        `New noise where the routing map gives the picture to ${person.name}; all else stays nearly as it is: the same latents, which are decoded together with the new ones`) : null);
  }));
}

// Brings back all that a video was asked for with, to be changed.
async function sameFields(record) {
  const people = [], last = record.num_frames - 1, moments = new Map([[last, END], [0, START]]); // of a single frame, the start says where people are
  let number = 0;
  for (const person of record.people) {
    const photos = [], places = {};
    for (let at = 0; at < person.photos; at += 1, number += 1) {
      const blob = await (await ask(`${pathOf(record)}/photos/${number}`)).blob();
      const file = new File([blob], `${person.name}.png`, { type: blob.type }), form = new FormData();
      form.append("input_references", file);
      const seen = await askJson("/v1/faces", { method: "POST", body: form }).catch(() => ({ faces: [] }));
      const face = seen.faces.find((each) => String(each.number) === person.faces[at]) || seen.faces[0] || { number: person.faces[at] || "", crop: await asDataUrl(blob), notes: [] };
      photos.push({ file, face: person.faces[at] || String(face.number), crop: face.crop, notes: face.notes });
    }
    for (const [frame, place] of Object.entries(person.place || {}).filter(([key]) => key !== "strength")) {
      if (!moments.has(Number(frame))) moments.set(Number(frame), { id: `m${frame}`, at: frame / last });
      places[moments.get(Number(frame)).id] = place;
    }
    people.push({ name: person.name, photos, places });
  }
  state.people = people;
  setMoments([...moments.values()].filter((each) => each !== START && each !== END));
  prompt.value = record.prompt;
  byId("seed").value = record.seed;
  byId("takes").value = String(Math.min(record.takes, 4));
  const asked = { length: record.num_frames, steps: record.settings.num_inference_steps, size: [...byId("size").options].map((each) => each.value).find((each) => each.split("x").map((side) => side * scaleOf(each.split("x")[0])).join("x") === record.size) };
  setTuning(record.settings);
  for (const [id, value] of Object.entries(asked)) choose(id, value);
  showPeople();
  byId("places").open = isPlaced();
  changed();
  prompt.focus();
}

function showMade(record) {
  const file = `${record.prompt.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 40) || "video"}-${record.seed}`;
  const about = make("a.button", { download: `${file}.json`, href: URL.createObjectURL(new Blob([JSON.stringify(record, null, 1)], { type: "application/json" })) }, "Its record (JSON)");
  const explain = record.judge === "dlib" ? "Distance to the photos by dlib: below 0.6 it takes them for one person." : record.judge ? "Similarity by a judge that the model never saw: 0 is a stranger, 1 the person in a real clip." : "Nobody could judge this video.";
  const screen = make("div.screen", {}, player(record)), hasRouting = record.variants.includes("routing");
  fill("stage", make("article", { "aria-label": "The video" }, head(record), screen, takesTold(record, screen), fared(record, true),
    hint(explain), ...record.remarks.map((remark) => make("p.doubt", {}, `⚠ ${remark}`)),
    ...record.notices.map((note) => hint(note)),
    make("div.actions", {}, againButton(record),
      hasRouting ? againButton(record, "Keep this routing", { keep_routing: true, takes: 1 }, "Another seed, but everybody is given the same part of the picture") : null,
      hasRouting ? make("button", { onclick: () => openPaint(record, againButton) }, "Repaint the routing") : null,
      make("button", { title: "Brings people, places and sentence back to be changed", onclick: () => sameFields(record).catch(complain) }, "Change something"),
      download(record, "video", "Download", `${file}.mp4`), about, deleteButton(record)),
    make("details", { ontoggle: (event) => { if (event.target.open) for (const picture of event.target.querySelectorAll("img[data-path]")) { show(picture, picture.dataset.path); delete picture.dataset.path; } } },
      make("summary", {}, "All frames, and where the router sent each person"),
      ...record.variants.filter((variant) => ["contact_sheet", "routing_map"].includes(variant)).map((variant) => make("img", { alt: variant.replace("_", " "), "data-path": `${pathOf(record)}/content?variant=${variant}` })),
      legend(record), hint(`Made in ${duration(record.seconds_taken)} by ${record.model}; ${Object.entries(record.settings).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join(", ")}`))));
}

// ---- The gallery ----

async function refreshVideos(more = false) {
  const filter = byId("filter-state").value;
  const query = new URLSearchParams({ limit: String(PAGE) });
  for (const status of filter === "working" ? WORKING : filter ? [filter] : []) query.append("status", status);
  if (more && state.videos.length) query.set("after", state.videos.at(-1).id);
  let page;
  try { page = await askJson(`/v1/videos?${query}`); } catch { return; }
  state.videos = more ? [...state.videos, ...page.data] : page.data;
  state.hasMore = page.has_more;
  showVideos();
}

function showVideos() {
  const text = byId("filter-text").value.trim().toLowerCase();
  const shown = state.videos.filter((video) => !text || `${video.prompt} ${video.people.map((person) => person.name).join(" ")}`.toLowerCase().includes(text));
  const list = byId("videos"), before = new Map([...list.children].map((item) => [item.dataset.version, item]));
  const items = shown.map((video) => before.get(versionOf(video)) || videoItem(video));
  if (items.length) fill(list, ...items);
  else fill(list, make("li.hint", {}, text || byId("filter-state").value ? "No video is like that." : "There is none yet."));
  byId("more").hidden = !state.hasMore;
  markCurrent();
  showCompareHint();
}

const versionOf = (video) => `${video.id} ${video.status}`;

function videoItem(video) {
  const open = make("button.thumb", { "aria-label": `Show the video: ${video.prompt}`, onclick: () => { follow(video.id, video); byId("stage").scrollIntoView({ behavior: "smooth", block: "start" }); } });
  if (video.status === "completed") {
    const thumb = make("video", { muted: true, loop: true, playsinline: true, preload: "auto", tabindex: -1, "aria-hidden": "true" });
    thumb.muted = true;
    seen.observe(open);
    open.lookUp = () => show(thumb, `/v1/videos/${video.id}/content`);
    const play = () => thumb.play().catch(() => {}), stop = () => thumb.pause();
    open.addEventListener("mouseenter", play); open.addEventListener("focus", play);
    open.addEventListener("mouseleave", stop); open.addEventListener("blur", stop);
    open.append(thumb);
  } else open.append(make("span", { class: WORKING.includes(video.status) ? "waiting-dots" : "" }, STATES[video.status]));
  const alike = video.people.map((person) => `${person.name}${person.similarity !== null ? ` ${person.similarity.toFixed(2)}` : ""}`).join(", ");
  const compare = make("input", { type: "checkbox", "data-compare": video.id, onchange: (event) => pick(video.id, event.target.checked) });
  compare.checked = state.compared.includes(video.id);
  const item = make("li.video", { "data-id": video.id, "data-version": versionOf(video) }, open,
    make("div.about", {}, make("p", {}, video.prompt), hint(joined(alike, `seed ${video.seed}`, ago(video.created_at))), originTold(video) ? hint(originTold(video)) : null),
    make("div.foot", {}, video.status === "completed" ? make("label", {}, compare, "compare") : make("span"), deleteButton(video, "link danger")));
  return item;
}

const seen = new IntersectionObserver((entries) => { for (const entry of entries) if (entry.isIntersecting && entry.target.lookUp) { entry.target.lookUp(); entry.target.lookUp = null; seen.unobserve(entry.target); } });

function markCurrent() {
  for (const item of byId("videos").children) item.classList.toggle("current", item.dataset.id === state.current);
}

async function pick(id, isOn) {
  state.compared = isOn ? [...state.compared, id].slice(-2) : state.compared.filter((each) => each !== id);
  showCompareHint();
  if (state.compared.length < 2) return;
  const records = await Promise.all(state.compared.map((each) => askJson(`/v1/videos/${each}`)));
  fill("compare-body", ...records.map((record) => make("article", {}, head(record), make("div.screen", {}, player(record)), fared(record))));
  byId("compare").showModal();
}

function showCompareHint() {
  byId("compare-hint").textContent = state.compared.length === 1 ? "Choose a second video to lay beside the first." : "";
  for (const box of byId("videos").querySelectorAll("[data-compare]")) box.checked = state.compared.includes(box.dataset.compare);
}

on("compare", "close", () => { state.compared = []; fill("compare-body"); showCompareHint(); });
on("filter-state", "change", () => refreshVideos());
on("filter-text", "input", later(showVideos, 150));
on("more", "click", () => refreshVideos(true));
for (const top of document.querySelectorAll(".dialog-head")) top.append(make("button", { "data-close": true, "aria-label": "Close", onclick: () => top.closest("dialog").close() }, "✕"));

// Shows what other windows do, and notices a server that is back.
setInterval(() => {
  if (document.hidden || state.videos.length > PAGE || !state.model) return;
  refreshVideos();
}, SECONDS_BETWEEN_LISTS * 1000);

showEmpty();
refreshMake();
start();
