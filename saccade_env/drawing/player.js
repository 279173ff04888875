// <saccade-player data-scanpaths='…'>: plays recorded scanpaths, whose format scanpaths.py defines.
// Places are (row, col) in tokens. Data becomes text and numbers only, never markup.
(() => {
"use strict";
if (customElements.get("saccade-player")) return; // a page may bring this script twice

const STYLE = "{{ style }}", COLOURS = "{{ colours }}"; // filled in when delivered
const FORMAT = "saccade-env/scanpaths", VERSION = 1;
const SPEEDS = [0.5, 1, 2, 4], PAUSE = 900; // milliseconds a saccade at 1×
const HIDDEN = { dimmed: "Dimmed", grey: "Grey", whole: "Whole picture" };
const NEUTRAL = "#7c7468"; // ImageNet's mean colour: what CNNs are shown for a hidden token
const SHROUD = "rgb(11 15 20 / 62%)";
const HEAT = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]]; // magma
const UNIT = 16; // of the drawing over the picture, a token
const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  first: "M6 6h2v12H6zM17.5 7.4L16 6l-6 6 6 6 1.5-1.4-4.6-4.6z", back: "M15.5 7.4L14 6l-6 6 6 6 1.5-1.4-4.6-4.6z",
  play: "M8.5 5.5l10.5 6.5-10.5 6.5z", pause: "M7 6h3.5v12H7zM13.5 6H17v12h-3.5z",
  forward: "M8.5 7.4L10 6l6 6-6 6-1.5-1.4 4.6-4.6z", last: "M16 6h2v12h-2zM6.5 7.4L8 6l6 6-6 6-1.5-1.4 4.6-4.6z",
};

const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}\u00a0%`;
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const isText = (value) => typeof value === "string";

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  return fill(element, attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

// Rows and columns [top, left, bottom, right) a fovea reveals: clipped at the border of the grid.
function foveaWindow([row, col], fovea, [rows, cols]) {
  const reach = Math.floor(fovea / 2);
  return [
    Math.max(0, row - reach), Math.max(0, col - reach),
    Math.min(rows, row + reach + 1), Math.min(cols, col + reach + 1),
  ];
}

// A sentence that says why a document cannot be shown, or "".
function problem(found) {
  if (typeof found !== "object" || found === null || Array.isArray(found)) return "this is no scanpath file";
  if (found.format !== FORMAT) return `the format is not ${FORMAT}`;
  if (found.version !== VERSION) return `version ${VERSION} is expected, not ${String(found.version).slice(0, 20)}`;
  const { grid, policies } = found;
  if (!Array.isArray(grid) || grid.length !== 2 || !grid.every((side) => Number.isInteger(side) && side > 0)) return "the grid is damaged";
  if (!(found.fovea % 2 === 1) || !Number.isInteger(found.max_saccades) || found.max_saccades < 1) return "fovea or max_saccades is damaged";
  if (!Array.isArray(policies) || !policies.length) return "it holds no policies";
  if (found.full && !isMoment(found.full)) return "what is known of the full image is damaged";
  return policies.map((policy) => damage(policy, grid)).find(Boolean) || "";
}

function damage(policy, [rows, cols]) {
  if (!policy || !isText(policy.name)) return "a policy has no name";
  const name = `the policy ${policy.name.slice(0, 40)}`;
  const { saliency, saccades } = policy;
  if (saliency && !(Array.isArray(saliency) && saliency.length === rows * cols)) return `the map of ${name} does not fit the grid`;
  if (!Array.isArray(saccades) || !saccades.length) return `${name} has no saccades`;
  const inside = ([row, col]) => row >= 0 && row < rows && col >= 0 && col < cols;
  const sound = (one, number) => isMoment(one) && Array.isArray(one.reveals) && isNumber(one.visible_share) &&
    (number === 0 || (Array.isArray(one.fixation) && inside(one.fixation)));
  const wrong = saccades.findIndex((one, number) => !sound(one, number));
  return wrong < 0 ? "" : `saccade ${wrong} of ${name} is damaged`;
}

function isMoment(one) {
  return one && isNumber(one.certainty) && Array.isArray(one.top5) &&
    one.top5.every((pair) => Array.isArray(pair) && isText(pair[0]) && isNumber(pair[1]));
}

// The picture as it looks where it is revealed, and where it is hidden in each of the ways.
class Sheets {
  constructor([rows, cols], image) {
    this.side = Math.max(1, Math.round(672 / Math.max(rows, cols))); // pixels a token
    this.size = [cols * this.side, rows * this.side];
    this.whole = this.#sheet((context) => {
      context.fillStyle = "#b9bec6";
      context.fillRect(0, 0, ...this.size);
      if (image) context.drawImage(image, 0, 0, ...this.size);
    });
    this.dimmed = this.#sheet((context) => {
      context.drawImage(this.whole, 0, 0);
      context.globalCompositeOperation = "saturation";
      context.fillStyle = "rgb(128 128 128 / 80%)";
      context.fillRect(0, 0, ...this.size);
      context.globalCompositeOperation = "source-over";
      context.fillStyle = SHROUD;
      context.fillRect(0, 0, ...this.size);
    });
    this.grey = this.#sheet((context) => {
      context.fillStyle = NEUTRAL;
      context.fillRect(0, 0, ...this.size);
    });
  }

  #sheet(paint) {
    const canvas = make("canvas", { width: this.size[0], height: this.size[1] });
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    paint(context);
    return canvas;
  }
}

// One policy: its picture with the scanpath, what the classifier says, the curve of certainty.
class Card {
  constructor(found, policy) {
    this.found = found;
    this.policy = policy;
    const [rows, cols] = found.grid;
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.marks = draw("svg", { class: "marks", viewBox: `0 0 ${cols * UNIT} ${rows * UNIT}`, role: "img" });
    this.verdict = make("p", { class: "verdict" });
    this.classes = make("ol", { class: "classes", "aria-label": "Top five classes" });
    this.certainty = make("strong");
    this.chart = draw("svg", { class: "chart", role: "img" });
    this.width = 0; // of the chart in pixels, so that its text has one size everywhere
    new ResizeObserver(([{ contentRect: { width } }]) => {
      if (width < 1 || Math.abs(width - this.width) < 1) return;
      this.width = width;
      this.#plot();
    }).observe(this.chart);
    const sees = new Map([["", ""], ["no", "sees what it reveals"], ["yes", "sees the whole image"]]).get(policy.sees) ?? `sees ${policy.sees}`;
    const stage = make("div", { class: "stage" }, this.canvas, this.marks);
    stage.style.setProperty("aspect-ratio", `${cols} / ${rows}`);
    this.element = make("article", { class: "card", "aria-label": policy.name },
      make("header", {}, make("h3", {}, policy.name), ...(sees ? [make("span", { class: "sees" }, sees)] : [])),
      make("div", { class: "seen" }, stage, this.verdict),
      make("div", { class: "judged" },
        make("h4", {}, "Prediction"), this.classes,
        make("h4", {}, "Certainty", this.certainty), this.chart));
  }

  get last() { return this.policy.saccades.length - 1; }

  at(step) { return this.policy.saccades[Math.min(step, this.last)]; }

  // The policy at a saccade in a few words.
  told(step) {
    const { top5, certainty, right } = this.at(step);
    const verdict = right === true ? " (right)" : right === false ? " (wrong)" : "";
    const best = top5.length ? `${top5[0][0]} ${percent(top5[0][1])}${verdict}, ` : "";
    return `${this.policy.name}: ${best}certainty ${certainty.toFixed(2)}`;
  }

  show(step, sheets, hidden, overlay) {
    const made = Math.min(step, this.last), now = this.at(step);
    this.made = made;
    this.#paint(made, sheets, hidden, overlay);
    this.#mark(made);
    this.#judge(made, now, step);
    this.#plot();
  }

  #paint(made, sheets, hidden, overlay) {
    const { canvas } = this, [rows, cols] = this.found.grid, { side } = sheets;
    [canvas.width, canvas.height] = sheets.size;
    const context = canvas.getContext("2d");
    context.drawImage(sheets[hidden], 0, 0);
    for (const one of this.policy.saccades.slice(0, made + 1)) {
      for (const token of one.reveals) {
        const box = [(token % cols) * side, Math.floor(token / cols) * side, side, side];
        context.drawImage(sheets.whole, ...box, ...box);
      }
    }
    if (overlay && this.policy.saliency) {
      context.globalAlpha = 0.62;
      context.imageSmoothingEnabled = false;
      context.drawImage(heat(this.policy.saliency, rows, cols), 0, 0, ...sheets.size);
      context.globalAlpha = 1;
    }
  }

  #mark(made) {
    const { grid: [rows, cols], fovea, grid } = this.found;
    const places = this.policy.saccades.slice(1, made + 1).map((one) => one.fixation);
    const spots = places.map(([row, col]) => [(col + 0.5) * UNIT, (row + 0.5) * UNIT]);
    const radius = 0.033 * UNIT * Math.min(Math.max(rows, cols), 2 * Math.min(rows, cols));
    const marks = [draw("path", { class: "rim", d: this.#rim(made) })];
    if (places.length) {
      const [top, left, bottom, right] = foveaWindow(places.at(-1), fovea, grid).map((edge) => edge * UNIT);
      const box = { x: left, y: top, width: right - left, height: bottom - top };
      marks.push(draw("rect", { class: "fovea under", ...box }), draw("rect", { class: "fovea", ...box }));
      const points = spots.map((spot) => spot.join()).join(" ");
      marks.push(draw("polyline", { class: "path under", points }), draw("polyline", { class: "path", points }));
    }
    spots.forEach(([x, y], number) => {
      const text = draw("text", { x, y, "font-size": 1.15 * radius }, String(number + 1));
      const disc = draw("circle", { cx: x, cy: y, r: radius });
      marks.push(draw("g", { class: number === spots.length - 1 ? "fixation now" : "fixation" }, disc, text));
    });
    const where = places.length ? `, the last at row ${places.at(-1)[0]}, column ${places.at(-1)[1]}` : "";
    this.marks.setAttribute("aria-label", `Picture after ${made} saccade${made === 1 ? "" : "s"}${where}`);
    this.marks.replaceChildren(...marks);
  }

  // Where what is revealed borders on what is hidden.
  #rim(made) {
    const [rows, cols] = this.found.grid, seen = new Set();
    for (const one of this.policy.saccades.slice(0, made + 1)) one.reveals.forEach((token) => seen.add(token));
    let line = "";
    for (const token of seen) {
      const row = Math.floor(token / cols), col = token % cols, y = row * UNIT, x = col * UNIT;
      if (row > 0 && !seen.has(token - cols)) line += `M${x} ${y}h${UNIT}`;
      if (row < rows - 1 && !seen.has(token + cols)) line += `M${x} ${y + UNIT}h${UNIT}`;
      if (col > 0 && !seen.has(token - 1)) line += `M${x} ${y}v${UNIT}`;
      if (col < cols - 1 && !seen.has(token + 1)) line += `M${x + UNIT} ${y}v${UNIT}`;
    }
    return line;
  }

  #judge(made, now, step) {
    const verdict = now.right === true ? ["✓ right", "right"] : now.right === false ? ["✗ wrong", "wrong"] : null;
    const over = this.last < this.found.max_saccades && step >= this.last;
    this.verdict.replaceChildren(
      ...(verdict ? [make("span", { class: `badge ${verdict[1]}` }, verdict[0])] : []),
      make("span", {}, `${percent(now.visible_share)} visible`),
      ...(over ? [make("span", {}, `stopped after ${made}`)] : []));
    this.classes.replaceChildren(...now.top5.map(([name, share]) => {
      const own = name === this.found.label;
      const bar = make("span", { class: "bar", "aria-hidden": "true" }, make("span"));
      bar.firstChild.style.setProperty("width", `${100 * Math.min(1, Math.max(0, share))}%`);
      const words = [make("span", { class: "name", title: name }, name)];
      if (own) words.push(make("span", { class: "own" }, "label"));
      return make("li", own ? { class: "label" } : {}, ...words, make("span", { class: "share" }, percent(share, 1)), bar);
    }));
  }

  #plot() {
    const { full, max_saccades: budget } = this.found, { made } = this, now = this.at(made);
    const width = Math.round(this.width) || 320;
    this.chart.setAttribute("viewBox", `0 0 ${width} 112`);
    const x = (saccade) => 24 + (saccade * (width - 32)) / budget, y = (level) => 88 - 80 * level;
    const text = (words, place, anchor = "middle") => draw("text", { x: place[0], y: place[1], "text-anchor": anchor }, words);
    const levels = this.policy.saccades.map((one, saccade) => [x(saccade), y(one.certainty)]);
    const points = (some) => some.map((point) => point.map((value) => value.toFixed(1)).join()).join(" ");
    const parts = [0, 0.5, 1].flatMap((level) => [
      draw("line", { class: "grid", x1: x(0), x2: x(budget), y1: y(level), y2: y(level) }),
      text(String(level), [x(0) - 7, y(level) + 3.5], "end"),
    ]);
    for (const saccade of new Set([0, Math.floor(budget / 2), budget])) parts.push(text(String(saccade), [x(saccade), 103]));
    parts.push(text("saccades", [x(0.75 * budget), 103]));
    if (full) {
      const height = y(full.certainty), above = height > 20 ? height - 4 : height + 11;
      const apart = (some) => Math.min(...some.map((one) => Math.abs(one[1] - above)));
      const half = levels.length / 2, left = apart(levels.slice(0, half + 1)) >= apart(levels.slice(half));
      parts.push(draw("line", { class: "full", x1: x(0), x2: x(budget), y1: height, y2: height }));
      parts.push(text(`full image ${full.certainty.toFixed(2)}`, [left ? x(0) + 5 : x(budget) - 5, above], left ? "start" : "end"));
    }
    parts.push(draw("polyline", { class: "later", points: points(levels.slice(made)) }));
    parts.push(draw("polyline", { class: "curve", points: points(levels.slice(0, made + 1)) }));
    levels.slice(0, made).forEach(([cx, cy]) => parts.push(draw("circle", { class: "dot", cx, cy, r: 2.4 })));
    parts.push(draw("circle", { class: "now", cx: levels[made][0], cy: levels[made][1], r: 5 }));
    this.chart.replaceChildren(...parts);
    this.certainty.textContent = now.certainty.toFixed(2);
    const whole = full ? `, of the full image ${full.certainty.toFixed(2)}` : "";
    this.chart.setAttribute("aria-label", `Certainty ${now.certainty.toFixed(2)} after ${made} of ${budget} saccades${whole}`);
  }
}

function heat(saliency, rows, cols) {
  const canvas = make("canvas", { width: cols, height: rows }), context = canvas.getContext("2d");
  const pixels = context.createImageData(cols, rows);
  saliency.forEach((level, token) => {
    const place = (Math.min(255, Math.max(0, level)) / 255) * (HEAT.length - 1);
    const below = Math.min(HEAT.length - 2, Math.floor(place));
    HEAT[below].forEach((value, channel) => {
      pixels.data[4 * token + channel] = value + (place - below) * (HEAT[below + 1][channel] - value);
    });
    pixels.data[4 * token + 3] = 255;
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

class SaccadePlayer extends HTMLElement {
  static observedAttributes = ["data-scanpaths", "src", "theme"];
  static foveaWindow = foveaWindow;

  #given; #found = []; #cards = []; #sheets; #root; #parts = {}; #timer = 0; #loads = 0; #leave = [];
  #step = 0; #speed = 1; #hidden = "dimmed"; #overlay = false; #chosen = 0;

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: "open" });
    this.#root = make("div", { class: "player", role: "group", tabindex: "0" });
    try { // unlike a style element, this needs no permission from the page's policy
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(COLOURS + STYLE);
      shadow.adoptedStyleSheets = [sheet];
    } catch {
      shadow.append(make("style", {}, COLOURS + STYLE));
    }
    shadow.append(this.#root);
    this.#root.addEventListener("keydown", (event) => this.#press(event));
  }

  connectedCallback() {
    if (Object.hasOwn(this, "scanpaths")) { // set before this script was there
      const given = this.scanpaths;
      delete this.scanpaths;
      this.#given = given;
    }
    this.#watchTheme();
    this.#load();
  }

  disconnectedCallback() {
    this.pause();
    this.#leave.forEach((leave) => leave());
    this.#leave = [];
  }

  attributeChangedCallback(name) {
    if (!this.isConnected || !this.#leave.length) return;
    if (name === "theme") return this.#dress();
    this.#given = undefined;
    this.#load();
  }

  // A document, or several of which one is chosen: the JSON as data.
  get scanpaths() { return this.#given ?? (this.#found.length > 1 ? this.#found : this.#found[0]); }
  set scanpaths(value) {
    this.#given = value;
    if (this.isConnected) this.#load();
  }

  // The saccade shown: 0 is before the first.
  get saccade() { return this.#step; }
  set saccade(step) { this.#go(Number(step)); }

  get playing() { return this.#timer !== 0; }

  play() {
    if (this.playing || !this.#cards.length) return;
    if (this.#step >= this.#last) this.#go(0, false);
    this.#wait();
    this.#showControls();
  }

  pause() {
    if (!this.playing) return;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#showControls();
    this.#announce();
  }

  get #last() { return Math.max(...this.#cards.map((card) => card.last)); }

  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#go(this.#step + 1, false);
      if (this.#step >= this.#last) this.pause();
      else this.#wait();
    }, PAUSE / this.#speed);
  }

  // Goes to a saccade; by hand it also stops playing and says where it is.
  #go(step, byHand = true) {
    if (!this.#cards.length) return;
    if (byHand && this.playing) this.pause();
    this.#step = Math.min(this.#last, Math.max(0, Math.round(step) || 0));
    this.#redraw();
    if (byHand) this.#announce();
  }

  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.composedPath()[0], kind = target.type || target.localName;
    const busy = { button: [" "], checkbox: [" "], radio: [" ", "ArrowLeft", "ArrowRight"], range: ["Home", "End", "ArrowLeft", "ArrowRight"] };
    if (kind === "select-one" || (busy[kind] ?? []).includes(event.key)) return; // the control's own
    const acts = {
      " ": () => this.#toggle(), ArrowLeft: () => this.#go(this.#step - 1), ArrowRight: () => this.#go(this.#step + 1),
      Home: () => this.#go(0), End: () => this.#go(this.#last),
      "+": () => this.#hurry(1), "=": () => this.#hurry(1), "-": () => this.#hurry(-1), "−": () => this.#hurry(-1),
    };
    if (!acts[event.key] || !this.#cards.length) return;
    event.preventDefault();
    event.stopPropagation();
    acts[event.key]();
  }

  #toggle() { return this.playing ? this.pause() : this.play(); }

  #hurry(by) {
    const place = SPEEDS.indexOf(this.#speed) + by;
    this.#setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, place))]);
    this.#say(`Speed ${this.#speed}×`);
  }

  #setSpeed(speed) {
    this.#speed = speed;
    this.#parts.speed.value = String(speed);
    if (this.playing) this.#wait();
  }

  async #load() {
    const load = ++this.#loads; // of several that overlap the last one counts
    this.pause();
    try {
      const found = await this.#read();
      if (load !== this.#loads || !this.isConnected) return;
      const all = Array.isArray(found) ? found : [found];
      const wrong = all.length ? all.map(problem).find(Boolean) : "there is none";
      if (wrong) throw new Error(wrong);
      this.#found = all;
      this.#choose(Math.min(this.#chosen, all.length - 1), load);
    } catch (error) {
      if (load === this.#loads) this.#complain(error.message);
    }
  }

  #read() {
    if (this.#given !== undefined && this.#given !== null) return this.#given;
    const text = this.getAttribute("data-scanpaths"), address = this.getAttribute("src");
    if (text !== null) return parse(text);
    if (address === null) throw new Error("none are given");
    return fetch(address).then((answer) => {
      if (!answer.ok) throw new Error(`${address} cannot be loaded (${answer.status})`);
      return answer.text();
    }, () => { throw new Error(`${address} cannot be loaded`); }).then(parse);
  }

  #complain(why) {
    this.#cards = [];
    this.#found = [];
    this.#root.setAttribute("aria-label", "Scanpath player");
    this.#root.replaceChildren(make("p", { class: "sorry", role: "alert" }, `These scanpaths cannot be shown: ${why}.`));
  }

  async #choose(number, load = ++this.#loads) {
    this.pause();
    this.#chosen = number;
    const found = this.#found[number], image = await picture(found.picture);
    if (load !== this.#loads) return;
    this.#sheets = new Sheets(found.grid, image);
    this.#cards = found.policies.map((policy) => new Card(found, policy));
    if (!found.policies.some((policy) => policy.saliency)) this.#overlay = false;
    this.#build(found, Boolean(found.picture) && !image);
    const at = this.getAttribute("at");
    this.#step = at === "last" ? this.#last : Math.min(this.#last, Math.max(0, Number.parseInt(at, 10) || 0));
    this.#redraw();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (this.hasAttribute("autoplay") && !still) this.play();
  }

  #build(found, lost) {
    const title = isText(found.title) ? found.title : "";
    this.#root.setAttribute("aria-label", title ? `Scanpath player: ${title}` : "Scanpath player");
    const said = [];
    if (isText(found.label)) said.push(make("span", {}, "Label ", make("b", {}, found.label)));
    if (found.classifier) said.push(make("span", {}, "Classifier ", make("b", {}, String(found.classifier))));
    if (found.full?.top5.length) {
      const [name, share] = found.full.top5[0];
      said.push(make("span", {}, "Full image ", make("b", {}, name), ` ${percent(share)}`));
    }
    const focus = this.shadowRoot.activeElement?.dataset.keep;
    this.#parts = { live: make("p", { class: "unseen", role: "status", "aria-live": "polite" }) };
    this.#root.replaceChildren(
      make("header", { class: "top" }, ...(title ? [make("h2", {}, title)] : []), make("p", { class: "facts" }, ...said)),
      ...(this.#found.length > 1 ? [this.#chooser()] : []),
      ...(lost ? [make("p", { class: "sorry" }, "The picture cannot be loaded; its tokens are shown instead.")] : []),
      make("div", { class: this.#cards.length === 1 ? "cards alone" : "cards" }, ...this.#cards.map((card) => card.element)),
      this.#controls(), this.#options(found), this.#parts.live);
    if (focus) this.shadowRoot.querySelector(`[data-keep="${focus}"]`)?.focus();
  }

  #chooser() {
    const pictures = this.#found.map((found, number) => {
      const name = found.label || found.title || `picture ${number + 1}`;
      const radio = make("input", {
        type: "radio", name: "picture", checked: number === this.#chosen, "aria-label": name, "data-keep": `picture-${number}`,
        onchange: () => this.#choose(number),
      });
      const face = found.picture ? make("img", { src: found.picture, alt: "" }) : make("span", {}, String(number + 1));
      return make("label", { class: "choice", title: name }, radio, face);
    });
    return make("fieldset", { class: "chooser" }, make("legend", { class: "unseen" }, "Picture"), ...pictures);
  }

  #controls() {
    const button = (name, label, key, act) => {
      const icon = draw("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, draw("path", { d: ICONS[name] }));
      const made = make("button", { type: "button", class: name, "aria-label": label, title: `${label} (${key})`, onclick: act }, icon);
      this.#parts[name] = made;
      return made;
    };
    const speeds = SPEEDS.map((speed) => make("option", { value: speed, selected: speed === this.#speed }, `${speed}×`));
    this.#parts.range = make("input", {
      type: "range", min: 0, max: this.#last, step: 1, "aria-label": "Saccade",
      oninput: (event) => this.#go(event.target.valueAsNumber),
    });
    this.#parts.place = make("span", { class: "place" });
    this.#parts.speed = make("select", {
      "aria-label": "Speed", title: "Speed (+ and −)", onchange: (event) => this.#setSpeed(Number(event.target.value)),
    }, ...speeds);
    return make("div", { class: "controls", role: "group", "aria-label": "Playback" },
      make("div", { class: "buttons" },
        button("first", "First", "Home", () => this.#go(0)),
        button("back", "Step back", "←", () => this.#go(this.#step - 1)),
        button("play", "Play", "Space", () => this.#toggle()),
        button("forward", "Step forward", "→", () => this.#go(this.#step + 1)),
        button("last", "Last", "End", () => this.#go(this.#last))),
      make("div", { class: "scrub" }, this.#parts.range, this.#parts.place), this.#parts.speed);
  }

  #options(found) {
    const radios = Object.entries(HIDDEN).map(([name, label]) => make("label", {},
      make("input", {
        type: "radio", name: "hidden", value: name, checked: name === this.#hidden,
        onchange: () => { this.#hidden = name; this.#redraw(); },
      }), make("span", {}, label)));
    const maps = found.policies.filter((policy) => policy.saliency).length;
    const reason = maps ? "" : found.policies.length > 1 ? "no policy here follows a map" : "this policy follows none";
    const check = make("input", {
      type: "checkbox", disabled: !maps, checked: this.#overlay && maps > 0, "aria-describedby": reason ? "reason" : null,
      onchange: (event) => { this.#overlay = event.target.checked; this.#redraw(); },
    });
    return make("div", { class: "options" },
      make("fieldset", { class: "hidden-look" }, make("legend", {}, "Hidden tokens"), make("div", { class: "segments" }, ...radios)),
      make("label", { class: "check" }, check, make("span", {}, "Saliency map"), ...(reason ? [make("small", { id: "reason" }, reason)] : [])),
      make("p", { class: "keys" }, "Keys: Space plays, ← → step, Home and End, + − speed"));
  }

  #redraw() {
    for (const card of this.#cards) card.show(this.#step, this.#sheets, this.#hidden, this.#overlay);
    this.#showControls();
  }

  #showControls() {
    const { range, place, play, first, back, forward, last } = this.#parts;
    if (!range) return;
    const words = `${this.#step} of ${this.#budget}`;
    range.value = this.#step;
    range.style.setProperty("--done", `${(100 * this.#step) / Math.max(1, this.#last)}%`);
    range.setAttribute("aria-valuetext", `saccade ${words}`);
    place.textContent = `Saccade ${words}`;
    for (const one of [first, back]) one.setAttribute("aria-disabled", String(this.#step === 0));
    for (const one of [forward, last]) one.setAttribute("aria-disabled", String(this.#step >= this.#last));
    play.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    play.title = `${this.playing ? "Pause" : "Play"} (Space)`;
    play.querySelector("path").setAttribute("d", this.playing ? ICONS.pause : ICONS.play);
  }

  get #budget() { return this.#found[this.#chosen].max_saccades; }

  #announce() {
    if (!this.#cards.length) return;
    const told = this.#cards.map((card) => card.told(this.#step)).join("; ");
    this.#say(`saccade ${this.#step} of ${this.#budget}; ${told}`);
  }

  #say(words) { if (this.#parts.live) this.#parts.live.textContent = words; }

  #watchTheme() {
    const dress = () => this.#dress(), media = matchMedia("(prefers-color-scheme: dark)");
    const observer = new MutationObserver(dress);
    for (let one = outside(this); one; one = outside(one)) observer.observe(one, { attributeFilter: ["class"] });
    media.addEventListener("change", dress);
    this.#leave = [() => observer.disconnect(), () => media.removeEventListener("change", dress)];
    dress();
  }

  #dress() {
    const asked = this.getAttribute("theme");
    let dark = matchMedia("(prefers-color-scheme: dark)").matches;
    for (let one = outside(this); one; one = outside(one)) {
      if (one.classList.contains("gradio-container")) dark = false; // there only .dark makes it dark
    }
    for (let one = outside(this); one; one = outside(one)) dark ||= one.classList.contains("dark");
    if (asked === "light" || asked === "dark") dark = asked === "dark";
    this.#root.classList.toggle("dark", dark);
  }
}

// The element around another one, out of shadow trees too.
function outside(element) {
  return element.parentElement ?? element.getRootNode().host ?? null;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("this is no JSON");
  }
}

// A picture that is ready to be drawn; null if there is none or it cannot be loaded.
async function picture(address) {
  if (!isText(address)) return null;
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
    return image;
  } catch {
    return null;
  }
}

customElements.define("saccade-player", SaccadePlayer);
})();
