/* Hands a player what to play. Runs inside a gr.HTML component, see picker.js. */
const player = element.querySelector("saccade-player");
let shown = null;

// Whether only policies were added to what is shown.
const goesOn = (next) => shown && next.picture === shown.picture && next.fovea === shown.fovea
  && next.policies.length > shown.policies.length
  && shown.policies.every((one, at) => one.name === next.policies[at].name);

const show = async () => {
  const next = props.value, { saccade, playing } = player;
  player.hidden = !next;
  if (!next) return;
  const on = goesOn(next);
  shown = next;
  player.scanpaths = next;
  if (!on) return;
  await new Promise((done) => setTimeout(done)); // until it is drawn
  player.saccade = saccade;
  if (playing) player.play();
  else player.pause();
};
watch("value", show);
show();
