// Anthropic's SDK: whole answers, streams rebuilt by its accumulator, and a count of tokens.

import Anthropic from "@anthropic-ai/sdk";
import { QUESTION, SCHEMAS, SYSTEM, outputTokensMax, play, run } from "./job.mjs";

async function messages(target, stream) {
  const sdk = new Anthropic({ apiKey: target.key, baseURL: target.base_url, maxRetries: 0 });
  const history = [{ role: "user", content: QUESTION }];
  const asked = { model: target.model, system: SYSTEM, messages: history };
  asked.max_tokens = outputTokensMax(target);
  if (target.with_tools) {
    asked.tools = Object.entries(SCHEMAS).map(([name, input_schema]) => ({ name, input_schema }));
    asked.thinking = { type: "adaptive" };
  }
  for (;;) {
    const answer = stream
      ? await sdk.messages.stream(asked).finalMessage()
      : await sdk.messages.create(asked);
    history.push({ role: "assistant", content: answer.content });
    const calls = answer.content.filter((block) => block.type === "tool_use");
    if (!calls.length) {
      const text = answer.content.filter((block) => block.type === "text").map((block) => block.text);
      const { usage } = answer;
      const input = usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0);
      return { text: text.join(""), tokens: [input, usage.output_tokens] };
    }
    const results = calls.map((call) => ({
      type: "tool_result",
      tool_use_id: call.id,
      content: run(target, call.name, call.input),
    }));
    history.push({ role: "user", content: results });
  }
}

async function count(target) {
  const sdk = new Anthropic({ apiKey: target.key, baseURL: target.base_url, maxRetries: 0 });
  return sdk.messages.countTokens({ model: target.model, messages: [{ role: "user", content: QUESTION }], tools: [] });
}

await play({
  messages: (target) => messages(target, false),
  "messages stream": (target) => messages(target, true),
  count,
});
