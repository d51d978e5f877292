import type { State } from "../state.ts";
import { byId, setText } from "./dom.ts";

/** What went wrong or should be known, with the way on where there is one. */
export function noticeView(dismiss: () => void): (state: State) => void {
  byId("dismiss").addEventListener("click", dismiss);
  return ({ notice }) => {
    const box = byId("notice");
    box.hidden = notice === undefined;
    if (!notice) return;
    box.dataset.kind = notice.kind;
    setText(byId("notice-words"), notice.words);
    byId("recover").hidden = notice.kept === undefined;
    setText(byId("recover"), notice.kept === undefined ? "" : `Go on from step ${notice.kept.toLocaleString("en")}`);
  };
}
