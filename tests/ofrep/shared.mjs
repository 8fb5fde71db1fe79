// What both JavaScript clients are compared with.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export const settings = JSON.parse(process.env.LEASEHOLD_SUITE);
export const cases = JSON.parse(readFileSync(new URL("cases.json", import.meta.url)));
export const bearer = (token) => [["Authorization", `Bearer ${token}`]];

const QUESTIONS = {
  boolean: "getBooleanDetails",
  string: "getStringDetails",
  integer: "getNumberDetails",
  object: "getObjectDetails",
};

/** Asks a client as a case does; `context` is for clients that take one. */
export const ask = (client, one, ...context) => client[QUESTIONS[one.type]](one.flag, one.default, ...context);

/** Fails where the details that a client gives are not those of a case. */
export function compare(one, details) {
  const said = `${one.name}: ${JSON.stringify(details)}`;
  if (one.errorCode) {
    assert.equal(details.errorCode, one.errorCode, said);
    assert.equal(details.reason, "ERROR", said);
    assert.deepEqual(details.value, one.default, said);
    return;
  }
  assert.equal(details.errorCode, undefined, said);
  assert.deepEqual(details.value, one.value, said);
  assert.equal(details.variant, one.variant, said);
  assert.equal(details.reason, one.reason, said);
  for (const [name, value] of Object.entries(one.metadata)) {
    assert.equal(details.flagMetadata[name], value, `${said}, metadata ${name}`);
  }
  assert.equal(typeof details.flagMetadata.revision, "number", said);
  assert.match(details.flagMetadata.definitions, /^[0-9a-f]{64}$/, said);
}
