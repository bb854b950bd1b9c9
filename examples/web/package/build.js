// dist/: everything that a page serves of this package. Needs `npm ci`, and derm.wasm: node build.js PATH/derm.wasm
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const litert = join(dirname(createRequire(import.meta.url).resolve("@litertjs/core/package.json")), "wasm");

const core = process.argv[2];
if (!core) {
  console.error("node build.js PATH/derm.wasm");
  process.exit(2);
}
rmSync(dist, { recursive: true, force: true });
mkdirSync(join(dist, "litert"), { recursive: true });
const common = { bundle: true, minify: true, legalComments: "none", target: "es2022", logLevel: "warning" };
await build({ ...common, entryPoints: [join(here, "src/index.js")], format: "esm", outfile: join(dist, "index.js") });
await build({ ...common, entryPoints: [join(here, "src/worker.js")], format: "iife", outfile: join(dist, "worker.js") });
copyFileSync(join(here, "src/index.d.ts"), join(dist, "index.d.ts"));
copyFileSync(core, join(dist, "derm.wasm"));
for (const name of ["litert_wasm_internal", "litert_wasm_threaded_internal", "litert_wasm_compat_internal"]) {
  for (const ending of ["js", "wasm"]) copyFileSync(join(litert, `${name}.${ending}`), join(dist, "litert", `${name}.${ending}`));
}
