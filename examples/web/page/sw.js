// Keeps the page, and from then on answers for the network: what is not kept is refused, so nothing leaves and nothing comes.
// build.mjs writes the two constants.
const FILES = [/* FILES */];
const NAME = "derm-/* DIGEST */";

const build = new URL(location).searchParams.get("build");
const kept = FILES.filter((file) => !file.startsWith("derm-sdk-web/litert/") || file.startsWith(`derm-sdk-web/litert/${build}.`));

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches.open(NAME).then((cache) => cache.addAll(["./", ...kept])).then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys()
      .then((names) => Promise.all(names.filter((name) => name.startsWith("derm-") && name !== NAME).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  event.respondWith(
    caches.open(NAME)
      .then((cache) => cache.match(event.request, { ignoreSearch: true }))
      .then((found) => found ?? Response.error()),
  );
});
