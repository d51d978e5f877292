import { attentionView } from "./page/attention-view.ts";
import { blocksView } from "./page/blocks-view.ts";
import { curveView } from "./page/curve-view.ts";
import { byId } from "./page/dom.ts";
import { download } from "./page/download.ts";
import { noticeView } from "./page/notice-view.ts";
import { runView } from "./page/run-view.ts";
import { sampleView } from "./page/sample-view.ts";
import { setupView } from "./page/setup-view.ts";
import { themeSwitch } from "./page/theme.ts";
import type { Command, Report } from "./protocol.ts";
import { type Event, initial, reduce } from "./state.ts";

let state = initial;
let drawn = false;

/** Takes an event in; what it changes is shown before the next frame, or soon where no frames are drawn. */
function dispatch(event: Event): void {
  state = reduce(state, event);
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(() => {
    drawn = false;
    for (const view of views) view(state);
  });
}

function open(): Worker {
  const opened = new Worker(new URL("./worker/main.ts", import.meta.url), { type: "module", name: "playground" });
  opened.onmessage = ({ data }: MessageEvent<Report>) => {
    if (data.type === "saved") download(data.file, data.name);
    dispatch(data);
  };
  opened.onerror = (event) => {
    event.preventDefault();
    opened.terminate();
    const began = state.ready !== undefined;
    const why = event.message || (began ? "the browser ended it, perhaps for lack of memory" : "it could not be loaded");
    dispatch({ type: "crashed", words: `The worker that trains has broken down: ${why}.` });
    // One that does not even begin would not the next time.
    if (began) worker = open();
  };
  return opened;
}

let worker = open();

function send(command: Command): void {
  dispatch({ type: "asked", command: command.type });
  worker.postMessage(command);
}

const tell = (words: string) => dispatch({ type: "told", words });
const views = [
  setupView({ send, tell }),
  runView(send),
  noticeView(() => dispatch({ type: "dismissed" })),
  curveView(byId<HTMLCanvasElement>("curve")),
  sampleView(send),
  attentionView(send),
  blocksView(),
];
themeSwitch(byId("theme"));
for (const view of views) view(state);
