/** A file to fetch. */
export interface Remote {
  /** Its name in errors. */
  readonly name: string;
  readonly url: string;
  /** Whether the request carries the key, if there is one. */
  readonly needsKey: boolean;
  /** Its approximate size in bytes, for the progress where the response has no length. */
  readonly size: number;
}

/** Fetch files in parallel; onProgress gets the fraction of all bytes that has arrived, 0..1, which never falls. */
export async function download(
  files: readonly Remote[],
  key: string | undefined,
  onProgress: (fraction: number) => void,
): Promise<Uint8Array<ArrayBuffer>[]> {
  const sizes = files.map((file) => file.size);
  const received = files.map(() => 0);
  let reported = 0;
  const report = (): void => {
    const parts = received.map((bytes, index) => Math.min(bytes, sizes[index]!));
    reported = Math.max(reported, sum(parts) / sum(sizes));
    onProgress(reported);
  };
  return Promise.all(
    files.map(async (file, index) => {
      const response = await request(file, file.needsKey ? key : undefined);
      const length = Number(response.headers.get("content-length"));
      // For a compressed response, content-length counts compressed bytes, but the reader below counts the others.
      if (length > 0 && !response.headers.has("content-encoding")) sizes[index] = length;
      const content = await read(response, file, (bytes) => {
        received[index]! += bytes;
        report();
      });
      sizes[index] = received[index] = content.length;
      report();
      return content;
    }),
  );
}

async function request(file: Remote, key: string | undefined): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(file.url, key === undefined ? {} : { headers: { Authorization: `Bearer ${key}` } });
  } catch {
    throw new Error(`cannot fetch ${file.name}: the server does not respond`);
  }
  if (response.status === 401) throw new Error(`cannot fetch ${file.name}: the server needs its key`);
  if (!response.ok) throw new Error(`cannot fetch ${file.name}: the server responded with ${response.status}`);
  return response;
}

async function read(
  response: Response,
  file: Remote,
  onBytes: (count: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  try {
    const reader = response.body!.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      chunks.push(part.value);
      onBytes(part.value.length);
    }
  } catch {
    throw new Error(`cannot fetch ${file.name}: the connection was lost`);
  }
  const content = new Uint8Array(sum(chunks.map((chunk) => chunk.length)));
  let at = 0;
  for (const chunk of chunks) {
    content.set(chunk, at);
    at += chunk.length;
  }
  return content;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
