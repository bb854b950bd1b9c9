// A result as elements of the page.
const LITTLE = 0.02; // shares below it are folded away

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

export const percent = (share) => (share > 0 && share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`);
const list = (items) => items.map((text) => element("li", { textContent: text }));
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

/** The tree of labels: what is improbable is folded away. `choose(id)` is called when a name is pressed. */
export function showTree(place, result, levels, choose) {
  const children = (level, parent) => (levels[level] ? result.levels[levels[level]].filter((node) => node.parent === parent) : []);

  function row(node, level) {
    const button = element("button", { type: "button", textContent: node.name });
    button.dataset.node = node.id;
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => choose(node.id));
    const bar = element("span");
    bar.style.width = `${100 * node.probability}%`;
    const track = element("div", { className: "track", ariaHidden: "true" }, bar);
    const share = element("span", { className: "share", textContent: percent(node.probability) });
    return element("div", { className: level === 0 ? "node top" : "node" }, button, track, share);
  }

  function branch(level, parent) {
    const nodes = children(level, parent);
    const shown = nodes.filter((node, i) => node.probability >= LITTLE || (level === 0 && i === 0));
    const folded = nodes.filter((node) => !shown.includes(node));
    const item = (node) => {
      const made = element("li", {}, row(node, level));
      const below = branch(level + 1, node.id);
      if (below) made.append(below);
      return made;
    };
    if (nodes.length === 0) return null;
    const made = element("ul", {}, ...shown.map(item));
    if (folded.length > 0) {
      const sum = percent(folded.reduce((total, node) => total + node.probability, 0));
      const summary = element("summary", { textContent: `${folded.length} more, ${sum} together` });
      made.append(element("li", {}, element("details", {}, summary, element("ul", {}, ...folded.map(item)))));
    }
    return made;
  }

  place.replaceChildren(branch(0, null));
}

/** Marks the node whose evidence is shown. */
export function markNode(place, id) {
  for (const button of place.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.node === id));
}

/** Answer, referral, quality and prediction set. */
export function showAnswer(at, result, levels, names) {
  const deepest = levels.at(-1);
  const sure = result.answer && Object.values(result.levels).flat().find((node) => node.id === result.answer);
  const level = sure && levels.find((name) => result.levels[name].some((node) => node.id === sure.id));
  at("verdict").replaceChildren(
    ...(sure
      ? [element("strong", { textContent: sure.name }), ` (${level}), probability ${percent(sure.probability)}.`]
      : ["Nothing is certain enough to be called an answer."]),
  );
  at("refer").classList.toggle("yes", result.refer);
  at("refer-title").textContent = result.refer ? "See a dermatologist" : "No reason found to refer this photo";
  const reasons = result.refer ? result.reasons.map(sentence) : ["Whoever is worried about their skin should see a doctor all the same."];
  at("reasons").replaceChildren(...list(reasons));
  const problems = [...result.quality.problems, ...result.warnings];
  at("quality").hidden = problems.length === 0;
  at("problems").replaceChildren(...list(problems.map(sentence)));
  const promise = percent(result.coverage).replace(".0", "");
  at("set-text").textContent = `Meant to hold the truth for ${promise} of photos like those that the model was calibrated on:`;
  at("set").replaceChildren(...list(result.prediction_sets[deepest].map((id) => names.get(id))));
}

const STEPS = {
  decode: "decode the photo", prepare: "resize it", graphs: "run the model", answer: "put the answer together",
  explain: "find the evidence", picture: "make the picture to show",
};

export function showTimes(table, stages) {
  const rows = Object.entries(stages).map(([stage, time]) => {
    const head = element("th", { scope: "row", textContent: STEPS[stage] ?? stage });
    return element("tr", {}, head, element("td", { textContent: time.toFixed(1) }));
  });
  table.tBodies[0].replaceChildren(...rows);
}

export function showModel(place, description) {
  const fields = {
    Name: `${description.name}, version ${description.version}`, Use: description.intended_use, Licence: description.licence,
    Size: `${(description.size_bytes / 1e6).toFixed(1)} MB`, Threads: String(description.threads), Digest: description.digest,
  };
  const pairs = Object.entries(fields).flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })]);
  place.replaceChildren(...pairs);
}
