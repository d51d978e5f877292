import { defaultClientConditions, defineConfig, type Plugin } from "vite";

/** What lets threads share memory. Without these headers the page works on one thread. */
const isolation = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** Everything comes from the page's own folder; WebAssembly may be compiled, and the threads of the processor are workers made of text. */
const policy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self' blob:",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** The built page carries its policy, wherever it is hosted. The development server needs inline scripts, so it has none. */
const contentPolicy: Plugin = {
  name: "content-policy",
  apply: "build",
  transformIndexHtml: () => [
    { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: policy }, injectTo: "head-prepend" },
  ],
};

/** Errors name the layer in which they arose by its class. */
const named = { output: { keepNames: true } };

export default defineConfig({
  // Relative addresses: the folder can be hosted anywhere.
  base: "./",
  plugins: [contentPolicy],
  resolve: { conditions: ["@x/source", ...defaultClientConditions] },
  worker: { format: "es", rolldownOptions: named },
  server: { headers: isolation },
  preview: { headers: isolation },
  build: { rolldownOptions: named, modulePreload: false, chunkSizeWarningLimit: 2000 },
});
