addEventListener("DOMContentLoaded", () => {
  const lang = document.querySelector(".ticketstore")?.lang || "en";
  const own = navigator.languages.find(l => l.split("-")[0] === lang.split("-")[0]);
  const format = new Intl.DateTimeFormat(own || lang, {dateStyle: "medium", timeStyle: "short"});
  for (const time of document.querySelectorAll(".ticketstore time[datetime]")) {
    time[time.title ? "title" : "textContent"] = format.format(new Date(time.dateTime));
  }
});
