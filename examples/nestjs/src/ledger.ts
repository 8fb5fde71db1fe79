import { Injectable } from '@nestjs/common'
import type { Tenant } from 'leasehold'
import { TenantEntitlements } from 'leasehold/nestjs'

/** What is known of an item, by the names that guards of the workflow have for it. */
export type Facts = Record<string, boolean | number | string | string[]>

export interface Order {
  id: string
  category: string
  stage: string
  facts: Facts
  invoice?: Invoice
}

export interface Invoice {
  number: string
  issued_at: string
  amount_minor: number
  currency: string
}

export interface User {
  name: string
}

/** What one laundry has. */
export class Books {
  readonly orders = new Map<string, Order>()
  readonly users = new Map<string, User>()
  #orders = 0
  #invoices = 0

  nextOrder(): string {
    return String(++this.#orders)
  }

  nextInvoice(): string {
    return `INV-${String(++this.#invoices).padStart(5, '0')}`
  }
}

/** Everybody's books, in memory. Nobody gets at any but those of the laundry for whom a request is. */
@Injectable()
export class Ledger {
  readonly #books = new Map<string, Books>()

  constructor(private readonly entitlements: TenantEntitlements) {}

  get current(): Books {
    return this.of(this.entitlements.tenant)
  }

  /** For guards, which know the tenant before anything else does. */
  of({ id }: Tenant): Books {
    let books = this.#books.get(id)
    if (books === undefined) {
      books = new Books()
      this.#books.set(id, books)
    }
    return books
  }
}
