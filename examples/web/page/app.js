// The page: a photo in, a result out. The photo is given to a worker, and to nothing else.
import { open, runtimeFor } from "./derm-sdk-web/index.js";
import { drawHeat } from "./heat.js";
import { markNode, percent, showAnswer, showModel, showTimes, showTree } from "./view.js";

const at = (id) => document.getElementById(id);
const PICTURE_SIDE = 1024;

let classifier = null;
let photo = null;
let turn = 0; // of the photo that was asked for last: what comes late is dropped

// --- What is said -------------------------------------------------------------------------------------------------------

function say(text, busy = false) {
  at("status").textContent = text;
  at("result").classList.toggle("busy", busy);
}

function complain(error) {
  at("error").textContent = error?.message ?? "";
  at("error").hidden = !error;
}

// --- The model ----------------------------------------------------------------------------------------------------------

async function openModel(model) {
  say("Loading the model.", true);
  try {
    const opened = await open(model);
    classifier?.close();
    classifier = opened;
    showModel(at("model"), classifier.description);
    at("selftest").disabled = false;
    complain(null);
    say("Ready.");
  } catch (error) {
    complain(error);
    say(classifier ? "The model that was open is kept." : "No model is open.");
    return;
  }
  if (photo) await classify();
}

async function selftest() {
  at("selftest-text").textContent = "The drawn pictures in the model are classified.";
  try {
    const found = await classifier.selftest();
    const stages = [found.inputs, found.outputs, found.probabilities, found.whole_way];
    const different = stages.some((stage) => stage.different > 0);
    const close = stages.some((stage) => stage.close > 0);
    const verdict = different ? "different" : close ? "close" : "identical";
    at("selftest-text").textContent = `${verdict}: this device ${different ? "does not answer" : "answers"} as the maker of the model saw it. ${found.note}`;
  } catch (error) {
    at("selftest-text").textContent = error.message;
  }
}

// --- The photo ----------------------------------------------------------------------------------------------------------

async function classify() {
  const mine = ++turn;
  if (!classifier || !photo) return;
  say("Looking at the photo.", true);
  const explain = classifier.description.explains;
  try {
    const answer = await classifier.classify(photo, { skinType: Number(at("skin").value), explain, picture: PICTURE_SIDE });
    if (mine === turn) show(answer);
  } catch (error) {
    if (mine !== turn) return;
    photo = null;
    hidePhoto(); // the answer to another photo would be taken for this one's
    complain(error);
    say("Ready.");
  }
}

function show({ result, stages, explanation, picture }) {
  const { levels, nodes } = classifier.description;
  complain(null);
  showPicture(picture);
  showAnswer(at, result, levels, new Map(nodes.map((node) => [node.id, node.name])));
  showTree(at("tree"), result, levels, explain);
  showTimes(at("times"), stages);
  showEvidence(explanation);
  at("answer").hidden = false;
  say(`Done. ${at("verdict").textContent} ${at("refer-title").textContent}.`);
}

function showPicture(picture) {
  const canvas = at("photo");
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("bitmaprenderer").transferFromImageBitmap(picture);
  at("picture").hidden = false;
  at("drop").classList.add("full");
}

function hidePhoto() {
  for (const id of ["answer", "picture", "heat-option", "heat-text"]) at(id).hidden = true;
  at("drop").classList.remove("full");
}

// --- The evidence -------------------------------------------------------------------------------------------------------

async function explain(node) {
  const mine = turn;
  try {
    const found = await classifier.explain(photo, { skinType: Number(at("skin").value), node });
    if (mine === turn) showEvidence(found);
  } catch (error) {
    at("heat-text").hidden = false;
    at("heat-text").textContent = error.message;
  }
}

function showEvidence(found) {
  const name = found && classifier.description.nodes.find((node) => node.id === found.node).name;
  for (const id of ["heat-option", "heat-text", "heat"]) at(id).hidden = !found;
  if (!found) return;
  drawHeat(at("heat"), found);
  at("heat").hidden = !at("show-heat").checked;
  at("heat-text").textContent = found.peak
    ? `Bright: what speaks for ${name} (${percent(found.probability)}). Learnt from whole photos, never checked against places drawn by people.`
    : `Nothing in this photo speaks for ${name}.`;
  markNode(at("tree"), found.node);
}

// --- Wiring -------------------------------------------------------------------------------------------------------------

function take(file) {
  if (!file) return;
  photo = file;
  classify();
}

for (const id of ["camera", "file"]) {
  at(id).addEventListener("change", (event) => {
    take(event.target.files[0]);
    event.target.value = "";
  });
}
at("bundle").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) openModel(file);
  event.target.value = "";
});
at("skin").addEventListener("change", () => photo && classify());
at("selftest").addEventListener("click", selftest);
at("show-heat").addEventListener("change", (event) => {
  at("heat").hidden = !event.target.checked;
});
addEventListener("paste", (event) => take([...event.clipboardData.files][0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
});
addEventListener("dragleave", () => at("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file?.name.endsWith(".derm")) openModel(file);
  else take(file);
});

// --- Loading ------------------------------------------------------------------------------------------------------------

// Once everything is here, nothing may be asked for any more: a second policy can only forbid what the first allowed.
function lock() {
  const policy = document.createElement("meta");
  policy.httpEquiv = "Content-Security-Policy";
  policy.content = "connect-src 'none'; form-action 'none'; frame-src 'none'; img-src 'self' blob:";
  document.head.append(policy);
}

async function keepForOffline() {
  if (!("serviceWorker" in navigator)) return "";
  try {
    const { installing, waiting, active } = await navigator.serviceWorker.register(`sw.js?build=${runtimeFor().build}`);
    return (await settled(installing ?? waiting ?? active)) === "activated" ? " Works without a network from now on." : "";
  } catch {
    return ""; // a private window, no disk, a server without TLS: the page works, but for offline
  }
}

function settled(worker) {
  return new Promise((resolve) => {
    const look = () => ["activated", "redundant"].includes(worker.state) && resolve(worker.state);
    worker.addEventListener("statechange", look);
    look();
  });
}

await openModel("starter.derm");
const kept = await keepForOffline();
lock();
if (classifier && !photo) say(`Ready.${kept}`);
document.documentElement.dataset.ready = "yes";
