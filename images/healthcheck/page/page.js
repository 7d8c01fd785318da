"use strict";
(function () {
  const root = document.documentElement.dataset;
  const made = Date.parse(root.made);
  const old = document.getElementById("old");
  const age = document.getElementById("age");

  function words(seconds) {
    const minutes = Math.floor(seconds / 60);
    if (90 > minutes) { return minutes + " min"; }
    const hours = Math.floor(minutes / 60);
    return 48 > hours ? hours + " h" : Math.floor(hours / 24) + " days";
  }

  function tell() {
    const seconds = (Date.now() - made) / 1000;
    const late = seconds > Number(root.oldAfter);
    const early = -120 > seconds;
    age.textContent = early ? ", by a clock that is ahead of yours" : ", " + words(seconds) + " ago";
    old.hidden = !(late || early);
    old.textContent = late
      ? "This page is " + words(seconds) + " old. Load it anew; if it stays so, the healthcheck is silent: trust nothing that looks green."
      : "This page was made by a clock that is ahead of yours: its age cannot be told.";
  }

  function copy(command, button) {
    const range = document.createRange();
    range.selectNodeContents(command);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    const done = function () { button.textContent = "Copied"; setTimeout(function () { button.textContent = "Copy"; }, 2000); };
    const byHand = function () { if (document.execCommand("copy")) { done(); } };
    if (navigator.clipboard) { navigator.clipboard.writeText(command.textContent).then(done, byHand); } else { byHand(); }
  }

  document.querySelectorAll(".copyable").forEach(function (place) {
    const button = document.createElement("button");
    const command = place.querySelector("code");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy: " + command.textContent);
    button.addEventListener("click", function () { copy(command, button); });
    place.appendChild(button);
  });
  tell();
  setInterval(tell, 15000);
})();
