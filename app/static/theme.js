// Light or dark: Gradio's own choice (a class on <body>), else the system's.

/** Keep root's data-theme at "light" or "dark". */
export function watchTheme(root, signal) {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const gradio = document.querySelector("gradio-app, .gradio-container");
    const dark = gradio ? document.body.classList.contains("dark") : system.matches;
    root.dataset.theme = dark ? "dark" : "light";
  };
  const observer = new MutationObserver(apply);
  observer.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  system.addEventListener("change", apply, { signal });
  signal.addEventListener("abort", () => observer.disconnect());
  apply();
}
