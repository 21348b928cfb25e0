// A fetch that reports how much of the body is sent, which fetch itself cannot.

/** A `fetch` for one body of bytes. onSent gets the fraction that is sent, 0..1. */
export function uploader(onSent: (fraction: number) => void): typeof fetch {
  return (path, init = {}) =>
    new Promise((resolve, reject) => {
      const { signal } = init;
      const channel = new XMLHttpRequest();
      channel.open(init.method ?? "GET", String(path));
      channel.responseType = "blob";
      new Headers(init.headers).forEach((value, name) => channel.setRequestHeader(name, value));
      const onAbort = () => channel.abort();
      channel.upload.onprogress = ({ loaded, total }) => onSent(total > 0 ? loaded / total : 0);
      channel.upload.onload = () => onSent(1);
      channel.onload = () => resolve(responseOf(channel));
      channel.onerror = () => reject(new TypeError("there was no response"));
      channel.onabort = () => reject(new DOMException("it was canceled", "AbortError"));
      channel.onloadend = () => signal?.removeEventListener("abort", onAbort);
      signal?.throwIfAborted();
      signal?.addEventListener("abort", onAbort);
      channel.send(init.body as Blob);
    });
}

function responseOf(channel: XMLHttpRequest): Response {
  const headers = new Headers();
  for (const line of channel.getAllResponseHeaders().trim().split(/[\r\n]+/)) {
    const at = line.indexOf(":");
    if (at > 0) headers.append(line.slice(0, at).trim(), line.slice(at + 1).trim());
  }
  const { status, statusText } = channel;
  return new Response(channel.response as Blob, { status, statusText, headers });
}
