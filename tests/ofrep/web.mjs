// The client for browsers, under Node: it fetches all flags, keeps them, and asks again whether they still hold.
import assert from "node:assert/strict";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";
import { OpenFeature, ProviderEvents } from "@openfeature/web-sdk";
import { ask, bearer, cases, compare, settings } from "./shared.mjs";

/** Waits until something is so, and says what was waited for where it never is. */
async function until(what, condition) {
  const end = Date.now() + 120_000;
  while (!condition()) {
    assert.ok(Date.now() < end, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function client(name, token, context, options = {}) {
  const answers = [];
  const fetchImplementation = async (...request) => {
    const response = await fetch(...request);
    answers.push({ status: response.status, etag: response.headers.get("etag"), body: await response.clone().text() });
    return response;
  };
  await OpenFeature.setContext(name, context);
  const headers = bearer(token);
  const told = { baseUrl: settings.url, headers, fetchImplementation, cacheMode: "disabled", ...options };
  await OpenFeature.setProviderAndWait(name, new OFREPWebProvider(told));
  return { client: OpenFeature.getClient(name), answers };
}

let compared = 0;
for (const tenant of new Set(cases.filter((one) => !one.single).map((one) => one.tenant))) {
  const { client: asked, answers } = await client(tenant, settings.token, { targetingKey: tenant });
  for (const one of cases.filter((one) => one.tenant === tenant)) {
    compare(one, ask(asked, one));
    compared += 1;
  }
  assert.deepEqual(answers.map((answer) => answer.status), [200], "one request for all flags");
}

for (const context of [{}, { targetingKey: "user 17" }]) {
  const { client: bound } = await client(`bound ${context.targetingKey}`, settings.bound, context);
  assert.equal(bound.getBooleanValue("delivery", false), true);
}

for (const [name, token, context] of [
  ["nobody", "lh_wrong", { targetingKey: "ofrep-full" }],
  ["elsewhere", settings.other, { tenant_org_id: "ofrep-full" }],
  ["unknown", settings.token, { targetingKey: "ofrep-nobody" }],
]) {
  await assert.rejects(client(name, token, context), name);
  const details = OpenFeature.getClient(name).getStringDetails("currency", "mine");
  assert.deepEqual([details.value, details.reason], ["mine", "ERROR"], name);
}

// A switch that changes at an instant, without a publication: as long as nothing does, the answer is 304, and no longer.
const tenant = "ofrep-scheduled";
const { client: scheduled, answers } = await client(tenant, settings.token, { targetingKey: tenant }, { pollInterval: 100 });
const changed = new Set();
scheduled.addHandler(ProviderEvents.ConfigurationChanged, (event) => event.flagsChanged.forEach((key) => changed.add(key)));
const listing = () => scheduled.getBooleanDetails("directory_listing", false);
const revision = () => listing().flagMetadata.revision;
await until("an answer that holds", () => answers.at(-1).status === 304);
assert.equal(listing().value, false);

async function schedule(delay) {
  const from = new Date(Date.now() + delay).toISOString();
  const response = await fetch(`${settings.url}/v1/tenants/${tenant}/overrides/soon`, {
    method: "PUT",
    headers: { Authorization: `Bearer ${settings.staff}`, "Content-Type": "application/json" },
    body: JSON.stringify({ feature: "directory_listing", op: "set", value: true, from, reason: "Test", actor: "suite" }),
  });
  const written = await response.json();
  assert.equal(response.status, 200, JSON.stringify(written));
  return { from, revision: written.revision };
}

// A machine that is slow may not see it before its instant: then later.
for (const delay of [3_000, 12_000, 48_000, null]) {
  assert.ok(delay, "the switch was never seen before its instant");
  const written = await schedule(delay);
  await until("the publication", () => revision() >= written.revision);
  if (listing().value) continue;
  assert.equal(Date.parse(scheduled.getBooleanDetails("no_such_flag", false).flagMetadata.until), Date.parse(written.from));
  const seen = answers.length;
  await until("a change without a publication", () => listing().value);
  assert.equal(revision(), written.revision, "no publication came between");
  const since = answers.slice(seen - 1);
  const last = since.findLastIndex((answer) => answer.status === 200);
  assert.ok(since.slice(0, last).some((answer) => answer.status === 304), "it held until then");
  assert.ok(since.every((answer) => answer.status === 200 || answer.body === ""), "304 has no body");
  assert.equal(listing().flagMetadata.source, "tenant");
  break;
}
await until("the event", () => changed.has("directory_listing"));

await OpenFeature.close();
console.log(`web: ${compared} cases, ${answers.length} answers of which ${answers.filter((a) => a.status === 304).length} are 304`);
process.exit(0);
