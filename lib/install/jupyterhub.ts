// What JupyterHub must be told so that a class shares one machine: each student a folder with what was handed out, a kernel
// whose messages nobody else reads, and the environment of `npm run lab`.
import { createRequire } from "node:module";
import { join } from "node:path";

/** The proxy's command: the package beside slimlab, if it is there, else what the search path has. */
function proxyCommand(): string[] {
  const name = "configurable-http-proxy";
  try {
    return [process.execPath, createRequire(import.meta.url).resolve(`${name}/bin/${name}`)];
  } catch {
    return [name];
  }
}

/**
 * The configuration as a Python file, for the teacher's own to load.
 *
 * @param venv the environment in which JupyterHub and the students' servers run
 */
export function jupyterhubConfig(venv: string): string {
  const python = (value: unknown) => JSON.stringify(value);
  return `# JupyterHub for a class on one machine. Written by slimlab: load it from your own file, and say the rest there.
import os
import pwd

c = get_config()
# handed-out/: what every student gets. students/NAME/: where NAME works; it is also what NAME hands in.
course = os.environ.get("SLIMLAB_COURSE", "/srv/slimlab")


def own_folder(spawner):
    """A folder that its student and root can read, below one that only root can write."""
    folder = spawner.format_string(spawner.notebook_dir)
    os.makedirs(os.path.dirname(folder), mode=0o755, exist_ok=True)
    if not os.path.isdir(folder):
        os.mkdir(folder, mode=0o700)
        if os.geteuid() == 0:
            user = pwd.getpwnam(spawner.user.name)
            os.chown(folder, user.pw_uid, user.pw_gid)


c.Spawner.pre_spawn_hook = own_folder
c.Spawner.notebook_dir = course + "/students/{username}"
c.Spawner.default_url = "/lab"
# Copied by the student's own process, and never over what is there.
copy = 'cp -Rn "$SLIMLAB_HANDED_OUT/." "$SLIMLAB_STUDENT/" 2>/dev/null; exec "$@"'
c.Spawner.cmd = ["/bin/sh", "-c", copy, "slimlab", ${python(join(venv, "bin", "jupyterhub-singleuser"))}]
c.Spawner.environment = {
    "SLIMLAB_HANDED_OUT": course + "/handed-out",
    "SLIMLAB_STUDENT": lambda spawner: spawner.format_string(spawner.notebook_dir),
    "PATH": ${python(join(venv, "bin"))} + ":" + os.environ.get("PATH", "/usr/bin:/bin"),
}
c.Spawner.args = [
    # Kernels of one machine share 127.0.0.1: without this, others could read what a notebook puts out.
    "--KernelManager.transport_encryption=auto",
    # A kernel that nobody has used for an hour ends, and with it the memory that it holds.
    "--MappingKernelManager.cull_idle_timeout=3600",
]
c.ConfigurableHTTPProxy.command = ${python(proxyCommand())}
`;
}
