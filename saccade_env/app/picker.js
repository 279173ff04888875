/* The choice of a picture: radio buttons of the sample, a number of the page's images, a file.
   Runs inside a gr.HTML component, which gives `element`, `props`, `trigger` and `watch`. */
const note = element.querySelector("[role=status]");
const preview = element.querySelector("img.preview");
const choose = (where, place, said = "") => {
  props.value = { where, place, said, picture: "" };
  show();
};
const show = () => {
  const { where, place, said, picture } = props.value;
  for (const radio of element.querySelectorAll("input[type=radio]"))
    radio.checked = where === "sample" && Number(radio.value) === place;
  const number = element.querySelector("input[type=number]");
  if (number && document.activeElement !== number) number.value = where === "images" ? place : "";
  note.textContent = said;
  preview.hidden = !picture;
  preview.src = picture || "data:,";
};
element.addEventListener("change", (event) => {
  const input = event.target;
  if (input.type === "radio") choose("sample", Number(input.value));
  if (input.type === "number" && input.value !== "") choose("images", Number(input.value));
  if (input.type !== "file" || !input.files.length) return;
  const file = input.files[0];
  input.value = "";
  if (file.size > Number(element.querySelector("[data-largest]").dataset.largest)) {
    choose("", -1, "This file is too large. Please take another.");
    return;
  }
  choose("", -1, "Sending the picture…");
  const reader = new FileReader();
  reader.onload = () => trigger("upload", { data: reader.result });
  reader.readAsDataURL(file);
});
watch("value", show);
show();
