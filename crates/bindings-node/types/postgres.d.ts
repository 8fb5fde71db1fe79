// Generated from lib/postgres.ts by scripts/declarations.mjs: do not edit.
/**
 * Transactions within the context of one tenant: row level security shows and takes the rows of that tenant alone.
 *
 * ```js
 * const { rows } = await withTenant(pool, 'om-muscat-sparkle', (client) => client.query('SELECT * FROM orders'))
 * ```
 *
 * The context is the setting `app.current_tenant_id`, and ends with the transaction.
 */
import type { ClientBase, Pool } from 'pg';
import { LeaseholdError } from './errors';
/** How a transaction sees what others do. */
export type Isolation = 'read committed' | 'repeatable read' | 'serializable';
/** How a transaction is begun. */
export interface TransactionOptions {
    /** `read committed` without it, whatever a login has for its default. */
    isolation?: Isolation;
    /** Whether the database refuses every change in it. */
    readOnly?: boolean;
}
/** How Prisma begins a transaction. */
export interface PrismaTransactionOptions extends TransactionOptions {
    /** How long to wait for a connection, in milliseconds; Prisma's default without it. */
    maxWaitMs?: number;
    /** How long the transaction may take, in milliseconds; Prisma's default without it. */
    timeoutMs?: number;
}
/** What is asked of a client of Prisma's. */
export interface PrismaClientLike<T> {
    /** Transactions have none, which tells them from clients. */
    $connect(): Promise<void>;
    $transaction<R>(work: (transaction: T) => Promise<R>, options?: {
        maxWait?: number;
        timeout?: number;
        isolationLevel?: (typeof ISOLATIONS)[Isolation];
    }): Promise<R>;
}
/** What is asked of a transaction of Prisma's. */
export interface PrismaTransactionLike {
    $executeRaw(query: TemplateStringsArray, ...values: unknown[]): Promise<number>;
    $queryRaw<R = unknown>(query: TemplateStringsArray, ...values: unknown[]): Promise<R>;
}
/** A transaction that could not be what it was to be. Nothing is in force but what the function committed itself. */
export declare class TransactionError extends LeaseholdError {
    readonly code: 'already_in_transaction' | 'context_lost' | 'rolled_back';
}
declare const ISOLATIONS: {
    readonly 'read committed': "ReadCommitted";
    readonly 'repeatable read': "RepeatableRead";
    readonly serializable: "Serializable";
};
/**
 * Runs a function in a transaction of a tenant, on a client of the pool, or on a connected client that is in none. Commits
 * what it did and gives what it gave, or undoes it and throws what it threw.
 *
 * Whether there is such a tenant is not looked at. The function must not end the transaction, nor release the client.
 *
 * @throws {ArgumentError} An id that is none, or other arguments that cannot be meant.
 * @throws {TransactionError} `already_in_transaction`, `context_lost`, `rolled_back`.
 */
export declare function withTenant<R>(from: Pool | ClientBase, tenantId: string, work: (client: ClientBase) => R | Promise<R>, options?: TransactionOptions): Promise<R>;
/**
 * The same for Prisma: runs a function in an interactive transaction of a tenant. What has to be in it is asked of the
 * transaction that the function is given, not of the client.
 *
 * @throws {ArgumentError} An id that is none, or other arguments that cannot be meant.
 * @throws {TransactionError} `already_in_transaction`, `context_lost`, `rolled_back`.
 */
export declare function prismaWithTenant<T extends PrismaTransactionLike, R>(prisma: PrismaClientLike<T>, tenantId: string, work: (transaction: T) => R | Promise<R>, options?: PrismaTransactionOptions): Promise<R>;
export {};
