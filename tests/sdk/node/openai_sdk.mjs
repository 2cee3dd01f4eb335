// OpenAI's SDK over Chat Completions and Responses: whole answers, and streams rebuilt by its own accumulators.

import OpenAI from "openai";
import { QUESTION, SCHEMAS, SYSTEM, outputTokensMax, play, run } from "./job.mjs";

const sdkOf = (target) => new OpenAI({ apiKey: target.key, baseURL: `${target.base_url}/v1`, maxRetries: 0 });

async function chat(target, stream) {
  const sdk = sdkOf(target);
  const messages = [
    { role: "system", content: SYSTEM },
    { role: "user", content: QUESTION },
  ];
  const tools = Object.entries(SCHEMAS).map(([name, parameters]) => ({
    type: "function",
    function: { name, parameters, strict: true },
  }));
  const asked = { model: target.model, messages, max_completion_tokens: outputTokensMax(target) };
  if (target.with_tools) asked.tools = tools;
  for (;;) {
    const answer = stream
      ? await sdk.chat.completions.stream({ ...asked, stream_options: { include_usage: true } }).finalChatCompletion()
      : await sdk.chat.completions.create(asked);
    const { message } = answer.choices[0];
    messages.push(message);
    if (!message.tool_calls?.length) {
      return { text: message.content, tokens: [answer.usage.prompt_tokens, answer.usage.completion_tokens] };
    }
    for (const call of message.tool_calls) {
      const content = run(target, call.function.name, JSON.parse(call.function.arguments));
      messages.push({ role: "tool", tool_call_id: call.id, content });
    }
  }
}

async function responses(target, stream) {
  const sdk = sdkOf(target);
  const input = [{ role: "user", content: QUESTION }];
  const asked = { model: target.model, instructions: SYSTEM, input, store: false };
  asked.max_output_tokens = outputTokensMax(target);
  if (target.with_tools) {
    asked.tools = Object.entries(SCHEMAS).map(([name, parameters]) => ({
      type: "function",
      name,
      parameters,
      strict: true,
    }));
    asked.reasoning = { effort: "high", summary: "auto" };
    asked.include = ["reasoning.encrypted_content"];
  }
  for (;;) {
    const answer = stream
      ? await sdk.responses.stream(asked).finalResponse()
      : await sdk.responses.create(asked);
    input.push(...answer.output);
    const calls = answer.output.filter((item) => item.type === "function_call");
    if (!calls.length) {
      return { text: answer.output_text, tokens: [answer.usage.input_tokens, answer.usage.output_tokens] };
    }
    for (const call of calls) {
      const output = run(target, call.name, JSON.parse(call.arguments));
      input.push({ type: "function_call_output", call_id: call.call_id, output });
    }
  }
}

await play({
  chat: (target) => chat(target, false),
  "chat stream": (target) => chat(target, true),
  responses: (target) => responses(target, false),
  "responses stream": (target) => responses(target, true),
});
