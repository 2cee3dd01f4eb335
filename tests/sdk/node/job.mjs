// What every client program is told, and how it tells what came of it: see ../clients/job.py.

export const QUESTION = "What is the weather in Oslo for two days, and what time is it?";
export const SYSTEM = "Be brief.";

// Few for a real model, which is slow and has nothing to think about.
export const outputTokensMax = (target) => (target.with_tools ? 8_000 : 24);

export const SCHEMAS = {
  weather: {
    type: "object",
    properties: { city: { type: "string" }, days: { type: "integer" } },
    required: ["city", "days"],
    additionalProperties: false,
  },
  clock: { type: "object", properties: {}, required: [], additionalProperties: false },
};

const RESULTS = { weather: "Rain — 7 °C.", clock: "12:00" };

// Runs a tool, and notes that it was called.
export function run(target, name, args) {
  target.called.push([name, args]);
  return RESULTS[name];
}

// Tries each way on each target; a way that fails hides no other.
export async function play(ways) {
  const told = {};
  for (const given of JSON.parse(process.argv[2])) {
    for (const [name, way] of Object.entries(ways)) {
      const target = { ...given, called: [] };
      try {
        told[`${name} ${target.model}`] = { answer: await way(target), called: target.called };
      } catch (error) {
        told[`${name} ${target.model}`] = { failed: `${error.stack}\n${JSON.stringify(error.cause ?? null)}` };
      }
    }
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
