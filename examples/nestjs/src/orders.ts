import {
  BadRequestException,
  Body,
  ConflictException,
  Controller,
  Get,
  Injectable,
  NotFoundException,
  Param,
  Patch,
  Post,
  UseGuards,
} from '@nestjs/common'
import type { ExecutionContext } from '@nestjs/common'
import type { Request } from 'express'
import type { Allowed, Context, Tenant, TransitionAnswer } from 'leasehold'
import {
  CurrentTenant,
  FeatureFlag,
  FeatureFlagGuard,
  RequireTransition,
  TransitionGuard,
  TransitionOutcome,
} from 'leasehold/nestjs'
import type { Move, MoveProvider } from 'leasehold/nestjs'
import { Ledger } from './ledger.js'
import type { Books, Facts, Order } from './ledger.js'
import { Roles, rolesOf } from './roles.js'

/** Knows orders, and what it takes to move one. */
@Injectable()
export class Orders implements MoveProvider {
  constructor(private readonly ledger: Ledger) {}

  all(): Order[] {
    return [...this.ledger.current.orders.values()]
  }

  find(id: string, books: Books = this.ledger.current): Order {
    const order = books.orders.get(id)
    if (order === undefined) {
      throw new NotFoundException(`there is no order ${id}`)
    }
    return order
  }

  add(tenant: Tenant, { category = 'LAUNDRY', ...facts }: NewOrder): Order {
    const id = this.ledger.current.nextOrder()
    const { stages } = tenant.machine('order', category).about
    const initial = stages.find((stage) => stage.initial)
    if (initial === undefined) {
      throw new ConflictException('the workflow has no stage in which orders begin')
    }
    const order = { id, category, stage: initial.stage, facts: checked(facts) }
    this.ledger.current.orders.set(id, order)
    return order
  }

  note(id: string, facts: Facts): Order {
    const order = this.find(id)
    Object.assign(order.facts, checked(facts))
    return order
  }

  contextOf(order: Order, roles: string[]): Context {
    return {
      inputs: { ...order.facts, invoice_issued: order.invoice !== undefined },
      roles,
    }
  }

  /** For the guard, before the handler runs. */
  moveOf(_workflow: string, tenant: Tenant, context: ExecutionContext): Move {
    const request = context.switchToHttp().getRequest<Request<{ id: string }, unknown, Moving | undefined>>()
    const { from = '', to = '' } = request.body ?? {}
    const order = this.find(request.params.id, this.ledger.of(tenant))
    return {
      from,
      to,
      category: order.category,
      context: this.contextOf(order, rolesOf(request)),
    }
  }

  /** The guard has decided about a move from where the client saw the order: it has to be there still. */
  move(id: string, { from, to }: Moving): Order {
    const order = this.find(id)
    if (order.stage !== from) {
      throw new ConflictException(`order ${id} is in stage ${order.stage}, not in ${from}`)
    }
    order.stage = to
    return order
  }
}

interface NewOrder {
  category?: string
  [fact: string]: unknown
}

interface Moving {
  from: string
  to: string
}

/** Facts are what guards can look at: booleans, integers, texts and lists of texts. */
function checked(facts: Record<string, unknown> = {}): Facts {
  for (const [name, value] of Object.entries(facts)) {
    const texts = Array.isArray(value) && value.every((one) => typeof one === 'string')
    if (!texts && typeof value !== 'boolean' && typeof value !== 'string' && !Number.isSafeInteger(value)) {
      throw new BadRequestException(`${name} is neither a boolean, an integer, a text nor a list of texts`)
    }
  }
  return facts as Facts
}

@Controller('orders')
@UseGuards(FeatureFlagGuard, TransitionGuard)
@FeatureFlag('orders')
export class OrdersController {
  constructor(private readonly orders: Orders) {}

  /** A laundry whose access was restricted may still look at what it has. */
  @Get()
  @FeatureFlag('orders', { action: 'read' })
  list(): Order[] {
    return this.orders.all()
  }

  /** With what may be done next, and what stands against it: what a screen shows. */
  @Get(':id')
  @FeatureFlag('orders', { action: 'read' })
  show(
    @Param('id') id: string,
    @CurrentTenant() tenant: Tenant,
    @Roles() roles: string[],
  ): Order & { transitions: TransitionAnswer[] } {
    const order = this.orders.find(id)
    const answers = tenant.transitions('order', order.stage, this.orders.contextOf(order, roles), order.category)
    return {
      ...order,
      transitions: answers.filter(({ state }) => state !== 'not_from_here'),
    }
  }

  @Post()
  add(@CurrentTenant() tenant: Tenant, @Body() order: NewOrder): Order {
    return this.orders.add(tenant, order)
  }

  /** Notes what is known: photos, what was scanned, where it is stored. */
  @Patch(':id')
  note(@Param('id') id: string, @Body() facts: Facts): Order {
    return this.orders.note(id, facts)
  }

  @Post(':id/moves')
  @RequireTransition('order', { move: Orders })
  move(
    @Param('id') id: string,
    @Body() moving: Moving,
    @TransitionOutcome('order') { transition }: Allowed,
  ): Order & { transition: string } {
    return { ...this.orders.move(id, moving), transition }
  }
}
