// Lines on a canvas: linear or logarithmic, any number of points (each column of pixels draws the least and the
// greatest of its values), a cursor that reads all lines, and a range drawn with the mouse.
import { number } from "./format.js";

const kMargin = { left: 58, right: 12, top: 10, bottom: 26 };

export class Chart {
  // `onCursor`: told the position in x's units, or null.
  constructor(canvas, onCursor) {
    this.canvas = canvas;
    this.onCursor = onCursor;
    this.content = { lines: [], log: false, xName: "" };
    this.range = null;   // [from, to] in x, or null: all
    this.cursor = null;  // x
    this.drag = null;    // [pixel, pixel]
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerleave", () => { if (!this.drag) this.point(null); });
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointerup", () => this.release());
    canvas.addEventListener("dblclick", () => this.reset());
  }

  // lines: [{color, dash, faint, dots, xs, ys, length}], xs ascending.
  show(content) {
    this.content = content;
    this.draw();
  }

  reset() {
    this.range = null;
    this.draw();
  }

  // The cursor by keys: one pixel column, or many.
  step(pixels) {
    const { x, bounds } = this;
    if (!bounds) return;
    const at = this.cursor === null ? bounds.x1 : this.cursor;
    const moved = at + ((bounds.x1 - bounds.x0) * pixels) / Math.max(1, x.size);
    this.point(Math.min(bounds.x1, Math.max(bounds.x0, moved)));
  }

  point(x) {
    this.cursor = x;
    this.onCursor(x);
    this.draw();
  }

  move(event) {
    if (!this.bounds) return;
    if (this.drag) this.drag[1] = event.offsetX;
    this.point(this.toX(event.offsetX));
  }

  press(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.drag = [event.offsetX, event.offsetX];
  }

  release() {
    if (!this.drag) return;
    const [from, to] = this.drag.map((pixel) => this.toX(pixel)).sort((a, b) => a - b);
    if (Math.abs(this.drag[1] - this.drag[0]) > 6) this.range = [from, to];
    this.drag = null;
    this.draw();
  }

  toX(pixel) {
    const { x, bounds } = this;
    const part = Math.min(1, Math.max(0, (pixel - x.start) / x.size));
    return bounds.x0 + part * (bounds.x1 - bounds.x0);
  }

  draw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.paint();
    });
  }

  paint() {
    const scale = devicePixelRatio || 1;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (width < 50 || height < 50) return;
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    this.style = getComputedStyle(this.canvas);
    pen.font = `11px ${this.style.fontFamily}`;
    this.x = { start: kMargin.left, size: width - kMargin.left - kMargin.right };
    this.y = { start: kMargin.top, size: height - kMargin.top - kMargin.bottom };
    this.bounds = boundsOf(this.content, this.range);
    if (!this.bounds) {
      pen.fillStyle = this.ink("--dim");
      pen.textAlign = "center";
      pen.fillText(this.content.empty || "no points yet", width / 2, height / 2);
      return;
    }
    this.axes(pen, width);
    pen.save();
    pen.beginPath();
    pen.rect(this.x.start - 4, this.y.start - 4, this.x.size + 8, this.y.size + 8);
    pen.clip();
    for (const line of this.content.lines) this.line(pen, line);
    this.marks(pen);
    pen.restore();
  }

  ink(name) {
    return this.style.getPropertyValue(name).trim();
  }

  px(value) {
    const { x0, x1 } = this.bounds;
    return this.x.start + ((value - x0) / (x1 - x0)) * this.x.size;
  }

  py(value) {
    const { y0, y1 } = this.bounds;
    const at = this.content.log ? Math.log10(value) : value;
    return this.y.start + this.y.size - ((at - y0) / (y1 - y0)) * this.y.size;
  }

  axes(pen, width) {
    const { x0, x1, y0, y1 } = this.bounds;
    pen.lineWidth = 1;
    pen.strokeStyle = this.ink("--grid");
    pen.fillStyle = this.ink("--dim");
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    const yTicks = this.content.log ? logTicks(y0, y1) : ticks(y0, y1, this.y.size / 38);
    for (const tick of yTicks) {
      const y = Math.round(this.py(tick)) + 0.5;
      line(pen, this.x.start, y, this.x.start + this.x.size, y);
      pen.fillText(number(tick), this.x.start - 8, y);
    }
    pen.textAlign = "center";
    pen.textBaseline = "top";
    const bottom = this.y.start + this.y.size;
    for (const tick of ticks(x0, x1, this.x.size / 90)) {
      const x = Math.round(this.px(tick)) + 0.5;
      line(pen, x, bottom, x, bottom + 4);
      if (x < width - kMargin.right - 50) pen.fillText(number(tick).replace(/\.0$/, ""), x, bottom + 8);
    }
    pen.textAlign = "right";
    pen.fillText(this.content.xName, width - kMargin.right, bottom + 8);
    pen.strokeStyle = this.ink("--edge");
    line(pen, this.x.start, bottom + 0.5, this.x.start + this.x.size, bottom + 0.5);
  }

  line(pen, { color, dash, faint, dots, xs, ys, length }) {
    const { x0, x1 } = this.bounds;
    pen.strokeStyle = pen.fillStyle = this.ink(color);
    pen.globalAlpha = faint ? 0.28 : 1;
    pen.lineWidth = faint ? 1 : 1.6;
    pen.lineJoin = "round";
    pen.setLineDash(dash ? [6, 3] : []);
    pen.beginPath();
    const from = Math.max(0, below(xs, length, x0) - 1), to = Math.min(length, below(xs, length, x1) + 2);
    let column = null, low = 0, high = 0, begun = false;
    const flush = () => {
      if (column === null) return;
      if (begun) pen.lineTo(column, low); else pen.moveTo(column, low);
      if (high !== low) pen.lineTo(column, high);
      begun = true;
    };
    for (let i = from; i < to; ++i) {
      if (this.content.log && !(ys[i] > 0)) continue;
      const many = (to - from) > 2 * this.x.size;
      const x = many ? Math.round(this.px(xs[i])) : this.px(xs[i]), y = this.py(ys[i]);
      if (x === column) {
        low = Math.max(low, y);
        high = Math.min(high, y);
      } else {
        flush();
        column = x;
        low = high = y;
      }
    }
    flush();
    pen.stroke();
    pen.setLineDash([]);
    if (dots && to - from <= this.x.size / 8) {
      for (let i = from; i < to; ++i) {
        if (this.content.log && !(ys[i] > 0)) continue;
        pen.beginPath();
        pen.arc(this.px(xs[i]), this.py(ys[i]), 2.4, 0, 7);
        pen.fill();
      }
    }
    pen.globalAlpha = 1;
  }

  marks(pen) {
    const bottom = this.y.start + this.y.size;
    if (this.drag && Math.abs(this.drag[1] - this.drag[0]) > 6) {
      pen.fillStyle = this.ink("--select");
      pen.fillRect(this.drag[0], this.y.start, this.drag[1] - this.drag[0], this.y.size);
    }
    if (this.cursor === null) return;
    const x = Math.round(this.px(this.cursor)) + 0.5;
    pen.strokeStyle = this.ink("--dim");
    pen.lineWidth = 1;
    line(pen, x, this.y.start, x, bottom);
    for (const { faint, color, xs, ys, length } of this.content.lines) {
      const i = nearest(xs, length, this.cursor);
      if (faint || i < 0 || (this.content.log && !(ys[i] > 0))) continue;
      pen.fillStyle = this.ink(color);
      pen.beginPath();
      pen.arc(this.px(xs[i]), this.py(ys[i]), 3.2, 0, 7);
      pen.fill();
    }
  }
}

function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

// How many of the first `length` are below `value`.
function below(xs, length, value) {
  let low = 0, high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

// The index whose x is nearest; -1: there is none.
export function nearest(xs, length, value) {
  if (length === 0) return -1;
  const right = Math.min(length - 1, below(xs, length, value));
  return right > 0 && value - xs[right - 1] < xs[right] - value ? right - 1 : right;
}

function boundsOf({ lines, log }, range) {
  let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
  for (const { xs, ys, length, faint } of lines) {
    for (let i = 0; i < length; ++i) {
      const x = xs[i], y = ys[i];
      if ((range && (x < range[0] || x > range[1])) || (log && !(y > 0))) continue;
      x0 = Math.min(x0, x);
      x1 = Math.max(x1, x);
      if (faint) continue;  // what was smoothed away may stick out
      y0 = Math.min(y0, y);
      y1 = Math.max(y1, y);
    }
  }
  if (!(x1 >= x0) || !(y1 >= y0)) return null;
  if (range) [x0, x1] = range;
  if (log) [y0, y1] = [Math.log10(y0), Math.log10(y1)];
  if (x1 === x0) x1 = x0 + 1;
  const space = y1 > y0 ? 0.05 * (y1 - y0) : Math.abs(y0) * 0.1 || 1;
  return { x0, x1, y0: y0 - space, y1: y1 + space };
}

function ticks(from, to, most) {
  const rough = (to - from) / Math.max(2, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((step) => step * power).find((step) => step >= rough);
  const found = [];
  for (let tick = Math.ceil(from / size); tick * size <= to; ++tick) found.push(Number((tick * size).toPrecision(12)));
  return found;
}

// Powers of ten, with 2 and 5 where there are few of them; `from` and `to` are exponents.
function logTicks(from, to) {
  const found = [];
  const parts = to - from < 0.5 ? null : to - from < 3 ? [1, 2, 5] : [1];
  if (!parts) return ticks(10 ** from, 10 ** to, 6);
  const every = Math.max(1, Math.ceil((to - from) / 10));
  for (let power = Math.floor(from); power <= to; power += every) {
    for (const part of parts) {
      const value = part * 10 ** power;
      if (Math.log10(value) >= from && Math.log10(value) <= to) found.push(value);
    }
  }
  return found;
}
