// What Gradio leaves out: roles, files that are dropped onto the page, and where the eye goes.
() => {
  const by = (id) => document.getElementById(id);
  const set = (id, names) => Object.entries(names).forEach(
    ([name, value]) => by(id)?.setAttribute(name, value));
  // Gradio gives its own containers no role: what changes is read out, and what scrolls has a name.
  set("status", {role: "status", "aria-live": "polite"});
  set("conversation", {role: "region", "aria-label": "Conversation", tabindex: "0"});

  // A line that the box offers is chosen whole, so that typing takes its place.
  const suggested = SUGGESTIONS;
  const box = document.querySelector("#said textarea");
  const choose = () => suggested.includes(box.value) && box.select();
  box.addEventListener("focus", () => {
    choose();
    setTimeout(choose);  // a press of the mouse sets the cursor after the focus
  });

  // A file that is dropped goes the way of one that is chosen: into the input of the button.
  const upload = by("upload").parentElement.querySelector("input[type=file]");
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  window.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  window.addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    upload.files = event.dataTransfer.files;
    upload.dispatchEvent(new Event("change", {bubbles: true}));
  }, true);
}
