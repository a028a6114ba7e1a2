// What a batch is doing, in words.

import { t } from "../texts.js";

/** The state of a job as the server lists it; one of which nothing was begun is not called paused. */
export function stateOf({ state, counts }) {
  return t(`batch_state_${state === "paused" && counts.queued === counts.total ? "new" : state}`);
}
