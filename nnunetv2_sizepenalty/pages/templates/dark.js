// Specs are written in the colours of light paper; `themed` swaps them where the page is dark.
const dark = matchMedia("(prefers-color-scheme: dark)");
function themed(spec) {
  if (!dark.matches) return spec;
  let text = JSON.stringify(spec);
  for (const [light, night] of Object.entries(DARK_COLOURS)) text = text.replaceAll(`"${light}"`, `"${night}"`);
  return JSON.parse(text);
}
