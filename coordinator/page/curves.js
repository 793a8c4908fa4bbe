// The metric points of the jobs that are drawn: fetched once, then only what comes; by series, in typed arrays.
import * as api from "./api.js";
import { jobs, kActive } from "./state.js";

class Series {
  constructor() {
    this.length = 0;
    this.steps = new Float64Array(256);
    this.epochs = new Float64Array(256);
    this.values = new Float64Array(256);
  }

  add(step, epoch, value) {
    if (this.length === this.steps.length) {
      for (const name of ["steps", "epochs", "values"]) {
        const larger = new Float64Array(2 * this.length);
        larger.set(this[name]);
        this[name] = larger;
      }
    }
    this.steps[this.length] = step;
    this.epochs[this.length] = epoch;
    this.values[this.length++] = value;
  }

  // The last point may be told again, with another value where a validation followed.
  cutFrom(step) {
    while (this.length > 0 && this.steps[this.length - 1] >= step) --this.length;
  }
}

const curves = new Map();  // by job: {series: Map, next: the step to read from, busy, done, version}
const kMostCurves = 24;

export function curvesOf(id) {
  let curve = curves.get(id);
  if (curve) {
    curves.delete(id);  // to the end: the least recently drawn goes first
  } else {
    curve = { series: new Map(), next: 0, busy: false, done: false, version: 0 };
    if (curves.size >= kMostCurves) curves.delete(curves.keys().next().value);
  }
  curves.set(id, curve);
  return curve;
}

// Reads what is new of a job; `redraw` after each page, so that a long curve shows while it comes.
export async function refresh(id, redraw) {
  const curve = curvesOf(id);
  if (curve.busy || curve.done) return;
  curve.busy = true;
  const final = jobs.has(id) && !kActive.has(jobs.get(id).state);
  try {
    for (let more = true; more;) {
      const answer = await api.points(id, curve.next);
      if (take(curve, answer.points)) redraw();
      more = answer.more;
    }
    curve.done = final;  // it was over before we asked
  } finally {
    curve.busy = false;
  }
}

// A job that was resumed goes on.
export function reopen(id) {
  if (curves.has(id)) curves.get(id).done = false;
}

function take(curve, points) {
  if (points.length === 0) return false;
  const last = JSON.stringify(points[points.length - 1]);
  if (points.length === 1 && last === curve.last) return false;
  curve.last = last;
  const first = points[0].step;
  for (const series of curve.series.values()) series.cutFrom(first);
  for (const point of points) {
    for (const [name, value] of Object.entries(point.values || {})) {
      if (value === null) continue;  // not finite
      if (!curve.series.has(name)) curve.series.set(name, new Series());
      curve.series.get(name).add(point.step, point.epoch, value);
    }
  }
  curve.next = points[points.length - 1].step;
  ++curve.version;
  return true;
}

// An average that forgets, corrected for its start as Adam's is. `strength` 0: the values themselves.
export function smooth(values, length, strength) {
  if (strength <= 0) return values;
  const out = new Float64Array(length);
  let average = 0, weight = 0;
  for (let i = 0; i < length; ++i) {
    average = strength * average + (1 - strength) * values[i];
    weight = strength * weight + (1 - strength);
    out[i] = average / weight;
  }
  return out;
}
