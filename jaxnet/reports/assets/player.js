// An animation of single frames with a button and a slider. It starts by itself unless the reader wants less motion. The script uses `var`, because a page may contain the script several times.
var jaxnetPlayer = box => {
  const frames = JSON.parse(box.querySelector("script[type='application/json']").textContent);
  const image = box.querySelector("img"), slider = box.querySelector("input"), button = box.querySelector("button");
  const told = box.querySelector("output");
  let timer = null;
  const show = i => {
    slider.value = i; image.src = frames[i]; told.textContent = `${i + 1} of ${frames.length}`;
  };
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "play"; };
  const play = () => {
    button.textContent = "pause";
    timer = setInterval(() => show((Number(slider.value) + 1) % frames.length), 1000 / Number(box.dataset.fps));
  };
  button.addEventListener("click", () => timer === null ? play() : stop());
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  show(0);
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play();
};
