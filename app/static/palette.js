// Eight colors that people with any color vision can tell apart on dark pictures: the first two of
// Okabe and Ito (2008), the rest searched so that also the closest pair differs by a CIELAB
// distance of more than 20 for normal, protan, deutan and tritan eyes (tests/app/test_palette.py).

export const PALETTE = [
  "#e69f00",
  "#56b4e9",
  "#3d8b5a",
  "#e3c675",
  "#756cf8",
  "#cc6121",
  "#a46b92",
  "#d4d9df",
];

const HEX = /^#[0-9a-f]{6}$/i;

/** A category's color; the palette's by position where the stored one is no #rrggbb. */
export function colorOf(category, position) {
  return category && HEX.test(category.color ?? "")
    ? category.color
    : PALETTE[Math.max(position, 0) % PALETTE.length];
}

/** A #rrggbb color with an alpha in [0, 1] as a CSS color. */
export function withAlpha(color, alpha) {
  const byte = Math.round(Math.min(Math.max(alpha, 0), 1) * 255);
  return color + byte.toString(16).padStart(2, "0");
}

/** Black or white, whichever reads better on the color (WCAG relative luminance). */
export function inkOn(color) {
  const linear = [1, 3, 5].map((i) => {
    const value = parseInt(color.slice(i, i + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return luminance > 0.18 ? "#10151b" : "#ffffff";
}
