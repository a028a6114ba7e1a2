// The tab of batches: a file or a pasted list becomes a table of rows that are spoken one by one.

import { JobList } from "./batch/job_list.js";
import { JobView } from "./batch/job_view.js";
import { NewJob } from "./batch/new_job.js";
import { el } from "./dom.js";
import { prepare } from "./library/parts.js";

export async function open(panel, { engine }) {
  await prepare();
  // Answers may come when another tab is shown, whose address it then is.
  const go = (id) => panel.hidden || history.replaceState(null, "", id ? `#batch/${id}` : "#batch");
  const view = new JobView(panel, engine, {
    onChange: (job) => list.update(job),
    onGone: () => {
      if (!view.id) go("");
      list.load();
    },
  });
  const list = new JobList((id) => show(id));
  const show = async (id) => {
    go(id);
    list.choose(id);
    try {
      await view.open(id);
    } catch (error) {
      list.fail(error);
    }
  };
  const making = new NewJob(engine, async (job) => {
    await list.load();
    await show(job.id);
    view.focus();
  });
  panel.append(el("div", { class: "tts-lib-columns" }, making.node, list.node), view.node);
  return {
    show: async (id) => {
      await list.load();
      const wanted = id || view.id || list.running;
      if (wanted) await show(wanted);
    },
    hide: () => view.quiet(),
  };
}
