import { getJson, onKeyChange } from "./api.js";
import { Live } from "./live.js";
import { Playground } from "./playground.js";

async function showModel() {
  try {
    const [model] = (await getJson("/v1/models")).data;
    document.getElementById("model").textContent = `${model.id}, up to ${model.max_model_len.toLocaleString("en")} tokens`;
  } catch (error) {
    document.getElementById("model").textContent = error.message;
    if (error.status === 503) setTimeout(showModel, 1000);
  }
}

const playground = new Playground();
const live = new Live();
globalThis.quire = { live, playground }; // for whoever measures the page
onKeyChange(showModel);
showModel();
live.run();
