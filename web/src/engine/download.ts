/** A file to fetch. */
export interface Remote {
  /** What errors call it. */
  readonly name: string;
  readonly url: string;
  /** Asked for with the key, where there is one. */
  readonly isGuarded: boolean;
  /** About how many bytes it has, for the progress of a file whose size the service does not tell. */
  readonly size: number;
}

/** Fetch files at once, in their order; onProgress is told which part of all their bytes has come, 0..1, never less. */
export async function download(
  files: readonly Remote[],
  key: string | undefined,
  onProgress: (fraction: number) => void,
): Promise<Uint8Array<ArrayBuffer>[]> {
  const sizes = files.map((file) => file.size);
  const come = files.map(() => 0);
  let told = 0;
  const tell = (): void => {
    const parts = come.map((bytes, index) => Math.min(bytes, sizes[index]!));
    told = Math.max(told, sum(parts) / sum(sizes));
    onProgress(told);
  };
  return Promise.all(
    files.map(async (file, index) => {
      const response = await request(file, file.isGuarded ? key : undefined);
      const length = Number(response.headers.get("content-length"));
      // Of a compressed answer the length is that of what travels, but what comes out of it is counted.
      if (length > 0 && !response.headers.has("content-encoding")) sizes[index] = length;
      const content = await read(response, file, (bytes) => {
        come[index]! += bytes;
        tell();
      });
      sizes[index] = come[index] = content.length;
      tell();
      return content;
    }),
  );
}

async function request(file: Remote, key: string | undefined): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(file.url, key === undefined ? {} : { headers: { Authorization: `Bearer ${key}` } });
  } catch {
    throw new Error(`cannot fetch ${file.name}: the service does not answer`);
  }
  if (response.status === 401) throw new Error(`cannot fetch ${file.name}: the service asks for its key`);
  if (!response.ok) throw new Error(`cannot fetch ${file.name}: the service answers ${response.status}`);
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
    throw new Error(`cannot fetch ${file.name}: the connection broke off`);
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
