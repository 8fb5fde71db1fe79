// A table of tenants' orders under row level security, and a login of their app.

import { randomBytes } from 'node:crypto'

export const [A, B] = ['om-muscat-sparkle', 'om-muscat-crown']

/** Makes it, in a schema that bears the name of the login, as a superuser; gives what the app connects with. */
export async function makeOrders(admin, name, ...constraints) {
  const password = randomBytes(12).toString('hex')
  await admin.query(`
    CREATE ROLE ${name} LOGIN PASSWORD '${password}' IN ROLE leasehold_app;
    CREATE SCHEMA ${name};
    CREATE TABLE ${name}.orders (
      tenant_org_id text COLLATE "C" NOT NULL,
      id int NOT NULL,
      item text NOT NULL DEFAULT 'shirt',
      ${['PRIMARY KEY (tenant_org_id, id)', ...constraints].join(', ')}
    );
    GRANT USAGE ON SCHEMA ${name} TO leasehold_app;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ${name}.orders TO leasehold_app;
    SELECT leasehold.isolate_tenants('${name}.orders');
    INSERT INTO ${name}.orders VALUES ('${A}', 1, 'shirt'), ('${A}', 2, 'coat'), ('${B}', 1, 'sari');`)
  const { host, port, database } = admin
  return { host, port, database, user: name, password }
}

export async function dropOrders(admin, name) {
  await admin.query(`DROP SCHEMA ${name} CASCADE; DROP ROLE ${name};`)
}
