// Asks once a second whether this page's session is still there, and leaves the
// page if not. Asking does not prolong the session. If there is no answer, or
// another status than 200, nobody knows: so the page stays.
"use strict";

async function check() {
  if (document.hidden) return; // asked again when it is seen
  try {
    const answer = await fetch("/session", { signal: AbortSignal.timeout(5000) });
    if (answer.ok && !(await answer.json()).signedIn) location.replace("/?ended");
  } catch {
    // The network is away.
  }
}

async function watch() {
  await check();
  setTimeout(watch, 1000);
}

document.addEventListener("visibilitychange", check);
addEventListener("pageshow", check); // Back shows a page that was put aside
watch();
