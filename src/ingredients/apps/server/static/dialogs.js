// What opens over the page: painting the routing map, drawing a person, judging any video.
import { state, byId, on, make, figure, hint, fill, nameOf, fromDataUrl, ask, askJson, readEvents, duration, show, option } from "./base.js";

const primary = (button) => { button.classList.add("primary"); return button; };

// ---- Painting the routing map ----

export async function openPaint(record, againButton) {
  byId("paint").showModal();
  fill("paint-body", make("p.hint.waiting-dots", {}, "Fetching the map"));
  let map;
  try { map = await askJson(`/v1/videos/${record.id}/content?variant=routing`); } catch (error) { fill("paint-body", make("p.error", {}, error.message)); return; }
  const original = JSON.stringify(map.tokens), frames = map.tokens.length, rows = map.tokens[0].length, columns = map.tokens[0][0].length;
  const colours = map.people.map((_, index) => getComputedStyle(document.documentElement).getPropertyValue(`--person-${index % 8}`).trim());
  const [width, height] = record.size.split("x").map(Number), scale = Math.max(1, Math.ceil(720 / width));
  const board = make("canvas.board", { width: width * scale, height: height * scale, tabindex: 0, role: "application", "aria-label": "The picture under the people's colours; arrow keys move, Space paints" });
  const draws = board.getContext("2d"), video = make("video", { muted: true, playsinline: true, preload: "auto" });
  let brush = 0, frame = 0, cursor = null;
  const cell = [board.width / columns, board.height / rows];
  const draw = () => {
    draws.imageSmoothingEnabled = false;
    draws.globalAlpha = 1;
    draws.fillStyle = "#888";
    draws.fillRect(0, 0, board.width, board.height);
    if (video.readyState >= 2) draws.drawImage(video, 0, 0, board.width, board.height);
    map.tokens[frame].forEach((line, row) => line.forEach((person, column) => {
      draws.globalAlpha = 0.5;
      draws.fillStyle = person < 0 ? "transparent" : colours[person];
      draws.fillRect(column * cell[0], row * cell[1], cell[0], cell[1]);
    }));
    draws.globalAlpha = 1;
    if (cursor) { draws.strokeStyle = "#fff"; draws.lineWidth = 4; draws.strokeRect(cursor[1] * cell[0] + 2, cursor[0] * cell[1] + 2, cell[0] - 4, cell[1] - 4); }
  };
  const seek = () => { if (video.duration) video.currentTime = Math.min(video.duration - 0.01, (frames > 1 ? frame / (frames - 1) : 0) * video.duration); };
  video.addEventListener("loadeddata", () => { seek(); draw(); });
  video.addEventListener("seeked", draw);
  show(video, `/v1/videos/${record.id}/content`);
  const everywhere = make("input", { type: "checkbox" }), wide = make("input", { type: "checkbox" });
  everywhere.checked = wide.checked = true;
  const paint = (row, column) => {
    const reach = wide.checked ? 1 : 0;
    for (const at of everywhere.checked ? map.tokens.keys() : [frame])
      for (let down = row - reach; down <= row + reach; down += 1) for (let across = column - reach; across <= column + reach; across += 1)
        if (map.tokens[at][down]?.[across] !== undefined) map.tokens[at][down][across] = brush;
    draw();
  };
  const under = (event) => { const whole = board.getBoundingClientRect(); return [Math.floor((event.clientY - whole.top) / whole.height * rows), Math.floor((event.clientX - whole.left) / whole.width * columns)]; };
  board.addEventListener("pointerdown", (event) => { event.preventDefault(); board.focus(); cursor = null; board.setPointerCapture(event.pointerId); paint(...under(event)); });
  board.addEventListener("pointermove", (event) => { if (event.buttons) paint(...under(event)); });
  board.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], " ": [0, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    cursor = cursor ? [Math.min(rows - 1, Math.max(0, cursor[0] + step[0])), Math.min(columns - 1, Math.max(0, cursor[1] + step[1]))] : [0, 0];
    if (event.key === " ") paint(...cursor); else draw();
  });
  const brushes = [...map.people, null].map((name, index) => make("button", { class: name === null ? "" : "name", person: name === null ? undefined : index, "aria-pressed": String(index === 0), onclick: (event) => {
    brush = name === null ? -1 : index;
    for (const each of brushes) each.setAttribute("aria-pressed", String(each === event.currentTarget));
  } }, name === null ? "nobody (rub out)" : name));
  const moment = make("input", { type: "range", min: 1, max: frames, value: 1, "aria-label": "Moment of the video", oninput: (event) => { frame = Number(event.target.value) - 1; seek(); draw(); } });
  const undo = make("button", { onclick: () => { map.tokens = JSON.parse(original); draw(); } }, "Undo all");
  const changes = { get routing() { return map; }, seed: record.kept_take ? record.kept_take.seed : record.seed, takes: 1 };
  fill("paint-body", make("div.chips", { role: "group", "aria-label": "Brush" }, ...brushes), board,
    make("div.row", {}, make("label.moment", {}, "Moment ", moment), make("label.tick", {}, everywhere, "paint all moments"), make("label.tick", {}, wide, "wide brush")),
    make("div.actions", {}, primary(againButton(record, "Make it with this map", changes, "With the same seed")), undo));
  draw();
}

// ---- Drawing the person of a photograph ----

// Goes on by `accept`, which is given the picture of the drawing.
export async function openDraw(photo, face, accept) {
  byId("draw").showModal();
  fill("draw-body", make("p.hint.waiting-dots", {}, "Measuring the photograph"));
  await draw(photo, face, {}, accept);
}

async function draw(photo, face, features, accept) {
  byId("draw-body").setAttribute("aria-busy", "true");
  const form = new FormData();
  form.append("input_references", photo.file);
  form.append("face", String(face));
  form.append("features", JSON.stringify(features));
  let drawn;
  try { drawn = await askJson("/v1/drawings", { method: "POST", body: form }); } catch (error) {
    fill("draw-body", make("p.error", {}, error.message));
    return;
  }
  byId("draw-body").removeAttribute("aria-busy");
  const chosen = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.feature : null;
  const controls = Object.entries(drawn.choices).map(([name, values]) => make("label", {}, name.replaceAll("_", " "),
    make("select", { "data-feature": name, onchange: (event) => draw(photo, face, { ...features, [name]: event.target.value }, accept) },
      ...values.map((value) => option(value, value, value === drawn.features[name])))));
  const goOn = make("button.primary", { onclick: () => {
    byId("draw").close();
    accept(fromDataUrl(drawn.drawing));
  } }, "Go on with this drawing");
  fill("draw-body", make("div.drawing", {}, make("div", {}, make("div.pair", {},
    figure(make("img", { src: drawn.photo, alt: "The photograph" }), "photograph"),
    figure(make("img", { src: drawn.drawing, alt: "The drawing" }), "drawing")), hint(drawn.description)),
    make("div", {}, make("div.features", {}, ...controls), make("div.actions", {}, goOn))));
  if (chosen) byId("draw-body").querySelector(`[data-feature="${chosen}"]`)?.focus();
}

// ---- Judging a video of any system ----

let judging = null;

// Photos of the people who are on the page already, for a video of theirs.
function photosAtHand() {
  return state.people.flatMap((person) => person.photos.map((photo) => ({ name: person.name.trim(), face: photo.face, file: photo.file }))).filter((photo) => photo.name);
}

function chosenPhotos() {
  const files = [...byId("judge-photos").files];
  return files.length ? files.map((file) => ({ name: nameOf(file), face: "", file })) : photosAtHand();
}

function tellWhose() {
  const names = [...new Set(photosAtHand().map((photo) => photo.name))];
  byId("judge-photos").required = !names.length;
  byId("judge-whose").textContent = names.length && !byId("judge-photos").files.length ? `None chosen: those of ${names.join(", ")}, from the page.` : "";
}

on("judge-photos", "change", tellWhose);
on("judge-open", "click", () => {
  tellWhose();
  byId("judge").showModal(); // what was found last is still there
});
on("judge-form", "submit", async (event) => {
  event.preventDefault();
  const form = new FormData(), button = byId("judge-form").querySelector("button");
  form.append("video", byId("judge-video").files[0]);
  for (const photo of chosenPhotos()) {
    form.append("people", photo.name);
    form.append("faces", photo.face);
    form.append("input_references", photo.file);
  }
  button.disabled = true;
  judging = new AbortController();
  const words = make("p.hint", { role: "status" }, "Sending the video and the photos"), bar = make("progress", { max: 100, "aria-label": "How far the judgement is" });
  const cancel = make("button", { onclick: () => judging.abort() }, "Cancel");
  fill("judge-body", bar, words, make("div.actions", {}, cancel));
  try {
    const response = await ask("/v1/judgements", { method: "POST", body: form, signal: judging.signal, headers: { Accept: "text/event-stream" } });
    let last = null;
    for await (const told of readEvents(response)) {
      if (told.object !== "judgement") break;
      last = told;
      if (told.num_steps) bar.value = told.progress;
      words.textContent = told.status === "queued" ? "Another video is being judged before it" : !told.step ? "Looking at the photos" :
        `Frame ${told.step} of ${told.num_steps}${told.step < told.num_steps ? `, ${duration(told.seconds_left)} left` : ": saying who is who"}`;
    }
    if (last && last.result) showJudgement(last.result);
    else throw new Error(last && last.error ? last.error.message : "The server ended before it had judged the video; judge it again.");
  } catch (error) {
    fill("judge-body", error.name === "AbortError" ? hint("It was cancelled, and nothing of it is kept.") : make("p.error", {}, error.message));
  }
  judging = null;
  button.disabled = false;
});

function showJudgement(told) {
  const words = told.judgement;
  fill("judge-body", make("ul.fared", {}, ...words.people.map((person, index) => make("li", { person: index }, make("h3", {}, person.name), make("p.verdict", {}, person.verdict)))),
    ...words.remarks.map((remark) => make("p.doubt", {}, `⚠ ${remark}`)), hint(`${words.likeness.charAt(0).toUpperCase()}${words.likeness.slice(1)}.`), ...told.notices.map((note) => hint(note)),
    make("img.sheet", { src: told.sheet, alt: "People beside their best frames, a timeline, and marked frames" }),
    make("div.actions", {}, make("a.button", { href: told.sheet, download: "judged.png" }, "Download the picture"),
      make("a.button", { download: "judged.json", href: URL.createObjectURL(new Blob([JSON.stringify(words, null, 1)], { type: "application/json" })) }, "Download the report (JSON)")));
}

