// The daemon's HTTP API as this page uses it. The key stays in this tab.

const field = document.getElementById("key");
field.value = sessionStorage.getItem("key") ?? "";
field.addEventListener("change", () => sessionStorage.setItem("key", field.value));

function headers() {
  const key = field.value.trim();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

export function onKeyChange(listener) {
  field.addEventListener("change", listener);
}

async function checked(response) {
  if (response.ok) return response;
  let message = `${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // Not our error body: the status has to do.
  }
  throw Object.assign(new Error(message), { status: response.status });
}

export async function getJson(path) {
  return (await checked(await fetch(path, { headers: headers() }))).json();
}

// The events of a stream, parsed; ends with the stream.
export async function* events(path, { body, signal } = {}) {
  const options = { headers: headers(), signal };
  if (body) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await checked(await fetch(path, options));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    pending += value;
    const parts = pending.split("\n\n");
    pending = parts.pop();
    for (const part of parts) {
      if (!part.startsWith("data: ")) continue; // a ping
      const data = part.slice(6);
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}
