// Shows /openapi.json as a page, and sends its examples. Text goes in as text, never as HTML.
"use strict";

const METHODS = ["post", "get", "delete"];

function element(name, text, parent) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function resolve(schema, whole) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.slice(2).split("/").reduce((place, name) => place[name], whole);
}

function kindOf(schema) {
  if (schema.anyOf) return schema.anyOf.map(kindOf).filter((kind) => kind !== "null").join(" or ");
  if (schema.enum) return schema.enum.join(", ");
  if (schema.const !== undefined) return String(schema.const);
  return schema.type === "array" ? `list of ${kindOf(schema.items || {})}` : schema.type || "object";
}

function table(rows, parent) {
  const made = element("table", undefined, parent);
  for (const cells of rows) {
    const row = element("tr", undefined, made);
    cells.forEach((cell, index) => element(index ? "td" : "th", cell, row));
  }
}

async function send(method, path, body, output) {
  const headers = {};
  const key = document.getElementById("key").value.trim();
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  output.textContent = "...";
  try {
    const response = await fetch(path, { method, headers, body });
    const kind = response.headers.get("content-type") || "";
    const text = /json|text\/plain/.test(kind) ? await response.text() : `${(await response.blob()).size} bytes of ${kind}`;
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* it is no JSON */ }
    output.textContent = `${response.status}\n${shown}`;
  } catch (error) {
    output.textContent = `The server cannot be reached (${error.message}).`;
  }
}

function showOperation(path, method, operation, whole, parent) {
  const part = element("section", undefined, parent);
  element("h2", `${method.toUpperCase()} ${path}`, part);
  element("p", operation.description || operation.summary || "", part);
  const parameters = (operation.parameters || []).filter((each) => each.in !== "header");
  if (parameters.length) {
    table(parameters.map((each) => [each.name, kindOf(each.schema || {}), each.description || each.schema.description || ""]), part);
  }
  const content = ((operation.requestBody || {}).content || {})["application/json"];
  const schema = content && resolve(content.schema, whole);
  if (schema && schema.properties) {
    const details = element("details", undefined, part);
    element("summary", "Fields", details);
    table(Object.entries(schema.properties).map(([name, field]) => [name, kindOf(field), field.description || ""]), details);
  }
  const inputs = {};
  for (const each of parameters.filter((parameter) => parameter.in === "path")) {
    const label = element("label", `${each.name} `, part);
    inputs[each.name] = element("input", undefined, label);
  }
  let body;
  const examples = content ? (content.examples ? Object.values(content.examples) : content.example ? [{ summary: "Example", value: content.example }] : []) : [];
  if (content) {
    const label = element("label", "Body", part);
    body = element("textarea", undefined, label);
    body.spellcheck = false;
  }
  for (const example of examples) {
    const button = element("button", `Fill in: ${example.summary}`, part);
    button.type = "button";
    button.addEventListener("click", () => { body.value = JSON.stringify(example.value, null, 2); });
  }
  const streams = JSON.stringify(operation.responses["200"] || {}).includes("event-stream");
  if (streams) return;
  const button = element("button", "Send", part);
  button.type = "button";
  const output = element("pre", undefined, part);
  output.hidden = true;
  output.setAttribute("role", "status");
  button.addEventListener("click", () => {
    output.hidden = false;
    const place = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(inputs[name].value.trim()));
    send(method.toUpperCase(), place, body && body.value.trim() ? body.value : undefined, output);
  });
}

async function show() {
  const parent = document.getElementById("addresses");
  try {
    const whole = await (await fetch("/openapi.json")).json();
    parent.replaceChildren();
    for (const [path, operations] of Object.entries(whole.paths)) {
      for (const method of METHODS.filter((each) => operations[each])) {
        showOperation(path, method, operations[method], whole, parent);
      }
    }
  } catch (error) {
    parent.replaceChildren(element("p", `The server cannot be reached (${error.message}); load the page again.`));
  }
}

show();
