// The Playground: sends the form by fetch, reads the answer as it comes, stops it, and keeps the figures.
//
// The page works without this script; the answer then comes whole. Texts from the network only ever become text
// nodes. Money is BigInt nano-dollars. While an answer runs its cost is an estimate and says so; the exact figure
// comes with the end of the stream, or from the log when the stream was stopped.

(() => {
  "use strict";

  const form = document.querySelector("[data-playground]");
  if (!form) return;

  const turns = document.getElementById("turns");
  const empty = document.getElementById("turns-empty");
  const status = document.getElementById("playground-status");
  const total = document.getElementById("playground-total");
  const field = (name) => form.elements.namedItem(name);
  const sendButton = form.querySelector("[data-send]");
  const stopButton = form.querySelector("[data-stop]");

  const COST_FIELD = "x-ruapi-cost-usd";
  const TOKENS_PER_RATE = 1_000_000n;
  const BYTES_PER_TOKEN = 4n;
  const ASKS_MAX = 12;
  const ASK_EVERY_MS = 250;
  const LINE_CHARACTERS_MAX = 16 * 1024 * 1024;

  let history = readHistory();
  let running = null;
  let spentNano = 0n;
  let calls = 0;

  function readHistory() {
    try {
      const known = JSON.parse(field("messages").value || "[]");
      return Array.isArray(known) ? known : [];
    } catch {
      return [];
    }
  }

  function remember() {
    field("messages").value = JSON.stringify(history);
  }

  // --- money ---------------------------------------------------------------------------------------

  function nanoOf(text) {
    const found = /^(\d+)(?:\.(\d{1,9}))?$/.exec(text ?? "");
    return found ? BigInt(found[1]) * 1_000_000_000n + BigInt((found[2] ?? "").padEnd(9, "0")) : null;
  }

  function usd(nano) {
    const rest = (nano % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
    const whole = (nano / 1_000_000_000n).toString().replace(/\B(?=(\d{3})+(?!\d))/g, ",");
    return rest ? `$${whole}.${rest}` : `$${whole}`;
  }

  function bigOf(text) {
    return /^\d{1,18}$/.test(text ?? "") ? BigInt(text) : null;
  }

  // --- the conversation on the page ------------------------------------------------------------------

  function element(name, look, text) {
    const made = document.createElement(name);
    if (look) made.className = look;
    if (text) made.append(text);
    return made;
  }

  function addTurn(role, text) {
    const turn = element("li", `turn turn-${role}`);
    const words = element("p", "turn-text", text);
    turn.append(element("h2", "turn-who", role === "user" ? "You" : "Answer"), words);
    turns.append(turn);
    turns.hidden = false;
    empty.hidden = true;
    return { turn, words };
  }

  function say(...parts) {
    status.replaceChildren(...parts);
  }

  function linkTo(requestId) {
    const link = element("a", "", "See the call");
    link.href = `/logs/${encodeURIComponent(requestId)}`;
    return link;
  }

  function showTotal() {
    total.hidden = calls < 2;
    total.textContent = `Conversation: ${usd(spentNano)}`;
  }

  // One growing text node, appended to once a frame: a fast stream must not lay the page out for every token.
  class Growing {
    constructor(parent) {
      this.node = document.createTextNode("");
      parent.append(this.node);
      this.waiting = "";
      this.text = "";
      this.frame = 0;
    }

    add(text) {
      this.text += text;
      this.waiting += text;
      if (!this.frame) this.frame = requestAnimationFrame(() => this.flush());
    }

    flush() {
      if (this.frame) cancelAnimationFrame(this.frame);
      this.frame = 0;
      if (!this.waiting) return;
      this.node.appendData(this.waiting);
      this.waiting = "";
    }
  }

  // --- reading the answer ------------------------------------------------------------------------------

  // Server-sent events out of any split of the bytes. Calls onData with the text of each event.
  async function readEvents(body, onData) {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    let data = [];
    const take = (line) => {
      if (line === "") {
        if (data.length) onData(data.join("\n"));
        data = [];
      } else if (line.startsWith("data:")) {
        data.push(line.slice(line.startsWith("data: ") ? 6 : 5));
      }
    };
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop();
      if (rest.length > LINE_CHARACTERS_MAX) throw new Error("a line of the answer is too long");
      for (const line of lines) take(line.endsWith("\r") ? line.slice(0, -1) : line);
      if (done) {
        if (rest) take(rest);
        take("");
        return;
      }
    }
  }

  class Answer {
    constructor(response) {
      const { turn, words } = addTurn("assistant", "");
      this.turn = turn;
      this.said = new Growing(words);
      this.thought = null;
      this.words = words;
      this.costNano = null;
      this.error = null;
      this.finish = null;
      this.startNano = bigOf(response.headers.get("x-estimate-start-nano"));
      this.outputNano = bigOf(response.headers.get("x-estimate-output-nano"));
      this.bytes = 0n;
      this.encoder = new TextEncoder();
    }

    event(data) {
      if (data === "[DONE]") return;
      let chunk;
      try {
        chunk = JSON.parse(data);
      } catch {
        return; // what cannot be read is nothing to show
      }
      if (chunk.error) this.error = chunk.error;
      if (chunk.usage) this.costNano = nanoOf(chunk.usage[COST_FIELD]) ?? this.costNano;
      const choice = chunk.choices?.[0];
      if (!choice) return;
      if (choice.finish_reason) this.finish = choice.finish_reason;
      const delta = choice.delta ?? choice.message ?? {};
      this.think(delta.reasoning_content ?? delta.reasoning);
      this.say(delta.content);
      this.say(delta.refusal);
      this.estimate();
    }

    say(text) {
      if (typeof text !== "string" || !text) return;
      this.count(text);
      this.said.add(text);
    }

    think(text) {
      if (typeof text !== "string" || !text) return;
      this.count(text);
      if (!this.thought) {
        const folded = element("details", "more");
        const inside = element("p", "turn-text turn-thought");
        folded.append(element("summary", "", "Reasoning"), inside);
        this.turn.insertBefore(folded, this.words);
        this.thought = new Growing(inside);
      }
      this.thought.add(text);
    }

    count(text) {
      this.bytes += BigInt(this.encoder.encode(text).length);
    }

    estimate() {
      if (this.startNano === null || this.outputNano === null) return;
      const tokens = this.bytes / BYTES_PER_TOKEN + 1n;
      const nano = this.startNano + (tokens * this.outputNano) / TOKENS_PER_RATE;
      running?.showCost(`Answering. About ${usd(nano)} so far, an estimate.`);
    }

    end(note, isError) {
      this.said.flush();
      this.thought?.flush();
      if (note) this.turn.append(element("p", isError ? "turn-note turn-error" : "turn-note", note));
    }
  }

  // The cost as the log has it. A call that was stopped is settled a moment after.
  async function costFromLog(requestId) {
    for (let asked = 0; asked < ASKS_MAX; asked += 1) {
      const response = await fetch(`/playground/calls/${encodeURIComponent(requestId)}`, { credentials: "same-origin" });
      if (response.status === 200) return nanoOf((await response.json()).cost_usd);
      if (response.status !== 202) return null;
      await new Promise((resolve) => { setTimeout(resolve, ASK_EVERY_MS); });
    }
    return null;
  }

  async function refusalOf(response) {
    const type = response.headers.get("content-type") ?? "";
    if (type.startsWith("application/json")) {
      const { error } = await response.json();
      return { message: error?.message ?? "The answer cannot be read.", code: error?.code ?? "" };
    }
    if (response.status === 400) return { message: "The conversation is too long to send. Start a new one.", code: "" };
    return { message: "The page can be used no more: you were signed out, or it is too old. Load it anew.", code: "" };
  }

  // --- one call ---------------------------------------------------------------------------------------

  function setRunning(call) {
    running = call;
    sendButton.disabled = call !== null;
    stopButton.hidden = call === null;
    turns.setAttribute("aria-busy", String(call !== null));
    if (call === null && document.activeElement === document.body) field("message").focus();
  }

  // At most twice a second: the line is read aloud, and shown, no more often than anybody can take it in.
  function costLine() {
    let shownAt = -Infinity;
    return (text) => {
      if (performance.now() - shownAt < 500) return;
      shownAt = performance.now();
      status.replaceChildren(text);
    };
  }

  function bodyOf(message) {
    const body = new URLSearchParams(new FormData(form));
    body.set("messages", JSON.stringify(history));
    body.set("message", message);
    return body;
  }

  async function send() {
    const message = field("message").value.trim();
    if (running || !message) {
      field("message").focus();
      return;
    }
    const controller = new AbortController();
    setRunning({ controller, showCost: costLine() });
    const asked = addTurn("user", message);
    field("message").value = "";
    say("Sending.");
    let answer = null;
    let requestId = null;
    try {
      const response = await fetch(form.action, {
        method: "POST",
        body: bodyOf(message),
        signal: controller.signal,
        credentials: "same-origin",
        headers: { accept: "text/event-stream", "x-csrf-token": field("csrf").value },
      });
      requestId = response.headers.get("x-request-id");
      if (!response.ok) {
        await refuse(asked.turn, message, response, requestId);
        return;
      }
      answer = new Answer(response);
      if ((response.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
        await readEvents(response.body, (data) => answer.event(data));
      } else {
        answer.event(await response.text());
        answer.costNano = nanoOf(response.headers.get(COST_FIELD));
      }
      await conclude(message, answer, requestId, false);
    } catch (fault) {
      if (answer) await conclude(message, answer, requestId, controller.signal.aborted);
      else giveBack(asked.turn, message, controller.signal.aborted ? "Stopped before anything came." : unreachable(fault));
    } finally {
      setRunning(null);
    }
  }

  function unreachable(fault) {
    return fault instanceof TypeError ? "The gateway cannot be reached. Your message is back in its box." : String(fault.message);
  }

  async function refuse(turn, message, response, requestId) {
    const { message: words, code } = await refusalOf(response);
    giveBack(turn, message, "");
    say(element("span", "text-danger strong", `${response.status} ${code}`.trim()), ` ${words} `);
    if (requestId) status.append(linkTo(requestId));
  }

  function giveBack(turn, message, words) {
    turn.remove();
    turns.hidden = !turns.childElementCount;
    empty.hidden = !turns.hidden;
    if (!field("message").value) field("message").value = message;
    say(words);
  }

  async function conclude(message, answer, requestId, stopped) {
    const note = stopped ? "Stopped here." : answer.error ? `Cut short: ${answer.error.message ?? "the provider failed."}` : null;
    answer.end(note ?? (answer.finish === "length" ? "It ended at the most output that was allowed." : null), Boolean(answer.error));
    history.push({ role: "user", content: message });
    // A model takes no empty answer back.
    if (answer.said.text) history.push({ role: "assistant", content: answer.said.text });
    else history.pop();
    remember();
    let costNano = answer.costNano;
    if (costNano === null && requestId) {
      say(stopped ? "Stopped. What was delivered is charged." : "Answered.");
      costNano = await costFromLog(requestId).catch(() => null);
    }
    const verb = stopped ? "Stopped." : answer.error ? "The answer was cut short." : "Answered.";
    if (costNano === null) {
      say(`${verb} The log will tell what it cost. `);
    } else {
      calls += 1;
      spentNano += costNano;
      say(`${verb} This call cost `, element("strong", "money", usd(costNano)), ". ");
    }
    if (requestId) status.append(linkTo(requestId));
    showTotal();
    refreshCode();
  }

  function stop() {
    running?.controller.abort();
  }

  // --- the page's own controls ---------------------------------------------------------------------------

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  stopButton.addEventListener("click", () => {
    stop();
    field("message").focus();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      send();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && running) {
      event.preventDefault();
      stop();
    }
  });
  form.querySelector("[data-new]").addEventListener("click", (event) => {
    event.preventDefault();
    if (running) return;
    history = [];
    spentNano = 0n;
    calls = 0;
    remember();
    turns.replaceChildren();
    turns.hidden = true;
    empty.hidden = false;
    say();
    showTotal();
    refreshCode();
    field("message").focus();
  });

  // Only the models that the chosen token may call are offered. Where there are too many for a list, a name is typed.
  const modelList = form.querySelector("select[data-models]") ?? document.getElementById("model-list");
  const models = Array.from(modelList.querySelectorAll("option"), (option) => option.value);
  function offerModels() {
    const before = field("model").value;
    const patterns = (field("key").selectedOptions[0]?.dataset.models ?? "").split(" ").filter(Boolean);
    const fits = patterns.map((pattern) => new RegExp(
      `^${pattern.split("*").map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`, "s"));
    const offered = models.filter((name) => !fits.length || fits.some((fit) => fit.test(name)));
    modelList.replaceChildren(...offered.map((name) => new Option(name, name)));
    if (modelList !== field("model")) return;
    if (offered.includes(before)) field("model").value = before;
    if (!offered.length) modelList.append(new Option("This token may call none of the models here", ""));
    if (field("model").value !== before) field("model").dispatchEvent(new Event("change", { bubbles: true }));
  }
  // The code follows the form while it is looked at, and keeps the language that was chosen.
  const code = document.getElementById("playground-code");
  const shownCode = code.closest("details");
  let language = null;
  function refreshCode() {
    if (shownCode.open) code.dispatchEvent(new Event("stale"));
  }
  shownCode.addEventListener("toggle", refreshCode);
  form.addEventListener("change", (event) => {
    if (event.target instanceof Element && event.target.form === form) refreshCode();
  });
  code.addEventListener("change", (event) => { language = event.target.id; });
  document.addEventListener("htmx:after:swap", () => {
    const chosen = language && document.getElementById(language);
    if (chosen) chosen.checked = true;
  });

  field("key").addEventListener("change", offerModels);
  offerModels();
})();
