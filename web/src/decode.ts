// Decodes picture files in the browser, upright, and makes smaller copies.

/** The file itself cannot be read: another try would fail too. */
export class Unreadable extends Error {}

const HEIC_BRANDS = new Set(["heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "msf1"]);

/** The picture in a file. Throws Unreadable. */
export async function decode(file: Blob): Promise<ImageBitmap> {
  if (file.size === 0) throw new Unreadable("This file is empty.");
  try {
    return await createImageBitmap(file);
  } catch {
    return decodeAsElement(file);
  }
}

/** An <img> takes formats that createImageBitmap may refuse: SVG everywhere, HEIC in Safari. */
async function decodeAsElement(file: Blob): Promise<ImageBitmap> {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
    return await createImageBitmap(image);
  } catch {
    throw new Unreadable(
      (await isHeic(file))
        ? "This browser cannot read HEIC. Share the photo as JPEG, or on the iPhone choose Settings, Camera, Formats, " +
          "Most Compatible."
        : "This browser cannot read it as a picture. JPEG, PNG and WebP always work.",
    );
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

/** By content, by name, or by type: browsers that do not know HEIC give it no type. */
async function isHeic(file: Blob): Promise<boolean> {
  const named = /^image\/hei[cf]/.test(file.type) || (file instanceof File && /\.hei[cf]s?$/i.test(file.name));
  const head = await file
    .slice(0, 12)
    .arrayBuffer()
    .then((bytes) => String.fromCharCode(...new Uint8Array(bytes)), () => "");
  return head.slice(4, 8) === "ftyp" ? HEIC_BRANDS.has(head.slice(8, 12)) : named;
}

/** A copy whose sides are at most `side` pixels. */
export async function smaller(full: ImageBitmap, side: number): Promise<ImageBitmap> {
  const scale = Math.min(1, side / Math.max(full.width, full.height));
  if (scale === 1) return createImageBitmap(full);
  const size = { resizeWidth: Math.round(full.width * scale), resizeHeight: Math.round(full.height * scale) };
  return createImageBitmap(full, { ...size, resizeQuality: "high" });
}
