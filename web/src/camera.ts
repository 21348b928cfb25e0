// The camera: opening it, its frames, and closing it.

export interface Camera {
  stream: MediaStream;
  video: HTMLVideoElement;
  deviceId: string;
  /** Whether it faces away from the user, so that its picture is not mirrored. */
  facesAway: boolean;
}

/** Opens the camera of that id, or the one that faces the user. Throws an Error whose message is for users. */
export async function openCamera(deviceId: string | null): Promise<Camera> {
  // Undefined on pages that are not secure, though its type does not say so.
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (devices?.getUserMedia === undefined) {
    throw new Error("Browsers give a camera to secure pages only: open this page by https, or as localhost.");
  }
  let stream: MediaStream;
  try {
    const which = deviceId === null ? { facingMode: "user" } : { deviceId: { exact: deviceId } };
    stream = await devices.getUserMedia({
      audio: false,
      video: { ...which, width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } },
    });
  } catch (error) {
    throw new Error(cameraError(error));
  }
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = stream;
  try {
    await video.play();
  } catch (error) {
    closeCamera({ stream, video });
    throw new Error(cameraError(error));
  }
  const track = stream.getVideoTracks()[0];
  const settings = track?.getSettings() ?? {};
  const facesAway = settings.facingMode === "environment" || /\b(back|rear|environment)\b/i.test(track?.label ?? "");
  return { stream, video, deviceId: settings.deviceId ?? "", facesAway };
}

export function closeCamera({ stream, video }: Pick<Camera, "stream" | "video">): void {
  for (const track of stream.getTracks()) track.stop();
  video.srcObject = null;
}

/** The cameras of this device. Browsers give their names once the user allowed one. */
export async function cameras(): Promise<{ id: string; name: string }[]> {
  const all = await navigator.mediaDevices.enumerateDevices();
  return all
    .filter((device) => device.kind === "videoinput")
    .map((device, index) => ({ id: device.deviceId, name: device.label || `Camera ${index + 1}` }));
}

/** Calls back for each new frame of a video until it returns false. */
export function onFrames(video: HTMLVideoElement, callback: () => boolean): void {
  const exact = "requestVideoFrameCallback" in video;
  const next = () => {
    if (!callback()) return;
    if (exact) video.requestVideoFrameCallback(next);
    else requestAnimationFrame(next);
  };
  if (exact) video.requestVideoFrameCallback(next);
  else requestAnimationFrame(next);
}

function cameraError(error: unknown): string {
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
    case "SecurityError":
      return "The camera was not allowed. Allow it beside the page's address, then try again.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No camera was found. Is it plugged in?";
    case "NotReadableError":
    case "AbortError":
      return "The camera cannot be used. Is another program using it?";
    default:
      return `The camera does not start: ${error instanceof Error ? error.message : String(error)}.`;
  }
}
