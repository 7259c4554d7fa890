// Draws the charts of the page over their pictures. Vega is in the page, compressed; where it
// cannot be unpacked or a chart cannot be drawn, the picture stays.
(async () => {
  const packed = Uint8Array.from(atob(document.getElementById("vega").textContent.trim()),
    letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  new Function(await new Response(stream).text())();
  const inDark = JSON.parse(document.getElementById("in-dark").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function specification(script) {
    let text = script.textContent;
    if (dark.matches) {
      for (const [light, other] of Object.entries(inDark)) text = text.replaceAll(light, other);
    }
    return JSON.parse(text);
  }

  async function draw(script) {
    const place = script.previousElementSibling;
    const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name);
    const [text, line] = [colour("--text"), colour("--line")];
    const figure = script.closest("figure");
    figure.classList.add("live");  // first: what is hidden has no width to fill
    try {
      await vegaEmbed(place, specification(script), {
        mode: "vega-lite", renderer: "svg", actions: false,
        tooltip: {theme: dark.matches ? "dark" : ""},
        config: {
          background: "transparent", font: "system-ui, sans-serif", view: {stroke: null},
          axis: {labelColor: text, titleColor: text, gridColor: line, domainColor: text,
            tickColor: text, titleFontWeight: "normal", labelOverlap: true, labelSeparation: 8},
          legend: {labelColor: text, titleColor: text,
            layout: {bottom: {direction: "vertical", anchor: "start"}}}, title: {color: text, fontWeight: "normal"},
          text: {color: text},
        },
      });
      script.classList.add("drawn");
    } catch (error) {
      figure.classList.remove("live");
      throw error;
    }
  }

  const drawAll = () => document.querySelectorAll("script.chart").forEach(draw);
  dark.addEventListener("change", drawAll);
  drawAll();
})();
