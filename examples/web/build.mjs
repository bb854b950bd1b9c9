// The whole page in one folder that any server of files can serve: node build.mjs FOLDER, after the package was built.
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2];
if (!folder) {
  console.error("node build.mjs FOLDER");
  process.exit(2);
}

function filesIn(path) {
  return readdirSync(path).flatMap((name) => {
    const inside = join(path, name);
    return statSync(inside).isDirectory() ? filesIn(inside) : [inside];
  });
}

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
cpSync(join(here, "page"), folder, { recursive: true });
cpSync(join(here, "package", "dist"), join(folder, "derm-sdk-web"), { recursive: true });
cpSync(join(here, "..", "..", "derm_sdk", "models", "starter.derm"), join(folder, "starter.derm"));

const files = filesIn(folder).map((path) => relative(folder, path).replaceAll("\\", "/")).sort();
const digest = createHash("sha256");
for (const file of files) digest.update(file).update(readFileSync(join(folder, file)));
const kept = files.filter((file) => file !== "sw.js" && !file.endsWith(".d.ts"));
const worker = readFileSync(join(folder, "sw.js"), "utf8")
  .replace("[/* FILES */]", JSON.stringify(kept))
  .replace("/* DIGEST */", digest.digest("hex").slice(0, 16));
writeFileSync(join(folder, "sw.js"), worker);
