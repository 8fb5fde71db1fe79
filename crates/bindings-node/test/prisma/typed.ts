// What a user of Prisma and TypeScript writes: models, results and wrong arguments are typed.

import { prismaWithTenant } from '../../dist/postgres.js'
import { PrismaClient } from './generated/client.js'

declare const prisma: PrismaClient

const items: Promise<string[]> = prismaWithTenant(prisma, 'a', async (transaction) => {
  const orders = await transaction.order.findMany({ where: { id: { gt: 1 } } })
  await transaction.$executeRaw`SELECT ${orders.length}`
  // @ts-expect-error There is no such model.
  await transaction.invoice.findMany()
  return orders.map(({ item }) => item)
})

const extended = prisma.$extends({ model: { order: { shirts: async () => 7 } } })
const count: Promise<number> = prismaWithTenant(
  extended,
  'a',
  async (transaction) => (await transaction.order.shirts()) + (await transaction.order.count()),
  { isolation: 'serializable', readOnly: true, maxWaitMs: 1, timeoutMs: 1 },
)

// @ts-expect-error There is no such isolation.
void prismaWithTenant(prisma, 'a', async () => 1, { isolation: 'chaos' })
// @ts-expect-error A transaction is no client.
void prisma.$transaction((transaction) => prismaWithTenant(transaction, 'a', async () => 1))

export { count, items }
