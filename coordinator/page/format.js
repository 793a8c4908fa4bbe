// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export const count = (value) => (Number.isFinite(value) ? whole.format(value) : "");

export function number(value, digits = 4) {
  if (!Number.isFinite(value)) return "";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(Math.min(2, digits - 2)).replace("e+", "e");
  return String(Number(value.toPrecision(digits)));
}

export function rate(value) {
  if (!Number.isFinite(value) || value <= 0) return "";
  const units = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];
  for (const [size, unit] of units) if (value >= size) return `${Number((value / size).toPrecision(3))}${unit}/s`;
  return `${Number(value.toPrecision(3))}/s`;
}

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value || 0, unit = 0;
  for (; size >= 1000 && unit < units.length - 1; ++unit) size /= 1000;
  return `${Number(size.toPrecision(3))} ${units[unit]}`;
}

export function span(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.floor(seconds / 60)} m ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")} m`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

// Go's notation, which the API's durations have: "1h2m3.5s", "120ms".
export function seconds(text) {
  if (!text) return NaN;
  const sizes = { h: 3600, m: 60, s: 1, ms: 1e-3, us: 1e-6, ns: 1e-9 };
  let sum = 0;
  for (const [, value, unit] of text.matchAll(/([\d.]+)(ms|us|ns|h|m|s)/g)) sum += Number(value) * sizes[unit];
  return sum;
}

export const clock = (time) => new Date(time).toLocaleTimeString("en-GB");

export function when(time) {
  if (!time) return "";
  const date = new Date(time);
  const today = new Date().toDateString() === date.toDateString();
  return today ? clock(time) : `${date.toLocaleDateString("en-CA")} ${clock(time).slice(0, 5)}`;
}

// A job's name as one asks for it.
export const qualified = (job) => (job.namespace && job.namespace !== "default" ? `${job.namespace}/${job.name}` : job.name);
