import {
  Controller,
  Get,
  Header,
  Injectable,
  NotFoundException,
  Param,
  Post,
  StreamableFile,
  UseGuards,
} from '@nestjs/common'
import { FeatureFlag, FeatureFlagGuard, TenantEntitlements } from 'leasehold/nestjs'
import { Ledger } from './ledger.js'
import type { Invoice } from './ledger.js'
import { Orders } from './orders.js'
import { pdf } from './pdf.js'

@Injectable()
export class Invoices {
  constructor(
    private readonly ledger: Ledger,
    private readonly orders: Orders,
    private readonly entitlements: TenantEntitlements,
  ) {}

  /** Once for each order. */
  issue(orderId: string): Invoice {
    const order = this.orders.find(orderId)
    const due = order.facts['balance_due_minor']
    order.invoice ??= {
      number: this.ledger.current.nextInvoice(),
      issued_at: new Date().toISOString(),
      amount_minor: typeof due === 'number' ? due : 0,
      currency: this.entitlements.value<string>('currency') ?? '',
    }
    return order.invoice
  }

  find(orderId: string): Invoice {
    const { invoice } = this.orders.find(orderId)
    if (invoice === undefined) {
      throw new NotFoundException(`order ${orderId} has no invoice`)
    }
    return invoice
  }
}

@Controller('orders/:id')
@UseGuards(FeatureFlagGuard)
@FeatureFlag('invoicing')
export class InvoicesController {
  constructor(private readonly invoices: Invoices) {}

  @Post('invoice')
  issue(@Param('id') id: string): Invoice {
    return this.invoices.issue(id)
  }

  @Get('invoice')
  show(@Param('id') id: string): Invoice {
    return this.invoices.find(id)
  }

  /** An add-on: HQ opens it for a laundry, and the next request has it. */
  @Get('invoice.pdf')
  @FeatureFlag('pdf_invoices')
  @Header('Content-Type', 'application/pdf')
  print(@Param('id') id: string): StreamableFile {
    const { number, issued_at, amount_minor, currency } = this.invoices.find(id)
    const file = pdf([`Invoice ${number}`, `Issued ${issued_at}`, `Amount ${amount_minor} ${currency}, in minor units`])
    return new StreamableFile(file, { type: 'application/pdf' })
  }
}
