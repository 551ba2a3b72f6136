// MicroPython's Unix port as WebAssembly, where pointers have four octets as on boards. It runs inside Pyodide, which
// the first argument names, from the wheel unpacked in the second; the third is the project. The rest is for it.
import fs from "fs";
import os from "os";
const [pyodide, wheel, project, ...rest] = process.argv.slice(2);
const { loadPyodide } = await import(pyodide);
const runtime = await loadPyodide();
for (const top of new Set([os.tmpdir(), project, wheel].map((path) => "/" + path.split("/")[1]))) {
  runtime.FS.mkdirTree(top);
  runtime.FS.mount(runtime.FS.filesystems.NODEFS, { root: top }, top);
}
runtime.setStdin({ read: (buffer) => fs.readSync(0, buffer) });
runtime.setStdout({ write: (buffer) => fs.writeSync(1, buffer) });
runtime.setStderr({ write: (buffer) => fs.writeSync(2, buffer) });
runtime.globals.set("wheel", wheel);
runtime.globals.set("rest", runtime.toPy(rest));
runtime.runPython(`
import sys
sys.path.insert(0, wheel)
import micropython_run
micropython_run.run_main(["micropython", *rest])
`);
