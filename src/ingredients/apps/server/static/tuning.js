// "More": what of a video's time, memory and looks is another way than the model's own. What is left alone is not sent.
import { byId, state, make, fill, option } from "./base.js";

const CACHES = {
  "first-block": "by how much the first block changes",
  faster: "attention, and one pass in two",
  mag: "whole steps that change little: quickest, least like the exact video",
  pab: "attention, every other step",
  taylor: "attention and more, every other step",
};
const SCALES = {
  guidance_scale: ["Heed the sentence", "Weight of the sentence against the negative one; 1 or less does without."],
  identity_guidance_scale: ["Heed the people", "Weight of the people against nobody in particular; 1 does without."],
  likeness_guidance_scale: ["Lead to the likeness", "How far each step is led to where the recogniser sees the people of the photos; 0 does without."],
  perturbed_attention_scale: ["Against falling apart", "Perturbed attention: each step is led away from what falls apart while places cannot see each other; 0 does without."],
  layout_share: ["Begin from left to right", "Share of the steps, at the start, in which people are put from left to right."],
};
const fields = () => [...byId("tuning-fields").querySelectorAll("[data-field]")];
const worded = (name) => name.replaceAll("_", " ");

export function showTuning() {
  const { sampling, step_caches: caches } = state.model;
  const cache = make("select", { "data-field": "step_cache" }, option("", "as the server has it", true), option("none", "nothing: every step is worked out"),
    ...caches.map((name) => option(name, CACHES[name] ? `${CACHES[name]} (${name})` : name)));
  const scales = Object.entries(sampling).filter(([name]) => name !== "num_inference_steps").map(([name, value]) => {
    const [label, title] = SCALES[name] || [worded(name), ""];
    return make("label", { title }, label, make("input", { type: "number", inputmode: "decimal", min: 0, step: "any", placeholder: String(value), "data-field": name }));
  });
  const tick = (name, text, title) => make("label.tick", { title }, make("input", { type: "checkbox", "data-field": name }), text);
  fill("tuning-fields",
    make("label.wide", { title: "Steps that take over what earlier ones worked out are quicker, and make a slightly other video" }, "Take over from earlier steps", cache),
    tick("split_guidance", "Guidance passes in turn: less memory", "The passes of a step run one after the other instead of as one batch: less memory, a little more time"),
    tick("decode_in_tiles", "Decode in tiles: less memory", "Large pictures are decoded in overlapping tiles: less memory"),
    ...scales);
  tellTuning();
}

export function tuningAsked() {
  const asked = {};
  for (const field of fields()) {
    if (field.type === "checkbox") { if (field.checked) asked[field.dataset.field] = true; }
    else if (field.value !== "") asked[field.dataset.field] = field.type === "number" ? Number(field.value) : field.value;
  }
  return asked;
}

// Takes what a video was asked for with, or what was saved; all else is left to the model.
export function setTuning(asked) {
  for (const field of fields()) {
    const name = field.dataset.field, value = asked[name] === state.model.sampling[name] ? undefined : asked[name];
    if (field.type === "checkbox") field.checked = value === true;
    else field.value = value === undefined ? "" : value;
    if (field.selectedIndex === -1) field.value = ""; // a step cache that this model does not have
  }
  tellTuning();
  if (Object.keys(tuningAsked()).length) byId("tuning").open = true;
}

export function tellTuning() {
  const number = Object.keys(tuningAsked()).length;
  byId("tuning-told").textContent = number ? `${number} changed` : "";
  byId("tuning-reset").hidden = !number;
}
