// Every question to the coordinator. The token lives in this tab alone and travels in a header, never in an address.

const kToken = "lockstep-token";

export const token = {
  get: () => sessionStorage.getItem(kToken) || "",
  set: (value) => (value ? sessionStorage.setItem(kToken, value) : sessionStorage.removeItem(kToken)),
};

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;  // 0: no answer
  }
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  const used = token.get();
  if (used) headers.Authorization = `Bearer ${used}`;
  const patience = AbortSignal.timeout(15000);
  let response, body;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit", signal: patience });
    body = await response.json();
  } catch (error) {
    throw new ApiError(0, response ? "the answer was cut off" : "the coordinator does not answer");
  }
  if (response.status === 401 && used !== token.get()) return ask(path, options);  // another was given meanwhile
  if (!response.ok) throw new ApiError(response.status, body.error || `HTTP ${response.status}`);
  return body;
}

export const jobs = (cursor) => ask(`/api/jobs?after=${encodeURIComponent(cursor)}`);
export const job = (id) => ask(`/api/jobs/${id}`);
export const points = (id, from) => ask(`/api/jobs/${id}/metrics?from=${from}`);
export const logTail = (id, lines) => ask(`/api/jobs/${id}/logs?tail=${lines}`);
export const logAfter = (id, position) => ask(`/api/jobs/${id}/logs?after=${position}`);
export const checkpoints = (id) => ask(`/api/jobs/${id}/checkpoints`);
export const workers = () => ask("/api/workers");
export const steer = (id, verb) =>
  ask(`/api/jobs/${id}/${verb}`, { method: "POST", body: "{}", headers: { "Content-Type": "application/json" } });
