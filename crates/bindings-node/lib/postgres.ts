/**
 * Transactions within the context of one tenant: row level security shows and takes the rows of that tenant alone.
 *
 * ```js
 * const { rows } = await withTenant(pool, 'om-muscat-sparkle', (client) => client.query('SELECT * FROM orders'))
 * ```
 *
 * The context is the setting `app.current_tenant_id`, and ends with the transaction.
 */

import type { ClientBase, Pool, QueryResult } from 'pg'
import { options as known, yesOrNo } from './arguments'
import { ArgumentError, LeaseholdError, messageOf } from './errors'

/** How a transaction sees what others do. */
export type Isolation = 'read committed' | 'repeatable read' | 'serializable'

/** How a transaction is begun. */
export interface TransactionOptions {
  /** `read committed` without it, whatever a login has for its default. */
  isolation?: Isolation
  /** Whether the database refuses every change in it. */
  readOnly?: boolean
}

/** How Prisma begins a transaction. */
export interface PrismaTransactionOptions extends TransactionOptions {
  /** How long to wait for a connection, in milliseconds; Prisma's default without it. */
  maxWaitMs?: number
  /** How long the transaction may take, in milliseconds; Prisma's default without it. */
  timeoutMs?: number
}

/** What is asked of a client of Prisma's. */
export interface PrismaClientLike<T> {
  /** Transactions have none, which tells them from clients. */
  $connect(): Promise<void>
  $transaction<R>(
    work: (transaction: T) => Promise<R>,
    options?: { maxWait?: number; timeout?: number; isolationLevel?: (typeof ISOLATIONS)[Isolation] },
  ): Promise<R>
}

/** What is asked of a transaction of Prisma's. */
export interface PrismaTransactionLike {
  $executeRaw(query: TemplateStringsArray, ...values: unknown[]): Promise<number>
  $queryRaw<R = unknown>(query: TemplateStringsArray, ...values: unknown[]): Promise<R>
}

/** A transaction that could not be what it was to be. Nothing is in force but what the function committed itself. */
export class TransactionError extends LeaseholdError {
  declare readonly code: 'already_in_transaction' | 'context_lost' | 'rolled_back'

  /** @internal */
  constructor(code: TransactionError['code'], message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}

/** What the engine takes for an id of a tenant. */
const TENANT_ID = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$/
const LONGEST_SHOWN = 128

/** Connections on which somebody begins, works or ends: a second one would find the transaction closed until it has begun. */
const inUse = new WeakSet<ClientBase>()

const ISOLATIONS = {
  'read committed': 'ReadCommitted',
  'repeatable read': 'RepeatableRead',
  serializable: 'Serializable',
} as const satisfies Record<Isolation, string>

/** What statements in a transaction say that has failed already. */
const IN_FAILED_TRANSACTION = '25P02'
const FAILED_BEFORE = 'a statement in the transaction has failed, so that nothing is in force: pass its error on'

/**
 * Runs a function in a transaction of a tenant, on a client of the pool, or on a connected client that is in none. Commits
 * what it did and gives what it gave, or undoes it and throws what it threw.
 *
 * Whether there is such a tenant is not looked at. The function must not end the transaction, nor release the client.
 *
 * @throws {ArgumentError} An id that is none, or other arguments that cannot be meant.
 * @throws {TransactionError} `already_in_transaction`, `context_lost`, `rolled_back`.
 */
export async function withTenant<R>(
  from: Pool | ClientBase,
  tenantId: string,
  work: (client: ClientBase) => R | Promise<R>,
  options: TransactionOptions = {},
): Promise<R> {
  const tenant = checked(tenantId, work)
  known('options', options, { isolation: true, readOnly: true })
  const begin = `BEGIN ISOLATION LEVEL ${isolationOf(options)}${isReadOnly(options) ? ' READ ONLY' : ''}`
  if (isClient(from)) {
    return transaction(from, tenant, begin, work, (found) => {
      // Somebody else's transaction is left as it is. In one of ours that cannot be ended, nobody may go on.
      if (found === 'spoilt') {
        void (from as ClientBase & { end(): Promise<void> }).end().catch(ignore)
      }
    })
  }
  if (typeof (from as Partial<Pool> | null | undefined)?.connect !== 'function') {
    throw new ArgumentError('a transaction needs a `Pool` of pg, or a `Client` that is connected')
  }
  const client = await (from as Pool).connect()
  const release = client.release
  client.release = () => {
    throw new ArgumentError('the client is released once the transaction is over: leave that out')
  }
  let unusable = false
  try {
    return await transaction(client, tenant, begin, work, () => {
      unusable = true
    })
  } finally {
    client.release = release
    client.release(unusable)
  }
}

function isReadOnly({ readOnly = false }: TransactionOptions): boolean {
  return yesOrNo('readOnly', readOnly)
}

/** A pool answers queries as well, and counts its clients. */
function isClient(from: Pool | ClientBase): from is ClientBase {
  const { query, totalCount } = (from ?? {}) as Partial<Pool>
  return typeof query === 'function' && totalCount === undefined
}

async function transaction<R>(
  client: ClientBase,
  tenant: string,
  begin: string,
  work: (client: ClientBase) => R | Promise<R>,
  drop: (found: 'open' | 'spoilt') => void,
): Promise<R> {
  if (inUse.has(client)) {
    throw alreadyInTransaction()
  }
  inUse.add(client)
  // A connection that is lost while nothing is asked of it says so by an event, which ends the process where nobody hears
  // it. Whatever is asked next fails.
  client.on('error', ignore)
  try {
    if (await isOpen(client)) {
      drop('open')
      throw alreadyInTransaction()
    }
    try {
      await client.query(begin)
      await client.query("SELECT set_config('app.current_tenant_id', $1, true)", [tenant])
      const result = await work(client)
      if (!(await isOpen(client))) {
        const message =
          'the transaction was ended by what was done in it: leave `COMMIT` and `ROLLBACK` to `withTenant`'
        throw new TransactionError('context_lost', message)
      }
      await end(client, 'COMMIT')
      return result
    } catch (error) {
      await end(client, 'ROLLBACK').catch(() => drop('spoilt'))
      throw error
    }
  } finally {
    client.removeListener('error', ignore)
    inUse.delete(client)
  }
}

function alreadyInTransaction(): TransactionError {
  const message = 'the client is in a transaction: end that first, or go on in it without another one'
  return new TransactionError('already_in_transaction', message)
}

/** Ends the transaction, and whatever a plain `SET` of the context has left on the connection, then or ever before. */
async function end(client: ClientBase, how: 'COMMIT' | 'ROLLBACK'): Promise<void> {
  const results = (await client.query(`${how}; RESET app.current_tenant_id`)) as unknown as QueryResult[]
  // Postgres says so, and nothing else, where it was to commit what has failed.
  if (how === 'COMMIT' && results[0]?.command === 'ROLLBACK') {
    throw new TransactionError('rolled_back', FAILED_BEFORE)
  }
}

async function isOpen(client: ClientBase): Promise<boolean> {
  // pg says it from 8.21 on.
  if (typeof (client as Partial<ClientBase>).getTransactionStatus === 'function') {
    const status = client.getTransactionStatus()
    if (status === null) {
      throw new ArgumentError('the client is not connected: await its `connect()` first')
    }
    return status !== 'I'
  }
  try {
    const asked = await client.query<{ open: boolean }>('SELECT now() <> statement_timestamp() AS open')
    return asked.rows[0]?.open === true
  } catch (error) {
    if ((error as { code?: unknown }).code === IN_FAILED_TRANSACTION) {
      return true
    }
    throw error
  }
}

/**
 * The same for Prisma: runs a function in an interactive transaction of a tenant. What has to be in it is asked of the
 * transaction that the function is given, not of the client.
 *
 * @throws {ArgumentError} An id that is none, or other arguments that cannot be meant.
 * @throws {TransactionError} `already_in_transaction`, `context_lost`, `rolled_back`.
 */
export async function prismaWithTenant<T extends PrismaTransactionLike, R>(
  prisma: PrismaClientLike<T>,
  tenantId: string,
  work: (transaction: T) => R | Promise<R>,
  options: PrismaTransactionOptions = {},
): Promise<R> {
  const tenant = checked(tenantId, work)
  known('options', options, { isolation: true, readOnly: true, maxWaitMs: true, timeoutMs: true })
  const { maxWaitMs, timeoutMs } = options
  const readOnly = isReadOnly(options)
  const begun = {
    isolationLevel: ISOLATIONS[isolationOf(options)],
    ...(maxWaitMs === undefined ? {} : { maxWait: maxWaitMs }),
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
  }
  const { $connect, $transaction } = (prisma ?? {}) as Partial<PrismaClientLike<T>>
  if (typeof $transaction !== 'function' || typeof $connect !== 'function') {
    if (typeof (prisma as unknown as PrismaTransactionLike | undefined)?.$executeRaw === 'function') {
      // A savepoint within it would not end the context.
      const message = 'this is a transaction of Prisma: go on in it without another one, or pass the client'
      throw new TransactionError('already_in_transaction', message)
    }
    throw new ArgumentError('a transaction needs a `PrismaClient`')
  }
  return prisma.$transaction(async (transaction) => {
    if (readOnly) {
      await transaction.$executeRaw`SET TRANSACTION READ ONLY`
    }
    await transaction.$executeRaw`SELECT set_config('app.current_tenant_id', ${tenant}, true)`
    const result = await work(transaction)
    await stillIn(transaction, tenant)
    return result
  }, begun)
}

/** Prisma commits whatever it is given, and does not say where Postgres rolls back instead. */
async function stillIn(transaction: PrismaTransactionLike, tenant: string): Promise<void> {
  let rows
  try {
    rows = await transaction.$queryRaw<{ tenant: string | null }[]>`
      SELECT current_setting('app.current_tenant_id', true) AS tenant`
  } catch (cause) {
    if (messageOf(cause).includes(IN_FAILED_TRANSACTION)) {
      throw new TransactionError('rolled_back', FAILED_BEFORE, { cause })
    }
    throw cause
  }
  if (rows[0]?.tenant !== tenant) {
    const message = 'what was done in the transaction has ended it, or has set another context: leave both out'
    throw new TransactionError('context_lost', message)
  }
}

function checked(tenantId: unknown, work: unknown): string {
  if (typeof tenantId !== 'string') {
    throw new ArgumentError(`the id of a tenant is a text, not of type ${typeof tenantId}`)
  }
  if (!TENANT_ID.test(tenantId)) {
    const shown = tenantId.length > LONGEST_SHOWN ? `${tenantId.slice(0, LONGEST_SHOWN)}…` : tenantId
    const rule = 'a letter or digit, and up to 127 of A-Z, a-z, 0-9, `_`, `.`, `:` and `-` after it'
    throw new ArgumentError(`\`${shown}\` is no id of a tenant: that is ${rule}`)
  }
  if (typeof work !== 'function') {
    throw new ArgumentError(`what is to be done in the transaction is a function, not of type ${typeof work}`)
  }
  return tenantId
}

function isolationOf({ isolation = 'read committed' }: TransactionOptions): Isolation {
  if (!Object.hasOwn(ISOLATIONS, isolation)) {
    throw new ArgumentError(
      `\`isolation\` is one of ${Object.keys(ISOLATIONS).join(', ')}, not \`${String(isolation)}\``,
    )
  }
  return isolation
}

function ignore(): void {}
