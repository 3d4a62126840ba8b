// Says when the session of this page has ended, also if it ended elsewhere.
const source = new EventSource("/events");
source.addEventListener("signed-out", () => {
  source.close();
  document.getElementById("said").textContent = "You have been signed out.";
});
