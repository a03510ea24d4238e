// Firefox for tests of pages: started with a profile of its own, which asks no server of its makers for anything.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const candidates = [process.env.SLIMLAB_FIREFOX, "/usr/bin/firefox-esr", "/usr/bin/firefox"];

/** The browser's program; undefined where there is none, which CI does not forgive. */
export function firefoxPath(): string | undefined {
  const path = candidates.find((candidate) => candidate && existsSync(candidate));
  if (!path && process.env.CI) throw new Error("CI must have Firefox: apt-get install firefox-esr");
  return path;
}

const preferences: Record<string, boolean | number> = {
  "app.normandy.enabled": false,
  "app.update.enabled": false,
  "browser.aboutwelcome.enabled": false,
  "browser.safebrowsing.downloads.remote.enabled": false,
  "browser.safebrowsing.malware.enabled": false,
  "browser.safebrowsing.phishing.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "extensions.getAddons.cache.enabled": false,
  "extensions.systemAddon.update.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "network.prefetch-next": false,
  "services.settings.poll_interval": 0,
  "toolkit.telemetry.enabled": false,
};

/** Opens a page without a window; `stop` ends the browser. What it says is in `log`. */
export async function startFirefox(url: string): Promise<{ stop(): Promise<void>; log(): string }> {
  const profile = await mkdtemp(join(tmpdir(), "slimlab-firefox-"));
  const lines = Object.entries(preferences).map(([name, value]) => `user_pref("${name}", ${value});`);
  await writeFile(join(profile, "user.js"), lines.join("\n"));
  const child: ChildProcess = spawn(
    firefoxPath()!,
    ["--headless", "--no-remote", "--profile", profile, url],
    {
      // Its helpers are ended with it, as a group. Root's browser takes no other user's home.
      detached: true,
      env: { ...process.env, HOME: profile, MOZ_CRASHREPORTER_DISABLE: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let said = "";
  child.stdout!.on("data", (part) => (said += part));
  child.stderr!.on("data", (part) => (said += part));
  const closed = new Promise<void>((done) => child.once("close", () => done()).once("error", () => done()));
  return {
    log: () => said,
    async stop() {
      try {
        process.kill(-child.pid!, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
      await closed;
      await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}
