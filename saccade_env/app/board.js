/* <saccade-board>: a picture that is hidden but for what was looked at, to be looked at by mouse,
   touch or keyboard. Data come by the property `board`; it emits `look` {row, col} and `timeup`.
   Rows and columns are tokens, from 0. */
"use strict";
(() => {
  if (customElements.get("saccade-board")) return;

  const LAST = 10; // seconds, when who cannot see the clock is told

  const STYLE = `
    :host { display: block; max-width: 34rem; }
    .frame { position: relative; aspect-ratio: var(--cols) / var(--rows); border-radius: .5rem; overflow: hidden;
      background: #808080; cursor: crosshair; touch-action: manipulation; outline-offset: 3px; }
    .frame:focus-visible { outline: 3px solid #f5a623; }
    .frame[aria-disabled=true] { cursor: default; }
    img { position: absolute; inset: 0; width: 100%; height: 100%; display: block; user-select: none; }
    .mark { position: absolute; box-sizing: border-box; pointer-events: none; }
    .cursor { border: 2px dashed #fff; outline: 2px dashed #0b0f14; outline-offset: -4px; border-radius: 3px; visibility: hidden; }
    .frame:focus .cursor, .frame:hover .cursor { visibility: visible; }
    .frame[aria-disabled=true] .cursor { visibility: hidden !important; }
    .dot { display: grid; place-items: center; width: 1.5rem; height: 1.5rem; margin: -.75rem 0 0 -.75rem; border-radius: 50%;
      background: #fff; color: #0b0f14; border: 1px solid #0b0f14; font: bold .75rem/1 system-ui, sans-serif; }
    .dot.last { background: #f5a623; }
    .wait { opacity: .75; }
    .time { font: 600 1rem/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
    .hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }`;

  customElements.define("saccade-board", class extends HTMLElement {
    #data = null; #row = 0; #col = 0; #waiting = false; #timer = 0; #ends = 0; #warned = false; #since = 0;

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open" });
      root.innerHTML = `<style>${STYLE}</style><div class="time" aria-hidden="true"></div>
        <div class="frame" tabindex="0" role="application"><img alt=""><div class="marks"></div>
        <div class="mark cursor"></div></div><p class="hidden" aria-live="polite"></p>`;
      this.frame = root.querySelector(".frame");
      this.frame.addEventListener("pointermove", (event) => this.#move(...this.#token(event), false));
      this.frame.addEventListener("click", (event) => {
        this.#move(...this.#token(event), false);
        this.#look();
      });
      this.frame.addEventListener("keydown", (event) => this.#key(event));
    }

    disconnectedCallback() { clearInterval(this.#timer); }

    get board() { return this.#data; }

    set board(data) {
      const fresh = data && (!this.#data || data.trial !== this.#data.trial);
      this.#data = data;
      this.#ready();
      this.hidden = !data;
      if (!data) return;
      if (fresh) [this.#row, this.#col] = [Math.floor(data.grid[0] / 2), Math.floor(data.grid[1] / 2)];
      this.#draw();
      this.#count();
      if (!fresh) return;
      this.frame.focus({ preventScroll: true });
      this.scrollIntoView({ block: "nearest" });
      this.#since = performance.now();
      requestAnimationFrame(() => requestAnimationFrame(() => { this.#since = performance.now(); })); // when it is painted
    }

    #token(event) {
      const box = this.frame.getBoundingClientRect();
      const at = (place, length, many) => Math.min(many - 1, Math.max(0, Math.floor(place / length * many)));
      const [rows, cols] = this.#data.grid;
      return [at(event.clientY - box.top, box.height, rows), at(event.clientX - box.left, box.width, cols)];
    }

    #key(event) {
      const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      if (event.key in steps) {
        const far = event.shiftKey ? this.#data.fovea : 1;
        this.#move(this.#row + far * steps[event.key][0], this.#col + far * steps[event.key][1], true);
      } else if (event.key === "Enter" || event.key === " ") this.#look();
      else return;
      event.preventDefault();
    }

    #move(row, col, say) {
      const [rows, cols] = this.#data.grid;
      this.#row = Math.min(rows - 1, Math.max(0, row));
      this.#col = Math.min(cols - 1, Math.max(0, col));
      this.#cursor();
      const seen = this.#data.revealed.includes(this.#row * cols + this.#col);
      if (say) this.#say(`row ${this.#row}, column ${this.#col}, ${seen ? "seen" : "hidden"}`);
    }

    #look() {
      if (this.#waiting || this.#data.over) return;
      this.#waiting = true;
      this.frame.classList.add("wait");
      setTimeout(() => this.#ready(), 5000); // an answer may be lost; then one may look again
      this.dispatchEvent(new CustomEvent("look", { bubbles: true, composed: true, detail: { row: this.#row, col: this.#col, seconds: (performance.now() - this.#since) / 1000 } }));
    }

    #ready() {
      this.#waiting = false;
      this.frame.classList.remove("wait");
    }

    #draw() {
      const { grid: [rows, cols], picture, fixations, over, left, alt } = this.#data;
      this.style.setProperty("--rows", rows);
      this.style.setProperty("--cols", cols);
      this.frame.setAttribute("aria-disabled", String(over));
      this.frame.setAttribute("aria-label", over ? alt : `${alt}. Arrow keys move, Shift in larger steps; Enter looks.`);
      const image = this.shadowRoot.querySelector("img");
      image.src = picture;
      const marks = fixations.map(([row, col], number) => {
        const dot = document.createElement("div");
        dot.className = `mark dot${number === fixations.length - 1 ? " last" : ""}`;
        dot.textContent = number + 1;
        dot.style.top = `${100 * (row + .5) / rows}%`;
        dot.style.left = `${100 * (col + .5) / cols}%`;
        return dot;
      });
      this.shadowRoot.querySelector(".marks").replaceChildren(...marks);
      this.#cursor();
      this.#say(over ? alt : `${left} ${left === 1 ? "saccade" : "saccades"} left`);
    }

    #cursor() {
      const { grid: [rows, cols], fovea } = this.#data, reach = Math.floor(fovea / 2);
      const [top, left] = [Math.max(0, this.#row - reach), Math.max(0, this.#col - reach)];
      const [bottom, right] = [Math.min(rows, this.#row + reach + 1), Math.min(cols, this.#col + reach + 1)];
      Object.assign(this.shadowRoot.querySelector(".cursor").style, {
        top: `${100 * top / rows}%`, left: `${100 * left / cols}%`,
        height: `${100 * (bottom - top) / rows}%`, width: `${100 * (right - left) / cols}%`,
      });
    }

    #count() {
      const { seconds, over } = this.#data, shown = this.shadowRoot.querySelector(".time");
      clearInterval(this.#timer);
      shown.textContent = "";
      if (seconds == null || over) return;
      this.#ends = performance.now() + 1000 * seconds;
      const tick = () => {
        const left = Math.max(0, Math.ceil((this.#ends - performance.now()) / 1000));
        shown.textContent = `${left} s`;
        if (left === LAST && seconds > LAST && !this.#warned) this.#say(`${LAST} seconds left`);
        this.#warned = left <= LAST;
        if (left) return;
        clearInterval(this.#timer);
        this.dispatchEvent(new CustomEvent("timeup", { bubbles: true, composed: true }));
      };
      this.#timer = setInterval(tick, 200);
      tick();
    }

    #say(words) { this.shadowRoot.querySelector("[aria-live]").textContent = words; }
  });
})();
