// Unpacking: what the page carries is the base64 of a zlib stream.

async function unpackedText(id) {
  const element = document.getElementById(id);
  const bytes = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
  element.remove();
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}

async function loadPlotly() {
  const script = document.createElement("script");
  script.textContent = await unpackedText("plotly-script");
  document.head.append(script);
  return window.Plotly;
}

async function loadDataTable() {
  const style = document.createElement("style");
  style.textContent = await unpackedText("table-style");
  document.head.prepend(style); // the page's own style comes later, and so decides
  const source = new Blob([await unpackedText("table-script")], { type: "text/javascript" });
  const address = URL.createObjectURL(source);
  const library = await import(address);
  URL.revokeObjectURL(address);
  return library.default;
}
