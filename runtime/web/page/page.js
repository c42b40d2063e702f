"use strict";
// Draws what /events says. Every text goes through textContent: nothing that a vehicle says becomes markup.
const SVG = "http://www.w3.org/2000/svg";
const ENGAGEMENTS = ["enabled", "overriding", "pre-enabled", "disabled", "soft-disabling", "safe-stop", "fault-latched"];
const TROUBLED = ["hung", "backing-off", "failed"];
const PICTURE_MS = 600; // between two pictures: what a person needs, for little of a core
const NARROW_PX = 112; // of a box: rate and time stand one below the other
const STALE_MS = 4000; // the server speaks every second
const at = (id) => document.getElementById(id);
let newest = null, heardAt = 0, events = null, pictureTimer = 0, camera = "";

function make(name, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}
function tag(name, text = "", kind = "") {
  const element = document.createElement(name);
  if (text !== "") element.textContent = text;
  if (kind) element.className = kind;
  return element;
}
const none = (value) => value === null || value === undefined;
const hz = (value) => none(value) ? "-" : `${value < 99.95 ? value.toFixed(1) : value.toFixed(0)} Hz`;
const ms = (value) => none(value) ? "-" : value < 0.0995 ? `${(value * 1000).toFixed(0)} µs`
  : `${value < 9.95 ? value.toFixed(2) : value < 99.5 ? value.toFixed(1) : value.toFixed(0)} ms`;
const age = (value) => none(value) ? "-" : value < 0.9995 ? `${(value * 1000).toFixed(0)} ms` : value < 99.5 ? `${value.toFixed(1)} s`
  : value < 5970 ? `${(value / 60).toFixed(0)} min` : `${(value / 3600).toFixed(1)} h`;
const count = (value) => none(value) ? "-" : String(value).replace(/\B(?=(\d{3})+$)/g, " ");
const span = (value) => value < 100 ? `${value.toFixed(0)} s` : value < 3600 ? `${Math.floor(value / 60)} min ${String(Math.floor(value % 60)).padStart(2, "0")} s`
  : `${Math.floor(value / 3600)} h ${String(Math.floor(value % 3600 / 60)).padStart(2, "0")} min`;
const clock = (run, at_s) => new Date(Date.parse(run.started) + at_s * 1000).toISOString().slice(11, 19);
const colour = (engagement) => getComputedStyle(document.documentElement).getPropertyValue(`--${engagement}`).trim() || "#888";

function show(run) {
  newest = run;
  at("head").className = run.role;
  at("verdict").textContent = run.verdict;
  document.title = `${run.verdict} - ${run.vehicle || "cardan"}`;
  at("help").hidden = !(run.help && run.help.join(""));
  at("help").textContent = (run.help || []).join("\n");
  const known = Boolean(run.run);
  document.querySelector("main").hidden = !known;
  at("about").textContent = known
    ? `${run.vehicle} on ${run.profile} · ${run.live ? "running for" : "ended, ran for"} ${span(run.ran_s)} · ${run.run}` : "";
  if (!known) return;
  showFacts(run); showGraph(run); showTime(run); showCan(run); showTopics(run); showCamera(run);
}

function showFacts(run) {
  const photon = run.photon_to_can_ms;
  const rows = [
    ["who drives", run.engagement || "-", run.engagement === "enabled" ? "" : [run.cause, run.cause_means].filter(Boolean).join(": "), "wide"],
    ["photon to CAN", photon ? ms(photon.p50) : "-", photon ? `99 %: ${ms(photon.p99)} · max ${ms(photon.max)}` : "", ""],
    ["messages lost", count(run.lost), "", ""],
    ["nodes", `${run.nodes.filter((node) => node.state === "running").length} of ${run.nodes.length}`, "running", ""],
    ["restarts", count(run.nodes.reduce((sum, node) => sum + Math.max(0, node.starts - 1), 0)), "", ""],
  ];
  at("facts").replaceChildren(...rows.map(([name, value, more, kind]) => {
    const cell = tag("div", "", kind);
    cell.append(tag("span", name), tag("b", value));
    if (more) cell.append(tag("small", more));
    return cell;
  }));
}

function role(node) {
  if (TROUBLED.includes(node.state) || node.fault) return "bad";
  return node.state === "late" || node.condition ? "warning" : "";
}

function showGraph(run) {
  const wide = at("graph").clientWidth || 360;
  const drawn = run.nodes.filter((node) => !node.listens), across = wide >= 560;
  const layers = [];
  for (const node of drawn) (layers[node.layer] = layers[node.layer] || []).push(node);
  const rows = layers.filter(Boolean), most = Math.max(1, ...rows.map((row) => row.length));
  // Layers run to the right where there is room, else downwards.
  const boxWidth = Math.min(136, across ? (wide - 60 * (rows.length - 1)) / rows.length : (wide - 14 * (most - 1)) / most);
  const boxHeight = across || boxWidth < NARROW_PX ? 60 : 44;
  const high = across ? Math.max(220, most * (boxHeight + 44)) : rows.length * (boxHeight + 34) - 30;
  const places = new Map();
  rows.forEach((row, layer) => row.forEach((node, place) => {
    const main = across ? layer * (wide - boxWidth) / Math.max(1, rows.length - 1) : layer * (boxHeight + 34) + 2;
    const side = across ? (place + 0.5) * high / row.length - boxHeight / 2 : (place + 0.5) * wide / row.length - boxWidth / 2;
    places.set(node.name, across ? [main, side] : [side, main]);
  }));
  const parts = [];
  for (const arrow of run.arrows) {
    const from = places.get(arrow.source), to = places.get(arrow.target);
    if (from && to) parts.push(...drawArrow(arrow, from, to, boxWidth, boxHeight, across));
  }
  for (const node of drawn) parts.push(drawNode(node, places.get(node.name), boxWidth, boxHeight, across));
  const graph = at("graph");
  graph.setAttribute("viewBox", `0 0 ${wide} ${high}`);
  graph.setAttribute("height", high);
  graph.replaceChildren(...parts);
  at("listeners").textContent = run.nodes.filter((node) => node.listens)
    .map((node) => `${node.name}: ${node.state}, ${hz(node.rate_hz)}${node.fault ? `, ${node.fault}` : ""}`).join(" · ");
}

function drawNode(node, [x, y], width, height, across) {
  const group = make("g", { class: `node ${role(node)}`, transform: `translate(${x},${y})` });
  const steps = node.state === "running" || node.state === "late", way = none(node.step_p99_ms) ? "" : ms(node.step_p99_ms);
  const figures = !steps ? [node.state] : across || width < NARROW_PX ? [hz(node.rate_hz), way] : [`${hz(node.rate_hz)}${way ? ` · ${way}` : ""}`];
  const more = [`${node.name}: ${node.state}`, `jitter p99 ${ms(node.jitter_p99_ms)}, missed ${node.missed}, starts ${node.starts}`,
    node.condition, node.fault].filter(Boolean).join("\n");
  const middle = (row, kind, text) => make("text", { x: width / 2, y: row, "text-anchor": "middle", class: kind }, text);
  group.append(make("title", {}, more), make("rect", { width, height, rx: 6 }),
    middle(18, "name", node.name + (node.starts > 1 ? ` ×${node.starts}` : "")),
    ...figures.map((text, index) => middle(35 + 15 * index, "small", text)));
  return group;
}

function drawArrow(arrow, from, to, width, height, across) {
  const back = across ? to[0] <= from[0] : to[1] <= from[1];
  let start, end, path;
  if (across) {
    start = [from[0] + (back ? 0 : width), from[1] + height / 2 + (back ? 12 : 0)];
    end = [to[0] + (back ? width : 0), to[1] + height / 2 + (back ? 12 : 0)];
    const bend = (end[0] - start[0]) / 2;
    path = back ? `M${start} C${start[0] + bend},${start[1] + 16} ${end[0] - bend},${end[1] + 16} ${end}`
      : `M${start} C${start[0] + bend},${start[1]} ${end[0] - bend},${end[1]} ${end}`;
  } else {
    start = [from[0] + width / 2 + (back ? 24 : 0), from[1] + (back ? 0 : height)];
    end = [to[0] + width / 2 + (back ? 24 : 0), to[1] + (back ? height : 0)];
    const bend = (end[1] - start[1]) / 2;
    path = `M${start} C${start[0]},${start[1] + bend} ${end[0]},${end[1] - bend} ${end}`;
  }
  const line = make("path", { d: path, class: `arrow${back ? " back" : ""}${arrow.gone ? " lossy" : ""}` });
  line.append(make("title", {}, `${arrow.topic}: ${hz(arrow.rate_hz)}, one way ${ms(arrow.one_way_ms)}, ${count(arrow.gone)} lost`));
  const parts = [line];
  if (back) return parts;
  const toLeft = !across && end[0] > start[0] + 8 && width >= NARROW_PX; // of the line, where there is room
  // Beside the publisher: an arrow that passes over a layer has its middle behind a box.
  const label = across ? [start[0] + 4, start[1] + (end[1] > start[1] + 8 ? -5 : end[1] < start[1] - 8 ? 14 : -5)]
    : [start[0] + (toLeft ? -6 : 5), start[1] + 14];
  const anchor = toLeft ? "end" : "start";
  parts.push(make("text", { x: label[0], y: label[1], class: "small way", "text-anchor": anchor }, ms(arrow.one_way_ms)));
  return parts;
}

function showTime(run) {
  const band = at("band"), wide = band.clientWidth || 360;
  const from = Math.max(0, run.ran_s - 600), until = Math.max(run.ran_s, from + 1);
  const x = (at_s) => (Math.max(from, at_s) - from) / (until - from) * wide;
  const parts = [make("rect", { x: 0, y: 14, width: wide, height: 16, rx: 3, class: "unknown", fill: colour("line") })];
  run.drove.forEach((drove, index) => {
    const end = index + 1 < run.drove.length ? run.drove[index + 1].at_s : until;
    if (end < from) return;
    const part = make("rect", { x: x(drove.at_s), y: 14, width: Math.max(1.5, x(end) - x(drove.at_s)), height: 16, fill: colour(drove.engagement) });
    part.append(make("title", {}, `${drove.engagement} from ${clock(run, drove.at_s)}`));
    parts.push(part);
  });
  for (const event of run.events.filter((event) => event.at_s >= from)) {
    const mark = make("path", { d: `M${x(event.at_s)},12 l-5,-9 h10 z`, class: `mark ${event.kind}` });
    mark.append(make("title", {}, `${clock(run, event.at_s)} ${event.title}`));
    parts.push(mark);
  }
  const ticks = wide < 600 ? 3 : 6;
  for (let tick = 0; tick <= ticks; tick++) {
    const place = tick / ticks, anchor = tick === 0 ? "start" : tick === ticks ? "end" : "middle";
    parts.push(make("text", { x: place * wide, y: 44, class: "small", "text-anchor": anchor }, clock(run, from + place * (until - from))));
  }
  band.setAttribute("viewBox", `0 0 ${wide} 48`);
  band.setAttribute("height", 48);
  band.replaceChildren(...parts);
  const seen = ENGAGEMENTS.filter((name) => run.drove.some((drove) => drove.engagement === name));
  at("legend").replaceChildren(...seen.map((name) => {
    const entry = tag("span"), sample = tag("i");
    sample.style.background = colour(name);
    entry.append(sample, name);
    return entry;
  }));
  at("time-about").textContent = `UTC${from > 0 ? ", the last 10 min" : ""}`;
  at("events").replaceChildren(...(run.events.length ? run.events.slice(0, 50).map((event) => {
    const row = tag("li", "", event.kind), text = tag("div");
    text.append(tag("b", event.title));
    for (const more of [event.detail, event.hint && `try: ${event.hint}`]) if (more) text.append(tag("small", more));
    row.append(tag("time", clock(run, event.at_s)), text);
    return row;
  }) : [tag("li", "nothing since the page has looked", "faint")]));
}

function showCan(run) {
  at("can-box").hidden = !run.can.length;
  at("can").replaceChildren(...run.can.map(({ health, age_s, reader }) => {
    const box = tag("div"), link = health.link;
    const stale = run.live && age_s > 3, bad = health.trouble || (stale ? `${reader} has said nothing for ${age(age_s)}` : "");
    box.append(tag("b", health.channel), ` ${health.interface}${health.device ? ` ${health.device}` : ""} · `, tag("b", bad || "ok", bad ? "bad" : "good"));
    const rows = [`${count(health.received)} frames · ${count(health.receive_dropped)} dropped · ${count(health.malformed)} malformed · ${count(health.error_frames)} error frames`];
    if (health.newest_error) rows.push(`newest error: ${health.newest_error}`);
    if (link) rows.push([link.bus_state, none(link.bitrate) ? "" : `${link.bitrate / 1000} kbit/s`,
      none(link.transmit_errors) ? "" : `TEC ${link.transmit_errors} REC ${link.receive_errors}`,
      none(link.bus_offs) ? "" : `bus-off ${link.bus_offs}×`, `txqueuelen ${link.transmit_queue_frames}`].filter(Boolean).join(" · "));
    for (const row of rows) box.append(tag("small", row));
    return box;
  }));
}

function showTopics(run) {
  at("topics").replaceChildren(...run.topics.map((topic) => {
    const row = tag("tr"), lost = topic.lost + topic.dropped + topic.torn;
    const ways = topic.edges.map((edge) => edge.one_way_ms && edge.one_way_ms.p50).filter((way) => !none(way));
    row.append(tag("td", topic.topic), tag("td", hz(topic.rate_hz)), tag("td", age(topic.age_s)),
      tag("td", ways.length ? ms(Math.min(...ways)) : "-"), tag("td", count(lost), lost ? "bad" : ""));
    row.title = `${topic.type} to ${topic.readers.join(", ")}`;
    return row;
  }));
}

function showCamera(run) {
  at("camera-box").hidden = !run.cameras.length;
  if (!run.cameras.includes(camera)) camera = run.cameras[0] || "";
  if (camera && run.live && !pictureTimer && !document.hidden) pictureTimer = setTimeout(takePicture, 0);
  if (!run.live) at("camera-note").textContent = "of a run that has ended no picture is kept";
}

function pictureWidth() { // a small screen needs no large picture
  return Math.ceil(at("camera").clientWidth * (window.devicePixelRatio || 1)) || 640;
}

async function takePicture() {
  const began = performance.now();
  try {
    const answer = await fetch(`/picture?topic=${encodeURIComponent(camera)}&width=${pictureWidth()}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(await answer.text());
    const drawing = JSON.parse(answer.headers.get("Cardan-Drawing"));
    drawPicture(await createImageBitmap(await answer.blob()), drawing);
    at("camera-about").textContent = `${camera} · ${age(drawing.age_ms / 1000)} old`;
    at("camera-note").textContent = drawing.note;
  } catch (error) {
    at("camera-note").textContent = error.message;
  }
  const wanted = newest && newest.live && !document.hidden && camera;
  pictureTimer = wanted ? setTimeout(takePicture, Math.max(50, PICTURE_MS - (performance.now() - began))) : 0;
}

function drawPicture(image, drawing) {
  const canvas = at("camera"), scale = Math.max(1, Math.min(3, canvas.clientWidth * (window.devicePixelRatio || 1) / drawing.width));
  canvas.width = Math.round(drawing.width * scale);
  canvas.height = Math.round(drawing.height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.drawImage(image, 0, 0, drawing.width, drawing.height);
  pen.lineJoin = pen.lineCap = "round";
  pen.lineWidth = 3; pen.strokeStyle = "#39d353";
  for (const line of drawing.lines) {
    pen.beginPath();
    line.forEach(([x, y], index) => index ? pen.lineTo(x, y) : pen.moveTo(x, y));
    pen.stroke();
  }
  if (!drawing.box) return;
  const [left, top, right, bottom] = drawing.box;
  pen.lineWidth = 2; pen.strokeStyle = "#ffa657"; pen.font = "14px system-ui, sans-serif";
  pen.strokeRect(left, top, right - left, bottom - top);
  const text = [Math.max(4, Math.min(left, drawing.width - 136)), Math.max(18, top - 8)];
  pen.fillStyle = "rgba(0, 0, 0, 0.6)";
  pen.fillRect(text[0] - 4, text[1] - 14, pen.measureText(drawing.label).width + 8, 19);
  pen.fillStyle = "#ffc58a";
  pen.fillText(drawing.label, ...text);
}

async function takeBundle() {
  const button = at("bundle"), about = at("bundle-about");
  button.disabled = true;
  about.textContent = "collecting, some seconds …";
  try {
    const answer = await fetch("/bundle", { method: "POST", headers: { "Cardan-Page": "1" }, cache: "no-store" });
    if (!answer.ok) throw new Error(await answer.text());
    const file = await answer.blob(), place = URL.createObjectURL(file), link = tag("a");
    link.href = place;
    link.download = (answer.headers.get("Content-Disposition").match(/filename="([^"]+)"/) || [])[1] || "bundle.zip";
    link.click();
    setTimeout(() => URL.revokeObjectURL(place), 60000);
    about.textContent = `${answer.headers.get("Cardan-Bundle")} · ${(file.size / 1e6).toFixed(1)} MB`;
  } catch (error) {
    about.textContent = error.message;
  }
  button.disabled = false;
}
at("bundle").addEventListener("click", takeBundle);

function listen() {
  if (events) events.close();
  events = document.hidden ? null : new EventSource("/events");
  if (!events) return;
  events.onmessage = (message) => {
    heardAt = performance.now();
    document.body.classList.remove("stale");
    show(JSON.parse(message.data));
  };
}
setInterval(() => {
  if (!document.hidden && heardAt && performance.now() - heardAt > STALE_MS) {
    document.body.classList.add("stale");
    at("head").className = "warning";
    at("verdict").textContent = "no connection to the vehicle; what is below is old";
  }
}, 1000);
document.addEventListener("visibilitychange", listen); // a page that nobody sees costs nothing
addEventListener("resize", () => newest && newest.run && show(newest));
at("camera").addEventListener("click", () => {
  if (newest && newest.cameras.length > 1) camera = newest.cameras[(newest.cameras.indexOf(camera) + 1) % newest.cameras.length];
});
listen();
