// The client for servers under Node: every evaluation is a request.
import assert from "node:assert/strict";
import { OFREPProvider } from "@openfeature/ofrep-provider";
import { OpenFeature } from "@openfeature/server-sdk";
import { ask, bearer, cases, compare, settings } from "./shared.mjs";

async function client(name, headers) {
  await OpenFeature.setProviderAndWait(name, new OFREPProvider({ baseUrl: settings.url, headers }));
  return OpenFeature.getClient(name);
}

const everybody = await client("everybody", bearer(settings.token));
for (const one of cases) {
  compare(one, await ask(everybody, one, one.tenant === null ? {} : { targetingKey: one.tenant }));
}

// A token that is bound to a tenant: the targeting key is the app's own, and need not be there.
const bound = await client("bound", bearer(settings.bound));
const own = cases.filter((one) => one.tenant === "ofrep-full");
for (const one of own) {
  compare(one, await ask(bound, one));
  compare(one, await ask(bound, one, { targetingKey: "user 17", plan: "guest" }));
}

// A header names the tenant as well.
const named = await client("named", [...bearer(settings.token), ["x-tenant-id", "ofrep-full"]]);
compare(own[0], await ask(named, own[0]));

for (const [name, token] of [["nobody", "lh_wrong"], ["elsewhere", settings.other]]) {
  const refused = await client(name, bearer(token));
  const details = await refused.getStringDetails("currency", "mine", { tenant_org_id: "ofrep-full" });
  assert.deepEqual([details.value, details.reason, details.errorCode], ["mine", "ERROR", "GENERAL"], name);
}

await OpenFeature.close();
console.log(`node: ${cases.length} cases`);
