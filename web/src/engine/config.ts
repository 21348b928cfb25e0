import type { PageConfig } from "../config.ts";

/** What the engine must know: page.json without what concerns the page, the service and where files lie. */
export type EngineConfig = Omit<PageConfig, "colors" | "engine" | "service">;
