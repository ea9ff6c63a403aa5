// A long table that a reader sorts and searches. `jaxnetSearch` takes rows and a query, and returns the positions of the matching rows. The script uses `var`, because a page may contain the script several times.
var jaxnetSearch = (() => {
  // "layer 2, neuron 7, weight from neuron 3" becomes the units "layer 2", "neuron 7", "weight", "from neuron 3".
  const units = text => {
    const words = text.toLowerCase().split(/[\s,;()]+/).filter(Boolean), found = [];
    for (let i = 0; i < words.length; i++) {
      const number = /^\d+$/.test(words[i + 1] ?? ""), plain = !/\d/.test(words[i]);
      if (words[i] === "from" && /^\d+$/.test(words[i + 2] ?? "")) { found.push(words.slice(i, i + 3).join(" ")); i += 2; }
      else if (plain && number) { found.push(`${words[i]} ${words[i + 1]}`); i += 1; }
      else found.push(words[i]);
    }
    return found;
  };
  const squeezed = text => text.toLowerCase().trim().replace(/\s+/g, " ");
  const prepare = rows => rows.map(row => {
    const texts = row.filter(value => typeof value === "string" && !/^-?inf$/.test(value)), all = texts.flatMap(units);
    return { label: squeezed(texts[0] ?? ""), units: new Set(all), words: new Set(all.flatMap(unit => unit.split(" "))), text: texts.join(" ").toLowerCase() };
  });
  const holds = (row, unit) => row.units.has(unit) ||
    (!/\d/.test(unit) ? row.text.includes(unit) : !unit.includes(" ") && row.words.has(unit));
  const find = (prepared, query) => {
    const wanted = units(query), label = squeezed(query), positions = prepared.map((_, i) => i);
    const same = positions.filter(i => label && prepared[i].label === label);
    return same.length ? same : positions.filter(i => wanted.every(unit => holds(prepared[i], unit)));
  };
  return { prepare, find };
})();

var jaxnetTable = box => {
  const body = box.querySelector("tbody"), told = box.querySelector(".told");
  const all = JSON.parse(box.querySelector("script[type='application/json']").textContent), prepared = jaxnetSearch.prepare(all);
  const heads = [...box.querySelectorAll("th")], more = box.querySelector(".more"), search = box.querySelector("input");
  let column = -1, up = false, shown = 200;
  const number = value => value === null ? NaN : value === "inf" ? Infinity : value === "-inf" ? -Infinity : value;
  const order = (a, b) => {
    const x = number(all[a][column]), y = number(all[b][column]);
    if (x !== x || y !== y) return (x !== x) - (y !== y);  // unknown values stay last
    const way = x < y ? -1 : x > y ? 1 : 0;
    return (up ? way : -way) || a - b;
  };
  const short = value => Math.abs(value) < 1e-3 ? value.toExponential(3) : value.toPrecision(4);
  const draw = () => {
    const found = jaxnetSearch.find(prepared, search.value);
    if (column >= 0) found.sort(order);
    body.replaceChildren(...found.slice(0, shown).map(i => {
      const row = document.createElement("tr");
      for (const value of all[i]) {
        const cell = row.insertCell();
        cell.textContent = value === null ? "" : value === "inf" ? "∞" : value === "-inf" ? "-∞" :
          typeof value === "number" && !Number.isInteger(value) ? short(value) : value;
        if (typeof value === "number" || /^-?inf$/.test(value)) cell.className = "number";
      }
      return row;
    }));
    told.textContent = `${found.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} parameters`;
    more.hidden = found.length <= shown;
    heads.forEach((head, i) => head.setAttribute("aria-sort", i !== column ? "none" : up ? "ascending" : "descending"));
  };
  heads.forEach((head, i) => head.firstChild.addEventListener("click", () => {
    up = column === i ? !up : typeof all[0]?.[i] === "string" && !/inf/.test(all[0][i]);
    column = i; shown = 200; draw();
  }));
  search.addEventListener("input", () => { shown = 200; draw(); });
  more.addEventListener("click", () => { shown += 1000; draw(); });
  draw();
};
