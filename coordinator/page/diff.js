// Two texts line by line: the longest common subsequence, on what differs between the common ends.

const kMostCells = 4_000_000;

// [[" ", line], ["-", line of a], ["+", line of b], ...]
export function diff(textA, textB) {
  const a = textA.trimEnd().split("\n"), b = textB.trimEnd().split("\n");
  let head = 0, tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) ++head;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) ++tail;
  const middle = between(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  return [...a.slice(0, head).map((line) => [" ", line]), ...middle, ...a.slice(a.length - tail).map((line) => [" ", line])];
}

function between(a, b) {
  const out = [];
  if (a.length * b.length > kMostCells) return [...a.map((line) => ["-", line]), ...b.map((line) => ["+", line])];
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);  // of the rests from (i, j) on
  for (let i = a.length - 1; i >= 0; --i) {
    for (let j = b.length - 1; j >= 0; --j) {
      common[i * width + j] = a[i] === b[j] ? common[(i + 1) * width + j + 1] + 1
        : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { out.push([" ", a[i]]); ++i; ++j; }
    else if (j === b.length || (i < a.length && common[(i + 1) * width + j] >= common[i * width + j + 1])) out.push(["-", a[i++]]);
    else out.push(["+", b[j++]]);
  }
  return out;
}

// Unchanged lines beyond `around` a change become one mark; of a nested text the lines above that name it stay.
export function fold(lines, around = 2) {
  const near = new Set();
  lines.forEach(([kind, line], i) => {
    if (kind === " ") return;
    for (let k = i - around; k <= i + around; ++k) near.add(k);
    let depth = line.search(/\S/);
    for (let k = i - 1; k >= 0 && depth > 0; --k) {
      const other = lines[k][1].search(/\S/);
      if (other < depth) { near.add(k); depth = other; }
    }
  });
  const out = [];
  lines.forEach((line, i) => {
    if (near.has(i)) out.push(line);
    else if (out.length === 0 || out[out.length - 1][0] !== "…") out.push(["…", "…"]);
  });
  return out;
}
