// Vercel's AI SDK over all three protocols: generateText and streamText with tools, in steps.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { QUESTION, SCHEMAS, SYSTEM, outputTokensMax, play, run } from "./job.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;

const MODELS = {
  chat: (target) => createOpenAI({ apiKey: target.key, baseURL: `${target.base_url}/v1` }).chat(target.model),
  responses: (target) => createOpenAI({ apiKey: target.key, baseURL: `${target.base_url}/v1` }).responses(target.model),
  messages: (target) => createAnthropic({ apiKey: target.key, baseURL: `${target.base_url}/v1` })(target.model),
};
const OPTIONS = {
  openai: { store: false, reasoningEffort: "high", reasoningSummary: "auto" },
  anthropic: { thinking: { type: "adaptive" } },
};

async function converse(target, protocol, stream) {
  const asked = {
    model: MODELS[protocol](target),
    system: SYSTEM,
    prompt: QUESTION,
    maxOutputTokens: outputTokensMax(target),
    maxRetries: 0,
    onError: () => {},
  };
  if (target.with_tools) {
    asked.stopWhen = stepCountIs(4);
    asked.providerOptions = OPTIONS;
    asked.tools = Object.fromEntries(
      Object.entries(SCHEMAS).map(([name, schema]) => [
        name,
        tool({ inputSchema: jsonSchema(schema), execute: (input) => run(target, name, input) }),
      ]),
    );
  }
  const answer = stream ? streamText(asked) : await generateText(asked);
  if (stream) await answer.consumeStream();
  const usage = await answer.usage;
  return { text: await answer.text, tokens: [usage.inputTokens, usage.outputTokens] };
}

await play(
  Object.fromEntries(
    Object.keys(MODELS).flatMap((protocol) => [
      [protocol, (target) => converse(target, protocol, false)],
      [`${protocol} stream`, (target) => converse(target, protocol, true)],
    ]),
  ),
);
