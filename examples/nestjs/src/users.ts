import {
  BadRequestException,
  Body,
  ConflictException,
  Controller,
  Delete,
  Get,
  HttpCode,
  Injectable,
  NotFoundException,
  Param,
  Post,
  UseGuards,
} from '@nestjs/common'
import type { LimitAnswer, Tenant } from 'leasehold'
import { LimitGuard, LimitOutcome, RequireLimit } from 'leasehold/nestjs'
import type { UsageProvider } from 'leasehold/nestjs'
import { Ledger } from './ledger.js'
import type { User } from './ledger.js'

/**
 * Knows how many users a laundry has. Two requests at once may both find room for the last one: where that matters,
 * count in one step with the usage ledger, which docs/postgres.md describes.
 */
@Injectable()
export class Users implements UsageProvider {
  constructor(private readonly ledger: Ledger) {}

  used(_feature: string, tenant: Tenant): number {
    return this.ledger.of(tenant).users.size
  }

  all(): User[] {
    return [...this.ledger.current.users.values()]
  }

  add(name: unknown): User {
    if (typeof name !== 'string' || name === '') {
      throw new BadRequestException('name is a text')
    }
    const { users } = this.ledger.current
    if (users.has(name)) {
      throw new ConflictException(`there is a user ${name} already`)
    }
    const user = { name }
    users.set(name, user)
    return user
  }

  remove(name: string): void {
    if (!this.ledger.current.users.delete(name)) {
      throw new NotFoundException(`there is no user ${name}`)
    }
  }
}

@Controller('users')
@UseGuards(LimitGuard)
export class UsersController {
  constructor(private readonly users: Users) {}

  @Get()
  list(): User[] {
    return this.users.all()
  }

  /** A soft limit lets more in than it allows, and says so. */
  @Post()
  @RequireLimit('max_users', { usage: Users })
  add(@Body() body: { name?: unknown }, @LimitOutcome('max_users') limit: LimitAnswer): User & { warning?: string } {
    const user = this.users.add(body.name)
    return limit.outcome === 'allow' ? user : { ...user, warning: `the plan has room for ${limit.limit}` }
  }

  @Delete(':name')
  @HttpCode(204)
  remove(@Param('name') name: string): void {
    this.users.remove(name)
  }
}
